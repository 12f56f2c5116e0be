//! Lost packets are retransmitted: from the publisher to the engine, from the engine to a subscriber, and
//! over both.

use leat_tests::{MS, PeerId, SEC, Track, World};

/// Both paths have 50 ms of round trip; the lossy ones lose 5 % of everything, in both directions: media,
/// requests, retransmissions.
fn lossy_call(seed: u64, is_lossy: impl Fn(usize) -> bool) -> World {
    let mut world = World::new(seed);
    let peers: [PeerId; 2] = [world.join(), world.join()];
    for (index, peer) in peers.into_iter().enumerate() {
        world.link(peer).delay(25 * MS).loss(if is_lossy(index) { 0.05 } else { 0.0 });
    }
    world.connect();
    let [alice, bob] = peers;
    for track in [Track::camera(), Track::microphone()] {
        let producer = world.publish(alice, track);
        world.subscribe(bob, producer);
    }
    world.run_for(20 * SEC);
    world.finish();
    world.assert_sound();
    let (up, _) = world.links(alice);
    let (_, down) = world.links(bob);
    assert_eq!((up.lost() > 200, down.lost() > 200), (is_lossy(0), is_lossy(1)), "{world}");
    world
}

fn assert_repaired(world: &World) {
    for (consumer, producer) in world.subscriptions() {
        let (sink, source) = (world.sink(consumer), world.source(producer));
        // The very first packets may need a second keyframe.
        assert!(sink.packets().len() as f64 > source.packets() as f64 * 0.97, "{world}: {consumer}");
        assert!(sink.missing_share() < 0.001, "{world}: {} missing, {consumer}", sink.missing());
    }
}

#[test]
fn five_percent_on_the_publishers_leg_leave_nothing_missing() {
    let world = lossy_call(11, |index| index == 0);
    assert_repaired(&world);
}

#[test]
fn five_percent_on_the_subscribers_leg_leave_nothing_missing() {
    let world = lossy_call(12, |index| index == 1);
    assert_repaired(&world);
}

#[test]
fn five_percent_on_both_legs_leave_nothing_missing() {
    for seed in 13..16 {
        let world = lossy_call(seed, |_| true);
        assert_repaired(&world);
    }
}

#[test]
fn bursts_of_loss_are_repaired_too() {
    let mut world = World::new(17);
    let (alice, bob) = (world.join(), world.join());
    for peer in [alice, bob] {
        world.link(peer).delay(25 * MS).bursts(0.005, 6.0);
    }
    world.connect();
    let camera = world.publish(alice, Track::camera());
    let view = world.subscribe(bob, camera);
    world.run_for(20 * SEC);
    world.finish();
    world.assert_sound();
    assert!(world.links(alice).0.lost() > 50, "{world}");
    assert!(world.sink(view).missing_share() < 0.001, "{world}: {} missing", world.sink(view).missing());
}

#[test]
fn without_rtx_the_identical_packet_is_retransmitted() {
    let mut world = World::new(18);
    let (alice, bob) = (world.join(), world.join());
    for peer in [alice, bob] {
        world.link(peer).delay(25 * MS).loss(0.05);
    }
    world.connect();
    let camera = world.publish(alice, Track::camera().without_rtx());
    let view = world.subscribe(bob, camera);
    world.run_for(10 * SEC);
    world.finish();
    // A sink checks that it is the identical packet.
    world.assert_sound();
    assert!(world.sink(view).missing_share() < 0.001, "{world}: {} missing", world.sink(view).missing());
}

#[test]
fn joining_works_over_a_network_that_loses_a_third() {
    let mut world = World::new(19);
    for _ in 0..30 {
        let peer = world.join();
        world.link(peer).delay(40 * MS).jitter(20 * MS).loss(0.33);
    }
    world.connect();
    world.assert_sound();
}
