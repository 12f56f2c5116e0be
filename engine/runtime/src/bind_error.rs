//! Why a listening address could not be opened, over UDP or TCP.

use crate::limits::SOCKETS_MAX;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A listening address could not be opened. Each message contains what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has the port.
    #[error("{protocol} port {} on {} is in use by another process: stop it, or choose another port", .address.port(), .address.ip())]
    InUse {
        /// The protocol.
        protocol: Protocol,
        /// The address.
        address: SocketAddr,
    },
    /// The host does not have this address.
    #[error("{} is not an address of this host: listen on one that `ip addr` shows", .0.ip())]
    NotLocal(SocketAddr),
    /// A port below 1024 without the capability for it.
    #[error("{protocol} port {} on {} needs the capability CAP_NET_BIND_SERVICE", .address.port(), .address.ip())]
    Denied {
        /// The protocol.
        protocol: Protocol,
        /// The address.
        address: SocketAddr,
    },
    /// No address, or more than [`SOCKETS_MAX`].
    #[error("{0} listening addresses for a worker; from 1 to {SOCKETS_MAX} are possible")]
    Count(usize),
    /// Another error of the operating system.
    #[error("cannot listen on {protocol} {address}")]
    Io {
        /// The protocol.
        protocol: Protocol,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// The transport protocol of a listening address.
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
