//! A full send batch: refused packets are lost as on any network, and retransmitted.

use control::Counter;
use leat_tests::{LayeredTrack, MS, SEC, Track, World};
use machine::Rng;

#[test]
fn packets_refused_by_a_full_batch_are_retransmitted() {
    let mut world = World::new(101);
    let (alice, bob) = (world.join(), world.join());
    world.link(alice).delay(25 * MS);
    world.link(bob).delay(25 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera());
    let microphone = world.publish(alice, Track::microphone());
    let views = [camera, microphone].map(|producer| world.subscribe(bob, producer));
    world.run_for(SEC);
    world.outbox().refuse(Rng::from_number(101), 0.05);
    world.run_for(10 * SEC);
    world.outbox().refuse(Rng::from_number(101), 0.0);
    world.finish();
    world.assert_sound();
    assert!(world.outbox().refused() > 100, "{world}");
    for view in views {
        assert!(world.sink(view).missing_share() < 0.001, "{world}: {} missing", world.sink(view).missing());
    }
    // Refused packets do not count as sent.
    let counters = world.shard().counters();
    let sent = counters.value(Counter::RtpOut) + counters.value(Counter::RtxOut);
    let received: u64 = views
        .iter()
        .map(|view| world.sink(*view))
        .map(|sink| sink.packets().len() as u64 + sink.duplicates())
        .sum();
    assert_eq!(sent, received, "{world}");
}

#[test]
fn padding_refused_by_a_full_batch_waits_for_the_next_turn() {
    for seed in 103..109 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(bob).delay(MS);
        world.connect();
        let camera = world.publish_layered(alice, LayeredTrack::vp8_simulcast());
        let view = world.subscribe_layered_with_feedback(bob, camera);
        // In the middle of a probe that needs bytes, the batch is full.
        world.run_until(20 * SEC, |world| world.peer(bob).padding() > 0);
        let refused = world.outbox().refused();
        world.outbox().refuse(Rng::from_number(seed), 1.0);
        world.run_for(2 * SEC);
        assert!(world.outbox().refused() > refused, "{world}");
        world.outbox().refuse(Rng::from_number(seed), 0.0);
        world.run_for(5 * SEC);
        let before = world.sink(view).packets().len();
        world.run_for(SEC);
        assert!(world.sink(view).packets().len() > before, "{world}");
    }
}

#[test]
fn joining_succeeds_with_a_batch_that_is_often_full() {
    let mut world = World::new(102);
    world.outbox().refuse(Rng::from_number(102), 0.3);
    for _ in 0..20 {
        let peer = world.join();
        world.link(peer).delay(20 * MS);
    }
    world.connect();
    world.assert_sound();
    assert!(world.shard().counters().value(Counter::TxFull) > 0, "{world}");
}

#[test]
fn a_nack_that_was_not_negotiated_is_not_answered() {
    let mut world = World::new(119);
    let (alice, mallory) = (world.join(), world.join());
    world.connect();
    let microphone = world.publish(alice, Track { nack: false, ..Track::microphone() });
    let hoard = world.subscribe(mallory, microphone);
    world.run_for(2 * SEC);
    // Its packets have transport-wide numbers: retransmitted, one would be another packet with the same SRTP
    // index.
    world.order_sink(hoard, |sink| sink.flood_with_nacks());
    world.run_for(2 * SEC);
    let counters = world.shard().counters();
    assert!(counters.value(Counter::NacksIn) > 100, "{world}: hardly a flood");
    assert_eq!(counters.value(Counter::RtxOut), 0, "{world}");
    assert_eq!(world.sink(hoard).duplicates(), 0, "{world}");
}

/// One subscriber requests every packet that it can, all the time.
#[test]
fn a_flood_of_nacks_at_most_doubles_the_rate_of_the_track() {
    let mut world = World::new(118);
    let (alice, bob, mallory) = (world.join(), world.join(), world.join());
    world.connect();
    let camera = world.publish(alice, Track::camera());
    let (view, hoard) = (world.subscribe(bob, camera), world.subscribe(mallory, camera));
    world.run_for(2 * SEC);
    world.order_sink(hoard, |sink| sink.flood_with_nacks());
    let before = world.shard().counters().clone();
    world.run_for(5 * SEC);
    let after = world.shard().counters();
    let since = |counter| after.value(counter) - before.value(counter);
    // Half of the sent packets went to Mallory; the credit before the flood is one more cache.
    let budget = since(Counter::RtpOut) / 2 + 600;
    assert!(since(Counter::RtxOut) <= budget, "{world}: {} resent, {budget} earned", since(Counter::RtxOut));
    assert!(since(Counter::NacksOverBudget) > 10_000, "{world}: hardly a flood");
    assert_eq!(world.sink(view).missing(), 0, "{world}");
}
