//! Sockets that come and go: what a machine may ask of its driver beside sending, as values.

use crate::{LocalId, Path};
use std::net::SocketAddr;

/// A TCP connection with somebody that the machine wants to reach, or lets reach one of its listeners: a number of the machine's
/// choice, dense and not in use. Its bytes do not pass through the machine: the driver hands them to a client's connection, and back,
/// once the two are [joined](SocketRequest::Join).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u16);

/// The end of a joined connection that bytes were passed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// The machine's client, behind a [`Path`].
    Client,
    /// The other end of a [`StreamId`].
    Peer,
}

/// A socket to open or to close, whose number is the machine's choice, from [`LocalId::ON_DEMAND`] on: dense, and not in
/// use. Or what becomes of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketRequest {
    /// Opens a socket on a port of the driver's choice, where it listens in this family. The driver tells what became of it.
    Open {
        /// What it is to be called.
        local: LocalId,
        /// Another on the port after it, which is then odd (RFC 3550 §11), or neither. Told together: its port says itself.
        next: Option<LocalId>,
        /// IPv6 rather than IPv4.
        is_ipv6: bool,
        /// Whether what leaves by it must not be fragmented on its way (the DF bit, RFC 791 §2.3).
        dont_fragment: bool,
    },
    /// Opens a TCP listener, as with [`Open`](Self::Open). The machine is asked about everybody who connects.
    Listen {
        /// What it is to be called.
        local: LocalId,
        /// IPv6 rather than IPv4.
        is_ipv6: bool,
    },
    /// Connects from the address of a listener.
    Connect {
        /// What it is to be called.
        stream: StreamId,
        /// The listener.
        local: LocalId,
        /// To whom.
        remote: SocketAddr,
    },
    /// From now on every byte that comes from the client behind this path goes to the stream's other end, and back, as it is and no
    /// faster than it is taken there. What was sent to the path before leaves first.
    Join {
        /// Open, and not joined.
        stream: StreamId,
        /// The client's.
        path: Path,
    },
    /// Closes a stream, whatever its state, and the client's connection that it is joined with. The machine is told no more of it.
    CloseStream {
        /// Which.
        stream: StreamId,
    },
    /// Closes a socket or a listener. What has not been received is lost; streams stay.
    Close {
        /// Which.
        local: LocalId,
    },
    /// Keeps the connection behind this path open though nothing may be sent to it for long.
    Keep {
        /// Which.
        path: Path,
    },
    /// Closes the connection behind this path, once what was sent to it has left. The machine is told like of any other end.
    HangUp {
        /// Which.
        path: Path,
    },
}

/// Why there is no socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketError {
    /// The driver does not listen in this family.
    Family,
    /// Every port that it may use is taken.
    Ports,
    /// The operating system gives no more, or the driver has no room for its number.
    System,
}
