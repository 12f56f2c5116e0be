//! Reception statistics of one source, as in RFC 3550 appendix A: loss (A.3), jitter (A.8), restarts (A.1).
//!
//! One [`Reception`] per received stream; a [`ReportBlock`] contains the result.

use std::time::Duration;

use rtp::ntp::{NtpTime, duration_to_compact};
use rtp::{Seq, Ssrc};

use crate::ReportBlock;
use crate::limits::{DROPOUT_MAX, JITTER_STEP_SECONDS_MAX, MISORDER_MAX};

/// The statistics of one received stream. All times have the same epoch, which can be any.
///
/// The source is valid from its first packet: SRTP has authenticated it, so there is no probation.
#[derive(Clone, Debug)]
pub struct Reception {
    clock_rate_hz: u32,
    /// `None` before the first packet.
    source: Option<Source>,
    /// The newest sender report: its timestamp, and its arrival time.
    last_sr: Option<(NtpTime, Duration)>,
}

/// The state of a source since its start or restart.
#[derive(Clone, Copy, Debug)]
struct Source {
    base: u32,
    /// Highest sequence number, with the number of wraps in the upper half.
    highest: u32,
    received: u32,
    /// The next number of a restarted source, after one number that is far off.
    restart: Option<Seq>,
    /// Expected and received packets at the time of the last report.
    reported: (u32, u32),
    jitter: Jitter,
}

/// Mean deviation of transit times (RFC 3550 §A.8).
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    /// Arrival minus timestamp of the last packet, in units of the RTP clock, wrapping.
    transit: Option<u32>,
    /// The estimate in sixteenths of the RTP clock's unit, so that rounding does not lose it.
    sixteenths: u64,
}

impl Reception {
    /// Nothing received. `clock_rate_hz` is that of the payload type (`a=rtpmap`).
    pub fn new(clock_rate_hz: u32) -> Self {
        Self { clock_rate_hz, source: None, last_sr: None }
    }

    /// A packet arrived. Do not pass retransmissions of another SSRC: they would hide the loss.
    pub fn on_packet(&mut self, seq: Seq, rtp_timestamp: u32, arrival: Duration) {
        let Some(source) = &mut self.source else {
            let mut source = Source::starting_at(seq);
            source.jitter.update(self.clock_rate_hz, rtp_timestamp, arrival);
            self.source = Some(source);
            return;
        };
        if source.update(seq) {
            source.jitter.update(self.clock_rate_hz, rtp_timestamp, arrival);
        }
    }

    /// A sender report of this source arrived.
    pub fn on_sender_report(&mut self, ntp: NtpTime, arrival: Duration) {
        self.last_sr = Some((ntp, arrival));
    }

    /// The report on this source; starts the next interval. `None` before the first packet.
    pub fn report(&mut self, ssrc: Ssrc, now: Duration) -> Option<ReportBlock> {
        let (last_sr, delay_since_last_sr) = match self.last_sr {
            Some((ntp, arrival)) => (ntp.compact(), duration_to_compact(now.saturating_sub(arrival))),
            None => (0, 0),
        };
        let source = self.source.as_mut()?;
        Some(ReportBlock {
            ssrc,
            fraction_lost: source.take_fraction_lost(),
            cumulative_lost: source.cumulative_lost(),
            extended_highest_seq: source.highest,
            jitter: source.jitter.estimate(),
            last_sr,
            delay_since_last_sr,
        })
    }

    /// Packets lost since the start; negative if duplicates outnumber losses.
    pub fn cumulative_lost(&self) -> i32 {
        self.source.map_or(0, |source| source.cumulative_lost())
    }

    /// Packets received since the start, including duplicates; wraps.
    pub fn received(&self) -> u32 {
        self.source.map_or(0, |source| source.received)
    }

    /// The highest sequence number, with the number of wraps in the upper half. `None` before the first
    /// packet.
    pub fn extended_highest_seq(&self) -> Option<u32> {
        self.source.map(|source| source.highest)
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        let units = self.source.map_or(0, |source| source.jitter.estimate());
        Duration::from_nanos(u64::from(units) * NANOS_PER_SECOND / u64::from(self.clock_rate_hz.max(1)))
    }
}

impl Source {
    fn starting_at(seq: Seq) -> Self {
        let base = u32::from(seq.0);
        Self { base, highest: base, received: 1, restart: None, reported: (0, 0), jitter: Jitter::default() }
    }

    /// Counts a packet; `false` without counting if it may come from a restarted source (RFC 3550 §A.1).
    fn update(&mut self, seq: Seq) -> bool {
        let ahead = Seq(self.highest as u16).forward_distance(seq);
        if ahead < DROPOUT_MAX {
            self.highest = self.highest.wrapping_add(u32::from(ahead));
        } else if ahead <= u16::MAX - MISORDER_MAX {
            if self.restart == Some(seq) {
                *self = Self::starting_at(seq);
                return true;
            }
            self.restart = Some(seq.next());
            return false;
        }
        self.restart = None;
        self.received = self.received.wrapping_add(1);
        true
    }

    fn expected(&self) -> u32 {
        self.highest.wrapping_sub(self.base).wrapping_add(1)
    }

    fn cumulative_lost(&self) -> i32 {
        (self.expected().wrapping_sub(self.received) as i32).clamp(-0x80_0000, 0x7f_ffff)
    }

    /// Lost since the last report, in 1/256 of the expected packets since then.
    fn take_fraction_lost(&mut self) -> u8 {
        let now = (self.expected(), self.received);
        let expected = now.0.wrapping_sub(self.reported.0);
        let lost = expected.wrapping_sub(now.1.wrapping_sub(self.reported.1)) as i32;
        self.reported = now;
        if expected == 0 || lost <= 0 {
            return 0;
        }
        // A loss of all packets would be 256, which does not fit the field.
        ((lost as u64 * 256) / u64::from(expected)).min(255) as u8
    }
}

impl Jitter {
    fn update(&mut self, clock_rate_hz: u32, rtp_timestamp: u32, arrival: Duration) {
        let arrival_units = arrival.as_nanos() * u128::from(clock_rate_hz) / u128::from(NANOS_PER_SECOND);
        let transit = (arrival_units as u32).wrapping_sub(rtp_timestamp);
        let Some(previous) = self.transit.replace(transit) else { return };
        let difference = (transit.wrapping_sub(previous) as i32).unsigned_abs();
        if difference > clock_rate_hz.saturating_mul(JITTER_STEP_SECONDS_MAX) {
            return;
        }
        // J += (|D| − J) / 16, in sixteenths and rounded.
        self.sixteenths += u64::from(difference);
        self.sixteenths -= (self.sixteenths - u64::from(difference) + 8) >> 4;
    }

    /// In units of the RTP clock.
    fn estimate(&self) -> u32 {
        (self.sixteenths >> 4) as u32
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
