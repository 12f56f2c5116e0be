//! One TCP connection: its bytes in both directions, with or without TLS, and how long it may stay open.

use crate::limits::{BLOCKED_MAX, IDLE_MAX, PROOF_TIMEOUT, UNSENT_BYTES_MAX};
use crate::sys::set_option;
use crate::tcp::framing::{Deframer, FrameQueue, Framing};
use crate::tcp::listen;
use crate::tcp::tls::Tls;
use crate::tokens::Token;
use machine::{Instant, Path, StreamId};
use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<Box<Tls>>,
    pub(crate) path: Path,
    pub(crate) deframer: Deframer,
    pub(crate) queue: FrameQueue,
    pub(crate) accepted_at: Instant,
    proof: Proof,
    /// The stream that it is joined with. Its bytes are then no frames any more.
    pub(crate) joined: Option<StreamId>,
    /// Since when the socket has accepted nothing.
    pub(crate) blocked_since: Option<Instant>,
    pub(crate) is_readable: bool,
    pub(crate) is_dirty: bool,
    pub(crate) closing: Option<CloseReason>,
}

/// Evidence that a connection is needed.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// When the machine last sent something here.
    Used(Option<Instant>),
    /// Whether the machine has requested to keep it.
    Kept(bool),
}

/// Why a connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    ByPeer,
    ByMachine,
    Malformed,
    Unproven,
    Idle,
    Replaced,
}

impl Connection {
    pub(crate) fn open(
        now: Instant,
        registry: &Registry,
        mut socket: TcpStream,
        path: Path,
        index: u32,
        listener: &listen::OpenListener,
    ) -> io::Result<Self> {
        // The kernel must not hold a frame back to join it with a later one.
        socket.set_nodelay(true)?;
        // Bytes that the kernel has not sent yet can neither be dropped nor overtaken, so it holds few.
        set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)?;
        let token = Token::Connection(index).into();
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let tls = listener.tls.as_ref().map(Tls::accept).transpose()?;
        Ok(Self {
            socket,
            tls: tls.map(Box::new),
            path,
            deframer: Deframer::new(listener.framing),
            queue: FrameQueue::new(listener.framing),
            accepted_at: now,
            proof: match listener.framing {
                Framing::Rfc4571 => Proof::Used(None),
                Framing::Stun => Proof::Kept(false),
            },
            joined: None,
            blocked_since: None,
            is_readable: false,
            is_dirty: false,
            closing: None,
        })
    }

    /// Reads once. Zero bytes: the peer has closed. An error of kind
    /// [`InvalidData`](io::ErrorKind::InvalidData): invalid TLS.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.read(&mut self.socket, into),
            None => self.socket.read(into),
        }
    }

    /// Writes until the queue is empty, or the socket accepts no more: an error of kind
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub(crate) fn write(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.write(&mut self.socket, &mut self.queue),
            None => self.queue.write(&mut self.socket),
        }
    }

    /// Whether everything that was queued is written.
    pub(crate) fn has_taken_all(&self) -> bool {
        self.queue.is_empty() && self.blocked_since.is_none()
    }

    /// Closes the direction to the peer.
    pub(crate) fn shut_down_write(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.close_notify(&mut self.socket)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    /// Records that the machine sends something here.
    pub(crate) fn note_used(&mut self, now: Instant) {
        if let Proof::Used(at) = &mut self.proof {
            *at = Some(now);
        }
    }

    /// Keeps the connection open at the request of the machine.
    pub(crate) fn keep(&mut self) {
        self.proof = Proof::Kept(true);
    }

    /// Whether it is needed.
    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.proof, Proof::Used(Some(_)) | Proof::Kept(true))
    }

    /// The reason to close this connection at `now`, if there is one.
    pub(crate) fn reason_to_close(&self, now: Instant) -> Option<CloseReason> {
        if self.joined.is_some() {
            // The stream decides: its reader may be slow.
            return None;
        }
        let is_past = |since: Instant, bound| now.saturating_since(since) >= bound;
        if self.blocked_since.is_some_and(|since| is_past(since, BLOCKED_MAX)) {
            return Some(CloseReason::Idle);
        }
        match self.proof {
            Proof::Used(Some(used_at)) if is_past(used_at, IDLE_MAX) => Some(CloseReason::Idle),
            Proof::Used(None) | Proof::Kept(false) if is_past(self.accepted_at, PROOF_TIMEOUT) => {
                Some(CloseReason::Unproven)
            }
            _ => None,
        }
    }
}
