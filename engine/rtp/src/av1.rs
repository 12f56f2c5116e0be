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
mod tests;
