//! Keyframe requests to a publisher: by which consumers, how often, and until when.

use control::{Command, Counter};
use leat_tests::{MS, SEC, Track, World};
use machine::{Instant, Rng};
use sfu::limits::KEYFRAME_REQUEST_INTERVAL;
use std::time::Duration;

#[test]
fn five_hundred_joins_in_five_seconds_cause_one_request_per_interval() {
    let mut world = World::new(31);
    let alice = world.join();
    world.link(alice).delay(20 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera().bitrate_bps(400_000));
    world.run_for(2 * SEC);

    let mut rng = Rng::from_number(world.seed());
    let mut gaps: Vec<u32> = (0..500).map(|_| rng.below(5_000_000)).collect();
    gaps.sort_unstable();
    let begin = world.now();
    let mut views = Vec::new();
    for at in gaps {
        let at = begin + Duration::from_micros(at.into());
        world.run_for(at.saturating_since(world.now()));
        let peer = world.join();
        world.link(peer).delay(20 * MS);
        let view = world.subscribe(peer, camera);
        world.order_sink(view, |sink| sink.leave_keyframes_to_the_engine());
        views.push((at, view));
    }
    world.run_for(2 * SEC);
    world.assert_sound();

    let requests = world.source(camera).keyframe_requests();
    // Most start from the cached keyframe, and the share of keyframes is bounded: far fewer than one per
    // interval.
    assert!((2..=6).contains(&requests.len()), "{world}: {requests:?}");
    for pair in requests.windows(2) {
        assert!(pair[1].saturating_since(pair[0]) >= KEYFRAME_REQUEST_INTERVAL, "{world}: {pair:?}");
    }
    for (joined_at, view) in views {
        let first = world.sink(view).frames().first().copied();
        let first = first.unwrap_or_else(|| panic!("{world}: {view} never got a picture"));
        // Joining takes half a dozen round trips; then at most an interval, and the keyframe's transit.
        let waited = first.at.saturating_since(joined_at);
        assert!(waited < 2 * KEYFRAME_REQUEST_INTERVAL, "{world}: {view} waited {waited:?}");
    }
}

/// Bob subscribes in the middle of Alice's track, without sending keyframe requests: how long until the first
/// picture? `sabotage` makes the path bad before, and returns for how long.
fn wait_for_picture(
    track: Track,
    sabotage: impl Fn(&mut World, leat_tests::PeerId) -> Duration,
) -> (World, Duration) {
    let mut world = World::new(32);
    let (alice, bob) = (world.join(), world.join());
    world.link(alice).delay(25 * MS);
    world.link(bob).delay(25 * MS);
    world.connect();
    let camera = world.publish(alice, track);
    world.run_for(3 * SEC);
    let asked_at: Instant = world.now();
    let bad_for = sabotage(&mut world, alice);
    let view = world.subscribe(bob, camera);
    world.order_sink(view, |sink| sink.leave_keyframes_to_the_engine());
    world.run_for(bad_for);
    world.link(alice).heal().delay(25 * MS);
    world.run_for(3 * SEC);
    world.assert_sound();
    let first = world.sink(view).frames().first().copied();
    let first = first.unwrap_or_else(|| panic!("{world}: bob never got a picture"));
    assert!(first.is_keyframe, "{world}");
    let waited = first.at.saturating_since(asked_at);
    (world, waited)
}

#[test]
fn the_first_picture_takes_two_round_trips_and_a_frame() {
    let (world, waited) = wait_for_picture(Track::camera(), |_, _| Duration::ZERO);
    assert!(waited < 150 * MS, "{world}: {waited:?}");
    assert_eq!(world.shard().counters().value(Counter::KeyframeRequestsOut), 1, "{world}");
}

#[test]
fn a_lost_request_is_repeated() {
    let (world, waited) = wait_for_picture(Track::camera(), |world, alice| {
        world.downlink(alice).loss(1.0);
        400 * MS
    });
    assert!(
        waited > KEYFRAME_REQUEST_INTERVAL && waited < 2 * KEYFRAME_REQUEST_INTERVAL,
        "{world}: {waited:?}"
    );
}

#[test]
fn a_lost_keyframe_is_requested_again() {
    let track = Track { nack: false, ..Track::camera() };
    let (world, waited) = wait_for_picture(track, |world, alice| {
        world.uplink(alice).loss(1.0);
        400 * MS
    });
    assert!(
        waited > KEYFRAME_REQUEST_INTERVAL && waited < 2 * KEYFRAME_REQUEST_INTERVAL,
        "{world}: {waited:?}"
    );
}

#[test]
fn a_lost_keyframe_is_retransmitted_if_that_is_faster() {
    let (world, waited) = wait_for_picture(Track::camera(), |world, alice| {
        world.uplink(alice).loss(1.0);
        150 * MS
    });
    assert!(waited < KEYFRAME_REQUEST_INTERVAL, "{world}: {waited:?}");
}

#[test]
fn a_publisher_without_pli_gets_a_fir() {
    let (world, waited) = wait_for_picture(Track::camera().with_fir(), |_, _| Duration::ZERO);
    assert!(waited < 150 * MS, "{world}: {waited:?}");
}

/// Bob's browser requests a keyframe every second because its picture stands still; Alice's must not be
/// affected.
#[test]
fn a_paused_consumer_causes_no_keyframes() {
    let mut world = World::new(33);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let camera = world.publish(alice, Track::camera());
    let view = world.subscribe(bob, camera);
    world.run_for(SEC);
    world.demand(Command::PauseConsumer { consumer: view });
    let asked = world.source(camera).keyframe_requests().len();
    world.run_for(5 * SEC);
    world.assert_sound();
    assert!(world.sink(view).plis() >= 3, "{world}");
    assert_eq!(world.source(camera).keyframe_requests().len(), asked, "{world}");
}
