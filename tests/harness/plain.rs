//! The sockets that a shard orders for plain transports, and whoever is at their other ends: tests play those themselves,
//! from whatever addresses they like. Nothing is lost or late on this way.

use crate::world::{PLAIN_IP, Worker};
use crate::{SocketsOnDemand, World};
use machine::{Datagram, Machine, Path, SocketError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What the drivers of all workers know of sockets on demand.
#[derive(Debug, Default)]
pub(crate) struct PlainSockets {
    /// By worker: each numbers its own.
    sockets: BTreeMap<usize, SocketsOnDemand>,
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

impl PlainSockets {
    fn of(&mut self, worker: usize) -> &mut SocketsOnDemand {
        self.sockets.entry(worker).or_insert_with(|| SocketsOnDemand::new(PLAIN_IP))
    }

    /// A worker's shard sends a datagram; false if it does not leave by one of these sockets. Panics if by one that is not open.
    pub(crate) fn take(&mut self, worker: usize, path: Path, bytes: &[u8]) -> bool {
        if path.local.on_demand_index().is_none() {
            return false;
        }
        let from = *self.of(worker).open().get(&path.local).expect("nothing is sent by a closed socket");
        self.sent.push(PlainSent { from, to: path.remote, bytes: bytes.to_vec() });
        true
    }
}

impl World {
    /// Somebody sends a datagram to the address of a plain transport of the worker that is spoken to. Where nobody listens it is lost.
    pub fn send_plain(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Some((local, _)) = self.plain.of(self.current).open().iter().find(|(_, address)| **address == to)
        else {
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
        let sockets = self.plain.sockets.get(&self.current);
        sockets.map_or_else(Vec::new, |sockets| sockets.open().values().copied().collect())
    }

    /// From now on no socket is to be had, for this reason; or they are again.
    pub fn refuse_sockets(&mut self, refusal: Option<SocketError>) {
        self.plain.of(self.current).refusal = refusal;
    }

    /// As a driver must after every command and timer.
    pub(crate) fn carry_out_orders(&mut self, worker: usize) {
        let Worker { shard, outbox, .. } = &mut self.workers[worker];
        self.plain.of(worker).carry_out_orders(self.now, shard, outbox);
    }
}
