//! The tables of rooms, peers and their objects: plain data.
//!
//! All of it is guarded by one lock, and nothing here waits: a message to a client is put into its outbox.
//! The commands for the media node are the caller's task.

use super::app_data::DataProducerRecord;
use super::dcep::Dcep;
use super::negotiator::Negotiator;
use super::notification_log::NotificationLog;
use super::observer::Observer;
use super::outbox::{ConnectionId, Outbox};
use super::peer_quality::PeerQuality;
use super::restrictions::{Kicked, Kinds, Mute, Overrides, Policy, UserHash, WaitingClient};
use super::room_key::RoomKey;
use super::sdp_record::SdpRecord;
use super::session::{SessionEvent, SessionState};
use crate::auth::session::TokenInfo;
use crate::auth::token::Permissions;
use crate::limits;
use crate::media_node::Worker;
use crate::ortc::{self, Produced};
use crate::presence::Board;
use crate::proto::{self, ProducerInfo, signal::Payload};
use crate::protocol::{Request, encode};
use crate::request_error::RequestError;
use crate::token_bucket::TokenBucket;
use bytes::Bytes;
use control::{
    Codec, ConsumerId, DataConsumerId, DataProducerId, DtlsState, IceState, Kind, Layers, ProducerId,
    RequestId, RouterId, SnapshotItem, TransportId, TransportState,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The id of a peer: a random number, known to clients and stored in the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// All tables.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) media: Media,
    pub(super) rooms: HashMap<RoomKey, Room>,
    pub(super) peers: HashMap<PeerId, Peer>,
    /// Open connections, with the peer after the join.
    pub(super) connections: HashMap<ConnectionId, Option<PeerId>>,
    /// Clients that an administrator has to admit.
    pub(super) waiting: HashMap<ConnectionId, WaitingClient>,
    pub(super) transports: HashMap<TransportId, Transport>,
    pub(super) producers: HashMap<ProducerId, Producer>,
    pub(super) consumers: HashMap<ConsumerId, Consumer>,
    pub(super) data_producers: HashMap<DataProducerId, DataProducer>,
    pub(super) data_consumers: HashMap<DataConsumerId, DataConsumer>,
    /// Copies: producers that can be consumed on workers other than their own.
    pub(super) piped: BTreeSet<(ProducerId, Worker)>,
    /// The same for data producers.
    pub(super) piped_data: BTreeSet<(DataProducerId, Worker)>,
    /// Number of transitions of sessions, by the event that caused them.
    pub(super) transitions: HashMap<SessionEvent, u64>,
    /// Gets the events of the rooms.
    pub(super) observer: Observer,
    /// How active the users of the rooms are.
    pub(super) presence: Board,
    /// Number of joins so far.
    pub(super) joins: u64,
}

/// The state of the media node.
#[derive(Debug, Default)]
pub(super) enum Media {
    /// Not attached.
    #[default]
    Away,
    /// Attached; the snapshots of some workers are missing.
    Settling {
        epoch: u64,
        load: Vec<usize>,
        awaited: HashSet<Worker>,
        /// Items that can be handled only when all snapshots are here.
        late: Vec<(Worker, SnapshotItem)>,
    },
    /// All snapshots are handled.
    Ready { epoch: u64, load: Vec<usize> },
}

impl Media {
    /// Identifies one run of the engine; empty until media is ready.
    pub(super) fn epoch_text(&self) -> String {
        match self {
            Self::Ready { epoch, .. } => format!("{epoch:016x}"),
            Self::Away | Self::Settling { .. } => String::new(),
        }
    }

    /// Number of transports of each worker.
    fn load_mut(&mut self) -> Option<&mut Vec<usize>> {
        match self {
            Self::Away => None,
            Self::Settling { load, .. } | Self::Ready { load, .. } => Some(load),
        }
    }

    /// The worker with the fewest transports, if media is ready.
    pub(super) fn least_loaded(&self) -> Option<Worker> {
        match self {
            Self::Ready { load, .. } => (0..load.len()).min_by_key(|worker| load[*worker]),
            Self::Away | Self::Settling { .. } => None,
        }
    }
}

/// A room: its peers, and its router, which is created for the first transport.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) peers: BTreeSet<PeerId>,
    pub(super) router: Option<Router>,
    /// Mirrors of the router on other workers, and the requests that created them.
    pub(super) mirrors: BTreeMap<Worker, RequestId>,
    pub(super) policy: Policy,
    /// Bounds the changes of the policy.
    pub(super) changes: Option<TokenBucket>,
    /// Clients that wait.
    pub(super) waiting: BTreeSet<ConnectionId>,
    /// Tokens of removed peers, the latest first.
    pub(super) kicked: VecDeque<Kicked>,
    /// Users that were muted when they left.
    pub(super) muted_users: BTreeMap<UserHash, Kinds>,
    /// Bounds the messages of the application to all receivers together.
    pub(super) deliveries: Option<TokenBucket>,
    /// The peer that speaks, or spoke last.
    pub(super) dominant: Option<PeerId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Router {
    pub(super) id: RouterId,
    pub(super) worker: Worker,
    /// The request that created it; `None` without an answer so far.
    pub(super) created_by: Option<RequestId>,
    /// Number of client requests that wait for its creation.
    pub(super) waiting_requests: usize,
}

/// The request of objects that a former process created: smaller than any request of this process.
pub(super) const BEFORE_THIS_PROCESS: RequestId = RequestId(0);

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) room: RoomKey,
    pub(super) user: String,
    pub(super) display_name: String,
    pub(super) metadata: String,
    pub(super) secret_hash: Vec<u8>,
    pub(super) permissions: Permissions,
    /// What an administrator decided, whatever its token permits.
    pub(super) overrides: Overrides,
    /// Of the token that admitted it; `None` in development mode.
    pub(super) token: Option<TokenInfo>,
    pub(super) mute: Mute,
    /// The users that may consume a producer; without an entry: everyone.
    pub(super) subscribers: BTreeMap<ProducerId, BTreeSet<UserHash>>,
    /// `None` while it is away.
    pub(super) socket: Option<(ConnectionId, Outbox)>,
    /// Start of its last absence; before the first, the time of the join.
    pub(super) away_since: Instant,
    /// Number of absences: distinguishes the current timer from old ones.
    pub(super) absences: u64,
    pub(super) transports: BTreeSet<TransportId>,
    pub(super) session: SessionState,
    pub(super) notifications: NotificationLog,
    /// Its earlier tokens that may not have expired, the latest last.
    pub(super) former_tokens: VecDeque<TokenInfo>,
    /// Bounds the changes of its metadata and its subscribers.
    pub(super) changes: Option<TokenBucket>,
    /// Bounds the mutes by this peer.
    pub(super) mutes: Option<TokenBucket>,
    /// Bounds the messages of the application that this peer sends.
    pub(super) messages: Option<TokenBucket>,
    /// What its client measures.
    pub(super) quality: PeerQuality,
    /// Number of its join: later peers have higher ones.
    pub(super) joined: u64,
    /// If it speaks SDP.
    pub(super) negotiator: Option<Arc<Negotiator>>,
}

/// A data producer.
#[derive(Clone, Debug)]
pub(super) struct DataProducer {
    pub(super) peer: PeerId,
    pub(super) transport: TransportId,
    pub(super) record: DataProducerRecord,
    pub(super) consumers: BTreeSet<DataConsumerId>,
    pub(super) created_by: Option<RequestId>,
}

/// A data consumer.
#[derive(Clone, Debug)]
pub(super) struct DataConsumer {
    pub(super) peer: PeerId,
    pub(super) transport: TransportId,
    pub(super) producer: DataProducerId,
    pub(super) stream: u16,
    pub(super) created_by: Option<RequestId>,
}

/// What a client does on a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Send,
    Recv,
    SendRecv,
}

impl Direction {
    pub(super) fn sends(self) -> bool {
        self != Self::Recv
    }

    pub(super) fn receives(self) -> bool {
        self != Self::Send
    }
}

#[derive(Debug)]
pub(super) struct Transport {
    pub(super) peer: PeerId,
    pub(super) worker: Worker,
    pub(super) direction: Direction,
    /// Without ICE and DTLS.
    pub(super) is_plain: bool,
    /// Whether media can flow.
    pub(super) is_connected: bool,
    pub(super) next_mid: u32,
    /// The stream of the next data consumer.
    pub(super) next_stream: u16,
    pub(super) ssrcs: HashSet<u32>,
    pub(super) producers: BTreeSet<ProducerId>,
    pub(super) consumers: BTreeSet<ConsumerId>,
    pub(super) data_producers: BTreeSet<DataProducerId>,
    pub(super) data_consumers: BTreeSet<DataConsumerId>,
    pub(super) created_by: Option<RequestId>,
    /// What is stored of the negotiation on it.
    pub(super) sdp: Option<SdpRecord>,
    /// With an accepted section of data channels.
    pub(super) dcep: Option<Dcep>,
}

#[derive(Debug)]
pub(super) struct Producer {
    pub(super) peer: PeerId,
    pub(super) transport: TransportId,
    pub(super) kind: Kind,
    pub(super) source: String,
    /// Paused by its client or muted.
    pub(super) paused: bool,
    pub(super) paused_by_client: bool,
    /// By an administrator.
    pub(super) muted: bool,
    pub(super) produced: Produced,
    pub(super) consumers: BTreeSet<ConsumerId>,
    /// The producer of which this one is a backup.
    pub(super) backup_for: Option<ProducerId>,
    /// Codecs that the publisher was asked for, each with the time.
    pub(super) backups_asked: Vec<(Codec, Instant)>,
    /// The spatial layers that consumers need, as bits; `None` until the engine reports them.
    pub(super) wanted: Option<u8>,
    pub(super) created_by: Option<RequestId>,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) peer: PeerId,
    pub(super) transport: TransportId,
    pub(super) producer: ProducerId,
    pub(super) ssrcs: Vec<u32>,
    /// The forwarded layers, the inner `None` for none; the outer `None` until the engine reports them.
    pub(super) layers: Option<Option<Layers>>,
    pub(super) created_by: Option<RequestId>,
}

impl Room {
    /// Its router on each worker that has it.
    pub(super) fn routers(&self) -> Vec<(RouterId, Worker)> {
        let Some(router) = self.router else { return Vec::new() };
        std::iter::once(router.worker).chain(self.mirrors.keys().copied()).map(|at| (router.id, at)).collect()
    }
}

impl Peer {
    /// Counts a change of its metadata or its subscribers.
    pub(super) fn count_change(&mut self) -> Result<(), RequestError> {
        let (rate, burst) = (limits::PEER_CHANGES_PER_SECOND, limits::PEER_CHANGES_BURST);
        TokenBucket::take_of(&mut self.changes, rate, burst, Instant::now())
            .map_err(|pause| RequestError::limit("too many changes by this peer").retry_after(pause))
    }

    /// Counts a mute by this peer.
    pub(super) fn count_mute(&mut self) -> Result<(), RequestError> {
        let (rate, burst) = (limits::MUTES_PER_SECOND, limits::MUTES_BURST);
        TokenBucket::take_of(&mut self.mutes, rate, burst, Instant::now())
            .map_err(|pause| RequestError::limit("too many mutes by this peer").retry_after(pause))
    }

    /// Numbers a notification, keeps it, and sends it unless the peer is away.
    fn notify(&mut self, signal: Bytes, changes_tracks: bool) {
        let signal = self.notifications.push(signal);
        if let Some((_, outbox)) = &self.socket {
            outbox.send(signal);
        }
        if let Some(negotiator) = self.negotiator.as_ref().filter(|_| changes_tracks) {
            negotiator.wake();
        }
    }
}

impl Transport {
    /// A transport that its worker has not confirmed.
    pub(super) fn new(peer: PeerId, worker: Worker, direction: Direction, is_plain: bool) -> Self {
        Self {
            peer,
            worker,
            direction,
            is_plain,
            is_connected: false,
            next_mid: 0,
            next_stream: 0,
            ssrcs: HashSet::new(),
            producers: BTreeSet::new(),
            consumers: BTreeSet::new(),
            data_producers: BTreeSet::new(),
            data_consumers: BTreeSet::new(),
            created_by: None,
            sdp: None,
            dcep: None,
        }
    }
}

impl Producer {
    /// Whether the other peers of the room were notified of it.
    pub(super) fn is_announced(&self) -> bool {
        self.created_by.is_some() && self.backup_for.is_none()
    }
}

impl State {
    /// Notifies a peer; while it is away, the notification is kept for its return.
    pub(super) fn send(&mut self, peer: PeerId, payload: Payload) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            let changes_tracks = changes_tracks(&payload);
            peer.notify(encode(payload), changes_tracks);
        }
    }

    /// Notifies several peers.
    pub(super) fn send_to(&mut self, peers: impl IntoIterator<Item = PeerId>, payload: Payload) {
        let changes_tracks = changes_tracks(&payload);
        let signal = encode(payload);
        for peer in peers {
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.notify(signal.clone(), changes_tracks);
            }
        }
    }

    /// Notifies all peers of `room` except `except`.
    pub(super) fn broadcast(&mut self, room: &RoomKey, except: Option<PeerId>, payload: Payload) {
        let Some(room) = self.rooms.get(room) else { return };
        let changes_tracks = changes_tracks(&payload);
        let signal = encode(payload);
        for peer in room.peers.iter().filter(|peer| Some(**peer) != except) {
            if let Some(peer) = self.peers.get_mut(peer) {
                peer.notify(signal.clone(), changes_tracks);
            }
        }
    }

    /// Notifies all peers.
    pub(super) fn broadcast_all(&mut self, payload: Payload) {
        let changes_tracks = changes_tracks(&payload);
        let signal = encode(payload);
        self.peers.values_mut().for_each(|peer| peer.notify(signal.clone(), changes_tracks));
    }

    /// The state of the session on a connection.
    pub(super) fn session_of(&self, connection: ConnectionId) -> SessionState {
        let peer = self.connections.get(&connection).copied().flatten();
        peer.and_then(|peer| self.peers.get(&peer)).map_or(SessionState::Handshaking, |peer| peer.session)
    }

    /// Checks that a request is possible in the state of the session on a connection.
    pub(super) fn check_request(
        &self,
        connection: ConnectionId,
        request: &Request,
    ) -> Result<(), RequestError> {
        self.session_of(connection).check(request, self.waiting.contains_key(&connection))
    }

    /// Applies an event to the session of a peer; ignored if it has no meaning in its state.
    pub(super) fn apply(&mut self, id: PeerId, event: SessionEvent) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let before = peer.session;
        let Some(after) = before.after(event) else { return };
        peer.session = after;
        tracing::info!(
            roomId = %peer.room,
            userId = %peer.user,
            peerId = %id,
            from = before.name(),
            to = after.name(),
            "{}", event.name()
        );
        *self.transitions.entry(event).or_default() += 1;
        self.publish_session(id, before, after);
    }

    /// Records whether media can flow on a transport.
    pub(super) fn set_connected(&mut self, id: TransportId, is_connected: bool) {
        let Some(transport) = self.transports.get_mut(&id) else { return };
        transport.is_connected = is_connected;
        let peer = transport.peer;
        self.follow_path(peer);
    }

    /// Brings the session of a peer into line with its transports.
    fn follow_path(&mut self, id: PeerId) {
        let has_path = self.transports_of(id).any(|transport| transport.is_connected);
        let event = self.peers.get(&id).and_then(|peer| peer.session.event_of_path(has_path));
        if let Some(event) = event {
            self.apply(id, event);
        }
    }

    /// A peer, for the other peers.
    pub(super) fn peer_info(&self, id: PeerId) -> Option<proto::Peer> {
        let peer = self.peers.get(&id)?;
        let producers = self.producers_of(id).filter_map(|id| self.producer_info(id)).collect();
        let (presence, presence_since_ms) = self.presence_info(peer);
        Some(proto::Peer {
            id: id.to_string(),
            user: peer.user.clone(),
            display_name: peer.display_name.clone(),
            producers,
            away: peer.socket.is_none(),
            metadata: peer.metadata.clone(),
            presence,
            presence_since_ms,
            data_producers: self.data_producers_for_all(id),
            admin: peer.permissions.admin,
        })
    }

    /// Whether the other peers of the room were notified of this one.
    pub(super) fn is_visible(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| !peer.permissions.hidden)
    }

    /// A producer, for the other peers; `None` for a backup, and before the engine confirmed it.
    pub(super) fn producer_info(&self, id: ProducerId) -> Option<ProducerInfo> {
        let producer = self.producers.get(&id).filter(|producer| producer.is_announced())?;
        Some(ProducerInfo {
            id: id.to_string(),
            kind: ortc::kind_name(producer.kind).into(),
            source: producer.source.clone(),
            paused: producer.paused,
        })
    }

    /// Notifies a peer again of a producer whose consumer was closed.
    pub(super) fn announce_again(&mut self, peer: PeerId, id: ProducerId) {
        let Some(producing) = self.producers.get(&id).map(|producer| producer.peer) else { return };
        if let Some(producer) = self.producer_info(id) {
            let (peer_id, producer) = (producing.to_string(), Some(producer));
            self.send(peer, Payload::NewProducer(proto::NewProducer { peer_id, producer }));
        }
    }

    /// The producers of a peer.
    pub(super) fn producers_of(&self, peer: PeerId) -> impl Iterator<Item = ProducerId> {
        self.transports_of(peer).flat_map(|transport| transport.producers.iter().copied())
    }

    /// The consumers of a peer.
    pub(super) fn consumers_of(&self, peer: PeerId) -> impl Iterator<Item = ConsumerId> {
        self.transports_of(peer).flat_map(|transport| transport.consumers.iter().copied())
    }

    /// The peers of a user in a room.
    pub(super) fn peers_of_user(&self, room: &RoomKey, user: &str) -> Vec<PeerId> {
        let peers = self.rooms.get(room).into_iter().flat_map(|room| room.peers.iter().copied());
        peers.filter(|id| self.peers.get(id).is_some_and(|peer| peer.user == user)).collect()
    }

    pub(super) fn transports_of(&self, peer: PeerId) -> impl Iterator<Item = &Transport> {
        let ids = self.peers.get(&peer).into_iter().flat_map(|peer| &peer.transports);
        ids.filter_map(|id| self.transports.get(id))
    }

    /// The worker of a transport.
    pub(super) fn worker_of(&self, transport: TransportId) -> Option<Worker> {
        self.transports.get(&transport).map(|transport| transport.worker)
    }

    pub(super) fn insert_transport(&mut self, id: TransportId, transport: Transport) {
        if let Some(load) = self.media.load_mut().and_then(|load| load.get_mut(transport.worker)) {
            *load += 1;
        }
        if let Some(peer) = self.peers.get_mut(&transport.peer) {
            peer.transports.insert(id);
        }
        self.transports.insert(id, transport);
    }

    pub(super) fn insert_producer(&mut self, id: ProducerId, producer: Producer) {
        if let Some(transport) = self.transports.get_mut(&producer.transport) {
            transport.producers.insert(id);
        }
        self.producers.insert(id, producer);
    }

    pub(super) fn insert_consumer(&mut self, id: ConsumerId, consumer: Consumer) {
        if let Some(transport) = self.transports.get_mut(&consumer.transport) {
            transport.consumers.insert(id);
            transport.ssrcs.extend(&consumer.ssrcs);
        }
        if let Some(producer) = self.producers.get_mut(&consumer.producer) {
            producer.consumers.insert(id);
        }
        self.consumers.insert(id, consumer);
    }

    /// Removes a transport with its producers and consumers. Notifies the peers of the room about the
    /// producers and the owners of their consumers, but not the owner of the transport.
    pub(super) fn remove_transport(&mut self, id: TransportId) -> Option<Transport> {
        let transport = self.transports.remove(&id)?;
        if let Some(load) = self.media.load_mut().and_then(|load| load.get_mut(transport.worker)) {
            *load = load.saturating_sub(1);
        }
        if let Some(peer) = self.peers.get_mut(&transport.peer) {
            peer.transports.remove(&id);
        }
        for producer in &transport.producers {
            self.remove_producer(*producer);
        }
        for consumer in &transport.consumers {
            self.remove_consumer(*consumer);
        }
        for producer in &transport.data_producers {
            self.remove_data_producer(*producer);
        }
        for consumer in &transport.data_consumers {
            self.remove_data_consumer(*consumer);
        }
        self.follow_path(transport.peer);
        Some(transport)
    }

    /// Removes a producer and its consumers, and notifies the other peers of the room.
    pub(super) fn remove_producer(&mut self, id: ProducerId) -> Option<Producer> {
        let producer = self.producers.remove(&id)?;
        self.forget_copies(id);
        if let Some(peer) = self.peers.get_mut(&producer.peer) {
            if peer.mute.producers.remove(&id) {
                peer.mute.later.set(producer.kind, true);
            }
            peer.subscribers.remove(&id);
        }
        if let Some(transport) = self.transports.get_mut(&producer.transport) {
            transport.producers.remove(&id);
        }
        for consumer in &producer.consumers {
            if let Some(consumer_of) = self.remove_consumer(*consumer) {
                self.send(consumer_of.peer, consumer_closed(*consumer));
            }
        }
        let room = self.peers.get(&producer.peer).map(|peer| peer.room.clone());
        if let Some(room) = room.filter(|_| producer.is_announced()) {
            let closed =
                proto::ProducerClosed { peer_id: producer.peer.to_string(), producer_id: id.to_string() };
            self.broadcast(&room, Some(producer.peer), Payload::ProducerClosed(closed));
            self.publish_track_ended(id, &producer);
        }
        Some(producer)
    }

    /// The engine closes the copies of a producer together with it.
    fn forget_copies(&mut self, id: ProducerId) {
        while let Some(copy) = self.piped.range((id, 0)..=(id, Worker::MAX)).next().copied() {
            self.piped.remove(&copy);
        }
    }

    /// Removes a consumer, without a notification.
    pub(super) fn remove_consumer(&mut self, id: ConsumerId) -> Option<Consumer> {
        let consumer = self.consumers.remove(&id)?;
        if let Some(transport) = self.transports.get_mut(&consumer.transport) {
            transport.consumers.remove(&id);
            consumer.ssrcs.iter().for_each(|ssrc| _ = transport.ssrcs.remove(ssrc));
        }
        if let Some(producer) = self.producers.get_mut(&consumer.producer) {
            producer.consumers.remove(&id);
        }
        Some(consumer)
    }

    /// Removes a peer with all its objects, and notifies the others with one `PeerLeft`. Returns its
    /// transports, and the routers of the room if it is empty now, for the caller to close.
    pub(super) fn remove_peer(&mut self, id: PeerId) -> Option<RemovedPeer> {
        self.apply(id, SessionEvent::ClientDisconnect);
        let muted = self.muted_kinds(id);
        let mut peer = self.peers.remove(&id)?;
        peer.negotiator.iter().for_each(|negotiator| negotiator.wake());
        if let Some((connection, _)) = &peer.socket {
            self.connections.insert(*connection, None);
        }
        // The peer is not in the table any more, so that its producers are not reported one by one.
        let transports = std::mem::take(&mut peer.transports);
        let closed =
            transports.into_iter().filter_map(|id| Some((id, self.remove_transport(id)?.worker))).collect();
        let mut routers = Vec::new();
        self.publish_left(id, &peer);
        self.publish_quality(id, &peer);
        if let Some(room) = self.rooms.get_mut(&peer.room) {
            room.peers.remove(&id);
            room.remember_mute(&peer.user, muted);
            if room.peers.is_empty() {
                self.publish_room_closed(&peer.room);
                let ended = self.rooms.remove(&peer.room).unwrap_or_default();
                routers = ended.routers();
                ended.waiting.into_iter().for_each(|client| self.deny(client, "the room has ended"));
            }
        }
        self.leave_presence(id);
        if !peer.permissions.hidden {
            self.broadcast(&peer.room, None, Payload::PeerLeft(proto::PeerLeft { peer_id: id.to_string() }));
        }
        Some(RemovedPeer { peer, transports: closed, routers })
    }

    /// Removes all objects: the engine is gone.
    pub(super) fn lose_media(&mut self) {
        self.media = Media::Away;
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for id in peers {
            let later = self.muted_kinds(id);
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.mute.producers.clear();
                peer.mute.later = later;
                peer.subscribers.clear();
            }
        }
        self.publish_tracks_ended();
        self.transports.clear();
        self.producers.clear();
        self.consumers.clear();
        self.piped.clear();
        self.piped_data.clear();
        self.data_producers.clear();
        self.data_consumers.clear();
        for room in self.rooms.values_mut() {
            room.router = None;
            room.mirrors.clear();
        }
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for id in peers {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.transports.clear();
            }
            self.follow_path(id);
        }
    }

    /// Makes every client that is away, or whose connection ends later, get a snapshot instead of the
    /// notifications so far.
    pub(super) fn forget_notifications(&mut self) {
        self.peers.values_mut().for_each(|peer| peer.notifications.forget());
    }
}

/// Whether a client that speaks SDP may have to play other tracks after this notification.
fn changes_tracks(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::NewProducer(_)
            | Payload::NewDataProducer(_)
            | Payload::ProducerClosed(_)
            | Payload::ConsumerClosed(_)
            | Payload::PeerJoined(_)
            | Payload::PeerLeft(_)
            | Payload::TransportClosed(_)
            | Payload::MediaLost(_)
    )
}

/// The result of [`State::remove_peer`].
pub(super) struct RemovedPeer {
    pub(super) peer: Peer,
    pub(super) transports: Vec<(TransportId, Worker)>,
    pub(super) routers: Vec<(RouterId, Worker)>,
}

/// Whether media can flow.
pub(super) fn is_connected(state: &TransportState) -> bool {
    state.dtls == DtlsState::Connected && matches!(state.ice, IceState::Connected | IceState::Completed)
}

/// The notification for the owner of a consumer that it did not close itself.
pub(super) fn consumer_closed(id: ConsumerId) -> Payload {
    Payload::ConsumerClosed(proto::ConsumerClosed { consumer_id: id.to_string() })
}
