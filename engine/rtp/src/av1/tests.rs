use super::*;
use proptest::prelude::*;

/// A keyframe's first packet: a sequence header, and the beginning of a frame in layer (0, 1).
const KEY: [u8; 9] = [
    0b0110_1000, // Y, W = 2, N
    0x03,        // three bytes
    0b0000_1000,
    0x00,
    0xa5, // type 1, a sequence header
    0b0011_0100,
    0b0000_1000,
    0x10,
    0xa5, // type 6, a frame, extended: TID 0, SID 1; to the end
];

#[test]
fn reads_the_aggregation_header_and_walks_the_elements() {
    let payload = Payload::parse(&KEY).expect("whole");
    assert!(payload.continued && payload.new_sequence && !payload.continues);
    assert_eq!(payload.count, 2);
    let elements: Vec<_> = payload.elements().collect();
    assert_eq!(
        elements,
        [
            Element { bytes: &KEY[2..5], start: true, end: true },
            Element { bytes: &KEY[5..], start: true, end: false },
        ]
    );
    let headers: Vec<_> = elements.iter().map(|element| element.header().expect("whole")).collect();
    assert_eq!(
        headers,
        [
            ObuHeader { kind: SEQUENCE_HEADER, layer: None, has_size: false },
            ObuHeader { kind: 6, layer: Some(Layer { tid: 0, sid: 1 }), has_size: false },
        ]
    );
}

#[test]
fn a_keyframe_begins_a_sequence_with_its_header() {
    assert!(is_keyframe(&KEY));
    let with = |at: usize, byte: u8| {
        let mut payload = KEY;
        payload[at] = byte;
        payload
    };
    assert!(!is_keyframe(&with(0, KEY[0] & !N)), "a header repeated within a sequence");
    assert!(!is_keyframe(&with(2, 0b0010_1000)), "a sequence without its header");
    assert_eq!(Payload::parse(&with(0, KEY[0] | Z)), None, "no sequence begins within an OBU");
}

#[test]
fn a_continued_element_has_no_header() {
    let payload = [0b1101_0000, 0b0000_1000, 0xa5]; // Z, Y, W = 1
    let elements: Vec<_> = Payload::parse(&payload).expect("whole").elements().collect();
    assert_eq!(elements, [Element { bytes: &payload[1..], start: false, end: false }]);
    assert_eq!(elements[0].header(), None);
    assert!(!Payload::parse(&payload).expect("whole").starts(SEQUENCE_HEADER));
}

#[test]
fn without_a_count_every_element_has_its_size() {
    let payload = [0b0000_0000, 0x01, 0x10, 0x81, 0x00, 0x18, 0x02, 0x30, 0x00];
    let elements: Vec<_> = Payload::parse(&payload).expect("whole").elements().map(|one| one.bytes).collect();
    assert_eq!(elements, [&[0x10][..], &[0x18], &[0x30, 0x00]]);
    for len in 0..payload.len() {
        let whole = Payload::parse(&payload[..len]).is_some();
        assert_eq!(whole, [3, 6].contains(&len), "{len} bytes");
    }
}

#[test]
fn cut_short_payload_is_refused() {
    for len in 0..6 {
        assert_eq!(Payload::parse(&KEY[..len]), None, "{len} bytes");
    }
    assert!(Payload::parse(&KEY[..6]).is_some(), "the last of a count goes to the end");
    for header in [0x00, 0x10, 0x20, 0x30] {
        assert_eq!(Payload::parse(&[header]), None, "no element at all");
    }
    let extended = Payload::parse(&[0x10, 0b0011_0100]).expect("whole");
    assert_eq!(extended.elements().next().expect("one").header(), None, "the second byte is missing");
}

#[test]
fn a_size_has_at_most_eight_bytes_and_32_bits() {
    assert_eq!(leb128(&[0xe5, 0x8e, 0x26, 0xa5]), Some((624_485, &[0xa5][..])));
    assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some((u32::MAX, &[][..])));
    assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
    assert_eq!(leb128(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), Some((1, &[][..])));
    assert_eq!(leb128(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
    assert_eq!(Payload::parse(&[0x00, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xa5]), None);
}

proptest! {
    #[test]
    fn walks_what_the_naive_writer_aggregated(
        obus in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..6),
        counted in any::<bool>(),
        flags in any::<(bool, bool)>(),
    ) {
        let counted = counted && obus.len() <= 3;
        let (continues, continued) = flags;
        let count = if counted { obus.len() as u8 } else { 0 };
        let mut payload = vec![u8::from(continues) * 128 + u8::from(continued) * 64 + count * 16];
        for (at, obu) in obus.iter().enumerate() {
            if !(counted && at + 1 == obus.len()) {
                match obu.len() {
                    short @ 0..128 => payload.push(short as u8),
                    long => payload.extend([(long % 128) as u8 + 128, (long / 128) as u8]),
                }
            }
            payload.extend(obu);
        }
        let read: Vec<_> = Payload::parse(&payload).expect("whole").elements().collect();
        prop_assert_eq!(read.len(), obus.len());
        for (at, (element, obu)) in read.iter().zip(&obus).enumerate() {
            prop_assert_eq!(element.bytes, &obu[..]);
            prop_assert_eq!(element.start, at > 0 || !continues);
            prop_assert_eq!(element.end, at + 1 < obus.len() || !continued);
        }
        payload[0] |= N;
        let header_at = obus.iter().position(|obu| {
            obu[0] / 8 % 16 == SEQUENCE_HEADER && (obu[0] & EXTENSION == 0 || obu.len() > 1)
        });
        prop_assert_eq!(is_keyframe(&payload), !continues && header_at.is_some());
    }

    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..40)) {
        for len in 0..=payload.len() {
            let _ = is_keyframe(&payload[..len]);
            if let Some(parsed) = Payload::parse(&payload[..len]) {
                prop_assert!(parsed.elements().map(|one| one.bytes.len()).sum::<usize>() < len);
            }
        }
    }
}
