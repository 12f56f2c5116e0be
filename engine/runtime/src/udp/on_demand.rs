//! UDP sockets that the machine orders while the worker runs: which ports they get, and which of them has something to read.
//! They are bound, received from and sent by like the listening ones.

use crate::limits::{ON_DEMAND_SOCKETS_MAX, PORT_TRIES_MAX};
use crate::udp::open::{OpenSocket, SocketOptions, open_on};
use crate::udp::port_pool::PortPool;
use machine::{LocalId, Rng, SocketError};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The sockets on demand of one worker.
#[derive(Debug)]
pub(crate) struct OnDemand {
    pool: Option<PortPool>,
    options: SocketOptions,
    /// Where to look for a free port next: the one behind the last that was given, so that what is still on its way to a
    /// closed socket meets no new one.
    next_port: u32,
    /// Where it is nobody's to guess which port comes next: look from a random one on.
    rng: Option<Rng>,
    /// The addresses of the open ones.
    used: HashSet<SocketAddr>,
    /// By [`LocalId::on_demand_index`].
    sockets: Vec<Option<Socket>>,
    /// Those that there may be something to read from, which readiness reports once.
    readable: VecDeque<LocalId>,
    /// Those that receiving from has failed.
    failed: Vec<LocalId>,
}

#[derive(Debug)]
struct Socket {
    open: OpenSocket,
    is_readable: bool,
}

impl OnDemand {
    /// None are possible before [`allow`](Self::allow).
    pub(crate) fn new(options: SocketOptions) -> Self {
        Self {
            pool: None,
            options,
            next_port: 0,
            rng: None,
            used: HashSet::new(),
            sockets: Vec::new(),
            readable: VecDeque::new(),
            failed: Vec::new(),
        }
    }

    /// Sockets may be opened there from now on.
    pub(crate) fn allow(&mut self, pool: PortPool) {
        self.next_port = u32::from(*pool.ports.start());
        self.pool = Some(pool);
    }

    /// Ports are used in no order from now on.
    pub(crate) fn shuffle(&mut self, rng: Rng) {
        self.rng = Some(rng);
    }

    /// Opens a socket, and if there is a `next` another on the port after it. Yields the first one's address.
    pub(crate) fn open(
        &mut self,
        registry: &Registry,
        (local, next): (LocalId, Option<LocalId>),
        is_ipv6: bool,
        dont_fragment: bool,
    ) -> Result<SocketAddr, SocketError> {
        let ip = self.ip(is_ipv6)?;
        let options = self.options;
        let opened = self.bind(ip, next.is_some(), |address| open_on(address, &options, dont_fragment))?;
        let address = opened[0].address;
        for (nth, (number, open)) in [Some(local), next].into_iter().flatten().zip(opened).enumerate() {
            if let Err(error) = self.insert(registry, number, open) {
                tracing::warn!(%address, %error, "a socket on demand cannot be had");
                if nth > 0 {
                    self.close(registry, local);
                }
                return Err(SocketError::System);
            }
        }
        Ok(address)
    }

    /// Opens something else on a port that no other socket has, which [`release_port`](Self::release_port) gives back.
    pub(crate) fn take_port<T>(
        &mut self,
        is_ipv6: bool,
        open: impl Fn(SocketAddr) -> io::Result<(T, SocketAddr)>,
    ) -> Result<(T, SocketAddr), SocketError> {
        let ip = self.ip(is_ipv6)?;
        let (opened, address) = self.bind(ip, false, open)?.pop().ok_or(SocketError::Ports)?;
        self.used.insert(address);
        Ok((opened, address))
    }

    pub(crate) fn release_port(&mut self, address: SocketAddr) {
        self.used.remove(&address);
    }

    fn ip(&self, is_ipv6: bool) -> Result<IpAddr, SocketError> {
        let pool = self.pool.as_ref().ok_or(SocketError::Family)?;
        pool.ips.iter().find(|ip| ip.is_ipv6() == is_ipv6).copied().ok_or(SocketError::Family)
    }

    /// One socket, or two on an even port and the one after it.
    fn bind<T>(
        &mut self,
        ip: IpAddr,
        is_pair: bool,
        open: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> Result<Vec<T>, SocketError> {
        let ports = self.pool.as_ref().ok_or(SocketError::Family)?.ports.clone();
        let (first, last) = (u32::from(*ports.start()), u32::from(*ports.end()));
        if let Some(rng) = &mut self.rng {
            self.next_port = first + rng.below(last - first + 1);
        }
        let mut tries = PORT_TRIES_MAX;
        for _ in first..=last {
            let port = if self.next_port > last { first } else { self.next_port };
            self.next_port = port + 1;
            let needed = port..=port + u32::from(is_pair);
            if *needed.end() > last
                || is_pair && port % 2 != 0
                || needed.clone().any(|port| self.used.contains(&SocketAddr::new(ip, port as u16)))
            {
                continue;
            }
            let open = |port| open(SocketAddr::new(ip, port as u16));
            let opened: io::Result<Vec<T>> = needed.clone().map(open).collect();
            match opened {
                Ok(opened) => {
                    self.next_port = needed.end() + 1;
                    return Ok(opened);
                }
                // Another process's.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 1 => tries -= 1,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => break,
                Err(error) => {
                    tracing::warn!(%ip, port, %error, "a socket on demand cannot be had");
                    return Err(SocketError::System);
                }
            }
        }
        Err(SocketError::Ports)
    }

    fn insert(&mut self, registry: &Registry, local: LocalId, open: OpenSocket) -> io::Result<()> {
        let index = local.on_demand_index().map(usize::from).filter(|index| *index < ON_DEMAND_SOCKETS_MAX);
        let index = index.ok_or(io::ErrorKind::InvalidInput)?;
        if index >= self.sockets.len() {
            self.sockets.resize_with(index + 1, || None);
        }
        if self.sockets[index].is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let fd = open.socket.as_raw_fd();
        registry.register(&mut SourceFd(&fd), Token(usize::from(local.0)), Interest::READABLE)?;
        self.used.insert(open.address);
        self.sockets[index] = Some(Socket { open, is_readable: false });
        Ok(())
    }

    /// Closes a socket, if it is open.
    pub(crate) fn close(&mut self, registry: &Registry, local: LocalId) {
        let Some(socket) = self.entry(local).and_then(Option::take) else { return };
        self.used.remove(&socket.open.address);
        // Closing the only descriptor does the same.
        let _ = registry.deregister(&mut SourceFd(&socket.open.socket.as_raw_fd()));
        self.readable.retain(|other| *other != local);
        self.failed.retain(|other| *other != local);
    }

    pub(crate) fn fd(&self, local: LocalId) -> Option<BorrowedFd<'_>> {
        let socket = self.sockets.get(usize::from(local.on_demand_index()?))?.as_ref()?;
        Some(socket.open.socket.as_fd())
    }

    /// The socket has been reported readable.
    pub(crate) fn on_readable(&mut self, local: LocalId) {
        if let Some(Some(socket)) = self.entry(local)
            && !std::mem::replace(&mut socket.is_readable, true)
        {
            self.readable.push_back(local);
        }
    }

    /// How many may have something to read.
    pub(crate) fn readable(&self) -> usize {
        self.readable.len()
    }

    /// The next of those. It must be given back to [`on_readable`](Self::on_readable) if there may be more.
    pub(crate) fn next_readable(&mut self) -> Option<LocalId> {
        let local = self.readable.pop_front()?;
        if let Some(Some(socket)) = self.entry(local) {
            socket.is_readable = false;
        }
        Some(local)
    }

    /// Receiving from it has failed: it is left alone until the [retry](Self::retry_failed).
    pub(crate) fn on_failed(&mut self, local: LocalId) {
        self.failed.push(local);
    }

    /// Those that have failed are asked again.
    pub(crate) fn retry_failed(&mut self) {
        while let Some(local) = self.failed.pop() {
            self.on_readable(local);
        }
    }

    fn entry(&mut self, local: LocalId) -> Option<&mut Option<Socket>> {
        self.sockets.get_mut(usize::from(local.on_demand_index()?))
    }
}
