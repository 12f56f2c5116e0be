//! One allocation: its client, its relayed addresses, its permissions and its channels (RFC 8656 §3.2).

use crate::bucket::Bucket;
use crate::credentials::{Origin, quota_name};
use crate::limits::{CHANNEL_LIFETIME, CHANNELS_MAX, PERMISSION_LIFETIME, PERMISSIONS_MAX};
use crate::sorted::Sorted;
use machine::{Flow, Instant, LocalId, Path, StreamId};
use policy::Policy;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use stun::{Family, Key, TransactionId};

/// The state of a client.
#[derive(Debug)]
pub(crate) struct Allocation {
    /// The client's 5-tuple.
    pub client: Path,
    /// As in USERNAME.
    pub user: Box<[u8]>,
    /// The key of the Allocate request, and the origin of its credential.
    pub key: Key,
    pub origin: Origin,
    /// Of the Allocate request: a request that repeats it gets the response again (RFC 8656 §7.2).
    pub transaction_id: TransactionId,
    pub lifetime: Duration,
    pub expires_at: Instant,
    /// Whether peers use TCP (RFC 6062) instead of UDP.
    pub is_tcp: bool,
    /// TCP connections with peers.
    pub streams: Vec<StreamId>,
    /// By [`Family`].
    pub relayed: [Option<Relayed>; 2],
    /// Sockets that are not open yet, and the data for the response.
    pub opening: Option<Opening>,
    /// Number of ports counted for it in the ledger.
    pub ports: u32,
    /// Of the port that was reserved with it.
    pub token: Option<[u8; 8]>,
    /// Whether datagrams to peers have the DF bit. Linux sets it for a socket, not for a datagram: so it
    /// applies to all datagrams or to none.
    pub dont_fragment: bool,
    pub to_peers: Direction,
    pub to_client: Direction,
    permissions: Sorted<IpAddr, Instant>,
    channels: Sorted<u16, Channel>,
    /// The number of the channel of each peer.
    numbers: Sorted<SocketAddr, u16>,
}

/// A relayed address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed {
    pub local: LocalId,
    /// The address that the client gets.
    pub address: SocketAddr,
}

/// The kind of socket for a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// UDP.
    Plain,
    /// UDP on an even port, and another socket on the next port.
    Even,
    /// TCP.
    Listener,
}

/// An allocation whose sockets are being opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub socket: Socket,
    /// Number of sockets that are requested and not open yet.
    pub waiting: u8,
    /// The family without which there is no allocation.
    pub first: Family,
    /// The error code of each family whose socket could not be opened.
    pub failed: [Option<u16>; 2],
    /// The socket on the port after an even one, and whether it is to be reserved.
    pub next: Option<LocalId>,
    pub reserves_next: bool,
    /// Whether the request has DONT-FRAGMENT.
    pub dont_fragment: bool,
    /// Length of the request in bytes.
    pub request_len: usize,
    /// Whether the response needs a FINGERPRINT.
    pub fingerprint: bool,
}

/// The traffic of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Direction {
    pub bytes: u64,
    pub bucket: Bucket,
}

/// A channel.
#[derive(Clone, Copy, Debug)]
struct Channel {
    peer: SocketAddr,
    expires_at: Instant,
}

/// Why a channel cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unbound {
    /// Another peer has the number, or the peer has another number.
    Taken,
    /// The allocation has the maximum number of channels.
    Full,
}

impl Allocation {
    /// A new allocation, whose sockets are being opened.
    pub(crate) fn new(
        client: Path,
        (user, key, origin): (&[u8], Key, Origin),
        transaction_id: TransactionId,
        (lifetime, ports): (Duration, u32),
        opening: Opening,
    ) -> Self {
        Self {
            client,
            user: user.into(),
            key,
            origin,
            transaction_id,
            lifetime,
            expires_at: Instant::EPOCH,
            is_tcp: opening.socket == Socket::Listener,
            streams: Vec::new(),
            relayed: [None; 2],
            opening: Some(opening),
            ports,
            token: None,
            dont_fragment: false,
            to_peers: Direction::default(),
            to_client: Direction::default(),
            permissions: Sorted::default(),
            channels: Sorted::default(),
            numbers: Sorted::default(),
        }
    }

    /// The user whose quota it counts towards.
    pub(crate) fn quota_name(&self) -> &[u8] {
        quota_name(&self.user)
    }

    /// The relayed address of a peer's family.
    pub(crate) fn relayed_for(&self, peer: &SocketAddr) -> Option<Relayed> {
        self.relayed[Family::of(peer) as usize]
    }

    /// Whether datagrams from and to this peer are relayed.
    pub(crate) fn permits(&self, now: Instant, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|expires_at| *expires_at > now)
    }

    /// Creates or renews permissions, all or none. False if there would be too many.
    pub(crate) fn permit(&mut self, now: Instant, peers: impl Iterator<Item = IpAddr> + Clone) -> bool {
        let has_room = self.has_room_for(now, peers.clone());
        if has_room {
            peers.for_each(|peer| self.permissions.insert(peer, now + PERMISSION_LIFETIME));
        }
        has_room
    }

    /// Whether these peers can get permissions, after expired ones are removed.
    fn has_room_for(&mut self, now: Instant, peers: impl Iterator<Item = IpAddr> + Clone) -> bool {
        let new =
            |permissions: &Sorted<_, _>| peers.clone().filter(|peer| permissions.get(peer).is_none()).count();
        if self.permissions.len() + new(&self.permissions) > PERMISSIONS_MAX {
            self.permissions.retain(|_, expires_at| *expires_at > now);
        }
        self.permissions.len() + new(&self.permissions) <= PERMISSIONS_MAX
    }

    /// Binds or renews a channel and its permission (RFC 8656 §12.2): both or neither.
    pub(crate) fn bind(&mut self, now: Instant, number: u16, peer: SocketAddr) -> Result<(), Unbound> {
        let is_bound = self.channels.get(&number).is_some();
        if self.channels.len() >= CHANNELS_MAX && !is_bound {
            self.forget_channels(|channel| channel.expires_at > now);
        }
        let live = self.channels.get(&number).filter(|channel| channel.expires_at > now);
        let other_number = self.numbers.get(&peer).filter(|other| **other != number);
        let other_number = other_number.and_then(|other| self.channels.get(other));
        if live.is_some_and(|channel| channel.peer != peer)
            || other_number.is_some_and(|channel| channel.expires_at > now)
        {
            return Err(Unbound::Taken);
        }
        let permitted = std::iter::once(peer.ip());
        if self.channels.len() >= CHANNELS_MAX && !is_bound || !self.has_room_for(now, permitted.clone()) {
            return Err(Unbound::Full);
        }
        self.permit(now, permitted);
        // Removes expired bindings of the number and of the peer.
        self.forget_channels(|channel| channel.peer != peer);
        self.numbers.retain(|_, other| *other != number);
        self.channels.insert(number, Channel { peer, expires_at: now + CHANNEL_LIFETIME });
        self.numbers.insert(peer, number);
        Ok(())
    }

    fn forget_channels(&mut self, keep: impl Fn(&Channel) -> bool) {
        let Self { channels, numbers, .. } = self;
        channels.retain(|_, channel| keep(channel));
        numbers.retain(|_, number| channels.get(number).is_some());
    }

    /// The peer of a channel.
    pub(crate) fn channel_peer(&self, now: Instant, number: u16) -> Option<SocketAddr> {
        let channel = self.channels.get(&number).filter(|channel| channel.expires_at > now)?;
        Some(channel.peer)
    }

    /// The channel of a peer.
    pub(crate) fn channel_number(&self, now: Instant, peer: &SocketAddr) -> Option<u16> {
        let number = *self.numbers.get(peer)?;
        self.channel_peer(now, number).map(|_| number)
    }

    /// Removes permissions and channels of peers that are no longer allowed.
    pub(crate) fn obey(&mut self, policy: &Policy) {
        self.permissions.retain(|peer, _| policy.admits_host(*peer));
        self.forget_channels(|channel| policy.admits(channel.peer));
    }

    /// Whether all tables are within their bounds, and the two maps of channels agree.
    pub(crate) fn is_within_bounds(&self) -> bool {
        self.permissions.len() <= PERMISSIONS_MAX
            && self.channels.len() <= CHANNELS_MAX
            && self.channels.len() == self.numbers.len()
    }
}

/// The flow of traffic to an allocation's client.
pub(crate) fn client_flow(index: u32) -> Flow {
    Flow(2 * index + 2)
}

/// The flow of traffic to an allocation's peers.
pub(crate) fn peers_flow(index: u32) -> Flow {
    Flow(2 * index + 3)
}

/// The flow of responses to clients without an allocation.
pub(crate) const STRANGERS: Flow = Flow(0);
