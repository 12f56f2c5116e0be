//! The frame information of a packet: its layers, and whether a consumer can start with it.
//!
//! A dependency descriptor (AV1 RTP specification, appendix A) has precedence, so that frames encrypted end
//! to end are forwarded like any other. Without one, and always for VP8's temporal layers, the payload
//! descriptors of VP8 and VP9 are used (RFC 7741, RFC 9628). It is *not* a depacketizer: the coded picture is
//! not read, except for the bits that mark a keyframe.

use control::Codec;
use rtp::dependency_descriptor::{self, Descriptor, Structure, Unread};
use rtp::{vp8, vp9};

/// The layers of a packet's frame.
#[derive(Clone, Copy, Debug)]
pub enum Frame {
    /// No layer information: always forwarded.
    Opaque,
    /// There is a dependency descriptor, but it cannot be read yet: the packet with its structure is missing.
    Unreadable,
    /// VP8 with temporal layers.
    Vp8(Vp8Frame),
    /// VP9 with layers.
    Vp9(Vp9Frame),
    /// By its dependency descriptor.
    Described(Descriptor),
}

/// A VP8 frame (RFC 7741 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Frame {
    /// Temporal layer.
    pub tid: u8,
    /// References only the base layer (Y).
    pub layer_sync: bool,
}

/// A VP9 frame, which is one spatial layer of a picture (RFC 9628 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Frame {
    /// Spatial layer.
    pub sid: u8,
    /// Temporal layer.
    pub tid: u8,
    /// References earlier pictures (P).
    pub inter_picture_predicted: bool,
    /// A receiver of fewer temporal layers can switch up here (U).
    pub switching_up: bool,
    /// References the next lower spatial layer of its picture (D).
    pub inter_layer_predicted: bool,
    /// Higher spatial layers of this picture do not reference it (Z).
    pub not_for_upper_layers: bool,
    /// The packet ends the frame (E).
    pub ends: bool,
    /// The number of spatial layers from here on, if the packet contains it (scalability structure).
    pub layers: Option<u8>,
}

/// The parsed information of one packet.
#[derive(Debug)]
pub struct FrameInfo {
    /// Its frame.
    pub frame: Frame,
    /// A consumer can start with this packet.
    pub starts_keyframe: bool,
    /// The dependency structure that it contains.
    pub structure: Option<Structure>,
}

impl Frame {
    /// Spatial and temporal layer of the packet.
    pub fn layer(&self) -> (u8, u8) {
        match self {
            Self::Opaque | Self::Unreadable => (0, 0),
            Self::Vp8(frame) => (0, frame.tid),
            Self::Vp9(frame) => (frame.sid, frame.tid),
            Self::Described(descriptor) => (descriptor.layer.spatial_id, descriptor.layer.temporal_id),
        }
    }

    /// Whether the packet is the last of its frame, according to its headers without the marker bit.
    pub fn ends(&self) -> bool {
        match self {
            Self::Opaque | Self::Unreadable | Self::Vp8(_) => false,
            Self::Vp9(frame) => frame.ends,
            Self::Described(descriptor) => descriptor.mandatory.end_of_frame,
        }
    }
}

/// Parses a packet's payload and its dependency descriptor, which is empty without one. `known` is the
/// stream's present structure.
pub fn parse_frame(codec: Codec, payload: &[u8], descriptor: &[u8], known: Option<&Structure>) -> FrameInfo {
    if !descriptor.is_empty() {
        match dependency_descriptor::read(descriptor, known) {
            Ok((descriptor, structure)) => {
                let starts_keyframe = structure.is_some()
                    && descriptor.mandatory.start_of_frame
                    && descriptor.diffs().is_empty();
                // libwebrtc marks every VP8 frame as a switching point. The payload descriptor is correct,
                // and never encrypted.
                let frame = match by_payload(codec, payload) {
                    Frame::Vp8(frame) => Frame::Vp8(frame),
                    _ => Frame::Described(descriptor),
                };
                return FrameInfo { frame, starts_keyframe, structure };
            }
            Err(Unread::NoStructure | Unread::UnknownTemplate) => {
                return FrameInfo { frame: Frame::Unreadable, starts_keyframe: false, structure: None };
            }
            // Noise, or beyond our bounds: ignored.
            Err(Unread::Short | Unread::Excess) => {}
        }
    }
    FrameInfo {
        frame: by_payload(codec, payload),
        starts_keyframe: starts_keyframe(codec, payload),
        structure: None,
    }
}

fn by_payload(codec: Codec, payload: &[u8]) -> Frame {
    match codec {
        Codec::Vp8 => match vp8::Descriptor::parse(payload) {
            Some(vp8::Descriptor { tid: Some(tid), layer_sync, .. }) => {
                Frame::Vp8(Vp8Frame { tid, layer_sync })
            }
            _ => Frame::Opaque,
        },
        Codec::Vp9 => match vp9::Descriptor::parse(payload) {
            Some(vp9) => match vp9.layer {
                Some(layer) => Frame::Vp9(Vp9Frame {
                    sid: layer.sid,
                    tid: layer.tid,
                    inter_picture_predicted: vp9.inter_picture_predicted,
                    switching_up: layer.switching_up,
                    inter_layer_predicted: layer.inter_layer_predicted,
                    not_for_upper_layers: vp9.not_for_upper_layers,
                    ends: vp9.end_of_frame,
                    layers: vp9.structure.map(|structure| structure.spatial_layers),
                }),
                None => Frame::Opaque,
            },
            None => Frame::Opaque,
        },
        Codec::Opus | Codec::Red | Codec::H264 | Codec::Av1 => Frame::Opaque,
    }
}

/// Whether a consumer can start with this packet; always for audio.
fn starts_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Red => true,
        Codec::Vp8 => vp8::is_keyframe(payload),
        Codec::H264 => rtp::h264::is_keyframe(payload),
        Codec::Vp9 => vp9::is_keyframe(payload),
        Codec::Av1 => rtp::av1::is_keyframe(payload),
    }
}
