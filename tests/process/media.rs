//! Media through a real engine.

use crate::call::{Call, Family, PUBLISHING, ROUTER, candidate, create_router, create_transport, join};
use crate::caller::Caller;
use crate::engine::{Engine, has_ipv6};
use control::{Candidate, Command, DtlsState, Event, IceState, RouterId, TransportId};
use dtls::Fingerprint;
use std::net::SocketAddr;

#[test]
fn media_flows_over_ipv4_ipv6_and_between_them() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let ways = [(Family::V4, Family::V4), (Family::V6, Family::V6), (Family::V4, Family::V6)];
    for (from, to) in ways.into_iter().take(if has_ipv6() { 3 } else { 1 }) {
        let mut call = Call::connect_over(&engine, &mut controller, from, to);
        call.publish(50);
        for caller in [&mut call.publisher, &mut call.subscriber] {
            let address = caller.address();
            assert_eq!(caller.agent().mapped(), Some(address), "as the engine sees it");
            let profile = caller.client().profile().unwrap();
            assert_ne!(profile, srtp::Profile::AesCm128HmacSha1_80, "GCM costs a third");
        }
        let address = call.publisher.address();
        controller.await_notification(crate::PATIENCE, |event| {
            let Event::TransportState { transport: PUBLISHING, state } = event else { return false };
            state.dtls == DtlsState::Connected && state.remote == Some(address)
        });
        controller.demand(Command::CloseRouter { router: ROUTER });
        assert_eq!(controller.snapshot(), []);
    }
}

#[test]
fn a_nominated_pair_is_reported_as_completed() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let family = if has_ipv6() { Family::V6 } else { Family::V4 };
    let mut caller = join(&engine, &mut controller, PUBLISHING, family);
    caller.connect();
    caller.run_until("nominated", |caller| caller.agent().is_nominated());
    controller.await_notification(crate::PATIENCE, |event| {
        matches!(event, Event::TransportState { transport: PUBLISHING, state } if state.ice == IceState::Completed)
    });
}

#[test]
fn each_worker_serves_the_port_of_its_number() {
    let engine = Engine::start_with(&["--workers", "2"]);
    let mut controller = engine.attach();
    assert_eq!(controller.workers(), 2);
    for worker in [0, 1] {
        let (router, transport) = (RouterId(worker as u64 + 1), TransportId(worker as u64 + 1));
        controller.request_of(worker, create_router(router));
        let created = controller.request_of(worker, create_transport(router, transport));
        let Event::TransportCreated { ice, fingerprint, candidates, .. } = created else {
            panic!("{created:?}")
        };
        let fingerprint = Fingerprint(fingerprint);
        let connect = Command::ConnectTransport {
            transport,
            fingerprint: crate::caller::certificate().fingerprint().0,
        };
        controller.request_of(worker, connect);
        let candidate = candidate(&candidates, Family::udp(), engine.port + worker as u16);
        Caller::new(candidate, &ice, fingerprint).connect();
    }
}

#[test]
fn announced_addresses_replace_the_listening_ones_in_candidates() {
    let engine =
        Engine::start_with(&["--workers", "1", "--listen-ip", "127.0.0.1", "--announced-ip", "203.0.113.7"]);
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let created = controller.request(create_transport(ROUTER, PUBLISHING));
    let Event::TransportCreated { candidates, .. } = created else { panic!("{created:?}") };
    let address = SocketAddr::from(([203, 0, 113, 7], engine.port));
    assert_eq!(candidates, [Candidate::udp(address), Candidate::tcp(address)]);
}

#[test]
fn a_wrong_announced_address_causes_a_warning_and_a_name_is_resolved() {
    // All of 127/8 belongs to this host, but the engine listens on one address of it.
    let start = |announced| {
        let flags =
            ["--workers", "1", "--listen-ip", "127.0.0.1", "--check-announced", "--announced-ip", announced];
        Engine::start_with(&flags)
    };
    let warning = "does not come back";
    for (announced, address, leads_here) in
        [("127.0.0.2", [127, 0, 0, 2], false), ("localhost", [127, 0, 0, 1], true)]
    {
        let mut engine = start(announced);
        let mut controller = engine.attach();
        controller.demand(create_router(ROUTER));
        let created = controller.request(create_transport(ROUTER, PUBLISHING));
        let Event::TransportCreated { candidates, .. } = created else { panic!("{created:?}") };
        assert_eq!(candidates[0], Candidate::udp(SocketAddr::from((address, engine.port))));
        assert_eq!(engine.log().contains(warning), !leads_here, "{announced}: {}", engine.log());
        assert!(engine.is_running());
    }
}
