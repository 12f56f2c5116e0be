//! A data producer: a data channel that a peer sends on.

use crate::base::slots::Slot;
use control::ProduceData;

/// A data producer.
#[derive(Debug)]
pub struct DataProducer {
    /// The command that created it.
    pub spec: Box<ProduceData>,
    /// Its transport.
    pub transport: Slot,
    /// Its consumers.
    pub consumers: Vec<Slot>,
}
