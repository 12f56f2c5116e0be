//! Picture numbers inside the payload: PictureID and TL0PICIDX of VP8 and VP9 (RFC 7741 §4.2, RFC 9628 §4.2).
//!
//! A receiver detects missing pictures by them, so they must continue without a jump if a consumer changes
//! its source, and for VP8 also across pictures that are not sent. They are in the first bytes of the
//! payload, which all consumers share: a consumer with other numbers gets a separate copy of the packet.

use crate::limits;
use control::Codec;

/// The numbers of one packet's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureNumbers {
    /// PictureID, of seven or fifteen bits.
    pub picture_id: Option<u16>,
    /// TL0PICIDX.
    pub tl0picidx: Option<u8>,
    picture_id_at: u8,
    is_long: bool,
    tl0picidx_at: u8,
}

/// The offset added to a source's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureOffset {
    /// To the PictureID, modulo 2¹⁵ or 2⁷.
    pub picture_id: u16,
    /// To TL0PICIDX, modulo 2⁸.
    pub tl0picidx: u8,
}

impl PictureNumbers {
    /// Reads them from the front of a payload. `None` for codecs without them, and if the descriptor is cut
    /// short.
    pub fn read(codec: Codec, payload: &[u8]) -> Option<Self> {
        match codec {
            Codec::Vp8 => Self::read_vp8(payload),
            Codec::Vp9 => Self::read_vp9(payload),
            Codec::Opus | Codec::Red | Codec::H264 | Codec::Av1 => None,
        }
    }

    fn read_vp8(payload: &[u8]) -> Option<Self> {
        const EXTENDED: u8 = 0x80;
        const HAS_TL0PICIDX: u8 = 0x40;
        let [first, present, ..] = *payload else { return None };
        if first & EXTENDED == 0 {
            return None;
        }
        let mut numbers = Self::read_picture_id(payload, present, 2)?;
        if present & HAS_TL0PICIDX != 0 {
            numbers.tl0picidx = Some(*payload.get(usize::from(numbers.tl0picidx_at))?);
        }
        Some(numbers)
    }

    fn read_vp9(payload: &[u8]) -> Option<Self> {
        const HAS_LAYERS: u8 = 0x20;
        const FLEXIBLE: u8 = 0x10;
        let first = *payload.first()?;
        let mut numbers = Self::read_picture_id(payload, first, 1)?;
        if first & HAS_LAYERS != 0 && first & FLEXIBLE == 0 {
            // After the layer indices.
            numbers.tl0picidx_at += 1;
            numbers.tl0picidx = Some(*payload.get(usize::from(numbers.tl0picidx_at))?);
        }
        Some(numbers)
    }

    /// Both codecs write the PictureID in the same way: present if bit 7 of `present` is set, long if its own
    /// bit 7 is set.
    fn read_picture_id(payload: &[u8], present: u8, at: u8) -> Option<Self> {
        let mut numbers =
            Self { picture_id: None, tl0picidx: None, picture_id_at: at, is_long: false, tl0picidx_at: at };
        if present & 0x80 != 0 {
            let high = *payload.get(usize::from(at))?;
            numbers.is_long = high & 0x80 != 0;
            numbers.picture_id = Some(if numbers.is_long {
                u16::from_be_bytes([high & 0x7f, *payload.get(usize::from(at) + 1)?])
            } else {
                u16::from(high)
            });
            numbers.tl0picidx_at += if numbers.is_long { 2 } else { 1 };
        }
        Some(numbers)
    }

    /// The PictureID with the offset added.
    pub fn picture_id_with(&self, offset: PictureOffset) -> Option<u16> {
        Some(self.picture_id?.wrapping_add(offset.picture_id) & if self.is_long { 0x7fff } else { 0x7f })
    }

    /// TL0PICIDX with the offset added.
    pub fn tl0picidx_with(&self, offset: PictureOffset) -> Option<u8> {
        Some(self.tl0picidx?.wrapping_add(offset.tl0picidx))
    }

    /// Both with the offset added.
    pub fn with(&self, offset: PictureOffset) -> LastPicture {
        LastPicture { picture_id: self.picture_id_with(offset), tl0picidx: self.tl0picidx_with(offset) }
    }

    /// Writes the numbers plus the offset into a copy of their payload.
    pub fn write(&self, offset: PictureOffset, payload: &mut [u8]) {
        if let Some(picture_id) = self.picture_id_with(offset) {
            let at = usize::from(self.picture_id_at);
            if self.is_long {
                payload[at..at + 2].copy_from_slice(&(picture_id | 0x8000).to_be_bytes());
            } else {
                payload[at] = picture_id as u8;
            }
        }
        if let Some(tl0picidx) = self.tl0picidx_with(offset) {
            payload[usize::from(self.tl0picidx_at)] = tl0picidx;
        }
    }
}

impl PictureOffset {
    /// Whether the numbers are unchanged.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// The offset with which `numbers` of a keyframe continue after `last`, the numbers sent last: a keyframe
    /// is a picture of the base layer, so both increase by one. Late packets have at most the numbers of
    /// `latest`, which stay reserved.
    pub fn continuing(last: LastPicture, latest: LastPicture, numbers: &PictureNumbers) -> Self {
        let room_max = u16::from(limits::LATE_PICTURES_MAX);
        let picture_id = match (last.picture_id, latest.picture_id, numbers.picture_id) {
            (Some(last), Some(latest), Some(first)) => {
                let ids = if numbers.is_long { 0x7fff } else { 0x7f };
                let room = (latest.wrapping_sub(last) & ids).min(room_max);
                last.wrapping_add(1 + room).wrapping_sub(first) & 0x7fff
            }
            _ => 0,
        };
        let tl0picidx = match (last.tl0picidx, latest.tl0picidx, numbers.tl0picidx) {
            (Some(last), Some(latest), Some(first)) => {
                let room = latest.wrapping_sub(last).min(limits::LATE_PICTURES_MAX);
                last.wrapping_add(1).wrapping_add(room).wrapping_sub(first)
            }
            _ => 0,
        };
        Self { picture_id, tl0picidx }
    }
}

/// The numbers that a consumer got last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastPicture {
    /// PictureID.
    pub picture_id: Option<u16>,
    /// TL0PICIDX.
    pub tl0picidx: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_widths_are_read_and_written() {
        let long = [0x90, 0xe0, 0x81, 0x02, 0x07, 0x20, 0xaa];
        let numbers = PictureNumbers::read(Codec::Vp8, &long).expect("whole");
        assert_eq!((numbers.picture_id, numbers.tl0picidx), (Some(0x102), Some(7)));
        let mut copy = long;
        numbers.write(PictureOffset { picture_id: 0x7fff, tl0picidx: 250 }, &mut copy);
        assert_eq!(copy, [0x90, 0xe0, 0x81, 0x01, 0x01, 0x20, 0xaa]);

        let short = [0x90, 0xc0, 0x7f, 0x07, 0xaa];
        let numbers = PictureNumbers::read(Codec::Vp8, &short).expect("whole");
        let mut copy = short;
        numbers.write(PictureOffset { picture_id: 1, tl0picidx: 0 }, &mut copy);
        assert_eq!(copy, [0x90, 0xc0, 0x00, 0x07, 0xaa], "seven bits wrap at 128");
    }

    #[test]
    fn vp9_numbers_are_at_another_offset() {
        // I, P, L, B; a long PictureID, the layer indices, TL0PICIDX.
        let payload = [0xe8, 0x80, 0x05, 0x11, 0x09, 0xaa];
        let numbers = PictureNumbers::read(Codec::Vp9, &payload).expect("whole");
        assert_eq!((numbers.picture_id, numbers.tl0picidx), (Some(5), Some(9)));
        let flexible = [0xf8, 0x05, 0x11, 0xaa];
        let numbers = PictureNumbers::read(Codec::Vp9, &flexible).expect("whole");
        assert_eq!((numbers.picture_id, numbers.tl0picidx), (Some(5), None));
        let mut copy = flexible;
        numbers.write(PictureOffset { picture_id: 2, tl0picidx: 3 }, &mut copy);
        assert_eq!(copy, [0xf8, 0x07, 0x11, 0xaa]);
    }

    #[test]
    fn a_truncated_descriptor_has_no_numbers() {
        let vp8 = [0x90, 0xe0, 0x81, 0x02, 0x07];
        let vp9 = [0xe8, 0x80, 0x05, 0x11, 0x09];
        for len in 0..5 {
            assert_eq!(PictureNumbers::read(Codec::Vp8, &vp8[..len]), None, "{len} bytes");
            assert_eq!(PictureNumbers::read(Codec::Vp9, &vp9[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn another_source_continues_the_numbers() {
        let numbers = PictureNumbers::read(Codec::Vp8, &[0x90, 0xc0, 0x80, 0x64, 0x03]).expect("whole");
        let last = LastPicture { picture_id: Some(0x7fff), tl0picidx: Some(255) };
        let behind = |latest| numbers.with(PictureOffset::continuing(last, latest, &numbers));
        assert_eq!(behind(last), LastPicture { picture_id: Some(0), tl0picidx: Some(0) });
        let latest = LastPicture { picture_id: Some(2), tl0picidx: Some(1) };
        assert_eq!(
            behind(latest),
            LastPicture { picture_id: Some(3), tl0picidx: Some(2) },
            "room for late pictures"
        );
        let none = LastPicture::default();
        assert!(PictureOffset::continuing(none, none, &numbers).is_zero());
    }
}
