//! The sockets that a shard requests for plain transports, and their peers: tests act as the peers, from any
//! addresses. Nothing is lost or late on this path.

use crate::world::{PLAIN_IP, Worker};
use crate::{SocketsOnDemand, World};
use machine::{Datagram, Machine, Path, SocketError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The sockets on demand of all workers' drivers.
#[derive(Debug, Default)]
pub(crate) struct PlainSockets {
    /// By worker: each has its own numbers.
    sockets: BTreeMap<usize, SocketsOnDemand>,
    sent: Vec<PlainSent>,
}

/// A datagram that the shard has sent from the socket of a plain transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainSent {
    /// The transport's address.
    pub from: SocketAddr,
    /// The destination.
    pub to: SocketAddr,
    /// The datagram.
    pub bytes: Vec<u8>,
}

impl PlainSockets {
    fn of(&mut self, worker: usize) -> &mut SocketsOnDemand {
        self.sockets.entry(worker).or_insert_with(|| SocketsOnDemand::new(PLAIN_IP))
    }

    /// A worker's shard sends a datagram; false if it is not sent from one of these sockets. Panics if the
    /// socket is not open.
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
    /// A peer sends a datagram to the address of a plain transport of the selected worker. Without a socket
    /// there it is lost.
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

    /// Datagrams sent from plain transports since the last call, in order.
    pub fn take_plain_sent(&mut self) -> Vec<PlainSent> {
        std::mem::take(&mut self.plain.sent)
    }

    /// The addresses of the sockets that are open.
    pub fn plain_sockets(&self) -> Vec<SocketAddr> {
        let sockets = self.plain.sockets.get(&self.current);
        sockets.map_or_else(Vec::new, |sockets| sockets.open().values().copied().collect())
    }

    /// From now on sockets cannot be opened, for this reason; or they can again.
    pub fn refuse_sockets(&mut self, refusal: Option<SocketError>) {
        self.plain.of(self.current).refusal = refusal;
    }

    /// The driver's action after every command and timer.
    pub(crate) fn carry_out_orders(&mut self, worker: usize) {
        let Worker { shard, outbox, .. } = &mut self.workers[worker];
        self.plain.of(worker).carry_out_orders(self.now, shard, outbox);
    }
}
