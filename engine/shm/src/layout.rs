//! The offsets of the region. Both sides compute them from the sizes in the header, which the engine chooses
//! and the controller checks.

use crate::limits::{
    COMMAND_RING_BYTES, EVENT_RING_BYTES, RECORD_BYTES_MAX, RING_BYTES_MAX, STATS_SLOTS_MAX,
};
use std::ops::RangeInclusive;

/// Changes when the order of the parts or the meaning of a word changes. Engines refuse any other. A change of
/// a size does not change it.
pub const LAYOUT_VERSION: u32 = 1;

/// First word of the region and of every handshake message: "LEATRING" read as a little-endian number.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"LEATRING");

/// Distance of words written by different sides: two cache lines, since processors fetch lines in pairs.
pub(crate) const PAD: usize = 128;

/// Bytes of the header page; blocks are whole pages.
pub(crate) const PAGE: usize = 4096;

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

/// The sizes of one region. The engine chooses them; the controller reads them from the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) workers: u16,
    pub(crate) command_ring_bytes: usize,
    pub(crate) event_ring_bytes: usize,
    pub(crate) record_bytes_max: usize,
    pub(crate) stats_slots: usize,
}

impl Layout {
    /// The sizes of this version.
    pub(crate) fn new(workers: u16, stats_slots: usize) -> Self {
        Self {
            workers,
            command_ring_bytes: COMMAND_RING_BYTES,
            event_ring_bytes: EVENT_RING_BYTES,
            record_bytes_max: RECORD_BYTES_MAX,
            stats_slots,
        }
    }

    /// The block of worker `index`.
    pub(crate) fn worker(&self, index: u16) -> WorkerAt {
        let at = PAGE + usize::from(index) * self.block_bytes();
        let commands = RingAt::new(at, self.command_ring_bytes);
        let events = RingAt::new(commands.end().next_multiple_of(PAD), self.event_ring_bytes);
        let stats_sequence = events.end().next_multiple_of(PAD);
        WorkerAt { commands, events, stats_sequence, stats_slots: stats_sequence + PAD }
    }

    /// Bytes of one worker's block: whole pages, so that two workers never share one.
    fn block_bytes(&self) -> usize {
        let rings = 2 * 3 * PAD + self.command_ring_bytes + self.event_ring_bytes;
        (rings + PAD + self.stats_slots * 8).next_multiple_of(PAGE)
    }

    /// Bytes of the whole region.
    pub(crate) fn region_bytes(&self) -> usize {
        PAGE + usize::from(self.workers) * self.block_bytes()
    }

    /// The words of the header page: offset and value.
    pub(crate) fn header_words(&self, engine_epoch: u64) -> [(usize, u64); HEADER_WORDS] {
        [
            (header::MAGIC, MAGIC),
            (header::LAYOUT_VERSION, u64::from(LAYOUT_VERSION)),
            (header::WORKERS, u64::from(self.workers)),
            (header::ENGINE_EPOCH, engine_epoch),
            (header::REGION_BYTES, self.region_bytes() as u64),
            (header::COMMAND_RING_BYTES, self.command_ring_bytes as u64),
            (header::EVENT_RING_BYTES, self.event_ring_bytes as u64),
            (header::RECORD_BYTES_MAX, self.record_bytes_max as u64),
            (header::STATS_SLOTS, self.stats_slots as u64),
        ]
    }

    /// The sizes in a header, if they are within the bounds. `word` reads the word at an offset of the header
    /// page; each is read once.
    pub(crate) fn read(workers: u16, engine_epoch: u64, word: impl Fn(usize) -> u64) -> Option<Self> {
        let within = |offset, bounds: RangeInclusive<usize>| {
            usize::try_from(word(offset)).ok().filter(|value| bounds.contains(value))
        };
        let ring = |offset| within(offset, PAGE..=RING_BYTES_MAX).filter(|bytes| bytes.is_power_of_two());
        let command_ring_bytes = ring(header::COMMAND_RING_BYTES)?;
        let event_ring_bytes = ring(header::EVENT_RING_BYTES)?;
        let record_max = command_ring_bytes.min(event_ring_bytes) - 8;
        let layout = Self {
            workers,
            command_ring_bytes,
            event_ring_bytes,
            record_bytes_max: within(header::RECORD_BYTES_MAX, 1..=record_max)?,
            stats_slots: within(header::STATS_SLOTS, 1..=STATS_SLOTS_MAX)?,
        };
        let sizes = header::COMMAND_RING_BYTES..=header::STATS_SLOTS;
        let others = layout.header_words(engine_epoch).into_iter();
        let mut others = others.filter(|(offset, _)| !sizes.contains(offset));
        others.all(|(offset, value)| word(offset) == value).then_some(layout)
    }
}

/// Words of the header page.
const HEADER_WORDS: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{STATS_SLOTS, WORKERS_MAX};
    use proptest::strategy::Strategy;

    #[test]
    fn nothing_overlaps_and_everything_is_aligned() {
        let layout = Layout::new(WORKERS_MAX, STATS_SLOTS);
        let mut end = PAGE;
        for index in 0..WORKERS_MAX {
            let at = layout.worker(index);
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
        assert!(end <= layout.region_bytes());
    }

    fn read(header: &[(usize, u64)]) -> Option<Layout> {
        let word = |at| header.iter().find(|(offset, _)| *offset == at).expect("a word of the header").1;
        Layout::read(2, 7, word)
    }

    #[test]
    fn sizes_of_another_version_are_read_from_the_header() {
        let other = Layout {
            workers: 2,
            command_ring_bytes: 2 << 20,
            event_ring_bytes: 4 << 20,
            record_bytes_max: 32 << 10,
            stats_slots: 1000,
        };
        assert_eq!(read(&other.header_words(7)), Some(other));
    }

    #[test]
    fn a_size_out_of_bounds_or_another_fixed_word_is_no_layout() {
        let good = Layout::new(2, STATS_SLOTS).header_words(7);
        assert!(read(&good).is_some());
        for at in 0..HEADER_WORDS {
            for wrong in [0, 1 << 40, u64::MAX] {
                let mut header = good;
                header[at].1 = wrong;
                assert_eq!(read(&header), None, "{wrong} at offset {}", header[at].0);
            }
        }
    }

    proptest::proptest! {
        /// A controller reads the header of a hostile engine: no overflow, and no size above its bound.
        #[test]
        fn any_header_is_a_bounded_layout_or_none(
            words in proptest::collection::vec(
                proptest::prop_oneof![
                    1 => proptest::num::u64::ANY,
                    3 => (11u32..26).prop_map(|bits| 1 << bits),
                    2 => 0u64..5_000,
                ],
                HEADER_WORDS,
            ),
            fixed in proptest::bool::ANY,
        ) {
            let mut header = Layout::new(2, STATS_SLOTS).header_words(7);
            let is_size = |offset| (header::COMMAND_RING_BYTES..=header::STATS_SLOTS).contains(&offset);
            for ((offset, value), word) in header.iter_mut().zip(words) {
                if is_size(*offset) || !fixed {
                    *value = word;
                }
            }
            // The size of the whole agrees with the other sizes, as far as it can be computed.
            let sizes = header[5..].iter().map(|(_, value)| *value).collect::<Vec<_>>();
            if fixed && sizes.iter().all(|size| *size <= 1 << 32) {
                let sizes = sizes.iter().map(|size| *size as usize).collect::<Vec<_>>();
                let [command_ring_bytes, event_ring_bytes, record_bytes_max, stats_slots] = sizes[..] else {
                    unreachable!("four sizes")
                };
                let layout =
                    Layout { workers: 2, command_ring_bytes, event_ring_bytes, record_bytes_max, stats_slots };
                header[4].1 = layout.region_bytes() as u64;
            }
            if let Some(layout) = read(&header) {
                let last = layout.worker(1);
                proptest::prop_assert!(last.stats_slots + layout.stats_slots * 8 <= layout.region_bytes());
                proptest::prop_assert!(layout.region_bytes() <= 3 * 2 * RING_BYTES_MAX);
                proptest::prop_assert!(layout.record_bytes_max + 8 <= layout.command_ring_bytes.min(layout.event_ring_bytes));
            }
        }
    }
}
