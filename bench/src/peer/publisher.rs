//! The sending side of a publisher: the frames of its tracks when they are due, and a sender report each
//! second.

use super::rtcp::{self, Part, SenderInfo};
use super::rtp::{self, Fields};
use super::srtp::{Receiver, Sender};
use crate::measure::Tally;
use crate::media::{Encoder, FramePart, HEAD_LEN, Pacing, STAMP_LEN, Stamp, Track, head, split};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A negotiated track.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its media.
    pub track: Track,
    /// `a=mid`.
    pub mid: String,
    /// Payload type.
    pub pt: u8,
    /// The SSRC of each encoding.
    pub ssrcs: Vec<u32>,
}

impl Outgoing {
    /// The RID of an encoding, if there are several (RFC 8851).
    pub fn rid(&self, encoding: usize) -> Option<String> {
        (self.ssrcs.len() > 1).then(|| format!("r{encoding}"))
    }
}

/// Ids of header extensions, the same for all publishers.
pub mod extension {
    /// RFC 8843.
    pub const MID: u8 = 1;
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01.
    pub const TRANSPORT_CC: u8 = 2;
    /// RFC 8852.
    pub const RID: u8 = 3;
}

/// Interval of sender reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Seconds from 1900 to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;

/// A publisher's media.
#[derive(Debug)]
pub struct Publisher {
    sources: Vec<Source>,
    transport_seq: u16,
    next_report: Instant,
    cname: String,
}

/// A track that is sent.
#[derive(Debug)]
struct Source {
    outgoing: Outgoing,
    streams: Vec<Stream>,
    begun: Instant,
    frames: u32,
    next_frame: Instant,
    /// The rest of the current frame: the encoding, the payload's length and its position. Only
    /// [`Pacing::Even`] lets packets wait.
    waiting: VecDeque<(usize, usize, FramePart)>,
    next_packet: Instant,
    packet_interval: Duration,
}

/// One encoding.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    encoder: Encoder,
    /// Counts packets from 0; sequence numbers have [`FIRST_SEQ`] added.
    packets: u64,
    octets: u32,
}

/// In the lower half, as in browsers: then no receiver misreads the first wrap.
const FIRST_SEQ: u64 = 1000;

impl Publisher {
    /// Begins to send at `now`, shifted by up to a frame so that publishers are not synchronised.
    pub fn new(outgoing: Vec<Outgoing>, now: Instant) -> Self {
        let cname = outgoing.first().map_or_else(String::new, |first| format!("peer-{:x}", first.track.id));
        let sources = outgoing.into_iter().map(|outgoing| Source::new(outgoing, now)).collect();
        Self { sources, transport_seq: 0, next_report: now, cname }
    }

    /// The time of the next due work.
    pub fn next_timeout(&self) -> Instant {
        let sources = self.sources.iter().map(Source::next_timeout);
        sources.min().map_or(self.next_report, |next| next.min(self.next_report))
    }

    /// Passes all due packets to `send`, encrypted. `clock` returns the wall clock in nanoseconds.
    pub fn advance(
        &mut self,
        now: Instant,
        clock: impl Fn() -> u64,
        sender: &Sender,
        mut send: impl FnMut(&[u8]),
    ) -> u64 {
        let mut packet = Vec::with_capacity(1500);
        let mut sent = 0;
        for source in &mut self.sources {
            while let Some((encoding, len, place)) = source.next(now) {
                source.write(&mut packet, encoding, len, place, self.transport_seq, clock(), sender);
                self.transport_seq = self.transport_seq.wrapping_add(1);
                send(&packet);
                sent += 1;
            }
        }
        sent
    }

    /// Appends the sender reports that are due, unprotected.
    pub fn report(&mut self, now: Instant, wall: u64, out: &mut Vec<u8>) {
        if now < self.next_report {
            return;
        }
        self.next_report = now + REPORT_INTERVAL;
        for source in &self.sources {
            for stream in source.streams.iter().filter(|stream| stream.packets > 0) {
                let info = SenderInfo {
                    ssrc: stream.ssrc,
                    ntp: ntp(wall),
                    rtp_time: source.rtp_time(now),
                    packets: stream.packets as u32,
                    octets: stream.octets,
                };
                rtcp::sender_report(out, &info, &self.cname);
            }
        }
    }

    /// An RTCP packet arrived.
    pub fn on_rtcp(&mut self, packet: &mut [u8], receiver: &Receiver, tally: &mut Tally) {
        let Some(len) = receiver.unprotect_rtcp(packet) else {
            tally.unauthentic += 1;
            return;
        };
        rtcp::read(&packet[..len], |part| {
            let Part::KeyframeRequest(ssrc) = part else { return };
            tally.keyframe_requests += 1;
            let streams = self.sources.iter_mut().flat_map(|source| &mut source.streams);
            streams.filter(|stream| stream.ssrc == ssrc).for_each(|stream| stream.encoder.request_keyframe());
        });
    }
}

impl Source {
    fn new(outgoing: Outgoing, now: Instant) -> Self {
        let track = &outgoing.track;
        let streams = track.bitrates_bps.iter().zip(&outgoing.ssrcs).map(|(bitrate, ssrc)| Stream {
            ssrc: *ssrc,
            encoder: Encoder::new(track.codec.is_video(), *bitrate, track.frame_interval, u64::from(*ssrc)),
            packets: 0,
            octets: 0,
        });
        let streams = streams.collect();
        let shift = track.frame_interval.mul_f64(f64::from(track.id >> 4 & 0xff) * 0.618 % 1.0);
        let begun = now + shift;
        Self {
            outgoing,
            streams,
            begun,
            frames: 0,
            next_frame: begun,
            waiting: VecDeque::new(),
            next_packet: begun,
            packet_interval: Duration::ZERO,
        }
    }

    fn next_timeout(&self) -> Instant {
        if self.waiting.is_empty() { self.next_frame } else { self.next_packet }
    }

    /// The next packet that is due.
    fn next(&mut self, now: Instant) -> Option<(usize, usize, FramePart)> {
        if self.waiting.is_empty() && self.next_frame <= now {
            self.encode();
        }
        if self.next_packet > now {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.next_packet += self.packet_interval;
        Some(next)
    }

    /// Splits the due frame of every encoding into packets.
    fn encode(&mut self) {
        let at = self.next_frame;
        for (encoding, stream) in self.streams.iter_mut().enumerate() {
            let frame = stream.encoder.next_frame(at);
            let lens: Vec<usize> = split(frame.len.max(HEAD_LEN + STAMP_LEN)).collect();
            let count = lens.len();
            self.waiting.extend(lens.into_iter().enumerate().map(|(index, len)| {
                let is_keyframe = frame.is_keyframe;
                (encoding, len, FramePart { frame: self.frames, index, count, is_keyframe })
            }));
        }
        self.frames += 1;
        self.next_frame = self.begun + self.outgoing.track.frame_interval * self.frames;
        self.next_packet = at;
        self.packet_interval = match self.outgoing.track.pacing {
            Pacing::Burst => Duration::ZERO,
            Pacing::Even => self.outgoing.track.frame_interval / self.waiting.len().max(1) as u32,
        };
    }

    #[expect(clippy::too_many_arguments, reason = "all of them go into the packet")]
    fn write(
        &mut self,
        packet: &mut Vec<u8>,
        encoding: usize,
        len: usize,
        place: FramePart,
        transport_seq: u16,
        wall: u64,
        sender: &Sender,
    ) {
        let (codec, rid) = (self.outgoing.track.codec, self.outgoing.rid(encoding));
        let timestamp =
            (self.outgoing.track.frame_interval * place.frame).as_secs_f64() * f64::from(codec.clock_rate());
        let stream = &mut self.streams[encoding];
        let index = FIRST_SEQ + stream.packets;
        let fields = Fields {
            pt: self.outgoing.pt,
            // For audio it marks the start of speech (RFC 3551 §4.1), which never pauses here.
            marker: codec.is_video() && place.index + 1 == place.count,
            seq: index as u16,
            timestamp: timestamp.round() as u64 as u32,
            ssrc: stream.ssrc,
        };
        packet.clear();
        let transport_seq = transport_seq.to_be_bytes();
        let mut extensions: Vec<(u8, &[u8])> =
            vec![(extension::MID, self.outgoing.mid.as_bytes()), (extension::TRANSPORT_CC, &transport_seq)];
        extensions.extend(rid.as_ref().map(|rid| (extension::RID, rid.as_bytes())));
        rtp::write(packet, fields, &extensions);
        let header_len = packet.len();
        packet.extend_from_slice(&head(codec, place, len));
        packet.resize(header_len + len, 0);
        let stamp =
            Stamp { track: self.outgoing.track.id | encoding as u32, number: stream.packets, sent_at: wall };
        stamp.write(&mut packet[header_len + HEAD_LEN..]);
        sender.protect_rtp(packet, header_len, stream.ssrc, index);
        stream.packets += 1;
        stream.octets = stream.octets.wrapping_add(len as u32);
    }

    fn rtp_time(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.begun).as_secs_f64();
        (elapsed * f64::from(self.outgoing.track.codec.clock_rate())) as u64 as u32
    }
}

fn ntp(wall: u64) -> u64 {
    let (seconds, nanos) = (wall / 1_000_000_000 + NTP_OFFSET, wall % 1_000_000_000);
    (seconds << 32) | ((nanos << 32) / 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Codec;
    use crate::peer::rtp::Header;
    use crate::peer::srtp::Keys;

    fn publisher(pacing: Pacing, now: Instant) -> Publisher {
        let track = Track {
            id: 0,
            codec: Codec::Vp8,
            bitrates_bps: vec![2_500_000],
            frame_interval: Duration::from_secs(1) / 30,
            pacing,
        };
        Publisher::new(vec![Outgoing { track, mid: "0".into(), pt: 96, ssrcs: vec![7] }], now)
    }

    /// Advances the time in steps of a millisecond; returns the packets and their send times.
    fn run(publisher: &mut Publisher, start: Instant, time: Duration) -> Vec<(u128, Vec<u8>)> {
        let sender = Keys::exported_to_client(&[7; 56]).sender;
        let mut sent = Vec::new();
        let mut now = start;
        while now < start + time {
            let at = (now - start).as_millis();
            publisher.advance(now, || 0, &sender, |packet| sent.push((at, packet.to_vec())));
            now += Duration::from_millis(1);
        }
        sent
    }

    #[test]
    fn a_burst_leaves_at_once_and_even_packets_spread() {
        let start = Instant::now();
        for (pacing, moments) in [(Pacing::Burst, 30), (Pacing::Even, 250)] {
            let sent = run(&mut publisher(pacing, start), start, Duration::from_secs(1));
            let times: std::collections::BTreeSet<_> = sent.iter().map(|(at, _)| at).collect();
            assert!(times.len() >= moments, "{pacing:?}: {}", times.len());
            assert!(pacing == Pacing::Even || times.len() == moments, "{}", times.len());
        }
    }

    #[test]
    fn packets_of_a_frame_share_a_timestamp_and_numbers_have_no_gap() {
        let start = Instant::now();
        let sent = run(&mut publisher(Pacing::Burst, start), start, Duration::from_secs(1));
        for ((at, packet), index) in sent.iter().zip(0u16..) {
            let header = Header::read(packet).unwrap();
            assert_eq!(header.seq, FIRST_SEQ as u16 + index);
            let frame = (*at as f64 * 30.0 / 1000.0 + 1e-6).floor() as u32;
            assert!(header.timestamp.abs_diff(frame * 3000) <= 3000, "{} at {at} ms", header.timestamp);
            assert_eq!(header.extension(packet, extension::MID), Some(&b"0"[..]));
        }
    }
}
