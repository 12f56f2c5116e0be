//! A panic closes the transport that was being handled, without other effects; repeated panics replace the
//! shard.

use control::{
    Closed, Command, ConsumerId, Counter, Discard, Event, ProducerId, Refusal, Stage, TransportId,
};
use leat_tests::{MS, PeerId, SEC, Track, World};
use machine::Rng;
use sfu::{Fault, Replaced, limits};

/// Two calls of two in one router: panics are caused in the first one, and must not affect the second one.
struct Calls {
    world: World,
    alice: PeerId,
    bob: PeerId,
    camera: ProducerId,
    others: Vec<ConsumerId>,
}

impl Calls {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let [alice, bob, carol, dave] = [(); 4].map(|()| world.join());
        for peer in [alice, bob, carol, dave] {
            world.link(peer).delay(20 * MS);
        }
        world.connect();
        world.expect_faults();
        let camera = world.publish(alice, Track::camera());
        world.subscribe(bob, camera);
        let others = [Track::camera(), Track::microphone()].map(|track| world.publish(carol, track));
        let others = others.map(|producer| world.subscribe(dave, producer)).to_vec();
        world.run_for(2 * SEC);
        Self { world, alice, bob, camera, others }
    }

    fn inject(&mut self, peer: PeerId, stage: Stage) {
        let transport = self.world.transport(peer);
        self.world.demand(Command::InjectPanic { transport, stage });
    }

    /// Why transports have closed.
    fn closings(&self) -> Vec<(TransportId, Closed)> {
        let closing = |event: &Event| match event {
            Event::TransportClosed { transport, closed } => Some((*transport, *closed)),
            _ => None,
        };
        self.world.events().iter().filter_map(|(_, event)| closing(event)).collect()
    }

    /// The second call continues without any effect.
    fn assert_others_are_well(&mut self) {
        let before: Vec<usize> =
            self.others.iter().map(|view| self.world.sink(*view).packets().len()).collect();
        self.world.run_for(3 * SEC);
        for (view, before) in self.others.iter().zip(before) {
            let sink = self.world.sink(*view);
            assert!(sink.packets().len() > before + 100, "{}: {view} gets nothing any more", self.world);
        }
        self.world.finish();
        for view in &self.others {
            let sink = self.world.sink(*view);
            assert_eq!((sink.missing(), sink.freezes()), (0, 0), "{}: {view}", self.world);
        }
    }

    /// The single panic.
    fn fault(&mut self) -> Fault {
        let mut faults = self.world.take_faults();
        assert_eq!(faults.len(), 1, "{}: {faults:?}", self.world);
        faults.remove(0)
    }
}

#[test]
fn panic_while_a_publishers_input_is_handled_closes_its_transport_only() {
    for (seed, stage) in (2100..).zip([Stage::Stun, Stage::Rtp, Stage::Rtcp, Stage::Timer, Stage::Command]) {
        let mut calls = Calls::new(seed);
        calls.inject(calls.alice, stage);
        if stage == Stage::Command {
            // It is still answered.
            let answer = calls.world.request(Command::PauseProducer { producer: calls.camera });
            assert!(matches!(answer, Event::Refused { refusal: Refusal::Fault, .. }), "{answer:?}");
        }
        // Checks come every few seconds.
        calls.world.run_for(6 * SEC);
        let (fault, alices) = (calls.fault(), calls.world.transport(calls.alice));
        assert_eq!((fault.stage, &fault.closed[..], fault.replaced), (stage, &[alices][..], None));
        assert_eq!(calls.closings(), [(alices, Closed::Fault)], "{}: {stage:?}", calls.world);
        calls.world.assert_consistent();
        let counters = calls.world.shard().counters();
        assert_eq!((counters.value(Counter::Panics), counters.value(Counter::ShardsReplaced)), (1, 0));
        calls.assert_others_are_well();
    }
}

#[test]
fn panic_while_packets_are_written_closes_the_source_and_the_target_transport() {
    for seed in 2110..2114 {
        let mut calls = Calls::new(seed);
        calls.inject(calls.bob, Stage::BatchEnd);
        calls.world.run_for(SEC);
        let fault = calls.fault();
        let both = [calls.alice, calls.bob].map(|peer| calls.world.transport(peer));
        assert_eq!((fault.stage, &fault.closed[..], fault.replaced), (Stage::BatchEnd, &both[..], None));
        assert_eq!(calls.closings(), both.map(|transport| (transport, Closed::Fault)));
        calls.world.assert_consistent();
        calls.assert_others_are_well();
    }
}

#[test]
fn panic_during_a_handshake_closes_the_joining_transport_and_the_peer_may_try_again() {
    let mut calls = Calls::new(2120);
    let erin = calls.world.join();
    calls.inject(erin, Stage::Dtls);
    calls.world.run_for(SEC);
    let (fault, erins) = (calls.fault(), calls.world.transport(erin));
    assert_eq!((fault.stage, &fault.closed[..], fault.replaced), (Stage::Dtls, &[erins][..], None));
    assert_eq!(calls.closings(), [(erins, Closed::Fault)]);
    calls.world.assert_consistent();
    let again = calls.world.join();
    calls.world.run_until(3 * SEC, |world| world.peer(again).connected_at().is_some());
    calls.assert_others_are_well();
}

#[test]
fn panic_in_a_message_of_another_worker_closes_the_pipe_which_can_be_created_again() {
    let mut world = World::with_workers(2130, 2);
    let (alice, bob) = (world.join_at(0), world.join_at(1));
    world.connect();
    world.expect_faults();
    let camera = world.publish(alice, Track::camera());
    let view = world.subscribe(bob, camera);
    world.run_for(2 * SEC);
    world.turn_to(1);
    // The pipe has the id of the original transport.
    let pipe = world.transport(alice);
    world.demand(Command::InjectPanic { transport: pipe, stage: Stage::HandOff });
    world.run_for(SEC);
    let faults = world.take_faults();
    let [fault] = &faults[..] else { panic!("{world}: {faults:?}") };
    assert_eq!((fault.stage, &fault.closed[..], &fault.replaced), (Stage::HandOff, &[pipe][..], &None));
    world.assert_consistent();
    let closed = Event::ConsumerClosed { consumer: view, closed: Closed::Fault };
    assert!(world.events().iter().any(|(_, event)| *event == closed), "{world}");
    world.turn_to(0);
    assert!(
        !world.events().iter().any(|(_, event)| matches!(event, Event::TransportClosed { .. })),
        "{world}"
    );

    let again = world.subscribe(bob, camera);
    world.run_for(3 * SEC);
    assert!(world.sink(again).frames().len() > 50, "{world}");
}

/// Panics until the shard of the selected worker is replaced.
fn break_shard(world: &mut World) {
    for nth in 1..=limits::PANICS_MAX {
        let victim = world.join();
        let transport = world.transport(victim);
        world.demand(Command::InjectPanic { transport, stage: Stage::Command });
        let answer = world.request(Command::RestartIce { transport });
        assert!(matches!(answer, Event::Refused { refusal: Refusal::Fault, .. }), "{world}: {answer:?}");
        let faults = world.take_faults();
        let expected = (nth == limits::PANICS_MAX).then_some(Replaced::Repeated);
        assert_eq!(faults.iter().map(|fault| fault.replaced.clone()).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn repeated_panics_replace_the_shard_its_peers_join_again_and_the_other_worker_loses_nothing() {
    let mut world = World::with_workers(2140, 2);
    let peers = [0, 0, 1, 1].map(|worker| world.join_at(worker));
    let [alice, bob, carol, dave] = peers;
    peers.iter().for_each(|peer| _ = world.link(*peer).delay(20 * MS));
    world.connect();
    world.expect_faults();
    let here = world.publish(alice, Track::camera());
    let views = [world.subscribe(bob, here), world.subscribe(carol, here)];
    let there = world.publish(carol, Track::camera());
    let other = world.subscribe(dave, there);
    world.run_for(2 * SEC);
    assert!(views.iter().all(|view| !world.sink(*view).frames().is_empty()), "{world}");

    // Of all objects of the worker only the router is reported, which implies the rest.
    world.turn_to(0);
    let events_before = world.events().len();
    break_shard(&mut world);
    let router = world.router();
    let closed = Event::RouterClosed { router, closed: Closed::Fault };
    assert_eq!(world.events()[events_before..].iter().filter(|(_, event)| *event == closed).count(), 1);
    assert_eq!(world.snapshot(), []);
    world.assert_consistent();
    let counters = world.shard().counters();
    assert_eq!(counters.value(Counter::Panics), limits::PANICS_MAX as u64);
    assert_eq!((counters.value(Counter::ShardsReplaced), counters.value(Counter::Transports)), (1, 0));

    // Its peers join again, as clients do after the event, and get pictures within three seconds.
    let began = world.now();
    let [alice, bob] = [(); 2].map(|()| world.join_at(0));
    world.run_until(3 * SEC, |world| {
        [alice, bob].iter().all(|peer| world.peer(*peer).connected_at().is_some())
    });
    let again = world.publish(alice, Track::camera());
    let again = [world.subscribe(bob, again), world.subscribe(carol, again)];
    world.run_until(3 * SEC, |world| again.iter().all(|view| !world.sink(*view).frames().is_empty()));
    assert!(world.now().saturating_since(began) < 3 * SEC, "{world}");
    world.run_for(6 * SEC);
    world.assert_consistent();
    world.finish();
    assert_eq!((world.sink(other).missing(), world.sink(other).freezes()), (0, 0), "{world}");
    for view in again {
        assert_eq!(world.sink(view).missing(), 0, "{world}");
    }
}

/// For five seconds another worker still sends packets that the former shard had subscribed to.
#[test]
fn messages_for_a_replaced_shard_have_no_effect_in_the_new_one() {
    let mut world = World::with_workers(2150, 2);
    let (alice, bob) = (world.join_at(0), world.join_at(1));
    world.connect();
    world.expect_faults();
    let tracks = [Track::camera(), Track::camera()].map(|track| world.publish(alice, track));
    world.subscribe(bob, tracks[0]);
    world.run_for(2 * SEC);
    world.turn_to(1);
    break_shard(&mut world);

    // The first producer of the new shard has the slot index of the first one of the former shard.
    let bob = world.join_at(1);
    world.run_until(3 * SEC, |world| world.peer(bob).connected_at().is_some());
    let view = world.subscribe(bob, tracks[1]);
    world.run_for(4 * SEC);
    world.turn_to(1);
    let counters = world.shard().counters();
    let stale = counters.discarded(Discard::PipeMessageStale);
    assert!(stale > 50, "{world}: only {stale} stale messages, so nothing was tested");
    assert!(world.sink(view).frames().len() > 50, "{world}");
    world.finish();
    let sent = world.source(tracks[1]).packets();
    assert!(world.sink(view).packets().len() as u64 <= sent, "{world}: more came than was sent");
    world.assert_consistent();
}

#[test]
fn injected_panics_at_random_leave_the_tables_consistent() {
    for seed in 2160..2163 {
        let mut calls = Calls::new(seed);
        let mut rng = Rng::from_number(seed);
        let mut panics = 0;
        for _ in 0..12 {
            let stage = Stage::INJECTABLE[rng.below(Stage::INJECTABLE.len() as u32) as usize];
            let peer = if rng.chance(0.5) { calls.alice } else { calls.bob };
            calls.inject(peer, stage);
            calls.world.run_for(SEC);
            calls.world.demand(Command::ObserveAudio { router: calls.world.router(), observer: None });
            calls.world.run_for(5 * SEC);
            calls.world.assert_consistent();
            let faults = calls.world.take_faults();
            assert!(faults.iter().all(|fault| fault.replaced.is_none()), "{}: {faults:?}", calls.world);
            panics += faults.len();
            // Closed peers join again, as new peers.
            (calls.alice, calls.bob) = (calls.world.join(), calls.world.join());
            calls.inject(calls.bob, Stage::HandOff);
            calls.camera = calls.world.publish(calls.alice, Track::camera());
            calls.world.subscribe(calls.bob, calls.camera);
        }
        assert!(panics > 3, "{}: only {panics} panics", calls.world);
        calls.world.assert_consistent();
        calls.assert_others_are_well();
    }
}
