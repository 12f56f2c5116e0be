use super::*;

const SPS: [u8; 5] = [0x67, 0x42, 0xc0, 0x1f, 0x8c];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

fn note(sets: &mut ParameterSets, seq: u64, payload: &[u8]) -> bool {
    assert!(may_hold_sets(payload));
    let payload = Payload::parse(payload).expect("whole");
    let is_new = sets.is_new(&payload);
    sets.note(SeqNo(seq), &payload);
    is_new
}

fn units(sets: &ParameterSets) -> Vec<&[u8]> {
    (0..sets.len()).map(|index| sets.unit(index).expect("one of them")).collect()
}

#[test]
fn latest_set_of_each_id_is_stored_with_sequence_sets_first() {
    let mut sets = ParameterSets::default();
    assert!(note(&mut sets, 10, &PPS) && note(&mut sets, 11, &SPS));
    assert_eq!(units(&sets), [&SPS[..], &PPS]);
    assert!(!note(&mut sets, 20, &SPS), "an identical set");
    let other = [0x67, 0x42, 0xc0, 0x28, 0x8c];
    assert!(note(&mut sets, 30, &other) && !note(&mut sets, 31, &other));
    assert!(note(&mut sets, 25, &SPS), "a late one is read");
    assert_eq!(units(&sets), [&other[..], &PPS], "and not stored");
    // In one packet, and as a fragment with start and end.
    let stap = [&[0x78, 0, 5][..], &SPS, &[0, 4], &PPS].concat();
    note(&mut sets, 40, &stap);
    assert_eq!(units(&sets), [&SPS[..], &PPS]);
    note(&mut sets, 41, &[0x7c, 0xc8, 0xce, 0x3c, 0x81]);
    assert_eq!(units(&sets), [&SPS[..], &[0x68, 0xce, 0x3c, 0x81]]);
}

#[test]
fn sets_are_sufficient_with_both_kinds_and_only_for_later_packets() {
    let mut sets = ParameterSets::default();
    assert!(!sets.suffice_at(SeqNo(9)));
    note(&mut sets, 10, &SPS);
    assert!(!sets.suffice_at(SeqNo(90)));
    note(&mut sets, 12, &PPS);
    assert!(sets.suffice_at(SeqNo(13)) && !sets.suffice_at(SeqNo(12)));
    sets.forget_numbers();
    assert!(sets.suffice_at(SeqNo(1)));
}

#[test]
fn sets_beyond_the_bounds_are_not_stored() {
    let mut sets = ParameterSets::default();
    for id in 0..32u8 {
        // As many zeros as the number has bits after its first: at most eleven bits.
        let code = (u32::from(id) + 1) << (31 - 2 * (u32::from(id) + 1).ilog2());
        let [first, second, ..] = code.to_be_bytes();
        note(&mut sets, 10 + u64::from(id), &[0x67, 0x42, 0xc0, 0x1f, first, second]);
    }
    assert_eq!(sets.len(), limits::PARAMETER_SETS_MAX);
    let long = [&PPS[..], &[0; limits::PARAMETER_SETS_LEN_MAX]].concat();
    let mut sets = ParameterSets::default();
    note(&mut sets, 1, &PPS);
    note(&mut sets, 2, &long);
    assert_eq!(sets.len(), 0, "the former one has been replaced");
}

#[test]
fn payloads_without_sets_are_recognised_by_their_first_bytes() {
    for payload in [&[0x65, 0x88][..], &[0x41], &[], &[0x7c], &[0x7c, 0x85, 0x88], &[0x7c, 0x41]] {
        assert!(!may_hold_sets(payload), "{payload:02x?}");
    }
}
