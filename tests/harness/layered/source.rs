//! A layered track being sent: its streams' headers, retransmissions, padding and reports, as in a browser.

use super::encoder::{Encoded, Encoder};
use super::{LayeredTrack, sent_ext};
use crate::capture::Capture;
use crate::peer::rtcp::{ReceptionReport, SenderReport, ntp_at};
use crate::peer::source::set_extension;
use crate::track::sent_ext::MID;
use bytes::Bytes;
use control::{Codec, Encoding, ExtensionKind, Produce, ProducerId, Text, TransportId, fixtures};
use machine::{Instant, Rng};
use oracle_rtp::header::Header;
use oracle_rtp::packet::Packet;
use std::collections::VecDeque;
use std::time::Duration;

/// Packets stored for retransmission: more than a second.
const HISTORY_LEN: usize = 512;

/// After a keyframe, libwebrtc's encoder ignores requests for this time.
const KEYFRAME_INTERVAL_MIN: Duration = Duration::from_millis(300);

/// A layered track being sent.
#[derive(Debug)]
pub struct LayeredSource {
    track: LayeredTrack,
    mid: String,
    rng: Rng,
    streams: Vec<Stream>,
    next_frame_at: Option<Instant>,
    /// Captured packets are sent in place of the encoders', as long as there are any.
    captured: Option<VecDeque<(Instant, Packet)>>,
    /// Frames are numbered over all streams.
    next_number: u64,
    padded: u64,
}

/// One stream.
#[derive(Debug)]
struct Stream {
    rid: Option<&'static str>,
    /// The extension with which retransmissions have it.
    repaired_rid_id: u8,
    encoder: Encoder,
    ssrc: u32,
    former_ssrcs: Vec<u32>,
    rtx_ssrc: u32,
    next_seq: u16,
    next_rtx_seq: u16,
    timestamp_base: u32,
    last_timestamp: u32,
    /// Packets of media have their MID and RID until a report has shown that the SSRC is known.
    is_labelled: bool,
    keyframe_wanted: bool,
    keyframes: Vec<Instant>,
    keyframe_requests: Vec<Instant>,
    requested: Vec<(Instant, u16)>,
    history: VecDeque<Packet>,
    packets: u32,
    octets: u32,
}

impl Stream {
    fn new(track: &LayeredTrack, index: usize, rng: &mut Rng) -> Self {
        Self {
            rid: track.encodings[index].rid,
            repaired_rid_id: if track.repairs_have_rid { sent_ext::RID } else { sent_ext::REPAIRED_RID },
            encoder: Encoder::new(track, index as u8, rng),
            ssrc: rng.next_u32(),
            former_ssrcs: Vec::new(),
            rtx_ssrc: rng.next_u32(),
            next_seq: rng.below(1 << 15) as u16,
            next_rtx_seq: rng.below(1 << 15) as u16,
            timestamp_base: rng.next_u32(),
            last_timestamp: 0,
            is_labelled: true,
            keyframe_wanted: true,
            keyframes: Vec::new(),
            keyframe_requests: Vec::new(),
            requested: Vec::new(),
            history: VecDeque::with_capacity(HISTORY_LEN),
            packets: 0,
            octets: 0,
        }
    }

    fn timestamp_at(&self, at: Instant) -> u32 {
        let ticks = u128::from(at.as_nanos()) * 90_000 / 1_000_000_000;
        self.timestamp_base.wrapping_add(ticks as u32)
    }

    fn packet(&mut self, pt: u8, mid: &str, encoded: Encoded) -> Packet {
        let mut header = Header {
            version: 2,
            marker: encoded.marker,
            payload_type: pt,
            sequence_number: self.next_seq,
            timestamp: self.last_timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        self.next_seq = self.next_seq.wrapping_add(1);
        if let Some(descriptor) = &encoded.descriptor {
            // First, because it determines the form of one or of two bytes (RFC 8285 §4.1.2).
            header
                .set_extension(sent_ext::DESCRIPTOR, Bytes::copy_from_slice(descriptor))
                .expect("a descriptor fits into the two-byte form");
        }
        self.label(&mut header, mid, sent_ext::RID);
        self.packets += 1;
        self.octets = self.octets.wrapping_add(encoded.payload.len() as u32);
        Packet { header, payload: Bytes::from(encoded.payload) }
    }

    /// Media has identifiers until a report has arrived. Retransmissions keep them: libwebrtc decides for
    /// each SSRC by its own reports, and there are no reports on retransmissions.
    fn label(&self, header: &mut Header, mid: &str, rid_id: u8) {
        if self.is_labelled || header.ssrc == self.rtx_ssrc {
            set_extension(header, MID, mid.as_bytes());
            if let Some(rid) = self.rid {
                set_extension(header, rid_id, rid.as_bytes());
            }
        }
    }

    /// The same content as a retransmission (RFC 4588).
    fn repair(&mut self, rtx_pt: u8, mid: &str, original: &Packet) -> Packet {
        let mut header = Header {
            version: 2,
            marker: original.header.marker,
            payload_type: rtx_pt,
            sequence_number: self.next_rtx_seq,
            timestamp: original.header.timestamp,
            ssrc: self.rtx_ssrc,
            ..Header::default()
        };
        if let Some(descriptor) = original.header.get_extension(sent_ext::DESCRIPTOR) {
            header.set_extension(sent_ext::DESCRIPTOR, descriptor).expect("it fitted before");
        }
        self.next_rtx_seq = self.next_rtx_seq.wrapping_add(1);
        self.label(&mut header, mid, self.repaired_rid_id);
        let seq = original.header.sequence_number.to_be_bytes();
        Packet { header, payload: Bytes::from([&seq[..], &original.payload].concat()) }
    }

    /// Padding only: on the RTX stream if there is one, or in the stream itself.
    fn padding(&mut self, pt: u8, rtx_pt: Option<u8>, mid: &str) -> Packet {
        let (ssrc, pt, seq) = match rtx_pt {
            Some(rtx_pt) => (self.rtx_ssrc, rtx_pt, &mut self.next_rtx_seq),
            None => (self.ssrc, pt, &mut self.next_seq),
        };
        let mut header = Header {
            version: 2,
            padding: true,
            payload_type: pt,
            sequence_number: *seq,
            timestamp: self.last_timestamp,
            ssrc,
            ..Header::default()
        };
        *seq = seq.wrapping_add(1);
        let rid = if rtx_pt.is_some() { self.repaired_rid_id } else { sent_ext::RID };
        self.label(&mut header, mid, rid);
        Packet { header, payload: Bytes::new() }
    }
}

impl LayeredSource {
    /// Every stream starts with a keyframe at `start`. `mid` is its name on the transport.
    pub fn new(start: Instant, track: LayeredTrack, mid: String, mut rng: Rng) -> Self {
        let streams = (0..track.encodings.len()).map(|index| Stream::new(&track, index, &mut rng)).collect();
        let next_number = u64::from(rng.below(1 << 16));
        let next_frame_at = Some(start);
        Self { track, mid, rng, streams, next_frame_at, captured: None, next_number, padded: 0 }
    }

    /// Sends captured packets. It ignores keyframe requests: its keyframes are those of the capture.
    pub fn captured(start: Instant, capture: &Capture, mid: String, rng: Rng) -> Self {
        let streams = capture.streams();
        let track = LayeredTrack {
            codec: capture.codec,
            encodings: LayeredTrack::names_of(streams.iter().map(|(_, rid)| rid.as_deref())),
            spatial_layers: if streams.len() > 1 { 1 } else { 3 },
            temporal_layers: if capture.codec == Codec::H264 { 1 } else { 3 },
            dependency_descriptor: true,
            transport_cc: false,
            ..LayeredTrack::vp8_simulcast()
        };
        let codec = track.codec_parameters();
        let mut source = Self::new(start, track, mid, rng);
        for (stream, (ssrc, _)) in source.streams.iter_mut().zip(&streams) {
            stream.ssrc = *ssrc;
        }
        if let ([stream], Some(ssrc)) = (&mut source.streams[..], capture.rtx_ssrc()) {
            stream.rtx_ssrc = ssrc;
        }
        let packets = capture.truthful().into_iter().map(|(at, mut packet)| {
            let is_media = packet.header.payload_type == capture.pt;
            packet.header.payload_type = if is_media { codec.pt } else { codec.rtx_pt.unwrap_or(codec.pt) };
            packet.header = relabelled(&packet.header, capture, &source.mid);
            (start + at, packet)
        });
        source.captured = Some(packets.collect());
        source
    }

    /// What it sends.
    pub fn track(&self) -> &LayeredTrack {
        &self.track
    }

    /// When a stream sent keyframes.
    pub fn keyframes(&self, encoding: usize) -> &[Instant] {
        &self.streams[encoding].keyframes
    }

    /// When keyframes of a stream were requested.
    pub fn keyframe_requests(&self, encoding: usize) -> &[Instant] {
        &self.streams[encoding].keyframe_requests
    }

    /// Every requested packet of a stream, and when.
    pub fn requested(&self, encoding: usize) -> &[(Instant, u16)] {
        &self.streams[encoding].requested
    }

    /// Padding-only packets.
    pub fn padded(&self) -> u64 {
        self.padded
    }

    /// A stream's media SSRC.
    pub fn ssrc(&self, encoding: usize) -> u32 {
        self.streams[encoding].ssrc
    }

    /// Switches a stream on or off (`active` of its encoding); when switched on, it starts with a keyframe.
    pub fn switch(&mut self, encoding: usize, on: bool) {
        let stream = &mut self.streams[encoding];
        stream.keyframe_wanted |= on && !stream.encoder.is_on();
        stream.encoder.switch(on);
    }

    /// Encodes this number of spatial layers in each stream. Additional ones start with the next base
    /// picture, which is a keyframe if only those are shared.
    pub fn set_spatial_layers(&mut self, layers: u8) {
        for stream in &mut self.streams {
            let needs_keyframe = self.track.only_key_pictures_are_shared;
            stream.keyframe_wanted |= needs_keyframe && layers > stream.encoder.spatial_layers();
            stream.encoder.set_spatial_layers(layers);
        }
    }

    /// The pictures of a stream have another size, from a keyframe on.
    pub fn resize(&mut self, encoding: usize, width: u16, height: u16) {
        let stream = &mut self.streams[encoding];
        stream.encoder.resize(&self.track, width, height);
        stream.keyframe_wanted = true;
    }

    /// Sends a keyframe without a request, as after a change of scene.
    pub fn change_scene(&mut self, encoding: usize) {
        self.streams[encoding].keyframe_wanted = true;
    }

    /// A stream restarts with another SSRC, with a keyframe.
    pub fn change_ssrc(&mut self, encoding: usize) {
        let stream = &mut self.streams[encoding];
        let mut renewed = Stream::new(&self.track, encoding, &mut self.rng);
        renewed.former_ssrcs = std::mem::take(&mut stream.former_ssrcs);
        renewed.former_ssrcs.push(stream.ssrc);
        renewed.keyframes = std::mem::take(&mut stream.keyframes);
        renewed.keyframe_requests = std::mem::take(&mut stream.keyframe_requests);
        *stream = renewed;
    }

    /// Sends no more.
    pub fn stop(&mut self) {
        self.next_frame_at = None;
    }

    /// The parameters from signaling to the engine.
    pub fn produce(&self, transport: TransportId, producer: ProducerId) -> Produce {
        let encodings = self.streams.iter().zip(&self.track.encodings).map(|(stream, plan)| {
            // For simulcast, browsers signal no SSRC.
            let signaled = !self.track.is_simulcast();
            Encoding {
                rid: plan.rid.map(Text::new),
                ssrc: signaled.then_some(stream.ssrc),
                rtx_ssrc: (signaled && self.track.rtx).then_some(stream.rtx_ssrc),
                spatial_layers: self.track.spatial_layers,
                temporal_layers: self.track.temporal_layers,
                max_bitrate_bps: Some(plan.bitrate_bps),
            }
        });
        Produce {
            mid: Some(Text::new(&self.mid)),
            encodings: encodings.collect(),
            extensions: self.track.sent_extensions(),
            ..fixtures::produce(transport, producer, self.track.codec_parameters())
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match &self.captured {
            Some(captured) => captured.front().map(|(at, _)| *at).filter(|_| self.next_frame_at.is_some()),
            None => self.next_frame_at,
        }
    }

    /// The packets of the picture that is due, of every stream, without transport-wide numbers.
    pub fn frame(&mut self, now: Instant) -> Vec<Packet> {
        if let (Some(captured), true) = (&mut self.captured, self.next_frame_at.is_some()) {
            let due = captured.iter().take_while(|(at, _)| *at <= now).count();
            return captured.drain(..due).map(|(_, packet)| packet).collect();
        }
        let Some(due) = self.next_frame_at.filter(|due| *due <= now) else { return Vec::new() };
        self.next_frame_at = Some(due.max(now - self.track.frame_interval) + self.track.frame_interval);
        let codec = self.track.codec_parameters();
        let mut packets = Vec::new();
        for stream in self.streams.iter_mut().filter(|stream| stream.encoder.is_on()) {
            let is_key = std::mem::take(&mut stream.keyframe_wanted);
            if is_key {
                stream.keyframes.push(now);
            }
            stream.last_timestamp = stream.timestamp_at(now);
            let encoded =
                stream.encoder.picture(&self.track, now, is_key, &mut self.next_number, &mut self.rng);
            packets.extend(encoded.into_iter().map(|encoded| stream.packet(codec.pt, &self.mid, encoded)));
            if self.rng.chance(self.track.padding) {
                self.padded += 1;
                packets.push(stream.padding(codec.pt, codec.rtx_pt, &self.mid));
            }
            // With RTX, libwebrtc prefers sent packets as padding.
            if let Some(rtx_pt) = codec.rtx_pt
                && self.rng.chance(self.track.padding)
                && let Some(old) = stream.history.back().cloned()
            {
                packets.push(stream.repair(rtx_pt, &self.mid, &old));
            }
        }
        packets
    }

    /// Stores a packet as it was sent.
    pub(crate) fn remember(&mut self, packet: Packet) {
        let ssrc = packet.header.ssrc;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) else { return };
        if stream.history.len() == HISTORY_LEN {
            stream.history.pop_front();
        }
        stream.history.push_back(packet);
    }

    /// The stream with this SSRC, now or before.
    pub(crate) fn stream_of(&self, ssrc: u32) -> Option<usize> {
        self.streams.iter().position(|stream| stream.ssrc == ssrc || stream.former_ssrcs.contains(&ssrc))
    }

    /// The engine misses `seq` of `ssrc`: the retransmission, and whether it needs a new transport-wide
    /// number.
    pub(crate) fn on_nack(&mut self, now: Instant, ssrc: u32, seq: u16) -> Option<(Packet, bool)> {
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc)?;
        stream.requested.push((now, seq));
        let mut history = stream.history.iter().rev();
        let original = history.find(|packet| packet.header.sequence_number == seq)?.clone();
        let Some(rtx_pt) = self.track.codec_parameters().rtx_pt else { return Some((original, false)) };
        Some((stream.repair(rtx_pt, &self.mid, &original), true))
    }

    /// The engine requests a keyframe of one stream.
    pub(crate) fn on_keyframe_request(&mut self, now: Instant, stream: usize) {
        self.streams[stream].keyframe_requests.push(now);
        let together = self.track.keyframes_together;
        for (index, other) in self.streams.iter_mut().enumerate() {
            let is_recent =
                other.keyframes.last().is_some_and(|at| now.saturating_since(*at) < KEYFRAME_INTERVAL_MIN);
            other.keyframe_wanted |= (together || index == stream) && !is_recent;
        }
    }

    /// The engine reports on a stream, so it knows the SSRC.
    pub(crate) fn on_report(&mut self, _at: Instant, report: &ReceptionReport) {
        for stream in self.streams.iter_mut().filter(|stream| stream.ssrc == report.ssrc) {
            stream.is_labelled = false;
        }
    }

    /// Its reports.
    pub(crate) fn sender_reports(&self, now: Instant) -> impl Iterator<Item = SenderReport> {
        let streams = self.streams.iter().filter(|stream| stream.packets > 0 && self.track.sender_reports);
        streams.map(move |stream| SenderReport {
            ssrc: stream.ssrc,
            ntp_time: ntp_at(now),
            rtp_time: stream.timestamp_at(now),
            packet_count: stream.packets,
            octet_count: stream.octets,
            ..SenderReport::default()
        })
    }
}

/// A captured header with our ids for the extensions that we know.
fn relabelled(captured: &Header, capture: &Capture, mid: &str) -> Header {
    let mut header = Header {
        version: 2,
        padding: captured.padding,
        marker: captured.marker,
        payload_type: captured.payload_type,
        sequence_number: captured.sequence_number,
        timestamp: captured.timestamp,
        ssrc: captured.ssrc,
        ..Header::default()
    };
    let value = |kind| capture.extension(kind).and_then(|id| captured.get_extension(id));
    let known = [
        (value(ExtensionKind::DependencyDescriptor), sent_ext::DESCRIPTOR),
        (value(ExtensionKind::Mid).map(|_| Bytes::copy_from_slice(mid.as_bytes())), MID),
        (value(ExtensionKind::Rid), sent_ext::RID),
        (value(ExtensionKind::RepairedRid), sent_ext::REPAIRED_RID),
    ];
    for (value, id) in known {
        if let Some(value) = value {
            header.set_extension(id, value).expect("it fitted before");
        }
    }
    header
}
