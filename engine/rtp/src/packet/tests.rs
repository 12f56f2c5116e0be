use super::*;
use crate::testing::hex;
use proptest::prelude::*;

fn full() -> Vec<u8> {
    hex(include_str!("../../../../tests/vectors/rfc3550/rtp-full.hex"))
}

fn elements(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let packet = Packet::new(bytes).expect("well formed");
    packet.extensions().map(|(id, value)| (id.0, value.to_vec())).collect()
}

/// A packet with an extension block of this profile and these elements, and a payload of one byte.
fn with_block(profile: u16, block: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend(profile.to_be_bytes());
    bytes.extend((block.len().div_ceil(4) as u16).to_be_bytes());
    bytes.extend(block);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.push(0xa5);
    bytes
}

#[test]
fn reads_everything_a_packet_can_have() {
    let bytes = full();
    let packet = Packet::new(&bytes).expect("well formed");
    assert_eq!(packet.pt(), Pt(8));
    assert!(!packet.marker());
    assert_eq!(packet.seq(), Seq(16));
    assert_eq!(packet.timestamp(), 800);
    assert_eq!(packet.ssrc(), Ssrc(0x1122_3344));
    assert_eq!(packet.csrc_count(), 2);
    assert_eq!(packet.csrcs().collect::<Vec<_>>(), [Ssrc(10), Ssrc(11)]);
    assert_eq!(packet.header_len(), 12 + 8 + 8);
    assert_eq!(packet.payload(), [0xd5; 5]);
    assert_eq!(packet.payload_with_padding(), [0xd5, 0xd5, 0xd5, 0xd5, 0xd5, 0, 0, 3]);
    assert_eq!(packet.padding_len(), 3);
    assert!(packet.has_extensions());
    assert_eq!(packet.extensions().count(), 0, "of a profile that is not ours");
    assert_eq!(packet.as_bytes(), bytes);
}

#[test]
fn a_packet_cut_short_anywhere_is_malformed() {
    let bytes = full();
    for len in 0..bytes.len() {
        let expected = match len {
            0..12 => Some(Malformed::TooShort),
            12..20 => Some(Malformed::CsrcsCut),
            20..28 => Some(Malformed::ExtensionCut),
            // Cut in the padding, the count is one of its zeros.
            34..36 => None,
            // Cut in the payload, it is 0xd5.
            _ => Some(Malformed::Padding),
        };
        assert_eq!(Packet::new(&bytes[..len]).err(), expected, "{len} bytes");
    }
}

#[test]
fn another_version_is_another_protocol() {
    for version in [0x00, 0x40, 0xc0] {
        let mut bytes = full();
        bytes[0] = bytes[0] & 0x3f | version;
        assert_eq!(Packet::new(&bytes).err(), Some(Malformed::Version));
    }
}

#[test]
fn a_packet_may_be_all_padding() {
    let mut bytes = vec![0xa0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    assert_eq!(Packet::new(&bytes).err(), Some(Malformed::Padding), "announced, but there is none");
    bytes.extend([0, 0, 0, 4]);
    let packet = Packet::new(&bytes).expect("well formed");
    assert_eq!((packet.payload().len(), packet.padding_len()), (0, 4));
    for count in [5, 255] {
        bytes[15] = count;
        assert_eq!(Packet::new(&bytes).err(), Some(Malformed::Padding), "{count} of 4");
    }
}

#[test]
fn padding_count_of_zero_is_no_padding() {
    let mut bytes = vec![0xa0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xaa, 0xbb, 0];
    let packet = Packet::new(&bytes).expect("well formed");
    assert_eq!((packet.payload(), packet.padding_len()), (&[0xaa, 0xbb, 0][..], 0));
    bytes.truncate(12);
    bytes[11] = 0;
    assert_eq!(Packet::new(&bytes).err(), Some(Malformed::Padding), "the zero is of the header");
}

#[test]
fn an_announced_extension_block_must_be_there() {
    let bytes = [0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0xff, 0xff, 0x10, 0xaa, 0, 0];
    assert_eq!(Packet::new(&bytes).err(), Some(Malformed::ExtensionCut));
}

#[test]
fn walks_the_one_byte_form() {
    let bytes = hex(include_str!("../../../../tests/vectors/rfc8285/one-byte.hex"));
    let expected = [(1, vec![0xaa]), (2, vec![0xbb, 0xbc]), (3, vec![0xc0, 0xc1, 0xc2, 0xc3])];
    assert_eq!(elements(&bytes), expected);
    let packet = Packet::new(&bytes).expect("well formed");
    assert_eq!(packet.extension(ExtId(2)), Some(&[0xbb, 0xbc][..]));
    assert_eq!(packet.extension(ExtId(0)), None);
    assert_eq!(packet.extension(ExtId(4)), None);
    assert!(packet.marker());
    assert_eq!(packet.payload(), [1, 2, 3]);
}

#[test]
fn walks_the_two_byte_form() {
    let bytes = hex(include_str!("../../../../tests/vectors/rfc8285/two-byte.hex"));
    let expected = [(17, vec![]), (2, vec![0xbb]), (200, vec![0xc0, 0xc1, 0xc2, 0xc3])];
    assert_eq!(elements(&bytes), expected);
}

#[test]
fn id_fifteen_ends_the_one_byte_form() {
    let bytes = hex(include_str!("../../../../tests/vectors/rfc8285/stop.hex"));
    assert_eq!(elements(&bytes), [(4, vec![0xaa])]);
    assert_eq!(elements(&with_block(0x1000, &[15, 1, 0xaa, 5, 0])), [(15, vec![0xaa]), (5, vec![])]);
}

#[test]
fn id_zero_with_a_length_ends_the_one_byte_form() {
    assert_eq!(elements(&with_block(0xbede, &[0x10, 0xaa, 0x01, 0xbb, 0xcc, 0x20, 0xdd])), [(1, vec![0xaa])]);
}

#[test]
fn an_element_that_runs_past_the_block_ends_the_walk() {
    assert_eq!(elements(&with_block(0xbede, &[0x10, 0xaa, 0x21, 0xbb])), [(1, vec![0xaa])]);
    assert_eq!(elements(&with_block(0x1000, &[1, 0, 2, 1])), [(1, vec![])]);
    assert_eq!(elements(&with_block(0x1000, &[1, 1, 0xaa, 2])), [(1, vec![0xaa])], "no length");
    assert_eq!(elements(&with_block(0xbede, &[])), []);
}

#[test]
fn the_first_of_two_elements_with_one_id_is_used() {
    let bytes = with_block(0xbede, &[0x10, 0xaa, 0x10, 0xbb]);
    assert_eq!(Packet::new(&bytes).expect("well formed").extension(ExtId(1)), Some(&[0xaa][..]));
}

proptest! {
    /// For any bytes, the parts of a packet are in order and add up to it.
    #[test]
    fn any_bytes_are_parsed_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), version_2 in any::<bool>()) {
        if let (true, Some(first)) = (version_2, bytes.first_mut()) {
            *first = 0x80 | (*first & 0x3f);
        }
        if let Ok(packet) = Packet::new(&bytes) {
            let parts = packet.header_len() + packet.payload().len() + packet.padding_len();
            prop_assert_eq!(parts, bytes.len());
            let in_elements: usize = packet.extensions().map(|(_, value)| value.len()).sum();
            let before = 12 + 4 * packet.csrcs().len();
            prop_assert!(in_elements + before <= packet.header_len());
            let _ = (packet.pt(), packet.marker(), packet.seq(), packet.timestamp(), packet.ssrc());
        }
    }
}
