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

/// What to listen on over TCP, and how connections are there.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where. An IPv6 address is IPv6 only; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// What makes frames of their bytes. With [`Framing::Stun`] the machine answers strangers, so that being answered proves
    /// nothing: a connection lives for long only if the machine [says so](machine::SocketRequest::Keep).
    pub framing: Framing,
    /// The certificates, if connections are TLS's.
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

    /// Where a listener listens; the port is the real one if 0 was asked for.
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
