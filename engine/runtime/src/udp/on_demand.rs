//! UDP sockets that the machine requests while the worker runs: which ports they get, and which of them are
//! readable. Receiving and sending work as for the sockets that are open from the start.

use crate::limits::{ON_DEMAND_SOCKETS_MAX, PORT_TRIES_MAX};
use crate::tokens::Token;
use crate::udp::open::{OpenSocket, SocketOptions, open_on};
use crate::udp::port_pool::PortPool;
use machine::{LocalId, Rng, SocketError};
use mio::unix::SourceFd;
use mio::{Interest, Registry};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The sockets on demand of one worker.
#[derive(Debug)]
pub(crate) struct OnDemand {
    pool: Option<PortPool>,
    options: SocketOptions,
    /// Where the search for a free port continues: behind the last port in use, so that packets to a closed
    /// socket do not reach a new one.
    next_port: u32,
    /// If set, each search starts at a random port, so that the next port cannot be predicted.
    rng: Option<Rng>,
    /// The addresses in use.
    used: HashSet<SocketAddr>,
    /// By [`LocalId::on_demand_index`].
    sockets: Vec<Option<Socket>>,
    /// Sockets that may be readable. Readiness is reported once, so it is remembered.
    readable: VecDeque<LocalId>,
    /// Sockets where receiving has failed.
    failed: Vec<LocalId>,
}

#[derive(Debug)]
struct Socket {
    open: OpenSocket,
    is_readable: bool,
}

impl OnDemand {
    /// No socket can be opened before [`allow`](Self::allow).
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

    /// Permits sockets on these addresses and ports.
    pub(crate) fn allow(&mut self, pool: PortPool) {
        self.next_port = u32::from(*pool.ports.start());
        self.pool = Some(pool);
    }

    /// Starts each search for a port at a random one.
    pub(crate) fn shuffle(&mut self, rng: Rng) {
        self.rng = Some(rng);
    }

    /// Opens a socket, and with `next` another one on the following port. Returns the address of the first.
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
                tracing::warn!(%address, %error, "failed to register a UDP socket");
                if nth > 0 {
                    self.close(registry, local);
                }
                return Err(SocketError::System);
            }
        }
        Ok(address)
    }

    /// Opens another kind of socket on a free port. [`release_port`](Self::release_port) frees the port.
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

    /// Frees a port of [`take_port`](Self::take_port).
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
                // Another process uses the port.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 1 => tries -= 1,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => break,
                Err(error) => {
                    tracing::warn!(%ip, port, %error, "failed to open a socket");
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
        registry.register(&mut SourceFd(&fd), Token::OnDemand(local).into(), Interest::READABLE)?;
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

    /// The socket may be readable.
    pub(crate) fn on_readable(&mut self, local: LocalId) {
        if let Some(Some(socket)) = self.entry(local)
            && !std::mem::replace(&mut socket.is_readable, true)
        {
            self.readable.push_back(local);
        }
    }

    /// Number of sockets that may be readable.
    pub(crate) fn readable(&self) -> usize {
        self.readable.len()
    }

    /// The next socket that may be readable. Call [`on_readable`](Self::on_readable) again if there may be
    /// more.
    pub(crate) fn next_readable(&mut self) -> Option<LocalId> {
        let local = self.readable.pop_front()?;
        if let Some(Some(socket)) = self.entry(local) {
            socket.is_readable = false;
        }
        Some(local)
    }

    /// Receiving has failed: the socket is not used until the [retry](Self::retry_failed).
    pub(crate) fn on_failed(&mut self, local: LocalId) {
        self.failed.push(local);
    }

    /// Marks the failed sockets as readable again.
    pub(crate) fn retry_failed(&mut self) {
        while let Some(local) = self.failed.pop() {
            self.on_readable(local);
        }
    }

    fn entry(&mut self, local: LocalId) -> Option<&mut Option<Socket>> {
        self.sockets.get_mut(usize::from(local.on_demand_index()?))
    }
}
