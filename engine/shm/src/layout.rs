//! The offsets of the region. Both sides compute them from the number of workers; the header is only
//! compared.

use crate::limits::{COMMAND_RING_BYTES, EVENT_RING_BYTES, RECORD_BYTES_MAX, STATS_SLOTS};

/// Changes whenever an offset, a size or the meaning of a word changes. Engines refuse any other.
pub const LAYOUT_VERSION: u32 = 1;

/// First word of the region and of every handshake message: "LEATRING" read as a little-endian number.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"LEATRING");

/// Distance of words written by different sides: two cache lines, since processors fetch lines in pairs.
pub(crate) const PAD: usize = 128;

const PAGE: usize = 4096;

/// Offsets inside the header page, in bytes; each is one little-endian word.
pub(crate) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const LAYOUT_VERSION: usize = 8;
    pub(crate) const WORKERS: usize = 16;
    pub(crate) const ENGINE_EPOCH: usize = 24;
    pub(crate) const REGION_BYTES: usize = 32;
    pub(crate) const COMMAND_RING_BYTES: usize = 40;
    pub(crate) const EVENT_RING_BYTES: usize = 48;
    pub(crate) const RECORD_BYTES_MAX: usize = 56;
    pub(crate) const STATS_SLOTS: usize = 64;
}

/// Offsets of one ring, in bytes from the start of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingAt {
    pub(crate) head: usize,
    pub(crate) tail: usize,
    pub(crate) awake: usize,
    pub(crate) data: usize,
    pub(crate) data_bytes: usize,
}

impl RingAt {
    const fn new(at: usize, data_bytes: usize) -> Self {
        Self { head: at, tail: at + PAD, awake: at + 2 * PAD, data: at + 3 * PAD, data_bytes }
    }

    const fn end(self) -> usize {
        self.data + self.data_bytes
    }
}

/// Offsets of one worker's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerAt {
    pub(crate) commands: RingAt,
    pub(crate) events: RingAt,
    pub(crate) stats_sequence: usize,
    pub(crate) stats_slots: usize,
}

impl WorkerAt {
    /// The block of worker `index`.
    pub(crate) const fn new(index: u16) -> Self {
        let at = PAGE + index as usize * BLOCK_BYTES;
        let commands = RingAt::new(at, COMMAND_RING_BYTES);
        let events = RingAt::new(commands.end().next_multiple_of(PAD), EVENT_RING_BYTES);
        let stats_sequence = events.end().next_multiple_of(PAD);
        Self { commands, events, stats_sequence, stats_slots: stats_sequence + PAD }
    }

    const fn end(self) -> usize {
        self.stats_slots + STATS_SLOTS * 8
    }
}

/// Bytes of one worker's block: whole pages, so that two workers never share one.
const BLOCK_BYTES: usize = {
    let data = 2 * 3 * PAD + COMMAND_RING_BYTES + EVENT_RING_BYTES + PAD + STATS_SLOTS * 8;
    data.next_multiple_of(PAGE)
};
const _: () = assert!(WorkerAt::new(0).end() <= PAGE + BLOCK_BYTES);

/// Bytes of the whole region.
pub(crate) const fn region_bytes(workers: u16) -> usize {
    PAGE + workers as usize * BLOCK_BYTES
}

/// The words of the header page: offset and value.
pub(crate) fn header_words(workers: u16, engine_epoch: u64) -> [(usize, u64); 9] {
    [
        (header::MAGIC, MAGIC),
        (header::LAYOUT_VERSION, u64::from(LAYOUT_VERSION)),
        (header::WORKERS, u64::from(workers)),
        (header::ENGINE_EPOCH, engine_epoch),
        (header::REGION_BYTES, region_bytes(workers) as u64),
        (header::COMMAND_RING_BYTES, COMMAND_RING_BYTES as u64),
        (header::EVENT_RING_BYTES, EVENT_RING_BYTES as u64),
        (header::RECORD_BYTES_MAX, RECORD_BYTES_MAX as u64),
        (header::STATS_SLOTS, STATS_SLOTS as u64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::WORKERS_MAX;

    #[test]
    fn nothing_overlaps_and_everything_is_aligned() {
        let mut end = PAGE;
        for index in 0..WORKERS_MAX {
            let at = WorkerAt::new(index);
            let spans = [
                (at.commands.head, 8),
                (at.commands.tail, 8),
                (at.commands.awake, 8),
                (at.commands.data, at.commands.data_bytes),
                (at.events.head, 8),
                (at.events.tail, 8),
                (at.events.awake, 8),
                (at.events.data, at.events.data_bytes),
                (at.stats_sequence, 8),
                (at.stats_slots, STATS_SLOTS * 8),
            ];
            for (start, len) in spans {
                assert!(start >= end, "worker {index}: a span starts inside the one before");
                assert_eq!(start % PAD, 0);
                end = start + len;
            }
        }
        assert!(end <= region_bytes(WORKERS_MAX));
    }
}
