//! Statistics and scores: the engine's counts match those of the peers and the network.

use control::{
    Command, ConsumerId, ConsumerStats, Event, IceState, Kind, ProducerId, ProducerStats, Scored, StatsItem,
    StatsOf, StreamStats, TransportStats,
};
use leat_tests::{MS, PeerId, SEC, Track, World};

fn transport_stats(world: &mut World, peer: PeerId) -> TransportStats {
    let of = StatsOf::Transport(world.transport(peer));
    match &world.stats(of)[..] {
        [StatsItem::Transport(stats)] => stats.clone(),
        other => panic!("{world}: {other:?}"),
    }
}

fn producer_stats(world: &mut World, producer: ProducerId) -> ProducerStats {
    match &world.stats(StatsOf::Producer(producer))[..] {
        [StatsItem::Producer(stats)] => stats.clone(),
        other => panic!("{world}: {other:?}"),
    }
}

fn stream_stats(world: &mut World, producer: ProducerId) -> StreamStats {
    let stats = producer_stats(world, producer);
    assert_eq!(stats.streams.len(), 1, "{world}");
    stats.streams[0].clone()
}

fn consumer_stats(world: &mut World, consumer: ConsumerId) -> ConsumerStats {
    match &world.stats(StatsOf::Consumer(consumer))[..] {
        [StatsItem::Consumer(stats)] => stats.clone(),
        other => panic!("{world}: {other:?}"),
    }
}

/// Alice publishes audio and video to Bob; every datagram arrives.
fn call(seed: u64) -> (World, [PeerId; 2], [(ProducerId, ConsumerId); 2]) {
    let mut world = World::new(seed);
    let peers = [world.join(), world.join()];
    world.link(peers[0]).delay(20 * MS);
    world.link(peers[1]).delay(40 * MS);
    world.connect();
    let views = [Track::camera(), Track::microphone()].map(|track| {
        let producer = world.publish(peers[0], track);
        (producer, world.subscribe(peers[1], producer))
    });
    (world, peers, views)
}

#[test]
fn without_loss_all_counts_match_the_peers() {
    let (mut world, [alice, bob], views) = call(211);
    world.run_for(10 * SEC);
    let [bitrates, _] = views.map(|(producer, consumer)| {
        let (stream, consumer) = (stream_stats(&mut world, producer), consumer_stats(&mut world, consumer));
        (stream.bitrate_bps, consumer.bitrate_bps)
    });
    assert!((2_000_000..3_000_000).contains(&bitrates.0), "{world}: {bitrates:?}");
    assert!((2_000_000..3_000_000).contains(&bitrates.1), "{world}: {bitrates:?}");
    world.finish();
    world.assert_sound();
    for (producer, consumer) in views {
        let stats = stream_stats(&mut world, producer);
        let source = world.source(producer);
        assert_eq!(stats.ssrc, Some(source.ssrc()), "{world}");
        assert_eq!(stats.packets_received, source.packets(), "{world}");
        assert_eq!(stats.bytes_received, u64::from(source.octets()), "{world}");
        assert_eq!(stats.keyframes_received, source.keyframes().len() as u64, "{world}");
        let requests = source.keyframe_requests().len() as u64;
        assert_eq!((stats.pli_count, stats.fir_count), (requests, 0), "{world}");
        assert_eq!((stats.packets_lost, stats.nack_count, stats.score), (0, 0, 10), "{world}");
        assert_eq!((stats.bitrate_bps, stats.retransmitted_packets_received), (0, 0), "{world}");
        assert_eq!(stats.layers.len(), usize::from(producer == views[0].0), "{world}: {stats:?}");

        let stats = consumer_stats(&mut world, consumer);
        let sink = world.sink(consumer);
        assert_eq!(stats.packets_sent, sink.direct(), "{world}");
        assert_eq!(stats.bytes_sent, sink.octets(), "{world}");
        assert_eq!((stats.pli_count, stats.nack_count), (sink.plis(), 0), "{world}");
        assert_eq!((stats.packets_lost, stats.fraction_lost, stats.score), (0, 0, 10), "{world}");
        let round_trip = stats.round_trip_time_us.expect("Bob reports");
        assert!((79_000..82_000).contains(&round_trip), "{world}: {round_trip} µs");
    }
    // Every datagram on the network, of any protocol.
    for peer in [alice, bob] {
        let stats = transport_stats(&mut world, peer);
        let (up, down) = world.links(peer);
        assert_eq!(stats.packets_received, up.carried(), "{world}");
        assert_eq!(stats.packets_sent, down.carried(), "{world}");
        assert!(stats.bytes_received > stats.packets_received * 20, "{world}: {stats:?}");
        assert_eq!(stats.state.remote, Some(world.address(peer)), "{world}");
        assert_eq!(stats.state.ice, IceState::Completed, "{world}");
    }
    let round_trip = transport_stats(&mut world, bob).round_trip_time_us;
    assert!(round_trip.is_some_and(|us| (79_000..82_000).contains(&us)), "{world}: {round_trip:?}");
}

#[test]
fn lost_and_repaired_packets_are_counted_once() {
    let (mut world, [alice, bob], views) = call(212);
    world.uplink(alice).loss(0.05);
    world.downlink(bob).loss(0.05);
    world.run_for(20 * SEC);
    world.finish();
    world.assert_sound();
    for (producer, consumer) in views {
        let stats = stream_stats(&mut world, producer);
        let source = world.source(producer);
        let share = f64::from(stats.packets_lost) / source.packets() as f64;
        assert!((0.03..0.07).contains(&share) || source.packets() < 2_000, "{world}: {share}");
        assert!(stats.nack_count >= source.requested().len() as u64, "{world}");
        let repaired = stats.retransmitted_packets_received;
        if world.sink(consumer).kind() == Kind::Video {
            let first = stats.packets_received - repaired;
            assert!(
                source.packets() - first == u64::from(stats.packets_lost.unsigned_abs()),
                "{world}: {stats:?}"
            );
            assert!(repaired > 0 && repaired <= source.retransmissions(), "{world}");
        }
        assert!(stats.score >= 9, "{world}: all is repaired, {stats:?}");

        let stats = consumer_stats(&mut world, consumer);
        let sink = world.sink(consumer);
        assert!(stats.nack_count <= sink.nacks() && stats.nack_count > 0, "{world}");
        assert!(stats.retransmitted_packets_sent >= sink.repaired(), "{world}");
        // Retransmissions of audio use its own stream, and hide the loss.
        let shows_loss = world.sink(consumer).kind() == Kind::Video;
        assert!((stats.packets_lost > 0) == shows_loss && stats.score >= 8, "{world}: {stats:?}");
        // Retransmitted packets are in no other count.
        let arrived = sink.direct() as f64 / (stats.packets_sent + stats.retransmitted_packets_sent) as f64;
        assert!(arrived < 0.97, "{world}: {arrived}");
    }
}

#[test]
fn a_router_and_a_worker_report_everything_parents_first() {
    let (mut world, _, _) = call(213);
    let router = world.router();
    for of in [StatsOf::Router(router), StatsOf::Worker] {
        let mut seen = Vec::new();
        for item in world.stats(of) {
            match item {
                StatsItem::Transport(stats) => seen.push((0, stats.transport)),
                StatsItem::Producer(stats) => {
                    assert_eq!(seen.last().map(|last| last.1), Some(stats.transport), "{world}");
                    assert!(stats.kind == Kind::Audio || stats.kind == Kind::Video);
                    seen.push((1, stats.transport));
                }
                StatsItem::Consumer(stats) => seen.push((2, stats.transport)),
            }
        }
        let count = |kind| seen.iter().filter(|(seen, _)| *seen == kind).count();
        assert_eq!((count(0), count(1), count(2)), (2, 2, 2), "{world}");
    }
    let empty = world.create_router();
    assert!(world.stats(StatsOf::Router(empty)).is_empty(), "{world}");
    let answer = world.request(Command::Stats { of: StatsOf::Producer(ProducerId(77)) });
    assert!(matches!(answer, Event::Refused { .. }), "{world}");
}

#[test]
fn a_score_falls_with_unrepaired_loss_and_recovers() {
    let mut world = World::new(214);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let microphone = world.publish(alice, Track { nack: false, ..Track::microphone() });
    let ear = world.subscribe(bob, microphone);
    world.run_for(5 * SEC);
    assert_eq!(stream_stats(&mut world, microphone).score, 10, "{world}");
    world.uplink(alice).loss(0.2);
    world.run_for(20 * SEC);
    let at_worst = stream_stats(&mut world, microphone).score;
    assert!((1..=5).contains(&at_worst), "{world}: {at_worst}");
    let heard = world.sink(ear).packets().len();
    world.uplink(alice).heal();
    world.run_for(30 * SEC);
    assert_eq!(stream_stats(&mut world, microphone).score, 10, "{world}");
    assert!(world.sink(ear).packets().len() - heard >= 1_490, "{world}: a score gates nothing");
    world.assert_sound();
    let of_stream = Scored::Stream { producer: microphone, encoding: 0 };
    let reported: Vec<_> = world
        .events()
        .iter()
        .filter_map(|(at, event)| match event {
            Event::Score { of, score } if *of == of_stream => Some((*at, *score)),
            _ => None,
        })
        .collect();
    assert_eq!(reported.first().map(|(_, score)| *score), Some(10), "{world}: it began well");
    assert!(reported.iter().any(|(_, score)| *score <= 6), "{world}: {reported:?}");
    assert!(reported.last().is_some_and(|(_, score)| *score >= 9), "{world}: {reported:?}");
    for pair in reported.windows(2) {
        assert!(pair[1].0.saturating_since(pair[0].0) >= 2 * SEC, "{world}: {reported:?}");
        assert!(pair[1].1.abs_diff(pair[0].1) > 1, "{world}: {reported:?}");
    }
}

#[test]
fn stopped_video_has_score_zero_and_audio_keeps_its_score() {
    let (mut world, _, [(camera, _), (microphone, _)]) = call(215);
    world.run_for(5 * SEC);
    for track in [camera, microphone] {
        assert_eq!(stream_stats(&mut world, track).score, 10, "{world}");
        world.order_source(track, leat_tests::Source::stop);
    }
    world.run_for(6 * SEC);
    assert_eq!(stream_stats(&mut world, camera).score, 0, "{world}");
    assert_eq!(stream_stats(&mut world, microphone).score, 10, "{world}");
}

/// The E-model (ITU-T G.107, Annex B) again, from the real network values: one-way delay in milliseconds, and
/// loss in percent.
fn opinion(one_way_ms: f64, jitter_ms: f64, lost_percent: f64) -> f64 {
    let delay = one_way_ms + 2.0 * jitter_ms + 40.0;
    let late = if delay > 177.3 { 0.11 * (delay - 177.3) } else { 0.0 };
    let r = 93.2 - 0.024 * delay - late - 95.0 * lost_percent / (lost_percent + 10.0);
    if r < 0.0 { 1.0 } else { 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6 }
}

/// Scripted loss, jitter and round trips: the engine's result from a listener's reports matches the model's
/// result from the network.
#[test]
fn scores_of_audio_are_within_a_third_of_the_models_opinion() {
    let networks = [
        (20, 0, 0),
        (20, 0, 2),
        (20, 0, 5),
        (20, 0, 10),
        (20, 0, 20),
        (150, 0, 0),
        (300, 0, 0),
        (250, 0, 5),
        (60, 30, 0),
        (60, 30, 3),
    ];
    for (seed, (one_way_ms, jitter_ms, lost_percent)) in (230..).zip(networks) {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join());
        world.link(bob).delay(one_way_ms * MS);
        world.connect();
        let microphone = world.publish(alice, Track { nack: false, ..Track::microphone() });
        let ear = world.subscribe(bob, microphone);
        world.downlink(bob).jitter(jitter_ms * MS);
        // On the publisher's path, without retransmission: a packet that is missing there stays missing.
        world.uplink(alice).loss(f64::from(lost_percent) / 100.0);
        world.run_for(20 * SEC);
        let seconds = 60;
        let scores: u32 = (0..seconds)
            .map(|_| {
                world.run_for(SEC);
                u32::from(consumer_stats(&mut world, ear).score)
            })
            .sum();
        let reported = 1.0 + 3.5 * f64::from(scores) / f64::from(10 * seconds);
        // Of packets with a random delay up to `jitter_ms`, two in a row differ by a third of it.
        let model = opinion(
            f64::from(one_way_ms) + f64::from(jitter_ms) / 2.0,
            f64::from(jitter_ms) / 3.0,
            f64::from(lost_percent),
        );
        let network = (one_way_ms, jitter_ms, lost_percent);
        assert!(
            (reported - model).abs() < 0.3,
            "{world}: {reported:.2} reported and {model:.2} by the model of {network:?}"
        );
    }
}
