//! RTCP reports: the publisher's clocks for subscribers, and the path statistics for the publisher.

use leat_tests::{MS, SEC, Track, World};
use std::time::Duration;

/// Audio and video of one publisher are played in sync if both streams' reports have the same wall clock.
#[test]
fn sender_reports_contain_the_publishers_clocks_within_a_millisecond() {
    let mut world = World::new(71);
    let (alice, bob) = (world.join(), world.join());
    // Reports on audio and video are in one packet here; that packet's own delay must not matter.
    world.link(alice).delay(40 * MS).jitter(30 * MS).loss(0.02);
    world.link(bob).delay(25 * MS);
    world.connect();
    let views =
        [(Track::camera(), 90_000.0), (Track::microphone(), 48_000.0)].map(|(track, clock_rate_hz)| {
            let producer = world.publish(alice, track);
            (world.subscribe(bob, producer), clock_rate_hz)
        });
    world.run_for(10 * SEC);
    world.assert_sound();
    for (consumer, clock_rate_hz) in views {
        let sink = world.sink(consumer);
        let (_, first) = sink.packets().first_key_value().expect("packets were sent");
        let captured_at = first.payload.stamp.captured_at.as_nanos() as f64;
        assert!(sink.sender_reports().len() >= 7, "{world}");
        for report in sink.sender_reports() {
            let ticks = f64::from(report.rtp_timestamp.wrapping_sub(first.timestamp) as i32);
            let by_rtp = captured_at + ticks / clock_rate_hz * 1e9;
            let apart_ms = (report.wall_nanos as f64 - by_rtp).abs() / 1e6;
            assert!(apart_ms < 1.0, "{world}: the clocks of {consumer} are {apart_ms} ms apart");
            // And it is the present clock, not that of the publisher's last report.
            let age_ms = (report.at.as_nanos() as f64 - report.wall_nanos as f64) / 1e6;
            assert!((0.0..120.0).contains(&age_ms), "{world}: a report is {age_ms} ms old");
        }
        assert_eq!(sink.cname(), Some("peer-0"), "{world}");
        let counted = sink.sender_reports().last().expect("there are seven").packet_count;
        assert!(u64::from(counted) <= sink.packets().len() as u64 && counted > 300, "{world}: {counted}");
    }
}

#[test]
fn receiver_reports_contain_the_loss() {
    let mut world = World::new(72);
    let alice = world.join();
    world.link(alice).delay(25 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera());
    world.run_for(2 * SEC);
    world.uplink(alice).loss(0.1);
    world.run_for(20 * SEC);
    world.assert_sound();
    let source = world.source(camera);
    let first = &source.reports().first().expect("a report a second").report;
    assert_eq!((first.fraction_lost, first.total_lost), (0, 0), "{world}");
    let last = &source.reports().last().expect("a report a second").report;
    let share = f64::from(last.total_lost) / (source.packets() as f64 * 20.0 / 22.0);
    assert!((0.08..0.12).contains(&share), "{world}: {share}");
    // Retransmissions have a separate stream and hide nothing.
    assert!(source.retransmissions() > 100, "{world}");
    let fractions: Vec<f64> = source
        .reports()
        .iter()
        .skip(3)
        .map(|report| f64::from(report.report.fraction_lost) / 256.0)
        .collect();
    let average = fractions.iter().sum::<f64>() / fractions.len() as f64;
    assert!((0.07..0.13).contains(&average), "{world}: {average}");
}

#[test]
fn receiver_reports_contain_the_jitter() {
    let mut world = World::new(73);
    let alice = world.join();
    world.link(alice).delay(25 * MS);
    world.connect();
    let microphone = world.publish(alice, Track::microphone());
    world.run_for(3 * SEC);
    let jitter_ms = |world: &World| {
        let report = &world.source(microphone).reports().last().expect("a report a second").report;
        f64::from(report.jitter) / 48.0
    };
    assert!(jitter_ms(&world) < 0.1, "{world}: {} ms", jitter_ms(&world));
    world.uplink(alice).jitter(20 * MS);
    world.run_for(10 * SEC);
    world.assert_sound();
    // Two delays from 0 to 20 ms differ by a third of that on average.
    assert!((4.0..10.0).contains(&jitter_ms(&world)), "{world}: {} ms", jitter_ms(&world));
}

#[test]
fn receiver_reports_let_the_publisher_compute_its_round_trip() {
    let mut world = World::new(74);
    let alice = world.join();
    world.uplink(alice).delay(15 * MS);
    world.downlink(alice).delay(65 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera());
    world.run_for(6 * SEC);
    world.assert_sound();
    let reports = world.source(camera).reports();
    let round_trips: Vec<Duration> = reports.iter().filter_map(|report| report.round_trip).collect();
    assert!(round_trips.len() >= 4, "{world}");
    for round_trip in round_trips {
        assert!((79 * MS..81 * MS).contains(&round_trip), "{world}: {round_trip:?}");
    }
}
