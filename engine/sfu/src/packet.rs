//! A media packet between ingress and egress: what a consumer's header is made from, and the shared plaintext.

use crate::frame::Frame;
use crate::picture::PictureNumbers;
use control::{Codec, ExtensionKind};
use rtp::{ExtId, SeqNo};

/// One media packet of a producer's stream, as the fan-out sees it. A retransmission has become its original.
#[derive(Clone, Copy, Debug)]
pub struct MediaPacket<'a> {
    /// Extended sequence number on the publisher's leg.
    pub seq: SeqNo,
    /// RTP timestamp on the publisher's leg.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// What it is coded with.
    pub codec: Codec,
    /// Begins a keyframe; for audio, always: a consumer may start at any packet.
    pub starts_keyframe: bool,
    /// Where its frame stands among the layers.
    pub frame: Frame,
    /// The numbers of its picture, where the codec has them.
    pub picture: Option<PictureNumbers>,
    /// Header-extension values that travel with the media.
    pub carried: Carried,
    /// Its dependency descriptor; empty where there is none.
    pub descriptor: &'a [u8],
    /// The payload without padding; empty in a packet that is only padding.
    pub payload: &'a [u8],
    /// The same with padding of ours (RFC 3550 §5.1) where that makes it as long as its neighbours.
    pub padded: &'a [u8],
}

impl MediaPacket<'_> {
    /// All of it but its bytes.
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

    /// Nothing of it but its place in the stream.
    pub fn emptied(self) -> Self {
        Self {
            marker: false,
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

/// The extensions a packet keeps across the engine, by value.
const CARRIED: [(ExtensionKind, usize); 5] = [
    (ExtensionKind::AudioLevel, 1),
    (ExtensionKind::VideoOrientation, 1),
    (ExtensionKind::TimeOffset, 3),
    (ExtensionKind::PlayoutDelay, 3),
    (ExtensionKind::AbsCaptureTime, 16),
];

const VALUE_LEN_MAX: usize = 16;

/// Values of the header extensions that travel with the media, as received.
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

    /// Whether values of this kind travel.
    pub fn travels(kind: ExtensionKind) -> bool {
        CARRIED.iter().any(|(carried, _)| *carried == kind)
    }

    /// Keeps `value` if its kind is one that travels and its length is possible.
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

/// The extension ids of one leg, both ways.
#[derive(Clone, Debug, Default)]
pub struct ExtensionMap {
    /// By id. Empty until one is declared: where nothing is received, none is.
    kinds: Box<[Option<ExtensionKind>]>,
}

impl ExtensionMap {
    /// Declares `id` to mean `kind`. False if the leg already uses the id for something else.
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

    /// What `id` means.
    pub fn kind(&self, id: ExtId) -> Option<ExtensionKind> {
        self.kinds.get(usize::from(id.0)).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_travel_are_kept_and_only_at_possible_lengths() {
        let mut carried = Carried::default();
        carried.keep(ExtensionKind::AudioLevel, &[0x85]);
        carried.keep(ExtensionKind::PlayoutDelay, &[1, 2, 3, 4]);
        carried.keep(ExtensionKind::Mid, b"0");
        assert_eq!(carried.value(ExtensionKind::AudioLevel), Some(&[0x85][..]));
        assert_eq!(carried.value(ExtensionKind::PlayoutDelay), None);
        assert_eq!(carried.value(ExtensionKind::Mid), None);
    }

    #[test]
    fn an_extension_id_means_one_thing_per_leg() {
        let mut map = ExtensionMap::default();
        assert!(map.declare(ExtensionKind::Mid, 4));
        assert!(map.declare(ExtensionKind::Mid, 4));
        assert!(!map.declare(ExtensionKind::Rid, 4));
        assert_eq!(map.kind(ExtId(4)), Some(ExtensionKind::Mid));
    }
}
