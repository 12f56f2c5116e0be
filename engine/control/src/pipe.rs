//! Pipes connect the workers of one engine, so that a room can use several of them.

use crate::codec::wire_struct;
use crate::ids::{RouterId, TransportId};

/// A pipe: the counterpart of a transport on another worker. It has no peer; a track that is
/// [produced](crate::Produce) on it, with the ids and parameters of the other worker, arrives packet by
/// packet from that worker as long as it exists there. The pipe closes with its last track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePipe {
    /// The router it belongs to: the same id on both workers.
    pub router: RouterId,
    /// Its id, which may be that of the original transport: ids are per worker.
    pub transport: TransportId,
    /// The worker with the original transport, from 0.
    pub worker: u16,
}
wire_struct!(CreatePipe { router, transport, worker });
