//! The contract between a protocol and the world.
//!
//! A [`Machine`] does no I/O: datagrams, commands, time and chance come in as arguments, datagrams go
//! out through a [`Tx`], events are polled. The same machine therefore runs under the mio runtime,
//! under the simulator, in benches and in fuzzers. This crate is *not* a runtime: it holds no socket
//! and reads no clock.

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

/// Which local socket of a worker a datagram came in on, and must leave by: below [`TCP`](Self::TCP) an index into the
/// worker's UDP sockets, below [`ON_DEMAND`](Self::ON_DEMAND) one into its TCP listeners, from there on a socket that
/// the machine [ordered](SocketRequest).
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

    /// Whether this is a TCP listener: what comes by it came in order and whole, and each remote address behind it is one
    /// connection, which may close.
    pub const fn is_tcp(self) -> bool {
        self.0 >= Self::TCP.0 && self.0 < Self::ON_DEMAND.0
    }

    /// The first that a machine may order.
    pub const ON_DEMAND: Self = Self(256);

    /// The nth that a machine may order.
    pub const fn on_demand(index: u16) -> Self {
        Self(Self::ON_DEMAND.0.saturating_add(index))
    }

    /// Which of those that a machine may order; `None` for any other.
    pub const fn on_demand_index(self) -> Option<u16> {
        self.0.checked_sub(Self::ON_DEMAND.0)
    }
}

/// Which worker of an engine, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// A dense number for one remote peer, chosen by the machine: the send batch groups the datagrams of
/// one flow into runs without hashing. Flows of live peers are distinct; numbers are reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow(pub u32);

/// The two ends of a datagram's way: our socket and the remote address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// Our end.
    pub local: LocalId,
    /// The far end. IPv4 peers are plain IPv4 addresses, never IPv4-mapped IPv6.
    pub remote: SocketAddr,
}

/// One received datagram, or one frame of a TCP connection (RFC 4571). The bytes are the machine's to change: SRTP is decrypted in place.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Where it came from, and on which of our sockets.
    pub path: Path,
    /// When the kernel received it; never later than the `now` of the same call.
    pub received_at: Instant,
    /// The UDP payload, or the frame's.
    pub bytes: &'a mut [u8],
}

/// The send batch: a machine claims a slot, writes the datagram straight into it, and is done.
///
/// No method has a default, so that a wrapper cannot forget to pass one on.
pub trait Tx {
    /// Claims `len` bytes that leave for `path`, all of which the caller must write (their content
    /// is unspecified before). `None` when the batch is full: the datagram is then lost as on any
    /// full queue, and the implementation has counted it.
    ///
    /// Datagrams of one `flow` leave in the order they were claimed; across flows there is none.
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]>;

    /// Gives back the slot claimed last: nothing is sent. For a writer that failed midway.
    fn cancel(&mut self);

    /// The machine reads `soon` in a moment: an implementation may have the processor fetch it. A hint, and nothing else.
    fn prefetch<T: ?Sized>(&self, soon: &T);

    /// All datagrams of one flow are written for now. An implementation may send them, since waiting would not make a longer run.
    fn end_of_flow(&mut self);

    /// Sends `head` and behind it `body`, which is a part of the datagram that is just being received: an implementation may send
    /// that from where it lies, without a copy. False when the batch is full, as with [`slot`](Self::slot). [`forward_by_copy`] does it
    /// with a slot.
    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool;

    /// Hands `head` and behind it `body`, copied once, to the machine of another worker, whose [`Machine::on_hand_off`] is called with them.
    /// False if there is no such worker or its queue is full: they are then lost, and the implementation has counted it. What is handed to
    /// one worker comes there in this order.
    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool;
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
/// `now` never goes backwards between calls. After a batch of [`on_datagram`](Self::on_datagram) or [`on_hand_off`](Self::on_hand_off)
/// calls the driver calls [`on_batch_end`](Self::on_batch_end) once, flushes the `Tx`, then looks at
/// [`next_timeout`](Self::next_timeout).
pub trait Machine {
    /// What the controller may ask.
    type Command;
    /// What the machine has to say.
    type Event;

    /// A datagram arrived. Anything unusable is counted and dropped; there is no error to return.
    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx);

    /// The machine of another worker has [handed this over](Tx::hand_off). Anything unusable is counted and dropped.
    fn on_hand_off(&mut self, now: Instant, from: WorkerId, bytes: &[u8], tx: &mut impl Tx) {
        let _ = (now, from, bytes, tx);
    }

    /// The TCP connection behind this path is closed: nothing comes from there any more, and nothing gets there. A new
    /// connection from the same address is another one, and has nothing yet.
    ///
    /// A driver closes a connection by itself when the machine has sent nothing to it for long, or, where a machine answers
    /// strangers, when it has not been told to [keep](SocketRequest::Keep) it.
    fn on_path_closed(&mut self, now: Instant, path: Path, tx: &mut impl Tx) {
        let _ = (now, path, tx);
    }

    /// Until when the end of the batch may be put off, because more of what has just come should be here in a moment and would be cheaper to
    /// handle together with it. Asked after the datagrams of a batch; `None`: there is nothing to wait for.
    fn gathering_until(&self) -> Option<Instant> {
        None
    }

    /// The last datagram of a receive batch has been handed in.
    fn on_batch_end(&mut self, now: Instant, tx: &mut impl Tx);

    /// The instant of [`next_timeout`](Self::next_timeout) has come (or passed).
    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx);

    /// The controller asks for something. The answer is an event.
    fn on_command(&mut self, now: Instant, command: Self::Command, tx: &mut impl Tx);

    /// The next socket to open or to close, oldest first. The driver asks after each [`on_batch_end`](Self::on_batch_end),
    /// [`on_path_closed`](Self::on_path_closed), [`on_command`](Self::on_command) and [`on_timeout`](Self::on_timeout), and carries out
    /// what it is told before it calls anything else.
    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        None
    }

    /// What became of [`SocketRequest::Open`]: the address that the socket `local` has, or why there is none.
    fn on_socket_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        let _ = (now, local, opened, tx);
    }

    /// Somebody has connected to the listener `local`: what the stream is to be called, or `None` to have it closed.
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

    /// [`SocketRequest::Connect`] has reached whom it should.
    fn on_stream_connected(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        let _ = (now, stream, tx);
    }

    /// A joined stream has passed on so many bytes. The driver passes no more that way before the instant told.
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

    /// The stream is no more, or has never come to be: its number is free. If it was joined, so is the client's connection.
    fn on_stream_closed(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        let _ = (now, stream, tx);
    }

    /// The next thing to tell the controller, oldest first.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When [`on_timeout`](Self::on_timeout) wants to be called; `None`: only after the next input.
    fn next_timeout(&self) -> Option<Instant>;
}
