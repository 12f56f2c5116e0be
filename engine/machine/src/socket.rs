//! Sockets that are opened and closed at run time: requests of a machine to its driver, as values.

use crate::{LocalId, Path};
use std::net::SocketAddr;

/// The number of a TCP connection to a peer, or from a peer to one of the machine's listeners: chosen by the
/// machine, dense and not in use. Its bytes do not pass through the machine: the driver copies them from and
/// to a client's connection once the two are [joined](SocketRequest::Join).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u16);

/// The end of a joined connection to which bytes were passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// The machine's client, behind a [`Path`].
    Client,
    /// The other end of a [`StreamId`].
    Peer,
}

/// A socket to open or to close; the machine chooses its number, from [`LocalId::ON_DEMAND`] on: dense, and
/// not in use. Or an operation on a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketRequest {
    /// Opens a socket on a port of the driver's choice, on its address of this family. The driver reports the
    /// result.
    Open {
        /// The socket's id.
        local: LocalId,
        /// A second socket on the next port, which is then odd (RFC 3550 §11); both are opened or neither.
        /// Reported together: the port is implied.
        next: Option<LocalId>,
        /// IPv6 rather than IPv4.
        is_ipv6: bool,
        /// Whether datagrams from it must not be fragmented (the DF bit, RFC 791 §2.3).
        dont_fragment: bool,
    },
    /// Opens a TCP listener, as with [`Open`](Self::Open). The machine is called for every connection.
    Listen {
        /// The listener's id.
        local: LocalId,
        /// IPv6 rather than IPv4.
        is_ipv6: bool,
    },
    /// Connects from the address of a listener.
    Connect {
        /// The stream's id.
        stream: StreamId,
        /// The listener.
        local: LocalId,
        /// The destination.
        remote: SocketAddr,
    },
    /// From now on every byte from the client of this path goes to the stream's other end, and back,
    /// unchanged and with flow control. Data that was sent to the path before is sent first.
    Join {
        /// Open, and not joined.
        stream: StreamId,
        /// The client's path.
        path: Path,
    },
    /// Closes a stream in any state, and the client's connection that it is joined with. The machine gets no
    /// further events of it.
    CloseStream {
        /// Which.
        stream: StreamId,
    },
    /// Closes a socket or a listener. Unread data is lost; streams stay.
    Close {
        /// Which.
        local: LocalId,
    },
    /// Keeps the connection of this path open even if nothing is sent to it for long.
    Keep {
        /// Which.
        path: Path,
    },
    /// Closes the connection of this path after pending data has been sent. The machine is notified as of any
    /// other end.
    HangUp {
        /// Which.
        path: Path,
    },
}

/// Why a socket could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketError {
    /// The driver does not listen in this address family.
    Family,
    /// All its ports are in use.
    Ports,
    /// The operating system has reached a limit, or the driver has no room for the number.
    System,
}
