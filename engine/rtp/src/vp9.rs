//! VP9 (RTP payload RFC 9628): the payload descriptor, and whether a picture is a key picture.
//!
//! A *frame* here is one spatial layer of a *picture*; the packets of one picture share a timestamp and a
//! PictureID. What is *not* here: the VP9 bytes, except their first four, from which [`FrameHeader`] detects
//! a keyframe if the sender's descriptors do not.
//!
//! ```text
//!        0 1 2 3 4 5 6 7
//!       |I|P|L|F|B|E|V|Z|  always
//!  I:   |M| PictureID   |  if I; with M a second byte follows: 15 bits instead of 7
//!  L:   | TID |U| SID |D|  if L
//!       |   TL0PICIDX   |  if L and not F
//!  P,F: |   P_DIFF    |N|  if P and F: once, and again after each N; three at the most
//!  V:   | N_S |Y|G|  -  |  if V: the scalability structure
//!       | WIDTH, HEIGHT |  if Y: 16 bits each, for each of N_S + 1 spatial layers
//!       |      N_G      |  if G: how many pictures follow
//!       | TID |U| R | - |  for each picture, and behind it R bytes of P_DIFF
//! ```

use crate::vp8::PictureId;

/// The payload descriptor (RFC 9628 §4.2), which comes before the VP9 bytes of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor<'a> {
    /// Running number of the picture, the same in all its spatial layers.
    pub picture_id: Option<PictureId>,
    /// The frame references frames of earlier pictures (P). Otherwise it needs at most the lower spatial
    /// layers of its picture.
    pub inter_picture_predicted: bool,
    /// The layers of the frame; absent if the stream has only one.
    pub layer: Option<Layer>,
    /// Frames list their references (F), instead of using their place in the picture group.
    pub flexible: bool,
    /// The packet begins a frame (B).
    pub start_of_frame: bool,
    /// The packet ends a frame (E); more spatial layers of the picture may follow.
    pub end_of_frame: bool,
    /// No frame of a higher spatial layer in this picture references this one (Z).
    pub not_for_upper_layers: bool,
    /// Running number of base temporal layer pictures; wraps at 256. Never in flexible mode.
    pub tl0picidx: Option<u8>,
    /// The distances to the references.
    pub references: References,
    /// The layers of the stream; sent with key pictures and on changes.
    pub structure: Option<Structure<'a>>,
    /// The length of the descriptor; the VP9 bytes begin there.
    pub len: usize,
}

/// Position of a frame among the layers (RFC 9628 §4.2, "Layer indices").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Temporal layer, 0 to 7.
    pub tid: u8,
    /// From here on, no picture of this or a higher temporal layer references an earlier one of the same
    /// temporal layer (U): a receiver of fewer temporal layers can switch up here.
    pub switching_up: bool,
    /// Spatial layer, 0 to 7.
    pub sid: u8,
    /// The frame references the next lower spatial layer of its picture (D).
    pub inter_layer_predicted: bool,
}

/// The distances, in pictures, to the references of a frame in flexible mode (P_DIFF).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct References {
    diffs: [u8; REFERENCES_MAX],
    count: u8,
}

/// The layers of the stream (RFC 9628 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure<'a> {
    /// 1 to 8.
    pub spatial_layers: u8,
    sizes: &'a [u8],
    pictures: Option<&'a [u8]>,
}

/// Width and height of the frames of a spatial layer, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameSize {
    /// 0 to 65535.
    pub width: u16,
    /// 0 to 65535.
    pub height: u16,
}

/// One picture of the group that repeats in non-flexible mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPicture<'a> {
    /// Temporal layer, 0 to 7.
    pub tid: u8,
    /// As [`Layer::switching_up`].
    pub switching_up: bool,
    /// The distances, in pictures, to its references; at most three.
    pub diffs: &'a [u8],
}

impl Descriptor<'_> {
    /// Reads the descriptor at the front of a payload. `None` if it is cut short, or announces a fourth
    /// reference.
    pub fn parse(payload: &[u8]) -> Option<Descriptor<'_>> {
        let mut rest = payload;
        let first = byte(&mut rest)?;
        let flexible = first & F != 0;
        let inter_picture_predicted = first & P != 0;
        let picture_id = if first & I != 0 { Some(picture_id(&mut rest)?) } else { None };
        let mut tl0picidx = None;
        let layer = if first & L != 0 {
            let layer = byte(&mut rest)?;
            if !flexible {
                tl0picidx = Some(byte(&mut rest)?);
            }
            Some(Layer {
                tid: layer >> 5,
                switching_up: layer & U != 0,
                sid: layer >> 1 & 0x07,
                inter_layer_predicted: layer & D != 0,
            })
        } else {
            None
        };
        let references = if flexible && inter_picture_predicted {
            References::parse(&mut rest)?
        } else {
            References::default()
        };
        let structure = if first & V != 0 { Some(Structure::parse(&mut rest)?) } else { None };
        Some(Descriptor {
            picture_id,
            inter_picture_predicted,
            layer,
            flexible,
            start_of_frame: first & B != 0,
            end_of_frame: first & E != 0,
            not_for_upper_layers: first & Z != 0,
            tl0picidx,
            references,
            structure,
            len: payload.len() - rest.len(),
        })
    }

    /// The spatial layer; 0 in a stream that has only one.
    pub fn sid(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.sid)
    }

    /// The temporal layer; 0 in a stream that has only one.
    pub fn tid(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.tid)
    }

    /// Whether the packet begins a key picture: the first packet of a base spatial layer without references.
    /// False for later packets of the picture and for its upper layers.
    pub fn starts_key_picture(&self) -> bool {
        self.start_of_frame
            && !self.inter_picture_predicted
            && self.layer.is_none_or(|layer| layer.sid == 0 && !layer.inter_layer_predicted)
    }

    /// Whether the packet ends its picture for a receiver that gets the spatial layers up to `top_sid`: the
    /// value of such a receiver's marker bit (RFC 9628 §4.1). `marker` is the received bit.
    ///
    /// If a picture lacks layer `top_sid` but has higher ones, its end is not known in time: then no
    /// forwarded packet has the bit, and the next timestamp ends the picture.
    pub fn ends_picture(&self, marker: bool, top_sid: u8) -> bool {
        marker || (self.end_of_frame && self.sid() == top_sid)
    }
}

impl References {
    /// The differences, each 1 to 127 pictures; 0 only from an incorrect sender.
    pub fn diffs(&self) -> &[u8] {
        &self.diffs[..usize::from(self.count)]
    }

    fn parse(rest: &mut &[u8]) -> Option<References> {
        let mut references = References::default();
        for slot in 0..REFERENCES_MAX {
            let diff = byte(rest)?;
            references.diffs[slot] = diff >> 1;
            references.count += 1;
            if diff & N == 0 {
                return Some(references);
            }
        }
        None
    }
}

impl<'a> Structure<'a> {
    /// The size of the frames of spatial layer `sid`. `None` beyond the last layer, or if the structure
    /// contains no sizes.
    pub fn size(&self, sid: u8) -> Option<FrameSize> {
        let &[w1, w0, h1, h0] = self.sizes.as_chunks().0.get(usize::from(sid))?;
        Some(FrameSize { width: u16::from_be_bytes([w1, w0]), height: u16::from_be_bytes([h1, h0]) })
    }

    /// The pictures of the repeating group, in decoding order. `None` if the structure does not contain it,
    /// and empty if there is no fixed group.
    pub fn pictures(&self) -> Option<Pictures<'a>> {
        self.pictures.map(Pictures)
    }

    fn parse(rest: &mut &'a [u8]) -> Option<Structure<'a>> {
        let first = byte(rest)?;
        let spatial_layers = (first >> 5) + 1;
        let sizes = if first & SS_Y != 0 { take(rest, usize::from(spatial_layers) * 4)? } else { &[] };
        let mut pictures = None;
        if first & SS_G != 0 {
            let count = byte(rest)?;
            let group = *rest;
            for _ in 0..count {
                group_picture(rest)?;
            }
            pictures = Some(&group[..group.len() - rest.len()]);
        }
        Some(Structure { spatial_layers, sizes, pictures })
    }
}

/// Pictures of the repeating group, in decoding order.
#[derive(Clone, Debug)]
pub struct Pictures<'a>(&'a [u8]);

impl<'a> Iterator for Pictures<'a> {
    type Item = GroupPicture<'a>;

    fn next(&mut self) -> Option<GroupPicture<'a>> {
        group_picture(&mut self.0)
    }
}

/// Whether the packet with this payload begins a key picture.
pub fn is_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload)
        .is_some_and(|descriptor| descriptor.starts_key_picture() && payload.len() > descriptor.len)
}

/// Whether the packet's frame references earlier pictures, according to the descriptor (P).
pub fn is_inter_picture_predicted(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| first & P != 0)
}

/// The type of a VP9 frame, from its first bits (VP9 bitstream specification, §6.2 and §7.2).
///
/// Some payloaders (ffmpeg 5) never set the descriptor's P bit, so that every frame looks like a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameHeader {
    /// A key frame, with its sync code.
    Key,
    /// An inter frame, an intra-only frame, or a frame that is shown again: a decoder cannot start here.
    Inter,
    /// Not a VP9 frame header: cut short, or encrypted end to end.
    Unreadable,
}

impl FrameHeader {
    /// Reads the beginning of a frame: what follows the descriptor in a packet with
    /// [`Descriptor::start_of_frame`].
    pub fn read(frame: &[u8]) -> FrameHeader {
        let Some(&first) = frame.first() else { return FrameHeader::Unreadable };
        if first >> 6 != FRAME_MARKER {
            return FrameHeader::Unreadable;
        }
        // Profile 3 has a reserved bit, which shifts the following bits by one.
        let shift = u32::from(first & PROFILE == PROFILE);
        let (shows_existing, is_inter) = (first << shift & 0x08 != 0, first << shift & 0x04 != 0);
        if shows_existing || is_inter {
            return FrameHeader::Inter;
        }
        let sync = frame.get(1..5 - usize::from(shift == 0)).map(|bytes| {
            let bits = bytes.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            if shift == 0 { bits } else { bits >> 7 & 0x00ff_ffff }
        });
        if sync == Some(SYNC_CODE) { FrameHeader::Key } else { FrameHeader::Unreadable }
    }
}

fn group_picture<'a>(rest: &mut &'a [u8]) -> Option<GroupPicture<'a>> {
    let first = byte(rest)?;
    let diffs = take(rest, usize::from(first >> 2 & 0x03))?;
    Some(GroupPicture { tid: first >> 5, switching_up: first & U != 0, diffs })
}

fn picture_id(rest: &mut &[u8]) -> Option<PictureId> {
    let high = byte(rest)?;
    Some(if high & M != 0 {
        PictureId { value: u16::from_be_bytes([high & !M, byte(rest)?]), bits15: true }
    } else {
        PictureId { value: u16::from(high), bits15: false }
    })
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    rest.split_off_first().copied()
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    rest.split_off(..len)
}

const I: u8 = 0x80;
const P: u8 = 0x40;
const L: u8 = 0x20;
const F: u8 = 0x10;
const B: u8 = 0x08;
const E: u8 = 0x04;
const V: u8 = 0x02;
const Z: u8 = 0x01;
const M: u8 = 0x80;
const U: u8 = 0x10;
const D: u8 = 0x01;
const N: u8 = 0x01;
const SS_Y: u8 = 0x10;
const SS_G: u8 = 0x08;
/// Of every frame header.
const FRAME_MARKER: u8 = 2;
/// Both bits of the profile.
const PROFILE: u8 = 0x30;
/// Of every key frame.
const SYNC_CODE: u32 = 0x49_8342;
/// RFC 9628 §4.2: P_DIFF occurs up to three times, one for each reference of a VP9 frame.
const REFERENCES_MAX: usize = 3;

#[cfg(test)]
mod tests;
