//! A producer: one track that a peer sends, and its consumers.

use crate::base::slots::Slot;
use crate::ingress::layer_demand::LayerDemand;
use crate::ingress::stream::Stream;
use crate::limits;
use crate::packet::frame::parse_frame;
use crate::packet::media_packet::{Marker, MediaPacket};
use crate::packet::picture::PictureNumbers;
use crate::packet::received::{Received, Role};
use crate::pipe::subscription::{PipeSource, PipeSubscriber};
use crate::speakers::voice::Voice;
use control::{Codec, CodecParameters, ContentHint, Discard, Kind, Produce};
use machine::{Instant, WorkerId};
use rtp::{Mid, Pt, Rid, Ssrc};

/// One track, in one or more streams.
#[derive(Debug)]
pub struct Producer {
    /// The command that created it: distinguishes a repetition from a contradiction.
    pub spec: Box<Produce>,
    /// The transport it arrives on.
    pub transport: Slot,
    /// `a=mid`, if signaled.
    pub mid: Option<Mid>,
    /// One per encoding.
    pub streams: Vec<Stream>,
    /// Its consumers.
    pub consumers: Vec<Slot>,
    /// Other workers that subscribe to it.
    pub subscribers: Vec<PipeSubscriber>,
    /// Its origin, if it comes from another worker.
    pub pipe_source: Option<PipeSource>,
    /// Received but not forwarded.
    pub paused: bool,
    /// Not among the loudest of its router, if only those are forwarded.
    pub is_held_back: bool,
    /// The router's audio observer has added it.
    pub is_voice: bool,
    /// Its audio level.
    pub voice: Voice,
    /// The consumed layers.
    pub layer_demand: LayerDemand,
    /// How to improve its picture first.
    pub content_hint: ContentHint,
    /// An encoding became silent or active: consumers may have to follow another one.
    pub has_changed_activity: bool,
    /// Counts FIRs, because each new one needs a new number (RFC 5104 §4.3.1.2).
    pub fir_seq: u8,
}

impl Producer {
    /// A producer with the streams of the command, which come from a peer or from another worker. The texts
    /// of the command have been checked.
    pub fn new(spec: Produce, transport: Slot, origin: Option<WorkerId>) -> Self {
        let first = spec.codecs.first();
        let clock_rate_hz = first.map_or(90_000, |codec| codec.clock_rate_hz);
        // The worker of the publisher requests missing packets.
        let nack = origin.is_none() && first.is_some_and(|codec| codec.nack);
        let streams = spec.encodings.iter().map(|encoding| {
            let mut stream = Stream::new(spec.kind, clock_rate_hz, nack);
            stream.rid = encoding.rid.as_ref().and_then(|rid| Rid::new(rid.as_str().as_bytes()));
            stream.ssrc = encoding.ssrc.map(Ssrc);
            stream.rtx_ssrc = encoding.rtx_ssrc.map(Ssrc);
            stream
        });
        let streams: Vec<Stream> = streams.collect();
        let spatial_layers = match &spec.encodings[..] {
            [only] => only.spatial_layers.clamp(1, limits::SPATIAL_LAYERS_MAX),
            several => several.len() as u8,
        };
        Self {
            transport,
            mid: spec.mid.as_ref().and_then(|mid| Mid::new(mid.as_str().as_bytes())),
            streams,
            consumers: Vec::new(),
            subscribers: Vec::new(),
            pipe_source: origin.map(PipeSource::new),
            paused: spec.paused,
            is_held_back: false,
            is_voice: false,
            voice: Voice::new(),
            layer_demand: LayerDemand::new(spec.kind, spatial_layers),
            content_hint: ContentHint::default(),
            has_changed_activity: false,
            fir_seq: 0,
            spec: Box::new(spec),
        }
    }

    /// Audio or video.
    pub fn kind(&self) -> Kind {
        self.spec.kind
    }

    /// Its codecs, by index.
    pub fn codecs(&self) -> &[CodecParameters] {
        &self.spec.codecs
    }

    /// Spatial layers as announced: encodings of simulcast, or layers of the only one.
    pub fn spatial_layers(&self) -> u8 {
        self.layer_demand.layers()
    }

    /// Temporal layers as announced, the most of any encoding.
    pub fn temporal_layers(&self) -> u8 {
        let announced = self.spec.encodings.iter().map(|encoding| encoding.temporal_layers).max();
        announced.unwrap_or(1).clamp(1, limits::TEMPORAL_LAYERS_MAX)
    }

    /// Whether there are layers to select.
    pub fn is_layered(&self) -> bool {
        self.kind() == Kind::Video && (self.spatial_layers() > 1 || self.temporal_layers() > 1)
    }

    /// The best encoding for a consumer with this target: the target if it has frames, otherwise the next
    /// lower one with frames, otherwise the lowest one with frames. Before any has frames, the target.
    pub fn best_stream(&self, wanted: usize) -> usize {
        let wanted = wanted.min(self.streams.len().saturating_sub(1));
        let active = |index: &usize| self.streams[*index].is_active();
        let lower = (0..=wanted).rev().find(active);
        lower.or_else(|| (wanted + 1..self.streams.len()).find(active)).unwrap_or(wanted)
    }

    /// No consumer needs a keyframe of any encoding any more.
    pub fn forget_keyframes(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.keyframes.forget());
    }

    /// Whether its packets are forwarded at all.
    pub fn is_forwarded(&self) -> bool {
        !self.paused && !self.is_held_back
    }

    /// The meaning of a payload type.
    pub fn role(&self, pt: Pt) -> Option<Role> {
        self.codecs().iter().enumerate().find_map(|(index, codec)| {
            if codec.pt == pt.0 {
                Some(Role::Media(index as u8))
            } else if codec.rtx_pt == Some(pt.0) {
                Some(Role::Retransmission(index as u8))
            } else {
                None
            }
        })
    }

    /// The worker it comes from, if it is another.
    pub fn origin(&self) -> Option<WorkerId> {
        self.pipe_source.as_ref().map(|piped| piped.origin)
    }

    /// Whether this worker needs its packets. Audio is also needed for active-speaker detection.
    pub fn is_taken(&self) -> bool {
        !self.consumers.is_empty() || self.kind() == Kind::Audio
    }

    /// When the next message to its origin is due, if it comes from another worker.
    pub fn next_message_to_origin(&self) -> Option<Instant> {
        let piped = self.pipe_source.as_ref()?;
        let is_taken = self.is_taken();
        let keyframes = self.streams.iter().filter_map(|stream| stream.keyframes.next_timeout());
        let keyframes = keyframes.filter(|_| is_taken);
        keyframes.chain(piped.next_timeout(is_taken, self.layer_demand.wanted())).min()
    }

    /// When the next request to the publisher (a packet, or a keyframe), or the next message to its origin,
    /// is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.pipe_source.is_some() {
            return self.next_message_to_origin();
        }
        if !self.is_forwarded() {
            return None;
        }
        let nacks = self.streams.iter().filter_map(|stream| stream.nack.as_ref()?.next_timeout());
        // A keyframe request needs an SSRC, which the first packet contains.
        let named = self.streams.iter().filter(|stream| stream.ssrc.is_some());
        let keyframes = named.filter_map(|stream| stream.keyframes.next_timeout());
        nacks.chain(keyframes).chain(self.layer_demand.next_timeout()).min()
    }

    /// A stream was reset, under another SSRC or with other numbers: every consumer waits for a keyframe. If
    /// the publisher's own one is lost, no other event would cause a request.
    pub fn on_new_beginning(&mut self, index: usize) {
        if self.kind() == Kind::Video && !self.paused && !self.consumers.is_empty() {
            self.streams[index].keyframes.want();
        }
    }

    /// Handles a packet of stream `index`: orders it, and returns the packet to be cached and forwarded. A
    /// useful packet that must not be forwarded is an error too.
    pub fn receive<'a>(
        &mut self,
        now: Instant,
        index: usize,
        packet: &Received<'a>,
    ) -> Result<MediaPacket<'a>, Discard> {
        let stream = &mut self.streams[index];
        let (seq, codec, payload) = match packet.role {
            Role::Media(codec) => {
                let seq =
                    stream.on_media(now, packet.received_at, packet.rtp.seq(), packet.rtp.timestamp())?;
                (seq, codec, packet.rtp.payload())
            }
            Role::Retransmission(codec) => {
                let (seq, payload) = rtp::rtx::original(packet.rtp.payload()).ok_or(Discard::RtxEmpty)?;
                if payload.is_empty() {
                    return Err(Discard::RtxEmpty);
                }
                (stream.on_retransmission(now, seq)?, codec, payload)
            }
        };
        let codec = self.spec.codecs[usize::from(codec)].codec;
        let is_video = self.spec.kind == Kind::Video;
        if codec == Codec::Vp9 {
            stream.on_vp9(payload);
        }
        let understood = parse_frame(codec, payload, packet.descriptor, stream.structure());
        stream.note_parameter_sets(codec, seq, payload);
        let starts_keyframe = understood.starts_keyframe
            && (understood.structure.is_some()
                || stream.can_begin_with(codec, seq, packet.rtp.timestamp(), payload));
        let media = MediaPacket {
            seq,
            timestamp: packet.rtp.timestamp(),
            marker: Marker::new(packet.rtp.marker(), &understood.frame),
            codec,
            starts_keyframe,
            frame: understood.frame,
            picture: PictureNumbers::read(codec, payload),
            carried: packet.carried,
            descriptor: packet.descriptor,
            payload,
            padded: payload,
        };
        stream.counts.on_packet(now, &media, matches!(packet.role, Role::Retransmission(_)));
        if is_video {
            stream.on_parsed(now, &media, understood.structure);
            self.note_activity(index, &media);
        }
        if self.paused {
            return Err(Discard::ProducerPaused);
        }
        if self.is_held_back {
            return Err(Discard::NotLoudest);
        }
        Ok(media)
    }

    /// A frame of one encoding counts as missed for the others.
    fn note_activity(&mut self, index: usize, packet: &MediaPacket<'_>) {
        if packet.payload.is_empty() {
            return; // Padding does not show that an encoder is active.
        }
        let (begins_frame, was_silent) = self.streams[index].on_frame_packet(packet.seq, packet.timestamp);
        self.has_changed_activity |= was_silent && self.streams.len() > 1;
        if begins_frame && self.streams.len() > 1 {
            let siblings = self.streams.iter_mut().enumerate().filter(|(other, _)| *other != index);
            let fell_silent = siblings.fold(false, |any, (_, stream)| stream.miss_frame() | any);
            self.has_changed_activity |= fell_silent;
        }
    }
}

/// Whether its streams can be distinguished by more than their payload types.
pub fn has_labels(produce: &Produce) -> bool {
    produce.mid.is_some() || produce.encodings.iter().all(|encoding| encoding.ssrc.is_some())
}
