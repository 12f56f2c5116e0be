//! A subscriber: its handling of received packets, and its RTCP: transport-wide feedback ten times a second,
//! a report each second, requests for missing packets and for a first picture.

use super::arrivals::Arrivals;
use super::inbound::{Inbound, Incoming, Order};
use super::rtcp::{self, Part};
use super::rtp::Header;
use super::srtp::Receiver;
use crate::measure::Tally;
use crate::media::{HEAD_LEN, Stamp};
use std::time::{Duration, Instant};

/// Interval of feedback, the default of browsers.
pub const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);

/// Feedbacks between reports.
const REPORT_EVERY: u32 = 10;

/// The SSRC that reports are from.
pub const OWN_SSRC: u32 = 0x0b0b_0b0b;

/// A receiving peer.
#[derive(Debug)]
pub struct Subscriber {
    streams: Vec<Inbound>,
    arrivals: Arrivals,
    feedbacks: u32,
    /// The arrival time of the first media packet.
    pub first_media: Option<Instant>,
}

/// The settings for checks of received packets.
#[derive(Clone, Copy, Debug)]
pub struct Scrutiny {
    /// One packet in this number is decrypted and its payload compared.
    pub sample: u64,
}

impl Subscriber {
    /// Expects these streams.
    pub fn new(incoming: Vec<Incoming>) -> Self {
        let streams = incoming.into_iter().map(Inbound::new).collect();
        Self { streams, arrivals: Arrivals::default(), feedbacks: 0, first_media: None }
    }

    /// An RTP packet arrived in the kernel at `at`, nanoseconds of the wall clock.
    pub fn on_rtp(
        &mut self,
        packet: &mut [u8],
        at: u64,
        receiver: &Receiver,
        scrutiny: Scrutiny,
        tally: &mut Tally,
    ) {
        let Some(header) = Header::read(packet) else {
            tally.payload_errors += 1;
            return;
        };
        let is_its_rtx = |stream: &Inbound| stream.incoming.rtx_ssrc == Some(header.ssrc);
        let Some(stream) =
            self.streams.iter_mut().find(|stream| stream.incoming.ssrc == header.ssrc || is_its_rtx(stream))
        else {
            // Probes on a separate SSRC, as sent by some servers.
            tally.padding += 1;
            return;
        };
        let number = stream.incoming.transport_cc_id.and_then(|id| header.extension(packet, id));
        if let Some(&[high, low]) = number {
            self.arrivals.record(u16::from_be_bytes([high, low]), at / 1000);
        }
        let is_rtx = is_its_rtx(stream);
        let seq = stream.extend(header.seq, is_rtx);
        let len = packet.len() as u64;
        let is_opened = is_rtx || scrutiny.sample == 1 || seq.is_multiple_of(scrutiny.sample);
        if is_opened && receiver.unprotect_rtp(packet, header.len, header.ssrc, seq).is_none() {
            tally.unauthentic += 1;
            return;
        }
        let opened = match is_opened {
            true => header.payload(&packet[..packet.len() - super::srtp::TAG_LEN]),
            false => None,
        };
        if opened.is_some_and(<[u8]>::is_empty) {
            tally.padding += 1;
            if !is_rtx {
                stream.take(seq);
            }
            return;
        }
        let (order, body) = match is_rtx {
            true => {
                stream.take_rtx(seq);
                // RFC 4588 §4: the original number, then the original payload.
                let Some((original, body)) = opened.and_then(<[u8]>::split_first_chunk::<2>) else {
                    tally.padding += 1;
                    return;
                };
                let original = stream.extend(u16::from_be_bytes(*original), false);
                (stream.take(original), Some(body))
            }
            false => (stream.take(seq), opened),
        };
        match order {
            // A retransmission of a packet that arrived later is no fault.
            Order::Again if is_rtx => tally.padding += 1,
            Order::Again => tally.duplicates += 1,
            Order::Late if is_rtx => tally.repaired += 1,
            Order::Late => tally.reordered += 1,
            Order::Next => {}
        }
        if order == Order::Again {
            return;
        }
        self.first_media.get_or_insert_with(Instant::now);
        tally.delivered += 1;
        tally.bytes += len;
        let Some(body) = body else { return };
        tally.checked += 1;
        match body.get(HEAD_LEN..).and_then(Stamp::read) {
            Some(stamp) if stream.read(&stamp, tally) => {
                if !is_rtx {
                    tally.record_latency(at.saturating_sub(stamp.sent_at));
                }
            }
            _ => tally.payload_errors += 1,
        }
    }

    /// An RTCP packet arrived.
    pub fn on_rtcp(&mut self, packet: &mut [u8], at: u64, receiver: &Receiver, tally: &mut Tally) {
        let Some(len) = receiver.unprotect_rtcp(packet) else {
            tally.unauthentic += 1;
            return;
        };
        rtcp::read(&packet[..len], |part| {
            let Part::SenderReport { ssrc, ntp_middle } = part else { return };
            let stream = self.streams.iter_mut().find(|stream| stream.incoming.ssrc == ssrc);
            stream.into_iter().for_each(|stream| stream.on_sender_report(ntp_middle, at / 1000));
        });
    }

    /// Appends requests for newly missing packets.
    pub fn ask(&mut self, out: &mut Vec<u8>, again: bool) {
        for stream in &mut self.streams {
            let wanted = stream.wanted(again);
            if !wanted.is_empty() {
                rtcp::nack(out, OWN_SSRC, stream.incoming.ssrc, &wanted);
            }
        }
    }

    /// Appends the RTCP that is due at each [`FEEDBACK_INTERVAL`].
    pub fn feed_back(&mut self, out: &mut Vec<u8>, now_us: u64) {
        if self.feedbacks.is_multiple_of(REPORT_EVERY) {
            let blocks: Vec<_> = self.streams.iter_mut().filter_map(|stream| stream.report(now_us)).collect();
            rtcp::receiver_report(out, OWN_SSRC, &blocks);
            let dark = |stream: &&Inbound| stream.incoming.is_video && !stream.has_begun();
            let dark = self.streams.iter().filter(dark).map(|stream| stream.incoming.ssrc);
            // The first time is too early: the server's own request is in transit.
            dark.filter(|_| self.feedbacks > 0).for_each(|ssrc| rtcp::pli(out, OWN_SSRC, ssrc));
        }
        self.feedbacks += 1;
        self.ask(out, true);
        let media = self.streams.first().map_or(0, |stream| stream.incoming.ssrc);
        self.arrivals.tell(out, OWN_SSRC, media);
    }

    /// Adds its losses to the tally, and restarts counting.
    pub fn close_spans(&mut self, tally: &mut Tally) {
        self.streams.iter_mut().for_each(|stream| stream.close_span(tally));
    }

    /// As [`close_spans`](Self::close_spans), but counting goes on.
    pub fn add_spans(&self, tally: &mut Tally) {
        self.streams.iter().for_each(|stream| stream.add_span(tally));
    }

    /// Whether every stream has begun.
    pub fn has_all(&self) -> bool {
        self.streams.iter().all(Inbound::has_begun)
    }
}
