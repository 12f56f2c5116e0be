//! Events of the media node: it is attached or lost, and what it reports about its objects.

use super::Rooms;
use super::state::{Media, PeerId, Room, State, consumer_closed, is_connected};
use crate::media_node::{NodeEvent, Worker};
use crate::proto::{self, MediaLost, MediaReady, signal::Payload};
use control::{Closed, Event, ProducerId, RequestId, RouterId, SnapshotItem, TransportId};
use std::sync::Arc;
use tokio::sync::mpsc;

impl Rooms {
    /// Handles the events of the media node until their sender is dropped.
    pub async fn follow(self: Arc<Self>, mut events: mpsc::Receiver<NodeEvent>) {
        // Before the first loss, clients still use the objects that the engine has.
        let mut was_lost = false;
        while let Some(event) = events.recv().await {
            match event {
                NodeEvent::Attached { epoch, workers } => self.on_attached(epoch, workers),
                NodeEvent::Snapshot { worker, request, items } => {
                    self.on_snapshot(worker, request, items, was_lost)
                }
                NodeEvent::Event {
                    event: Event::DataChannelOpened { transport, stream, channel }, ..
                } => {
                    self.on_channel_opened(transport, stream, channel);
                }
                NodeEvent::Event { worker, event } => self.on_event(worker, event),
                NodeEvent::Lost { reason } => {
                    was_lost = true;
                    self.on_lost(reason);
                }
            }
        }
    }

    fn on_attached(&self, epoch: u64, workers: usize) {
        tracing::info!(engineEpoch = %format_args!("{epoch:016x}"), workers, "attached to the media engine");
        self.state().media = Media::Settling {
            epoch,
            load: vec![0; workers],
            awaited: (0..workers).collect(),
            late: Vec::new(),
        };
    }

    fn on_lost(&self, reason: String) {
        tracing::warn!(error = %reason, "the media engine is lost");
        let mut state = self.state();
        state.lose_media();
        state.broadcast_all(Payload::MediaLost(MediaLost {
            reason: "the media engine is gone; waiting for another".into(),
        }));
        // A client that misses this one resumes objects of a former engine: it needs a snapshot.
        state.forget_notifications();
    }

    fn on_snapshot(
        self: &Arc<Self>,
        worker: Worker,
        request: RequestId,
        items: Vec<SnapshotItem>,
        was_lost: bool,
    ) {
        let is_first = match &mut self.state().media {
            Media::Settling { awaited, .. } => awaited.remove(&worker),
            Media::Away | Media::Ready { .. } => false,
        };
        match (is_first, was_lost) {
            (true, false) => self.take_over(worker, items),
            (true, true) => self.clear(worker, &items),
            (false, _) => self.reconcile(worker, request, &items),
        }
        let is_last = matches!(&self.state().media, Media::Settling { awaited, .. } if awaited.is_empty());
        if is_last {
            self.finish_take_over();
        }
        let mut state = self.state();
        if let Media::Settling { epoch, load, awaited, .. } = &mut state.media
            && awaited.is_empty()
        {
            let (epoch, load) = (*epoch, std::mem::take(load));
            state.media = Media::Ready { epoch, load };
            let engine_epoch = state.media.epoch_text();
            tracing::info!(engineEpoch = %engine_epoch, rooms = state.rooms.len(), peers = state.peers.len(), "media is ready");
            state.broadcast_all(Payload::MediaReady(MediaReady { engine_epoch }));
            self.settled.send_replace(true);
        }
    }

    /// Handles an event of one object. An object that is not in the tables was closed by this process, and
    /// all clients know.
    pub(super) fn on_event(&self, worker: Worker, event: Event) {
        let mut state = self.state();
        match event {
            Event::TransportState { transport, state: now } => {
                let peer = state.transports.get(&transport).map(|transport| transport.peer);
                let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
                tracing::debug!(peerId = %peer, transport = %transport, ice = ?now.ice, dtls = ?now.dtls, "a transport changed");
                state.set_connected(transport, is_connected(&now));
            }
            Event::TransportClosed { transport, closed } => {
                state.on_transport_closed(worker, transport, closed);
            }
            Event::ProducerClosed { producer, closed } => {
                state.on_producer_closed(worker, producer, closed);
            }
            Event::ConsumerClosed { consumer, closed } => {
                let Some(removed) = state.remove_consumer(consumer) else { return };
                state.send(removed.peer, consumer_closed(consumer));
                // A fault of this worker has closed a copy. Its producer is on another worker, and can be
                // consumed again.
                let producing = state.producers.get(&removed.producer);
                let is_copy = producing.is_some_and(|of| state.worker_of(of.transport) != Some(worker));
                if closed == Closed::Fault && is_copy {
                    // The copy may be closed as well, and the event for it comes after this one: a client that
                    // consumes at once must get a new copy.
                    state.piped.remove(&(removed.producer, worker));
                    state.announce_again(removed.peer, removed.producer);
                }
            }
            Event::RouterClosed { router, closed } => state.on_router_closed(worker, router, closed),
            Event::Speakers { router, dominant, volumes } => {
                state.on_speakers(worker, router, dominant, &volumes)
            }
            Event::Score { of, score } => state.on_score(of, score),
            Event::LayersChanged { consumer, layers } => state.on_layers_changed(consumer, layers),
            Event::LayersWanted { producer, spatial } => state.on_layers_wanted(producer, spatial),
            Event::PlainTransportTuple { transport, remote, rtcp_remote } => {
                state.on_plain_tuple(transport, remote, rtcp_remote)
            }
            Event::DataProducerClosed { producer, .. } => state.on_data_producer_closed(worker, producer),
            Event::DataConsumerClosed { consumer, closed } => {
                state.on_data_consumer_closed(worker, consumer, closed);
            }
            // Answers and snapshots do not arrive here.
            _ => {}
        }
    }
}

impl State {
    fn on_transport_closed(&mut self, worker: Worker, transport: TransportId, closed: Closed) {
        // Of another worker: a pipe, whose copies are closed with it.
        if self.worker_of(transport) != Some(worker) {
            return;
        }
        let Some(removed) = self.remove_transport(transport) else { return };
        tracing::info!(peerId = %removed.peer, transport = %transport, reason = ?closed, "the engine closed a transport");
        self.send(removed.peer, transport_closed(transport, closed));
    }

    fn on_producer_closed(&mut self, worker: Worker, producer: ProducerId, closed: Closed) {
        let transport = self.producers.get(&producer).map(|of| of.transport);
        let is_elsewhere = transport.is_some_and(|transport| self.worker_of(transport) != Some(worker));
        // A copy.
        if self.piped.remove(&(producer, worker)) || is_elsewhere {
            return;
        }
        let Some(removed) = self.remove_producer(producer) else { return };
        tracing::info!(peerId = %removed.peer, producer = %producer, reason = ?closed, "the engine closed a producer");
        self.send(removed.peer, producer_closed(removed.peer, producer));
    }

    fn on_router_closed(&mut self, worker: Worker, router: RouterId, closed: Closed) {
        let is_of = |room: &Room| room.router.is_some_and(|known| known.id == router);
        let Some((name, room)) = self.rooms.iter_mut().find(|(_, room)| is_of(room)) else { return };
        tracing::warn!(roomId = %name, reason = ?closed, "the engine closed a room's router");
        let is_home = room.router.is_some_and(|router| router.worker == worker);
        match &mut room.router {
            Some(router) if is_home && !room.mirrors.is_empty() => router.created_by = None,
            router if is_home => *router = None,
            _ => _ = room.mirrors.remove(&worker),
        }
        let peers: Vec<_> = room.peers.iter().copied().collect();
        // The copies of the room's producers were closed with the router, whether or not the engine reported
        // each.
        let tracks: Vec<_> = peers.iter().flat_map(|peer| self.producers_of(*peer)).collect();
        tracks.into_iter().for_each(|track| _ = self.piped.remove(&(track, worker)));
        let data: Vec<_> =
            peers.iter().flat_map(|peer| self.data_producers_of(*peer)).map(|(id, _)| id).collect();
        data.into_iter().for_each(|id| _ = self.piped_data.remove(&(id, worker)));
        for peer in peers {
            let transports: Vec<_> = self
                .peers
                .get(&peer)
                .into_iter()
                .flat_map(|peer| peer.transports.iter().copied())
                .filter(|transport| self.worker_of(*transport) == Some(worker))
                .collect();
            for transport in transports {
                self.remove_transport(transport);
                self.send(peer, transport_closed(transport, closed));
            }
        }
    }
}

fn transport_closed(transport: TransportId, closed: Closed) -> Payload {
    Payload::TransportClosed(proto::TransportClosed {
        transport_id: transport.to_string(),
        reason: reason(closed).into(),
    })
}

fn producer_closed(peer: PeerId, producer: ProducerId) -> Payload {
    Payload::ProducerClosed(proto::ProducerClosed {
        peer_id: peer.to_string(),
        producer_id: producer.to_string(),
    })
}

/// Why an object was closed, for people.
fn reason(closed: Closed) -> &'static str {
    match closed {
        Closed::Requested => "it was closed in the media engine",
        Closed::ConsentLost => "the client stopped answering (RFC 7675)",
        Closed::NeverConnected => "the client never connected",
        Closed::DtlsFailed => "the DTLS handshake failed",
        Closed::PeerClosed => "the client closed its DTLS session",
        Closed::KeysUsedUp => "its keys have protected the maximum number of streams",
        Closed::Abandoned => "no signaling process claimed the room in time after a restart",
        Closed::DataFailed => "the client ended its data channels, or broke their protocol",
        Closed::Fault => "the media engine had an internal error; connect again",
    }
}
