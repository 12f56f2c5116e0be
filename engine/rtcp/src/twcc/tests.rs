use super::*;
use crate::{Compound, Malformed, Packet};

/// A feedback with this number of statuses and these chunks and deltas, padded to the word.
fn feedback(status_count: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff];
    bytes.extend(status_count.to_be_bytes());
    bytes.extend([0xff, 0xff, 0xfe, 9]);
    bytes.extend(chunks.iter().flat_map(|chunk| chunk.to_be_bytes()));
    bytes.extend(deltas);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes[3] = (bytes.len() / 4 - 1) as u8;
    bytes
}

fn statuses(bytes: &[u8]) -> Vec<Option<i32>> {
    let compound = Compound::new(bytes).expect("well formed");
    let Some(Packet::Twcc(view)) = compound.packets().next() else { panic!("a feedback") };
    assert_eq!((view.base_seq(), view.reference_time(), view.feedback_count()), (TwccSeq(65535), -2, 9));
    let numbers: Vec<_> = view.statuses().map(|(seq, _)| seq.0).collect();
    let expected: Vec<_> = (0..view.status_count()).map(|step| 65535u16.wrapping_add(step)).collect();
    assert_eq!(numbers, expected);
    view.statuses().map(|(_, delta)| delta).collect()
}

// The run of 221 and the vector of one-bit symbols are the draft's examples, §3.1.3 and §3.1.4.

#[test]
fn a_run_of_missing_packets_may_end_the_packet() {
    let bytes = feedback(221, &[0x00dd], &[]);
    assert_eq!(statuses(&bytes), [None; 221]);
    let two_chunks = feedback(222, &[0x00dd, 0x0001], &[]);
    assert_eq!(two_chunks.len(), 20 + 4, "the chunks end exactly at the packet's end");
    assert_eq!(statuses(&two_chunks), [None; 222]);
}

#[test]
fn a_run_of_large_deltas() {
    let bytes = feedback(3, &[0x4003], &[0xff, 0xff, 0x80, 0x00, 0x7f, 0xff]);
    assert_eq!(statuses(&bytes), [Some(-1), Some(-0x8000), Some(0x7fff)]);
}

#[test]
fn a_vector_of_one_bit_symbols() {
    // 10, then the symbols 0 11111 000 111 00.
    let bytes = feedback(14, &[0b1001_1111_0001_1100], &[1, 2, 3, 4, 5, 6, 7, 255]);
    let mut expected = [None; 14];
    for (at, delta) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (9, 6), (10, 7), (11, 255)] {
        expected[at] = Some(delta);
    }
    assert_eq!(statuses(&bytes), expected);
}

#[test]
fn a_vector_of_two_bit_symbols() {
    let bytes = feedback(7, &[0b11_00_10_01_01_01_00_00], &[0x01, 0x00, 2, 3, 4]);
    assert_eq!(statuses(&bytes), [None, Some(256), Some(2), Some(3), Some(4), None, None]);
}

#[test]
fn symbols_beyond_the_count_have_no_deltas() {
    let bytes = feedback(2, &[0b11_01_01_10_11_11_11_11], &[1, 2]);
    assert_eq!(statuses(&bytes), [Some(1), Some(2)]);
}

#[test]
fn a_run_of_length_zero_is_skipped() {
    let bytes = feedback(1, &[0x0000, 0x2000, 0x2001], &[5]);
    assert_eq!(statuses(&bytes), [Some(5)]);
}

#[test]
fn too_few_chunks_or_deltas_or_a_reserved_symbol_are_malformed() {
    for bytes in [
        feedback(1, &[], &[]),
        feedback(15, &[0x8000], &[]),
        // Two chunks fill the word: no padding can replace a delta.
        feedback(2, &[0x2001, 0x2001], &[]),
        feedback(3, &[0x4002, 0x2001], &[0, 0, 0, 0]),
        feedback(7, &[0b11_00_00_00_00_00_00_11, 0], &[]),
        feedback(5, &[0x6005, 0], &[0; 20]),
    ] {
        assert_eq!(Compound::new(&bytes).err(), Some(Malformed::Body), "{bytes:x?}");
    }
}
