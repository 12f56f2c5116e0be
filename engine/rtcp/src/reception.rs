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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCE: Ssrc = Ssrc(7);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Receives these numbers, a packet every 20 ms of 48 kHz audio, without jitter.
    fn receive(reception: &mut Reception, seqs: impl IntoIterator<Item = u16>) {
        for seq in seqs {
            reception.on_packet(Seq(seq), u32::from(seq) * 960, ms(u64::from(seq) * 20));
        }
    }

    fn report(reception: &mut Reception) -> ReportBlock {
        reception.report(SOURCE, ms(0)).expect("packets were received")
    }

    #[test]
    fn before_the_first_packet_there_is_no_report() {
        let mut reception = Reception::new(48_000);
        reception.on_sender_report(NtpTime(1 << 32), ms(0));
        assert_eq!(reception.report(SOURCE, ms(0)), None);
        assert_eq!((reception.received(), reception.extended_highest_seq()), (0, None));
    }

    #[test]
    fn a_perfect_stream_loses_nothing_and_has_no_jitter() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, 100..200);
        let expected = ReportBlock {
            ssrc: SOURCE,
            fraction_lost: 0,
            cumulative_lost: 0,
            extended_highest_seq: 199,
            jitter: 0,
            last_sr: 0,
            delay_since_last_sr: 0,
        };
        assert_eq!(report(&mut reception), expected);
        assert_eq!(reception.received(), 100);
    }

    #[test]
    fn the_fraction_is_per_interval_and_the_sum_since_the_start() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, (0..100).filter(|seq| seq % 4 != 1));
        let first = report(&mut reception);
        assert_eq!((first.fraction_lost, first.cumulative_lost), (64, 25));
        receive(&mut reception, 100..200);
        let second = report(&mut reception);
        assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 25));
        let third = report(&mut reception);
        assert_eq!((third.fraction_lost, third.cumulative_lost), (0, 25), "no packet was expected");
        receive(&mut reception, [1200]);
        assert_eq!(report(&mut reception).fraction_lost, 255, "999 of 1000");
    }

    #[test]
    fn late_packets_reduce_the_loss_and_duplicates_make_it_negative() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, [10, 12, 13]);
        assert_eq!(report(&mut reception).cumulative_lost, 1);
        receive(&mut reception, [11]);
        let late = report(&mut reception);
        assert_eq!((late.cumulative_lost, late.fraction_lost, late.extended_highest_seq), (0, 0, 13));
        receive(&mut reception, [13, 13]);
        assert_eq!(report(&mut reception).cumulative_lost, -2);
    }

    #[test]
    fn wraps_are_counted_in_the_upper_half() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, [65534, 65535, 0, 1]);
        receive(&mut reception, [65533]);
        let block = report(&mut reception);
        assert_eq!((block.extended_highest_seq, block.cumulative_lost), (0x1_0001, -1));
    }

    #[test]
    fn one_far_number_is_noise_and_two_in_sequence_are_a_restart() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, [10, 11, 30_000, 40_000, 12]);
        assert_eq!((reception.received(), reception.extended_highest_seq()), (3, Some(12)));
        receive(&mut reception, [30_000, 13, 30_001, 30_002]);
        assert_eq!(reception.extended_highest_seq(), Some(30_002));
        let block = report(&mut reception);
        assert_eq!((block.cumulative_lost, reception.received()), (0, 1));
    }

    #[test]
    fn the_edges_of_dropout_and_reordering() {
        for (from, to, counted) in [
            (5000, 5000 + DROPOUT_MAX - 1, true),
            (5000, 5000 + DROPOUT_MAX, false),
            (5000, 5000 - MISORDER_MAX, true),
            (5000, 5000 - MISORDER_MAX - 1, false),
        ] {
            let mut reception = Reception::new(48_000);
            receive(&mut reception, [from, to]);
            assert_eq!(reception.received(), 1 + u32::from(counted), "from {from} to {to}");
        }
    }

    #[test]
    fn jitter_follows_the_sixteenths_of_the_rfc() {
        let mut reception = Reception::new(8_000);
        // A packet every 20 ms, 160 units; the second is 10 ms (80 units) late.
        reception.on_packet(Seq(0), 0, ms(1000));
        reception.on_packet(Seq(1), 160, ms(1030));
        assert_eq!(report(&mut reception).jitter, 80 / 16);
        // Back in time: the transit changes by 80 again, J = 5 + (80 − 5) / 16 = 9.69.
        reception.on_packet(Seq(2), 320, ms(1040));
        assert_eq!(report(&mut reception).jitter, 9);
        assert_eq!(reception.jitter(), Duration::from_micros(9 * 125));
    }

    #[test]
    fn a_jump_of_the_timestamp_does_not_change_the_jitter() {
        let mut reception = Reception::new(90_000);
        reception.on_packet(Seq(0), 0, ms(0));
        reception.on_packet(Seq(1), 0x8000_0000, ms(20));
        reception.on_packet(Seq(2), 0x8000_0000 + 1800, ms(40));
        assert_eq!(report(&mut reception).jitter, 0);
    }

    #[test]
    fn a_report_block_contains_the_last_sender_report_and_its_age() {
        let mut reception = Reception::new(90_000);
        receive(&mut reception, [1]);
        reception.on_sender_report(NtpTime(0xb44d_b705_2000_0000), ms(1000));
        let block = reception.report(SOURCE, ms(6250)).expect("a packet was received");
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0xb705_2000, 0x0005_4000));
        let early = reception.report(SOURCE, ms(0)).expect("a packet was received");
        assert_eq!(early.delay_since_last_sr, 0, "a report cannot have arrived later than now");
    }

    #[test]
    fn a_clock_rate_of_zero_does_not_panic() {
        let mut reception = Reception::new(0);
        receive(&mut reception, [1, 2, 3]);
        assert_eq!(reception.jitter(), Duration::ZERO);
    }

    proptest! {
        /// The naive model counts in 64 bits and estimates in floating point.
        #[test]
        fn counts_match_the_sender(
            first in any::<u16>(),
            clock_rate_hz in prop_oneof![Just(8_000u32), Just(48_000), Just(90_000)],
            packets in prop::collection::vec((-20i64..60, 0u64..200), 1..200),
            reports in any::<u64>(),
        ) {
            let units = |at_ms: u64| at_ms * u64::from(clock_rate_hz) / 1000;
            let mut reception = Reception::new(clock_rate_hz);
            let base = 65536 + i64::from(first);
            reception.on_packet(Seq(first), 0, ms(0));
            let (mut highest, mut received) = (base, 1i64);
            let mut reported = (0, 0);
            let (mut transit, mut jitter) = (0.0, 0.0f64);
            let mut now = 0;
            for (index, (ahead, delay)) in packets.into_iter().enumerate() {
                let sent = highest + ahead;
                now += 20;
                reception.on_packet(Seq(sent as u16), units(now) as u32, ms(now + delay));
                received += 1;
                highest = highest.max(sent);
                let new_transit = units(now + delay) as f64 - units(now) as f64;
                jitter += ((new_transit - transit).abs() - jitter) / 16.0;
                transit = new_transit;
                if reports >> (index % 64) & 1 == 0 {
                    continue;
                }
                let block = report(&mut reception);
                let expected = highest - base + 1;
                prop_assert_eq!(i64::from(block.cumulative_lost), expected - received);
                prop_assert_eq!(i64::from(block.extended_highest_seq), highest - 65536);
                let lost = (expected - reported.0) - (received - reported.1);
                let fraction = if lost > 0 { lost * 256 / (expected - reported.0) } else { 0 };
                prop_assert_eq!(i64::from(block.fraction_lost), fraction.min(255));
                reported = (expected, received);
                prop_assert!((f64::from(block.jitter) - jitter).abs() < 2.0, "{} for {}", block.jitter, jitter);
            }
        }
    }
}
