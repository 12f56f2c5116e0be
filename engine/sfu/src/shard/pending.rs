//! A packet between its arrival and the end of the batch.

use crate::base::slots::Slot;
use crate::limits;
use crate::packet::media_packet::MediaPacket;
use machine::Instant;

/// A packet that waits for the end of its batch.
#[derive(Clone, Copy, Debug)]
pub struct PendingPacket {
    /// Its producer.
    pub producer: Slot,
    /// The index of its stream.
    pub stream: u8,
    /// Its position among the pending packets.
    pub number: u8,
    /// When the first pending packet arrived.
    pub since: Instant,
    /// Bytes of its payload.
    pub len: u16,
    /// Without its bytes, which are in the cache.
    pub packet: MediaPacket<'static>,
}

const _: () = assert!(limits::PENDING_PACKETS_MAX <= u8::MAX as usize);
