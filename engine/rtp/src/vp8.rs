//! VP8 (RTP payload RFC 7741): the payload descriptor, and whether a frame is a keyframe.
//!
//! ```text
//!       0 1 2 3 4 5 6 7
//!      |X|R|N|S|R| PID |  always
//!  X:  |I|L|T|K|  RSV  |  if X
//!  I:  |M| PictureID   |  if I; with M a second byte follows: 15 bits instead of 7
//!  L:  |   TL0PICIDX   |  if L
//! T/K: |TID|Y| KEYIDX  |  if T or K
//! ```

/// The payload descriptor (RFC 7741 §4.2), which comes before the VP8 bytes of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The packet begins a VP8 partition (S).
    pub start_of_partition: bool,
    /// The partition, 0 to 7 (PID); the frame's header is at the start of partition 0.
    pub partition_id: u8,
    /// No other frame references this one (N), so it can be dropped.
    pub non_reference: bool,
    /// Running number of the frame.
    pub picture_id: Option<PictureId>,
    /// Running number of frames in the temporal base layer; wraps at 256.
    pub tl0picidx: Option<u8>,
    /// Temporal layer, 0 to 3.
    pub tid: Option<u8>,
    /// The frame references only the base layer (Y): a receiver of fewer layers can switch up here. False
    /// without `tid`.
    pub layer_sync: bool,
    /// Number of the keyframe on which this frame depends, 0 to 31.
    pub key_idx: Option<u8>,
    /// The length of the descriptor; the VP8 bytes begin there.
    pub len: usize,
}

/// A PictureID in one of its two widths. A sender should not change the width, so a rewriter keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// Wraps at 2¹⁵ or at 2⁷.
    pub value: u16,
    /// Whether it is written with fifteen bits, otherwise with seven.
    pub bits15: bool,
}

/// Width and height of a keyframe, in pixels, before the scaling hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// 0 to 16383.
    pub width: u16,
    /// 0 to 16383.
    pub height: u16,
}

impl Descriptor {
    /// Reads the descriptor at the front of a payload. `None` if it is cut short.
    pub fn parse(payload: &[u8]) -> Option<Descriptor> {
        let mut bytes = payload.iter().copied();
        let first = bytes.next()?;
        let present = if first & X != 0 { bytes.next()? } else { 0 };
        let picture_id = if present & I != 0 {
            let high = bytes.next()?;
            Some(if high & M != 0 {
                let value = u16::from_be_bytes([high & !M, bytes.next()?]);
                PictureId { value, bits15: true }
            } else {
                PictureId { value: u16::from(high), bits15: false }
            })
        } else {
            None
        };
        let tl0picidx = if present & L != 0 { Some(bytes.next()?) } else { None };
        let layer = if present & (T | K) != 0 { bytes.next()? } else { 0 };
        let has_tid = present & T != 0;
        Some(Descriptor {
            start_of_partition: first & S != 0,
            partition_id: first & 0x07,
            non_reference: first & N != 0,
            picture_id,
            tl0picidx,
            tid: has_tid.then_some(layer >> 6),
            layer_sync: has_tid && layer & Y != 0,
            key_idx: (present & K != 0).then_some(layer & 0x1f),
            len: payload.len() - bytes.len(),
        })
    }

    /// Whether the packet begins a frame.
    pub fn starts_frame(&self) -> bool {
        self.start_of_partition && self.partition_id == 0
    }
}

/// Whether the packet with this payload begins a keyframe. False for later packets of the keyframe: they have
/// no frame header.
pub fn is_keyframe(payload: &[u8]) -> bool {
    frame_header(payload).is_some()
}

/// Width and height, if the packet with this payload begins a keyframe and contains its whole frame header
/// (RFC 6386 §9.1).
pub fn keyframe_size(payload: &[u8]) -> Option<FrameSize> {
    let header = frame_header(payload)?.get(..10)?;
    if header[3..6] != START_CODE {
        return None;
    }
    // The two highest bits of each are a scaling hint.
    let fourteen_bits = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]) & 0x3fff;
    Some(FrameSize { width: fourteen_bits(6), height: fourteen_bits(8) })
}

/// The VP8 bytes of a packet that begins a keyframe; at least one.
fn frame_header(payload: &[u8]) -> Option<&[u8]> {
    let descriptor = Descriptor::parse(payload)?;
    let frame = &payload[descriptor.len..];
    // The lowest bit of the frame tag is the *inverse* key frame flag (RFC 7741 §4.3).
    (descriptor.starts_frame() && frame.first()? & 0x01 == 0).then_some(frame)
}

const X: u8 = 0x80;
const N: u8 = 0x20;
const S: u8 = 0x10;
const I: u8 = 0x80;
const L: u8 = 0x40;
const T: u8 = 0x20;
const K: u8 = 0x10;
const M: u8 = 0x80;
const Y: u8 = 0x20;
/// RFC 6386 §9.1.
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

#[cfg(test)]
mod tests;
