use super::*;
use proptest::prelude::*;

/// As Chrome begins a keyframe: SPS and PPS in one STAP-A.
const PARAMETER_SETS: [u8; 13] = [
    0x78, // NRI 3, type 24
    0x00, 0x04, 0x67, 0x42, 0xc0, 0x1f, // SPS: NRI 3, type 7, three bytes
    0x00, 0x04, 0x68, 0xce, 0x3c, 0x80, // PPS: NRI 3, type 8, three bytes
];

#[test]
fn a_stap_a_is_walked() {
    let Some(Payload::Aggregate(units)) = Payload::parse(&PARAMETER_SETS) else {
        panic!("an aggregate");
    };
    let units: Vec<_> = units.collect();
    assert_eq!(
        units,
        [
            Nal { header: 0x67, kind: NalKind::Sps, ref_idc: 3, bytes: &[0x42, 0xc0, 0x1f] },
            Nal { header: 0x68, kind: NalKind::Pps, ref_idc: 3, bytes: &[0xce, 0x3c, 0x80] },
        ]
    );
    assert!(is_keyframe(&PARAMETER_SETS));
    let without_sps = [0x78, 0x00, 0x02, 0x68, 0xce, 0x00, 0x01, 0x06];
    assert!(Payload::parse(&without_sps).expect("whole").starts(NalKind::Pps));
    assert!(!is_keyframe(&without_sps));
    let with_idr = [0x78, 0x00, 0x02, 0x68, 0xce, 0x00, 0x02, 0x65, 0x88];
    assert!(is_keyframe(&with_idr));
}

#[test]
fn a_fragment_counts_only_at_its_start() {
    let start = [0x7c, 0x85, 0x88, 0x84]; // NRI 3, FU-A; S, type 5
    assert_eq!(
        Payload::parse(&start),
        Some(Payload::Fragment {
            nal: Nal { header: 0x65, kind: NalKind::Idr, ref_idc: 3, bytes: &[0x88, 0x84] },
            start: true,
            end: false,
        })
    );
    assert!(is_keyframe(&start));
    assert!(is_keyframe(&[0x7c, 0x87, 0x42]), "a fragmented SPS");
    assert!(!is_keyframe(&[0x7c, 0x05, 0x88]), "in the middle");
    assert!(!is_keyframe(&[0x7c, 0x45, 0x88]), "the end");
    assert!(!is_keyframe(&[0x7c, 0x81, 0x88]), "no IDR");
}

#[test]
fn fragment_with_start_and_end_is_a_whole_unit() {
    assert!(is_keyframe(&[0x7c, 0xc5, 0x88]) && is_keyframe(&[0x7c, 0xc7, 0x42]));
    assert!(!is_keyframe(&[0x7c, 0xc8, 0xce]) && !is_keyframe(&[0x7c, 0xc1, 0x9a]));
    let units = |payload: &[u8]| {
        let mut units = Vec::new();
        Payload::parse(payload)
            .expect("whole")
            .whole_units(|nal| units.push((nal.header, nal.bytes.to_vec())));
        units
    };
    assert_eq!(units(&[0x7c, 0xc7, 0x42, 0xc0]), [(0x67, vec![0x42, 0xc0])]);
    assert_eq!(units(&[0x67, 0x42, 0xc0]), [(0x67, vec![0x42, 0xc0])]);
    assert_eq!(units(&[0x7c, 0x87, 0x42, 0xc0]), [], "its end is missing");
    let headers: Vec<u8> = units(&PARAMETER_SETS).iter().map(|(header, _)| *header).collect();
    assert_eq!(headers, [0x67, 0x68]);
}

#[test]
fn parameter_sets_have_ids() {
    let id = |unit: &[u8]| Nal::new(unit[0], &unit[1..]).parameter_set_id();
    assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0x8c]), Some(0), "as x264 writes it");
    assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0b0110_0000]), Some(2));
    assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0b0000_0100, 0b0000_0000]), Some(31));
    assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f, 0b0000_0100, 0b0010_0000]), None, "32");
    assert_eq!(id(&[0x67, 0x42, 0xc0, 0x1f]), None, "cut");
    assert_eq!(id(&[0x68, 0xce, 0x3c, 0x80]), Some(0));
    assert_eq!(id(&[0x68, 0x00, 0x80, 0x00]), Some(255));
    assert_eq!(id(&[0x68, 0x00, 0x80]), None, "cut");
    assert_eq!(id(&[0x68, 0x00, 0x80, 0x80]), None, "256");
    assert_eq!(id(&[0x68, 0, 0, 0, 0, 0x80]), None);
    assert_eq!(id(&[0x65, 0x88]), None, "a slice");
}

#[test]
fn a_single_nal_unit_is_the_payload() {
    assert!(is_keyframe(&[0x65, 0x88]) && is_keyframe(&[0x67, 0x42]));
    for header in [0x41, 0x61, 0x06, 0x68, 0x09, 0x0c, 0x74] {
        assert!(!is_keyframe(&[header, 0x9a]), "type {}", header & TYPE);
        assert!(matches!(Payload::parse(&[header, 0x9a]), Some(Payload::Single(_))));
    }
    assert_eq!(
        Payload::parse(&[0x01, 0xa5]),
        Some(Payload::Single(Nal { header: 0x01, kind: NalKind::Slice, ref_idc: 0, bytes: &[0xa5] }))
    );
}

#[test]
fn types_of_the_interleaved_mode_are_not_read() {
    for kind in [0, 25, 26, 27, 29, 30, 31] {
        assert_eq!(Payload::parse(&[0x60 | kind, 0x80, 0x00, 0x01, 0x65]), None, "type {kind}");
    }
}

#[test]
fn cut_short_at_every_length_is_refused() {
    let boundaries = [7, 13];
    for len in 0..PARAMETER_SETS.len() {
        let whole = Payload::parse(&PARAMETER_SETS[..len]).is_some();
        assert_eq!(whole, boundaries.contains(&len), "{len} bytes");
    }
    assert_eq!(Payload::parse(&[0x7c]), None, "FU-A without its header");
    assert_eq!(Payload::parse(&[0x78, 0x00, 0x00]), None, "an empty NAL unit");
}

proptest! {
    #[test]
    fn walks_what_the_naive_writer_aggregated(
        units in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..6),
    ) {
        let mut payload = vec![STAP_A];
        for unit in &units {
            payload.extend((unit.len() as u16).to_be_bytes());
            payload.extend(unit);
        }
        let Some(Payload::Aggregate(walk)) = Payload::parse(&payload) else {
            return Err(TestCaseError::fail("an aggregate"));
        };
        let read: Vec<_> = walk.map(|nal| nal.bytes).collect();
        let written: Vec<_> = units.iter().map(|unit| &unit[1..]).collect();
        prop_assert_eq!(read, written);
        let begins = units.iter().any(|unit| [5, 7].contains(&(unit[0] & TYPE)));
        prop_assert_eq!(is_keyframe(&payload), begins);
        prop_assert_eq!(Payload::parse(&payload[..payload.len() - 1]), None);
    }

    #[test]
    fn no_payload_panics(kind in 0u8..32, tail in prop::collection::vec(any::<u8>(), 0..40)) {
        let payload = [&[kind][..], &tail].concat();
        for len in 0..=payload.len() {
            let _ = is_keyframe(&payload[..len]);
            if let Some(Payload::Aggregate(walk)) = Payload::parse(&payload[..len]) {
                prop_assert!(walk.count() > 0);
            }
        }
    }
}
