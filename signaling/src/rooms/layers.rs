//! Layers: what a client wishes of a consumer, and what the engine says about layers sent and layers wanted.
//!
//! Which layers a consumer really gets is the engine's choice, by bandwidth; here are only the words for it.

use super::Rooms;
use super::lookup::own_consumer;
use super::state::{PeerId, State};
use crate::media_node::Worker;
use crate::proto::{self, LayersChanged, LayersWanted, SetPreferredLayers, SetPriority, signal::Payload};
use crate::request_error::RequestError;
use control::{Command, ConsumerId, Kind, Layers, ProducerId};

/// Every spatial layer there could be: what is wanted until the engine knows better.
const ALL: u8 = u8::MAX;

impl Rooms {
    pub(super) async fn set_preferred_layers(
        &self,
        peer: PeerId,
        set: SetPreferredLayers,
    ) -> Result<(), RequestError> {
        let wished = set.layers.ok_or_else(|| RequestError::bad("SetPreferredLayers needs layers"))?;
        let layers = preferred(&wished)?;
        let (consumer, worker) = {
            let state = self.state();
            let (consumer, worker) = own_consumer(&state, peer, &set.consumer_id)?;
            let producer = state.consumers.get(&consumer).map(|consumer| consumer.producer);
            let kind =
                producer.and_then(|producer| state.producers.get(&producer)).map(|producer| producer.kind);
            if kind != Some(Kind::Video) {
                return Err(RequestError::bad("only consumers of video have layers"));
            }
            (consumer, worker)
        };
        self.node.ask(worker, Command::SetPreferredLayers { consumer, layers }).await?;
        Ok(())
    }

    pub(super) async fn set_priority(&self, peer: PeerId, set: SetPriority) -> Result<(), RequestError> {
        let priority = priority(set.priority)?;
        let (consumer, worker) = own_consumer(&self.state(), peer, &set.consumer_id)?;
        self.node.ask(worker, Command::SetPriority { consumer, priority }).await?;
        Ok(())
    }
}

/// A client's wish. More than there are means the highest, so any number will do that fits.
pub(super) fn preferred(layers: &proto::Layers) -> Result<Layers, RequestError> {
    let layer = |name: &str, layer: u32| {
        let wanted = || RequestError::bad(format!("{name} must be 0 to 255, not {layer}"));
        u8::try_from(layer).map_err(|_| wanted())
    };
    Ok(Layers {
        spatial: layer("spatialLayer", layers.spatial_layer)?,
        temporal: layers.temporal_layer.map_or(Ok(u8::MAX), |temporal| layer("temporalLayer", temporal))?,
    })
}

pub(super) fn priority(priority: u32) -> Result<u8, RequestError> {
    match u8::try_from(priority) {
        Ok(priority @ 1..) => Ok(priority),
        _ => Err(RequestError::bad(format!("priority must be 1 to 255, not {priority}"))),
    }
}

impl State {
    pub(super) fn on_layers_changed(&mut self, id: ConsumerId, layers: Option<Layers>) {
        let Some(consumer) = self.consumers.get_mut(&id) else { return };
        consumer.layers = Some(layers);
        let peer = consumer.peer;
        self.send(peer, layers_changed(id, layers));
    }

    pub(super) fn on_layers_wanted(&mut self, id: ProducerId, spatial: u8) {
        let Some(producer) = self.producers.get_mut(&id) else { return };
        producer.wanted = Some(spatial);
        let peer = producer.peer;
        self.send(peer, layers_wanted(id, spatial));
    }

    /// NodeEvent of this worker was lost, perhaps that a layer is wanted again. To encode one for nobody costs a little, not to encode
    /// one for somebody costs them the picture.
    pub(super) fn want_all_layers(&mut self, worker: Worker) {
        let here = |(id, producer): (&ProducerId, &super::state::Producer)| {
            (producer.wanted.is_some_and(|wanted| wanted != ALL)
                && self.worker_of(producer.transport) == Some(worker))
            .then_some(*id)
        };
        let producers: Vec<_> = self.producers.iter().filter_map(here).collect();
        producers.into_iter().for_each(|producer| self.on_layers_wanted(producer, ALL));
    }

    /// What a peer that comes back has to hear: it may have been told while it was away.
    pub(super) fn layer_notifications(&self, peer: PeerId) -> Vec<Payload> {
        let wanted = self
            .producers_of(peer)
            .filter_map(|id| Some(layers_wanted(id, self.producers.get(&id)?.wanted?)));
        let sent = self
            .consumers_of(peer)
            .filter_map(|id| Some(layers_changed(id, self.consumers.get(&id)?.layers?)));
        wanted.chain(sent).collect()
    }
}

fn layers_changed(consumer: ConsumerId, layers: Option<Layers>) -> Payload {
    let layers = layers.map(|layers| proto::Layers {
        spatial_layer: layers.spatial.into(),
        temporal_layer: Some(layers.temporal.into()),
    });
    Payload::LayersChanged(LayersChanged { consumer_id: consumer.to_string(), layers })
}

fn layers_wanted(producer: ProducerId, spatial: u8) -> Payload {
    let spatial_layers = (0..u8::BITS).filter(|layer| spatial & (1 << layer) != 0).collect();
    Payload::LayersWanted(LayersWanted { producer_id: producer.to_string(), spatial_layers })
}
