//! Data channels of clients that speak SDP: those that a client opens become data producers, and channels that the
//! engine opens carry the data producers of others.

use crate::media_node::Worker;
use crate::proto::{ConsumeData, ErrorCode};
use crate::request_error::RequestError;
use crate::rooms::Rooms;
use crate::rooms::dcep::Dcep;
use crate::rooms::negotiator::{Negotiation, Negotiator};
use crate::rooms::object::Object;
use crate::rooms::state::{PeerId, State};
use crate::sdp::{CheckedOffer, DataParameters, data, has_data};
use control::{AcceptData, Command, DataChannel, DataProducerId, TransportId};
use sdp::{Section, Setup};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

impl Rooms {
    /// Brings the line of data channels, or of another application, into line with its section. Returns why the
    /// section is rejected, if it is.
    pub(super) async fn take_application(
        &self,
        negotiation: &mut Negotiation,
        index: usize,
        section: &Section,
        offer: &CheckedOffer,
    ) -> Result<Option<RequestError>, RequestError> {
        let parameters = offer.data.filter(|_| offer.is_acceptable(index));
        let line = &mut negotiation.lines[index];
        line.section = Arc::new(section.clone());
        let was_accepted = std::mem::replace(&mut line.is_accepted, parameters.is_some());
        let Some(parameters) = parameters else {
            if was_accepted {
                self.end_data(negotiation.transport);
            }
            let is_refused = offer.data.is_some() && has_data(section) && !section.is_rejected();
            return Ok(is_refused.then(|| not_bundled(section)));
        };
        self.accept_data(negotiation, parameters).await.map(|()| None)
    }

    /// The client may open channels from now on.
    async fn accept_data(
        &self,
        negotiation: &Negotiation,
        parameters: DataParameters,
    ) -> Result<(), RequestError> {
        let transport = negotiation.transport;
        let asked = {
            let mut state = self.state();
            let Some(entry) = state.transports.get_mut(&transport) else { return Ok(()) };
            match &mut entry.dcep {
                Some(known) if known.parameters == parameters => return Ok(()),
                Some(known) => known.parameters = parameters,
                none => *none = Some(Dcep::new(parameters, negotiation.own.setup == Setup::Active)),
            }
            (entry.worker, accept(transport, parameters))
        };
        let (worker, command) = asked;
        let Err(error) = self.node.ask(worker, command).await else { return Ok(()) };
        // The next offer asks again.
        if let Some(entry) = self.state().transports.get_mut(&transport) {
            entry.dcep = None;
        }
        Err(error.into())
    }

    /// The client has closed its section of data channels.
    pub(super) fn end_data(&self, transport: TransportId) {
        let ended: Vec<Object> = {
            let mut state = self.state();
            let Some(entry) = state.transports.get_mut(&transport) else { return };
            entry.dcep = None;
            let consumers = entry.data_consumers.iter().copied().map(Object::DataConsumer);
            consumers.chain(entry.data_producers.iter().copied().map(Object::DataProducer)).collect()
        };
        ended.into_iter().for_each(|object| self.close(object));
    }

    /// After a restart of this process: channels that the client has opened meanwhile are reported again.
    pub(super) fn adopt_data(&self, negotiation: &Negotiation) {
        let line = negotiation.lines.iter().find(|line| line.is_accepted && has_data(&line.section));
        let Some(parameters) = line.and_then(|line| data(&line.section).ok()) else { return };
        let mut state = self.state();
        let Some(entry) = state.transports.get_mut(&negotiation.transport) else { return };
        entry.dcep = Some(Dcep::new(parameters, negotiation.own.setup == Setup::Active));
        self.node.tell(entry.worker, accept(negotiation.transport, parameters));
    }

    /// A client has opened a channel, which becomes a data producer. One that is not permitted is closed.
    pub(in crate::rooms) fn on_channel_opened(
        self: &Arc<Self>,
        transport: TransportId,
        stream: u16,
        channel: DataChannel,
    ) {
        let rooms = self.clone();
        tokio::spawn(async move {
            let produced = rooms.produce_opened(transport, stream, channel).await;
            let Err(error) = produced else { return };
            let state = rooms.state();
            let Some(entry) = state.transports.get(&transport) else { return };
            tracing::debug!(peerId = %entry.peer, transport = %transport, stream, %error, "closing a data channel");
            rooms.node.tell(entry.worker, Command::CloseDataChannel { transport, stream });
        });
    }

    async fn produce_opened(
        &self,
        transport: TransportId,
        stream: u16,
        channel: DataChannel,
    ) -> Result<(), RequestError> {
        let peer = {
            let mut state = self.state();
            if state.has_data_producer_on(transport, stream) {
                // The report was repeated.
                return Ok(());
            }
            let entry = state.transports.get_mut(&transport);
            let entry = entry.and_then(|entry| Some((entry.peer, entry.dcep.as_mut()?)));
            let (peer, dcep) = entry.ok_or_else(no_section)?;
            let taken = dcep.openings.take(Instant::now());
            taken.map_err(|_| RequestError::limit("too many data channels were opened"))?;
            peer
        };
        self.produce_on_opened(peer, transport, stream, channel).await
    }

    /// Opens a channel to a client for each data producer that it may consume and does not yet.
    pub(super) async fn fill_data(&self, peer: PeerId, negotiator: &Negotiator, transport: TransportId) {
        let wanted = self.state().data_to_open(peer, transport);
        for producer in wanted {
            let (transport_id, data_producer_id) = (transport.to_string(), producer.to_string());
            let consume = ConsumeData { transport_id, data_producer_id };
            match self.consume_data_by(peer, consume, true).await {
                // The client learns which channel belongs to which peer.
                Ok(created) => {
                    let mut state = self.state();
                    if let Some(dcep) =
                        state.transports.get_mut(&transport).and_then(|entry| entry.dcep.as_mut())
                    {
                        dcep.failures.remove(&producer);
                    }
                    state.send(peer, created);
                }
                Err(error) => {
                    tracing::debug!(peerId = %peer, %producer, %error, "a data producer cannot be consumed");
                    self.put_off(negotiator, transport, producer, &error);
                }
            }
        }
    }

    /// Consumes a data producer later: also one of another worker, whose copy a fault may have closed meanwhile. One
    /// that fails again and again is left alone.
    fn put_off(
        &self,
        negotiator: &Negotiator,
        transport: TransportId,
        producer: DataProducerId,
        error: &RequestError,
    ) {
        if let Some(pause) = error.retry_after {
            return negotiator.retry_in(pause);
        }
        // A change of these wakes the task.
        if matches!(error.code, ErrorCode::TokenPermission | ErrorCode::Limit) {
            return;
        }
        let mut state = self.state();
        let dcep = state.transports.get_mut(&transport).and_then(|entry| entry.dcep.as_mut());
        if let Some(pause) = dcep.and_then(|dcep| dcep.on_failure(producer)) {
            negotiator.retry_in(pause);
        }
    }
}

impl State {
    /// The data producers of others for which a transport has no channel yet, those of the first peer first.
    fn data_to_open(&mut self, peer: PeerId, transport: TransportId) -> Vec<DataProducerId> {
        let is_permitted = self.peers.get(&peer).is_some_and(|peer| peer.permissions.can_subscribe);
        let available: Vec<_> = if is_permitted { self.data_producers_of_others(peer) } else { Vec::new() };
        let Some(entry) = self.transports.get_mut(&transport) else { return Vec::new() };
        let Some(dcep) = &mut entry.dcep else { return Vec::new() };
        let known: BTreeSet<_> = available.iter().copied().collect();
        dcep.refused.retain(|producer| known.contains(producer));
        dcep.failures.retain(|producer, _| known.contains(producer));
        let consumed = entry.data_consumers.iter();
        let consumed: BTreeSet<_> =
            consumed.filter_map(|id| Some(self.data_consumers.get(id)?.producer)).collect();
        let is_open = |producer: &DataProducerId| consumed.contains(producer) || dcep.gives_up(*producer);
        available.into_iter().filter(|producer| !is_open(producer)).collect()
    }

    /// The commands after a loss of events: channels that clients have opened are reported again.
    pub(in crate::rooms) fn report_channels(&self, worker: Worker) -> Vec<Command> {
        let here = self.transports.iter().filter(|(_, entry)| entry.worker == worker);
        here.filter_map(|(id, entry)| Some(accept(*id, entry.dcep.as_ref()?.parameters))).collect()
    }
}

fn accept(transport: TransportId, parameters: DataParameters) -> Command {
    let DataParameters { port, message_len_max } = parameters;
    Command::AcceptData(AcceptData { transport, port, message_len_max })
}

/// Why a section outside the group is rejected.
pub(super) const NOT_BUNDLED: &str = "the section is not in the BUNDLE group of the first one (RFC 9143); this server has one transport for all";

fn not_bundled(section: &Section) -> RequestError {
    RequestError::new(ErrorCode::UnsupportedCodec, format!("sdp: mid {}: {NOT_BUNDLED}", section.mid))
}

fn no_section() -> RequestError {
    RequestError::new(ErrorCode::WrongState, "the client has no accepted section of data channels")
}
