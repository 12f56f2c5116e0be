//! Settings of the controller and the publisher: content hint, playout delay, capture time, and layers
//! without consumers.

use control::{Command, ContentHint, Event, Layers, PlayoutDelay, Refusal};
use leat_tests::{LayeredTrack, SEC, Track, World};
use std::time::Duration;

/// The highest layers that a subscriber with bandwidth for half of a scalable stream ever gets: the maximum
/// of each kind.
fn layers_within_half(hint: ContentHint) -> Layers {
    let mut world = World::new(301);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let track = world.publish_layered(alice, LayeredTrack::vp9_svc());
    world.demand(Command::SetContentHint { producer: track, hint });
    let consumer = world.subscribe_layered_with_feedback(bob, track);
    world.demand(Command::SetBitrates {
        transport: world.transport(bob),
        max_incoming_bps: None,
        min_outgoing_bps: Some(650_000),
        max_outgoing_bps: Some(650_000),
    });
    world.run_for(15 * SEC);
    world.assert_sound();
    let sent = world.events().iter().filter_map(|(_, event)| match event {
        Event::LayersChanged { consumer: of, layers } if *of == consumer => *layers,
        _ => None,
    });
    sent.fold(Layers::default(), |most, layers| Layers {
        spatial: most.spatial.max(layers.spatial),
        temporal: most.temporal.max(layers.temporal),
    })
}

#[test]
fn a_screen_gets_resolution_first_and_a_camera_frame_rate_first() {
    let layers = [ContentHint::Motion, ContentHint::Detail].map(layers_within_half);
    assert_eq!(layers, [Layers { spatial: 1, temporal: 2 }, Layers { spatial: 2, temporal: 0 }]);
}

#[test]
fn layers_without_consumers_are_reported_before_the_first_packet() {
    let mut world = World::new(302);
    let alice = world.join();
    let track = world.publish_layered(alice, LayeredTrack::vp8_simulcast());
    world.order_layered(track, |source| source.stop());
    let reported = |world: &World| {
        let reported = world.events().iter().filter_map(|(_, event)| match event {
            Event::LayersWanted { producer, spatial } if *producer == track => Some(*spatial),
            _ => None,
        });
        reported.collect::<Vec<_>>()
    };
    world.run_for(SEC);
    assert!(reported(&world).is_empty(), "{world}: a consumer may be created within a moment");
    world.run_for(2 * SEC);
    assert_eq!(reported(&world), [0], "{world}");
    let bob = world.join();
    world.connect();
    world.subscribe_layered(bob, track, None);
    world.run_for(SEC);
    assert_eq!(reported(&world), [0, 0b100], "{world}");
}

#[test]
fn capture_time_is_forwarded_unchanged() {
    let (short, long) = ([1, 2, 3, 4, 5, 6, 7, 8], [9, 8, 7, 6, 5, 4, 3, 2, 0xff, 0xfe, 0, 0, 0, 0, 0, 1]);
    for track in [Track::microphone(), Track::camera()] {
        let mut world = World::new(303);
        let (alice, bob) = (world.join(), world.join());
        world.link(bob).delay(25 * Duration::from_millis(1)).loss(0.02);
        world.connect();
        let track = world.publish(alice, track);
        let consumer = world.subscribe(bob, track);
        world.run_for(SEC);
        assert_eq!(world.sink(consumer).capture_time(), None, "{world}");
        for value in [&short[..], &long[..]] {
            world.order_source(track, |source| source.set_capture_time(value));
            world.run_for(2 * SEC);
            assert_eq!(world.sink(consumer).capture_time(), Some(value), "{world}");
        }
        world.assert_sound();
    }
}

#[test]
fn the_controllers_playout_delay_is_written() {
    let mut world = World::new(304);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let camera = world.publish(alice, Track::camera());
    let consumer = world.subscribe(bob, camera);
    let reported = |world: &World| {
        let delay = world.sink(consumer).playout_delay();
        delay.map(|delay| (delay.min.as_millis(), delay.max.as_millis()))
    };
    world.run_for(SEC);
    assert_eq!(reported(&world), None, "{world}");
    let delay = |min_ms, max_ms| Some(PlayoutDelay { min_ms, max_ms });
    for (wanted, expected) in
        [(delay(200, 1_000), Some((200, 1_000))), (delay(0, 40_950), Some((0, 40_950))), (None, None)]
    {
        world.demand(Command::SetPlayoutDelay { consumer, delay: wanted });
        world.run_for(SEC);
        assert_eq!(reported(&world), expected, "{world}");
    }
    for delay in [delay(300, 200), delay(0, 40_960)] {
        let answer = world.request(Command::SetPlayoutDelay { consumer, delay });
        assert!(matches!(answer, Event::Refused { refusal: Refusal::Invalid, .. }), "{world}: {answer:?}");
    }
    world.assert_sound();
}

/// If packets may be retransmitted on their own stream, their headers must be identical.
#[test]
fn without_rtx_the_playout_delay_is_set_before_the_first_packet_or_never() {
    let mut world = World::new(305);
    let (alice, bob) = (world.join(), world.join());
    world.link(bob).delay(Duration::from_millis(25)).loss(0.05);
    let camera = world.publish(alice, Track::camera().without_rtx());
    let consumer = world.subscribe(bob, camera);
    let delay = Some(PlayoutDelay { min_ms: 100, max_ms: 500 });
    world.demand(Command::SetPlayoutDelay { consumer, delay });
    world.connect();
    world.run_for(5 * SEC);
    let reported = world.sink(consumer).playout_delay().map(|delay| delay.min.as_millis());
    assert_eq!(reported, Some(100), "{world}");
    let answer = world.request(Command::SetPlayoutDelay { consumer, delay: None });
    assert!(matches!(answer, Event::Refused { refusal: Refusal::Invalid, .. }), "{world}: {answer:?}");
    world.demand(Command::SetPlayoutDelay { consumer, delay });
    world.run_for(SEC);
    world.finish();
    world.assert_sound();
}

/// The received layers of a track in the last five of fifteen seconds, at a subscriber that reports 300
/// kbit/s.
fn frames_over_300_kbit(hint: ContentHint, bitrate_bps: u32, cap_bps: Option<u32>) -> usize {
    let mut world = World::new(306);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let track = world.publish(alice, Track::camera().bitrate_bps(bitrate_bps));
    world.demand(Command::SetContentHint { producer: track, hint });
    world.demand(Command::SetBitrates {
        transport: world.transport(bob),
        max_incoming_bps: None,
        min_outgoing_bps: None,
        max_outgoing_bps: cap_bps,
    });
    let consumer = world.subscribe(bob, track);
    world.order(bob, |peer, _| peer.claim(300_000.0));
    world.run_for(10 * SEC);
    let since = world.now();
    world.run_for(5 * SEC);
    world.assert_sound();
    world.sink(consumer).frames().iter().filter(|frame| frame.at >= since).count()
}

#[test]
fn a_screen_slightly_above_the_estimate_is_sent_and_a_larger_one_is_not() {
    let screen = frames_over_300_kbit(ContentHint::Detail, 500_000, None);
    assert!(screen > 100, "{screen} frames of a screen of 500 kbit/s");
    assert_eq!(frames_over_300_kbit(ContentHint::Detail, 1_000_000, None), 0, "beyond the bound");
    assert_eq!(
        frames_over_300_kbit(ContentHint::Detail, 500_000, Some(400_000)),
        0,
        "beyond the controller's"
    );
    assert_eq!(frames_over_300_kbit(ContentHint::Motion, 500_000, None), 0, "a camera");
}
