//! Recovery from snapshots of the engine: after a start of this process, after a start of the engine, and
//! after a loss of events.

use super::app_data::{
    self, ConsumerRecord, KickedRecord, ProducerRecord, RoomRecord, RouterRecord, SubscribersRecord,
    TransportRecord,
};
use super::notification_log::NotificationLog;
use super::object::Object;
use super::peer_quality::PeerQuality;
use super::restrictions::{Kicked, Kinds, Mute, Overrides, Policy, UserHash};
use super::room_key::RoomKey;
use super::session::SessionState;
use super::state::{
    BEFORE_THIS_PROCESS, Consumer, Direction, Media, Peer, PeerId, Producer, Room, Router, State, Transport,
    is_connected,
};
use super::{Rooms, random_id};
use crate::auth::revocations::{Revocation, Revoked};
use crate::auth::session::{TokenId, TokenInfo};
use crate::auth::since_1970;
use crate::media_node::Worker;
use crate::ortc::Produced;
use crate::proto::RtpParameters;
use control::{
    AppData, Closed, Command, ConsumerId, DataProducerId, Kind, ProducerId, RequestId, RouterId,
    SnapshotItem, TransportId,
};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Rooms {
    /// Rebuilds rooms and peers from the objects that a former signaling process left in the engine. Their
    /// peers are away until they resume.
    pub(super) fn take_over(self: &Arc<Self>, worker: Worker, items: Vec<SnapshotItem>) {
        let mut adopted = Adopted::default();
        for item in items {
            match item {
                // Its producer may belong to another worker.
                SnapshotItem::Consumer { .. } | SnapshotItem::DataConsumer { .. } => {
                    if let Media::Settling { late, .. } = &mut self.state().media {
                        late.push((worker, item));
                    }
                }
                _ => self.adopt_or_close(worker, item, &mut adopted),
            }
        }
    }

    /// Ends the take-over: the snapshots of all workers are here.
    pub(super) fn finish_take_over(self: &Arc<Self>) {
        let late = match &mut self.state().media {
            Media::Settling { late, .. } => std::mem::take(late),
            Media::Away | Media::Ready { .. } => Vec::new(),
        };
        for (worker, item) in late {
            self.adopt_or_close(worker, item, &mut Adopted::default());
        }
        let mut guard = self.state();
        let state = &mut *guard;
        for transport in state.transports.values_mut() {
            // The client may remember MIDs of consumers that are closed: continue far above all MIDs that
            // were used.
            transport.next_mid = (transport.next_mid / MID_GAP + 1) * MID_GAP;
        }
        state.piped.retain(|(producer, _)| state.producers.contains_key(producer));
        state.piped_data.retain(|(producer, _)| state.data_producers.contains_key(producer));
        let mut empty = Vec::new();
        state.rooms.retain(|_, room| {
            let is_over = room.peers.is_empty() && room.router.is_some();
            if is_over {
                empty.extend(room.routers());
            }
            !is_over
        });
        for (router, worker) in empty {
            self.node.tell(worker, Command::CloseRouter { router });
        }
        drop(guard);
        self.adopt_negotiations();
    }

    fn adopt_or_close(self: &Arc<Self>, worker: Worker, item: SnapshotItem, adopted: &mut Adopted) {
        let object = Object::from(&item);
        if self.adopt(worker, item, adopted).is_none() {
            let kind = object.kind();
            tracing::warn!(
                worker,
                object = kind,
                "an object in the engine belongs to no room or peer; closing it"
            );
            self.node.tell(worker, object.close_command());
        }
    }

    /// Enters one object in the tables; `None` if its data is invalid or its parent unknown.
    fn adopt(self: &Arc<Self>, worker: Worker, item: SnapshotItem, adopted: &mut Adopted) -> Option<()> {
        match item {
            SnapshotItem::Router { router, app_data } => {
                self.adopt_router(worker, router, &app_data, adopted)
            }
            SnapshotItem::Transport { transport, router, state, app_data } => {
                self.adopt_transport(worker, transport, adopted.rooms.get(&router)?, &app_data, false)?;
                self.state().set_connected(transport, is_connected(&state));
                Some(())
            }
            SnapshotItem::PlainTransport { transport, router, remote, app_data, .. } => {
                self.adopt_transport(worker, transport, adopted.rooms.get(&router)?, &app_data, true)?;
                self.state().set_connected(transport, remote.is_some());
                Some(())
            }
            SnapshotItem::Pipe { transport, router, .. } => {
                adopted.rooms.get(&router)?;
                adopted.pipes.insert(transport);
                Some(())
            }
            // The copy of a producer of another worker, whose snapshot has the original.
            SnapshotItem::Producer { producer, transport, .. } if adopted.pipes.contains(&transport) => {
                self.state().piped.insert((producer, worker));
                Some(())
            }
            SnapshotItem::Producer { producer, transport, kind, paused, app_data } => {
                self.state().adopt_producer(producer, transport, kind, paused, &app_data)
            }
            SnapshotItem::Consumer { consumer, transport, producer, app_data, .. } => {
                self.state().adopt_consumer(consumer, transport, producer, &app_data)
            }
            SnapshotItem::DataProducer { producer, transport, .. } if adopted.pipes.contains(&transport) => {
                self.state().piped_data.insert((producer, worker));
                Some(())
            }
            SnapshotItem::DataProducer { producer, transport, app_data } => {
                self.state().adopt_data_producer(producer, transport, &app_data)
            }
            SnapshotItem::DataConsumer { consumer, transport, producer, app_data } => {
                self.state().adopt_data_consumer(consumer, transport, producer, &app_data)
            }
        }
    }

    fn adopt_router(
        &self,
        worker: Worker,
        id: RouterId,
        app_data: &AppData,
        adopted: &mut Adopted,
    ) -> Option<()> {
        let record: RouterRecord = app_data::unpack(app_data)?;
        let mirror_of = record.mirror_of;
        let key = record.key()?;
        let home = (mirror_of as Worker).checked_sub(1).unwrap_or(worker);
        let mut state = self.state();
        let room = state.rooms.entry(key.clone()).or_default();
        // The snapshot of the home worker may come later. If the router is not in it, it is created there
        // again.
        let router =
            room.router.get_or_insert(Router { id, worker: home, created_by: None, waiting_requests: 0 });
        if (router.id, router.worker) != (id, home) || (worker == home && router.created_by.is_some()) {
            return None;
        }
        if worker == home {
            router.created_by = Some(BEFORE_THIS_PROCESS);
        } else {
            room.mirrors.insert(worker, BEFORE_THIS_PROCESS);
        }
        adopted.rooms.insert(id, key);
        self.node.tell(worker, Command::ClaimRouter { router: id });
        self.observe_audio(worker, id);
        Some(())
    }

    fn adopt_transport(
        self: &Arc<Self>,
        worker: Worker,
        id: TransportId,
        key: &RoomKey,
        app_data: &AppData,
        is_plain: bool,
    ) -> Option<()> {
        let record: TransportRecord = app_data::unpack(app_data)?;
        let mut guard = self.state();
        let state = &mut *guard;
        let room = state.rooms.get_mut(key)?;
        let peer = PeerId(record.peer);
        let permissions = record.permissions();
        if let Some(record) = &record.room {
            room.adopt_record(record);
            self.adopt_kicked(key, record);
        }
        let mute = Mute {
            audio: record.muted_audio,
            video: record.muted_video,
            producers: record.muted_producers.iter().copied().map(ProducerId).collect(),
            later: Kinds { audio: record.muted_later_audio, video: record.muted_later_video },
        };
        let overrides = Overrides {
            admin: record.role,
            can_publish: record.publish_override,
            can_subscribe: record.subscribe_override,
            can_publish_data: record.data_override,
        };
        let subscribers = record.subscribers.iter().map(subscribers).collect();
        if room.peers.insert(peer) {
            let entry = Peer {
                room: key.clone(),
                user: record.user,
                display_name: record.display_name,
                secret_hash: record.secret_hash,
                permissions,
                overrides,
                token: record.token.map(TokenInfo::from),
                metadata: record.metadata,
                mute,
                subscribers,
                socket: None,
                away_since: Instant::now(),
                absences: 0,
                transports: BTreeSet::new(),
                session: SessionState::Negotiating,
                notifications: NotificationLog::new(random_id()),
                former_tokens: VecDeque::new(),
                changes: None,
                mutes: None,
                messages: None,
                quality: PeerQuality::since(Duration::from_millis(record.joined_at_ms)),
                joined: state.joins,
                negotiator: None,
            };
            state.joins += 1;
            state.peers.insert(peer, entry);
            state.join_presence(peer);
            self.expire(peer, 0, self.timeouts.restart);
        } else if let Some(known) = state.peers.get_mut(&peer) {
            // The records differ if a process ended while it changed the permissions: the peer gets what all
            // of them permit.
            known.permissions = known.permissions.clone().and(permissions);
            known.overrides = known.overrides.and(overrides);
            known.mute.audio |= mute.audio;
            known.mute.video |= mute.video;
            known.mute.producers.extend(mute.producers);
            known.mute.later.audio |= mute.later.audio;
            known.mute.later.video |= mute.later.video;
            for (producer, users) in subscribers {
                let permitted = known.subscribers.entry(producer).or_insert_with(|| users.clone());
                permitted.retain(|user| users.contains(user));
            }
        }
        let direction = match (record.sends, record.receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::Send,
            (false, _) => Direction::Recv,
        };
        let mut transport = Transport::new(peer, worker, direction, is_plain);
        transport.created_by = Some(BEFORE_THIS_PROCESS);
        transport.sdp = record.sdp;
        state.insert_transport(id, transport);
        Some(())
    }

    /// Revokes the tokens of peers that the former process removed from a room.
    fn adopt_kicked(&self, room: &RoomKey, record: &RoomRecord) {
        for kicked in &record.kicked {
            let revocation = Revocation {
                project: room.project.clone(),
                of: Revoked::Token(TokenId(kicked.token.clone())),
                until: Duration::from_secs(kicked.until),
            };
            if let Err(error) = self.revocations.add(revocation, since_1970()) {
                tracing::warn!(roomId = %room, %error, "a token of a removed peer is valid again");
            }
        }
    }

    /// Closes all objects of a worker. Clients were notified that their media is lost, and do not use them
    /// any more.
    pub(super) fn clear(&self, worker: Worker, items: &[SnapshotItem]) {
        for item in items {
            if let SnapshotItem::Router { router, .. } = item {
                self.node.tell(worker, Command::CloseRouter { router: *router });
            }
        }
    }

    /// After a loss of events: removes from the tables what the worker does not have any more, and closes
    /// what is not in the tables.
    pub(super) fn reconcile(&self, worker: Worker, request: RequestId, items: &[SnapshotItem]) {
        let objects: HashSet<Object> = items.iter().map(Object::from).collect();
        let mut state = self.state();
        state.want_all_layers(worker);
        for item in items {
            match item {
                SnapshotItem::Transport { transport, state: now, .. } => {
                    state.set_connected(*transport, is_connected(now));
                }
                SnapshotItem::PlainTransport { transport, remote, .. } => {
                    state.set_connected(*transport, remote.is_some());
                }
                _ => {}
            }
        }
        for command in state.report_channels(worker) {
            self.node.tell(worker, command);
        }
        let missing = state.missing(worker, request, &objects);
        // A copy that was created after the snapshot is created again, which changes nothing.
        let exists = |producer: &ProducerId| objects.contains(&Object::Producer(*producer));
        state.piped.retain(|(producer, at)| *at != worker || exists(producer));
        let exists = |producer: &DataProducerId| objects.contains(&Object::DataProducer(*producer));
        state.piped_data.retain(|(producer, at)| *at != worker || exists(producer));
        let routers: HashSet<_> = state.rooms.values().filter_map(|room| Some(room.router?.id)).collect();
        let is_known = |object: &Object| match object {
            Object::Router(id) => routers.contains(id),
            Object::Transport(id) => state.transports.contains_key(id),
            Object::Producer(id) => state.producers.contains_key(id),
            Object::Consumer(id) => state.consumers.contains_key(id),
            Object::DataProducer(id) => state.data_producers.contains_key(id),
            Object::DataConsumer(id) => state.data_consumers.contains_key(id),
        };
        for object in items.iter().map(Object::from).filter(|object| !is_known(object)) {
            self.node.tell(worker, object.close_command());
        }
        drop(state);
        for object in missing {
            self.on_event(worker, object.closed_event(Closed::Requested));
        }
    }
}

impl State {
    fn adopt_producer(
        &mut self,
        producer: ProducerId,
        transport: TransportId,
        kind: Kind,
        paused: bool,
        app_data: &AppData,
    ) -> Option<()> {
        let ProducerRecord { source, rtp_parameters, backup_for } = app_data::unpack(app_data)?;
        let produced = Produced::new(kind, &rtp_parameters?).ok()?;
        let peer = self.transports.get(&transport).filter(|transport| transport.direction.sends())?.peer;
        let first = if backup_for == 0 { producer } else { ProducerId(backup_for) };
        let muted = self.peers.get(&peer).is_some_and(|peer| peer.mute.contains(first, kind));
        let entry = Producer {
            peer,
            transport,
            kind,
            source,
            paused,
            // Whether its client paused it as well is not known: after the end of a mute the client resumes it.
            paused_by_client: paused,
            muted,
            produced,
            consumers: BTreeSet::new(),
            backup_for: Some(ProducerId(backup_for)).filter(|first| first.0 != 0),
            backups_asked: Vec::new(),
            wanted: None,
            created_by: Some(BEFORE_THIS_PROCESS),
        };
        self.insert_producer(producer, entry);
        Some(())
    }

    fn adopt_consumer(
        &mut self,
        consumer: ConsumerId,
        transport: TransportId,
        producer: ProducerId,
        app_data: &AppData,
    ) -> Option<()> {
        let ConsumerRecord { rtp_parameters } = app_data::unpack(app_data)?;
        let parameters = rtp_parameters?;
        if !self.producers.contains_key(&producer) {
            return None;
        }
        let entry = self.transports.get_mut(&transport).filter(|transport| transport.direction.receives())?;
        let ssrcs = ssrcs(&parameters).collect();
        let mid = parameters.mid.and_then(|mid| mid.parse().ok()).unwrap_or(0);
        entry.next_mid = entry.next_mid.max(mid);
        let peer = entry.peer;
        let created_by = Some(BEFORE_THIS_PROCESS);
        self.insert_consumer(
            consumer,
            Consumer { peer, transport, producer, ssrcs, layers: None, created_by },
        );
        Some(())
    }

    /// The objects of a worker that were created before `request` and are not among `objects`, parents first.
    /// An object without an answer so far may be missing in a snapshot.
    fn missing(&self, worker: Worker, request: RequestId, objects: &HashSet<Object>) -> Vec<Object> {
        let is_older = |created_by: Option<RequestId>| created_by.is_some_and(|created| created < request);
        let is_here = |transport: &TransportId| self.worker_of(*transport) == Some(worker);
        let router = |room: &Room| {
            let router = room.router?;
            let at_home = (router.worker == worker).then_some(router.created_by);
            let created_by = at_home.unwrap_or_else(|| room.mirrors.get(&worker).copied());
            is_older(created_by).then_some(Object::Router(router.id))
        };
        let transports = self.transports.iter().filter(|(id, of)| is_here(id) && is_older(of.created_by));
        let producers =
            self.producers.iter().filter(|(_, of)| is_here(&of.transport) && is_older(of.created_by));
        let consumers =
            self.consumers.iter().filter(|(_, of)| is_here(&of.transport) && is_older(of.created_by));
        let data_producers =
            self.data_producers.iter().filter(|(_, of)| is_here(&of.transport) && is_older(of.created_by));
        let data_consumers =
            self.data_consumers.iter().filter(|(_, of)| is_here(&of.transport) && is_older(of.created_by));
        let expected = self.rooms.values().filter_map(router);
        let expected = expected
            .chain(transports.map(|(id, _)| Object::Transport(*id)))
            .chain(producers.map(|(id, _)| Object::Producer(*id)))
            .chain(consumers.map(|(id, _)| Object::Consumer(*id)))
            .chain(data_producers.map(|(id, _)| Object::DataProducer(*id)))
            .chain(data_consumers.map(|(id, _)| Object::DataConsumer(*id)));
        expected.filter(|object| !objects.contains(object)).collect()
    }
}

impl Room {
    /// Of several records, the one of the last change counts. Two processes never write at the same time.
    fn adopt_record(&mut self, record: &RoomRecord) {
        if let Some(policy) = record.policy.clone().map(Policy::from)
            && (policy.revision > self.policy.revision)
        {
            self.policy = policy;
        }
        if record.kicked.len() > self.kicked.len() {
            let kicked =
                |kicked: &KickedRecord| Kicked { token: TokenId(kicked.token.clone()), until: kicked.until };
            self.kicked = record.kicked.iter().map(kicked).collect();
        }
    }
}

fn subscribers(record: &SubscribersRecord) -> (ProducerId, BTreeSet<UserHash>) {
    let user = |bytes: &Vec<u8>| Some(UserHash(bytes.as_slice().try_into().ok()?));
    (ProducerId(record.producer), record.users.iter().filter_map(user).collect())
}

/// The objects of one worker that were adopted so far.
#[derive(Default)]
struct Adopted {
    /// The room of each router. A table, because there may be 10 000 rooms, and each transport is looked up.
    rooms: HashMap<RouterId, RoomKey>,
    /// Producers and data producers on these transports are copies from another worker.
    pipes: HashSet<TransportId>,
}

/// Distance between the MIDs of a transport before and after a take-over. No call opens as many consumers
/// between two restarts.
const MID_GAP: u32 = 10_000;

fn ssrcs(parameters: &RtpParameters) -> impl Iterator<Item = u32> {
    parameters
        .encodings
        .iter()
        .flat_map(|encoding| encoding.ssrc.into_iter().chain(encoding.rtx.as_ref().map(|rtx| rtx.ssrc)))
}
