//! How a new process finds its way back from the engine's snapshots, and how lost news are made up for.

use super::Rooms;
use super::app_data::{self, ConsumerRecord, ProducerRecord, RouterRecord, TransportRecord};
use super::state::{BEFORE_THIS_PROCESS, Consumer, Media, Peer, PeerId, Producer, Room, Router};
use super::transports::new_transport;
use crate::auth::token::Permissions;
use crate::engine::Worker;
use crate::ortc::Produced;
use crate::proto::RtpParameters;
use control::{Closed, Command, Event, ProducerId, RequestId, RouterId, SnapshotItem, TransportId};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

impl Rooms {
    /// Rebuilds rooms and peers from what a predecessor left in the engine. Whoever it was for is away until it comes back.
    pub(super) fn take_over(self: &Arc<Self>, worker: Worker, items: Vec<SnapshotItem>) {
        let mut known = Known::default();
        for item in items {
            match item {
                // Its producer may be another worker's.
                SnapshotItem::Consumer { .. } => {
                    if let Media::Settling { late, .. } = &mut self.state().media {
                        late.push((worker, item));
                    }
                }
                _ => self.adopt_or_close(worker, item, &mut known),
            }
        }
    }

    /// All workers have told what they hold.
    pub(super) fn finish_take_over(self: &Arc<Self>) {
        let late = match &mut self.state().media {
            Media::Settling { late, .. } => std::mem::take(late),
            Media::Away | Media::Ready { .. } => Vec::new(),
        };
        for (worker, item) in late {
            self.adopt_or_close(worker, item, &mut Known::default());
        }
        let mut guard = self.state();
        let state = &mut *guard;
        for transport in state.transports.values_mut() {
            // The client may remember MIDs of consumers that are closed by now; so begin far above all it can have seen.
            transport.next_mid = (transport.next_mid / MID_GAP + 1) * MID_GAP;
        }
        state.piped.retain(|(producer, _)| state.producers.contains_key(producer));
        let mut empty = Vec::new();
        state.rooms.retain(|_, room| {
            let is_over = room.peers.is_empty() && room.router.is_some();
            if is_over {
                empty.extend(room.routers());
            }
            !is_over
        });
        for (router, worker) in empty {
            self.engine.tell(worker, Command::CloseRouter { router });
        }
    }

    fn adopt_or_close(self: &Arc<Self>, worker: Worker, item: SnapshotItem, known: &mut Known) {
        let (what, close) = match &item {
            SnapshotItem::Router { router, .. } => ("router", Command::CloseRouter { router: *router }),
            SnapshotItem::Transport { transport, .. }
            | SnapshotItem::PlainTransport { transport, .. }
            | SnapshotItem::Pipe { transport, .. } => {
                ("transport", Command::CloseTransport { transport: *transport })
            }
            SnapshotItem::Producer { producer, .. } => {
                ("producer", Command::CloseProducer { producer: *producer })
            }
            SnapshotItem::Consumer { consumer, .. } => {
                ("consumer", Command::CloseConsumer { consumer: *consumer })
            }
        };
        if self.adopt(worker, item, known).is_none() {
            tracing::warn!(worker, object = what, "an object in the engine belongs to nobody; closing it");
            self.engine.tell(worker, close);
        }
    }

    /// Enters one object into the tables; `None` if it makes no sense.
    fn adopt(self: &Arc<Self>, worker: Worker, item: SnapshotItem, known: &mut Known) -> Option<()> {
        let Known { rooms, pipes } = known;
        match item {
            SnapshotItem::Router { router: id, app_data } => {
                let RouterRecord { room: name, mirror_of } = app_data::unpack(&app_data)?;
                if name.is_empty() {
                    return None;
                }
                let home = (mirror_of as Worker).checked_sub(1).unwrap_or(worker);
                let mut state = self.state();
                let room = state.rooms.entry(name.clone()).or_default();
                // Home may tell of it later, or not any more: then it is made there again.
                let router =
                    room.router.get_or_insert(Router { id, worker: home, made: None, waiting_requests: 0 });
                if (router.id, router.worker) != (id, home) || (worker == home && router.made.is_some()) {
                    return None;
                }
                if worker == home {
                    router.made = Some(BEFORE_THIS_PROCESS);
                } else {
                    room.mirrors.insert(worker, BEFORE_THIS_PROCESS);
                }
                rooms.insert(id, name);
                self.engine.tell(worker, Command::ClaimRouter { router: id });
                self.observe_audio(worker, id);
                Some(())
            }
            SnapshotItem::Transport { transport, router, app_data, .. } => self.adopt_transport(
                worker,
                transport,
                rooms.get(&router)?,
                app_data::unpack(&app_data)?,
                false,
            ),
            SnapshotItem::PlainTransport { transport, router, app_data, .. } => self.adopt_transport(
                worker,
                transport,
                rooms.get(&router)?,
                app_data::unpack(&app_data)?,
                true,
            ),
            SnapshotItem::Pipe { transport, router, .. } => {
                rooms.get(&router)?;
                pipes.insert(transport);
                Some(())
            }
            // One of another worker, which tells of it itself.
            SnapshotItem::Producer { producer, transport, .. } if pipes.contains(&transport) => {
                self.state().piped.insert((producer, worker));
                Some(())
            }
            SnapshotItem::Producer { producer, transport, kind, paused, app_data } => {
                let ProducerRecord { source, rtp_parameters, backup_for } = app_data::unpack(&app_data)?;
                let produced = Produced::new(kind, &rtp_parameters?).ok()?;
                let mut state = self.state();
                let peer = state.transports.get(&transport).filter(|transport| transport.sends)?.peer;
                let consumers = BTreeSet::new();
                let entry = Producer {
                    peer,
                    transport,
                    kind,
                    source,
                    paused,
                    produced,
                    consumers,
                    backup_for: Some(ProducerId(backup_for)).filter(|first| first.0 != 0),
                    backups_asked: Vec::new(),
                    wanted: None,
                    made: Some(BEFORE_THIS_PROCESS),
                };
                state.insert_producer(producer, entry);
                Some(())
            }
            SnapshotItem::Consumer { consumer, transport, producer, app_data, .. } => {
                let ConsumerRecord { rtp_parameters } = app_data::unpack(&app_data)?;
                let parameters = rtp_parameters?;
                let mut state = self.state();
                if !state.producers.contains_key(&producer) {
                    return None;
                }
                let entry = state.transports.get_mut(&transport).filter(|transport| !transport.sends)?;
                let ssrcs = ssrcs(&parameters).collect();
                let mid = parameters.mid.and_then(|mid| mid.parse().ok()).unwrap_or(0);
                entry.next_mid = entry.next_mid.max(mid);
                let peer = entry.peer;
                let (layers, made) = (None, Some(BEFORE_THIS_PROCESS));
                state.insert_consumer(consumer, Consumer { peer, transport, producer, ssrcs, layers, made });
                Some(())
            }
        }
    }

    fn adopt_transport(
        self: &Arc<Self>,
        worker: Worker,
        id: TransportId,
        name: &str,
        held: TransportRecord,
        is_plain: bool,
    ) -> Option<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        let room = state.rooms.get_mut(name)?;
        let peer = PeerId(held.peer);
        let permissions = Permissions {
            can_publish: held.can_publish,
            can_subscribe: held.can_subscribe,
            can_use_plain_transports: held.can_use_plain_transports,
        };
        if room.peers.insert(peer) {
            let entry = Peer {
                room: name.to_owned(),
                user: held.user,
                display_name: held.display_name,
                secret_hash: held.secret_hash,
                permissions,
                socket: None,
                away_since: Instant::now(),
                absences: 0,
                transports: BTreeSet::new(),
            };
            state.peers.insert(peer, entry);
            self.expire(peer, 0, self.timeouts.restart);
        } else if let Some(known) = state.peers.get_mut(&peer) {
            // A process that died while it changed them has left two answers: the peer may do what both permit.
            known.permissions = known.permissions.and(permissions);
        }
        let mut transport = new_transport(peer, worker, held.sends, is_plain);
        transport.made = Some(BEFORE_THIS_PROCESS);
        state.insert_transport(id, transport);
        Some(())
    }

    /// Closes everything: clients were told that it is lost, and have let go of it.
    pub(super) fn clear(&self, worker: Worker, items: &[SnapshotItem]) {
        for item in items {
            if let SnapshotItem::Router { router, .. } = item {
                self.engine.tell(worker, Command::CloseRouter { router: *router });
            }
        }
    }

    /// After news was lost: forgets what the worker no longer holds, and closes there what nobody here knows.
    pub(super) fn reconcile(&self, worker: Worker, request: RequestId, items: &[SnapshotItem]) {
        let mut routers = HashSet::new();
        let mut transports = HashSet::new();
        let mut producers = HashSet::new();
        let mut consumers = HashSet::new();
        for item in items {
            match item {
                SnapshotItem::Router { router, .. } => _ = routers.insert(*router),
                SnapshotItem::Transport { transport, .. }
                | SnapshotItem::PlainTransport { transport, .. }
                | SnapshotItem::Pipe { transport, .. } => {
                    _ = transports.insert(*transport);
                }
                SnapshotItem::Producer { producer, .. } => _ = producers.insert(*producer),
                SnapshotItem::Consumer { consumer, .. } => _ = consumers.insert(*consumer),
            }
        }
        let mut state = self.state();
        state.want_all_layers(worker);
        // What was asked for after the snapshot is not in it, and what is unanswered may not be.
        let expected = |made: Option<RequestId>| made.is_some_and(|made| made < request);
        let here = |transport: &TransportId| state.worker_of(*transport) == Some(worker);
        let router_here = |room: &Room| {
            let router = room.router?;
            let at_home = (router.worker == worker).then_some(router.made);
            let made = at_home.unwrap_or_else(|| room.mirrors.get(&worker).copied());
            (expected(made) && !routers.contains(&router.id)).then_some(router.id)
        };
        let lost_routers: Vec<_> = state.rooms.values().filter_map(router_here).collect();
        let gone =
            |id: &TransportId| here(id) && expected(state.transports[id].made) && !transports.contains(id);
        let lost_transports: Vec<_> = state.transports.keys().copied().filter(gone).collect();
        let lost_producers: Vec<_> = state
            .producers
            .iter()
            .filter(|(id, producer)| {
                here(&producer.transport) && expected(producer.made) && !producers.contains(id)
            })
            .map(|(id, _)| *id)
            .collect();
        let lost_consumers: Vec<_> = state
            .consumers
            .iter()
            .filter(|(id, consumer)| {
                here(&consumer.transport) && expected(consumer.made) && !consumers.contains(id)
            })
            .map(|(id, _)| *id)
            .collect();
        // One that was made since is made again, which does no harm.
        state.piped.retain(|(producer, at)| *at != worker || producers.contains(producer));
        let known_routers: HashSet<_> =
            state.rooms.values().filter_map(|room| room.router).map(|router| router.id).collect();
        for router in routers.difference(&known_routers).copied() {
            self.engine.tell(worker, Command::CloseRouter { router });
        }
        for transport in transports.iter().copied().filter(|id| !state.transports.contains_key(id)) {
            self.engine.tell(worker, Command::CloseTransport { transport });
        }
        for producer in producers.iter().copied().filter(|id| !state.producers.contains_key(id)) {
            self.engine.tell(worker, Command::CloseProducer { producer });
        }
        for consumer in consumers.iter().copied().filter(|id| !state.consumers.contains_key(id)) {
            self.engine.tell(worker, Command::CloseConsumer { consumer });
        }
        drop(state);
        let closed = Closed::Requested;
        lost_routers
            .into_iter()
            .for_each(|router| self.on_event(worker, Event::RouterClosed { router, closed }));
        lost_transports
            .into_iter()
            .for_each(|transport| self.on_event(worker, Event::TransportClosed { transport, closed }));
        lost_producers
            .into_iter()
            .for_each(|producer| self.on_event(worker, Event::ProducerClosed { producer, closed }));
        lost_consumers
            .into_iter()
            .for_each(|consumer| self.on_event(worker, Event::ConsumerClosed { consumer, closed }));
    }
}

/// What a worker has told of itself so far.
#[derive(Default)]
struct Known {
    /// Whose router is whose: there may be 10 000 rooms, and each transport asks.
    rooms: HashMap<RouterId, String>,
    /// What is on these comes from another worker.
    pipes: HashSet<TransportId>,
}

/// MIDs of one transport's consumers before a takeover: no call closes and opens as many between two restarts.
const MID_GAP: u32 = 10_000;

fn ssrcs(parameters: &RtpParameters) -> impl Iterator<Item = u32> {
    parameters
        .encodings
        .iter()
        .flat_map(|encoding| encoding.ssrc.into_iter().chain(encoding.rtx.as_ref().map(|rtx| rtx.ssrc)))
}
