//! RTCP from peers: reports and requests.

use crate::base::slots::Slot;
use crate::egress::writer::Egress;
use crate::objects::Objects;
use crate::shard::adapt::{on_remb, on_twcc};
use crate::shard::connect::on_keys_used_up;
use crate::shard::pipe_out::send_clock_to_subscribers;
use crate::shard::rearm::rearm_send_side;
use crate::shard::requests::want_keyframe;
use crate::shard::stats::report_score;
use crate::shard::turn::Turn;
use control::{Counter, Discard, Stage};
use machine::{Datagram, Instant, Tx, meter};
use rtcp::{Nack, Packet, ReportBlock, SenderReport, Walk};
use rtp::Ssrc;

/// A datagram of RTCP from a transport's peer.
pub(super) fn on_rtcp(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    datagram: Datagram<'_>,
) -> Result<(), Discard> {
    let now = turn.now;
    turn.handling.of(Stage::Rtcp, slot);
    let transport = objects.transports.find_mut(slot).ok_or(Discard::NoValidPair)?;
    if let Some(side) = transport.send_side.as_deref() {
        // Most are feedback. The prefetched entries are in the cache when it is decrypted.
        side.estimator.prefetch_for_feedback(turn.tx);
    }
    let protection = transport.protection.as_mut().ok_or(Discard::MediaBeforeKeys)?;
    let len = datagram.bytes.len();
    let plain = match protection.unprotect_rtcp(datagram.bytes) {
        Err(Discard::SsrcLimit) => return Err(on_keys_used_up(objects, turn, slot)),
        unprotected => unprotected?,
    };
    if transport.on_authentic(now, datagram.path) {
        turn.timers.hasten(slot, now);
    }
    // A malformed packet does not invalidate the others. A datagram without a valid one is not RTCP.
    if !Walk::new(plain).any(|packet| packet.is_ok()) {
        return Err(Discard::RtcpMalformed);
    }
    turn.counters.count(Counter::RtcpIn);
    transport.traffic.received.count(len);
    let budget = &mut Budget::new();
    for packet in Walk::new(plain) {
        meter::charge(1, 50);
        let taken = match packet {
            Ok(packet) => on_rtcp_packet(objects, turn, slot, datagram.received_at, &packet, budget),
            Err(_) => Err(Discard::RtcpMalformed),
        };
        if let Err(discard) = taken {
            turn.counters.discard(discard);
        }
        turn.handling.check_trap();
    }
    Ok(())
}

fn on_rtcp_packet(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    received_at: Instant,
    packet: &Packet<'_>,
    budget: &mut Budget,
) -> Result<(), Discard> {
    match packet {
        Packet::SenderReport(report) => {
            report.reports().for_each(|block| on_report_block(objects, turn, slot, &block));
            on_sender_report(objects, turn, slot, received_at, report)
        }
        Packet::ReceiverReport(report) => {
            report.reports().for_each(|block| on_report_block(objects, turn, slot, &block));
            Ok(())
        }
        Packet::Twcc(twcc) => on_twcc(objects, turn, slot, twcc, &mut budget.statuses),
        Packet::Remb(remb) => {
            on_remb(objects, turn, slot, remb);
            Ok(())
        }
        Packet::Nack(nack) => on_nack(objects, turn, slot, nack, budget),
        Packet::Pli(pli) => on_keyframe_request(objects, turn, slot, pli.media(), Asked::Pli, budget),
        // An entry for a closed consumer does not invalidate the other entries.
        Packet::Fir(fir) => {
            let mut result = Ok(());
            for (media, _) in fir.entries() {
                result = result.and(on_keyframe_request(objects, turn, slot, media, Asked::Fir, budget));
            }
            result
        }
        // SDES, BYE (signaling reports the end of a track) and packets that were not negotiated.
        _ => Ok(()),
    }
}

fn on_sender_report(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    received_at: Instant,
    report: &SenderReport<'_>,
) -> Result<(), Discard> {
    let transport = objects.transports.find(slot).ok_or(Discard::RtcpUnknownSsrc)?;
    let source = transport.sources.find(report.ssrc()).ok_or(Discard::RtcpUnknownSsrc)?;
    let producer = objects.producers.find_mut(source.producer).ok_or(Discard::RtcpUnknownSsrc)?;
    // The reports of a retransmission stream repeat the same clocks.
    if !source.is_retransmission {
        let stream = &mut producer.streams[usize::from(source.stream)];
        stream.on_sender_report(received_at, report.ntp(), report.rtp_timestamp());
        send_clock_to_subscribers(objects, turn.pipes, source.producer, usize::from(source.stream));
    }
    Ok(())
}

/// A report on an SSRC without a consumer is late, or about a retransmission stream.
fn on_report_block(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, block: &ReportBlock) {
    let now = turn.now;
    meter::charge(1, 500);
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let Some(consumer_slot) = transport.consumer(block.ssrc) else { return };
    let Some(consumer) = objects.consumers.find_mut(consumer_slot) else { return };
    let rtt = consumer.on_report(now, block);
    transport.rtt = rtt.or(transport.rtt);
    if let Some(side) = transport.send_side.as_deref_mut() {
        side.estimator.on_loss_report(now, block.fraction_lost);
        if let Some(rtt) = rtt {
            side.estimator.on_rtt(rtt);
        }
    }
    report_score(objects, turn, consumer_slot);
}

fn on_nack(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    nack: &Nack<'_>,
    budget: &mut Budget,
) -> Result<(), Discard> {
    let now = turn.now;
    let transport = objects.transports.find_mut(slot).ok_or(Discard::RtcpUnknownSsrc)?;
    let consumer = transport.consumer(nack.media()).ok_or(Discard::RtcpUnknownSsrc)?;
    let consumer = objects.consumers.find_mut(consumer).ok_or(Discard::RtcpUnknownSsrc)?;
    let producer = objects.producers.find(consumer.producer).ok_or(Discard::RtcpUnknownSsrc)?;
    let asked = nack.loss_count();
    turn.counters.add(Counter::NacksIn, asked as u64);
    consumer.counts.nacks += asked as u64;
    if consumer.paused {
        return Ok(());
    }
    let Some(out) = &mut Egress::of(transport, now, turn.tx, turn.counters) else { return Ok(()) };
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
    rearm_send_side(objects, turn.timers, slot);
    Ok(())
}

fn on_keyframe_request(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
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
    let transport = objects.transports.find(slot).ok_or(Discard::RtcpUnknownSsrc)?;
    let consumer = transport.consumer(media).ok_or(Discard::RtcpUnknownSsrc)?;
    let consumer = objects.consumers.find_mut(consumer).ok_or(Discard::RtcpUnknownSsrc)?;
    turn.counters.count(Counter::KeyframeRequestsIn);
    match asked {
        Asked::Pli => consumer.counts.plis += 1,
        Asked::Fir => consumer.counts.firs += 1,
    }
    // A paused consumer has no picture for that reason; its keyframe is requested when it continues.
    let (producer, is_paused) = (consumer.producer, consumer.paused);
    let stream = objects.producers.find(producer).map_or(0, |producer| consumer.stream_of_interest(producer));
    if !is_paused {
        want_keyframe(objects, turn.timers, producer, stream);
    }
    Ok(())
}

/// The remaining work of one datagram of RTCP. One compound can contain hundreds of requests; this bounds the
/// work that a peer can cause with it.
struct Budget {
    /// Statuses of transport-wide feedback to read.
    statuses: usize,
    /// Missing packets to look for.
    losses: usize,
    /// Packets to retransmit at once.
    resends: usize,
    /// Streams for which a keyframe has been requested; a ring.
    requested: [Option<Ssrc>; Self::REQUESTED_LEN],
    requests: usize,
}

impl Budget {
    /// Number of streams for which a repeated request is recognised.
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

/// The type of a keyframe request.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Pli,
    Fir,
}
