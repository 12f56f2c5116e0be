//! The TCP listeners of a worker: how they are configured and opened.

use crate::bind_error::{BindError, Protocol, bind_error};
use crate::limits::{ACCEPT_BACKLOG, SOCKETS_MAX};
use crate::tcp::framing::Framing;
use machine::LocalId;
use mio::net::TcpListener;
use socket2::{Domain, Protocol as IpProtocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A TCP listener, and how its connections are framed and secured.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// The address. An IPv6 address is IPv6 only; with port 0 the kernel chooses the port.
    pub address: SocketAddr,
    /// The framing. With [`Framing::Stun`] the machine answers unauthenticated clients, so an answer is no
    /// proof: a connection stays open only if the machine [requests it](machine::SocketRequest::Keep).
    pub framing: Framing,
    /// The TLS configuration, for TLS connections.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// The TCP listeners of one worker; [`LocalId::tcp`] of the index names each.
#[derive(Debug)]
pub struct Listeners(Vec<OpenListener>);

/// An open listener.
#[derive(Debug)]
pub(crate) struct OpenListener {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
    pub(crate) framing: Framing,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

impl Listeners {
    /// Opens one listener per address, in their order, for frames of RFC 4571.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let plain =
            |address: &SocketAddr| ListenerConfig { address: *address, framing: Framing::Rfc4571, tls: None };
        Self::open(addresses.iter().map(plain).collect())
    }

    /// Opens these listeners, in their order.
    pub fn open(listening: Vec<ListenerConfig>) -> Result<Self, BindError> {
        if listening.len() > SOCKETS_MAX {
            return Err(BindError::Count(listening.len()));
        }
        let open = |ListenerConfig { address, framing, tls }| {
            let (socket, address) =
                open(address).map_err(|source| bind_error(Protocol::Tcp, address, source))?;
            Ok(OpenListener { socket, address, framing, tls })
        };
        listening.into_iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// The address of a listener, with the port that the kernel chose if it was 0.
    pub fn local_addr(&self, local: LocalId) -> Option<SocketAddr> {
        self.0.get(usize::from(local.tcp_index()?)).map(|open| open.address)
    }

    pub(crate) fn into_open(self) -> impl Iterator<Item = OpenListener> {
        self.0.into_iter()
    }
}

fn open(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(IpProtocol::TCP))?;
    socket.set_cloexec(true)?;
    // Connections of an earlier process may still be closing. A second listener is still refused.
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
    fn a_tcp_port_in_use_is_an_error_that_names_port_and_address() {
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
    fn no_listener_is_accepted_and_too_many_are_an_error() {
        assert!(Listeners::bind(&[]).is_ok());
        let many = [SocketAddr::from(([127, 0, 0, 1], 0)); SOCKETS_MAX + 1];
        assert!(matches!(Listeners::bind(&many), Err(BindError::Count(_))));
    }
}
