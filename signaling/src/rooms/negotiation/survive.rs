//! Negotiations outlive the signaling process, as their media does.

use crate::limits;
use crate::rooms::Rooms;
use crate::rooms::negotiator::{Negotiation, Negotiator, Plan};
use crate::rooms::object::Object;
use crate::rooms::sdp_record::{Exists, SdpRecord};
use crate::rooms::state::PeerId;
use crate::sdp::play;
use control::TransportId;
use prost::Message;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

impl Rooms {
    /// Stores a negotiation with its transport.
    pub(super) fn store_negotiation(&self, plan: &Plan, negotiation: &Negotiation) {
        let record = SdpRecord::new(plan, negotiation, |line| {
            Some(play(&line.section, line.kind?, &self.media)?.media)
        });
        let record = Some(record).filter(|record| record.encoded_len() <= limits::SDP_RECORD_BYTES_MAX);
        if record.is_none() {
            tracing::warn!(transport = %negotiation.transport, "a negotiation is too long to be stored");
        }
        let mut state = self.state();
        let Some(transport) = state.transports.get_mut(&negotiation.transport) else { return };
        if transport.sdp == record {
            return;
        }
        transport.sdp = record;
        if let Some((worker, command)) = crate::rooms::transports::update(&state, negotiation.transport) {
            self.node.tell(worker, command);
        }
    }

    /// Continues the negotiations of a former process. Clients of HTTP are back at once, because they have no
    /// connection that could be lost; others when they resume.
    pub(in crate::rooms) fn adopt_negotiations(self: &Arc<Self>) {
        let found: Vec<(TransportId, PeerId, SdpRecord)> = {
            let mut state = self.state();
            let stored = state.transports.iter_mut();
            stored.filter_map(|(id, of)| Some((*id, of.peer, of.sdp.clone()?))).collect()
        };
        for (transport, peer, record) in found {
            let Some(plan) = record.plan() else { continue };
            let negotiation = {
                let state = self.state();
                record.negotiation(
                    transport,
                    Exists {
                        producer: &|id| state.producers.contains_key(&id),
                        consumer: &|id| state.consumers.contains_key(&id),
                    },
                )
            };
            let Some(negotiation) = negotiation else {
                tracing::warn!(peerId = %peer, "the stored negotiation of a client cannot be read; closing its transport");
                self.close(Object::Transport(transport));
                continue;
            };
            self.close_unlisted(&negotiation);
            self.adopt_data(&negotiation);
            let negotiator = Negotiator::new(plan.clone());
            // Nothing else has this lock yet.
            if let Ok(mut current) = negotiator.current.try_lock() {
                *current = Some(negotiation);
            }
            let mut state = self.state();
            let Some(entry) = state.peers.get_mut(&peer) else { continue };
            entry.negotiator = Some(negotiator.clone());
            drop(state);
            if plan == Plan::Everything {
                self.follow_room(peer, negotiator);
                continue;
            }
            let (connection, queue) = self.connect(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            let mut state = self.state();
            if let Some(entry) = state.peers.get_mut(&peer) {
                entry.socket = Some((connection.id, connection.outbox.clone()));
                state.connections.insert(connection.id, Some(peer));
                state.set_presence_connected(peer, true);
            }
            drop(state);
            negotiator.wake();
            let permit = self.resources.clone().try_acquire_owned().ok();
            self.follow_resource(peer, negotiator, connection, queue, permit);
        }
    }

    /// Closes objects that were created by the former process and are on no section.
    fn close_unlisted(&self, negotiation: &Negotiation) {
        let unlisted: Vec<Object> = {
            let state = self.state();
            let Some(transport) = state.transports.get(&negotiation.transport) else { return };
            let lines = &negotiation.lines;
            let is_played =
                |id| lines.iter().any(|line| line.play.as_ref().is_some_and(|play| play.consumer == id));
            let is_published = |id| {
                lines.iter().any(|line| line.publish.as_ref().is_some_and(|publish| publish.producer == id))
            };
            let consumers =
                transport.consumers.iter().copied().filter(|id| !is_played(*id)).map(Object::Consumer);
            let producers =
                transport.producers.iter().copied().filter(|id| !is_published(*id)).map(Object::Producer);
            consumers.chain(producers).collect()
        };
        unlisted.into_iter().for_each(|object| self.close(object));
    }
}
