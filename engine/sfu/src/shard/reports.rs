//! Periodic RTCP: sender and receiver reports, and transport-wide feedback.

use crate::base::slots::Slot;
use crate::limits;
use crate::objects::Objects;
use crate::shard::rtcp_out::{protect_rtcp, send_rtcp};
use crate::shard::stats::assess_streams;
use crate::shard::turn::Turn;
use crate::transport::Transport;
use control::{Counter, Counters};
use machine::{Tx, meter};
use rtcp::{ReportBlock, Writer};
use rtp::Ssrc;
use std::time::Duration;

/// Report blocks in one packet (RFC 3550 §6.4.1: five bits).
const BLOCKS_MAX: usize = 31;

/// Feedback on all arrivals since the last one, 100 ms after the first of them.
pub(super) fn send_twcc_if_due(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let Some(mut twcc) = transport.twcc.take_if(|twcc| twcc.due.is_some_and(|due| due <= now)) else {
        return;
    };
    let (sender, media) = (transport.local_ssrc, twcc.media);
    for _ in 0..limits::TWCC_PER_TIMEOUT {
        if !send_rtcp(transport, turn.tx, |writer| twcc.recorder.build(sender, media, writer)) {
            break;
        }
        turn.counters.count(Counter::RtcpOut);
    }
    twcc.due = twcc.recorder.has_unreported().then(|| now + limits::TWCC_INTERVAL);
    transport.twcc = Some(twcc);
}

/// Our reports on the streams received from this peer, and on those sent to it.
pub(super) fn send_reports_if_due(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    if transport.report_due.is_none_or(|due| due > now) {
        return;
    }
    // RFC 3550 §6.2: intervals vary at random, so that reports of many transports are not synchronised.
    let jitter = limits::REPORT_INTERVAL.as_millis() as u32 / 5;
    let next = limits::REPORT_INTERVAL * 9 / 10 + Duration::from_millis(u64::from(turn.rng.below(jitter)));
    transport.report_due = Some(now + next);
    assess_streams(objects, turn, slot);
    send_receiver_reports(objects, turn, slot);
    send_sender_reports(objects, turn, slot);
    send_remb(objects, turn, slot);
}

fn send_receiver_reports(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let mut blocks = [EMPTY_BLOCK; BLOCKS_MAX];
    let mut count = 0;
    for index in 0..transport.producers.len() {
        let Some(producer) = objects.producers.find_mut(transport.producers[index]) else { continue };
        for block in producer.streams.iter_mut().filter_map(|stream| stream.report(now)) {
            blocks[count] = block;
            count += 1;
            if count == BLOCKS_MAX {
                send_blocks(transport, &blocks, turn.tx, turn.counters);
                count = 0;
            }
        }
    }
    if count > 0 {
        send_blocks(transport, &blocks[..count], turn.tx, turn.counters);
    }
}

/// Sends the controller's limit to the peer by REMB, repeatedly, because it expires.
fn send_remb(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let Some(bps) = transport.bitrates.max_incoming_bps else { return };
    let mut ssrcs = [Ssrc(0); limits::SSRCS_PER_TRANSPORT_MAX];
    let streams = transport.producers.iter().filter_map(|slot| objects.producers.find(*slot));
    let streams = streams.flat_map(|producer| &producer.streams).filter_map(|stream| stream.ssrc);
    let count = ssrcs.iter_mut().zip(streams).map(|(entry, ssrc)| *entry = ssrc).count();
    let sender = transport.local_ssrc;
    if count > 0
        && send_rtcp(transport, turn.tx, |writer| writer.remb(sender, u64::from(bps), &ssrcs[..count]))
    {
        turn.counters.count(Counter::RtcpOut);
    }
}

/// Several consumers share a datagram: each a sender report and its CNAME (RFC 3550 §6.1).
fn send_sender_reports(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let mut buffer = [0; limits::RTCP_LEN_MAX];
    let mut writer = Writer::new(&mut buffer);
    meter::charge(transport.consumers.len(), 500);
    for index in 0..transport.consumers.len() {
        let Some(consumer) = objects.consumers.find_mut(transport.consumers[index].1) else { continue };
        let producer = objects.producers.find(consumer.producer);
        let Some(info) = producer.and_then(|producer| consumer.sender_info(now, producer)) else {
            continue;
        };
        if writer.remaining() < SR_AND_SDES_LEN_MAX {
            if protect_rtcp(transport, turn.tx, writer.as_bytes()) {
                turn.counters.count(Counter::RtcpOut);
            }
            writer = Writer::new(&mut buffer);
        }
        if writer.sender_report(&info, &[]) {
            writer.sdes_cname(info.ssrc, consumer.spec.cname.as_str());
        }
    }
    if !writer.is_empty() && protect_rtcp(transport, turn.tx, writer.as_bytes()) {
        turn.counters.count(Counter::RtcpOut);
    }
}

/// Sends a receiver report. If there are more streams than report blocks in a packet, several datagrams are
/// sent (RFC 3550 §6.4.2 requires all sources in each interval).
fn send_blocks(transport: &mut Transport, blocks: &[ReportBlock], tx: &mut impl Tx, counters: &mut Counters) {
    let mut buffer = [0; limits::RTCP_LEN_MAX];
    let mut writer = Writer::new(&mut buffer);
    let is_written = writer.receiver_report(transport.local_ssrc, blocks)
        && writer.sdes_cname(transport.local_ssrc, transport.cname());
    if is_written && protect_rtcp(transport, tx, writer.as_bytes()) {
        counters.count(Counter::RtcpOut);
    }
}

/// A sender report without blocks (28) and an SDES with the longest CNAME (12 + 255, padded).
const SR_AND_SDES_LEN_MAX: usize = 28 + 12 + 256;

const EMPTY_BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(0),
    fraction_lost: 0,
    cumulative_lost: 0,
    extended_highest_seq: 0,
    jitter: 0,
    last_sr: 0,
    delay_since_last_sr: 0,
};
