//! TCP connections that carry datagrams as frames: what is behind passive ICE candidates (RFC 6544), and TURN over TCP and TLS.
//!
//! To the machine a connection is one more path. Nothing here knows what a frame means; that a peer has proved itself is seen by
//! the machine's sending to it, or told by the machine. Anybody may connect, so everything is bounded: connections, those of one host, what is read
//! ahead, what waits to be written, and how long a connection may be of no use.

use crate::limits::{
    ACCEPT_RETRY, ACCEPTS_PER_TURN, CONNECTIONS_MAX, CONNECTIONS_PER_HOST_MAX, READ_BYTES, SWEEP_INTERVAL,
};
use crate::tcp::connection::{CloseReason, Connection};
use crate::tcp::framing::{Deframer, InvalidFrame, QueueCounts};
use crate::tcp::listen::{self, Listeners};
use crate::tokens::{CONNECTION_TOKEN, LISTENER_TOKEN};
use machine::{Datagram, Instant, LocalId, Path, StreamId};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// What became of connections and their frames, since the worker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Connections that are open.
    pub open: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once, since there was no room for them; or those that had proved nothing yet, to make room.
    pub refused: u64,
    /// Connections closed since they had proved nothing in time.
    pub closed_unproven: u64,
    /// Connections closed since they announced a frame that no peer sends, or are no TLS.
    pub closed_malformed: u64,
    /// Connections that the machine has hung up.
    pub closed_by_machine: u64,
    /// Connections closed since nothing had been sent to them for long, or nothing could be.
    pub closed_idle: u64,
    /// Connections that the peer or the network closed.
    pub closed_by_peer: u64,
    /// Frames handed to the machine.
    pub frames_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// What became of frames to be sent.
    pub queued: QueueCounts,
    /// Frames for a connection that is not there any more.
    pub dropped_closed: u64,
}

/// All TCP of one worker.
#[derive(Debug)]
pub struct Connections {
    listeners: Vec<Listener>,
    connections: Vec<Option<Connection>>,
    /// Free places in `connections`.
    free: Vec<u32>,
    by_path: HashMap<Path, u32>,
    /// Connections of each host that has any.
    hosts: HashMap<IpAddr, usize>,
    /// Connections that may have something to read, each once.
    readable: VecDeque<u32>,
    /// Connections with newly queued frames, each once.
    dirty: Vec<u32>,
    /// Whom connections are joined with about which there is something new.
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
    /// Whether somebody may wait to be accepted. Readiness is reported once, so it is kept.
    ready: bool,
}

impl Connections {
    /// Connections by these listeners.
    pub(crate) fn new(listeners: Listeners, registry: &Registry) -> io::Result<Self> {
        let mut connections = Self::none();
        connections.buffer = vec![0; READ_BYTES].into_boxed_slice();
        for (index, mut open) in listeners.into_open().enumerate() {
            registry.register(&mut open.socket, Token(LISTENER_TOKEN + index), Interest::READABLE)?;
            connections.listeners.push(Listener { open, local: LocalId::tcp(index as u8), ready: true });
        }
        Ok(connections)
    }

    /// No TCP at all.
    pub fn none() -> Self {
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

    /// What has been counted so far.
    pub fn stats(&self) -> ConnectionStats {
        self.stats
    }

    /// Whether there is any TCP.
    pub(crate) fn is_listening(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Takes note of readiness, if the token is of a listener or a connection.
    pub(crate) fn on_readiness(&mut self, now: Instant, event: &Event) {
        let Token(token) = event.token();
        if let Some(index) = token.checked_sub(CONNECTION_TOKEN) {
            let index = index as u32;
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.mark_readable(index);
            }
            if event.is_writable() {
                self.write(now, index);
                self.mark_joined(index);
            }
        } else if let Some(index) = token.checked_sub(LISTENER_TOKEN)
            && let Some(listener) = self.listeners.get_mut(index)
        {
            listener.ready = true;
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

    /// Takes in those who wait, a bounded number.
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
                    // Who gave up while waiting; the next may not have.
                    Err(error) if is_of_one_connection(&error) => {}
                    // No descriptor or no memory left. Who waits stays in the kernel's queue.
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
            return; // which closes it
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() as u32 - 1
        });
        let listener = &self.listeners[listener].open;
        match Connection::open(now, registry, socket, path, index, listener) {
            Ok(connection) => {
                self.connections[index as usize] = Some(connection);
                // The address of a connection whose end has not been noticed yet: that one is no more.
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

    /// Ends the connection (of this host) that has waited longest without having proved anything. False if there is none:
    /// peers in a call are not disturbed by others.
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

    /// Reads once from a connection. What was read is taken out, with all that is needed to take it apart, so that whoever
    /// receives the frames may send by these connections meanwhile; [`put_back`](Self::put_back) must follow.
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
                // Asked until it says that there is nothing: a short read does not tell of an end behind it.
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

    /// The frames of a chunk have been received. `outcome`: how many, or that the connection makes no sense.
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

    /// The connection of this path, to queue frames for.
    pub(crate) fn find(&self, path: Path) -> Option<u32> {
        self.by_path.get(&path).copied()
    }

    /// Queues a frame for a connection, which is written when [`write_queued`](Self::write_queued) is called.
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

    /// Writes what was queued, as far as each connection takes it.
    pub(crate) fn write_queued(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            if let Some(Some(connection)) = self.connections.get_mut(index as usize) {
                connection.is_dirty = false;
                // One that is blocked says by itself when it takes something again.
                if connection.blocked_since.is_none() {
                    self.write(now, index);
                }
            }
        }
        self.dirty = dirty;
    }

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

    /// The machine wants this connection to stay, whatever is sent to it.
    pub(crate) fn keep(&mut self, path: Path) {
        if let Some(Some(connection)) = self.find(path).map(|index| &mut self.connections[index as usize]) {
            connection.keep();
        }
    }

    /// The machine wants this connection closed. What the socket does not take of what is queued is lost.
    pub(crate) fn hang_up(&mut self, path: Path) {
        if let Some(index) = self.find(path) {
            self.close(index, CloseReason::ByMachine);
        }
    }

    /// From now on this connection's bytes are for whoever is behind that stream. `None` if there is no such connection, or if it
    /// has begun with a frame already.
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

    /// Ends a connection that nobody is behind any more.
    pub(crate) fn close_joined(&mut self, index: u32) {
        if let Some(Some(connection)) = self.connections.get_mut(index as usize) {
            connection.joined = None;
        }
        self.close(index, CloseReason::ByMachine);
    }

    /// A connection that has not ended.
    pub(crate) fn live(&mut self, index: u32) -> Option<&mut Connection> {
        self.connections.get_mut(index as usize)?.as_mut().filter(|connection| connection.closing.is_none())
    }

    /// The next stream whose joined connection has news.
    pub(crate) fn next_joined(&mut self) -> Option<StreamId> {
        self.joined_pending.pop()
    }

    fn mark_joined(&mut self, index: u32) {
        if let Some(Some(connection)) = self.connections.get(index as usize) {
            self.joined_pending.extend(connection.joined);
        }
    }

    /// Looks at all connections when it is time, and ends those of no use.
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

    /// Closes what has ended, and says which paths are no more, and whom they were joined with.
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
        // A newer connection may have the address by now.
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

/// What was read from one connection, taken out of [`Connections`].
#[derive(Debug)]
pub(crate) struct Chunk {
    index: u32,
    path: Path,
    len: usize,
    deframer: Deframer,
    buffer: Box<[u8]>,
}

impl Chunk {
    /// Hands over each frame as a datagram; how many there were.
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

/// Without what may differ from connection to connection and is no part of who the peer is.
pub(crate) fn canonical(remote: SocketAddr) -> SocketAddr {
    match remote {
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        v4 => v4,
    }
}

/// What counts as one host: an IPv4 address, or the 64 bits of an IPv6 address that its provider gave it.
fn host(remote: SocketAddr) -> IpAddr {
    match remote.ip() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

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
