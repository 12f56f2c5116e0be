//! AV1 (RTP payload of the AV1 RTP specification §4): the aggregation header, and the OBU elements behind it.
//!
//! What is *not* here: layers and references, which the dependency descriptor describes, and the contents of
//! an OBU after its header.
//!
//! ```text
//!   0 1 2 3 4 5 6 7
//!  |Z|Y| W |N|  -  |  the aggregation header, then W elements; with W = 0 as many as there are
//!  |  leb128 size  |  before each element, but not before the last of W = 1, 2, 3
//!  |F|  type |X|S|-|  an element that begins an OBU begins with its header (AV1 §5.3.2)
//!  | TID |SID|  -  |  if X
//! ```

use crate::limits::AV1_ELEMENTS_MAX;

/// The payload of a packet; all elements are known to be complete (AV1 RTP §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The first element continues an OBU of the previous packet (Z).
    pub continues: bool,
    /// The last element's OBU continues in the next packet (Y).
    pub continued: bool,
    /// How many elements the header announces, 1 to 3, or 0 for as many as there are (W).
    pub count: u8,
    /// The packet is the first of a coded video sequence (N).
    pub new_sequence: bool,
    elements: &'a [u8],
}

/// An OBU or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its bytes, including the OBU's header; empty only from an incorrect sender.
    pub bytes: &'a [u8],
    /// The OBU begins here.
    pub start: bool,
    /// The OBU ends here.
    pub end: bool,
}

/// The header of an OBU (AV1 §5.3.2, §5.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObuHeader {
    /// 0 to 15; see [`SEQUENCE_HEADER`].
    pub kind: u8,
    /// The layers of the OBU; absent if it belongs to all, or there is only one.
    pub layer: Option<Layer>,
    /// The OBU also contains its size, which is optional in RTP.
    pub has_size: bool,
}

/// Position of an OBU among the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Temporal layer, 0 to 7.
    pub tid: u8,
    /// Spatial layer, 0 to 3.
    pub sid: u8,
}

/// The type of the OBU that a decoder needs first (AV1 §6.2.2).
pub const SEQUENCE_HEADER: u8 = 1;

impl<'a> Payload<'a> {
    /// Reads a payload. `None` if an element is cut short, there are fewer elements than announced or none, a
    /// size is not a 32-bit number, or a sequence would begin in the middle of an OBU.
    pub fn parse(payload: &'a [u8]) -> Option<Payload<'a>> {
        let (&header, elements) = payload.split_first()?;
        let (continues, new_sequence) = (header & Z != 0, header & N != 0);
        if continues && new_sequence {
            return None;
        }
        let count = header >> 4 & 0x03;
        let parsed = Payload { continues, continued: header & Y != 0, count, new_sequence, elements };
        let mut walk = parsed.elements();
        walk.next()?;
        // If there are more than the bound, bytes are left over, which makes the payload invalid.
        for _ in 1..AV1_ELEMENTS_MAX {
            if walk.next().is_none() {
                break;
            }
        }
        let complete = count == 0 || walk.index == count;
        (walk.rest.is_empty() && complete).then_some(parsed)
    }

    /// The elements, in order.
    pub fn elements(&self) -> Elements<'a> {
        Elements { rest: self.elements, index: 0, payload: *self }
    }

    /// Whether an OBU of type `kind` begins in the packet.
    pub fn starts(&self, kind: u8) -> bool {
        self.elements().any(|element| element.header().is_some_and(|header| header.kind == kind))
    }
}

/// Whether the packet with this payload begins a keyframe that a decoder can start from: the first packet of
/// a coded video sequence, with its sequence header. False for later packets of the keyframe.
pub fn is_keyframe(payload: &[u8]) -> bool {
    Payload::parse(payload).is_some_and(|payload| payload.new_sequence && payload.starts(SEQUENCE_HEADER))
}

impl Element<'_> {
    /// The OBU's header. `None` if the OBU does not begin here, or the header is incomplete.
    pub fn header(&self) -> Option<ObuHeader> {
        let &first = self.bytes.first().filter(|_| self.start)?;
        let layer = if first & EXTENSION != 0 {
            let &second = self.bytes.get(1)?;
            Some(Layer { tid: second >> 5, sid: second >> 3 & 0x03 })
        } else {
            None
        };
        Some(ObuHeader { kind: first >> 3 & 0x0f, layer, has_size: first & HAS_SIZE != 0 })
    }
}

/// The elements of a payload, in order.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    /// The number of elements returned; counts only as far as needed.
    index: u8,
    payload: Payload<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let announced = self.payload.count;
        let (bytes, rest) = if announced != 0 && self.index + 1 == announced {
            (self.rest, &self.rest[..0])
        } else {
            let (size, rest) = leb128(self.rest)?;
            rest.split_at_checked(usize::try_from(size).ok()?)?
        };
        let first = self.index == 0;
        self.rest = rest;
        self.index = self.index.saturating_add(1);
        Some(Element {
            bytes,
            start: !(first && self.payload.continues),
            end: !(rest.is_empty() && self.payload.continued),
        })
    }
}

/// A number with seven bits per byte, the lowest first (AV1 §4.10.5), and the bytes after it. `None` if it is
/// cut short, or longer or larger than the format allows.
fn leb128(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().take(LEB128_LEN_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

const Z: u8 = 0x80;
const Y: u8 = 0x40;
const N: u8 = 0x08;
const EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;
/// AV1 §4.10.5: more than eight bytes are invalid.
const LEB128_LEN_MAX: usize = 8;

#[cfg(test)]
mod tests {
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
        let elements: Vec<_> =
            Payload::parse(&payload).expect("whole").elements().map(|one| one.bytes).collect();
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
}
