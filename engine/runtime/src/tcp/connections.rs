//! TCP connections that carry datagrams as frames: passive ICE candidates (RFC 6544), and TURN over TCP and
//! TLS.
//!
//! For the machine a connection is another path. This module does not interpret frames. A connection counts
//! as proven when the machine sends to it, or requests that it is kept. Any host can connect, so everything
//! is bounded: connections, connections of one host, bytes that are read ahead, bytes that wait to be
//! written, and the time that an unneeded connection may stay open.

use crate::limits::{
    ACCEPT_RETRY, ACCEPTS_PER_TURN, CONNECTIONS_MAX, CONNECTIONS_PER_HOST_MAX, READ_BYTES, SWEEP_INTERVAL,
};
use crate::tcp::connection::{CloseReason, Connection};
use crate::tcp::framing::{Deframer, InvalidFrame, QueueCounts};
use crate::tcp::listen::{self, Listeners};
use crate::tokens::Token;
use machine::{Datagram, Instant, LocalId, Path, StreamId};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Counters of connections and their frames since the worker was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Connections that are open.
    pub open: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because there was no room, or unproven ones closed to make room.
    pub refused: u64,
    /// Connections closed because they were not proven in time.
    pub closed_unproven: u64,
    /// Connections closed because of an invalid frame, or because a TLS connection carried no TLS.
    pub closed_malformed: u64,
    /// Connections closed at the request of the machine.
    pub closed_by_machine: u64,
    /// Connections closed because nothing was sent to them for a long time, or nothing could be.
    pub closed_idle: u64,
    /// Connections closed by the peer or the network.
    pub closed_by_peer: u64,
    /// Frames passed to the machine.
    pub frames_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Frames to send.
    pub queued: QueueCounts,
    /// Frames for a connection that no longer exists.
    pub dropped_closed: u64,
}

/// All TCP of one worker.
#[derive(Debug)]
pub(crate) struct Connections {
    listeners: Vec<Listener>,
    connections: Vec<Option<Connection>>,
    /// Free indices of `connections`.
    free: Vec<u32>,
    by_path: HashMap<Path, u32>,
    /// Number of connections by host.
    hosts: HashMap<IpAddr, usize>,
    /// Connections that may have something to read, each once.
    readable: VecDeque<u32>,
    /// Connections with newly queued frames, each once.
    dirty: Vec<u32>,
    /// Streams whose joined connection became readable or writable.
    joined_pending: Vec<StreamId>,
    /// Connections that are to be closed, each once.
    closing: Vec<u32>,
    buffer: Box<[u8]>,
    sweep_at: Option<Instant>,
    accept_at: Option<Instant>,
    stats: ConnectionStats,
}

#[derive(Debug)]
struct Listener {
    open: listen::OpenListener,
    local: LocalId,
    /// Whether a connection may wait to be accepted. Readiness is reported once, so it is remembered.
    ready: bool,
}

impl Connections {
    /// Connections on these listeners.
    pub(crate) fn new(listeners: Listeners, registry: &Registry) -> io::Result<Self> {
        let mut connections = Self::none();
        connections.buffer = vec![0; READ_BYTES].into_boxed_slice();
        for (index, mut open) in listeners.into_open().enumerate() {
            registry.register(&mut open.socket, Token::Listener(index).into(), Interest::READABLE)?;
            connections.listeners.push(Listener { open, local: LocalId::tcp(index as u8), ready: true });
        }
        Ok(connections)
    }

    /// No TCP at all.
    pub(crate) fn none() -> Self {
        Self {
            listeners: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            by_path: HashMap::new(),
            hosts: HashMap::new(),
            readable: VecDeque::new(),
            dirty: Vec::new(),
            joined_pending: Vec::new(),
            closing: Vec::new(),
            buffer: Box::default(),
            sweep_at: None,
            accept_at: None,
            stats: ConnectionStats::default(),
        }
    }

    /// The counters.
    pub(crate) fn stats(&self) -> ConnectionStats {
        self.stats
    }

    /// Whether there is any TCP.
    pub(crate) fn is_listening(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Records that a connection may wait to be accepted on a listener.
    pub(crate) fn on_acceptable(&mut self, listener: usize) {
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.ready = true;
        }
    }

    /// Records the readiness of a connection, and writes its queue if it became writable.
    pub(crate) fn on_readiness(&mut self, now: Instant, index: u32, event: &Event) {
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.mark_readable(index);
        }
        if event.is_writable() {
            self.write(now, index);
            self.mark_joined(index);
        }
    }

    /// Whether there is something to do without waiting.
    pub(crate) fn has_work(&self) -> bool {
        let may_accept = self.accept_at.is_none() && self.listeners.iter().any(|listener| listener.ready);
        may_accept || !self.joined_pending.is_empty() || !self.readable.is_empty() || !self.closing.is_empty()
    }

    /// When there is something to do without an event.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.sweep_at.into_iter().chain(self.accept_at).min()
    }

    /// Accepts a bounded number of connections.
    pub(crate) fn accept(&mut self, now: Instant, registry: &Registry) {
        if self.accept_at.is_some_and(|at| at > now) {
            return;
        }
        self.accept_at = None;
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let listener = &mut self.listeners[index];
                if !listener.ready {
                    break;
                }
                match listener.open.socket.accept() {
                    Ok((socket, remote)) => self.admit(now, registry, socket, index, remote),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => listener.ready = false,
                    // This peer gave up while it waited; the next may not have.
                    Err(error) if is_of_one_connection(&error) => {}
                    // No descriptor or no memory is left. Waiting connections stay in the kernel's queue.
                    Err(_) => {
                        self.accept_at = Some(now + ACCEPT_RETRY);
                        return;
                    }
                }
            }
        }
    }

    fn admit(
        &mut self,
        now: Instant,
        registry: &Registry,
        socket: TcpStream,
        listener: usize,
        remote: SocketAddr,
    ) {
        let remote = canonical(remote);
        let path = Path { local: self.listeners[listener].local, remote };
        let host = host(remote);
        let of_host = self.hosts.get(&host).copied().unwrap_or_default();
        let is_full = self.by_path.len() >= CONNECTIONS_MAX;
        if (is_full && !self.make_room(None))
            || (of_host >= CONNECTIONS_PER_HOST_MAX && !self.make_room(Some(host)))
        {
            self.stats.refused += 1;
            return; // The drop closes it.
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() as u32 - 1
        });
        let listener = &self.listeners[listener].open;
        match Connection::open(now, registry, socket, path, index, listener) {
            Ok(connection) => {
                self.connections[index as usize] = Some(connection);
                // An older connection from this address has ended, and the end has not been noticed yet.
                if let Some(former) = self.by_path.insert(path, index) {
                    self.close(former, CloseReason::ByPeer);
                }
                *self.hosts.entry(host).or_default() += 1;
                self.stats.accepted += 1;
                self.stats.open += 1;
                self.sweep_at.get_or_insert(now + SWEEP_INTERVAL);
            }
            Err(_) => {
                self.free.push(index);
                self.stats.closed_by_peer += 1;
            }
        }
    }

    /// Closes the oldest unproven connection (of this host). False if there is none: new connections do not
    /// replace peers in a call.
    fn make_room(&mut self, of: Option<IpAddr>) -> bool {
        let unproven = self.connections.iter().enumerate().filter_map(|(index, connection)| {
            let connection = connection.as_ref()?;
            let is_of_host = of.is_none_or(|of| host(connection.path.remote) == of);
            (is_of_host && !connection.is_proven() && connection.closing.is_none())
                .then_some((connection.accepted_at, index))
        });
        let Some((_, oldest)) = unproven.min() else { return false };
        self.close(oldest as u32, CloseReason::Replaced);
        true
    }

    /// The next connection that may have something to read.
    pub(crate) fn next_readable(&mut self) -> Option<u32> {
        self.readable.pop_front()
    }

    /// Reads once from a connection. The bytes and the deframer are moved out, so that the receiver of the
    /// frames can send on these connections meanwhile; [`put_back`](Self::put_back) must follow.
    pub(crate) fn read(&mut self, index: u32) -> Option<Chunk> {
        let connection = self.connections.get_mut(index as usize)?.as_mut()?;
        if connection.joined.is_some() {
            self.mark_joined(index);
            return None;
        }
        connection.is_readable = false;
        if connection.closing.is_some() {
            return None;
        }
        match connection.read(&mut self.buffer) {
            Ok(0) => self.close(index, CloseReason::ByPeer),
            Ok(len) => {
                let (path, deframer) = (connection.path, std::mem::take(&mut connection.deframer));
                // Read again until the socket would block: a short read does not show an end of file behind
                // it.
                self.mark_readable(index);
                self.stats.bytes_in += len as u64;
                let buffer = std::mem::take(&mut self.buffer);
                return Some(Chunk { index, path, len, deframer, buffer });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.mark_readable(index),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.close(index, CloseReason::Malformed)
            }
            Err(_) => self.close(index, CloseReason::ByPeer),
        }
        None
    }

    /// Returns a chunk after its frames were passed on. `outcome`: the number of frames, or that one was
    /// invalid.
    pub(crate) fn put_back(&mut self, chunk: Chunk, outcome: Result<u64, InvalidFrame>) {
        self.buffer = chunk.buffer;
        if let Some(Some(connection)) = self.connections.get_mut(chunk.index as usize) {
            connection.deframer = chunk.deframer;
        }
        match outcome {
            Ok(frames) => self.stats.frames_in += frames,
            Err(InvalidFrame(_)) => self.close(chunk.index, CloseReason::Malformed),
        }
    }

    /// The connection of this path.
    pub(crate) fn find(&self, path: Path) -> Option<u32> {
        self.by_path.get(&path).copied()
    }

    /// Queues a frame for a connection; [`write_queued`](Self::write_queued) writes it.
    pub(crate) fn queue(&mut self, now: Instant, index: Option<u32>, frame: &[u8]) {
        let connection = index.and_then(|index| self.connections.get_mut(index as usize)?.as_mut());
        let Some(connection) = connection.filter(|connection| connection.closing.is_none()) else {
            self.stats.dropped_closed += 1;
            return;
        };
        connection.note_used(now);
        let before = connection.queue.counts();
        connection.queue.push(now, frame);
        count_since(&mut self.stats.queued, before, connection.queue.counts());
        if !std::mem::replace(&mut connection.is_dirty, true) {
            self.dirty.extend(index);
        }
    }

    /// Writes queued frames, as far as each connection accepts them.
    pub(crate) fn write_queued(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            if let Some(Some(connection)) = self.connections.get_mut(index as usize) {
                connection.is_dirty = false;
                // A blocked connection reports when it is writable again.
                if connection.blocked_since.is_none() {
                    self.write(now, index);
                }
            }
        }
        self.dirty = dirty;
    }

    /// Writes the queue of one connection, as far as it accepts it.
    pub(crate) fn write(&mut self, now: Instant, index: u32) {
        let Some(Some(connection)) = self.connections.get_mut(index as usize) else { return };
        let (before, waiting) = (connection.queue.counts(), connection.queue.len());
        connection.queue.drop_late(now);
        let written = connection.write();
        count_since(&mut self.stats.queued, before, connection.queue.counts());
        match written {
            Ok(()) => connection.blocked_since = None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let has_moved = connection.queue.len() < waiting;
                let since = connection.blocked_since.filter(|_| !has_moved);
                connection.blocked_since = Some(since.unwrap_or(now));
            }
            Err(_) => self.close(index, CloseReason::ByPeer),
        }
    }

    /// Keeps this connection open, whether or not anything is sent to it.
    pub(crate) fn keep(&mut self, path: Path) {
        if let Some(Some(connection)) = self.find(path).map(|index| &mut self.connections[index as usize]) {
            connection.keep();
        }
    }

    /// Closes this connection. Queued bytes that the socket does not accept are lost.
    pub(crate) fn hang_up(&mut self, path: Path) {
        if let Some(index) = self.find(path) {
            self.close(index, CloseReason::ByMachine);
        }
    }

    /// From now on the bytes of this connection belong to that stream. `None` if there is no such connection,
    /// or if a frame has begun already.
    pub(crate) fn join(&mut self, path: Path, with: StreamId) -> Option<u32> {
        let index = self.find(path)?;
        let connection = self.live(index)?;
        if connection.joined.is_some() || connection.deframer.pending() > 0 {
            return None;
        }
        connection.joined = Some(with);
        connection.keep();
        Some(index)
    }

    /// Closes a connection whose stream has ended.
    pub(crate) fn close_joined(&mut self, index: u32) {
        if let Some(Some(connection)) = self.connections.get_mut(index as usize) {
            connection.joined = None;
        }
        self.close(index, CloseReason::ByMachine);
    }

    /// A connection that is not closing.
    pub(crate) fn live(&mut self, index: u32) -> Option<&mut Connection> {
        self.connections.get_mut(index as usize)?.as_mut().filter(|connection| connection.closing.is_none())
    }

    /// The next stream whose joined connection became ready.
    pub(crate) fn next_joined(&mut self) -> Option<StreamId> {
        self.joined_pending.pop()
    }

    fn mark_joined(&mut self, index: u32) {
        if let Some(Some(connection)) = self.connections.get(index as usize) {
            self.joined_pending.extend(connection.joined);
        }
    }

    /// Checks all connections when it is time, and closes those that are not needed.
    pub(crate) fn sweep(&mut self, now: Instant) {
        if self.sweep_at.is_none_or(|at| at > now) {
            return;
        }
        self.sweep_at = (!self.by_path.is_empty()).then_some(now + SWEEP_INTERVAL);
        for index in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[index] else { continue };
            let before = connection.queue.counts();
            connection.queue.drop_late(now);
            count_since(&mut self.stats.queued, before, connection.queue.counts());
            if let Some(reason) = connection.reason_to_close(now) {
                self.close(index as u32, reason);
            }
        }
    }

    /// Removes one closed connection. Returns its path, and the stream that it was joined with.
    pub(crate) fn take_closed(&mut self) -> Option<(Path, Option<StreamId>)> {
        let index = self.closing.pop()?;
        let connection = self.connections.get_mut(index as usize)?.take()?;
        self.free.push(index);
        let counter = match connection.closing {
            Some(CloseReason::Malformed) => &mut self.stats.closed_malformed,
            Some(CloseReason::Unproven) => &mut self.stats.closed_unproven,
            Some(CloseReason::Idle) => &mut self.stats.closed_idle,
            Some(CloseReason::Replaced) => &mut self.stats.refused,
            Some(CloseReason::ByMachine) => &mut self.stats.closed_by_machine,
            Some(CloseReason::ByPeer) | None => &mut self.stats.closed_by_peer,
        };
        *counter += 1;
        self.stats.open -= 1;
        let host = host(connection.path.remote);
        if let Some(count) = self.hosts.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(&host);
            }
        }
        // A newer connection may have the address already.
        if self.by_path.get(&connection.path) == Some(&index) {
            self.by_path.remove(&connection.path);
        }
        Some((connection.path, connection.joined))
    }

    fn close(&mut self, index: u32, reason: CloseReason) {
        if let Some(Some(connection)) = self.connections.get_mut(index as usize)
            && connection.closing.is_none()
        {
            connection.closing = Some(reason);
            self.closing.push(index);
        }
    }

    fn mark_readable(&mut self, index: u32) {
        if let Some(Some(connection)) = self.connections.get_mut(index as usize)
            && !std::mem::replace(&mut connection.is_readable, true)
        {
            match connection.joined {
                Some(with) => self.joined_pending.push(with),
                None => self.readable.push_back(index),
            }
        }
    }
}

/// Bytes read from one connection, moved out of [`Connections`].
#[derive(Debug)]
pub(crate) struct Chunk {
    index: u32,
    path: Path,
    len: usize,
    deframer: Deframer,
    buffer: Box<[u8]>,
}

impl Chunk {
    /// Passes on each frame as a datagram. Returns their number.
    pub(crate) fn hand_over(
        &mut self,
        now: Instant,
        mut receive: impl FnMut(Datagram<'_>),
    ) -> Result<u64, InvalidFrame> {
        let path = self.path;
        let mut frames = 0;
        self.deframer.push(&mut self.buffer[..self.len], |bytes| {
            frames += 1;
            receive(Datagram { path, received_at: now, bytes });
        })?;
        Ok(frames)
    }
}

/// The address without the flow label, which differs between connections and does not identify the peer.
pub(crate) fn canonical(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        v4 => v4,
    }
}

/// One host: an IPv4 address, or the /64 prefix of an IPv6 address.
fn host(remote: SocketAddr) -> IpAddr {
    match remote.ip() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

/// Whether an error of `accept` concerns one connection, and not the listener.
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
        || matches!(
            error.raw_os_error(),
            Some(libc::EPERM | libc::EPROTO | libc::ENETDOWN | libc::EHOSTUNREACH)
        )
}

fn count_since(total: &mut QueueCounts, before: QueueCounts, after: QueueCounts) {
    total.sent += after.sent - before.sent;
    total.dropped_full += after.dropped_full - before.dropped_full;
    total.dropped_late += after.dropped_late - before.dropped_late;
}
