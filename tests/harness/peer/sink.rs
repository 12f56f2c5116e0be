//! A track being received: order, loss and retransmission, the resulting pictures, and freezes.

use super::payload::{self, Payload};
use super::rtcp::{ReceptionReport, nanos_of};
use super::source::level;
use super::view::View;
use crate::decoder::Incoming;
use control::{Codec, Consume, ExtensionKind, Kind, ProducerId};
use machine::Instant;
use oracle_rtp::packet::Packet;
use rtp::ext::playout_delay::{self, PlayoutDelay};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Newer packets after which a missing one counts as lost and not as reordered.
const REORDER_PACKETS: u64 = 4;

/// … or the time since the gap was seen.
const REORDER_WAIT: Duration = Duration::from_millis(60);

/// Requests for one packet.
const RETRIES_MAX: u32 = 20;

/// Without a picture for this time, a keyframe is requested, and again after the same time.
const PICTURE_PATIENCE: Duration = Duration::from_secs(1);

/// A track being received.
#[derive(Debug)]
pub struct Sink {
    kind: Kind,
    consume: Consume,
    clock_rate_hz: u32,
    asks_for_keyframes: bool,
    since: Instant,
    /// By extended sequence number.
    packets: BTreeMap<u64, Arrival>,
    missing: BTreeMap<u64, Missing>,
    /// Packets that came on the media SSRC, for reception reports.
    direct: u64,
    duplicates: u64,
    repaired: u64,
    octets: u64,
    /// Copies of earlier packets in others (RFC 2198).
    copies: u64,
    nacks: u64,
    floods: bool,
    plis: u64,
    last_pli: Option<Instant>,
    /// The newest packet's capture time and playout delay.
    newest: (Option<Vec<u8>>, Option<Vec<u8>>),
    decoder: Decoder,
    /// Checks a layered track, in place of `decoder`.
    view: Option<Box<View>>,
    jitter: Jitter,
    last_report: (u64, u64),
    sender_reports: Vec<SenderClock>,
    cname: Option<String>,
}

/// A received packet.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When it came first.
    pub at: Instant,
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// Its marker bit.
    pub marker: bool,
    /// Its content.
    pub payload: Payload,
    /// Whether it came by retransmission.
    pub is_repaired: bool,
    hash: u64,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    noticed_at: Instant,
    requested_at: Option<Instant>,
    requests: u32,
}

/// A sender report: the same moment on both clocks of the publisher.
#[derive(Clone, Copy, Debug)]
pub struct SenderClock {
    /// When it came.
    pub at: Instant,
    /// The publisher's wall clock, in nanoseconds since the simulator's epoch.
    pub wall_nanos: i128,
    /// Its RTP clock, as this sink knows it.
    pub rtp_timestamp: u32,
    /// The engine's count of sent packets.
    pub packet_count: u32,
}

/// A frame that could be displayed.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// When its last packet came.
    pub at: Instant,
    /// Its number at the publisher.
    pub frame: u32,
    /// Whether it needs no earlier frame.
    pub is_keyframe: bool,
    /// Its first packet.
    pub first_seq: u64,
    /// Its RTP timestamp.
    pub timestamp: u32,
}

/// Assembles frames in order, as a decoder needs them: after a gap, only a keyframe is used.
#[derive(Debug, Default)]
struct Decoder {
    /// The packet it waits for.
    cursor: Option<u64>,
    keyframes_ahead: BTreeSet<u64>,
    frames: Vec<Frame>,
}

#[derive(Debug, Default)]
struct Jitter {
    transit: Option<f64>,
    estimate: f64,
}

impl Sink {
    pub(crate) fn new(now: Instant, kind: Kind, consume: Consume) -> Self {
        let clock_rate_hz = consume.codecs[0].clock_rate_hz;
        Self {
            kind,
            consume,
            clock_rate_hz,
            asks_for_keyframes: true,
            since: now,
            packets: BTreeMap::new(),
            missing: BTreeMap::new(),
            direct: 0,
            duplicates: 0,
            repaired: 0,
            octets: 0,
            copies: 0,
            nacks: 0,
            floods: false,
            plis: 0,
            last_pli: None,
            newest: (None, None),
            decoder: Decoder::default(),
            view: None,
            jitter: Jitter::default(),
            last_report: (0, 0),
            sender_reports: Vec::new(),
            cname: None,
        }
    }

    /// For a layered track, which `view` checks.
    pub(crate) fn layered(now: Instant, consume: Consume, view: View) -> Self {
        Self { view: Some(Box::new(view)), ..Self::new(now, Kind::Video, consume) }
    }

    /// The receiver's result for a layered track.
    pub fn view(&self) -> Option<&View> {
        self.view.as_deref()
    }

    /// Does not wait longer for missing packets.
    pub(crate) fn finish(&mut self, now: Instant) -> Result<(), String> {
        self.view.as_mut().map_or(Ok(()), |view| view.finish(now))
    }

    /// Every received packet, by extended sequence number.
    pub fn packets(&self) -> &BTreeMap<u64, Arrival> {
        &self.packets
    }

    /// Packets between the first and the last that never arrived in any way.
    pub fn missing(&self) -> u64 {
        self.expected() - self.packets.len() as u64
    }

    /// [`missing`](Self::missing) as a share of all packets.
    pub fn missing_share(&self) -> f64 {
        self.missing() as f64 / self.expected().max(1) as f64
    }

    /// Duplicated packets.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets that arrived by retransmission.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Received payload bytes, each packet once.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Packets on the media SSRC, including duplicates.
    pub fn direct(&self) -> u64 {
        self.direct
    }

    /// Copies of earlier packets in others (RFC 2198).
    pub fn copies(&self) -> u64 {
        self.copies
    }

    /// Packets it has requested again.
    pub fn nacks(&self) -> u64 {
        self.nacks
    }

    /// Keyframes it has requested.
    pub fn plis(&self) -> u64 {
        self.plis
    }

    /// The frames that could be displayed, in order.
    pub fn frames(&self) -> &[Frame] {
        self.view.as_ref().map_or(&self.decoder.frames, |view| view.frames())
    }

    /// Keyframes among them.
    pub fn keyframes(&self) -> usize {
        self.frames().iter().filter(|frame| frame.is_keyframe).count()
    }

    /// The number of freezes, as a browser counts them: longer than three times the average interval, and
    /// than the average plus 150 ms.
    pub fn freezes(&self) -> usize {
        let intervals: Vec<f64> = self
            .frames()
            .windows(2)
            .map(|pair| pair[1].at.saturating_since(pair[0].at).as_secs_f64())
            .collect();
        let mut freezes = 0;
        for (index, interval) in intervals.iter().enumerate() {
            let recent = &intervals[index.saturating_sub(30)..index];
            let average = recent.iter().sum::<f64>() / recent.len().max(1) as f64;
            let is_freeze = *interval > (3.0 * average).max(average + 0.15);
            freezes += usize::from(!recent.is_empty() && is_freeze);
        }
        freezes
    }

    /// The newest packet's capture time (`abs-capture-time`), as received.
    pub fn capture_time(&self) -> Option<&[u8]> {
        self.newest.0.as_deref()
    }

    /// The newest packet's playout delay (`playout-delay`).
    pub fn playout_delay(&self) -> Option<PlayoutDelay> {
        playout_delay::read(self.newest.1.as_deref()?)
    }

    /// The engine's sender reports.
    pub fn sender_reports(&self) -> &[SenderClock] {
        &self.sender_reports
    }

    /// The engine's CNAME of the publisher.
    pub fn cname(&self) -> Option<&str> {
        self.cname.as_deref()
    }

    /// Sound or pictures.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it receives.
    pub fn producer(&self) -> ProducerId {
        self.consume.producer
    }

    /// When it began to wait for packets.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// From now on requests all possible packets repeatedly, whether received or not.
    pub fn flood_with_nacks(&mut self) {
        self.floods = true;
    }

    /// Leaves keyframe requests to the engine.
    pub fn leave_keyframes_to_the_engine(&mut self) {
        self.asks_for_keyframes = false;
    }

    /// Its consumer's parameters.
    pub fn consume(&self) -> &Consume {
        &self.consume
    }

    /// The id of a header extension, if it was negotiated.
    pub(crate) fn extension(&self, kind: ExtensionKind) -> Option<u8> {
        let extensions = &self.consume.extensions;
        extensions.iter().find(|extension| extension.kind == kind).map(|extension| extension.id)
    }

    pub(crate) fn owns(&self, ssrc: u32) -> bool {
        ssrc == self.consume.ssrc || Some(ssrc) == self.consume.rtx_ssrc
    }

    /// Whether a packet is on the retransmission stream, and padding-only (RFC 4588 leaves no other meaning).
    pub(crate) fn is_padding(&self, packet: &Packet) -> bool {
        packet.header.ssrc != self.consume.ssrc && packet.payload.is_empty()
    }

    /// A decrypted packet on one of its SSRCs. `Err` is a fault that a browser would reject.
    pub(crate) fn on_packet(&mut self, now: Instant, packet: &Packet) -> Result<(), String> {
        let header = &packet.header;
        let codec = &self.consume.codecs[0];
        let is_rtx = header.ssrc != self.consume.ssrc;
        let expected_pt = if is_rtx { codec.rtx_pt } else { Some(codec.pt) };
        if Some(header.payload_type) != expected_pt {
            return Err(format!("payload type {} on SSRC {}", header.payload_type, header.ssrc));
        }
        let value = |kind| self.extension(kind).and_then(|id| header.get_extension(id));
        let (mid, audio_level) = (value(ExtensionKind::Mid), value(ExtensionKind::AudioLevel));
        let newest = [ExtensionKind::AbsCaptureTime, ExtensionKind::PlayoutDelay]
            .map(|kind| value(kind).map(|value| value.to_vec()));
        let expected_mid = self.consume.mid.as_ref().map(|mid| mid.as_str().as_bytes());
        if mid.as_deref() != expected_mid.filter(|_| self.extension(ExtensionKind::Mid).is_some()) {
            return Err(format!("MID {mid:?} on SSRC {}", header.ssrc));
        }
        let (seq, content) = if is_rtx {
            let (original, rest) =
                packet.payload.split_first_chunk::<2>().ok_or("an empty retransmission")?;
            (u16::from_be_bytes(*original), rest)
        } else {
            self.direct += 1;
            (header.sequence_number, &packet.payload[..])
        };
        let payload = match &self.view {
            None => payload::read(self.kind, self.take_copies(content)?)?,
            Some(view) => view.payload(content)?,
        };
        let incoming = self.view.as_ref().map(|_| View::incoming(now, header, content));
        let has_level = self.kind == Kind::Audio && self.extension(ExtensionKind::AudioLevel).is_some();
        if has_level && audio_level.as_deref() != Some(&[level(&payload.stamp)][..]) {
            return Err(format!("audio level {audio_level:?} on {:?}", payload.stamp));
        }
        self.newest = newest.into();
        let mut hasher = DefaultHasher::new();
        (header.timestamp, header.marker, content).hash(&mut hasher);
        incoming.as_ref().and_then(|incoming| incoming.descriptor.as_ref()).hash(&mut hasher);
        let arrival = Arrival {
            at: now,
            timestamp: header.timestamp,
            marker: header.marker,
            payload,
            is_repaired: is_rtx,
            hash: hasher.finish(),
        };
        if !is_rtx {
            self.jitter.update(now, header.timestamp, self.clock_rate_hz);
        }
        self.insert(now, seq, arrival, content.len(), incoming)
    }

    /// The primary of a redundant payload, whose copies are counted; any other payload unchanged.
    fn take_copies<'a>(&mut self, content: &'a [u8]) -> Result<&'a [u8], String> {
        if self.consume.codecs[0].codec != Codec::Red {
            return Ok(content);
        }
        let red = rtp::red::Payload::parse(content).ok_or("invalid RED payload")?;
        for copy in red.copies() {
            payload::read(self.kind, copy.bytes)?;
            self.copies += 1;
        }
        Ok(red.primary.bytes)
    }

    fn insert(
        &mut self,
        now: Instant,
        seq: u16,
        arrival: Arrival,
        len: usize,
        incoming: Option<Incoming>,
    ) -> Result<(), String> {
        let highest = self.packets.last_key_value().map(|(highest, _)| *highest);
        let seq = highest.map_or(65_536 + u64::from(seq), |highest| extend(highest, seq));
        if let Some(known) = self.packets.get(&seq) {
            self.duplicates += 1;
            if known.hash != arrival.hash {
                let [first, second] = [*known, arrival].map(|packet| {
                    let way = if packet.is_repaired { "repaired" } else { "direct" };
                    (way, packet.marker, packet.timestamp, packet.payload.stamp)
                });
                return Err(format!("number {seq} is used for two packets: {first:?}, then {second:?}"));
            }
            return Ok(());
        }
        self.octets += len as u64;
        self.repaired += u64::from(arrival.is_repaired);
        self.missing.remove(&seq);
        for gap in highest.map_or(0..0, |highest| highest + 1..seq) {
            self.missing.insert(gap, Missing { noticed_at: now, requested_at: None, requests: 0 });
        }
        self.packets.insert(seq, arrival);
        if let (Some(view), Some(incoming)) = (&mut self.view, incoming) {
            view.on_packet(seq, incoming)?;
        } else if self.kind == Kind::Video {
            self.decoder.on_packet(now, seq, &self.packets)?;
        }
        Ok(())
    }

    /// The packets to request at `now`, in ascending order.
    pub(crate) fn lost(&mut self, now: Instant, round_trip: Duration) -> Vec<u16> {
        let Some((highest, _)) = self.packets.last_key_value() else { return Vec::new() };
        if self.floods {
            return (highest.saturating_sub(511)..=*highest).map(|seq| seq as u16).collect();
        }
        self.missing.retain(|_, missing| missing.requests < RETRIES_MAX);
        let again_after = (round_trip * 5 / 4).max(Duration::from_millis(20));
        let mut lost = Vec::new();
        for (seq, missing) in &mut self.missing {
            let due = match missing.requested_at {
                Some(requested_at) => requested_at + again_after,
                None if highest - seq >= REORDER_PACKETS => missing.noticed_at,
                None => missing.noticed_at + REORDER_WAIT,
            };
            if due <= now {
                missing.requested_at = Some(now);
                missing.requests += 1;
                lost.push(*seq as u16);
            }
        }
        self.nacks += lost.len() as u64;
        lost
    }

    pub(crate) fn waits_for_pictures(&self) -> bool {
        self.kind == Kind::Video && self.asks_for_keyframes
    }

    /// Whether there may be packets to request soon.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.floods || !self.missing.is_empty()
    }

    /// Whether to request a keyframe now; if so, it counts as requested.
    pub(crate) fn wants_keyframe(&mut self, now: Instant) -> bool {
        if self.kind == Kind::Audio || !self.asks_for_keyframes || self.packets.is_empty() {
            return false;
        }
        let patience_from = self.frames().last().map_or(self.since, |frame| frame.at);
        let from = self.last_pli.map_or(patience_from, |last| last.max(patience_from));
        let wants = now.saturating_since(from) >= PICTURE_PATIENCE;
        if wants {
            self.last_pli = Some(now);
            self.plis += 1;
        }
        wants
    }

    pub(crate) fn on_sender_report(&mut self, at: Instant, ntp: u64, rtp_timestamp: u32, packet_count: u32) {
        let wall_nanos = nanos_of(ntp);
        self.sender_reports.push(SenderClock { at, wall_nanos, rtp_timestamp, packet_count });
        self.last_report = (ntp, at.as_nanos());
    }

    pub(crate) fn on_cname(&mut self, cname: String) {
        self.cname = Some(cname);
    }

    /// The block of its receiver report; `None` before the first packet.
    pub(crate) fn report(&self, now: Instant) -> Option<ReceptionReport> {
        let (highest, _) = self.packets.last_key_value()?;
        let (ntp, came_at) = self.last_report;
        let delay = u128::from(now.as_nanos() - came_at) * 65_536 / 1_000_000_000;
        Some(ReceptionReport {
            ssrc: self.consume.ssrc,
            fraction_lost: 0,
            total_lost: self.expected().saturating_sub(self.direct) as u32,
            last_sequence_number: (*highest - 65_536) as u32,
            jitter: self.jitter.estimate as u32,
            last_sender_report: (ntp >> 16) as u32,
            delay: if ntp == 0 { 0 } else { delay as u32 },
        })
    }

    fn expected(&self) -> u64 {
        match (self.packets.first_key_value(), self.packets.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last - first + 1,
            _ => 0,
        }
    }
}

impl Decoder {
    fn on_packet(&mut self, now: Instant, seq: u64, packets: &BTreeMap<u64, Arrival>) -> Result<(), String> {
        let is_ahead = self.cursor.is_none_or(|cursor| seq > cursor);
        if is_ahead && packets[&seq].payload.starts_keyframe {
            self.keyframes_ahead.insert(seq);
        }
        if self.decode(now, packets)? {
            return Ok(());
        }
        // Blocked by a gap: continues at the newest complete keyframe.
        let mut candidates = self.keyframes_ahead.iter().rev();
        if let Some(start) = candidates.find(|start| frame_end(**start, packets).is_some()) {
            self.cursor = Some(*start);
            self.decode(now, packets)?;
        }
        Ok(())
    }

    /// Decodes every complete frame from the cursor on. Whether there was one.
    fn decode(&mut self, now: Instant, packets: &BTreeMap<u64, Arrival>) -> Result<bool, String> {
        let before = self.frames.len();
        while let Some((start, end)) = self.cursor.and_then(|start| Some((start, frame_end(start, packets)?)))
        {
            let first = packets[&start];
            let stamp = first.payload.stamp;
            let is_whole = first.payload.starts_frame && end - start + 1 == u64::from(stamp.count);
            let in_order = packets.range(start..=end).enumerate().all(|(index, (_, packet))| {
                let other = packet.payload.stamp;
                (other.frame, usize::from(other.index)) == (stamp.frame, index)
                    && packet.timestamp == first.timestamp
            });
            if !is_whole || !in_order {
                return Err(format!("packets {start} to {end} look like a frame and are not one: {stamp:?}"));
            }
            let is_keyframe = first.payload.starts_keyframe;
            let follows = self.frames.last().is_some_and(|last| last.frame + 1 == stamp.frame);
            if !is_keyframe && !follows {
                return Err(format!("frame {} refers to one that was never sent", stamp.frame));
            }
            self.frames.push(Frame {
                at: now,
                frame: stamp.frame,
                is_keyframe,
                first_seq: start,
                timestamp: first.timestamp,
            });
            self.cursor = Some(end + 1);
            self.keyframes_ahead = self.keyframes_ahead.split_off(&(end + 2));
        }
        Ok(self.frames.len() > before)
    }
}

/// The packet with the marker that ends the frame beginning at `start`. `None` if one before it is missing,
/// if the frame is incomplete, or if it was cut off and another follows.
fn frame_end(start: u64, packets: &BTreeMap<u64, Arrival>) -> Option<u64> {
    let timestamp = packets.get(&start)?.timestamp;
    let of_frame = packets.range(start..).zip(start..);
    let mut of_frame =
        of_frame.take_while(|((seq, packet), expected)| **seq == *expected && packet.timestamp == timestamp);
    of_frame.find(|((_, packet), _)| packet.marker).map(|((seq, _), _)| *seq)
}

impl Jitter {
    /// RFC 3550 §A.8.
    fn update(&mut self, now: Instant, timestamp: u32, clock_rate_hz: u32) {
        let arrival = now.since_epoch().as_secs_f64() * f64::from(clock_rate_hz);
        let transit = arrival - f64::from(timestamp);
        if let Some(previous) = self.transit.replace(transit) {
            let difference = (transit - previous).abs();
            // A wrap of the timestamp is not jitter.
            if difference < f64::from(clock_rate_hz) * 10.0 {
                self.estimate += (difference - self.estimate) / 16.0;
            }
        }
    }
}

/// The number nearest to `highest` with these 16 bits.
fn extend(highest: u64, seq: u16) -> u64 {
    let ahead = seq.wrapping_sub(highest as u16);
    if ahead < 0x8000 { highest + u64::from(ahead) } else { highest - u64::from(ahead.wrapping_neg()) }
}
