//! TCP connections whose bytes the machine does not see (RFC 6062): listeners that the machine has requested,
//! connections to and from peers, and the clients' connections that they are joined with.
//!
//! Bytes are forwarded unchanged, with back-pressure: nothing is read from one side before the other side has
//! accepted the bytes before, so at most one read per direction waits here. The end of one direction is
//! forwarded too; the other direction continues.

use crate::limits::{ACCEPT_RETRY, ACCEPTS_PER_TURN, LINGER_MAX, PEER_STREAMS_MAX, READ_BYTES};
use crate::sys::set_option;
use crate::tcp::connection::Connection;
use crate::tcp::connections::{Connections, canonical, is_of_one_connection};
use crate::tcp::framing::{FrameQueue, Framing};
use crate::tokens::Token;
use crate::udp::on_demand::OnDemand;
use machine::{Deadlines, Instant, LocalId, SocketError, StreamId, Towards};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;

/// The streams of one worker, and their listeners.
#[derive(Debug, Default)]
pub(crate) struct Bridge {
    listeners: BTreeMap<LocalId, PeerListener>,
    /// Listeners with a connection that may wait to be accepted, each once.
    waiting: VecDeque<LocalId>,
    accept_at: Option<Instant>,
    /// By [`StreamId`].
    peers: Vec<Option<Peer>>,
    /// Streams to process, each once.
    pending: VecDeque<StreamId>,
    /// When to process a stream without an event.
    deadlines: Deadlines,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct PeerListener {
    socket: TcpListener,
    address: SocketAddr,
    is_waiting: bool,
}

/// The peer at the other end of a stream.
#[derive(Debug)]
struct Peer {
    socket: TcpStream,
    is_connected: bool,
    /// The client's connection that it is joined with.
    client: Option<u32>,
    /// Bytes that the peer has not accepted yet.
    queue: FrameQueue,
    is_readable: bool,
    is_pending: bool,
    to_client: Direction,
    to_peer: Direction,
    /// When both sides are closed, after one side has ended.
    ends_at: Option<Instant>,
}

/// One of the two directions.
#[derive(Debug, Default)]
struct Direction {
    /// Nothing is read before this time.
    resume_at: Instant,
    /// Whether the source has sent everything.
    has_ended: bool,
    /// Whether the end was forwarded to the other side.
    is_shut: bool,
}

/// What happened to a stream that the machine must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamEvent {
    /// The connection to the peer is established.
    Connected,
    /// The stream is closed.
    Closed,
}

impl Bridge {
    /// Opens a listener on a port of the pool. Returns its address.
    pub(crate) fn listen(
        &mut self,
        registry: &Registry,
        on_demand: &mut OnDemand,
        local: LocalId,
        is_ipv6: bool,
    ) -> Result<SocketAddr, SocketError> {
        let (mut socket, address) = on_demand.take_port(is_ipv6, open_listener)?;
        let token = Token::PeerListener(local).into();
        if self.listeners.contains_key(&local)
            || registry.register(&mut socket, token, Interest::READABLE).is_err()
        {
            on_demand.release_port(address);
            return Err(SocketError::System);
        }
        self.listeners.insert(local, PeerListener { socket, address, is_waiting: false });
        Ok(address)
    }

    /// Closes a listener, if there is one of this number.
    pub(crate) fn close_listener(&mut self, on_demand: &mut OnDemand, local: LocalId) {
        if let Some(listener) = self.listeners.remove(&local) {
            on_demand.release_port(listener.address);
            self.waiting.retain(|other| *other != local);
        }
    }

    /// Connects from a listener's address. The result is reported later, except for an immediate error.
    pub(crate) fn connect(
        &mut self,
        registry: &Registry,
        stream: StreamId,
        local: LocalId,
        remote: SocketAddr,
    ) -> io::Result<()> {
        let from = self.listeners.get(&local).ok_or(io::ErrorKind::NotFound)?.address;
        self.insert(registry, stream, open_connection(from, remote)?, false)
    }

    /// An accepted connection becomes this stream.
    pub(crate) fn admit(
        &mut self,
        registry: &Registry,
        stream: StreamId,
        socket: TcpStream,
    ) -> io::Result<()> {
        self.insert(registry, stream, socket, true)
    }

    fn insert(
        &mut self,
        registry: &Registry,
        stream: StreamId,
        mut socket: TcpStream,
        is_connected: bool,
    ) -> io::Result<()> {
        let index = usize::from(stream.0);
        if index >= PEER_STREAMS_MAX || self.peers.get(index).is_some_and(Option::is_some) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The kernel must not hold forwarded bytes back to join them with later ones.
        socket.set_nodelay(true)?;
        let token = Token::PeerStream(stream).into();
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        if index >= self.peers.len() {
            self.peers.resize_with(index + 1, || None);
        }
        self.peers[index] = Some(Peer {
            socket,
            is_connected,
            client: None,
            queue: FrameQueue::new(Framing::Stun),
            is_readable: true,
            is_pending: false,
            to_client: Direction::default(),
            to_peer: Direction::default(),
            ends_at: None,
        });
        Ok(())
    }

    /// Joins a stream with a client's connection. False if one of the two does not exist or is joined
    /// already.
    pub(crate) fn join(&mut self, stream: StreamId, client: Option<u32>) -> bool {
        let peer = self.peer(stream).filter(|peer| peer.is_connected && peer.client.is_none());
        let (Some(peer), Some(_)) = (peer, client) else { return false };
        peer.client = client;
        if self.buffer.is_empty() {
            self.buffer = vec![0; READ_BYTES];
        }
        self.mark_pending(stream);
        true
    }

    /// Closes a stream, and the client's connection that it is joined with. False if the stream does not
    /// exist.
    pub(crate) fn close(&mut self, connections: &mut Connections, stream: StreamId) -> bool {
        let peer = self.peers.get_mut(usize::from(stream.0)).and_then(Option::take);
        self.deadlines.set(stream.0.into(), None);
        let client = peer.as_ref().and_then(|peer| peer.client);
        client.into_iter().for_each(|client| connections.close_joined(client));
        peer.is_some()
    }

    /// Records the readiness of a stream.
    pub(crate) fn on_readiness(&mut self, stream: StreamId, event: &Event) {
        if let Some(peer) = self.peer(stream) {
            peer.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
            self.mark_pending(stream);
        }
    }

    /// Records that a connection may wait to be accepted on a listener.
    pub(crate) fn on_acceptable(&mut self, local: LocalId) {
        if let Some(listener) = self.listeners.get_mut(&local)
            && !std::mem::replace(&mut listener.is_waiting, true)
        {
            self.waiting.push_back(local);
        }
    }

    /// Marks a stream to be processed.
    pub(crate) fn mark_pending(&mut self, stream: StreamId) {
        if let Some(peer) = self.peer(stream)
            && !std::mem::replace(&mut peer.is_pending, true)
        {
            self.pending.push_back(stream);
        }
    }

    /// Whether there may be something to do, now or later.
    pub(crate) fn is_in_use(&self) -> bool {
        self.has_work() || self.next_timeout().is_some()
    }

    /// Whether there is something to do without waiting.
    pub(crate) fn has_work(&self) -> bool {
        !self.pending.is_empty() || (self.accept_at.is_none() && !self.waiting.is_empty())
    }

    /// When there is something to do without an event.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.next().into_iter().chain(self.accept_at).min()
    }

    /// Marks the streams whose deadline has passed.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.accept_at = self.accept_at.filter(|at| *at > now);
        while let Some(stream) = self.deadlines.pop(now) {
            self.mark_pending(StreamId(stream as u16));
        }
    }

    /// Accepts a bounded number of connections: the number of the listener, the socket, and the peer's
    /// address.
    pub(crate) fn accept(&mut self, now: Instant) -> Vec<(LocalId, TcpStream, SocketAddr)> {
        let mut accepted = Vec::new();
        while self.accept_at.is_none()
            && accepted.len() < ACCEPTS_PER_TURN
            && let Some(local) = self.waiting.front().copied()
        {
            let Some(listener) = self.listeners.get_mut(&local) else { break };
            match listener.socket.accept() {
                Ok((socket, remote)) => accepted.push((local, socket, canonical(remote))),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.is_waiting = false;
                    self.waiting.pop_front();
                }
                // No descriptor or no memory is left. Waiting connections stay in the kernel's queue.
                Err(_) => self.accept_at = Some(now + ACCEPT_RETRY),
            }
        }
        accepted
    }

    /// The next stream to process.
    pub(crate) fn next_pending(&mut self) -> Option<StreamId> {
        let stream = self.pending.pop_front()?;
        if let Some(peer) = self.peer(stream) {
            peer.is_pending = false;
        }
        Some(stream)
    }

    /// Processes a stream: checks whether it is connected, or forwards bytes, one read per direction.
    /// `passed` is called with the number of bytes, and returns when to continue.
    pub(crate) fn drive(
        &mut self,
        now: Instant,
        stream: StreamId,
        connections: &mut Connections,
        passed: impl FnMut(Towards, usize) -> Instant,
    ) -> Option<StreamEvent> {
        let Some(Some(peer)) = self.peers.get_mut(usize::from(stream.0)) else { return None };
        let driven = if peer.is_connected {
            peer.pass(now, connections, &mut self.buffer, passed)
        } else {
            peer.check_connected()
        };
        match driven {
            Ok(event) => {
                let wake_at = peer.wake_at(now);
                let has_more = peer.client.is_some() && peer.has_more(now, connections);
                self.deadlines.set(stream.0.into(), wake_at);
                if has_more {
                    self.mark_pending(stream);
                }
                event
            }
            Err(_) => {
                self.close(connections, stream);
                Some(StreamEvent::Closed)
            }
        }
    }

    fn peer(&mut self, stream: StreamId) -> Option<&mut Peer> {
        self.peers.get_mut(usize::from(stream.0))?.as_mut()
    }
}

impl Peer {
    /// Whether the connection is established.
    fn check_connected(&mut self) -> io::Result<Option<StreamEvent>> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => {
                self.is_connected = true;
                Ok(Some(StreamEvent::Connected))
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forwards bytes in both directions. An error closes both sides.
    fn pass(
        &mut self,
        now: Instant,
        connections: &mut Connections,
        buffer: &mut [u8],
        mut passed: impl FnMut(Towards, usize) -> Instant,
    ) -> io::Result<Option<StreamEvent>> {
        let Some(index) = self.client else {
            // Before the join, bytes of the peer stay in the kernel. An error is reported at once.
            return self.socket.take_error()?.map_or(Ok(None), Err);
        };
        self.flush()?;
        connections.write(now, index);
        let client = connections.live(index).ok_or(io::ErrorKind::NotConnected)?;
        if self.may_read_peer(now, client) {
            match read_outcome(self.socket.read(buffer), &mut self.is_readable)? {
                Some(0) => self.to_client.has_ended = true,
                Some(len) => {
                    client.queue.push_raw(now, &buffer[..len]);
                    self.to_client.resume_at = passed(Towards::Client, len);
                    connections.write(now, index);
                }
                None => {}
            }
        }
        let client = connections.live(index).ok_or(io::ErrorKind::NotConnected)?;
        if self.may_read_client(now, client) {
            let read = client.read(buffer);
            match read_outcome(read, &mut client.is_readable)? {
                Some(0) => self.to_peer.has_ended = true,
                Some(len) => {
                    self.queue.push_raw(now, &buffer[..len]);
                    self.to_peer.resume_at = passed(Towards::Peer, len);
                    self.flush()?;
                }
                None => {}
            }
        }
        self.pass_on_ends(now, client)
    }

    /// Forwards the end of a direction, after the other side has accepted everything.
    fn pass_on_ends(&mut self, now: Instant, client: &mut Connection) -> io::Result<Option<StreamEvent>> {
        if self.to_client.has_ended && !self.to_client.is_shut && client.has_taken_all() {
            self.to_client.is_shut = true;
            client.shut_down_write()?;
        }
        if self.to_peer.has_ended && !self.to_peer.is_shut && self.queue.is_empty() {
            self.to_peer.is_shut = true;
            self.socket.shutdown(Shutdown::Write)?;
        }
        if self.to_client.has_ended || self.to_peer.has_ended {
            self.ends_at.get_or_insert(now + LINGER_MAX);
        }
        let is_over = self.to_client.is_shut && self.to_peer.is_shut;
        if is_over || self.ends_at.is_some_and(|at| at <= now) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(None)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.queue.write(&mut self.socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn may_read_peer(&self, now: Instant, client: &Connection) -> bool {
        self.is_readable
            && !self.to_client.has_ended
            && self.to_client.resume_at <= now
            && client.has_taken_all()
    }

    fn may_read_client(&self, now: Instant, client: &Connection) -> bool {
        client.is_readable
            && !self.to_peer.has_ended
            && self.to_peer.resume_at <= now
            && self.queue.is_empty()
    }

    /// Whether more can be forwarded at once.
    fn has_more(&self, now: Instant, connections: &mut Connections) -> bool {
        let client = self.client.and_then(|index| connections.live(index));
        client.is_some_and(|client| self.may_read_peer(now, client) || self.may_read_client(now, client))
    }

    /// When to process it without an event.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let pauses = [&self.to_client, &self.to_peer].map(|direction| direction.resume_at).into_iter();
        pauses.filter(|at| *at > now).chain(self.ends_at).min()
    }
}

/// The number of bytes read, zero at the end; `None` if there is nothing to read now.
fn read_outcome(read: io::Result<usize>, is_readable: &mut bool) -> io::Result<Option<usize>> {
    match read {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            *is_readable = false;
            Ok(None)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

fn open_listener(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = new_socket(address)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPTS_PER_TURN as i32)?;
    // Only after the bind, which checks that the port is free: connections from this port share it with the
    // listener.
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    Ok((TcpListener::from_std(socket.into()), address))
}

fn open_connection(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = new_socket(from)?;
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_cloexec(true)?;
    // Connections of an earlier allocation may still be closing.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
