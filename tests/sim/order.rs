//! Packets out of order, and duplicated packets.

use control::{Counter, Discard};
use leat_tests::{MS, SEC, Track, World};

#[test]
fn three_packets_of_reordering_are_no_loss() {
    for seed in 21..24 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(25 * MS).reorder(0.1, 3);
        world.link(bob).delay(25 * MS);
        world.connect();
        let tracks = [Track::camera(), Track::microphone()];
        let views = tracks.map(|track| {
            let producer = world.publish(alice, track);
            (producer, world.subscribe(bob, producer))
        });
        world.run_for(10 * SEC);
        world.finish();
        world.assert_sound();
        for (producer, consumer) in views {
            let (source, sink) = (world.source(producer), world.sink(consumer));
            assert_eq!(source.requested(), [], "{world}");
            assert_eq!(source.retransmissions(), 0, "{world}");
            assert_eq!((sink.missing(), sink.duplicates(), sink.nacks()), (0, 0, 0), "{world}");
            assert_eq!(sink.packets().len() as u64, source.packets(), "{world}");
        }
        assert_eq!(world.shard().counters().value(Counter::NacksOut), 0, "{world}");
        let (camera, view) = views[0];
        assert_eq!(world.sink(view).frames().len(), world.source(camera).frames() as usize, "{world}");
        assert_eq!(world.sink(view).freezes(), 0, "{world}");
    }
}

#[test]
fn audio_whose_first_packet_is_late_does_not_start_twice() {
    let mut overtaken = 0;
    for seed in 0..100 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(alice).delay(25 * MS).reorder(0.2, 3);
        world.link(bob).delay(25 * MS);
        world.connect();
        let producer = world.publish(alice, Track::microphone());
        let consumer = world.subscribe(bob, producer);
        world.run_for(SEC);
        world.finish();
        world.assert_sound();
        // A consumer can start with every packet of audio. Packets from before the start have no number.
        let (sent, heard) = (world.source(producer).packets(), world.sink(consumer).packets().len() as u64);
        assert!(heard == sent || heard + 1 == sent, "{heard} of {sent}: {world}");
        overtaken += u64::from(heard < sent);
    }
    assert!(overtaken > 0, "in some of these worlds the first packet is late");
}

#[test]
fn a_duplicate_is_forwarded_once() {
    let mut world = World::new(25);
    let (alice, bob) = (world.join(), world.join());
    world.uplink(alice).duplicate(0.3).delay(10 * MS).jitter(5 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera());
    let view = world.subscribe(bob, camera);
    world.run_for(5 * SEC);
    world.finish();
    world.assert_sound();
    assert_eq!(world.sink(view).packets().len() as u64, world.source(camera).packets(), "{world}");
    assert_eq!(world.sink(view).duplicates(), 0, "{world}");
    // The replay window drops them before they are parsed.
    assert!(world.shard().counters().discarded(Discard::SrtpReplayed) > 100, "{world}");
}
