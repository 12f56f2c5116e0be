//! The same seed gives the same run.

use leat_tests::{MS, SEC, Track, World};

/// A call with everything random: loss, jitter, reordering, a queue that overflows, joins and pauses. The
/// received packets with their times, and the shard's counters.
///
/// The digest is over plaintext: ephemeral keys and signatures come from the operating system, so ciphertexts
/// differ from run to run, and the lengths of handshakes by a byte or two. No time depends on either.
fn story(seed: u64) -> (u64, Vec<u64>) {
    let mut world = World::new(seed);
    let peers = [world.join(), world.join(), world.join()];
    for peer in peers {
        world.link(peer).delay(20 * MS).jitter(15 * MS).loss(0.03).duplicate(0.01).reorder(0.02, 3);
    }
    world.downlink(peers[1]).rate(3_000_000, 40_000);
    world.connect();
    let camera = world.publish(peers[0], Track::camera());
    let microphone = world.publish(peers[0], Track::microphone());
    world.subscribe(peers[1], camera);
    world.subscribe(peers[2], camera);
    world.subscribe(peers[2], microphone);
    world.run_for(3 * SEC);
    let late = world.join();
    world.link(late).delay(60 * MS);
    world.subscribe(late, camera);
    world.rebind(peers[2]);
    world.run_for(3 * SEC);
    world.assert_sound();
    let mut counted = world.shard().counters().as_slots().to_vec();
    // This includes the lengths of handshakes.
    counted.remove(control::Counter::BytesIn as usize);
    (world.digest(), counted)
}

#[test]
fn the_same_seed_gives_the_same_run_bit_for_bit() {
    assert_eq!(story(41), story(41));
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(story(41).0, story(42).0);
}
