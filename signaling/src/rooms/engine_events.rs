//! What the engine tells: attached, lost, closed; and how a new process finds its way back from snapshots.

use super::Rooms;
use super::state::{Media, PeerId, consumer_closed};
use crate::engine::{NodeEvent, Worker};
use crate::proto::{self, MediaLost, MediaReady, signal::Payload};
use control::{Closed, Event, ProducerId, RequestId, SnapshotItem};
use std::sync::Arc;
use tokio::sync::mpsc;

impl Rooms {
    /// Follows the engine's news until they end.
    pub async fn follow(self: Arc<Self>, mut news: mpsc::Receiver<NodeEvent>) {
        // Objects of an engine that this process has never called lost are still in use by clients.
        let mut has_lost = false;
        while let Some(news) = news.recv().await {
            match news {
                NodeEvent::Attached { epoch, workers } => self.on_attached(epoch, workers),
                NodeEvent::Snapshot { worker, request, items } => {
                    self.on_snapshot(worker, request, items, has_lost)
                }
                NodeEvent::Event { worker, event } => self.on_event(worker, event),
                NodeEvent::Lost { reason } => {
                    has_lost = true;
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
    }

    fn on_snapshot(
        self: &Arc<Self>,
        worker: Worker,
        request: RequestId,
        items: Vec<SnapshotItem>,
        has_lost: bool,
    ) {
        let is_first = match &mut self.state().media {
            Media::Settling { awaited, .. } => awaited.remove(&worker),
            Media::Away | Media::Ready { .. } => false,
        };
        match (is_first, has_lost) {
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

    /// NodeEvent of one object. What is not in the tables any more was closed from here, and everybody knows.
    pub(super) fn on_event(&self, worker: Worker, event: Event) {
        let mut state = self.state();
        match event {
            Event::TransportState { transport, state: now } => {
                let peer = state.transports.get(&transport).map(|transport| transport.peer);
                let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
                tracing::debug!(peerId = %peer, transport = %transport, ice = ?now.ice, dtls = ?now.dtls, "a transport changed");
            }
            // A pipe: with it close the copies that it brought.
            Event::TransportClosed { transport, .. } if state.worker_of(transport) != Some(worker) => {}
            Event::TransportClosed { transport, closed } => {
                let Some(removed) = state.remove_transport(transport) else { return };
                tracing::info!(peerId = %removed.peer, transport = %transport, reason = ?closed, "the engine closed a transport");
                let closed = proto::TransportClosed {
                    transport_id: transport.to_string(),
                    reason: sentence(closed).into(),
                };
                state.send(removed.peer, Payload::TransportClosed(closed));
            }
            Event::ProducerClosed { producer, .. } if state.piped.remove(&(producer, worker)) => {}
            Event::ProducerClosed { producer, closed } => {
                let Some(removed) = state.remove_producer(producer) else { return };
                tracing::info!(peerId = %removed.peer, producer = %producer, reason = ?closed, "the engine closed a producer");
                state.send(removed.peer, producer_closed(removed.peer, producer));
            }
            Event::ConsumerClosed { consumer, closed } => {
                let Some(removed) = state.remove_consumer(consumer) else { return };
                state.send(removed.peer, consumer_closed(consumer));
                // With a fault of this worker a copy has closed. Its producer is on another worker, and can be consumed again.
                let producing = state.producers.get(&removed.producer);
                let is_copy = producing.is_some_and(|of| state.worker_of(of.transport) != Some(worker));
                if closed == Closed::Fault && is_copy {
                    state.announce_again(removed.peer, removed.producer);
                }
            }
            Event::RouterClosed { router, closed } => {
                let room = state
                    .rooms
                    .iter_mut()
                    .find(|(_, room)| room.router.is_some_and(|known| known.id == router));
                let Some((name, room)) = room else { return };
                tracing::warn!(roomId = %name, reason = ?closed, "the engine closed a room's router");
                let is_home = room.router.is_some_and(|router| router.worker == worker);
                match &mut room.router {
                    Some(router) if is_home && !room.mirrors.is_empty() => router.made = None,
                    router if is_home => *router = None,
                    _ => _ = room.mirrors.remove(&worker),
                }
                let peers: Vec<_> = room.peers.iter().copied().collect();
                // Copies of the room's tracks closed with the router, whether or not the engine still reported each.
                let tracks: Vec<_> = peers.iter().flat_map(|peer| state.producers_of(*peer)).collect();
                tracks.into_iter().for_each(|track| _ = state.piped.remove(&(track, worker)));
                for peer in peers {
                    let transports: Vec<_> = state
                        .peers
                        .get(&peer)
                        .into_iter()
                        .flat_map(|peer| peer.transports.iter().copied())
                        .filter(|transport| state.worker_of(*transport) == Some(worker))
                        .collect();
                    for transport in transports {
                        state.remove_transport(transport);
                        let closed = proto::TransportClosed {
                            transport_id: transport.to_string(),
                            reason: sentence(closed).into(),
                        };
                        state.send(peer, Payload::TransportClosed(closed));
                    }
                }
            }
            Event::Speakers { router, dominant, volumes } => {
                state.on_speakers(worker, router, dominant, &volumes)
            }
            Event::Score { of, score } => state.on_score(of, score),
            Event::LayersChanged { consumer, layers } => state.on_layers_changed(consumer, layers),
            Event::LayersWanted { producer, spatial } => state.on_layers_wanted(producer, spatial),
            Event::PlainTransportTuple { transport, remote, rtcp_remote } => {
                state.on_plain_tuple(transport, remote, rtcp_remote)
            }
            // Answers and snapshots never come this way.
            _ => {}
        }
    }
}

fn producer_closed(peer: PeerId, producer: ProducerId) -> Payload {
    Payload::ProducerClosed(proto::ProducerClosed {
        peer_id: peer.to_string(),
        producer_id: producer.to_string(),
    })
}

/// Why something closed, for people.
fn sentence(closed: Closed) -> &'static str {
    match closed {
        Closed::Requested => "it was closed in the media engine",
        Closed::ConsentLost => "the client stopped answering (RFC 7675)",
        Closed::NeverConnected => "the client never connected",
        Closed::DtlsFailed => "the DTLS handshake failed",
        Closed::PeerClosed => "the client closed its DTLS session",
        Closed::KeysUsedUp => "its keys have protected as many streams as they may",
        Closed::Abandoned => "nobody claimed the room in time after a restart",
        Closed::Fault => "the media engine had an internal error; connect again",
    }
}
