//! Frames into payloads, split as in browsers, with the minimum of each codec that a server needs.

use super::Codec;

/// Maximum length of a payload: with header, extensions and tag a datagram stays below the 1,200 bytes that
/// browsers use.
pub const PAYLOAD_LEN_MAX: usize = 1150;

/// Bytes before the stamp, the same for every codec and packet: the codec's own, filled up with zeroes.
pub const HEAD_LEN: usize = 14;

/// Lengths of the payloads of a frame: as few as possible, which differ by at most one byte, the smaller
/// first.
pub fn split(len: usize) -> impl Iterator<Item = usize> {
    let count = len.div_ceil(PAYLOAD_LEN_MAX).max(1);
    let (least, larger) = (len / count, len % count);
    (0..count).map(move |at| least + usize::from(at >= count - larger))
}

/// The position of a payload in its frame.
#[derive(Clone, Copy, Debug)]
pub struct FramePart {
    /// Counts frames.
    pub frame: u32,
    /// Counts the payloads of the frame.
    pub index: usize,
    /// Payloads of the frame.
    pub count: usize,
    /// Whether it is a keyframe.
    pub is_keyframe: bool,
}

/// The beginning of a payload of `len` bytes.
pub fn head(codec: Codec, place: FramePart, len: usize) -> [u8; HEAD_LEN] {
    let mut head = [0; HEAD_LEN];
    match codec {
        Codec::Vp8 => {
            // RFC 7741 §4.2: extended, start of partition; a picture id of 15 bits.
            head[0] = if place.index == 0 { 0x90 } else { 0x80 };
            head[1] = 0x80;
            head[2..4].copy_from_slice(&(0x8000 | (place.frame & 0x7fff) as u16).to_be_bytes());
            if place.index == 0 && place.is_keyframe {
                // §4.3 and RFC 6386 §9.1: a shown keyframe, its start code, 1280 x 720.
                head[4..14].copy_from_slice(&[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]);
            } else if place.index == 0 {
                head[4] = 0x11; // no keyframe, shown
            }
        }
        Codec::H264 if place.index == 0 && place.is_keyframe => {
            // RFC 6184 §5.7.1: a STAP-A of the parameter sets, and an SEI that fills the rest.
            head = [24, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce, 0, 0, 0x06];
            head[11..13].copy_from_slice(&((len - 13) as u16).to_be_bytes());
        }
        Codec::H264 => {
            // §5.8: FU-A. A keyframe's slice begins after the parameter sets.
            let (nal_type, first) = if place.is_keyframe { (5, 1) } else { (1, 0) };
            let starts = if place.index == first { 0x80 } else { 0 };
            let ends = if place.index + 1 == place.count { 0x40 } else { 0 };
            head[..2].copy_from_slice(&[0x60 | 28, nal_type | starts | ends]);
        }
        Codec::Opus => head[0] = 0x78, // RFC 6716 §3.1: one frame of 20 ms
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_a_frame_differ_by_one_byte_at_most() {
        for len in 1..20_000 {
            let lens: Vec<_> = split(len).collect();
            let (least, most) = (lens[0], lens[lens.len() - 1]);
            assert!(most - least <= 1 && most <= PAYLOAD_LEN_MAX, "{len}: {lens:?}");
            assert!(lens.is_sorted(), "the smaller first");
            assert_eq!(lens.iter().sum::<usize>(), len);
            assert_eq!(lens.len(), len.div_ceil(PAYLOAD_LEN_MAX), "as few as possible");
        }
    }

    #[test]
    fn a_frame_of_2500_kbits_at_30_fps_is_ten_packets() {
        assert_eq!(split(2_500_000 / 8 / 30).count(), 10);
    }

    const KEYFRAME: FramePart = FramePart { frame: 0x1_8005, index: 0, count: 3, is_keyframe: true };

    #[test]
    fn a_vp8_keyframe_is_marked() {
        let head = head(Codec::Vp8, KEYFRAME, 1000);
        assert_eq!(head[0] & 0x10, 0x10, "starts a partition");
        assert_eq!(u16::from_be_bytes([head[2], head[3]]), 0x8005, "15 bits of picture id");
        assert_eq!(head[4] & 1, 0, "a keyframe");
        assert_eq!(head[7..10], [0x9d, 0x01, 0x2a]);
    }

    #[test]
    fn later_packets_and_other_frames_are_no_keyframes() {
        let later = head(Codec::Vp8, FramePart { index: 1, ..KEYFRAME }, 1000);
        assert_eq!(later[0] & 0x10, 0);
        let other = head(Codec::Vp8, FramePart { is_keyframe: false, ..KEYFRAME }, 1000);
        assert_eq!(other[4] & 1, 1);
    }

    #[test]
    fn an_h264_keyframe_is_parameter_sets_and_a_fragmented_slice() {
        let sets = head(Codec::H264, KEYFRAME, 1000);
        assert_eq!((sets[0], sets[3] & 31, sets[9] & 31), (24, 7, 8));
        assert_eq!(13 + usize::from(u16::from_be_bytes([sets[11], sets[12]])), 1000, "to the end");
        let fragment = |index| head(Codec::H264, FramePart { index, ..KEYFRAME }, 1000);
        assert_eq!((fragment(1)[0] & 31, fragment(1)[1], fragment(2)[1]), (28, 0x85, 0x45));
    }

    #[test]
    fn another_h264_frame_is_one_fragmented_slice() {
        let fragment =
            |index| head(Codec::H264, FramePart { index, is_keyframe: false, ..KEYFRAME }, 1000)[1];
        assert_eq!([0, 1, 2].map(fragment), [0x81, 0x01, 0x41]);
    }
}
