//! A consumer: one track that a peer receives. Writes its own header over the shared plaintext, encrypts it straight into
//! the send batch, and sends again what its peer misses.

use crate::limits;
use crate::packet::MediaPacket;
use crate::producer::Producer;
use crate::rewrite::Rewriter;
use crate::slots::Slot;
use crate::stream::Stream;
use control::{Consume, Counter, Counters, ExtensionKind, Layers};
use machine::{Flow, Instant, Path, Rng, Tx};
use rtcp::{ReportBlock, SenderInfo};
use rtp::{ExtId, Extensions, Header, Mid, Pt, Seq, SeqNo, Ssrc};
use std::time::Duration;

/// One track on its way to one peer.
#[derive(Debug)]
pub struct Consumer {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: Box<Consume>,
    /// What it leaves by.
    pub transport: Slot,
    /// What it receives.
    pub producer: Slot,
    /// Not sent for now.
    pub paused: bool,
    /// The layers to send at most; `None` is as many as there are.
    pub preferred_layers: Option<Layers>,
    /// What it counts for beside the transport's other consumers.
    pub priority: u8,
    rewriter: Rewriter,
    mid: Option<Mid>,
    /// Payload types by the producer's codec index; `None` where this consumer does not take the codec.
    payload_types: Vec<Option<PayloadTypes>>,
    rtx_seq: SeqNo,
    resent: Resent,
    /// Payload bytes that NACKs may still cost; see [`limits::RESEND_CREDIT_MAX`].
    resend_credit: u32,
    packet_count: u32,
    octet_count: u32,
    last_report: Option<SentReport>,
    rtt: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct PayloadTypes {
    media: Pt,
    rtx: Option<Pt>,
}

/// Our latest sender report, to recognise in the peer's reception report.
#[derive(Clone, Copy, Debug)]
struct SentReport {
    compact_ntp: u32,
    sent_at: Instant,
}

/// Where a transport's packets go, and how they are protected: borrowed from the transport for one fan-out.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'a> {
    /// Groups the transport's datagrams in the send batch.
    pub flow: Flow,
    /// The selected pair.
    pub path: Path,
    /// The SRTP context.
    pub outbound: &'a srtp::Outbound,
}

impl Consumer {
    /// A consumer of `producer` that has sent nothing. The command has been checked.
    pub fn new(
        spec: Consume,
        transport: Slot,
        producer_slot: Slot,
        producer: &Producer,
        rng: &mut Rng,
    ) -> Self {
        let payload_types = producer.codecs().iter().map(|produced| {
            let taken = spec.codecs.iter().find(|codec| codec.codec == produced.codec)?;
            Some(PayloadTypes { media: Pt(taken.pt), rtx: taken.rtx_pt.map(Pt) })
        });
        let clock_rate_hz = producer.streams.first().map_or(90_000, Stream::clock_rate_hz);
        Self {
            transport,
            producer: producer_slot,
            paused: spec.paused,
            preferred_layers: spec.preferred_layers,
            priority: spec.priority,
            rewriter: Rewriter::new(rng, clock_rate_hz),
            mid: spec.mid.as_ref().and_then(|mid| Mid::new(mid.as_str().as_bytes())),
            payload_types: payload_types.collect(),
            rtx_seq: SeqNo(u64::from(rng.below(1 << 15))),
            resent: Resent::default(),
            resend_credit: 0,
            packet_count: 0,
            octet_count: 0,
            last_report: None,
            rtt: None,
            spec: Box::new(spec),
        }
    }

    /// The SSRC its peer sees.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(self.spec.ssrc)
    }

    /// Stops sending; the next packet sent will begin a keyframe.
    pub fn pause(&mut self) {
        self.paused = true;
        self.rewriter.pause();
    }

    /// Waits for the next keyframe: what was being followed has a hole.
    pub fn interrupt(&mut self) {
        self.rewriter.pause();
    }

    /// One packet of the fan-out, just received and cached in `stream`.
    pub fn forward(
        &mut self,
        now: Instant,
        packet: &MediaPacket<'_>,
        stream: &Stream,
        leg: Leg<'_>,
        tx: &mut impl Tx,
        counters: &mut Counters,
    ) {
        if self.rewriter.follows(stream.epoch()) {
            self.send(now, packet, leg, tx, counters);
        } else if packet.starts_keyframe {
            self.rewriter.start(now, stream.epoch(), packet.seq, packet.timestamp);
            self.send(now, packet, leg, tx, counters);
            // The keyframe's first packet may have been the one that was lost: what follows it is here already.
            let newest = stream.highest().unwrap_or(packet.seq);
            for seq in packet.seq.0 + 1..=newest.0 {
                if let Some(later) = stream.cache.packet(SeqNo(seq)) {
                    self.send(now, &later, leg, tx, counters);
                }
            }
        }
    }

    fn send(
        &mut self,
        now: Instant,
        packet: &MediaPacket<'_>,
        leg: Leg<'_>,
        tx: &mut impl Tx,
        counters: &mut Counters,
    ) {
        let Some(payload_types) = self.payload_types_of(packet) else { return };
        let Some(seq) = self.rewriter.seq(packet.seq) else { return };
        let header = Header {
            pt: payload_types.media,
            marker: packet.marker,
            seq: seq.seq(),
            timestamp: self.rewriter.timestamp(packet.timestamp),
            ssrc: self.ssrc(),
        };
        // Counted as sent even if the batch is full: to the peer it is then a loss like any other, and it will ask.
        self.rewriter.on_sent(now, seq, header.timestamp);
        let extensions = self.extensions(packet);
        if let Some(len) = write(&header, seq.roc(), &extensions, packet.payload, leg, tx) {
            counters.count(Counter::RtpOut);
            counters.add(Counter::RtpBytesOut, len as u64);
            self.packet_count = self.packet_count.wrapping_add(1);
            self.octet_count = self.octet_count.wrapping_add(packet.payload.len() as u32);
            self.resend_credit = (self.resend_credit + len as u32).min(limits::RESEND_CREDIT_MAX);
        } else {
            counters.count(Counter::TxFull);
        }
    }

    /// The peer misses `seq` of this consumer: sends it again, by RTX (RFC 4588) where negotiated.
    pub fn resend(
        &mut self,
        now: Instant,
        seq: Seq,
        stream: &Stream,
        leg: Leg<'_>,
        tx: &mut impl Tx,
        counters: &mut Counters,
    ) {
        let Some((original, ours)) =
            self.rewriter.original(seq).filter(|_| self.rewriter.follows(stream.epoch()))
        else {
            counters.count(Counter::NackCacheMisses);
            return;
        };
        let Some(packet) = stream.cache.packet(original) else {
            counters.count(Counter::NackCacheMisses);
            return;
        };
        let Some(payload_types) = self.payload_types_of(&packet) else { return };
        let Some(credit) = self.resend_credit.checked_sub(packet.payload.len() as u32) else {
            counters.count(Counter::NacksOverBudget);
            return;
        };
        if !self.resent.admit(now, seq, self.rtt.unwrap_or(Resent::RTT_UNKNOWN)) {
            return;
        }
        self.resend_credit = credit;
        let timestamp = self.rewriter.timestamp(packet.timestamp);
        let extensions = self.extensions(&packet);
        let written = match (payload_types.rtx, self.spec.rtx_ssrc) {
            (Some(pt), Some(ssrc)) => {
                self.rtx_seq = self.rtx_seq.next();
                let header = Header {
                    pt,
                    marker: packet.marker,
                    seq: self.rtx_seq.seq(),
                    timestamp,
                    ssrc: Ssrc(ssrc),
                };
                // The original sequence number comes before the payload (RFC 4588 §4): the one copy that a resend costs.
                let mut payload = [0; limits::CACHE_PAYLOAD_LEN_MAX + 2];
                let len = packet.payload.len() + 2;
                payload[..2].copy_from_slice(&seq.0.to_be_bytes());
                payload[2..len].copy_from_slice(packet.payload);
                write(&header, self.rtx_seq.roc(), &extensions, &payload[..len], leg, tx)
            }
            // The very same bytes as the first time, so the same key and index protect nothing new.
            _ => {
                let header = Header {
                    pt: payload_types.media,
                    marker: packet.marker,
                    seq,
                    timestamp,
                    ssrc: self.ssrc(),
                };
                write(&header, ours.roc(), &extensions, packet.payload, leg, tx)
            }
        };
        match written {
            Some(len) => {
                counters.count(Counter::RtxOut);
                counters.add(Counter::RtpBytesOut, len as u64);
            }
            None => counters.count(Counter::TxFull),
        }
    }

    /// The peer's reception report on this consumer.
    pub fn on_report(&mut self, now: Instant, block: &ReportBlock) {
        let Some(sent) = self.last_report.filter(|sent| sent.compact_ntp == block.last_sr) else { return };
        let held = rtp::ntp::compact_to_duration(block.delay_since_last_sr);
        if let Some(rtt) = now.saturating_since(sent.sent_at).checked_sub(held) {
            self.rtt = Some(rtt);
        }
    }

    /// Our sender report: the publisher's clocks, with its RTP timestamp as our peer knows it. `None` before anything was sent,
    /// or while the publisher has not told its clocks.
    pub fn sender_info(&mut self, now: Instant, stream: &Stream) -> Option<SenderInfo> {
        if self.packet_count == 0 || !self.rewriter.follows(stream.epoch()) {
            return None;
        }
        let clock = stream.clock_at(now)?;
        self.last_report = Some(SentReport { compact_ntp: clock.ntp.compact(), sent_at: now });
        Some(SenderInfo {
            ssrc: self.ssrc(),
            ntp: clock.ntp,
            rtp_timestamp: self.rewriter.timestamp(clock.rtp_timestamp),
            packet_count: self.packet_count,
            octet_count: self.octet_count,
        })
    }

    fn payload_types_of(&self, packet: &MediaPacket<'_>) -> Option<PayloadTypes> {
        self.payload_types.get(usize::from(packet.codec)).copied().flatten()
    }

    fn extensions(&self, packet: &MediaPacket<'_>) -> Extensions {
        let mut extensions = Extensions::new();
        for extension in &self.spec.extensions {
            let value = match (extension.kind, &self.mid) {
                (ExtensionKind::Mid, Some(mid)) => Some(mid.as_bytes()),
                (kind, _) => packet.carried.value(kind),
            };
            if let Some(value) = value {
                // One that does not fit is left out: an extension is never worth the packet.
                extensions.push(ExtId(extension.id), value);
            }
        }
        extensions
    }
}

/// Claims a slot, writes the header and encrypts the payload behind it. The length, or `None` if the batch is full.
fn write(
    header: &Header,
    roc: u32,
    extensions: &Extensions,
    payload: &[u8],
    leg: Leg<'_>,
    tx: &mut impl Tx,
) -> Option<usize> {
    let header_len = Header::encoded_len(extensions);
    let len = header_len + payload.len() + leg.outbound.profile().rtp_overhead();
    let slot = tx.slot(leg.flow, leg.path, len)?;
    let written = header
        .write(extensions, slot)
        .and_then(|header_len| leg.outbound.protect_rtp(roc, header_len, payload, slot));
    if written.is_none() {
        tx.cancel();
    }
    written
}

/// What was resent lately, so that a repeated NACK is answered once per round trip.
#[derive(Debug, Default)]
struct Resent {
    /// Allocated at the first NACK; most consumers of audio never see one.
    recent: Vec<(Seq, Instant)>,
    next: usize,
}

impl Resent {
    /// Assumed while no reception report has come: short, because a second copy costs less than a late one.
    const RTT_UNKNOWN: Duration = Duration::from_millis(30);

    /// Whether `seq` may be sent again now; if so, it counts as sent.
    fn admit(&mut self, now: Instant, seq: Seq, rtt: Duration) -> bool {
        let rtt = rtt.max(limits::RESEND_INTERVAL_MIN);
        let again = self.recent.iter().any(|(sent, at)| *sent == seq && now.saturating_since(*at) < rtt);
        if again {
            return false;
        }
        if self.recent.len() < limits::RESENDS_REMEMBERED {
            self.recent.reserve_exact(limits::RESENDS_REMEMBERED - self.recent.len());
            self.recent.push((seq, now));
        } else {
            self.recent[self.next] = (seq, now);
            self.next = (self.next + 1) % limits::RESENDS_REMEMBERED;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_nack_is_answered_once_per_round_trip() {
        let mut resent = Resent::default();
        let rtt = Duration::from_millis(50);
        let at = |ms| Instant::EPOCH + Duration::from_millis(ms);
        assert!(resent.admit(at(0), Seq(7), rtt));
        assert!(!resent.admit(at(49), Seq(7), rtt));
        assert!(resent.admit(at(49), Seq(8), rtt));
        assert!(resent.admit(at(50), Seq(7), rtt));
        for seq in 100..200 {
            assert!(resent.admit(at(60), Seq(seq), rtt));
        }
        assert_eq!(resent.recent.len(), limits::RESENDS_REMEMBERED);
    }
}
