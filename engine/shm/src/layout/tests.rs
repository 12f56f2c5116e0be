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
