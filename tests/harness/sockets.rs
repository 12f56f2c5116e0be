//! A driver's sockets on demand, as a shard sees them: addresses without a network.

use machine::{Instant, LocalId, Machine, SocketError, SocketRequest, Tx};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The open sockets that a shard has requested. Ports start at 20000, an even one first.
#[derive(Debug)]
pub struct SocketsOnDemand {
    ip: IpAddr,
    open: BTreeMap<LocalId, SocketAddr>,
    /// The next has the port after it.
    last_port: u16,
    /// Why no socket can be opened, if so.
    pub refusal: Option<SocketError>,
}

impl SocketsOnDemand {
    /// None yet, all at this address.
    pub fn new(ip: IpAddr) -> Self {
        Self { ip, open: BTreeMap::new(), last_port: 19_999, refusal: None }
    }

    /// Those that are open, and where.
    pub fn open(&self) -> &BTreeMap<LocalId, SocketAddr> {
        &self.open
    }

    /// Opens and closes sockets as requested by the shard, like a driver after every command and timer.
    /// Panics if a closed one is not open, an opened one is, or a connection should be kept or closed.
    pub fn carry_out_orders(&mut self, now: Instant, shard: &mut impl Machine, tx: &mut impl Tx) {
        while let Some(request) = shard.poll_socket_request() {
            match request {
                SocketRequest::Open { local, next, .. } => {
                    let opened = self.open_next(local, next);
                    shard.on_socket_opened(now, local, opened, tx);
                }
                SocketRequest::Close { local } => {
                    assert!(self.open.remove(&local).is_some(), "{local:?} is not open");
                }
                request => panic!("a shard does not manage connections: {request:?}"),
            }
        }
    }

    fn open_next(&mut self, local: LocalId, next: Option<LocalId>) -> Result<SocketAddr, SocketError> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let first = (self.last_port + 1).next_multiple_of(2);
        for (local, port) in [Some(local), next].into_iter().flatten().zip(first..) {
            let former = self.open.insert(local, SocketAddr::new(self.ip, port));
            assert_eq!(former, None, "{local:?} is open already");
            self.last_port = port;
        }
        Ok(SocketAddr::new(self.ip, first))
    }
}
