//! RED, redundant audio data (RFC 2198): several blocks in one payload, the newest (the primary) last, copies
//! of earlier ones before it.
//!
//! ```text
//!  0                   1                    2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |1|   block PT  |  timestamp offset         |   block length    |   one for each copy, the oldest first
//! |0|   block PT  |                                                   the primary: whatever is left belongs to it
//! ```
//!
//! Read, never written: a forwarder passes RED on unchanged, or extracts the primary for a receiver that has
//! only the inner codec.

use crate::Pt;
use crate::limits::RED_COPIES_MAX;

/// A payload whose block headers have been checked against its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The headers of the copies.
    headers: &'a [u8],
    /// Their data, one after the other.
    copies: &'a [u8],
    /// The newest block.
    pub primary: Primary<'a>,
}

/// The newest block. Its timestamp is the packet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Primary<'a> {
    /// Its payload type.
    pub pt: Pt,
    /// Its data; may be empty.
    pub bytes: &'a [u8],
}

/// A copy of the primary of an earlier packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy<'a> {
    /// Its payload type.
    pub pt: Pt,
    /// How much earlier its timestamp is than the packet's, in units of the RTP clock; below 2¹⁴.
    pub timestamp_offset: u16,
    /// Its data, less than 2¹⁰ bytes; may be empty.
    pub bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Checks a payload. `None` if its headers are cut short, if the copies would be longer than the payload,
    /// or if there are more than [`RED_COPIES_MAX`] of them.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut rest = payload;
        let mut copies_len = 0;
        let mut count = 0;
        while rest.first()? & F != 0 {
            let (header, behind) = rest.split_first_chunk::<HEADER_LEN>()?;
            copies_len += block_len(header);
            count += 1;
            rest = behind;
        }
        if count > RED_COPIES_MAX {
            return None;
        }
        let (primary_pt, blocks) = rest.split_first()?;
        let (copies, primary) = blocks.split_at_checked(copies_len)?;
        Some(Self {
            headers: &payload[..count * HEADER_LEN],
            copies,
            primary: Primary { pt: Pt(*primary_pt), bytes: primary },
        })
    }

    /// The copies, the oldest first.
    pub fn copies(&self) -> impl Iterator<Item = Copy<'a>> {
        let (headers, _) = self.headers.as_chunks::<HEADER_LEN>();
        headers.iter().scan(self.copies, |rest, header| {
            // Never short: the sum of the lengths is the slice's.
            let (bytes, behind) = rest.split_at_checked(block_len(header))?;
            *rest = behind;
            let offset = u16::from_be_bytes([header[1], header[2]]) >> 2;
            Some(Copy { pt: Pt(header[0] & !F), timestamp_offset: offset, bytes })
        })
    }
}

/// Ten bits at the end of a copy's header.
fn block_len(header: &[u8; HEADER_LEN]) -> usize {
    usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x03ff)
}

/// Another header follows.
const F: u8 = 0x80;
/// Of a copy's header; the primary's is one byte.
const HEADER_LEN: usize = 4;

#[cfg(test)]
mod tests {
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
}
