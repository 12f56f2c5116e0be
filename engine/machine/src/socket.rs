//! Sockets that come and go: what a machine may ask of its driver beside sending, as values.

use crate::{LocalId, Path};

/// A UDP socket to open or to close, whose number is the machine's choice, from [`LocalId::ON_DEMAND`] on: dense, and not in
/// use. Or how long a TCP connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOrder {
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
    /// Closes a socket. What has not been received is lost.
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
