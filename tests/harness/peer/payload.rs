//! The payloads of a synthetic track: a valid VP8 or Opus beginning, and then a stamp by which the receiver
//! checks it.

use control::Kind;
use machine::Instant;

/// Bytes of a stamp.
const STAMP_LEN: usize = 16;

/// Bytes of a VP8 payload descriptor with a 15-bit picture id (RFC 7741 §4.2).
const DESCRIPTOR_LEN: usize = 4;

/// Bytes of a keyframe's header, up to its size (RFC 6386 §9.1).
const KEYFRAME_HEADER_LEN: usize = 10;

/// The stamp of every payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Counts the track's frames.
    pub frame: u32,
    /// Index among the frame's packets. For audio, which has one per frame: its byte of RFC 6464, or 0.
    pub index: u16,
    /// Number of the frame's packets.
    pub count: u16,
    /// When the frame was captured.
    pub captured_at: Instant,
}

/// A parsed payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The stamp.
    pub stamp: Stamp,
    /// Begins a frame, by its descriptor.
    pub starts_frame: bool,
    /// Begins a keyframe, by its descriptor and frame header.
    pub starts_keyframe: bool,
}

/// A payload of `len` bytes, or of the minimum length.
pub fn write(kind: Kind, stamp: &Stamp, is_keyframe: bool, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    match kind {
        // A TOC byte: 20 ms of SILK, one frame (RFC 6716 §3.1).
        Kind::Audio => out.push(0x08),
        Kind::Video => write_vp8_front(&mut out, stamp, is_keyframe),
    }
    out.extend(stamp.frame.to_be_bytes());
    out.extend(stamp.index.to_be_bytes());
    out.extend(stamp.count.to_be_bytes());
    out.extend(stamp.captured_at.as_nanos().to_be_bytes());
    out.resize(len.max(out.len() + 1), filling(stamp));
    out
}

/// The stamp of a DTX frame of Opus, which has no room for one.
pub const SILENCE: Stamp = Stamp { frame: 0, index: 127, count: 1, captured_at: Instant::EPOCH };

/// The payload of such a frame: only a TOC byte (RFC 6716 §2.1.9).
pub fn silence() -> Vec<u8> {
    vec![0x08]
}

/// Parses a payload; `Err` describes how it differs from the sent one.
pub fn read(kind: Kind, payload: &[u8]) -> Result<Payload, String> {
    if kind == Kind::Audio && payload == silence() {
        return Ok(Payload { stamp: SILENCE, starts_frame: true, starts_keyframe: true });
    }
    let (front_len, starts_frame, starts_keyframe) = match kind {
        Kind::Audio => (1, true, true),
        Kind::Video => read_vp8_front(payload).ok_or("a VP8 payload is cut short")?,
    };
    let (stamp, rest) = payload
        .get(front_len..)
        .and_then(|rest| rest.split_first_chunk::<STAMP_LEN>())
        .ok_or("a payload is cut short")?;
    let number = |at: usize, len: usize| {
        stamp[at..at + len].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let stamp = Stamp {
        frame: number(0, 4) as u32,
        index: number(4, 2) as u16,
        count: number(6, 2) as u16,
        captured_at: Instant::from_nanos(number(8, 8)),
    };
    if rest.is_empty() || rest.iter().any(|byte| *byte != filling(&stamp)) {
        return Err(format!("the payload of {stamp:?} has been changed"));
    }
    Ok(Payload { stamp, starts_frame, starts_keyframe })
}

fn write_vp8_front(out: &mut Vec<u8>, stamp: &Stamp, is_keyframe: bool) {
    let starts_frame = stamp.index == 0;
    // X and, at the frame's first packet, S; then I; then the picture id with M.
    out.extend([if starts_frame { 0x90 } else { 0x80 }, 0x80]);
    out.extend((stamp.frame as u16 | 0x8000).to_be_bytes());
    if starts_frame && is_keyframe {
        // Frame tag with P = 0, start code, 1280 × 720.
        out.extend([0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]);
    } else if starts_frame {
        out.extend([0x11, 0x02, 0x00]);
    }
}

/// Bytes before the stamp, whether a frame starts, whether a keyframe does.
fn read_vp8_front(payload: &[u8]) -> Option<(usize, bool, bool)> {
    let descriptor = payload.get(..DESCRIPTOR_LEN)?;
    let starts_frame = descriptor[0] == 0x90;
    if !starts_frame {
        return Some((DESCRIPTOR_LEN, false, false));
    }
    let is_keyframe = payload.get(DESCRIPTOR_LEN)? & 1 == 0;
    let header_len = if is_keyframe { KEYFRAME_HEADER_LEN } else { 3 };
    Some((DESCRIPTOR_LEN + header_len, true, is_keyframe))
}

fn filling(stamp: &Stamp) -> u8 {
    (stamp.frame as u8).wrapping_mul(31).wrapping_add((stamp.index as u8).wrapping_mul(7)).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_back_and_a_changed_byte_is_detected() {
        let stamp = Stamp { frame: 40_000, index: 0, count: 3, captured_at: Instant::from_nanos(1 << 40) };
        for (kind, is_keyframe) in [(Kind::Audio, true), (Kind::Video, true), (Kind::Video, false)] {
            let mut payload = write(kind, &stamp, is_keyframe, 200);
            assert_eq!(payload.len(), 200);
            assert_eq!(
                read(kind, &payload),
                Ok(Payload { stamp, starts_frame: true, starts_keyframe: is_keyframe })
            );
            assert_eq!(rtp::vp8::is_keyframe(&payload), kind == Kind::Video && is_keyframe);
            payload[150] ^= 1;
            assert!(read(kind, &payload).is_err());
        }
    }
}
