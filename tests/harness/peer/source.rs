//! A track being sent: creates frames periodically, packets of frames, and retransmissions.

use super::payload::{self, Stamp};
use super::rtcp::{ReceptionReport, SenderReport, ntp_at};
use crate::Track;
use crate::track::sent_ext;
use bytes::Bytes;
use control::{Encoding, Kind, Produce, ProducerId, Text, TransportId, fixtures};
use machine::{Instant, Rng};
use oracle_rtp::header::Header;
use oracle_rtp::packet::Packet;
use std::collections::VecDeque;
use std::time::Duration;

/// The longest payload; browsers limit their packets to about 1200 bytes.
const PAYLOAD_LEN_MAX: usize = 1150;

/// Packets stored for retransmission: more than a second, as in a browser.
const HISTORY_LEN: usize = 1024;

/// The length of a keyframe relative to the average frame.
const KEYFRAME_FACTOR: usize = 5;

/// A track being sent.
#[derive(Debug)]
pub struct Source {
    track: Track,
    mid: String,
    /// Whether packets carry the MID.
    is_labelled: bool,
    rng: Rng,
    ssrc: u32,
    /// The former SSRC: feedback on it may still be in transit.
    former_ssrcs: Vec<u32>,
    rtx_ssrc: u32,
    next_seq: u16,
    next_rtx_seq: u16,
    timestamp_base: u32,
    next_frame: u32,
    next_frame_at: Option<Instant>,
    keyframe_wanted: bool,
    /// Decibels below overload, if a test has set it.
    level_dbov: Option<u8>,
    /// The capture time in each packet.
    capture_time: Option<Vec<u8>>,
    /// Sends DTX frames.
    is_silent: bool,
    /// The previous payload, for redundant packets.
    former_frame: Option<Vec<u8>>,
    history: VecDeque<Packet>,
    octets: u32,
    packets: u64,
    retransmissions: u64,
    keyframes: Vec<Instant>,
    keyframe_requests: Vec<Instant>,
    requested: Vec<(Instant, u16)>,
    reports: Vec<ReportOnSource>,
}

/// The engine's report on a source.
#[derive(Clone, Debug)]
pub struct ReportOnSource {
    /// When the report came.
    pub at: Instant,
    /// Its numbers.
    pub report: ReceptionReport,
    /// The resulting round trip (RFC 3550 §6.4.1).
    pub round_trip: Option<Duration>,
}

impl Source {
    /// Starts with a keyframe at `start`. `mid` is its name on the transport.
    pub(crate) fn new(start: Instant, track: Track, mid: String, mut rng: Rng) -> Self {
        // In the lower half, as browsers do, so that the first wrap is far.
        let [next_seq, next_rtx_seq] = [rng.below(1 << 15), rng.below(1 << 15)].map(|seq| seq as u16);
        Self {
            mid,
            is_labelled: true,
            ssrc: rng.next_u32(),
            former_ssrcs: Vec::new(),
            rtx_ssrc: rng.next_u32(),
            next_seq,
            next_rtx_seq,
            timestamp_base: rng.next_u32(),
            rng,
            track,
            next_frame: 0,
            next_frame_at: Some(start),
            keyframe_wanted: true,
            level_dbov: None,
            capture_time: None,
            is_silent: false,
            former_frame: None,
            history: VecDeque::with_capacity(HISTORY_LEN),
            octets: 0,
            packets: 0,
            retransmissions: 0,
            keyframes: Vec::new(),
            keyframe_requests: Vec::new(),
            requested: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Packets sent, first transmissions.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Frames sent.
    pub fn frames(&self) -> u32 {
        self.next_frame
    }

    /// Packets sent again.
    pub fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// When keyframes were sent.
    pub fn keyframes(&self) -> &[Instant] {
        &self.keyframes
    }

    /// When keyframes were requested.
    pub fn keyframe_requests(&self) -> &[Instant] {
        &self.keyframe_requests
    }

    /// Every requested packet, and when.
    pub fn requested(&self) -> &[(Instant, u16)] {
        &self.requested
    }

    /// The engine's reports.
    pub fn reports(&self) -> &[ReportOnSource] {
        &self.reports
    }

    /// Its media SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Its name on the transport.
    pub fn mid(&self) -> &str {
        &self.mid
    }

    /// The RTP timestamp of this moment.
    pub fn timestamp_at(&self, at: Instant) -> u32 {
        let ticks = u128::from(at.as_nanos()) * u128::from(self.track.clock_rate_hz()) / 1_000_000_000;
        self.timestamp_base.wrapping_add(ticks as u32)
    }

    /// Restarts with another SSRC, with a keyframe, as a browser does after a renegotiation.
    pub fn change_ssrc(&mut self) {
        self.former_ssrcs.push(self.ssrc);
        self.ssrc = self.rng.next_u32();
        self.rtx_ssrc = self.rng.next_u32();
        self.next_seq = self.rng.below(1 << 15) as u16;
        self.timestamp_base = self.rng.next_u32();
        self.keyframe_wanted = true;
        self.history.clear();
    }

    /// Sets the audio level: decibels below overload, 127 being silence (RFC 6464).
    pub fn set_level(&mut self, level_dbov: u8) {
        self.level_dbov = Some(level_dbov);
    }

    /// Sets the interval of frames: for discontinuous transmission, and for speech again.
    pub fn set_frame_interval(&mut self, interval: Duration) {
        self.track.frame_interval = interval;
    }

    /// From now on each packet has these bytes as its capture time (`abs-capture-time`).
    pub fn set_capture_time(&mut self, value: &[u8]) {
        self.capture_time = Some(value.to_vec());
    }

    /// Switches DTX frames on or off.
    pub fn set_silent(&mut self, is_silent: bool) {
        self.is_silent = is_silent;
    }

    /// Payload bytes sent, first transmissions.
    pub fn octets(&self) -> u32 {
        self.octets
    }

    /// Omits the MID, as Chrome does after a report has shown that the SSRC is known.
    pub fn leave_the_mid_out(&mut self) {
        self.is_labelled = false;
    }

    /// Sends no more frames.
    pub fn stop(&mut self) {
        self.next_frame_at = None;
    }

    /// The parameters from signaling to the engine.
    pub(crate) fn produce(&self, transport: TransportId, producer: ProducerId) -> Produce {
        let signaled = self.track.ssrcs_are_signaled;
        Produce {
            mid: Some(Text::new(&self.mid)),
            codecs: self.track.codecs(),
            encodings: vec![Encoding {
                ssrc: signaled.then_some(self.ssrc),
                rtx_ssrc: (signaled && self.track.rtx).then_some(self.rtx_ssrc),
                ..Encoding::SINGLE
            }],
            extensions: crate::track::sent_extensions(),
            ..fixtures::produce(transport, producer, self.track.codec())
        }
    }

    pub(crate) fn track(&self) -> &Track {
        &self.track
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next_frame_at
    }

    pub(crate) fn owns(&self, ssrc: u32) -> bool {
        ssrc == self.ssrc || self.former_ssrcs.contains(&ssrc)
    }

    /// The packets of the frame that is due, without transport-wide numbers.
    pub(crate) fn frame(&mut self, now: Instant) -> Vec<Packet> {
        let Some(due) = self.next_frame_at.filter(|due| *due <= now) else { return Vec::new() };
        self.next_frame_at = Some(due.max(now - self.track.frame_interval) + self.track.frame_interval);
        let is_keyframe = self.track.kind == Kind::Video && std::mem::take(&mut self.keyframe_wanted);
        if is_keyframe {
            self.keyframes.push(now);
        }
        let len = self.frame_len(is_keyframe);
        let count = len.div_ceil(PAYLOAD_LEN_MAX);
        let stamp = Stamp { frame: self.next_frame, index: 0, count: count as u16, captured_at: now };
        self.next_frame += 1;
        // Chrome splits a frame into packets whose lengths differ by a byte at most.
        (0..count).map(|index| self.packet(now, &stamp, index, is_keyframe, (len + index) / count)).collect()
    }

    fn frame_len(&mut self, is_keyframe: bool) -> usize {
        let average = self.track.bitrate_bps as f64 / 8.0 * self.track.frame_interval.as_secs_f64();
        let average = average as usize;
        match (is_keyframe, self.track.kind) {
            _ if self.is_silent => payload::silence().len(),
            (true, _) => average * KEYFRAME_FACTOR,
            (false, Kind::Audio) => average / 2 + self.rng.below(average as u32) as usize,
            // Usually near the average, sometimes twice as much.
            (false, Kind::Video) if self.rng.chance(0.05) => average * 2,
            (false, Kind::Video) => average * 2 / 3 + self.rng.below(average as u32 * 2 / 3) as usize,
        }
    }

    fn packet(&mut self, now: Instant, stamp: &Stamp, index: usize, is_keyframe: bool, len: usize) -> Packet {
        let kind = self.track.kind;
        let spoken = self.level_dbov.filter(|_| kind == Kind::Audio).map(|level| 0x80 | u16::from(level));
        let (stamp, payload) = if self.is_silent {
            (payload::SILENCE, payload::silence())
        } else {
            let stamp = Stamp { index: spoken.unwrap_or(index as u16), ..*stamp };
            (stamp, payload::write(kind, &stamp, is_keyframe, len))
        };
        let payload = if self.track.red { self.with_copy(payload) } else { payload };
        let is_last = index + 1 == usize::from(stamp.count);
        let mut header = Header {
            version: 2,
            marker: kind == Kind::Video && is_last,
            payload_type: self.track.codecs()[0].pt,
            sequence_number: self.next_seq,
            timestamp: self.timestamp_at(now),
            ssrc: self.ssrc,
            ..Header::default()
        };
        self.next_seq = self.next_seq.wrapping_add(1);
        if kind == Kind::Audio {
            set_extension(&mut header, sent_ext::AUDIO_LEVEL, &[level(&stamp)]);
        }
        if let Some(value) = &self.capture_time {
            set_extension(&mut header, sent_ext::ABS_CAPTURE_TIME, value);
        }
        if self.is_labelled {
            set_extension(&mut header, sent_ext::MID, self.mid.as_bytes());
        }
        self.packets += 1;
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        Packet { header, payload: Bytes::from(payload) }
    }

    /// Preceded by a copy of the previous frame, if there is one (RFC 2198).
    fn with_copy(&mut self, payload: Vec<u8>) -> Vec<u8> {
        let opus = self.track.codec().pt;
        let mut red = Vec::new();
        let former = self.former_frame.replace(payload.clone()).unwrap_or_default();
        if !former.is_empty() {
            let offset = (self.track.frame_interval.as_secs_f64() * 48_000.0) as u32;
            let header = 1 << 31 | u32::from(opus) << 24 | offset << 10 | former.len() as u32;
            red.extend(header.to_be_bytes());
        }
        red.push(opus);
        red.extend(former);
        red.extend(payload);
        red
    }

    /// Stores a packet as it was sent.
    pub(crate) fn remember(&mut self, packet: Packet) {
        if self.history.len() == HISTORY_LEN {
            self.history.pop_front();
        }
        self.history.push_back(packet);
    }

    /// The engine misses `seq` of `ssrc`: the retransmission, and whether it needs a new transport-wide
    /// number.
    pub(crate) fn on_nack(&mut self, now: Instant, ssrc: u32, seq: u16) -> Option<(Packet, bool)> {
        if ssrc != self.ssrc {
            return None;
        }
        self.requested.push((now, seq));
        let original = self.history.iter().rev().find(|packet| packet.header.sequence_number == seq)?;
        self.retransmissions += 1;
        let Some(rtx_pt) = self.track.codec().rtx_pt else { return Some((original.clone(), false)) };
        let mut packet = original.clone();
        packet.header.payload_type = rtx_pt;
        packet.header.ssrc = self.rtx_ssrc;
        packet.header.sequence_number = self.next_rtx_seq;
        self.next_rtx_seq = self.next_rtx_seq.wrapping_add(1);
        packet.payload = Bytes::from([&seq.to_be_bytes()[..], &original.payload].concat());
        Some((packet, true))
    }

    pub(crate) fn on_keyframe_request(&mut self, now: Instant) {
        self.keyframe_requests.push(now);
        self.keyframe_wanted = true;
    }

    pub(crate) fn on_report(&mut self, at: Instant, report: ReceptionReport) {
        let compact_now = (ntp_at(at) >> 16) as u32;
        let round_trip = (report.last_sender_report != 0).then(|| {
            let units = compact_now.wrapping_sub(report.last_sender_report).wrapping_sub(report.delay);
            Duration::from_nanos((u64::from(units) * 1_000_000_000) >> 16)
        });
        self.reports.push(ReportOnSource { at, report, round_trip });
    }

    /// Its report; `None` before the first packet.
    pub(crate) fn sender_report(&self, now: Instant) -> Option<SenderReport> {
        (self.packets > 0).then(|| SenderReport {
            ssrc: self.ssrc,
            ntp_time: ntp_at(now),
            rtp_time: self.timestamp_at(now),
            packet_count: self.packets as u32,
            octet_count: self.octets,
            ..SenderReport::default()
        })
    }
}

/// The audio level a packet with this stamp carries (RFC 6464).
pub(crate) fn level(stamp: &Stamp) -> u8 {
    if stamp.index > 0 { stamp.index as u8 } else { 0x80 | (stamp.frame % 100) as u8 }
}

pub(crate) fn set_extension(header: &mut Header, id: u8, value: &[u8]) {
    header.set_extension(id, Bytes::copy_from_slice(value)).expect("it fits into the one-byte form");
}
