//! Connections with peers over TCP (RFC 6062), and the numbers by which clients identify them.

use crate::limits::{ALLOCATIONS_MAX, RESERVATIONS_MAX, STREAMS_MAX};
use crate::request_context::RequestHeader;
use crate::table::{Keyed, Table};
use machine::{Rng, StreamId};
use std::net::SocketAddr;
use stun::{Key, Message};

/// The first deadline that belongs to a connection.
pub(crate) const FIRST_DEADLINE: usize = ALLOCATIONS_MAX + RESERVATIONS_MAX;

/// A connection with a peer.
#[derive(Debug)]
pub(crate) struct PeerStream {
    /// The allocation that owns it.
    pub allocation: u32,
    pub peer: SocketAddr,
    /// The number by which the client identifies it.
    pub connection_id: u32,
    pub state: StreamState,
}

/// The state of a connection.
#[derive(Debug)]
pub(crate) enum StreamState {
    /// The peer has not answered yet. The Connect request, which was signed with this key, has no response
    /// yet.
    Connecting(Box<(RequestHeader, Key)>),
    /// The client has its number and must join it with another connection.
    Waiting,
    /// Bytes are relayed.
    Joined,
}

/// All connections with peers.
#[derive(Debug)]
pub(crate) struct PeerStreams {
    streams: Vec<Option<PeerStream>>,
    free: Vec<u16>,
    by_connection: Table<u32, StreamId>,
}

impl PeerStreams {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { streams: Vec::new(), free: Vec::new(), by_connection: Table::with_hasher(Keyed::new(rng)) }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_connection.len()
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<&PeerStream> {
        self.streams.get(usize::from(stream.0))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, stream: StreamId) -> Option<&mut PeerStream> {
        self.streams.get_mut(usize::from(stream.0))?.as_mut()
    }

    /// The first unused number from `connection_id` on.
    pub(crate) fn free_connection_id(&self, mut connection_id: u32) -> u32 {
        while self.by_connection.contains_key(&connection_id) {
            connection_id = connection_id.wrapping_add(1);
        }
        connection_id
    }

    /// `None` if there are [`STREAMS_MAX`].
    pub(crate) fn insert(&mut self, stream: PeerStream) -> Option<StreamId> {
        let index = self.free.pop().or_else(|| {
            let next = self.streams.len();
            (next < STREAMS_MAX).then(|| {
                self.streams.push(None);
                next as u16
            })
        })?;
        self.by_connection.insert(stream.connection_id, StreamId(index));
        self.streams[usize::from(index)] = Some(stream);
        Some(StreamId(index))
    }

    pub(crate) fn remove(&mut self, stream: StreamId) -> Option<PeerStream> {
        let removed = self.streams.get_mut(usize::from(stream.0))?.take()?;
        self.by_connection.remove(&removed.connection_id);
        self.free.push(stream.0);
        Some(removed)
    }

    /// The connection with the number of a request.
    pub(crate) fn named(&self, message: &Message<'_>) -> Option<StreamId> {
        self.by_connection.get(&message.connection_id()??).copied()
    }

    /// The connections with peers that the policy does not admit.
    pub(crate) fn outside(&self, admits: impl Fn(SocketAddr) -> bool) -> Vec<StreamId> {
        let live = (0..).zip(&self.streams).filter_map(|(index, stream)| Some((index, stream.as_ref()?)));
        live.filter(|(_, stream)| !admits(stream.peer)).map(|(index, _)| StreamId(index)).collect()
    }
}

/// The deadline of a connection.
pub(crate) fn deadline_of(stream: StreamId) -> u32 {
    FIRST_DEADLINE as u32 + u32::from(stream.0)
}
