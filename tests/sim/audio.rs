//! Active speakers, forwarding of the loudest, and silence: levels, loudest-N, discontinuous transmission,
//! retransmission of audio.

use control::{AudioObserver, Command, Event, ProducerId, Refusal, Volume};
use leat_tests::{MS, PeerId, SEC, Track, World};
use machine::Instant;
use std::time::Duration;

const OBSERVER: AudioObserver =
    AudioObserver { interval_ms: 300, threshold_dbov: -60, loudest_forwarded: None };

/// Peers with a microphone each, all silent.
fn room(seed: u64, peers: usize, observer: AudioObserver) -> (World, Vec<(PeerId, ProducerId)>) {
    let mut world = World::new(seed);
    let router = world.router();
    world.demand(Command::ObserveAudio { router, observer: Some(observer) });
    let peers: Vec<PeerId> = (0..peers).map(|_| world.join()).collect();
    world.connect();
    let microphones = peers.into_iter().map(|peer| {
        let microphone = world.publish(peer, Track::microphone());
        world.order_source(microphone, |source| source.set_level(90));
        (peer, microphone)
    });
    let microphones = microphones.collect();
    world.run_for(SEC);
    (world, microphones)
}

/// One speaks for a while: words of half a second, pauses of a fifth. The others are quiet.
fn speak(world: &mut World, microphones: &[(PeerId, ProducerId)], speaker: ProducerId, time: Duration) {
    let mut left = time;
    while left > Duration::ZERO {
        for (level, span) in [(30, 500 * MS), (80, 200 * MS)] {
            for (_, microphone) in microphones {
                let level = if *microphone == speaker { level } else { 85 };
                world.order_source(*microphone, |source| source.set_level(level));
            }
            world.run_for(span.min(left));
            left = left.saturating_sub(span);
        }
    }
}

type Spoken = (Instant, Option<ProducerId>, Vec<Volume>);

fn reported(world: &World) -> Vec<Spoken> {
    let reported = world.events().iter().filter_map(|(at, event)| match event {
        Event::Speakers { router, dominant, volumes } => {
            assert_eq!(*router, world.router(), "{world}");
            Some((*at, *dominant, volumes.clone()))
        }
        _ => None,
    });
    reported.collect()
}

#[test]
fn the_dominant_speaker_follows_the_turns() {
    let (mut world, microphones) = room(201, 3, OBSERVER);
    let mut turns = Vec::new();
    for turn in 0..12 {
        let (_, speaker) = microphones[turn % 3];
        turns.push((world.now(), speaker));
        speak(&mut world, &microphones, speaker, 4 * SEC);
    }
    world.assert_sound();
    let reported = reported(&world);
    // Not more often than configured, and only after a change.
    for pair in reported.windows(2) {
        assert!(pair[1].0.saturating_since(pair[0].0) >= 300 * MS, "{world}: {pair:?}");
        assert_ne!((pair[0].1, &pair[0].2), (pair[1].1, &pair[1].2), "{world}");
    }
    let mut switches: Vec<(Instant, ProducerId)> = Vec::new();
    for (at, dominant, _) in &reported {
        if let Some(dominant) = dominant
            && switches.last().is_none_or(|(_, last)| last != dominant)
        {
            switches.push((*at, *dominant));
        }
    }
    assert_eq!(switches.len(), turns.len(), "{world}: {switches:?}");
    for ((began, speaker), (at, dominant)) in turns.iter().zip(&switches) {
        assert_eq!(dominant, speaker, "{world}");
        let late = at.saturating_since(*began);
        // A second, and the rest of the report interval.
        assert!(late < 1_300 * MS, "{world}: {late:?} late");
    }
    // Only the speaker is loud enough to be reported; in between, the previous voice fades.
    for (_, _, volumes) in &reported {
        assert!(volumes.len() <= 2, "{world}: {volumes:?}");
        assert!(volumes.iter().all(|volume| (-60..=-30).contains(&volume.dbov)), "{world}: {volumes:?}");
    }
}

#[test]
fn a_silent_room_is_reported_once() {
    let (mut world, microphones) = room(202, 3, OBSERVER);
    let (_, speaker) = microphones[0];
    speak(&mut world, &microphones, speaker, 3 * SEC);
    speak(&mut world, &microphones, ProducerId(u64::MAX), 3 * SEC);
    let before = reported(&world);
    let (_, dominant, volumes) = before.last().expect("a peer spoke");
    assert_eq!((*dominant, volumes.len()), (Some(speaker), 0), "{world}");
    world.run_for(20 * SEC);
    assert_eq!(reported(&world).len(), before.len(), "{world}: silence is not reported");

    // A paused or closed producer is not dominant.
    world.demand(Command::PauseProducer { producer: speaker });
    world.run_for(SEC);
    assert_eq!(reported(&world).last().map(|reported| reported.1), Some(None), "{world}");
    world.demand(Command::ResumeProducer { producer: speaker });
    speak(&mut world, &microphones, speaker, 3 * SEC);
    assert_eq!(reported(&world).last().map(|reported| reported.1), Some(Some(speaker)), "{world}");
    world.demand(Command::CloseProducer { producer: speaker });
    world.run_for(SEC);
    let (_, dominant, volumes) = reported(&world).pop().expect("there is a report");
    assert_eq!((dominant, volumes.len()), (None, 0), "{world}");

    // The observer is disabled.
    let router = world.router();
    world.demand(Command::ObserveAudio { router, observer: None });
    let before = reported(&world).len();
    let (_, speaker) = microphones[1];
    speak(&mut world, &microphones[1..], speaker, 3 * SEC);
    assert_eq!(reported(&world).len(), before, "{world}");
}

/// Producers of an earlier observer are known to the next one.
#[test]
fn voices_are_reported_again_to_a_new_observer() {
    let (mut world, microphones) = room(206, 3, OBSERVER);
    let router = world.router();
    let (_, speaker) = microphones[0];
    speak(&mut world, &microphones, speaker, 2 * SEC);
    assert_eq!(reported(&world).last().map(|reported| reported.1), Some(Some(speaker)), "{world}");
    world.demand(Command::ObserveAudio { router, observer: None });
    world.run_for(SEC);
    world.demand(Command::ObserveAudio { router, observer: Some(OBSERVER) });
    let before = reported(&world).len();
    let (_, speaker) = microphones[1];
    speak(&mut world, &microphones, speaker, 3 * SEC);
    assert!(reported(&world).len() > before, "{world}");
    assert_eq!(reported(&world).last().map(|reported| reported.1), Some(Some(speaker)), "{world}");
}

#[test]
fn an_observer_beyond_its_bounds_is_refused() {
    let mut world = World::new(203);
    let router = world.router();
    for observer in [
        AudioObserver { interval_ms: 99, ..OBSERVER },
        AudioObserver { interval_ms: 10_001, ..OBSERVER },
        AudioObserver { threshold_dbov: 1, ..OBSERVER },
        AudioObserver { loudest_forwarded: Some(0), ..OBSERVER },
        AudioObserver { loudest_forwarded: Some(17), ..OBSERVER },
    ] {
        let answer = world.request(Command::ObserveAudio { router, observer: Some(observer) });
        assert!(matches!(answer, Event::Refused { refusal: Refusal::Invalid, .. }), "{answer:?}");
    }
    for _ in 0..2 {
        world.demand(Command::ObserveAudio { router, observer: Some(OBSERVER) });
    }
}

/// A hundred microphones, of which the three loudest are forwarded.
#[test]
fn three_of_a_hundred_speakers_are_forwarded() {
    const LOUDEST: AudioObserver = AudioObserver { loudest_forwarded: Some(3), ..OBSERVER };
    let (mut world, microphones) = room(204, 100, LOUDEST);
    let listener = microphones[0].0;
    let ears: Vec<_> = microphones[1..]
        .iter()
        .map(|(_, microphone)| (*microphone, world.subscribe(listener, *microphone)))
        .collect();
    world.run_for(SEC);
    let began = world.now();
    for turn in 0..8usize {
        let (_, speaker) = microphones[1 + turn * 37 % 99];
        let ear = ears.iter().find(|(microphone, _)| *microphone == speaker).expect("subscribed").1;
        let heard_before = world.sink(ear).packets().len();
        speak(&mut world, &microphones, speaker, 2_100 * MS);
        // From the first packet of the first word on.
        let heard = world.sink(ear).packets().len() - heard_before;
        assert!((104..=106).contains(&heard), "{world}, turn {turn}: {heard}");
    }
    let seconds = world.now().saturating_since(began).as_secs_f64();
    world.finish();
    world.assert_sound();
    let since = |at: Instant| at >= began;
    let all: usize = ears
        .iter()
        .map(|(_, ear)| world.sink(*ear).packets().values().filter(|packet| since(packet.at)).count())
        .sum();
    let packets_per_second = all as f64 / seconds;
    assert!(packets_per_second <= 3.0 * 50.0 * 1.02, "{world}: {packets_per_second} packets a second");
    // One of the three places may be the listener's own.
    assert!(packets_per_second >= 2.0 * 50.0 * 0.98, "{world}: {packets_per_second} packets a second");
    for (_, ear) in &ears {
        let sink = world.sink(*ear);
        assert_eq!(
            (sink.missing(), sink.nacks()),
            (0, 0),
            "{world}: sequence numbers continue where they were"
        );
    }
    let forwarded = ears.iter().filter(|(_, ear)| !world.sink(*ear).packets().is_empty()).count();
    assert!(forwarded >= 8, "{world}: {forwarded}");
}

#[test]
fn with_enough_places_all_producers_are_forwarded() {
    const LOUDEST: AudioObserver = AudioObserver { loudest_forwarded: Some(3), ..OBSERVER };
    let (mut world, microphones) = room(205, 3, LOUDEST);
    let ear = world.subscribe(microphones[0].0, microphones[2].1);
    speak(&mut world, &microphones, microphones[1].1, 5 * SEC);
    // When the observer's settings change, the places are assigned again.
    let router = world.router();
    let one = AudioObserver { loudest_forwarded: Some(1), ..OBSERVER };
    world.demand(Command::ObserveAudio { router, observer: Some(one) });
    speak(&mut world, &microphones, microphones[1].1, SEC);
    let before = world.sink(ear).packets().len();
    assert!((240..=303).contains(&before), "{world}: {before}");
    speak(&mut world, &microphones, microphones[1].1, 5 * SEC);
    assert_eq!(world.sink(ear).packets().len(), before, "{world}: another one has the place");
    world.demand(Command::ObserveAudio { router, observer: None });
    speak(&mut world, &microphones, microphones[1].1, SEC);
    world.finish();
    world.assert_sound();
    let after = world.sink(ear).packets().len() - before;
    assert!((48..=52).contains(&after), "{world}: {after}");
    assert_eq!(world.sink(ear).missing(), 0, "{world}");
}

/// With discontinuous transmission a packet is sent every 400 ms during silence (RFC 7587 §3.1.3).
#[test]
fn silence_causes_no_requests_and_keeps_the_score() {
    for loss in [0.0, 0.05] {
        let mut world = World::new(206);
        let (alice, bob) = (world.join(), world.join());
        for peer in [alice, bob] {
            world.link(peer).delay(25 * MS).loss(loss);
        }
        world.connect();
        let microphone = world.publish(alice, Track::microphone());
        let ear = world.subscribe(bob, microphone);
        for _ in 0..5 {
            world.run_for(3 * SEC);
            world.order_source(microphone, |source| source.set_frame_interval(400 * MS));
            world.run_for(8 * SEC);
            world.order_source(microphone, |source| source.set_frame_interval(20 * MS));
        }
        world.finish();
        world.assert_sound();
        let (source, sink) = (world.source(microphone), world.sink(ear));
        if loss == 0.0 {
            assert_eq!((source.requested().len(), sink.nacks()), (0, 0), "{world}: nothing was lost");
            assert_eq!(sink.packets().len() as u64, source.packets(), "{world}");
        }
        assert!(sink.missing_share() < 0.005, "{world}: {}", sink.missing());
        let worst = world.events().iter().filter_map(|(_, event)| match event {
            Event::Score { score, .. } => Some(*score),
            _ => None,
        });
        // A lost packet of silence is repaired when the next one shows the gap, 400 ms late: that counts as
        // jitter.
        let least = if loss == 0.0 { 9 } else { 7 };
        assert!(worst.clone().all(|score| score >= least), "{world}: {:?}", worst.collect::<Vec<_>>());
    }
}

/// A consumer that ignores DTX gets no comfort-noise packets and has no gaps; its stream does not count as
/// silent.
#[test]
fn a_consumer_that_ignores_dtx_gets_audio_without_gaps() {
    for track in [Track::microphone(), Track::microphone().redundant()] {
        let mut world = World::new(209);
        let [alice, bob, carol] = [world.join(), world.join(), world.join()];
        world.connect();
        let microphone = world.publish(alice, track);
        let all = world.subscribe(bob, microphone);
        let spared = world.subscribe(carol, microphone);
        world.demand(Command::SetIgnoreDtx { consumer: spared, ignore: true });
        for _ in 0..5 {
            world.run_for(2 * SEC);
            world.order_source(microphone, |source| {
                source.set_silent(true);
                source.set_frame_interval(200 * MS);
            });
            world.run_for(4 * SEC);
            world.order_source(microphone, |source| {
                source.set_silent(false);
                source.set_frame_interval(20 * MS);
            });
        }
        world.run_for(SEC);
        world.demand(Command::SetIgnoreDtx { consumer: spared, ignore: false });
        world.order_source(microphone, |source| source.set_silent(true));
        world.run_for(SEC);
        world.finish();
        world.assert_sound();
        let silences = |ear| {
            let packets = world.sink(ear).packets().values();
            packets
                .filter(|packet| packet.payload.stamp.count == 1 && packet.payload.stamp.index == 127)
                .count()
        };
        assert_eq!(world.sink(all).packets().len() as u64, world.source(microphone).packets(), "{world}");
        let (all_silences, kept) = (silences(all), silences(spared));
        assert!(kept >= 45, "{world}: the packets at the end are sent again: {kept}");
        assert!(
            (95..=105).contains(&(all_silences - kept)),
            "{world}: 20 in each pause: {all_silences}, {kept}"
        );
        for ear in [all, spared] {
            let sink = world.sink(ear);
            assert_eq!((sink.missing(), sink.nacks()), (0, 0), "{world}: {ear}");
        }
        let scores = world.events().iter().filter_map(|(_, event)| match event {
            Event::Score { score, .. } => Some(*score),
            _ => None,
        });
        assert!(scores.clone().all(|score| score >= 8), "{world}: {:?}", scores.collect::<Vec<_>>());
    }
}

/// Audio has no stream for retransmissions; a lost packet is sent again unchanged, as long as it is cached.
#[test]
fn lost_audio_is_retransmitted_if_nack_is_negotiated() {
    let mut received = [0.0; 2];
    for (nack, share) in [false, true].into_iter().zip(&mut received) {
        let mut world = World::new(207);
        let (alice, bob) = (world.join(), world.join());
        for peer in [alice, bob] {
            world.link(peer).delay(25 * MS).loss(0.2);
        }
        world.connect();
        let microphone = world.publish(alice, Track { nack, ..Track::microphone() });
        let ear = world.subscribe(bob, microphone);
        world.run_for(20 * SEC);
        world.finish();
        world.assert_sound();
        assert_eq!(!world.source(microphone).requested().is_empty(), nack, "{world}");
        *share = world.sink(ear).packets().len() as f64 / world.source(microphone).packets() as f64;
    }
    // Without NACK, the engine lacks a fifth of the packets, which the subscriber cannot get from it.
    assert!(received[0] < 0.85 && received[1] > 0.985, "{received:?}");
}

/// Of redundant audio (RFC 2198) a peer with RED gets everything, one without it the primary of each packet.
#[test]
fn red_is_forwarded_or_stripped_by_the_receivers_capability() {
    for loss in [0.0, 0.1] {
        let mut world = World::new(208);
        let [alice, bob, carol] = [world.join(), world.join(), world.join()];
        for peer in [alice, bob, carol] {
            world.link(peer).delay(25 * MS).loss(loss);
        }
        world.connect();
        let microphone = world.publish(alice, Track::microphone().redundant());
        let plain = world.publish(alice, Track::microphone());
        let with_red = world.subscribe_to_red(bob, microphone);
        let without = world.subscribe(carol, microphone);
        let of_plain = world.subscribe(bob, plain);
        world.run_for(20 * SEC);
        world.finish();
        // A sink checks that payload types are each receiver's, payloads are complete, and retransmissions
        // have the same bytes.
        world.assert_sound();
        let sent = world.source(microphone).packets();
        for ear in [with_red, without, of_plain] {
            let sink = world.sink(ear);
            assert!(sink.packets().len() as f64 > sent as f64 * 0.99, "{world}: {ear}");
            assert!(sink.missing_share() < 0.005, "{world}: {} missing", sink.missing());
            assert_eq!(sink.repaired() + sink.nacks() > 0, loss > 0.0, "{world}: {ear}");
        }
        assert!(world.sink(with_red).copies() + 2 >= world.sink(with_red).packets().len() as u64, "{world}");
        assert_eq!((world.sink(without).copies(), world.sink(of_plain).copies()), (0, 0), "{world}");
        // The primaries alone are about half of it.
        let (with_red, without) = (world.sink(with_red).octets(), world.sink(without).octets());
        assert!(without * 17 < with_red * 10, "{world}: {without} of {with_red} bytes");
    }
}
