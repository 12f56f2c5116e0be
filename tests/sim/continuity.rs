//! A subscriber sees one stream without gaps, whatever was left out of it.

use control::{Command, ConsumerId, ProducerId};
use leat_tests::{MS, SEC, Track, World};

/// Alice publishes audio and video, Bob subscribes.
fn call(seed: u64) -> (World, [(ProducerId, ConsumerId); 2]) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.join(), world.join());
    // No loss: a packet that is missing when the pause begins stays missing.
    world.link(alice).delay(25 * MS).jitter(10 * MS);
    world.link(bob).delay(25 * MS).reorder(0.1, 3);
    world.connect();
    let views = [Track::camera(), Track::microphone()].map(|track| {
        let producer = world.publish(alice, track);
        let consumer = world.subscribe(bob, producer);
        world.order_sink(consumer, |sink| sink.leave_keyframes_to_the_engine());
        (producer, consumer)
    });
    world.run_for(2 * SEC);
    (world, views)
}

/// No number is missing, and every timestamp is the publisher's plus a constant.
fn assert_continuous(world: &World, consumer: ConsumerId, clock_rate_hz: u64) {
    let sink = world.sink(consumer);
    assert_eq!(sink.missing(), 0, "{world}");
    let (_, first) = sink.packets().first_key_value().expect("packets were sent");
    for (seq, packet) in sink.packets() {
        let passed = packet.payload.stamp.captured_at.saturating_since(first.payload.stamp.captured_at);
        let expected = passed.as_nanos() as u64 * clock_rate_hz / 1_000_000_000;
        let ticks = packet.timestamp.wrapping_sub(first.timestamp);
        assert!(expected.abs_diff(ticks.into()) <= 2, "{world}: {seq} is {ticks} ticks on, not {expected}");
    }
}

/// The frame at which video continues after a silence of at least a second.
fn resumed_frame(world: &World, view: ConsumerId) -> leat_tests::peer::sink::Frame {
    let frames = world.sink(view).frames();
    let pause = frames.windows(2).find(|pair| pair[1].at.saturating_since(pair[0].at) > SEC);
    pause.unwrap_or_else(|| panic!("{world}: there was no pause"))[1]
}

#[test]
fn a_paused_consumer_continues_without_a_gap() {
    for seed in 51..54 {
        let (mut world, views) = call(seed);
        for (_, consumer) in views {
            world.demand(Command::PauseConsumer { consumer });
        }
        // Packets in transit arrive; then nothing more.
        world.run_for(SEC);
        let received = views.map(|(_, consumer)| world.sink(consumer).packets().len());
        world.run_for(2 * SEC);
        assert_eq!(received, views.map(|(_, consumer)| world.sink(consumer).packets().len()), "{world}");
        for (_, consumer) in views {
            world.demand(Command::ResumeConsumer { consumer });
        }
        world.run_for(2 * SEC);
        world.finish();
        world.assert_sound();
        assert_continuous(&world, views[0].1, 90_000);
        assert_continuous(&world, views[1].1, 48_000);
        assert!(resumed_frame(&world, views[0].1).is_keyframe, "{world}");
    }
}

#[test]
fn a_paused_producer_continues_without_a_gap() {
    let (mut world, views) = call(55);
    for (producer, _) in views {
        world.demand(Command::PauseProducer { producer });
    }
    world.run_for(3 * SEC);
    for (producer, _) in views {
        world.demand(Command::ResumeProducer { producer });
    }
    world.run_for(2 * SEC);
    world.finish();
    world.assert_sound();
    assert_continuous(&world, views[0].1, 90_000);
    assert_continuous(&world, views[1].1, 48_000);
    assert!(resumed_frame(&world, views[0].1).is_keyframe, "{world}");
}

#[test]
fn a_late_consumer_starts_with_a_keyframe() {
    let (mut world, [(camera, _), _]) = call(56);
    for _ in 0..5 {
        let carol = world.join();
        world.link(carol).delay(10 * MS);
        let view = world.subscribe(carol, camera);
        world.run_for(1_300 * MS);
        let first = world.sink(view).packets().first_key_value().map(|(_, packet)| packet.payload);
        let first = first.unwrap_or_else(|| panic!("{world}: nothing came"));
        assert!(first.starts_keyframe, "{world}: {first:?}");
        assert_eq!(world.sink(view).missing(), 0, "{world}");
    }
    world.assert_sound();
}
