use super::*;
use crate::limits::{STATS_SLOTS, WORKERS_MAX};

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
        for wrong in [0, 12_345, 1 << 40, u64::MAX] {
            let mut header = good;
            header[at].1 = wrong;
            assert_eq!(read(&header), None, "{wrong} at offset {}", header[at].0);
        }
    }
}
