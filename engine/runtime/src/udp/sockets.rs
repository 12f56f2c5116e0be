//! The UDP sockets of one worker.

use crate::bind_error::{BindError, Protocol, bind_error};
use crate::limits::SOCKETS_MAX;
use crate::sys::set_option;
use crate::udp::on_demand::OnDemand;
use crate::udp::open::{BufferSizes, OpenSocket, SocketOptions, finish, open};
use crate::udp::port_pool::PortPool;
use machine::{LocalId, Rng};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// The sockets of one worker: those that are open from the start, indexed by [`LocalId`], and those on
/// demand.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<OpenSocket>,
    on_demand: OnDemand,
    gro: bool,
    gso: bool,
}

impl Sockets {
    /// Opens one non-blocking socket per address, in this order. An IPv6 address is IPv6 only, so that IPv4
    /// peers never appear as mapped addresses. With port 0 the kernel chooses the port.
    pub fn bind(addresses: &[SocketAddr], options: &SocketOptions) -> Result<Self, BindError> {
        if addresses.is_empty() || addresses.len() > SOCKETS_MAX {
            return Err(BindError::Count(addresses.len()));
        }
        let mut sockets = Vec::with_capacity(addresses.len());
        let (mut gro, mut gso) = (options.gro, options.gso);
        for address in addresses {
            let socket =
                open(*address, options).map_err(|source| bind_error(Protocol::Udp, *address, source))?;
            gro = gro && set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
            // A kernel that does not know the option would send a run as one large datagram. Zero means: no
            // segments by default.
            gso = gso && set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
            sockets.push(finish(socket).map_err(|source| bind_error(Protocol::Udp, *address, source))?);
        }
        if gso != options.gso {
            tracing::warn!(
                "this kernel has no UDP GSO: every datagram is sent separately, at about three times the cost"
            );
        }
        for shortage in shortages(&sockets, options) {
            let Shortage { buffer, granted, requested, sysctl } = shortage;
            tracing::warn!(
                address = %sockets[0].address, granted, requested,
                "the kernel granted a smaller {buffer} buffer than requested (bytes); longer bursts are dropped: raise {sysctl}"
            );
        }
        let on_demand = OnDemand::new(SocketOptions { gro, gso, share: false, ..*options });
        Ok(Self { sockets, on_demand, gro, gso })
    }

    /// Lets the machine request sockets on these addresses and ports. Without a pool every request is
    /// refused.
    pub fn with_port_pool(mut self, ports: PortPool) -> Self {
        self.on_demand.allow(ports);
        self
    }

    /// Gives those sockets random ports, so that the next port cannot be predicted.
    pub fn with_random_ports(mut self, rng: Rng) -> Self {
        self.on_demand.shuffle(rng);
        self
    }

    /// Any descriptor that epoll accepts, in place of a socket.
    #[cfg(test)]
    pub(crate) fn of_descriptor(descriptor: std::os::fd::OwnedFd) -> Self {
        let buffers = BufferSizes { receive: 0, send: 0 };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let open = OpenSocket { socket: std::net::UdpSocket::from(descriptor), address, buffers };
        let on_demand = OnDemand::new(SocketOptions::default());
        Self { sockets: vec![open], on_demand, gro: false, gso: false }
    }

    /// Number of sockets that are open from the start.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Never true: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The address of the socket, with the port that the kernel chose if it was 0.
    pub fn local_addr(&self, local: LocalId) -> Option<SocketAddr> {
        self.sockets.get(usize::from(local.0)).map(|open| open.address)
    }

    /// The buffer sizes that the kernel granted.
    pub fn buffers(&self, local: LocalId) -> Option<BufferSizes> {
        self.sockets.get(usize::from(local.0)).map(|open| open.buffers)
    }

    /// Whether the kernel joins received datagrams.
    pub fn gro(&self) -> bool {
        self.gro
    }

    /// Whether runs can be sent.
    pub fn gso(&self) -> bool {
        self.gso
    }

    /// Every socket that is open from the start, with its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LocalId, BorrowedFd<'_>)> {
        self.sockets.iter().enumerate().map(|(index, open)| (LocalId(index as u16), open.socket.as_fd()))
    }

    /// The descriptor of any socket.
    pub(crate) fn fd(&self, local: LocalId) -> Option<BorrowedFd<'_>> {
        match self.sockets.get(usize::from(local.0)) {
            Some(open) => Some(open.socket.as_fd()),
            None => self.on_demand.fd(local),
        }
    }

    /// The sockets on demand.
    pub(crate) fn on_demand(&mut self) -> &mut OnDemand {
        &mut self.on_demand
    }
}

/// A buffer that is smaller than requested.
#[derive(Debug, PartialEq, Eq)]
struct Shortage {
    buffer: &'static str,
    /// The smallest size over all sockets, bytes.
    granted: usize,
    /// Bytes.
    requested: usize,
    /// The kernel parameter that bounds it.
    sysctl: &'static str,
}

fn shortages(sockets: &[OpenSocket], options: &SocketOptions) -> impl Iterator<Item = Shortage> {
    let least =
        |of: fn(&BufferSizes) -> usize| sockets.iter().map(|open| of(&open.buffers)).min().unwrap_or(0);
    let receive = Shortage {
        buffer: "receive",
        granted: least(|buffers| buffers.receive),
        requested: options.receive_buffer_bytes,
        sysctl: "net.core.rmem_max",
    };
    let send = Shortage {
        buffer: "send",
        granted: least(|buffers| buffers.send),
        requested: options.send_buffer_bytes,
        sysctl: "net.core.wmem_max",
    };
    [receive, send].into_iter().filter(|buffer| buffer.granted < buffer.requested)
}

#[cfg(test)]
mod tests;
