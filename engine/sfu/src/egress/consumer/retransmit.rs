//! Retransmissions and delayed packets of a consumer: answers to NACKs by RTX (RFC 4588), packets from the
//! pacer, and padding.

use super::Consumer;
use super::insert::Inserted;
use super::write::{Patch, write_patched};
use crate::bandwidth::Class;
use crate::bandwidth::sender::Waiting;
use crate::egress::rewrite::Numbering;
use crate::egress::writer::{Body, Egress, write, write_padding};
use crate::ingress::producer::Producer;
use crate::limits;
use crate::packet::media_packet::MediaPacket;
use control::Counter;
use machine::{Instant, Tx, meter};
use rtp::{Header, Seq, SeqNo, Ssrc};
use std::time::Duration;

impl Consumer {
    /// The peer misses `seq` of this consumer: sends it again, by RTX (RFC 4588) if negotiated. With
    /// `must_wait` the limit of immediate retransmissions is reached: the packet waits for the pacer, if
    /// there is one. True if a packet was written now.
    ///
    /// The cheapest checks come first: a peer may request the same packets repeatedly.
    pub fn resend(
        &mut self,
        seq: Seq,
        producer: &Producer,
        must_wait: bool,
        out: &mut Egress<'_, impl Tx>,
    ) -> bool {
        if self.resend_credit == 0 || (must_wait && out.send_side.is_none()) {
            out.counters.count(Counter::NacksOverBudget);
            return false;
        }
        if self.resent.is_recent(out.now, seq, self.rtt.unwrap_or(Resent::RTT_UNKNOWN)) {
            return false;
        }
        let inserted = self.inserted.clone();
        let Some((packet, ours, numbering)) = self.find(seq, producer, inserted.as_deref()) else {
            out.counters.count(Counter::NackCacheMisses);
            return false;
        };
        let Some(credit) = self.resend_credit.checked_sub(packet.payload.len() as u32) else {
            out.counters.count(Counter::NacksOverBudget);
            return false;
        };
        self.resent.note(out.now, seq);
        if self.send_extensions.may_vary() && !self.has_rtx(&packet) {
            // Retransmission was not negotiated, and its header has changing numbers: sent again it would be
            // a different packet with the same index.
            return false;
        }
        self.resend_credit = credit;
        let waiting = Waiting { ssrc: self.ssrc(), seq: ours, is_retransmission: true };
        let may_leave = out.admit_again(packet.payload.len(), waiting, must_wait);
        if may_leave {
            self.write_again(&packet, ours, &numbering, out);
        }
        may_leave
    }

    fn has_rtx(&self, packet: &MediaPacket<'_>) -> bool {
        self.spec.rtx_ssrc.is_some() && self.payload_types_of(packet).is_some_and(|types| types.rtx.is_some())
    }

    /// The pacer releases a waiting packet. One that is not cached any more is counted; the peer will request
    /// it, or a keyframe.
    pub fn release(&mut self, waiting: Waiting, producer: &Producer, out: &mut Egress<'_, impl Tx>) {
        let inserted = self.inserted.clone();
        let Some((packet, ours, numbering)) = self.find(waiting.seq.seq(), producer, inserted.as_deref())
        else {
            out.counters.count(Counter::PacedDrops);
            return;
        };
        if waiting.is_retransmission {
            self.write_again(&packet, ours, &numbering, out);
        } else if let Some(payload_types) = self.payload_types_of(&packet) {
            let header = self.header(&packet, payload_types.media, ours, &numbering);
            self.write_first(&packet, ours, &numbering, &header, out);
        }
    }

    /// The packet that was sent under one of our numbers, if it is still cached.
    fn find<'a>(
        &self,
        seq: Seq,
        producer: &'a Producer,
        inserted: Option<&'a Inserted>,
    ) -> Option<(MediaPacket<'a>, SeqNo, Numbering)> {
        meter::charge(1, 400);
        if let Some(inserted) = inserted
            && let Some(ours) = self.rewriter.sent(seq)
            && let Some((packet, numbering)) = inserted.packet(ours)
        {
            return Some((packet, ours, numbering));
        }
        let (original, ours, numbering) = self.rewriter.original(seq)?;
        let stream = producer.streams.get(usize::from(numbering.source.stream))?;
        let stream = Some(stream).filter(|stream| stream.epoch() == numbering.source.epoch)?;
        let packet = self.without_copies(stream.cached(original)?);
        // An empty packet is retransmitted as an empty one, so that the peer stops requesting it.
        let packet = if self.filled.contains(&ours) { packet.emptied() } else { packet };
        Some((packet, ours, numbering))
    }

    /// Whether it has a stream for padding-only packets.
    pub fn can_pad(&self) -> bool {
        let has_rtx = self.payload_types.iter().any(|(_, types)| types.rtx.is_some());
        self.send_extensions.has_number()
            && self.spec.rtx_ssrc.is_some()
            && has_rtx
            && self.class == Class::Video
    }

    /// Sends a padding-only packet on the retransmission stream, where receivers drop it. False if it cannot,
    /// or if the batch is full: then the padding stays due, and an immediate retry would never end.
    pub fn pad(&mut self, out: &mut Egress<'_, impl Tx>) -> bool {
        let pt = self.payload_types.iter().find_map(|(_, types)| types.rtx);
        let (Some(pt), Some(ssrc)) = (pt, self.spec.rtx_ssrc.map(Ssrc)) else { return false };
        let seq = self.rtx_seq.next();
        let timestamp = self.rewriter.latest().map_or(0, |numbering| numbering.timestamp(0));
        let header = Header { pt, marker: false, seq: seq.seq(), timestamp, ssrc };
        let mut stamped = self.labels();
        out.stamp(&self.send_extensions, &mut stamped);
        let written = write_padding(&header, seq.roc(), &stamped, out);
        let Some(len) = written else {
            out.counters.count(Counter::TxFull);
            return false;
        };
        self.rtx_seq = seq;
        out.counters.add(Counter::PaddingBytesOut, len as u64);
        true
    }

    /// Writes a packet that was sent before.
    fn write_again(
        &mut self,
        packet: &MediaPacket<'_>,
        ours: SeqNo,
        numbering: &Numbering,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let Some(payload_types) = self.payload_types_of(packet) else { return };
        let stamped = self.extensions(packet, numbering, out);
        let patch = Patch::of(packet, numbering);
        let written = match (payload_types.rtx, self.spec.rtx_ssrc) {
            (Some(pt), Some(ssrc)) => {
                self.rtx_seq = self.rtx_seq.next();
                let header = Header {
                    seq: self.rtx_seq.seq(),
                    ssrc: Ssrc(ssrc),
                    ..self.header(packet, pt, ours, numbering)
                };
                // The original sequence number precedes the payload (RFC 4588 §4): this is the only copy of a
                // retransmission.
                let mut payload = [0; limits::CACHED_LEN_MAX + 2];
                let len = packet.payload.len() + 2;
                payload[..2].copy_from_slice(&ours.seq().0.to_be_bytes());
                payload[2..len].copy_from_slice(packet.payload);
                if let Some(patch) = patch {
                    patch.apply(&mut payload[2..len]);
                }
                write(&header, self.rtx_seq.roc(), &stamped, Body::plain(&payload[..len]), out)
            }
            // Exactly the same bytes as the first time, so the same key and index protect no new content.
            _ => {
                let header = self.header(packet, payload_types.media, ours, numbering);
                write_patched(&header, ours.roc(), &stamped, Body::plain(packet.payload), patch, out)
            }
        };
        match written {
            Some(len) => {
                self.counts.on_retransmission(packet.payload.len());
                out.counters.count(Counter::RtxOut);
                out.counters.add(Counter::RtpBytesOut, len as u64);
            }
            None => out.counters.count(Counter::TxFull),
        }
    }
}

/// Recent retransmissions, so that a repeated NACK is answered once per round trip.
#[derive(Debug, Default)]
pub(super) struct Resent {
    /// Allocated with the first NACK; most consumers of audio never get one.
    recent: Vec<(Seq, Instant)>,
    next: usize,
}

impl Resent {
    /// Used before the first reception report: short, because a second copy costs less than a late one.
    const RTT_UNKNOWN: Duration = Duration::from_millis(30);

    /// Whether `seq` was retransmitted less than a round trip ago.
    fn is_recent(&self, now: Instant, seq: Seq, rtt: Duration) -> bool {
        let rtt = rtt.max(limits::RESEND_INTERVAL_MIN);
        self.recent.iter().any(|(sent, at)| *sent == seq && now.saturating_since(*at) < rtt)
    }

    /// Records that `seq` is retransmitted now.
    fn note(&mut self, now: Instant, seq: Seq) {
        if self.recent.len() < limits::RESENDS_REMEMBERED {
            self.recent.reserve_exact(limits::RESENDS_REMEMBERED - self.recent.len());
            self.recent.push((seq, now));
        } else {
            self.recent[self.next] = (seq, now);
            self.next = (self.next + 1) % limits::RESENDS_REMEMBERED;
        }
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
        let mut admit = |at, seq| {
            let is_admitted = !resent.is_recent(at, seq, rtt);
            if is_admitted {
                resent.note(at, seq);
            }
            is_admitted
        };
        assert!(admit(at(0), Seq(7)));
        assert!(!admit(at(49), Seq(7)));
        assert!(admit(at(49), Seq(8)));
        assert!(admit(at(50), Seq(7)));
        for seq in 100..200 {
            assert!(admit(at(60), Seq(seq)));
        }
        assert_eq!(resent.recent.len(), limits::RESENDS_REMEMBERED);
    }
}
