//! How a peer connects, moves, and leaves: ICE consent, restarts, and changing addresses. Tests of addresses
//! have an even and an odd seed: IPv4 and IPv6.

use control::{Closed, Command, Counter, Discard, Event, IceState, TransportId, TransportState};
use leat_tests::{MS, PeerId, SEC, Track, World};
use machine::Instant;
use std::time::Duration;

/// Alice publishes her camera, Bob watches.
fn call(seed: u64) -> (World, PeerId, PeerId, control::ConsumerId) {
    call_in(World::new(seed))
}

fn call_in(mut world: World) -> (World, PeerId, PeerId, control::ConsumerId) {
    let (alice, bob) = (world.join(), world.join());
    world.link(alice).delay(25 * MS);
    world.link(bob).delay(25 * MS);
    world.connect();
    let camera = world.publish(alice, Track::camera().bitrate_bps(500_000));
    let view = world.subscribe(bob, camera);
    world.run_for(2 * SEC);
    (world, alice, bob, view)
}

/// The last reported state of a peer's transport.
fn state(world: &World, peer: PeerId) -> Option<TransportState> {
    world.events().iter().rev().find_map(|(_, event)| match event {
        Event::TransportState { transport, state } if *transport == world.transport(peer) => Some(*state),
        _ => None,
    })
}

fn closing(world: &World, transport: TransportId) -> Option<(Instant, Closed)> {
    world.events().iter().find_map(|(at, event)| match event {
        Event::TransportClosed { transport: other, closed } if *other == transport => Some((*at, *closed)),
        _ => None,
    })
}

/// The longest time without a new frame.
fn longest_gap(world: &World, view: control::ConsumerId) -> Duration {
    let frames = world.sink(view).frames();
    frames.windows(2).map(|pair| pair[1].at.saturating_since(pair[0].at)).max().unwrap_or_default()
}

#[test]
fn a_peer_without_consent_is_closed_after_thirty_seconds_of_silence() {
    let (mut world, alice, bob, _) = call(91);
    let silent_from = world.now();
    // Neither checks nor reports arrive.
    world.uplink(bob).loss(1.0);
    world.run_for(27 * SEC);
    let transport = world.transport(bob);
    assert_eq!(closing(&world, transport), None, "{world}");
    let was_reported = world.events().iter().any(|(_, event)| {
        matches!(event, Event::TransportState { transport: other, state }
            if *other == transport && state.ice == IceState::Disconnected)
    });
    assert!(was_reported, "{world}");
    world.run_for(3 * SEC + 100 * MS);
    let (at, closed) = closing(&world, transport).unwrap_or_else(|| panic!("{world}: still there"));
    assert_eq!(closed, Closed::ConsentLost, "{world}");
    assert!(at.saturating_since(silent_from) <= 30 * SEC + 25 * MS, "{world}: at {at:?}");
    assert_eq!(closing(&world, world.transport(alice)), None, "{world}");
    let reported = world.events().iter().filter(|(_, event)| matches!(event, Event::ConsumerClosed { .. }));
    assert_eq!(reported.count(), 1, "{world}");
    // From an address without a transport, nothing has any effect.
    world.uplink(bob).loss(0.0);
    let discarded = world.shard().counters().discarded(Discard::NoValidPair);
    world.run_for(5 * SEC);
    assert!(world.shard().counters().discarded(Discard::NoValidPair) > discarded, "{world}");
}

#[test]
fn media_without_checks_keeps_consent_until_it_ends_too() {
    let (mut world, alice, bob, view) = call(121);
    for peer in [alice, bob] {
        world.order(peer, |peer, _| peer.agent_mut().fall_silent());
    }
    world.run_for(60 * SEC);
    for peer in [alice, bob] {
        assert_eq!(closing(&world, world.transport(peer)), None, "{world}");
        assert_eq!(state(&world, peer).map(|state| state.ice), Some(IceState::Completed), "{world}");
    }
    assert!(longest_gap(&world, view) < 250 * MS, "{world}");
    world.uplink(alice).loss(1.0);
    world.run_for(31 * SEC);
    let closed = closing(&world, world.transport(alice)).map(|(_, closed)| closed);
    assert_eq!(closed, Some(Closed::ConsentLost), "{world}");
    assert_eq!(closing(&world, world.transport(bob)), None, "{world}: its reports continue");
}

#[test]
fn without_a_consent_timeout_a_silent_peer_is_disconnected_and_returns() {
    let (mut world, _, bob, view) = call_in(World::with_consent_timeout(122, None));
    world.order(bob, |peer, _| peer.agent_mut().fall_silent());
    world.uplink(bob).loss(1.0);
    world.run_for(300 * SEC);
    assert_eq!(closing(&world, world.transport(bob)), None, "{world}");
    assert_eq!(state(&world, bob).map(|state| state.ice), Some(IceState::Disconnected), "{world}");
    world.uplink(bob).loss(0.0);
    world.run_for(2 * SEC);
    assert_eq!(state(&world, bob).map(|state| state.ice), Some(IceState::Completed), "{world}: by its media");
    let last = world.sink(view).frames().last().expect("there were frames before").at;
    assert!(world.now().saturating_since(last) < 100 * MS, "{world}");
}

#[test]
fn another_consent_timeout_closes_a_silent_peer_after_that_time() {
    let (mut world, _, bob, _) = call_in(World::with_consent_timeout(123, Some(10 * SEC)));
    let silent_from = world.now();
    world.uplink(bob).loss(1.0);
    world.run_for(11 * SEC);
    let (at, closed) = closing(&world, world.transport(bob)).unwrap_or_else(|| panic!("{world}"));
    assert_eq!(closed, Closed::ConsentLost, "{world}");
    assert!(at.saturating_since(silent_from) <= 10 * SEC + 25 * MS, "{world}: at {at:?}");
}

#[test]
fn a_forged_check_does_not_take_over_the_path_of_an_active_peer() {
    for (seed, has_checks) in [(124, true), (125, true), (126, false), (127, false)] {
        let (mut world, alice, bob, view) = call(seed);
        let mallory = world.join();
        world.connect();
        let own = world.address(mallory);
        if !has_checks {
            for peer in [alice, bob] {
                world.order(peer, |peer, _| peer.agent_mut().fall_silent());
            }
        }
        for victim in [alice, bob] {
            let remote = world.address(victim);
            for _ in 0..80 {
                world.check_from(mallory, remote);
                world.run_for(250 * MS);
            }
            assert_eq!(state(&world, victim).and_then(|state| state.remote), Some(remote), "{world}");
        }
        assert_eq!(world.shard().counters().discarded(Discard::StunPathHeld), 160, "{world}");
        assert_eq!(state(&world, mallory).and_then(|state| state.remote), Some(own), "{world}");
        let gap = longest_gap(&world, view);
        assert!(gap < 250 * MS, "{world}: {gap:?} without a picture");
        world.assert_sound();
    }
}

#[test]
fn a_path_with_a_silent_owner_passes_to_the_next_check() {
    for seed in 128..=129 {
        let (mut world, _, bob, _) = call(seed);
        let carol = world.join();
        world.connect();
        let (address, transport) = (world.address(bob), world.transport(bob));
        world.uplink(bob).loss(1.0);
        world.run_for(13 * SEC);
        world.check_from(carol, address);
        world.run_for(2 * SEC + 100 * MS);
        assert_eq!(world.shard().counters().discarded(Discard::StunPathHeld), 1, "{world}");
        world.check_from(carol, address);
        world.run_for(100 * MS);
        assert_eq!(world.shard().counters().discarded(Discard::StunPathHeld), 1, "{world}");
        assert_eq!(state(&world, carol).and_then(|state| state.remote), Some(address), "{world}");
        assert_eq!(
            state(&world, bob).map(|state| (state.ice, state.remote)),
            Some((IceState::Disconnected, None))
        );
        assert_eq!(closing(&world, transport), None, "{world}");
    }
}

#[test]
fn a_peer_that_closes_dtls_is_removed_at_once() {
    let (mut world, _, bob, _) = call(92);
    world.order(bob, |peer, now| peer.close_dtls(now));
    world.run_for(5 * SEC);
    let closed = closing(&world, world.transport(bob)).map(|(_, closed)| closed);
    assert_eq!(closed, Some(Closed::PeerClosed), "{world}");
}

#[test]
fn an_ice_restart_keeps_the_old_pair_until_the_new_one_works() {
    for seed in 93..=94 {
        let (mut world, alice, bob, view) = call(seed);
        // The engine restarts ICE, and Bob does not get the new credentials for longer than consent lasts.
        world.demand_ice_restart(bob);
        world.run_for(35 * SEC);
        assert_eq!(closing(&world, world.transport(bob)), None, "{world}");
        // Now he gets those of another restart, with a new address.
        world.rebind(bob);
        world.restart_ice(bob);
        world.run_for(3 * SEC);
        assert!(world.peer(bob).agent().is_nominated(), "{world}");
        assert_eq!(world.peer(bob).agent().mapped(), Some(world.address(bob)), "{world}");
        // The publisher's restart has no effect on media either.
        world.restart_ice(alice);
        world.run_for(3 * SEC);
        world.assert_sound();
        let gap = longest_gap(&world, view);
        assert!(gap < 250 * MS, "{world}: {gap:?} without a picture");
    }
}

#[test]
fn a_subscriber_is_followed_to_its_new_address() {
    for seed in 94..=95 {
        let (mut world, _, bob, view) = call(seed);
        for _ in 0..3 {
            world.rebind(bob);
            world.run_for(4 * SEC);
            let state = state(&world, bob);
            assert_eq!(state.and_then(|state| state.remote), Some(world.address(bob)), "{world}");
            assert_eq!(state.map(|state| state.ice), Some(IceState::Completed), "{world}");
        }
        world.finish();
        world.assert_sound();
        // A browser checks every 2.5 s; media continues after its next check.
        let gap = longest_gap(&world, view);
        assert!(gap < 2_700 * MS, "{world}: {gap:?} without a picture");
    }
}

#[test]
fn a_subscriber_that_nominates_once_is_followed_to_its_new_address() {
    for seed in 98..=99 {
        let (mut world, _, bob, view) = call(seed);
        world.order(bob, |peer, _| peer.agent_mut().nominate_once());
        world.run_for(6 * SEC);
        world.rebind(bob);
        world.run_for(15 * SEC);
        world.finish();
        world.assert_sound();
        // The old pair was checked at most 5 s before, and must be 6.5 s old when a check from the new
        // address comes.
        let gap = longest_gap(&world, view);
        assert!(gap < 10_500 * MS, "{world}: {gap:?} without a picture");
    }
}

#[test]
fn a_publisher_is_followed_to_its_new_address() {
    for seed in 95..=96 {
        let (mut world, alice, _, view) = call(seed);
        world.rebind(alice);
        world.run_for(5 * SEC);
        world.assert_sound();
        // Until its check arrived, media from the new address had no transport.
        assert!(world.shard().counters().discarded(Discard::NoValidPair) > 0, "{world}");
        let last = world.sink(view).frames().last().expect("there were frames before").at;
        assert!(world.now().saturating_since(last) < 100 * MS, "{world}");
    }
}

#[test]
fn a_certificate_that_was_not_announced_gets_no_media() {
    let (mut world, _, _, _) = call(96);
    let camera = *world.publishers().first().expect("alice publishes");
    let mallory = world.join_unannounced();
    let transport = world.transport(mallory);
    world.demand(Command::ConnectTransport { transport, fingerprint: [7; 32] });
    let view = world.subscribe(mallory, camera);
    world.run_for(5 * SEC);
    assert_eq!(closing(&world, transport).map(|(_, closed)| closed), Some(Closed::DtlsFailed), "{world}");
    // With DTLS 1.3 the client has keys before its certificate is checked. The engine has none for it.
    assert_eq!(world.shard().counters().value(Counter::DtlsConnected), 2, "{world}");
    assert_eq!(world.sink(view).packets().len(), 0, "{world}");
}

/// Unauthenticated records of epoch 0: an alert, and a client's flight of DTLS 1.2 with an invalid
/// certificate.
fn forged_records(number: u8) -> [Vec<u8>; 5] {
    let record = |kind: u8, body: &[u8]| {
        let head = [kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, number, 0, body.len() as u8];
        [&head[..], body].concat()
    };
    let message = |kind: u8, seq: u8, body: &[u8]| {
        let len = body.len() as u8;
        record(22, &[&[kind, 0, 0, len, 0, seq, 0, 0, 0, 0, 0, len][..], body].concat())
    };
    [
        record(21, &[2, 40]),
        message(11, 1, &[&[0, 0, 53, 0, 0, 50][..], &[0x30; 50]].concat()),
        message(16, 2, &[&[65, 4][..], &[7; 64]].concat()),
        message(15, 3, &[&[4, 3, 0, 70][..], &[9; 70]].concat()),
        record(20, &[1]),
    ]
}

/// Anyone can forge the peer's source address (RFC 6347 §4.1.2.7).
#[test]
fn unsigned_dtls_from_a_peers_address_neither_closes_its_transport_nor_prevents_its_connection() {
    for seed in 110..=113 {
        let mut world = World::new(seed);
        let alice = world.join();
        world.link(alice).delay(20 * MS);
        world.run_until(SEC, |world| world.peer(alice).agent().is_connected());
        assert_eq!(world.peer(alice).connected_at(), None, "{world}");
        let at = world.address(alice);
        for round in 0..20 {
            for _ in 0..3 {
                for forged in forged_records(round) {
                    world.feed_from(at, &forged);
                }
            }
            world.run_for(5 * MS);
        }
        world.run_for(5 * SEC);
        assert!(world.peer(alice).connected_at().is_some(), "{world}");
        assert_eq!(closing(&world, world.transport(alice)), None, "{world}");
        assert_eq!(world.shard().counters().value(Counter::DtlsFailed), 0, "{world}");
    }
}

#[test]
fn a_peer_that_never_connects_is_closed() {
    let mut world = World::new(97);
    let peer = world.join();
    world.link(peer).loss(1.0);
    world.run_for(44 * SEC);
    assert_eq!(closing(&world, world.transport(peer)), None, "{world}");
    world.run_for(2 * SEC);
    let closed = closing(&world, world.transport(peer)).map(|(_, closed)| closed);
    assert_eq!(closed, Some(Closed::NeverConnected), "{world}");
}

/// From Wi-Fi to 4G, while both are available: the old pair is used until the new one is nominated.
#[test]
fn a_peer_that_changes_networks_loses_no_packet() {
    for seed in 900..920 {
        let (mut world, alice, bob, view) = call(seed);
        for (peer, delay) in [(bob, 60 * MS), (alice, 40 * MS)] {
            world.roam(peer);
            world.link(peer).delay(delay).jitter(10 * MS);
            world.restart_ice(peer);
            world.run_until(2 * SEC, |world| world.peer(peer).agent().is_nominated());
            world.run_for(200 * MS);
            world.leave(peer);
            world.run_for(4 * SEC);
            assert_eq!(reported_remote(&world, peer), Some(world.address(peer)), "{world}");
        }
        world.finish();
        world.assert_sound();
        assert_eq!(world.shard().counters().discarded(Discard::NoValidPair), 0, "{world}");
        let gap = longest_gap(&world, view);
        assert!(gap < 300 * MS, "{world}: {gap:?} without a picture");
    }
}

/// From Wi-Fi to 4G without overlap: the new network is available when the old one is gone.
#[test]
fn a_peer_whose_network_is_replaced_reconnects_in_three_round_trips() {
    for seed in 920..940 {
        let (mut world, alice, bob, view) = call(seed);
        for peer in [bob, alice] {
            world.rebind(peer);
            world.restart_ice(peer);
            world.run_for(4 * SEC);
            assert_eq!(reported_remote(&world, peer), Some(world.address(peer)), "{world}");
        }
        world.finish();
        world.assert_sound();
        let gap = longest_gap(&world, view);
        assert!(gap < 300 * MS, "{world}: {gap:?} without a picture");
    }
}

/// Checks arrive from the new network, but their answers are lost: valid for the engine, but useless for the
/// peer.
#[test]
fn a_pair_that_works_one_way_is_not_sent_to_after_a_restart() {
    for seed in 99..=100 {
        let (mut world, _, bob, view) = call(seed);
        let before = world.address(bob);
        world.roam(bob);
        world.deafen(bob, true);
        world.restart_ice(bob);
        world.run_for(3 * SEC);
        assert_eq!(reported_remote(&world, bob), Some(before), "{world}");
        world.deafen(bob, false);
        world.run_for(SEC);
        assert_eq!(reported_remote(&world, bob), Some(world.address(bob)), "{world}");
        world.leave(bob);
        world.run_for(3 * SEC);
        world.assert_sound();
        let gap = longest_gap(&world, view);
        assert!(gap < 300 * MS, "{world}: {gap:?} without a picture");
    }
}

/// The peer's address in the last reported state.
fn reported_remote(world: &World, peer: PeerId) -> Option<std::net::SocketAddr> {
    let states = world.events().iter().rev().filter_map(|(_, event)| match event {
        Event::TransportState { transport, state } if *transport == world.transport(peer) => {
            Some(state.remote)
        }
        _ => None,
    });
    states.flatten().next()
}
