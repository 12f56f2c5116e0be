//! Each codec's payload, read as a receiver does: RFC 7741, RFC 9628, RFC 6184 and the AV1 RTP specification,
//! implemented again independently of the engine's readers.

use crate::layered::Truth;
use control::Codec;

/// A parsed payload descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// VP8 (RFC 7741 §4.2).
    Vp8(Vp8),
    /// VP9 (RFC 9628 §4.2).
    Vp9(Vp9),
    /// H.264 (RFC 6184 §5): what begins in the packet.
    H264(H264),
    /// AV1 (AV1 RTP §4.4): the aggregation header.
    Av1(Av1),
}

/// VP8 (RFC 7741 §4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vp8 {
    /// Begins a frame.
    pub starts: bool,
    /// And its modulus.
    pub picture_id: Option<(u16, u16)>,
    /// Counts base frames.
    pub tl0picidx: Option<u8>,
    /// Temporal layer, and whether it is a sync point.
    pub layer: Option<(u8, bool)>,
    /// Only where `starts`.
    pub is_key: bool,
}

/// VP9 (RFC 9628 §4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vp9 {
    /// Counts pictures.
    pub picture_id: u16,
    /// Refers to earlier pictures.
    pub is_predicted: bool,
    /// Lists its references.
    pub is_flexible: bool,
    /// Begins a frame.
    pub starts: bool,
    /// Ends a frame.
    pub ends: bool,
    /// Temporal layer.
    pub temporal: u8,
    /// A receiver can switch up here.
    pub switches_up: bool,
    /// Spatial layer.
    pub spatial: u8,
    /// References the layer below.
    pub is_inter_layer: bool,
    /// Counts base pictures.
    pub tl0picidx: Option<u8>,
    /// How many pictures back its references are.
    pub diffs: Vec<u8>,
    /// The group of pictures: of each, the temporal layer, whether one can switch up, and its references.
    pub group: Option<Vec<(u8, bool, Vec<u8>)>>,
}

/// H.264 (RFC 6184 §5): what begins in the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct H264 {
    /// A sequence parameter set.
    pub has_sps: bool,
    /// A picture parameter set.
    pub has_pps: bool,
    /// A slice of an IDR picture.
    pub has_idr: bool,
}

/// AV1 (AV1 RTP §4.4): the aggregation header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Av1 {
    /// Begins in the middle of an OBU.
    pub continues: bool,
    /// Ends in the middle of one.
    pub goes_on: bool,
    /// Begins a coded video sequence.
    pub begins_sequence: bool,
}

/// Parses a payload, and reads the truth after it.
pub(super) fn see(codec: Codec, payload: &[u8]) -> Result<(Seen, Truth), String> {
    let (seen, descriptor_len) = read(codec, payload)?;
    let truth = Truth::read(payload, descriptor_len)?;
    Ok((seen, truth))
}

/// Parses a payload. Returns also the length of the descriptor, which may be rewritten on the way.
pub fn read(codec: Codec, payload: &[u8]) -> Result<(Seen, usize), String> {
    let short = || format!("a {codec:?} payload is cut short");
    let mut rest = payload;
    let seen = match codec {
        Codec::Vp8 => Seen::Vp8(vp8(&mut rest).ok_or_else(short)?),
        Codec::Vp9 => Seen::Vp9(vp9(&mut rest).ok_or_else(short)?),
        Codec::H264 => Seen::H264(h264(payload).ok_or_else(short)?),
        Codec::Av1 => Seen::Av1(av1(payload).ok_or_else(short)?),
        Codec::Opus | Codec::Red => return Err(format!("{codec:?} has no layers")),
    };
    Ok((seen, payload.len() - rest.len()))
}

fn vp8(rest: &mut &[u8]) -> Option<Vp8> {
    let first = byte(rest)?;
    let present = if first & 0x80 != 0 { byte(rest)? } else { 0 };
    let mut seen = Vp8 { starts: first & 0x10 != 0 && first & 0x07 == 0, ..Vp8::default() };
    if present & 0x80 != 0 {
        let high = byte(rest)?;
        seen.picture_id = Some(if high & 0x80 != 0 {
            (u16::from(high & 0x7f) << 8 | u16::from(byte(rest)?), 1 << 15)
        } else {
            (high.into(), 1 << 7)
        });
    }
    if present & 0x40 != 0 {
        seen.tl0picidx = Some(byte(rest)?);
    }
    if present & 0x30 != 0 {
        let layer = byte(rest)?;
        seen.layer = (present & 0x20 != 0).then_some((layer >> 6, layer & 0x20 != 0));
    }
    seen.is_key = seen.starts && rest.first().is_some_and(|tag| tag & 1 == 0);
    Some(seen)
}

fn vp9(rest: &mut &[u8]) -> Option<Vp9> {
    let first = byte(rest)?;
    let has = |bit: u8| first & bit != 0;
    let mut seen = Vp9 {
        is_predicted: has(0x40),
        is_flexible: has(0x10),
        starts: has(0x08),
        ends: has(0x04),
        ..Vp9::default()
    };
    // libwebrtc does not support layered pictures without a number.
    let high = if has(0x80) { byte(rest)? } else { return None };
    seen.picture_id = u16::from(high & 0x7f);
    if high & 0x80 != 0 {
        seen.picture_id = seen.picture_id << 8 | u16::from(byte(rest)?);
    }
    if has(0x20) {
        let layer = byte(rest)?;
        (seen.temporal, seen.switches_up) = (layer >> 5, layer & 0x10 != 0);
        (seen.spatial, seen.is_inter_layer) = (layer >> 1 & 7, layer & 1 != 0);
        if !seen.is_flexible {
            seen.tl0picidx = Some(byte(rest)?);
        }
    }
    if seen.is_flexible && seen.is_predicted {
        loop {
            let diff = byte(rest)?;
            seen.diffs.push(diff >> 1);
            if diff & 1 == 0 {
                break;
            }
        }
    }
    if has(0x02) {
        let structure = byte(rest)?;
        if structure & 0x10 != 0 {
            *rest = rest.get(4 * (usize::from(structure >> 5) + 1)..)?;
        }
        if structure & 0x08 != 0 {
            let mut group = Vec::new();
            for _ in 0..byte(rest)? {
                let picture = byte(rest)?;
                let diffs = (0..picture >> 2 & 3).map(|_| byte(rest)).collect::<Option<Vec<u8>>>()?;
                group.push((picture >> 5, picture & 0x10 != 0, diffs));
            }
            seen.group = Some(group);
        }
    }
    Some(seen)
}

fn h264(payload: &[u8]) -> Option<H264> {
    let mut seen = H264::default();
    let mut note = |kind: u8| match kind & 0x1f {
        5 => seen.has_idr = true,
        7 => seen.has_sps = true,
        8 => seen.has_pps = true,
        _ => {}
    };
    let mut rest = payload;
    match byte(&mut rest)? & 0x1f {
        24 => {
            while !rest.is_empty() {
                let len = usize::from(byte(&mut rest)?) << 8 | usize::from(byte(&mut rest)?);
                note(*rest.first()?);
                rest = rest.get(len..)?;
            }
        }
        28 => {
            let header = byte(&mut rest)?;
            if header & 0x80 != 0 {
                note(header);
            }
        }
        _ => note(payload[0]),
    }
    Some(seen)
}

fn av1(payload: &[u8]) -> Option<Av1> {
    let header = *payload.first()?;
    Some(Av1 {
        continues: header & 0x80 != 0,
        goes_on: header & 0x40 != 0,
        begins_sequence: header & 0x08 != 0,
    })
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    rest.split_off_first().copied()
}
