//! Opening what a worker listens on over TCP, and what can go wrong with any address.

use crate::framing::Framing;
use crate::limits::{ACCEPT_BACKLOG, SOCKETS_MAX};
use machine::LocalId;
use mio::net::TcpListener;
use socket2::{Domain, Protocol as IpProtocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

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

/// What to listen on over TCP, and how connections are there.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Where. An IPv6 address is IPv6 only; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// What makes frames of their bytes. With [`Framing::Stun`] the machine answers strangers, so that being answered proves
    /// nothing: a connection lives for long only if the machine [says so](machine::SocketOrder::Keep).
    pub framing: Framing,
    /// The certificates, if connections are TLS's.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// The TCP listeners of one worker; [`LocalId::tcp`] of the index names each.
#[derive(Debug)]
pub struct Listeners(Vec<Open>);

/// An open listener.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
    pub(crate) framing: Framing,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

impl Listeners {
    /// Opens one listener per address, in their order, for frames of RFC 4571.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let plain =
            |address: &SocketAddr| Listening { address: *address, framing: Framing::Rfc4571, tls: None };
        Self::open(addresses.iter().map(plain).collect())
    }

    /// Opens these listeners, in their order.
    pub fn open(listening: Vec<Listening>) -> Result<Self, BindError> {
        if listening.len() > SOCKETS_MAX {
            return Err(BindError::Count(listening.len()));
        }
        let open = |Listening { address, framing, tls }| {
            let (socket, address) =
                open(address).map_err(|source| bind_error(Protocol::Tcp, address, source))?;
            Ok(Open { socket, address, framing, tls })
        };
        listening.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Where a listener listens; the port is the real one if 0 was asked for.
    pub fn local_addr(&self, local: LocalId) -> Option<SocketAddr> {
        self.0.get(usize::from(local.tcp_index()?)).map(|open| open.address)
    }

    pub(crate) fn into_open(self) -> impl Iterator<Item = Open> {
        self.0.into_iter()
    }
}

fn open(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(IpProtocol::TCP))?;
    socket.set_cloexec(true)?;
    // Connections of the engine before this one may still be closing; a second listener is refused all the same.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok((TcpListener::from_std(listener), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_port_in_use_is_named_as_one() {
        let bind = |port: u16| Listeners::bind(&[SocketAddr::from(([127, 0, 0, 1], port))]);
        let first = bind(0).expect("loopback");
        let port = first.local_addr(LocalId::tcp(0)).expect("bound").port();
        let error = bind(port).expect_err("in use");
        assert_eq!(
            error.to_string(),
            format!(
                "TCP port {port} on 127.0.0.1 is in use by another process: stop it, or choose another port"
            )
        );
        drop(first);
        bind(port).expect("free again");
    }

    #[test]
    fn no_listener_is_fine_and_too_many_are_not() {
        assert!(Listeners::bind(&[]).is_ok());
        let many = [SocketAddr::from(([127, 0, 0, 1], 0)); SOCKETS_MAX + 1];
        assert!(matches!(Listeners::bind(&many), Err(BindError::Count(_))));
    }
}
