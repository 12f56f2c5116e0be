//! The sockets that a shard orders for plain transports, and whoever is at their other ends: tests play those themselves,
//! from whatever addresses they like. Nothing is lost or late on this way.

use crate::world::{PLAIN_IP, Worker};
use crate::{SocketsOnDemand, World};
use machine::{Datagram, Machine, Path, SocketError};
use std::net::SocketAddr;

/// What a driver knows of sockets on demand.
#[derive(Debug)]
pub(crate) struct PlainSockets {
    sockets: SocketsOnDemand,
    sent: Vec<PlainSent>,
}

/// A datagram that the shard has sent from the socket of a plain transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainSent {
    /// The transport's address.
    pub from: SocketAddr,
    /// Whoever this is.
    pub to: SocketAddr,
    /// The datagram.
    pub bytes: Vec<u8>,
}

impl Default for PlainSockets {
    fn default() -> Self {
        Self { sockets: SocketsOnDemand::new(PLAIN_IP), sent: Vec::new() }
    }
}

impl PlainSockets {
    /// The shard sends a datagram; false if it does not leave by one of these sockets. Panics if by one that is not open.
    pub(crate) fn take(&mut self, path: Path, bytes: &[u8]) -> bool {
        if path.local.on_demand_index().is_none() {
            return false;
        }
        let from = *self.sockets.open().get(&path.local).expect("nothing is sent by a closed socket");
        self.sent.push(PlainSent { from, to: path.remote, bytes: bytes.to_vec() });
        true
    }
}

impl World {
    /// Somebody sends a datagram to the address of a plain transport. Where nobody listens it is lost.
    pub fn send_plain(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some((local, _)) = self.plain.sockets.open().iter().find(|(_, address)| **address == to) else {
            return;
        };
        let path = Path { local: *local, remote: from };
        let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes.to_vec() };
        self.with_shard(|shard, now, tx| {
            shard.on_datagram(now, datagram, tx);
            shard.on_batch_end(now, tx);
        });
    }

    /// What was sent from plain transports since this was asked last, in order.
    pub fn take_plain_sent(&mut self) -> Vec<PlainSent> {
        std::mem::take(&mut self.plain.sent)
    }

    /// The addresses of the sockets that are open.
    pub fn plain_sockets(&self) -> Vec<SocketAddr> {
        self.plain.sockets.open().values().copied().collect()
    }

    /// From now on no socket is to be had, for this reason; or they are again.
    pub fn refuse_sockets(&mut self, refusal: Option<SocketError>) {
        self.plain.sockets.refusal = refusal;
    }

    /// As a driver must after every command and timer.
    pub(crate) fn carry_out_orders(&mut self, worker: usize) {
        let Worker { shard, outbox, .. } = &mut self.workers[worker];
        self.plain.sockets.carry_out_orders(self.now, shard, outbox);
    }
}
