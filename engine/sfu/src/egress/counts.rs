//! The counters of a consumer.

use crate::base::meter::Meter;
use crate::base::quality::Quality;
use machine::Instant;
use rtcp::ReportBlock;
use std::time::Duration;

/// The counters of a consumer, and its peer's reports.
#[derive(Clone, Debug)]
pub struct ConsumerCounts {
    /// Packets, first transmissions.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Retransmitted packets.
    pub retransmitted: u64,
    /// Their payload bytes.
    pub retransmitted_bytes: u64,
    /// Packets that the peer requested again.
    pub nacks: u64,
    /// Keyframes that the peer requested by PLI.
    pub plis: u64,
    /// Keyframes that the peer requested by FIR.
    pub firs: u64,
    /// Payload bytes of the last second, first transmissions.
    pub rate: Meter,
    /// The quality at the peer.
    pub quality: Quality,
    /// The peer's latest reception report.
    pub reported: Option<ReportBlock>,
    retransmitted_before: u64,
}

impl ConsumerCounts {
    /// All zero.
    pub fn new() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            retransmitted: 0,
            retransmitted_bytes: 0,
            nacks: 0,
            plis: 0,
            firs: 0,
            rate: Meter::default(),
            quality: Quality::good(),
            reported: None,
            retransmitted_before: 0,
        }
    }

    /// Counts one packet, sent for the first time.
    pub fn on_packet(&mut self, now: Instant, payload_len: usize) {
        self.packets += 1;
        self.bytes += payload_len as u64;
        self.rate.count(now, payload_len);
    }

    /// Counts one retransmitted packet.
    pub fn on_retransmission(&mut self, payload_len: usize) {
        self.retransmitted += 1;
        self.retransmitted_bytes += payload_len as u64;
    }

    /// The peer's reception report. Its loss is before any repair, if retransmissions have a separate stream:
    /// retransmitted packets in the same interval, less the share of them that is lost too, are not missing.
    pub fn on_report(&mut self, block: &ReportBlock) {
        let resent =
            self.retransmitted - std::mem::replace(&mut self.retransmitted_before, self.retransmitted);
        if let Some(before) = self.reported.replace(*block) {
            let expected = block.extended_highest_seq.wrapping_sub(before.extended_highest_seq);
            // An older report, or one of another numbering.
            let expected = if expected < 1 << 16 { u64::from(expected) } else { 0 };
            let lost = i64::from(block.cumulative_lost) - i64::from(before.cumulative_lost);
            let lost = lost.clamp(0, expected as i64);
            let repaired = resent as i64 * (expected as i64 - lost) / (expected as i64).max(1);
            self.quality.on_interval(expected, (lost - repaired).max(0));
        }
    }

    /// The jitter in the peer's report; zero before the first.
    pub fn jitter(&self, clock_rate_hz: u32) -> Duration {
        let ticks = self.reported.as_ref().map_or(0, |block| block.jitter);
        Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / u64::from(clock_rate_hz.max(1)))
    }
}
