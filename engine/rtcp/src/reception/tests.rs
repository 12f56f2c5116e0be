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
