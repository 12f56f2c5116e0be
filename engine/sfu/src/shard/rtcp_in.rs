//! RTCP from peers: reports, and what they ask for.

use crate::base::slots::Slot;
use crate::egress::writer::Egress;
use crate::shard::Shard;
use control::{Counter, Discard, Stage};
use machine::{Datagram, Instant, Tx, meter};
use rtcp::{Nack, Packet, ReportBlock, SenderReport, Walk};
use rtp::Ssrc;

impl Shard {
    /// A datagram of RTCP from a transport's peer.
    pub(crate) fn on_rtcp(
        &mut self,
        now: Instant,
        slot: Slot,
        datagram: Datagram<'_>,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        self.handling.of(Stage::Rtcp, slot);
        let transport = self.transports.find_mut(slot).ok_or(Discard::NoValidPair)?;
        if let Some(side) = transport.send_side.as_deref() {
            // Most are feedback. What it tells of is here by the time it is decrypted.
            side.estimator.prefetch_for_feedback(tx);
        }
        let protection = transport.protection.as_mut().ok_or(Discard::MediaBeforeKeys)?;
        let len = datagram.bytes.len();
        let plain = match protection.unprotect_rtcp(datagram.bytes) {
            Err(Discard::SsrcLimit) => return Err(self.on_keys_used_up(slot)),
            unprotected => unprotected?,
        };
        if transport.on_authentic(now, datagram.path) {
            self.deadlines.hasten(slot.index(), now);
        }
        // One malformed packet is no reason to lose the others. A datagram without a sound one is not RTCP.
        if !Walk::new(plain).any(|packet| packet.is_ok()) {
            return Err(Discard::RtcpMalformed);
        }
        self.counters.count(Counter::RtcpIn);
        transport.traffic.received.count(len);
        let budget = &mut Budget::new();
        for packet in Walk::new(plain) {
            meter::charge(1, 50);
            let taken = match packet {
                Ok(packet) => self.on_rtcp_packet(now, slot, datagram.received_at, &packet, budget, tx),
                Err(_) => Err(Discard::RtcpMalformed),
            };
            if let Err(discard) = taken {
                self.counters.discard(discard);
            }
            self.handling.check_trap();
        }
        Ok(())
    }

    fn on_rtcp_packet(
        &mut self,
        now: Instant,
        slot: Slot,
        received_at: Instant,
        packet: &Packet<'_>,
        budget: &mut Budget,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        match packet {
            Packet::SenderReport(report) => {
                report.reports().for_each(|block| self.on_report_block(now, slot, &block));
                self.on_sender_report(slot, received_at, report)
            }
            Packet::ReceiverReport(report) => {
                report.reports().for_each(|block| self.on_report_block(now, slot, &block));
                Ok(())
            }
            Packet::Twcc(twcc) => self.on_twcc(now, slot, twcc, &mut budget.statuses),
            Packet::Remb(remb) => {
                self.on_remb(now, slot, remb);
                Ok(())
            }
            Packet::Nack(nack) => self.on_nack(now, slot, nack, budget, tx),
            Packet::Pli(pli) => self.on_keyframe_request(slot, pli.media(), Asked::Pli, budget),
            Packet::Fir(fir) => fir
                .entries()
                .try_for_each(|(media, _)| self.on_keyframe_request(slot, media, Asked::Fir, budget)),
            // Names we gave ourselves, a farewell that signaling tells too, and what nobody asked for.
            _ => Ok(()),
        }
    }

    fn on_sender_report(
        &mut self,
        slot: Slot,
        received_at: Instant,
        report: &SenderReport<'_>,
    ) -> Result<(), Discard> {
        let transport = self.transports.find(slot).ok_or(Discard::RtcpUnknownSsrc)?;
        let source = transport.sources.find(report.ssrc()).ok_or(Discard::RtcpUnknownSsrc)?;
        let producer = self.producers.find_mut(source.producer).ok_or(Discard::RtcpUnknownSsrc)?;
        // The reports of a retransmission stream tell the same clocks once more.
        if !source.is_retransmission {
            let stream = &mut producer.streams[usize::from(source.stream)];
            stream.on_sender_report(received_at, report.ntp(), report.rtp_timestamp());
            self.send_clock_to_subscribers(source.producer, usize::from(source.stream));
        }
        Ok(())
    }

    /// A report on an SSRC that is no consumer's is one on a retransmission stream, or late.
    fn on_report_block(&mut self, now: Instant, slot: Slot, block: &ReportBlock) {
        meter::charge(1, 500);
        let Some(transport) = self.transports.find_mut(slot) else { return };
        let Some(consumer_slot) = transport.consumer(block.ssrc) else { return };
        let Some(consumer) = self.consumers.find_mut(consumer_slot) else { return };
        let rtt = consumer.on_report(now, block);
        transport.rtt = rtt.or(transport.rtt);
        if let Some(side) = transport.send_side.as_deref_mut() {
            side.estimator.on_loss_report(now, block.fraction_lost);
            if let Some(rtt) = rtt {
                side.estimator.on_rtt(rtt);
            }
        }
        self.report_score(now, consumer_slot);
    }

    fn on_nack(
        &mut self,
        now: Instant,
        slot: Slot,
        nack: &Nack<'_>,
        budget: &mut Budget,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        let transport = self.transports.find_mut(slot).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = transport.consumer(nack.media()).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = self.consumers.find_mut(consumer).ok_or(Discard::RtcpUnknownSsrc)?;
        let producer = self.producers.find(consumer.producer).ok_or(Discard::RtcpUnknownSsrc)?;
        let asked = nack.loss_count();
        self.counters.add(Counter::NacksIn, asked as u64);
        consumer.counts.nacks += asked as u64;
        if consumer.paused {
            return Ok(());
        }
        let Some(out) = &mut Egress::of(transport, now, tx, &mut self.counters) else { return Ok(()) };
        for (nth, seq) in nack.losses().enumerate() {
            if budget.losses == 0 {
                out.counters.add(Counter::NacksOverBudget, (asked - nth) as u64);
                break;
            }
            budget.losses -= 1;
            meter::charge(1, 100);
            if consumer.resend(seq, producer, budget.resends == 0, out) {
                budget.resends -= 1;
            }
        }
        self.rearm_send_side(slot);
        Ok(())
    }

    fn on_keyframe_request(
        &mut self,
        slot: Slot,
        media: Ssrc,
        asked: Asked,
        budget: &mut Budget,
    ) -> Result<(), Discard> {
        meter::charge(1, 20);
        if !budget.is_first_request(media) {
            return Ok(());
        }
        meter::charge(1, 400);
        let transport = self.transports.find(slot).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = transport.consumer(media).ok_or(Discard::RtcpUnknownSsrc)?;
        let consumer = self.consumers.find_mut(consumer).ok_or(Discard::RtcpUnknownSsrc)?;
        self.counters.count(Counter::KeyframeRequestsIn);
        match asked {
            Asked::Pli => consumer.counts.plis += 1,
            Asked::Fir => consumer.counts.firs += 1,
        }
        // One that is paused sees no picture because of that; its keyframe is asked for when it goes on.
        let (producer, is_paused) = (consumer.producer, consumer.paused);
        let stream =
            self.producers.find(producer).map_or(0, |producer| consumer.stream_of_interest(producer));
        if !is_paused {
            self.want_keyframe(producer, stream);
        }
        Ok(())
    }
}

/// What one datagram of RTCP may still cost. One compound holds hundreds of requests; without this, work would grow with what a peer
/// puts into it.
struct Budget {
    /// Statuses of transport-wide feedback to look at.
    statuses: usize,
    /// Missing packets to look for.
    losses: usize,
    /// Packets to send again at once.
    resends: usize,
    /// Whose keyframe has been asked for; a ring.
    requested: [Option<Ssrc>; Self::REQUESTED_LEN],
    requests: usize,
}

impl Budget {
    /// Streams that a repeated request is recognised for.
    const REQUESTED_LEN: usize = 8;

    fn new() -> Self {
        Self {
            statuses: crate::limits::STATUSES_PER_DATAGRAM,
            losses: crate::limits::LOSSES_PER_DATAGRAM,
            resends: crate::limits::RESENDS_PER_DATAGRAM,
            requested: [None; Self::REQUESTED_LEN],
            requests: 0,
        }
    }

    /// Requests for a keyframe of one stream count as one, whether by PLI or by FIR.
    fn is_first_request(&mut self, media: Ssrc) -> bool {
        let is_too_much = self.requests >= crate::limits::KEYFRAME_REQUESTS_PER_DATAGRAM;
        if is_too_much || self.requested.contains(&Some(media)) {
            return false;
        }
        self.requested[self.requests % Self::REQUESTED_LEN] = Some(media);
        self.requests += 1;
        true
    }
}

/// By what a keyframe is asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Pli,
    Fir,
}
