use super::*;
use crate::Packet;
use proptest::prelude::*;

const HEADER: Header =
    Header { pt: Pt(96), marker: true, seq: Seq(0x1234), timestamp: 0x0001_e240, ssrc: Ssrc(0xdead_beef) };

fn extensions(elements: &[(u8, &[u8])]) -> Extensions {
    let mut extensions = Extensions::new();
    for &(id, value) in elements {
        assert!(extensions.push(ExtId(id), value));
    }
    extensions
}

#[test]
fn without_extensions_there_is_no_block() {
    let mut out = [0xa5; 16];
    assert_eq!(HEADER.write(&Extensions::new(), &mut out), Some(12));
    let expected = [0x80, 0xe0, 0x12, 0x34, 0, 1, 0xe2, 0x40, 0xde, 0xad, 0xbe, 0xef];
    assert_eq!((&out[..12], &out[12..]), (&expected[..], &[0xa5; 4][..]));
}

#[test]
fn small_elements_take_the_one_byte_form() {
    let extensions = extensions(&[(1, &[0xaa]), (14, &[0xbb; 16])]);
    let mut out = [0xa5; 64];
    assert_eq!(HEADER.write(&extensions, &mut out), Some(12 + 4 + 20));
    assert_eq!(out[12..18], [0xbe, 0xde, 0, 5, 0x10, 0xaa]);
    assert_eq!((out[18], out[34], out[35]), (0xef, 0xbb, 0), "padded with zero");
    assert_eq!(out[36], 0xa5);
}

#[test]
fn one_long_element_switches_all_to_the_two_byte_form() {
    for odd in [(15, &[0xbb][..]), (16, &[0xbb]), (2, &[]), (2, &[0xbb; 17])] {
        let extensions = extensions(&[(1, &[0xaa]), odd]);
        let mut out = [0xa5; 64];
        let len = HEADER.write(&extensions, &mut out).expect("fits");
        assert_eq!(out[12..14], [0x10, 0x00]);
        let packet = Packet::new(&out[..len]).expect("well formed");
        let elements: Vec<_> = packet.extensions().map(|(id, value)| (id.0, value)).collect();
        assert_eq!(elements, [(1, &[0xaa][..]), odd]);
    }
}

#[test]
fn nothing_is_written_when_the_buffer_is_too_short() {
    let extensions = extensions(&[(1, &[0xaa])]);
    for len in 0..20 {
        let mut out = [0xa5; 20];
        assert_eq!(HEADER.write(&extensions, &mut out[..len]), None, "{len} bytes");
        assert_eq!(out, [0xa5; 20]);
    }
}

#[test]
fn the_longest_header_is_as_long_as_promised() {
    let mut full = Extensions::new();
    for id in 1..=EXTENSIONS_MAX as u8 {
        let values_left = EXTENSION_BYTES_MAX - full.iter().map(|(_, value)| value.len()).sum::<usize>();
        let len = if id == EXTENSIONS_MAX as u8 { values_left } else { 1 };
        assert!(full.push(ExtId(id), &[id; EXTENSION_BYTES_MAX][..len]));
    }
    let mut out = [0xa5; HEADER_LEN_MAX];
    assert_eq!(HEADER.write(&full, &mut out), Some(HEADER_LEN_MAX));
    let packet = Packet::new(&out).expect("well formed");
    assert_eq!(packet.extensions().count(), EXTENSIONS_MAX);
}

#[test]
fn a_dependency_structure_fits_with_the_usual_set() {
    let mut all = Extensions::new();
    // MID and RID of maximum length, send time, transport sequence number, rotation.
    for (id, len) in [(1, 16), (2, 16), (3, 3), (4, 2), (5, 1)] {
        assert!(all.push(ExtId(id), &[id; 16][..len]));
    }
    assert!(all.push(ExtId(13), &[0xaa; 95]), "as large as a browser's for L3T3");
}

#[test]
fn elements_beyond_the_bounds_are_refused() {
    let mut full = extensions(&[(1, &[0xaa; EXTENSION_BYTES_MAX])]);
    assert!(!full.push(ExtId(2), &[0xbb]));
    assert!(full.push(ExtId(3), &[]), "which takes no room");
    let mut many = Extensions::new();
    for id in 1..=EXTENSIONS_MAX as u8 {
        assert!(many.push(ExtId(id), &[id]));
    }
    assert!(!many.push(ExtId(14), &[0xbb]));
    assert_eq!(many.iter().count(), EXTENSIONS_MAX);
    assert!(!Extensions::new().push(ExtId(0), &[0xbb]), "0 is padding");
    assert!(!Extensions::new().push(ExtId(1), &[0xbb; EXTENSION_BYTES_MAX + 1]));
    full.clear();
    assert!(full.is_empty() && full.encoded_len() == 0 && full.push(ExtId(1), &[0xaa]));
    assert_eq!(full.encoded_len(), 8);
}

#[test]
fn only_seven_bits_of_a_payload_type_are_written() {
    let mut out = [0xa5; 12];
    Header { pt: Pt(0xff), marker: false, ..HEADER }.write(&Extensions::new(), &mut out);
    assert_eq!(out[1], 0x7f);
}

proptest! {
    #[test]
    fn written_values_are_read_back(
        (pt, marker, seq, timestamp, ssrc) in (0u8..128, any::<bool>(), any::<u16>(), any::<u32>(), any::<u32>()),
        elements in prop::collection::vec((1u8.., prop::collection::vec(any::<u8>(), 0..20)), 0..14),
        payload in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let header = Header { pt: Pt(pt), marker, seq: Seq(seq), timestamp, ssrc: Ssrc(ssrc) };
        let mut extensions = Extensions::new();
        let taken: Vec<_> = elements
            .into_iter()
            .filter(|(id, value)| extensions.push(ExtId(*id), value))
            .collect();
        let mut out = [0xa5; HEADER_LEN_MAX + 20];
        let len = header.write(&extensions, &mut out).expect("fits");
        prop_assert_eq!(len, Header::encoded_len(&extensions));
        prop_assert!(out[len..].iter().all(|&byte| byte == 0xa5));
        out[len..len + payload.len()].copy_from_slice(&payload);

        let packet = Packet::new(&out[..len + payload.len()]).expect("well formed");
        let read = Header {
            pt: packet.pt(),
            marker: packet.marker(),
            seq: packet.seq(),
            timestamp: packet.timestamp(),
            ssrc: packet.ssrc(),
        };
        prop_assert_eq!(read, header);
        prop_assert_eq!(packet.payload(), &payload[..]);
        let read: Vec<_> = packet.extensions().map(|(id, value)| (id.0, value.to_vec())).collect();
        prop_assert_eq!(read, taken);
    }
}
