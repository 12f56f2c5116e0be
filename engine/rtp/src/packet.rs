//! A received RTP packet as a view (RFC 3550 §5.1), with its header extensions (RFC 8285).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//! |                           timestamp                           |
//! |                             SSRC                              |
//! |                     CSRCs, CC of them                         |
//! |  extension profile (if X)     |  length in 32-bit words       |
//! |                     extension elements                        |
//! |                     payload, padding (if P)                   |
//! ```

use crate::{ExtId, Pt, Seq, Ssrc};

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Fewer bytes than the fixed header has.
    TooShort,
    /// The version is not 2; perhaps not RTP.
    Version,
    /// The CSRC list the header announces runs past the end.
    CsrcsCut,
    /// The extension block the header announces runs past the end.
    ExtensionCut,
    /// Padding is announced, but nothing follows the header, or less than the padding length.
    Padding,
}

/// A packet whose lengths have been checked: no accessor fails, none copies.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    /// Fixed header, CSRCs and extension block.
    header_len: usize,
    padding_len: u8,
}

impl<'a> Packet<'a> {
    /// Checks the fixed header, the CSRC list, the length of the extension block and the padding. The
    /// elements within the extension block are checked as they are walked.
    pub fn new(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        if bytes.len() < FIXED_LEN {
            return Err(Malformed::TooShort);
        }
        if bytes[0] >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let mut header_len = FIXED_LEN + 4 * usize::from(bytes[0] & CSRC_COUNT);
        if bytes.len() < header_len {
            return Err(Malformed::CsrcsCut);
        }
        if bytes[0] & EXTENSION_BIT != 0 {
            let words = bytes.get(header_len + 2..header_len + 4).ok_or(Malformed::ExtensionCut)?;
            header_len += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
            if bytes.len() < header_len {
                return Err(Malformed::ExtensionCut);
            }
        }
        let padding_len = if bytes[0] & PADDING_BIT == 0 {
            0
        } else {
            // The count includes its own byte (RFC 3550 §5.1), so zero is invalid. Devices that set the bit
            // without padding send it: then there is no padding, and the byte belongs to the payload.
            let count = bytes[bytes.len() - 1];
            let behind = bytes.len() - header_len;
            if behind == 0 || usize::from(count) > behind {
                return Err(Malformed::Padding);
            }
            count
        };
        Ok(Packet { bytes, header_len, padding_len })
    }

    /// Payload type.
    pub fn pt(&self) -> Pt {
        Pt(self.bytes[1] & 0x7f)
    }

    /// The marker bit; its meaning depends on the payload format, usually the end of a frame or the start of
    /// a talkspurt.
    pub fn marker(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// Sequence number.
    pub fn seq(&self) -> Seq {
        Seq(u16::from_be_bytes([self.bytes[2], self.bytes[3]]))
    }

    /// Timestamp, in units of the payload type's clock rate. Wraps.
    pub fn timestamp(&self) -> u32 {
        self.word(4)
    }

    /// The sender's SSRC.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(self.word(8))
    }

    /// The number of contributing sources, 0 to 15.
    pub fn csrc_count(&self) -> usize {
        usize::from(self.bytes[0] & CSRC_COUNT)
    }

    /// The contributing sources listed by a mixer.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + 'a {
        self.bytes[FIXED_LEN..FIXED_LEN + 4 * self.csrc_count()]
            .chunks_exact(4)
            .map(|word| Ssrc(u32::from_be_bytes([word[0], word[1], word[2], word[3]])))
    }

    /// Bytes before the payload: fixed header, CSRCs and extension block. SRTP does not encrypt them.
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// The whole packet.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The payload without padding. Empty in a padding-only packet, such as a probe.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_len..self.bytes.len() - self.padding_len()]
    }

    /// The payload and the padding after it.
    pub fn payload_with_padding(&self) -> &'a [u8] {
        &self.bytes[self.header_len..]
    }

    /// Bytes of padding at the end, including the one that holds their count.
    pub fn padding_len(&self) -> usize {
        usize::from(self.padding_len)
    }

    /// Whether there is an extension block, of any profile.
    pub fn has_extensions(&self) -> bool {
        self.bytes[0] & EXTENSION_BIT != 0
    }

    /// The value of the first element with this id.
    pub fn extension(&self, id: ExtId) -> Option<&'a [u8]> {
        self.extensions().find(|&(found, _)| found == id).map(|(_, value)| value)
    }

    /// The elements of the extension block, in order. Empty without a block, or if its profile is neither of
    /// RFC 8285's; ends early at an element that runs past the block.
    pub fn extensions(&self) -> ExtensionIter<'a> {
        if !self.has_extensions() {
            return ExtensionIter { rest: &[], form: Form::OneByte };
        }
        let block = &self.bytes[FIXED_LEN + 4 * self.csrc_count()..self.header_len];
        let form = match u16::from_be_bytes([block[0], block[1]]) {
            ONE_BYTE_PROFILE => Form::OneByte,
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => Form::TwoByte,
            _ => return ExtensionIter { rest: &[], form: Form::OneByte },
        };
        ExtensionIter { rest: &block[4..], form }
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]])
    }
}

/// Walks the elements of an extension block; see [`Packet::extensions`].
#[derive(Clone, Debug)]
pub struct ExtensionIter<'a> {
    rest: &'a [u8],
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
}

impl<'a> Iterator for ExtensionIter<'a> {
    type Item = (ExtId, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        // In both forms a zero byte is padding (RFC 8285 §4.1.2).
        let start = rest.iter().position(|&byte| byte != 0)?;
        let (id, value_at, len) = match self.form {
            Form::OneByte => {
                let id = rest[start] >> 4;
                // Id 15 ends the walk (RFC 8285 §4.2), and so does id 0 with a length.
                if id == 0 || id == ONE_BYTE_STOP {
                    return None;
                }
                (id, start + 1, usize::from(rest[start] & 0x0f) + 1)
            }
            Form::TwoByte => (rest[start], start + 2, usize::from(*rest.get(start + 1)?)),
        };
        let value = rest.get(value_at..value_at + len)?;
        self.rest = &rest[value_at + len..];
        Some((ExtId(id), value))
    }
}

impl std::iter::FusedIterator for ExtensionIter<'_> {}

/// The fixed part of the header.
pub(crate) const FIXED_LEN: usize = 12;
const PADDING_BIT: u8 = 0x20;
pub(crate) const EXTENSION_BIT: u8 = 0x10;
const CSRC_COUNT: u8 = 0x0f;
/// RFC 8285 §4.2.
pub(crate) const ONE_BYTE_PROFILE: u16 = 0xbede;
/// RFC 8285 §4.3; the low four bits belong to the application.
pub(crate) const TWO_BYTE_PROFILE: u16 = 0x1000;
pub(crate) const ONE_BYTE_STOP: u8 = 15;

#[cfg(test)]
mod tests;
