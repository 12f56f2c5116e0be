//! The engine as the DTLS client, for peers that are the server (`a=setup:passive`).

use control::{Closed, Command, Counter, Discard, DtlsRole, Event, PeerFingerprint, Refusal, TransportId};
use leat_tests::{MS, PeerId, SEC, Track, World};
use sfu::limits::CONNECT_TIMEOUT;

fn closing(world: &World, transport: TransportId) -> Option<Closed> {
    world.events().iter().find_map(|(_, event)| match event {
        Event::TransportClosed { transport: other, closed } if *other == transport => Some(*closed),
        _ => None,
    })
}

/// Datagrams on the way from the engine to a peer.
fn sent_to(world: &World, peer: PeerId) -> u64 {
    let (_, down) = world.links(peer);
    down.carried() + down.lost()
}

fn connect_as_client(world: &mut World, peer: PeerId, fingerprint: PeerFingerprint) {
    let transport = world.transport(peer);
    world.demand(Command::ConnectTransportAs { transport, role: DtlsRole::Client, fingerprint });
}

#[test]
fn media_flows_in_both_directions_with_peers_of_either_role() {
    for seed in 400..408 {
        let mut world = World::new(seed);
        let (alice, bob) = (world.join(), world.join_as_dtls_server());
        for peer in [alice, bob] {
            world.link(peer).delay(20 * MS).loss(0.2);
        }
        world.connect();
        for peer in [alice, bob] {
            world.link(peer).loss(0.0);
        }
        assert_eq!(world.peer(bob).profile(), Some(srtp::Profile::AeadAes128Gcm), "{world}");
        let cameras = [alice, bob].map(|peer| world.publish(peer, Track::camera().bitrate_bps(500_000)));
        let views = [world.subscribe(bob, cameras[0]), world.subscribe(alice, cameras[1])];
        world.run_for(3 * SEC);
        world.finish();
        for (view, camera) in views.into_iter().zip(cameras) {
            assert!(world.sink(view).frames().len() > 60, "{world}");
            assert_eq!(world.source(camera).packets() as usize, world.sink(view).packets().len(), "{world}");
        }
        world.assert_sound();
    }
}

/// The ClientHello is the first datagram that the engine sends without a request: nothing may cause it to be
/// sent to an address from which no authentic check has come.
#[test]
fn without_a_check_nothing_is_sent_until_the_transport_closes() {
    let mut world = World::new(410);
    let peer = world.join_as_dtls_server();
    world.order(peer, |peer, _| peer.agent_mut().fall_silent());
    world.run_for(CONNECT_TIMEOUT + SEC);
    assert_eq!(sent_to(&world, peer), 0, "{world}");
    assert_eq!(closing(&world, world.transport(peer)), Some(Closed::NeverConnected), "{world}");
}

#[test]
fn the_handshake_starts_with_the_later_of_command_and_check() {
    let mut world = World::new(411);
    let peer = world.join_unannounced_as(true);
    world.link(peer).delay(20 * MS);
    world.run_for(5 * SEC);
    assert!(world.peer(peer).agent().is_nominated(), "{world}");
    let answers = sent_to(&world, peer);
    let fingerprint = World::fingerprint_of_peers();
    connect_as_client(&mut world, peer, fingerprint);
    world.run_for(MS);
    assert_eq!(sent_to(&world, peer), answers + 1, "{world}: at once");
    world.connect();
}

/// A peer that answers nothing gets the ClientHello, its retransmissions, and those of a second attempt.
#[test]
fn a_peer_that_never_answers_gets_few_datagrams_and_is_closed() {
    let mut world = World::with_consent_timeout(412, None);
    let peer = world.join_unannounced_as(true);
    world.run_for(5 * SEC);
    let fingerprint = World::fingerprint_of_peers();
    connect_as_client(&mut world, peer, fingerprint);
    // Nothing arrives from now on: the engine answers no check and sends only its ClientHello.
    world.uplink(peer).loss(1.0);
    let before = sent_to(&world, peer);
    world.run_for(CONNECT_TIMEOUT + SEC);
    let sent = sent_to(&world, peer) - before;
    assert!((7..=16).contains(&sent), "{world}: {sent}");
    assert_eq!(closing(&world, world.transport(peer)), Some(Closed::NeverConnected), "{world}");
    assert!(world.peer(peer).connected_at().is_none(), "{world}");
}

/// Signaling gave both the client role. Neither is confused; the transport ends by its timeout.
#[test]
fn a_peer_that_is_a_client_too_never_connects_and_is_counted() {
    let mut world = World::new(413);
    let (peer, other) = (world.join_unannounced(), world.join_as_dtls_server());
    let fingerprint = World::fingerprint_of_peers();
    connect_as_client(&mut world, peer, fingerprint);
    world.run_for(5 * SEC);
    assert!(world.peer(other).connected_at().is_some(), "{world}: others are not affected");
    let counters = world.shard().counters();
    assert!(counters.discarded(Discard::DtlsBothClients) > 0, "{world}");
    assert_eq!(counters.value(Counter::DtlsConnected), 1, "{world}");
    world.run_for(CONNECT_TIMEOUT);
    assert_eq!(closing(&world, world.transport(peer)), Some(Closed::NeverConnected), "{world}");
    assert!(world.peer(peer).connected_at().is_none(), "{world}");
}

/// Everyone who can forge the peer's address can answer with another certificate: so that alone does not close
/// the transport, and the peer may answer until the timeout.
#[test]
fn a_server_with_another_certificate_gets_no_keys_and_the_transport_closes_by_its_timeout() {
    let mut world = World::new(414);
    let peer = world.join_unannounced_as(true);
    connect_as_client(&mut world, peer, PeerFingerprint::Sha384([7; 48]));
    world.run_for(CONNECT_TIMEOUT - SEC);
    let transport = world.transport(peer);
    assert_eq!(closing(&world, transport), None, "{world}");
    world.run_for(2 * SEC);
    assert_eq!(closing(&world, transport), Some(Closed::DtlsFailed), "{world}");
    let counters = world.shard().counters();
    assert_eq!(counters.value(Counter::DtlsConnected), 0, "{world}");
    // Twice a second at most.
    assert!((2..=90).contains(&counters.value(Counter::DtlsFailed)), "{world}");
}

#[test]
fn a_repeated_command_succeeds_and_another_role_or_hash_is_refused() {
    let mut world = World::new(415);
    let peer = world.join();
    let transport = world.transport(peer);
    let fingerprint = World::fingerprint_of_peers();
    // The older command means the same.
    world.demand(Command::ConnectTransportAs { transport, role: DtlsRole::Server, fingerprint });
    for (role, fingerprint) in
        [(DtlsRole::Client, fingerprint), (DtlsRole::Server, PeerFingerprint::Sha1([7; 20]))]
    {
        let answer = world.request(Command::ConnectTransportAs { transport, role, fingerprint });
        assert!(matches!(answer, Event::Refused { refusal: Refusal::Exists, .. }), "{world}: {answer:?}");
    }
    world.connect();
}
