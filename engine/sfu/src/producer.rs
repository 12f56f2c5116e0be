//! A producer: one track that a peer sends, and who receives it.

use crate::keyframe::KeyframeGovernor;
use crate::packet::{Carried, MediaPacket};
use crate::slots::Slot;
use crate::stream::Stream;
use control::{Codec, CodecParameters, Discard, Kind, Produce};
use machine::Instant;
use rtp::{Mid, Pt, Rid, Ssrc};

/// One track, in one or more streams.
#[derive(Debug)]
pub struct Producer {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: Box<Produce>,
    /// What it arrives on.
    pub transport: Slot,
    /// `a=mid`, if signaled.
    pub mid: Option<Mid>,
    /// One per encoding.
    pub streams: Vec<Stream>,
    /// Who receives it.
    pub consumers: Vec<Slot>,
    /// Received but not forwarded.
    pub paused: bool,
    /// When to ask the publisher for a keyframe.
    pub keyframes: KeyframeGovernor,
    /// Counts FIRs, as each new one must (RFC 5104 §4.3.1.2).
    pub fir_seq: u8,
}

/// What a payload type means to a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Media of the codec with this index.
    Media(u8),
    /// Retransmissions (RFC 4588) of it.
    Retransmission(u8),
}

/// An authenticated packet of a producer, with its header understood.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The view over the decrypted packet.
    pub rtp: rtp::Packet<'a>,
    /// Media or retransmission, and of which codec.
    pub role: Role,
    /// The extension values that travel on.
    pub carried: Carried,
    /// When the kernel received it.
    pub received_at: Instant,
}

impl Producer {
    /// A producer of the streams that the command describes. The command's texts have been checked.
    pub fn new(spec: Produce, transport: Slot) -> Self {
        let first = spec.codecs.first();
        let clock_rate_hz = first.map_or(90_000, |codec| codec.clock_rate_hz);
        let nack = first.is_some_and(|codec| codec.nack);
        let streams = spec.encodings.iter().map(|encoding| {
            let mut stream = Stream::new(spec.kind, clock_rate_hz, nack);
            stream.rid = encoding.rid.as_ref().and_then(|rid| Rid::new(rid.as_str().as_bytes()));
            stream.ssrc = encoding.ssrc.map(Ssrc);
            stream.rtx_ssrc = encoding.rtx_ssrc.map(Ssrc);
            stream
        });
        Self {
            transport,
            mid: spec.mid.as_ref().and_then(|mid| Mid::new(mid.as_str().as_bytes())),
            streams: streams.collect(),
            consumers: Vec::new(),
            paused: spec.paused,
            keyframes: KeyframeGovernor::default(),
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

    /// What a payload type means here.
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

    /// When there is next something to ask of the publisher: a packet, or a keyframe.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.paused {
            return None;
        }
        let nack = self.streams.iter().filter_map(|stream| stream.nack.as_ref()?.next_timeout()).min();
        // Without an SSRC there is nobody to ask for a keyframe; the first packet brings it.
        let can_ask = self.streams.first().is_some_and(|stream| stream.ssrc.is_some());
        nack.into_iter().chain(self.keyframes.next_timeout().filter(|_| can_ask)).min()
    }

    /// A stream began anew under another SSRC: every consumer waits for a keyframe, and if the publisher's own is
    /// lost, nobody else asks for one.
    pub fn on_new_beginning(&mut self) {
        if self.kind() == Kind::Video && !self.paused && !self.consumers.is_empty() {
            self.keyframes.want();
        }
    }

    /// Takes a packet of stream `index` in: orders it, caches it, and gives back what the fan-out needs. `Ok(None)`: useful, but
    /// not to be forwarded.
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
        let starts_keyframe = starts_keyframe(self.spec.codecs[usize::from(codec)].codec, payload);
        if starts_keyframe && self.spec.kind == Kind::Video {
            self.keyframes.on_keyframe();
            if let Some(nack) = &mut stream.nack {
                nack.on_keyframe(seq);
            }
        }
        let media = MediaPacket {
            seq,
            timestamp: packet.rtp.timestamp(),
            marker: packet.rtp.marker(),
            codec,
            starts_keyframe,
            carried: packet.carried,
            payload,
        };
        if self.paused {
            return Err(Discard::ProducerPaused);
        }
        stream.cache.insert(&media);
        Ok(media)
    }
}

/// Whether a consumer may begin with this packet.
fn starts_keyframe(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Red => true,
        Codec::Vp8 => rtp::vp8::is_keyframe(payload),
        Codec::H264 => rtp::h264::is_keyframe(payload),
        Codec::Vp9 => rtp::vp9::is_keyframe(payload),
        Codec::Av1 => rtp::av1::is_keyframe(payload),
    }
}
