//! A change of a negotiation: it works on a copy, and what it opened is closed again if it fails.

use crate::ortc::kind_name;
use crate::proto::ErrorCode;
use crate::proto::{
    ConnectTransport, ConsumeMedia, CreateTransport, DtlsParameters, ProduceMedia, RestartIce, RtpParameters,
    signal::Payload,
};
use crate::request_error::RequestError;
use crate::rooms::Rooms;
use crate::rooms::lookup::parse_id;
use crate::rooms::negotiator::{Line, Negotiation, Played, Published};
use crate::rooms::object::Object;
use crate::rooms::state::{PeerId, State};
use crate::sdp::{Playing, Publishing, local_transport};
use control::{ConsumerId, Kind, ProducerId, TransportId};
use sdp::{LocalTransport, Msid, Setup};

/// What a change has opened, to close it if the change fails.
pub(super) struct Opened<'a> {
    rooms: &'a Rooms,
    objects: Vec<Object>,
}

impl<'a> Opened<'a> {
    pub(super) fn new(rooms: &'a Rooms) -> Self {
        Self { rooms, objects: Vec::new() }
    }

    /// The change is complete.
    pub(super) fn keep(mut self) {
        self.objects.clear();
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        // Consumers and producers before their transport.
        while let Some(object) = self.objects.pop() {
            self.rooms.close(object);
        }
    }
}

impl Rooms {
    /// Closes an object of this process and of the engine.
    pub(super) fn close(&self, object: Object) {
        let mut state = self.state();
        let worker = match object {
            Object::Transport(id) => state.remove_transport(id).map(|removed| removed.worker),
            Object::Producer(id) => {
                let removed = state.remove_producer(id);
                removed.and_then(|removed| state.worker_of(removed.transport))
            }
            Object::Consumer(id) => {
                let removed = state.remove_consumer(id);
                removed.and_then(|removed| state.worker_of(removed.transport))
            }
            Object::DataProducer(id) => {
                let removed = state.remove_data_producer(id);
                removed.and_then(|removed| state.worker_of(removed.transport))
            }
            Object::DataConsumer(id) => {
                let removed = state.remove_data_consumer(id);
                removed.and_then(|removed| state.worker_of(removed.transport))
            }
            Object::Router(_) => None,
        };
        if let Some(worker) = worker {
            self.node.tell(worker, object.close_command());
        }
    }

    /// A transport for both directions.
    pub(super) async fn open_transport(
        &self,
        peer: PeerId,
        dtls: DtlsParameters,
        setup: Setup,
        opened: &mut Opened<'_>,
    ) -> Result<(TransportId, LocalTransport), RequestError> {
        let create = CreateTransport { direction: "sendrecv".to_owned() };
        let Payload::TransportCreated(created) = self.create_transport(peer, create).await? else {
            return Err(unexpected());
        };
        let id = parse_id(&created.id).map(TransportId).ok_or_else(unexpected)?;
        opened.objects.push(Object::Transport(id));
        let connect = ConnectTransport { transport_id: created.id, dtls_parameters: Some(dtls) };
        self.connect_transport(peer, connect).await?;
        let (ice, own) = (created.ice_parameters, created.dtls_parameters);
        let own =
            ice.zip(own).and_then(|(ice, own)| local_transport(&ice, &created.ice_candidates, &own, setup));
        Ok((id, own.ok_or_else(unexpected)?))
    }

    /// New ICE credentials of this side.
    pub(super) async fn restart_transport(
        &self,
        peer: PeerId,
        negotiation: &mut Negotiation,
    ) -> Result<(), RequestError> {
        let restart = RestartIce { transport_id: negotiation.transport.to_string() };
        let Payload::IceRestarted(restarted) = self.restart_ice(peer, restart).await? else {
            return Err(unexpected());
        };
        let ice = restarted.ice_parameters.ok_or_else(unexpected)?;
        negotiation.own.ice_ufrag = ice.username_fragment;
        negotiation.own.ice_pwd = ice.password;
        Ok(())
    }

    /// A producer for a section.
    pub(super) async fn publish_line(
        &self,
        peer: PeerId,
        transport: TransportId,
        kind: Kind,
        source: String,
        publishing: Publishing,
        opened: &mut Opened<'_>,
    ) -> Result<Published, RequestError> {
        let Publishing { parameters, media } = publishing;
        let produce = ProduceMedia {
            transport_id: transport.to_string(),
            kind: kind_name(kind).to_owned(),
            rtp_parameters: Some(parameters.clone()),
            source,
            ..ProduceMedia::default()
        };
        let Payload::ProducerCreated(created) = self.produce(peer, produce).await? else {
            return Err(unexpected());
        };
        let producer = parse_id(&created.id).map(ProducerId).ok_or_else(unexpected)?;
        opened.objects.push(Object::Producer(producer));
        Ok(Published { producer, parameters, media })
    }

    /// A consumer for a section, paused.
    pub(super) async fn play_on_line(
        &self,
        peer: PeerId,
        transport: TransportId,
        producer: ProducerId,
        mid: &str,
        playing: Playing,
        opened: &mut Opened<'_>,
    ) -> Result<Played, RequestError> {
        let consume = ConsumeMedia {
            transport_id: transport.to_string(),
            producer_id: producer.to_string(),
            rtp_capabilities: Some(playing.capabilities),
            ..ConsumeMedia::default()
        };
        let created = self.consume_on(peer, consume, Some(mid.to_owned())).await?;
        let consumer = parse_id(&created.id).map(ConsumerId).ok_or_else(unexpected)?;
        opened.objects.push(Object::Consumer(consumer));
        let RtpParameters { codecs, encodings, .. } = created.rtp_parameters.unwrap_or_default();
        let payload_types = codecs.iter().filter_map(|codec| u8::try_from(codec.payload_type).ok()).collect();
        let ssrcs = encodings
            .iter()
            .flat_map(|encoding| encoding.ssrc.into_iter().chain(encoding.rtx.map(|rtx| rtx.ssrc)));
        let stream = self.state().producers.get(&producer).map(|track| track.peer.to_string());
        Ok(Played {
            consumer,
            producer,
            msid: Msid { stream: stream.unwrap_or_default(), track: producer.to_string() },
            ssrcs: ssrcs.collect(),
            payload_types,
            is_resumed: false,
        })
    }

    /// Lets the packets of the played tracks flow.
    pub(super) async fn resume_lines(&self, peer: PeerId, lines: &mut [Line]) {
        let paused = lines.iter_mut().filter_map(|line| line.play.as_mut()).filter(|play| !play.is_resumed);
        for play in paused {
            // Without it, the consumer is gone, and its notification is on the way.
            play.is_resumed = true;
            if let Err(error) = self.resume_consumer(peer, &play.consumer.to_string()).await {
                tracing::debug!(peerId = %peer, consumer = %play.consumer, %error, "a consumer was not resumed");
            }
        }
    }
}

impl State {
    /// Removes from the lines what does not exist any more: its end was notified by the engine or by others.
    pub(super) fn drop_ended(&self, lines: &mut [Line]) -> bool {
        let mut has_changed = false;
        for line in lines {
            if line.play.as_ref().is_some_and(|play| !self.consumers.contains_key(&play.consumer)) {
                line.play = None;
                has_changed = true;
            }
            if line.publish.as_ref().is_some_and(|publish| !self.producers.contains_key(&publish.producer)) {
                line.publish = None;
                has_changed = true;
            }
        }
        has_changed
    }
}

pub(super) fn unexpected() -> RequestError {
    RequestError::new(ErrorCode::Internal, "unexpected answer to an internal request; see the server's log")
}
