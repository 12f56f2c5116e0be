//! From a frame to the beginnings of its packets: payload descriptors and the part of the codec that
//! identifies a keyframe, each written from its RFC.

use super::pattern::FramePlan;
use super::structure::scaled;
use super::{EncodingPlan, LayeredTrack, TRUTH_LEN};
use control::Codec;

/// The beginning of one packet's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub bytes: Vec<u8>,
    /// The length of the descriptor, which may be rewritten on the way.
    pub descriptor_len: usize,
    /// Whether the payload is only this and the truth.
    pub is_all: bool,
}

/// The running numbers of a stream that its descriptors carry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub picture_id: u16,
    pub tl0picidx: u8,
}

/// A packet's position within its picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub index: usize,
    pub count: usize,
    /// Spatial layers of this picture.
    pub layers: u8,
    /// Send the structure again, because it has changed (VP9).
    pub tells_structure: bool,
}

impl Place {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        self.index + 1 == self.count
    }
}

/// The beginning of a packet.
pub(super) fn front(
    track: &LayeredTrack,
    plan: &EncodingPlan,
    frame: &FramePlan,
    numbers: Numbers,
    picture_diffs: &[u8],
    place: Place,
) -> Front {
    match track.codec {
        Codec::Vp8 => vp8(track, plan, frame, numbers, place),
        Codec::Vp9 => vp9(track, plan, frame, numbers, picture_diffs, place),
        Codec::H264 => h264(plan, frame, place),
        Codec::Av1 => av1(track, frame, place),
        Codec::Opus | Codec::Red => panic!("{:?} has no layers", track.codec),
    }
}

/// RFC 7741 §4.2, and the frame tag of RFC 6386 §9.1.
fn vp8(
    track: &LayeredTrack,
    plan: &EncodingPlan,
    frame: &FramePlan,
    numbers: Numbers,
    place: Place,
) -> Front {
    let mut bytes = Vec::new();
    let start = if place.is_first() { 0x10 } else { 0 };
    let non_reference = if frame.is_reference { 0 } else { 0x20 };
    // With the dependency descriptor, libwebrtc omits the rest.
    let extended = if track.dependency_descriptor { 0 } else { 0x80 };
    bytes.push(extended | non_reference | start);
    if track.dependency_descriptor {
        return vp8_front(plan, frame, place, bytes);
    }
    let has_layers = track.temporal_layers > 1;
    bytes.push(if has_layers { 0xe0 } else { 0x80 });
    if track.picture_id_bits == 15 {
        bytes.extend((numbers.picture_id & 0x7fff | 0x8000).to_be_bytes());
    } else {
        bytes.push(numbers.picture_id as u8 & 0x7f);
    }
    if has_layers {
        let sync = if frame.is_sync && frame.temporal > 0 { 0x20 } else { 0 };
        bytes.extend([numbers.tl0picidx, frame.temporal << 6 | sync]);
    }
    vp8_front(plan, frame, place, bytes)
}

/// The frame tag behind the descriptor.
fn vp8_front(plan: &EncodingPlan, frame: &FramePlan, place: Place, mut bytes: Vec<u8>) -> Front {
    let descriptor_len = bytes.len();
    if place.is_first() && frame.is_key {
        bytes.extend([0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a]);
        bytes.extend(plan.width.to_le_bytes());
        bytes.extend(plan.height.to_le_bytes());
    } else if place.is_first() {
        bytes.extend([0x11, 0x02, 0x00]);
    }
    Front { bytes, descriptor_len, is_all: false }
}

/// RFC 9628 §4.2.
fn vp9(
    track: &LayeredTrack,
    plan: &EncodingPlan,
    frame: &FramePlan,
    numbers: Numbers,
    picture_diffs: &[u8],
    place: Place,
) -> Front {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let tells_structure = place.is_first()
        && frame.spatial == 0
        && (frame.is_key || place.tells_structure && frame.temporal == 0);
    let is_predicted = frame.references.len() > usize::from(frame.is_inter_layer);
    let mut bytes = vec![
        0x80 | flag(is_predicted, 0x40)
            | 0x20
            | flag(track.flexible, 0x10)
            | flag(place.is_first(), 0x08)
            | flag(place.is_last(), 0x04)
            | flag(tells_structure, 0x02)
            | flag(!frame.serves_upper, 0x01),
    ];
    bytes.extend((numbers.picture_id & 0x7fff | 0x8000).to_be_bytes());
    // In our patterns every picture is a switching point of its layer.
    bytes.push(frame.temporal << 5 | 0x10 | frame.spatial << 1 | flag(frame.is_inter_layer, 0x01));
    if track.flexible {
        for (nth, diff) in picture_diffs.iter().enumerate() {
            bytes.push(diff << 1 | flag(nth + 1 < picture_diffs.len(), 0x01));
        }
    } else {
        bytes.push(numbers.tl0picidx);
    }
    if tells_structure {
        bytes.push((place.layers - 1) << 5 | 0x10 | flag(!track.flexible, 0x08));
        for spatial in 0..place.layers {
            let (width, height) = scaled((plan.width, plan.height), track.spatial_layers, spatial);
            bytes.extend(width.to_be_bytes());
            bytes.extend(height.to_be_bytes());
        }
        if !track.flexible {
            // Of each picture: TID, U, number of references; then their distances in pictures.
            bytes.extend_from_slice(match track.temporal_layers {
                1 => &[1, 0x14, 1],
                2 => &[2, 0x14, 2, 0x34, 1],
                _ => &[4, 0x14, 4, 0x54, 1, 0x34, 2, 0x54, 1],
            });
        }
    }
    let descriptor_len = bytes.len();
    if place.is_first() && frame.is_key {
        bytes.extend([0x82, 0x49, 0x83, 0x42]);
    } else if place.is_first() {
        bytes.push(0x86);
    }
    Front { bytes, descriptor_len, is_all: false }
}

/// RFC 6184: a key picture's parameter sets in a STAP-A, then its slice in FU-As; a picture that fits into
/// one packet is a single NAL unit.
fn h264(plan: &EncodingPlan, frame: &FramePlan, place: Place) -> Front {
    let front = |bytes: Vec<u8>, is_all: bool| Front { bytes, descriptor_len: 0, is_all };
    if frame.is_key && place.is_first() {
        let [width, height] = [plan.width.to_be_bytes(), plan.height.to_be_bytes()];
        let sps = [&[0x67, 0x42, 0xe0, 0x1f][..], &width, &height].concat();
        let pps = [0x68, 0xce, 0x3c, 0x80];
        let mut bytes = vec![0x78];
        bytes.extend((sps.len() as u16).to_be_bytes());
        bytes.extend(sps);
        // The truth is at the end of the last NAL unit.
        bytes.extend((pps.len() as u16 + TRUTH_LEN as u16).to_be_bytes());
        bytes.extend(pps);
        return front(bytes, true);
    }
    let kind = if frame.is_key { 5 } else { 1 };
    let nri = match (frame.is_key, frame.is_reference) {
        (true, _) => 3 << 5,
        (false, true) => 2 << 5,
        (false, false) => 0,
    };
    let first = usize::from(frame.is_key);
    if place.count - first == 1 {
        return front(vec![nri | kind, 0x9a, 0x21], false);
    }
    let (start, end) = (place.index == first, place.is_last());
    let header = u8::from(start) << 7 | u8::from(end) << 6 | kind;
    front(vec![nri | 28, header, 0x9a], false)
}

/// AV1 RTP §4.4: one OBU of the frame over all its packets, and before that for a key picture the sequence
/// header.
fn av1(track: &LayeredTrack, frame: &FramePlan, place: Place) -> Front {
    let has_extension = track.spatial_layers > 1;
    let (continues, goes_on) = (!place.is_first(), !place.is_last());
    let begins_sequence = frame.is_key && frame.spatial == 0 && place.is_first();
    let elements = if begins_sequence { 2 } else { 1 };
    let header =
        u8::from(continues) << 7 | u8::from(goes_on) << 6 | elements << 4 | u8::from(begins_sequence) << 3;
    let mut bytes = vec![header];
    if begins_sequence {
        let sequence_header = [0x08, 0x00, 0x00, 0x00, 0x42, 0xa7, 0xbf, 0xe4];
        bytes.push(sequence_header.len() as u8);
        bytes.extend(sequence_header);
    }
    if place.is_first() {
        bytes.push(0x30 | u8::from(has_extension) << 2);
        if has_extension {
            bytes.push(frame.temporal << 5 | frame.spatial << 3);
        }
    }
    Front { bytes, descriptor_len: 0, is_all: false }
}
