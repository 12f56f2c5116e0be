//! A media packet between ingress and egress: the input of a consumer's header, and the shared plaintext.

use crate::packet::frame::Frame;
use crate::packet::picture::PictureNumbers;
use control::{Codec, ExtensionKind};
use rtp::{ExtId, SeqNo};

/// One media packet of a producer's stream in the fan-out. A retransmission has been converted to its
/// original.
#[derive(Clone, Copy, Debug)]
pub struct MediaPacket<'a> {
    /// The publisher's extended sequence number.
    pub seq: SeqNo,
    /// The publisher's RTP timestamp.
    pub timestamp: u32,
    /// Its marker bit for each consumer.
    pub marker: Marker,
    /// Its codec.
    pub codec: Codec,
    /// Begins a keyframe; always for audio: a consumer can start at any packet.
    pub starts_keyframe: bool,
    /// The layers of its frame.
    pub frame: Frame,
    /// The numbers of its picture, if the codec has them.
    pub picture: Option<PictureNumbers>,
    /// Header-extension values that are forwarded with the media.
    pub carried: Carried,
    /// Its dependency descriptor; empty without one.
    pub descriptor: &'a [u8],
    /// The payload without padding; empty in a padding-only packet.
    pub payload: &'a [u8],
    /// The payload with our padding (RFC 3550 §5.1), if that makes it as long as neighbouring packets.
    pub padded: &'a [u8],
}

impl MediaPacket<'_> {
    /// The packet without its bytes.
    pub fn without_bytes(&self) -> MediaPacket<'static> {
        let Self { seq, timestamp, marker, codec, starts_keyframe, frame, picture, carried, .. } = *self;
        MediaPacket {
            seq,
            timestamp,
            marker,
            codec,
            starts_keyframe,
            frame,
            picture,
            carried,
            descriptor: &[],
            payload: &[],
            padded: &[],
        }
    }

    /// An empty packet at the same position of the stream.
    pub fn emptied(self) -> Self {
        Self {
            marker: Marker::default(),
            frame: Frame::Opaque,
            picture: None,
            carried: Carried::default(),
            descriptor: &[],
            payload: &[],
            padded: &[],
            ..self
        }
    }
}

/// The input of a packet's marker bit for each consumer: the publisher's bit, and the spatial layer of the
/// frame that ends with the packet.
///
/// Computed once, when the packet is received, and cached with it. A packet that is retransmitted without RTX
/// has the same SRTP index, so its header must be the same too (RFC 7714 §8.1); parsed again, the descriptor
/// could mean another layer with a later structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marker(u8);

impl Marker {
    /// The publisher's bit. The lower bits are the layer plus one.
    const SET: u8 = 0x80;

    /// Of a packet that does not end a frame.
    pub const NONE: Self = Self(0);

    /// Of a received packet.
    pub fn new(is_set: bool, frame: &Frame) -> Self {
        let layer = if frame.ends() { frame.layer().0.saturating_add(1) & !Self::SET } else { 0 };
        Self(layer | if is_set { Self::SET } else { 0 })
    }

    /// Whether the publisher has set it.
    pub fn is_set(self) -> bool {
        self.0 & Self::SET != 0
    }

    /// The bit for a consumer that gets the spatial layers up to `top`: the end of the highest sent layer is
    /// the end of the picture (RFC 9628 §4.1).
    pub fn at(self, top: u8) -> bool {
        self.is_set() || self.0.checked_sub(1) == Some(top)
    }
}

/// The header extensions whose values are forwarded.
const CARRIED: [(ExtensionKind, usize); 5] = [
    (ExtensionKind::AudioLevel, 1),
    (ExtensionKind::VideoOrientation, 1),
    (ExtensionKind::TimeOffset, 3),
    (ExtensionKind::PlayoutDelay, 3),
    (ExtensionKind::AbsCaptureTime, 16),
];

const VALUE_LEN_MAX: usize = 16;

/// Values of the header extensions that are forwarded with the media, as received.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried {
    values: [Value; CARRIED.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Value {
    len: u8,
    bytes: [u8; VALUE_LEN_MAX],
}

impl Carried {
    /// No values.
    pub const NONE: Self = Self { values: [Value { len: 0, bytes: [0; VALUE_LEN_MAX] }; CARRIED.len()] };

    /// Whether values of this kind are forwarded.
    pub fn is_forwarded(kind: ExtensionKind) -> bool {
        CARRIED.iter().any(|(carried, _)| *carried == kind)
    }

    /// Stores `value` if its kind is forwarded and its length is valid.
    pub fn keep(&mut self, kind: ExtensionKind, value: &[u8]) {
        let Some(index) = CARRIED.iter().position(|(carried, _)| *carried == kind) else { return };
        if value.is_empty() || value.len() > CARRIED[index].1 {
            return;
        }
        let kept = &mut self.values[index];
        kept.len = value.len() as u8;
        kept.bytes[..value.len()].copy_from_slice(value);
    }

    /// The value of this kind, if the packet had one.
    pub fn value(&self, kind: ExtensionKind) -> Option<&[u8]> {
        let index = CARRIED.iter().position(|(carried, _)| *carried == kind)?;
        let kept = &self.values[index];
        (kept.len > 0).then(|| &kept.bytes[..usize::from(kept.len)])
    }
}

/// The extension ids between the engine and one peer, in both directions.
#[derive(Clone, Debug, Default)]
pub struct ExtensionMap {
    /// By id. Empty until one is declared: without received media there is none.
    kinds: Box<[Option<ExtensionKind>]>,
}

impl ExtensionMap {
    /// Declares `id` to mean `kind`. False if the id already has another meaning.
    pub fn declare(&mut self, kind: ExtensionKind, id: u8) -> bool {
        if self.kinds.is_empty() {
            self.kinds = vec![None; usize::from(u8::MAX) + 1].into_boxed_slice();
        }
        let entry = &mut self.kinds[usize::from(id)];
        let free = entry.is_none_or(|declared| declared == kind);
        if free {
            *entry = Some(kind);
        }
        free
    }

    /// Whether [`declare`](Self::declare) would accept it.
    pub fn accepts(&self, kind: ExtensionKind, id: u8) -> bool {
        self.kind(ExtId(id)).is_none_or(|declared| declared == kind)
    }

    /// The meaning of `id`.
    pub fn kind(&self, id: ExtId) -> Option<ExtensionKind> {
        self.kinds.get(usize::from(id.0)).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forwarded_values_of_valid_length_are_stored() {
        let mut carried = Carried::default();
        carried.keep(ExtensionKind::AudioLevel, &[0x85]);
        carried.keep(ExtensionKind::PlayoutDelay, &[1, 2, 3, 4]);
        carried.keep(ExtensionKind::Mid, b"0");
        assert_eq!(carried.value(ExtensionKind::AudioLevel), Some(&[0x85][..]));
        assert_eq!(carried.value(ExtensionKind::PlayoutDelay), None);
        assert_eq!(carried.value(ExtensionKind::Mid), None);
    }

    #[test]
    fn marker_is_set_at_the_end_of_the_highest_layer_sent() {
        let frame = |sid, ends| {
            Frame::Vp9(crate::packet::frame::Vp9Frame {
                sid,
                tid: 0,
                inter_picture_predicted: false,
                switching_up: false,
                inter_layer_predicted: false,
                not_for_upper_layers: false,
                ends,
                layers: None,
            })
        };
        let at_tops = |marker: Marker| [0, 1, 2].map(|top| marker.at(top));
        assert_eq!(at_tops(Marker::new(false, &frame(1, true))), [false, true, false]);
        assert_eq!(at_tops(Marker::new(false, &frame(0, true))), [true, false, false]);
        assert_eq!(at_tops(Marker::new(false, &frame(1, false))), [false; 3]);
        assert_eq!(at_tops(Marker::new(true, &frame(2, true))), [true; 3]);
        assert_eq!(at_tops(Marker::new(true, &Frame::Opaque)), [true; 3]);
        assert_eq!(at_tops(Marker::default()), [false; 3]);
        assert_eq!(size_of::<Marker>(), 1, "a cached packet is 112 bytes beside its own");
    }

    #[test]
    fn an_extension_id_has_one_meaning_per_transport() {
        let mut map = ExtensionMap::default();
        assert!(map.declare(ExtensionKind::Mid, 4));
        assert!(map.declare(ExtensionKind::Mid, 4));
        assert!(!map.declare(ExtensionKind::Rid, 4));
        assert_eq!(map.kind(ExtId(4)), Some(ExtensionKind::Mid));
    }
}
