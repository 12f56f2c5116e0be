//! One allocation: its client, its relayed addresses, its permissions and its channels (RFC 8656 §3.2).

use crate::bucket::Bucket;
use crate::credentials::{Origin, quota_name};
use crate::limits::{CHANNEL_LIFETIME, CHANNELS_MAX, PERMISSION_LIFETIME, PERMISSIONS_MAX};
use crate::policy::Policy;
use crate::sorted::Sorted;
use machine::{Flow, Instant, LocalId, Path, StreamId};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use stun::{Family, Key, TransactionId};

/// What a client has.
#[derive(Debug)]
pub(crate) struct Allocation {
    /// Its 5-tuple, as far as it differs.
    pub client: Path,
    /// As in USERNAME.
    pub user: Box<[u8]>,
    /// The key it was made with, and what that came from.
    pub key: Key,
    pub origin: Origin,
    /// Of the request that made it: one that repeats it is answered again (RFC 8656 §7.2).
    pub transaction_id: TransactionId,
    pub lifetime: Duration,
    pub expires_at: Instant,
    /// Whether peers reach it over TCP (RFC 6062) rather than UDP.
    pub is_tcp: bool,
    /// Connections with them.
    pub streams: Vec<StreamId>,
    /// By [`Family`].
    pub relayed: [Option<Relayed>; 2],
    /// Sockets that are not open yet, and what to answer when they are.
    pub opening: Option<Opening>,
    /// Ports that count for it in the ledger.
    pub ports: u32,
    /// Of the port that was reserved with it.
    pub token: Option<[u8; 8]>,
    /// Whether what goes to peers has the DF bit. Linux sets it for a socket, not for a datagram: so it is for all or for none.
    pub dont_fragment: bool,
    pub to_peers: Direction,
    pub to_client: Direction,
    permissions: Sorted<IpAddr, Instant>,
    channels: Sorted<u16, Channel>,
    /// The channels' numbers by their peers.
    numbers: Sorted<SocketAddr, u16>,
}

/// A relayed address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed {
    pub local: LocalId,
    /// As the client sees it.
    pub address: SocketAddr,
}

/// What is opened for a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Socket {
    /// UDP.
    Plain,
    /// UDP on an even port, and another behind it.
    Even,
    /// TCP.
    Listener,
}

/// An allocation in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub socket: Socket,
    /// Sockets that are ordered and not open yet.
    pub waiting: u8,
    /// The family without which there is no allocation.
    pub first: Family,
    /// Why there is none, by family.
    pub failed: [Option<u16>; 2],
    /// The socket behind an even port, and whether it is to be reserved.
    pub next: Option<LocalId>,
    pub reserves_next: bool,
    /// Whether the request has DONT-FRAGMENT.
    pub dont_fragment: bool,
    /// Bytes of the request.
    pub asked_len: usize,
    /// Whether the answer is to have a FINGERPRINT.
    pub fingerprint: bool,
}

/// What has passed in one direction.
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
    /// The number is another peer's, or the peer has another number.
    Taken,
    /// As many as may be.
    Full,
}

impl Allocation {
    /// One that is being made.
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

    /// The user whose quota it counts against.
    pub(crate) fn quota_name(&self) -> &[u8] {
        quota_name(&self.user)
    }

    /// The relayed address of a peer's family.
    pub(crate) fn relayed_for(&self, peer: &SocketAddr) -> Option<Relayed> {
        self.relayed[Family::of(peer) as usize]
    }

    /// Whether datagrams of this peer pass.
    pub(crate) fn permits(&self, now: Instant, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|expires_at| *expires_at > now)
    }

    /// Makes or renews permissions, all or none. False if there would be too many.
    pub(crate) fn permit(&mut self, now: Instant, peers: impl Iterator<Item = IpAddr> + Clone) -> bool {
        let has_room = self.has_room_for(now, peers.clone());
        if has_room {
            peers.for_each(|peer| self.permissions.insert(peer, now + PERMISSION_LIFETIME));
        }
        has_room
    }

    /// Whether these peers can be permitted, after expired permissions are forgotten.
    fn has_room_for(&mut self, now: Instant, peers: impl Iterator<Item = IpAddr> + Clone) -> bool {
        let new =
            |permissions: &Sorted<_, _>| peers.clone().filter(|peer| permissions.get(peer).is_none()).count();
        if self.permissions.len() + new(&self.permissions) > PERMISSIONS_MAX {
            self.permissions.retain(|_, expires_at| *expires_at > now);
        }
        self.permissions.len() + new(&self.permissions) <= PERMISSIONS_MAX
    }

    /// Binds or renews a channel, and the permission that comes with it (RFC 8656 §12.2): both or none.
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
        // What either was bound to before has expired.
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

    /// The peer behind a channel.
    pub(crate) fn channel_peer(&self, now: Instant, number: u16) -> Option<SocketAddr> {
        let channel = self.channels.get(&number).filter(|channel| channel.expires_at > now)?;
        Some(channel.peer)
    }

    /// The channel of a peer.
    pub(crate) fn channel_number(&self, now: Instant, peer: &SocketAddr) -> Option<u16> {
        let number = *self.numbers.get(peer)?;
        self.channel_peer(now, number).map(|_| number)
    }

    /// Forgets permissions and channels of peers that may not be reached any more.
    pub(crate) fn obey(&mut self, policy: &Policy) {
        self.permissions.retain(|peer, _| policy.admits_host(*peer));
        self.forget_channels(|channel| policy.admits(channel.peer));
    }

    /// Whether all tables are within their bounds, and the two sides of each channel agree.
    pub(crate) fn is_within_bounds(&self) -> bool {
        self.permissions.len() <= PERMISSIONS_MAX
            && self.channels.len() <= CHANNELS_MAX
            && self.channels.len() == self.numbers.len()
    }
}

/// The flow of what goes to an allocation's client.
pub(crate) fn client_flow(index: u32) -> Flow {
    Flow(2 * index + 2)
}

/// The flow of what goes to an allocation's peers.
pub(crate) fn peers_flow(index: u32) -> Flow {
    Flow(2 * index + 3)
}

/// The flow of responses to clients without an allocation.
pub(crate) const STRANGERS: Flow = Flow(0);
