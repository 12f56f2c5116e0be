use super::*;
use proptest::prelude::*;

/// A naive writer, the reverse of `parse`.
fn write(copies: &[(u8, u16, Vec<u8>)], primary: (u8, &[u8])) -> Vec<u8> {
    let mut out = Vec::new();
    for (pt, offset, bytes) in copies {
        let word = 1 << 31
            | u32::from(*pt) << 24
            | u32::from(*offset) << 10
            | u32::try_from(bytes.len()).expect("short");
        out.extend(word.to_be_bytes());
    }
    out.push(primary.0);
    copies.iter().for_each(|(_, _, bytes)| out.extend(bytes));
    out.extend(primary.1);
    out
}

/// As Chrome sends it: Opus (111), one copy of 20 ms ago, then the primary.
const OPUS: [u8; 12] = [0xef, 0x0f, 0x00, 0x03, 0x6f, 0x78, 0xa5, 0xa6, 0x78, 0xb5, 0xb6, 0xb7];

#[test]
fn reads_a_copy_and_the_primary() {
    let red = Payload::parse(&OPUS).expect("whole");
    assert_eq!(red.primary, Primary { pt: Pt(111), bytes: &[0x78, 0xb5, 0xb6, 0xb7] });
    let copies: Vec<_> = red.copies().collect();
    assert_eq!(copies, [Copy { pt: Pt(111), timestamp_offset: 960, bytes: &[0x78, 0xa5, 0xa6] }]);
}

#[test]
fn cut_short_headers_or_copies_are_refused() {
    for len in 0..8 {
        assert_eq!(Payload::parse(&OPUS[..len]), None, "{len} bytes");
    }
    // From here on only the primary gets shorter, which has no length field.
    for len in 8..12 {
        assert_eq!(Payload::parse(&OPUS[..len]).expect("whole").primary.bytes, &OPUS[8..len]);
    }
}

#[test]
fn a_primary_may_be_alone_but_not_missing() {
    let alone = Payload::parse(&[0x6f, 0x78]).expect("whole");
    assert_eq!((alone.primary.bytes, alone.copies().count()), (&[0x78][..], 0));
    assert_eq!(Payload::parse(&[0xff; 400]), None, "every header announces another one");
}

#[test]
fn copies_are_bounded() {
    let copies = vec![(111, 960, vec![0xa5]); RED_COPIES_MAX];
    let bytes = write(&copies, (111, &[0x78]));
    assert_eq!(Payload::parse(&bytes).expect("at the bound").copies().count(), RED_COPIES_MAX);
    let copies = vec![(111, 960, vec![0xa5]); RED_COPIES_MAX + 1];
    assert_eq!(Payload::parse(&write(&copies, (111, &[0x78]))), None);
}

proptest! {
    #[test]
    fn written_values_are_read_back(
        copies in prop::collection::vec(
            (0u8..128, 0u16..1 << 14, prop::collection::vec(any::<u8>(), 0..60)),
            0..=RED_COPIES_MAX,
        ),
        primary in (0u8..128, prop::collection::vec(any::<u8>(), 0..60)),
    ) {
        let bytes = write(&copies, (primary.0, &primary.1));
        let red = Payload::parse(&bytes).expect("whole");
        prop_assert_eq!(red.primary, Primary { pt: Pt(primary.0), bytes: &primary.1 });
        let read: Vec<_> =
            red.copies().map(|copy| (copy.pt.0, copy.timestamp_offset, copy.bytes.to_vec())).collect();
        prop_assert_eq!(read, copies);
    }

    /// All blocks are inside the payload, and together they cover it.
    #[test]
    fn blocks_and_headers_are_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(red) = Payload::parse(&bytes) {
            let blocks: usize = red.copies().map(|copy| HEADER_LEN + copy.bytes.len()).sum();
            prop_assert_eq!(blocks + 1 + red.primary.bytes.len(), bytes.len());
        }
    }
}
