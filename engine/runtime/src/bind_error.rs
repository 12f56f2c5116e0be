//! Why a listening address could not be opened, over UDP or TCP.

use crate::limits::SOCKETS_MAX;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A listening address could not be opened. Each says what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has the port.
    #[error("{protocol} port {} on {} is in use by another process: stop it, or choose another port", .address.port(), .address.ip())]
    InUse {
        /// Over what.
        protocol: Protocol,
        /// Where.
        address: SocketAddr,
    },
    /// The address is none of this host's.
    #[error("{} is not an address of this host: listen on one that `ip addr` shows", .0.ip())]
    NotLocal(SocketAddr),
    /// A port below 1024 without the right to it.
    #[error("{protocol} port {} on {} needs the capability CAP_NET_BIND_SERVICE", .address.port(), .address.ip())]
    Denied {
        /// Over what.
        protocol: Protocol,
        /// Where.
        address: SocketAddr,
    },
    /// None, or more than [`SOCKETS_MAX`].
    #[error("{0} listening addresses for a worker; from 1 to {SOCKETS_MAX} are possible")]
    Count(usize),
    /// The operating system refused otherwise.
    #[error("cannot listen on {protocol} {address}")]
    Io {
        /// Over what.
        protocol: Protocol,
        /// Where.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// What is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

pub(crate) fn bind_error(protocol: Protocol, address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { protocol, address },
        io::ErrorKind::AddrNotAvailable => BindError::NotLocal(address),
        io::ErrorKind::PermissionDenied => BindError::Denied { protocol, address },
        _ => BindError::Io { protocol, address, source },
    }
}
