//! A data consumer: a data channel that a peer receives on.

use crate::base::slots::Slot;
use control::ConsumeData;

/// A data consumer.
#[derive(Debug)]
pub struct DataConsumer {
    /// The command that created it.
    pub spec: Box<ConsumeData>,
    /// Its transport.
    pub transport: Slot,
    /// Its producer.
    pub producer: Slot,
}
