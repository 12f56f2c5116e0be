//! Pipes: what lets a room span the workers of one engine.

use crate::codec::wire_struct;
use crate::ids::{RouterId, TransportId};

/// A pipe: the shadow of a transport that another worker has. It has no peer; what is [produced](crate::Produce) on it, by the ids and the
/// parameters that it has there, comes from that worker, packet by packet, for as long as it is there.
/// With the last of it the pipe closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePipe {
    /// The router it belongs to: on this worker, and by the same id on the other.
    pub router: RouterId,
    /// Its id, which may be that of the transport it is the shadow of: ids are each worker's own.
    pub transport: TransportId,
    /// The worker that has that transport, from 0.
    pub worker: u16,
}
wire_struct!(CreatePipe { router, transport, worker });
