//! Opening one UDP socket, with its options.

use crate::sys::set_option;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

/// How to open the sockets.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// Kernel receive buffer per socket, bytes. Default 4 MiB: 15 ms at 2 Gbit/s. Capped by
    /// `net.core.rmem_max`.
    pub receive_buffer_bytes: usize,
    /// Kernel send buffer per socket, bytes. Default 4 MiB: one full batch. Capped by `net.core.wmem_max`.
    pub send_buffer_bytes: usize,
    /// Let the kernel join received datagrams of one peer (UDP GRO), if it can. Default: yes.
    pub gro: bool,
    /// Let the kernel split runs into datagrams (UDP GSO), if it can. Default: yes.
    pub gso: bool,
    /// Whether the sockets of several workers have the same address (`SO_REUSEPORT`). Default: no.
    pub share: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { receive_buffer_bytes: 4 << 20, send_buffer_bytes: 4 << 20, gro: true, gso: true, share: false }
    }
}

/// Sizes that the kernel granted, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// Receive buffer.
    pub receive: usize,
    /// Send buffer.
    pub send: usize,
}

/// An open socket.
#[derive(Debug)]
pub(crate) struct OpenSocket {
    pub(crate) socket: UdpSocket,
    pub(crate) address: SocketAddr,
    pub(crate) buffers: BufferSizes,
}

/// Opens a socket with all options except those that a kernel may lack.
pub(crate) fn open(address: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.set_cloexec(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if options.share {
        set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    // The kernel reduces these to its maximum without an error; the granted sizes are read later.
    socket.set_recv_buffer_size(options.receive_buffer_bytes)?;
    socket.set_send_buffer_size(options.send_buffer_bytes)?;
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    // Media packets are small enough for every path. An attacker could forge "fragmentation needed" messages
    // to stop our runs to a peer: the kernel refuses a run whose segments exceed the path MTU that it has
    // learned.
    if address.is_ipv4() {
        set_option(socket.as_fd(), libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_INTERFACE)?;
    } else {
        set_option(socket.as_fd(), libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_INTERFACE)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Opens a socket while the worker runs. It behaves like the sockets that are open from the start: `options`
/// are theirs, reduced to what the kernel supports.
pub(crate) fn open_on(
    address: SocketAddr,
    options: &SocketOptions,
    dont_fragment: bool,
) -> io::Result<OpenSocket> {
    let socket = open(address, options)?;
    if dont_fragment {
        // "Fragmentation needed" is ignored here too: a client that sets this bit discovers the path MTU
        // itself.
        let (level, name, value) = if address.is_ipv4() {
            (libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
        } else {
            (libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
        };
        set_option(socket.as_fd(), level, name, value)?;
    }
    if options.gro {
        set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)?;
    }
    finish(socket)
}

/// Reads the buffer sizes that the kernel granted.
pub(crate) fn finish(socket: Socket) -> io::Result<OpenSocket> {
    // The kernel reports twice the granted size: it includes its own overhead.
    let buffers =
        BufferSizes { receive: socket.recv_buffer_size()? / 2, send: socket.send_buffer_size()? / 2 };
    let socket = UdpSocket::from(socket);
    Ok(OpenSocket { address: socket.local_addr()?, socket, buffers })
}
