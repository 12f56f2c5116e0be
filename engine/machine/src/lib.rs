//! The interface between a protocol and its driver.
//!
//! A [`Machine`] does no I/O: datagrams, commands, time and randomness are arguments, datagrams are sent
//! through a [`Tx`], events are polled. The same machine therefore runs in the mio runtime, the simulator,
//! benchmarks and fuzzers. This crate is *not* a runtime: it has no socket and reads no clock.

#![forbid(unsafe_code)]

mod adaptor;
mod deadlines;
pub mod meter;
mod rng;
mod socket;
mod time;

pub use adaptor::Adaptor;
pub use deadlines::Deadlines;
pub use rng::Rng;
pub use socket::{SocketError, SocketRequest, StreamId, Towards};
pub use time::Instant;

use std::net::SocketAddr;

/// The local socket of a worker on which a datagram arrived, or is sent: below [`TCP`](Self::TCP) an index of
/// the worker's UDP sockets, below [`ON_DEMAND`](Self::ON_DEMAND) one of its TCP listeners, from there on a
/// socket that the machine has [requested](SocketRequest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u16);

impl LocalId {
    /// The first TCP listener.
    pub const TCP: Self = Self(128);

    /// The TCP listener of this index, below 128.
    pub const fn tcp(index: u8) -> Self {
        Self(Self::TCP.0 | index as u16)
    }

    /// The index of a TCP listener; `None` for a UDP socket.
    pub const fn tcp_index(self) -> Option<u8> {
        if self.is_tcp() { Some((self.0 - Self::TCP.0) as u8) } else { None }
    }

    /// Whether this is a TCP listener: data arrives in order and complete, and each remote address is one
    /// connection, which may close.
    pub const fn is_tcp(self) -> bool {
        self.0 >= Self::TCP.0 && self.0 < Self::ON_DEMAND.0
    }

    /// The first socket that a machine may request.
    pub const ON_DEMAND: Self = Self(256);

    /// The nth socket that a machine may request.
    pub const fn on_demand(index: u16) -> Self {
        Self(Self::ON_DEMAND.0.saturating_add(index))
    }

    /// The index of a requested socket; `None` for any other.
    pub const fn on_demand_index(self) -> Option<u16> {
        self.0.checked_sub(Self::ON_DEMAND.0)
    }
}

/// Which worker of an engine, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// Workers that may share a UDP port: one for each `ice-char` (RFC 8839 §5.1).
    pub const SHARING_MAX: u16 = 64;

    /// The first character of the username fragments of this worker, if it shares a port; `None` beyond
    /// [`SHARING_MAX`](Self::SHARING_MAX).
    pub fn ice_char(self) -> Option<u8> {
        ICE_CHARS.get(usize::from(self.0)).copied()
    }

    /// The worker of a username fragment that begins with this byte.
    pub fn of_ice_char(byte: u8) -> Option<Self> {
        let number = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        Some(Self(u16::from(number)))
    }
}

/// `ice-char` (RFC 8839 §5.1), in the order of base64.
pub const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A path of a machine whose UDP port several workers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathClaim {
    /// Datagrams from this path belong to this machine. Repeated while the peer proves that it is there.
    Claim(Path),
    /// They no longer do.
    Release(Path),
}

/// A dense number for one remote peer, chosen by the machine: the send batch groups the datagrams of a flow
/// without hashing. Live peers have distinct flows; numbers are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow(pub u32);

/// The two addresses of a datagram: the local socket and the remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// The local socket.
    pub local: LocalId,
    /// The remote address. IPv4 peers are plain IPv4 addresses, never IPv4-mapped IPv6.
    pub remote: SocketAddr,
}

/// One received datagram, or one frame of a TCP connection (RFC 4571). The machine may change the bytes: SRTP
/// is decrypted in place.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Its source, and the local socket.
    pub path: Path,
    /// When the kernel received it; never later than the `now` of the same call.
    pub received_at: Instant,
    /// The UDP payload, or the frame's.
    pub bytes: &'a mut [u8],
}

/// The send batch: a machine claims a slot and writes the datagram directly into it.
///
/// No method has a default, so that a wrapper cannot forget to pass one on.
pub trait Tx {
    /// Claims `len` bytes that are sent to `path`. The caller must write all of them (their content is
    /// unspecified before). `None` if the batch is full: the datagram is lost, and the implementation has
    /// counted it.
    ///
    /// Datagrams of one `flow` are sent in the order they were claimed; across flows there is no order.
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]>;

    /// Cancels the slot claimed last: nothing is sent. For a writer that failed midway.
    fn cancel(&mut self);

    /// A hint that the machine reads `soon` in a moment: an implementation may prefetch it into the
    /// processor's cache.
    fn prefetch<T: ?Sized>(&self, soon: &T);

    /// All datagrams of one flow are written for now. An implementation may send them, since waiting would
    /// not make the run longer.
    fn end_of_flow(&mut self);

    /// Sends `head` followed by `body`, which is a part of the datagram that is being received: an
    /// implementation may send `body` from the receive buffer, without a copy. False if the batch is full, as
    /// with [`slot`](Self::slot). [`forward_by_copy`] does it with a slot.
    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool;

    /// Sends `head` followed by `body`, copied once, to the machine of another worker, whose
    /// [`Machine::on_hand_off`] receives them. False if there is no such worker or its queue is full: the
    /// message is lost, and the implementation has counted it. Messages to one worker arrive in order.
    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool;

    /// The same for a `body` of any length, which the other worker owns from now on:
    /// [`Machine::on_hand_off_buffer`] receives it without a copy. In order with the other messages.
    fn hand_off_buffer(&mut self, worker: WorkerId, head: &[u8], body: Box<[u8]>) -> bool;
}

/// [`Tx::forward`] for an implementation that copies: claims a slot and writes both parts into it.
pub fn forward_by_copy(tx: &mut impl Tx, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
    let Some(slot) = tx.slot(flow, path, head.len() + body.len()) else { return false };
    let (front, back) = slot.split_at_mut(head.len());
    front.copy_from_slice(head);
    back.copy_from_slice(body);
    true
}

/// A protocol as a state machine without I/O.
///
/// `now` never goes backwards between calls. After a batch of [`on_datagram`](Self::on_datagram),
/// [`on_hand_off`](Self::on_hand_off) or [`on_hand_off_buffer`](Self::on_hand_off_buffer) calls the driver calls [`on_batch_end`](Self::on_batch_end) once,
/// flushes the `Tx`, then looks at [`next_timeout`](Self::next_timeout).
pub trait Machine {
    /// The controller's commands.
    type Command;
    /// The events of the machine.
    type Event;

    /// A datagram has arrived. An unusable one is counted and dropped; there is no error to return.
    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx);

    /// A message [from another worker](Tx::hand_off) has arrived. An unusable one is counted and dropped.
    fn on_hand_off(&mut self, now: Instant, from: WorkerId, bytes: &[u8], tx: &mut impl Tx) {
        let _ = (now, from, bytes, tx);
    }

    /// The same for a message [with a buffer](Tx::hand_off_buffer).
    fn on_hand_off_buffer(
        &mut self,
        now: Instant,
        from: WorkerId,
        head: &[u8],
        body: Box<[u8]>,
        tx: &mut impl Tx,
    ) {
        let _ = (now, from, head, body, tx);
    }

    /// The TCP connection of this path is closed: nothing can be received from it or sent to it. A new
    /// connection from the same address is a different one, without state.
    ///
    /// A driver closes a connection when the machine has sent nothing on it for long, or, if a machine
    /// answers unauthenticated clients, when the machine has not asked to [keep](SocketRequest::Keep) it.
    fn on_path_closed(&mut self, now: Instant, path: Path, tx: &mut impl Tx) {
        let _ = (now, path, tx);
    }

    /// Until when the end of the batch may be delayed, because more datagrams that are cheaper to handle
    /// together should arrive soon. Called after the datagrams of a batch; `None`: no delay.
    fn gathering_until(&self) -> Option<Instant> {
        None
    }

    /// The last datagram of a receive batch has been handled.
    fn on_batch_end(&mut self, now: Instant, tx: &mut impl Tx);

    /// The time of [`next_timeout`](Self::next_timeout) has been reached (or passed).
    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx);

    /// A command of the controller. The answer is an event.
    fn on_command(&mut self, now: Instant, command: Self::Command, tx: &mut impl Tx);

    /// The next request to open or close a socket, oldest first. The driver polls after each
    /// [`on_batch_end`](Self::on_batch_end), [`on_path_closed`](Self::on_path_closed),
    /// [`on_command`](Self::on_command) and [`on_timeout`](Self::on_timeout), and carries out the request
    /// before it calls anything else.
    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        None
    }

    /// The next path that the machine claims or releases, oldest first: for drivers of several workers that
    /// share a port. Such a driver polls before it sends what the machine has written, so that the answer of
    /// a peer finds its worker.
    fn poll_path_claim(&mut self) -> Option<PathClaim> {
        None
    }

    /// The result of [`SocketRequest::Open`]: the address of the socket `local`, or the error.
    fn on_socket_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        let _ = (now, local, opened, tx);
    }

    /// A peer has connected to the listener `local`. Returns the id for the stream, or `None` to close it.
    fn on_stream_offered(
        &mut self,
        now: Instant,
        local: LocalId,
        remote: SocketAddr,
        tx: &mut impl Tx,
    ) -> Option<StreamId> {
        let _ = (now, local, remote, tx);
        None
    }

    /// [`SocketRequest::Connect`] has succeeded.
    fn on_stream_connected(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        let _ = (now, stream, tx);
    }

    /// Bytes were passed on a joined stream. The driver passes no more in that direction before the returned
    /// instant.
    fn on_stream_passed(
        &mut self,
        now: Instant,
        stream: StreamId,
        towards: Towards,
        bytes: usize,
    ) -> Instant {
        let _ = (stream, towards, bytes);
        now
    }

    /// The stream is closed, or could not be opened: its number is free. If it was joined, the client's
    /// connection is closed too.
    fn on_stream_closed(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        let _ = (now, stream, tx);
    }

    /// The next event for the controller, oldest first.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When to call [`on_timeout`](Self::on_timeout); `None`: only after the next input.
    fn next_timeout(&self) -> Option<Instant>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_has_a_character_of_its_own() {
        for number in 0..WorkerId::SHARING_MAX {
            let byte = WorkerId(number).ice_char().expect("64 characters");
            assert_eq!(WorkerId::of_ice_char(byte), Some(WorkerId(number)));
        }
        assert_eq!(WorkerId(WorkerId::SHARING_MAX).ice_char(), None);
        assert_eq!((0..=255).filter_map(WorkerId::of_ice_char).count(), 64);
    }
}
