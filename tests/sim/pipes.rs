//! One room over two workers: which packets cross, how often, which requests return, and how both ends close.

use control::{
    AudioObserver, Closed, Command, ConsumerId, ContentHint, Counter, CreatePipe, Discard, Event, Layers,
    ProducerId, Refusal, RouterId, SnapshotItem, StatsOf, TransportId,
};
use leat_tests::{LayeredTrack, MS, PeerId, SEC, Track, World};
use machine::Instant;
use std::time::Duration;

/// Alice is on the first worker, all others on the second.
struct Call {
    world: World,
    alice: PeerId,
    others: Vec<PeerId>,
}

impl Call {
    fn new(seed: u64, others: usize) -> Self {
        let mut world = World::with_workers(seed, 2);
        let alice = world.join_at(0);
        world.link(alice).delay(25 * MS);
        let others: Vec<PeerId> = (0..others).map(|_| world.join_at(1)).collect();
        others.iter().for_each(|peer| _ = world.link(*peer).delay(25 * MS));
        world.connect();
        Self { world, alice, others }
    }

    /// The first of the others consumes a camera of Alice's, and leaves keyframe requests to the engine.
    fn watched(seed: u64) -> (Self, ProducerId, ConsumerId) {
        let mut call = Self::new(seed, 1);
        let camera = call.world.publish(call.alice, Track::camera());
        let view = call.world.subscribe(call.others[0], camera);
        call.world.order_sink(view, |sink| sink.leave_keyframes_to_the_engine());
        call.world.run_for(2 * SEC);
        (call, camera, view)
    }

    fn counted(&mut self, worker: usize, counter: Counter) -> u64 {
        self.world.turn_to(worker);
        self.world.shard().counters().value(counter)
    }

    fn discarded(&mut self, worker: usize, discard: Discard) -> u64 {
        self.world.turn_to(worker);
        self.world.shard().counters().discarded(discard)
    }

    fn demand(&mut self, worker: usize, command: Command) {
        self.world.turn_to(worker);
        self.world.demand(command);
    }

    fn closings(&mut self, worker: usize) -> Vec<Event> {
        self.world.turn_to(worker);
        let is_closing = |event: &&Event| {
            matches!(
                event,
                Event::ProducerClosed { .. } | Event::ConsumerClosed { .. } | Event::TransportClosed { .. }
            )
        };
        self.world.events().iter().map(|(_, event)| event).filter(is_closing).cloned().collect()
    }

    /// Frames received since.
    fn frames_since(&self, view: ConsumerId, since: Instant) -> usize {
        self.world.sink(view).frames().iter().filter(|frame| frame.at >= since).count()
    }
}

#[test]
fn a_packet_crosses_once_per_worker_and_reaches_all_consumers() {
    for seed in 1600..1604 {
        let mut call = Call::new(seed, 3);
        // Loss on the uplink is repaired at the publisher's worker, loss on the downlink at the subscriber's.
        let all_peers: Vec<PeerId> = std::iter::once(call.alice).chain(call.others.clone()).collect();
        for peer in &all_peers {
            call.world.link(*peer).loss(0.03).jitter(5 * MS);
        }
        let beside = call.world.join_at(0);
        call.world.connect();
        let tracks = [Track::camera(), Track::microphone(), Track::camera().without_rtx()];
        let tracks = tracks.map(|track| call.world.publish(call.alice, track));
        let mut views = Vec::new();
        for peer in call.others.iter().chain([&beside]) {
            views.extend(tracks.map(|track| (call.world.subscribe(*peer, track), track)));
        }
        call.world.run_for(10 * SEC);
        call.world.finish();
        call.world.assert_sound();
        for (view, track) in views {
            let (sink, sent) = (call.world.sink(view), call.world.source(track).packets());
            assert!(sink.packets().len() as f64 > sent as f64 * 0.985, "{}: {view}", call.world);
            assert!(sink.missing_share() < 0.005, "{}: {view} misses {}", call.world, sink.missing());
            assert!(sink.nacks() > 0, "{}", call.world);
        }
        // Each packet crossed once for three consumers there, and only new packets.
        let (given, taken) = (call.counted(0, Counter::PipedOut), call.counted(1, Counter::PipedIn));
        assert_eq!((given, call.counted(0, Counter::PipedLost)), (taken, 0), "{}", call.world);
        let sent: u64 = tracks.iter().map(|track| call.world.source(*track).packets()).sum();
        assert!(given <= sent && given as f64 > sent as f64 * 0.98, "{}: {given} of {sent}", call.world);
        assert_eq!(call.counted(1, Counter::PipedOut), 0, "{}", call.world);
        assert_eq!(call.counted(1, Counter::NacksOut), 0, "{}", call.world);
        for discard in [Discard::PipeMessageMalformed, Discard::PipeMessageStale] {
            assert_eq!(call.discarded(0, discard) + call.discarded(1, discard), 0, "{}", call.world);
        }
    }
}

/// As on one worker: see `keyframes.rs`.
#[test]
fn a_keyframe_is_requested_once_through_the_pipe_for_all_consumers() {
    let mut call = Call::new(1610, 5);
    let camera = call.world.publish(call.alice, Track::camera());
    call.world.run_for(3 * SEC);
    let asked_at = call.world.now();
    let views: Vec<ConsumerId> =
        call.others.clone().into_iter().map(|peer| call.world.subscribe(peer, camera)).collect();
    views.iter().for_each(|view| call.world.order_sink(*view, |sink| sink.leave_keyframes_to_the_engine()));
    call.world.run_for(3 * SEC);
    call.world.assert_sound();
    for view in views {
        let first = call.world.sink(view).frames()[0];
        assert!(first.is_keyframe, "{}", call.world);
        let waited = first.at.saturating_since(asked_at);
        assert!(waited < 150 * MS, "{}: {waited:?}", call.world);
    }
    assert_eq!(call.world.source(camera).keyframe_requests().len(), 1, "{}", call.world);
    assert_eq!(call.counted(0, Counter::KeyframeRequestsOut), 1, "{}", call.world);
}

#[test]
fn clocks_cross_so_that_audio_and_video_stay_in_sync() {
    let mut call = Call::new(1615, 1);
    let tracks = [(Track::camera(), 90_000.0), (Track::microphone(), 48_000.0)];
    let views = tracks.map(|(track, clock_rate_hz)| {
        let producer = call.world.publish(call.alice, track);
        (call.world.subscribe(call.others[0], producer), clock_rate_hz)
    });
    call.world.run_for(10 * SEC);
    call.world.assert_sound();
    for (view, clock_rate_hz) in views {
        let sink = call.world.sink(view);
        let (_, first) = sink.packets().first_key_value().unwrap();
        let captured_at = first.payload.stamp.captured_at.as_nanos() as f64;
        assert!(sink.sender_reports().len() >= 7, "{}", call.world);
        for report in sink.sender_reports() {
            let ticks = f64::from(report.rtp_timestamp.wrapping_sub(first.timestamp) as i32);
            let by_rtp = captured_at + ticks / clock_rate_hz * 1e9;
            let apart_ms = (report.wall_nanos as f64 - by_rtp).abs() / 1e6;
            assert!(apart_ms < 1.0, "{}: the clocks of {view} are {apart_ms} ms apart", call.world);
        }
    }
}

const fn layers(spatial: u8) -> Layers {
    Layers { spatial, temporal: 2 }
}

/// The events at this worker about layers with consumers.
fn wanted(world: &mut World, worker: usize, camera: ProducerId) -> Option<u8> {
    world.turn_to(worker);
    let mut events = world.events().iter().rev();
    events.find_map(|(_, event)| match event {
        Event::LayersWanted { producer, spatial } if *producer == camera => Some(*spatial),
        _ => None,
    })
}

#[test]
fn layers_consumed_on_another_worker_are_reported_and_others_are_not() {
    for (seed, track) in [(1620, LayeredTrack::vp8_simulcast()), (1621, LayeredTrack::av1_simulcast())] {
        let mut call = Call::new(seed, 2);
        let beside = call.world.join_at(0);
        call.world.connect();
        let camera = call.world.publish_layered(call.alice, track);
        let here = call.world.subscribe_layered(beside, camera, Some(layers(0)));
        let there = [0, 1].map(|nth| {
            let view = call.world.subscribe_layered(call.others[nth], camera, Some(layers(0)));
            call.world.order_sink(view, |sink| sink.leave_keyframes_to_the_engine());
            view
        });
        call.world.run_for(4 * SEC);
        let wanted_by = |call: &mut Call, worker| wanted(&mut call.world, worker, camera);
        assert_eq!(wanted_by(&mut call, 0), Some(0b001), "{}", call.world);
        for (consumer, spatial, expected) in [(there[0], 2, 0b101), (there[1], 1, 0b111)] {
            call.demand(1, Command::SetPreferredLayers { consumer, layers: layers(spatial) });
            call.world.run_for(4 * SEC);
            assert_eq!(wanted_by(&mut call, 0), Some(expected), "{}", call.world);
            let since = call.world.now();
            call.world.run_for(SEC);
            let arrivals = call.world.receiver(consumer).arrivals().iter();
            let highest = arrivals.filter(|(at, _)| *at > since).map(|(_, layers)| layers.spatial).max();
            assert_eq!(highest, Some(spatial), "{}", call.world);
        }
        for consumer in there {
            call.demand(1, Command::CloseConsumer { consumer });
        }
        call.world.run_for(4 * SEC);
        assert_eq!(wanted_by(&mut call, 0), Some(0b001), "{}", call.world);
        call.demand(0, Command::CloseConsumer { consumer: here });
        call.world.run_for(4 * SEC);
        assert_eq!((wanted_by(&mut call, 0), wanted_by(&mut call, 1)), (Some(0), None), "{}", call.world);
        call.world.finish();
        call.world.assert_sound();
        for view in there {
            assert!(call.world.receiver(view).undecodable().is_empty(), "{}: {view}", call.world);
        }
    }
}

#[test]
fn a_paused_track_is_paused_on_all_workers_and_resumes_with_a_keyframe() {
    let (mut call, producer, view) = Call::watched(1630);
    call.demand(0, Command::PauseProducer { producer });
    call.world.run_for(200 * MS);
    let (paused_at, crossed) = (call.world.now(), call.counted(0, Counter::PipedOut));
    call.world.run_for(3 * SEC);
    assert_eq!(call.frames_since(view, paused_at), 0, "{}", call.world);
    assert_eq!(call.counted(0, Counter::PipedOut), crossed, "{}: it is not consumed there", call.world);
    call.world.turn_to(1);
    let paused = call.world.snapshot().into_iter().find_map(|item| match item {
        SnapshotItem::Producer { paused, .. } => Some(paused),
        _ => None,
    });
    assert_eq!(paused, Some(true), "{}", call.world);
    call.demand(0, Command::ResumeProducer { producer });
    call.world.run_for(SEC);
    let resumed = call.world.sink(view).frames().iter().find(|frame| frame.at > paused_at).copied().unwrap();
    assert!(resumed.is_keyframe, "{}", call.world);
    assert!(call.frames_since(view, paused_at) >= 20, "{}", call.world);
    call.world.finish();
    call.world.assert_sound();
    assert_eq!(call.world.sink(view).missing(), 0, "{}", call.world);
    // Not at the worker with the pipe.
    call.world.turn_to(1);
    let refused = call.world.request(Command::PauseProducer { producer });
    assert!(matches!(refused, Event::Refused { refusal: Refusal::Invalid, .. }), "{refused:?}");
}

#[test]
fn a_stream_with_another_ssrc_is_reset_on_both_workers() {
    let (mut call, camera, view) = Call::watched(1635);
    for _ in 0..3 {
        call.world.order_source(camera, |source| source.change_ssrc());
        call.world.run_for(2 * SEC);
    }
    let since = call.world.now();
    call.world.run_for(SEC);
    assert!(call.frames_since(view, since) >= 28, "{}", call.world);
    call.world.finish();
    call.world.assert_sound();
    assert_eq!(call.world.sink(view).missing(), 0, "{}", call.world);
}

#[test]
fn closing_at_either_end_closes_and_is_reported_once() {
    let closed = Closed::Requested;
    // The origin: all its tracks are closed.
    let (mut call, producer, consumer) = Call::watched(1640);
    call.demand(0, Command::CloseProducer { producer });
    call.world.run_for(SEC);
    let (consumer_closed, producer_closed) =
        (Event::ConsumerClosed { consumer, closed }, Event::ProducerClosed { producer, closed });
    assert_eq!(call.closings(0), std::slice::from_ref(&producer_closed), "{}", call.world);
    // The pipe closes with its last track.
    let pipe_closed = Event::TransportClosed { transport: call.world.transport(call.alice), closed };
    assert_eq!(call.closings(1), [consumer_closed, producer_closed, pipe_closed], "{}", call.world);
    // A close command of signaling has no further effect.
    call.world.turn_to(1);
    let again = call.world.request(Command::CloseProducer { producer });
    assert!(matches!(again, Event::Refused { refusal: Refusal::NotFound, .. }), "{again:?}");

    // The subscriber: the origin sends no more, and nothing else changes.
    let (mut call, producer, consumer) = Call::watched(1641);
    let transport = call.world.transport(call.alice);
    call.demand(1, Command::CloseTransport { transport });
    call.world.run_for(20 * MS);
    let crossed = call.counted(0, Counter::PipedOut);
    call.world.run_for(SEC);
    assert_eq!(call.counted(0, Counter::PipedOut), crossed, "{}", call.world);
    let transport_closed = Event::TransportClosed { transport, closed };
    let expected = [
        Event::ConsumerClosed { consumer, closed },
        Event::ProducerClosed { producer, closed },
        transport_closed,
    ];
    assert_eq!(call.closings(1), expected, "{}", call.world);
    assert_eq!(call.closings(0), [], "{}", call.world);
    let view = call.world.subscribe(call.others[0], producer);
    let since = call.world.now();
    call.world.run_for(2 * SEC);
    assert!(call.frames_since(view, since) > 40, "{}: it can be had again", call.world);
    call.world.assert_sound();
}

#[test]
fn tracks_without_consumers_there_do_not_cross() {
    let mut call = Call::new(1645, 2);
    let camera = call.world.publish(call.alice, Track::camera());
    call.world.pipe(camera, 0, 1);
    call.world.run_for(2 * SEC);
    assert_eq!(call.counted(0, Counter::PipedOut), 0, "{}: there is no consumer", call.world);
    for round in 0..3 {
        let watchers = call.others.clone();
        let views: Vec<ConsumerId> =
            watchers.into_iter().map(|peer| call.world.subscribe(peer, camera)).collect();
        views.iter().for_each(|view| {
            call.world.order_sink(*view, |sink| sink.leave_keyframes_to_the_engine());
        });
        let since = call.world.now();
        call.world.run_for(3 * SEC);
        for view in &views {
            assert!(call.frames_since(*view, since) > 70, "{}: {round}", call.world);
        }
        for consumer in views {
            call.demand(1, Command::CloseConsumer { consumer });
        }
        call.world.run_for(100 * MS);
        let crossed = call.counted(0, Counter::PipedOut);
        // Longer than the numbers of its packets need to advance by half of their range, in one of them.
        let pause = if round == 1 { 120 * SEC } else { SEC };
        call.world.run_for(pause);
        assert_eq!(call.counted(0, Counter::PipedOut), crossed, "{}: {round}", call.world);
    }
    call.world.assert_sound();
}

/// A quarter of everything that crosses is lost; then all of it while both ends close.
#[test]
fn no_worker_waits_for_a_lost_message() {
    for seed in 1650..1658 {
        let mut call = Call::new(seed, 1);
        for worker in 0..2 {
            call.world.turn_to(worker);
            let rng = machine::Rng::from_number(seed + worker as u64);
            call.world.outbox().refuse_hand_offs(rng, 0.25);
        }
        let camera = call.world.publish_layered(call.alice, LayeredTrack::vp8_simulcast());
        let view = call.world.subscribe_layered(call.others[0], camera, Some(layers(0)));
        call.world.run_for(10 * SEC);
        assert_eq!(wanted(&mut call.world, 0, camera), Some(0b001), "{}", call.world);
        assert!(call.counted(0, Counter::PipedLost) > 100, "{}", call.world);
        for (paused, command) in [
            (true, Command::PauseProducer { producer: camera }),
            (false, Command::ResumeProducer { producer: camera }),
        ] {
            call.demand(0, command);
            call.world.run_for(10 * SEC);
            call.world.turn_to(1);
            let is_paused = |item: &SnapshotItem| matches!(item, SnapshotItem::Producer { paused: true, .. });
            assert_eq!(call.world.snapshot().iter().any(is_paused), paused, "{}", call.world);
        }
        call.world.turn_to(0);
        call.world.outbox().refuse_hand_offs(machine::Rng::from_number(seed), 0.0);
        call.world.run_for(5 * SEC);
        let since = call.world.now();
        call.world.run_for(2 * SEC);
        let arrivals = call.world.receiver(view).arrivals().iter().filter(|(at, _)| *at > since).count();
        assert!(arrivals > 50, "{}: {arrivals}", call.world);
        call.world.assert_sound();

        // The subscriber's final message is lost: a while later it is removed.
        call.world.turn_to(1);
        call.world.outbox().refuse_hand_offs(machine::Rng::from_number(seed), 1.0);
        let transport = call.world.transport(call.alice);
        call.demand(1, Command::CloseTransport { transport });
        call.world.run_for(6 * SEC);
        let crossed = call.counted(0, Counter::PipedOut);
        call.world.run_for(2 * SEC);
        assert_eq!(call.counted(0, Counter::PipedOut), crossed, "{}", call.world);
        assert!(call.discarded(1, Discard::PipeMessageStale) > 0, "{}", call.world);
        assert_eq!(wanted(&mut call.world, 0, camera), Some(0), "{}", call.world);

        // The origin's final message is lost: it is sent again after the next subscription.
        call.world.outbox().refuse_hand_offs(machine::Rng::from_number(seed), 0.0);
        call.world.turn_to(1);
        call.world.outbox().refuse_hand_offs(machine::Rng::from_number(seed), 0.0);
        call.world.subscribe_layered(call.others[0], camera, None);
        call.world.run_for(SEC);
        call.world.turn_to(0);
        call.world.outbox().refuse_hand_offs(machine::Rng::from_number(seed), 1.0);
        call.demand(0, Command::CloseProducer { producer: camera });
        call.world.outbox().refuse_hand_offs(machine::Rng::from_number(seed), 0.0);
        let closings_before = call.closings(1).len();
        call.world.run_for(SEC + 10 * MS);
        assert_eq!(call.closings(1).len(), closings_before + 3, "{}", call.world);
    }
}

#[test]
fn a_snapshot_shows_the_origin_of_pipes() {
    let (mut call, producer, consumer) = Call::watched(1660);
    let (pipe, receiving) = (call.world.transport(call.alice), call.world.transport(call.others[0]));
    let router = call.world.router();
    call.world.turn_to(1);
    let items = call.world.snapshot();
    let has = |wanted: &dyn Fn(&SnapshotItem) -> bool| items.iter().filter(|item| wanted(item)).count() == 1;
    assert!(has(&|item| matches!(item, SnapshotItem::Router { router: id, .. } if *id == router)));
    assert!(has(&|item| matches!(item,
        SnapshotItem::Pipe { transport, router: of } if (*transport, *of) == (pipe, router))));
    assert!(has(&|item| matches!(item,
        SnapshotItem::Producer { producer: id, transport, .. } if (*id, *transport) == (producer, pipe))));
    assert!(has(&|item| matches!(item, SnapshotItem::Consumer { consumer: id, transport, producer: of, .. }
        if (*id, *transport, *of) == (consumer, receiving, producer))));
    assert_eq!(items.len(), 5, "{}: {items:?}", call.world);

    // Statistics of everything are reported by all workers, and each object by one of them.
    let counted = [0, 1].map(|worker| {
        call.world.turn_to(worker);
        call.world.stats(StatsOf::Worker).len()
    });
    assert_eq!(counted, [2, 2], "{}: a transport each, a producer here and a consumer there", call.world);
}

#[test]
fn pipe_commands_can_be_repeated_and_contradictions_are_refused() {
    let (mut call, producer, _) = Call::watched(1665);
    call.world.pipe(producer, 0, 1);
    let (router, transport) = (call.world.router(), call.world.transport(call.alice));
    let create = |router, transport, worker| Command::CreatePipe(CreatePipe { router, transport, worker });
    let refused = |call: &mut Call, command| match call.world.request(command) {
        Event::Refused { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut call, create(router, transport, 7)), Refusal::Exists);
    assert_eq!(refused(&mut call, create(RouterId(99), TransportId(98), 0)), Refusal::NotFound);
    let bobs = call.world.transport(call.others[0]);
    assert_eq!(refused(&mut call, create(router, bobs, 0)), Refusal::Exists);
    for command in
        [Command::ConnectTransport { transport, fingerprint: [0; 32] }, Command::RestartIce { transport }]
    {
        assert_eq!(refused(&mut call, command), Refusal::Invalid);
    }
}

/// The content hint is set at the origin, and applies where the layers are selected.
#[test]
fn a_screen_gets_resolution_first_on_another_worker_too() {
    let within_half = |hint: ContentHint| {
        let mut call = Call::new(1666, 1);
        let track = call.world.publish_layered(call.alice, LayeredTrack::vp9_svc());
        let view = call.world.subscribe_layered_with_feedback(call.others[0], track);
        call.demand(0, Command::SetContentHint { producer: track, hint });
        let transport = call.world.transport(call.others[0]);
        let bounds = (Some(650_000), Some(650_000));
        let (min_outgoing_bps, max_outgoing_bps) = bounds;
        let max_incoming_bps = None;
        call.demand(
            1,
            Command::SetBitrates { transport, max_incoming_bps, min_outgoing_bps, max_outgoing_bps },
        );
        call.world.run_for(15 * SEC);
        call.world.assert_sound();
        let sent = call.world.events().iter().filter_map(|(_, event)| match event {
            Event::LayersChanged { consumer, layers } if *consumer == view => *layers,
            _ => None,
        });
        sent.map(|layers| layers.spatial).max()
    };
    assert_eq!([ContentHint::Motion, ContentHint::Detail].map(within_half), [Some(1), Some(2)]);
}

/// Each worker determines the speakers itself, with the same result.
#[test]
fn both_workers_forward_the_same_loudest_producers() {
    let mut world = World::with_workers(1670, 2);
    let peers = [0, 0, 1, 1].map(|worker| world.join_at(worker));
    let (router, one) = (world.router(), 1);
    let observer = AudioObserver { interval_ms: 300, threshold_dbov: -60, loudest_forwarded: Some(one) };
    for worker in 0..2 {
        world.turn_to(worker);
        world.demand(Command::ObserveAudio { router, observer: Some(observer) });
    }
    world.connect();
    let microphones = peers.map(|peer| world.publish(peer, Track::microphone()));
    microphones.iter().for_each(|microphone| world.order_source(*microphone, |source| source.set_level(90)));
    let mut ears = Vec::new();
    for (at, peer) in peers.iter().enumerate() {
        for (of, microphone) in microphones.iter().enumerate().filter(|(of, _)| *of != at) {
            ears.push((at, of, world.subscribe(*peer, *microphone)));
        }
    }
    world.run_for(SEC);
    for speaker in 0..4 {
        for (of, microphone) in microphones.iter().enumerate() {
            let level = if of == speaker { 20 } else { 90 };
            world.order_source(*microphone, |source| source.set_level(level));
        }
        world.run_for(4 * SEC);
        let heard: Vec<usize> = ears.iter().map(|(.., ear)| world.sink(*ear).packets().len()).collect();
        world.run_for(2 * SEC);
        for ((at, of, ear), heard) in ears.iter().zip(heard) {
            let more = world.sink(*ear).packets().len() - heard;
            let expected = if *of == speaker { 98..=102 } else { 0..=0 };
            assert!(expected.contains(&more), "{world}: {at} received {more} packets of {of}");
        }
        for worker in 0..2 {
            world.turn_to(worker);
            let dominant = world.events().iter().rev().find_map(|(_, event)| match event {
                Event::Speakers { dominant, .. } => Some(*dominant),
                _ => None,
            });
            assert_eq!(dominant, Some(Some(microphones[speaker])), "{world}: at {worker}");
        }
    }
    world.assert_sound();
}

/// The origin adds the stream's epoch to each packet: if an unprotected source restarts its numbers, its SSRC
/// does not show it.
#[test]
fn a_stream_with_restarted_numbers_is_reset_on_both_workers() {
    let (mut call, camera, view) = Call::watched(1675);
    call.world.turn_to(1);
    let ssrc = call.world.source(camera).ssrc();
    let slot = [0u32.to_le_bytes(), 0u32.to_le_bytes()].concat();
    let at = call.world.now().as_nanos().to_le_bytes();
    // A keyframe of VP8 in one packet, with a much lower number, of the next epoch of the first stream.
    let mut packet = vec![0x80, 0x80 | 96, 0, 5, 0, 0, 0, 9];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0, 1, 0, 1]);
    let out = call.counted(1, Counter::RtpOut);
    call.world.hand_over(0, &[&[6][..], &slot, &[0, 1], &at, &packet].concat());
    assert_eq!(call.counted(1, Counter::RtpOut), out + 1, "{}", call.world);
    for discard in [Discard::RtpTooOld, Discard::RtpDuplicate] {
        assert_eq!(call.discarded(1, discard), 0, "{}", call.world);
    }
    // The origin's real packets have the former epoch, and start with a keyframe, which is requested.
    let since = call.world.now();
    call.world.run_for(2 * SEC);
    assert!(call.frames_since(view, since) >= 30, "{}", call.world);
}

/// An invalid message, or a late one, is counted and has no effect.
#[test]
fn malformed_messages_are_counted() {
    let (mut call, producer, view) = Call::watched(1680);
    let stale = |call: &mut Call, worker| call.discarded(worker, Discard::PipeMessageStale);
    let malformed = |call: &mut Call, worker| call.discarded(worker, Discard::PipeMessageMalformed);
    let before = (malformed(&mut call, 1), stale(&mut call, 1));
    for nonsense in [&[][..], &[0], &[8; 30], &[7; 10], &[3; 9], &[6; 17], &[255; 2000]] {
        call.world.hand_over(0, nonsense);
    }
    assert_eq!(malformed(&mut call, 1), before.0 + 7, "{}", call.world);
    // Messages about an unused slot, or about a slot of another object.
    let slot = |index: u32, generation: u32| [index.to_le_bytes(), generation.to_le_bytes()].concat();
    let state = |slot: &[u8]| [&[3], slot, &[1]].concat();
    let gone = |slot: &[u8]| [&[4], slot].concat();
    for message in [state(&slot(0, 9)), state(&slot(u32::MAX, 0)), gone(&slot(77, 0)), gone(&slot(0, 1))] {
        call.world.hand_over(0, &message);
    }
    call.world.hand_over(5, &state(&slot(0, 0)));
    call.world.hand_over(5, &gone(&slot(0, 0)));
    assert_eq!(stale(&mut call, 1), before.1 + 6, "{}", call.world);
    // A packet of an unknown encoding; an invalid one; one with an unknown payload type.
    let media = |stream: u8, packet: &[u8]| {
        [&[6][..], &slot(0, 0), &[stream, 0], &5_000_000_000u64.to_le_bytes(), packet].concat()
    };
    let mut packet = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2];
    call.world.hand_over(0, &media(3, &packet));
    assert_eq!(malformed(&mut call, 1), before.0 + 8, "{}", call.world);
    call.world.hand_over(0, &media(0, &packet[..11]));
    assert_eq!(call.discarded(1, Discard::RtpMalformed), 1, "{}", call.world);
    packet[1] = 5;
    call.world.hand_over(0, &media(0, &packet));
    assert_eq!(call.discarded(1, Discard::RtpUnknownPt), 1, "{}", call.world);
    // A subscriber's messages at the origin, from a worker that has not subscribed.
    let producer_id = producer.0.to_le_bytes();
    call.world.turn_to(0);
    for message in
        [[&[1], &producer_id[..], &slot(0, 0)].concat(), [&[2], &producer_id[..], &slot(0, 0), &[0]].concat()]
    {
        call.world.hand_over(6, &message);
    }
    assert_eq!(stale(&mut call, 0), 2, "{}", call.world);
    let since = call.world.now();
    call.world.run_for(SEC);
    assert!(call.frames_since(view, since) >= 28, "{}", call.world);
    call.world.assert_sound();
}

#[test]
fn a_pipe_has_no_peer_and_closes_with_its_router() {
    let (mut call, producer, _) = Call::watched(1690);
    let alice = call.world.transport(call.alice);
    let router = call.world.router();
    call.demand(1, Command::CloseRouter { router });
    call.world.run_for(20 * MS);
    let crossed = call.counted(0, Counter::PipedOut);
    call.world.run_for(Duration::from_secs(1));
    assert_eq!(call.counted(0, Counter::PipedOut), crossed, "{}", call.world);
    call.world.turn_to(1);
    assert_eq!(call.world.snapshot(), [], "{}: {producer} on {alice}", call.world);
    for counter in [Counter::Routers, Counter::Transports, Counter::Producers, Counter::Consumers] {
        assert_eq!(call.counted(1, counter), 0, "{}: {counter:?}", call.world);
    }
}
