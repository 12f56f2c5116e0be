//! Transport-wide feedback, from which a browser's estimator computes its rate.

use leat_tests::peer::rtcp::Feedback;
use leat_tests::{MS, PeerId, SEC, Track, World};
use sfu::limits::TWCC_INTERVAL;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The path of feedback to the publisher.
const DELAY: Duration = Duration::from_millis(30);

/// Each reported number, and its arrival time if it arrived.
fn reported(feedback: &[Feedback]) -> BTreeMap<u16, Option<i64>> {
    let mut reported = BTreeMap::new();
    for (number, arrival) in feedback.iter().flat_map(|feedback| &feedback.packets) {
        let known = reported.entry(*number).or_insert(*arrival);
        *known = known.or(*arrival);
    }
    reported
}

/// Feedback is numbered without a gap, and reports each arrival within the interval.
fn assert_timely(world: &World, alice: PeerId) {
    let feedback = world.peer(alice).feedback();
    for pair in feedback.windows(2) {
        assert_eq!(pair[1].number, pair[0].number.wrapping_add(1), "{world}");
        let gap = pair[1].at.saturating_since(pair[0].at);
        assert!(gap >= TWCC_INTERVAL, "{world}: {gap:?} between feedbacks");
    }
    let mut seen = BTreeSet::new();
    for feedback in feedback {
        for (number, arrival) in &feedback.packets {
            let Some(arrival) = arrival.filter(|_| seen.insert(*number)) else { continue };
            let waited = feedback.at.since_epoch().as_micros() as i64 - arrival;
            let longest = (TWCC_INTERVAL + DELAY + MS).as_micros() as i64;
            assert!(waited <= longest, "{world}: {number} was reported {waited} µs after its arrival");
        }
    }
}

#[test]
fn feedback_covers_every_packet_with_its_arrival_time() {
    let mut world = World::new(61);
    let alice = world.join();
    world.link(alice).delay(DELAY);
    world.connect();
    world.publish(alice, Track::camera());
    world.publish(alice, Track::microphone());
    world.run_for(3 * SEC);
    // A queue builds up: packets with 30 ms of delay now have 70.
    let slower_from = world.now();
    world.uplink(alice).delay(70 * MS);
    world.run_for(3 * SEC);
    let last = world.peer(alice).numbered().len() - 1;
    world.run_for(200 * MS);
    world.assert_sound();

    assert_timely(&world, alice);
    let reported = reported(world.peer(alice).feedback());
    for (number, sent_at) in world.peer(alice).numbered().iter().enumerate().take(last) {
        let arrival = reported.get(&(number as u16)).copied().flatten();
        let arrival = arrival.unwrap_or_else(|| panic!("{world}: nothing on {number}"));
        let way = if *sent_at <= slower_from { 30_000 } else { 70_000 };
        let expected = sent_at.as_nanos() as i64 / 1_000 + way;
        assert!(
            (arrival - expected).abs() <= 500,
            "{world}: {number} arrived at {expected} µs, not {arrival}"
        );
    }
}

#[test]
fn feedback_reports_lost_packets() {
    let mut world = World::new(62);
    let alice = world.join();
    world.link(alice).delay(DELAY);
    world.connect();
    world.publish(alice, Track::camera());
    // Without RTX a packet is retransmitted under its old number; with NACK it would not stay lost.
    world.publish(alice, Track { nack: false, ..Track::microphone() });
    world.run_for(100 * MS);
    let (carried, lost) = (world.links(alice).0.carried(), world.links(alice).0.lost());
    world.uplink(alice).loss(0.05);
    world.run_for(5 * SEC);
    world.uplink(alice).loss(0.0);
    world.run_for(300 * MS);
    world.assert_sound();

    assert_timely(&world, alice);
    let up = world.links(alice).0;
    assert!(up.carried() > carried + 1_000, "{world}");
    let reported = reported(world.peer(alice).feedback());
    let missing = reported.values().filter(|arrival| arrival.is_none()).count() as u64;
    // Reports and checks have no number, and some of those were lost too.
    let lost = up.lost() - lost;
    assert!(missing <= lost && missing + 10 >= lost, "{world}: {missing} reported of {lost} lost");
    let numbers: Vec<u16> = reported.keys().copied().collect();
    assert_eq!(numbers, (0..numbers.len() as u16).collect::<Vec<_>>(), "{world}");
}

/// The engine drops packets without a producer, but they arrived, and the feedback on them is not late.
#[test]
fn packets_without_a_producer_do_not_delay_feedback() {
    let mut world = World::new(63);
    let alice = world.join();
    world.link(alice).delay(DELAY);
    world.connect();
    world.publish(alice, Track::microphone());
    world.publish_unannounced(alice, Track::camera());
    world.run_for(5 * SEC);
    world.assert_sound();
    assert!(world.shard().counters().discarded(control::Discard::RtpUnroutable) > 1_000, "{world}");
    assert!(world.peer(alice).feedback().len() > 40, "{world}");
    assert_timely(&world, alice);
}
