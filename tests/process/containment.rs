//! Panics of the engine, caused by a command for tests: what closes, what is reported, and what continues.

use crate::call::{
    CONSUMER, Call, Family, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, candidate, create_router,
    create_transport, produce,
};
use crate::caller::{Caller, certificate};
use crate::controller::Controller;
use crate::engine::Engine;
use control::{Closed, Command, Counter, Event, Refusal, RouterId, Stage, TransportId};
use dtls::Fingerprint;
use std::time::Instant;

/// The number of panics that replaces a shard.
const PANICS_MAX: usize = sfu::limits::PANICS_MAX;

fn start(workers: &str) -> Engine {
    Engine::start_with(&["--workers", workers, "--allow-injected-panics"])
}

#[test]
fn panics_are_not_injected_without_the_flag() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    controller.request(create_transport(ROUTER, PUBLISHING));
    let answer = controller.request(Command::InjectPanic { transport: PUBLISHING, stage: Stage::Rtp });
    assert!(matches!(answer, Event::Refused { refusal: Refusal::Invalid, .. }), "{answer:?}");
}

#[test]
fn panic_in_each_stage_closes_its_transport_is_logged_and_the_peers_reconnect() {
    let mut engine = start("1");
    let mut controller = engine.attach();
    for (nth, stage) in (1..).zip([Stage::Rtp, Stage::BatchEnd, Stage::Stun, Stage::Timer]) {
        let mut call = Call::connect(&engine, &mut controller);
        call.publish(5);
        let transport = if stage == Stage::BatchEnd { SUBSCRIBING } else { PUBLISHING };
        controller.demand(Command::InjectPanic { transport, stage });
        let packet = call.next_packet();
        call.publisher.publish(&packet);
        let closed = Event::TransportClosed { transport, closed: Closed::Fault };
        // Checks are sent while the peer takes its turns.
        while !controller.notifications().contains(&closed) {
            call.publisher.turn();
        }
        controller.await_counters(|counters| counters.value(Counter::Panics) == nth);
        let log = engine.log();
        let line = log.lines().find(|line| line.contains(&format!("stage=\"{}\"", stage.name())));
        assert!(line.is_some_and(|line| line.contains("contained a panic")), "{log}");
        // As clients do: it closes the other transport too, and creates both again.
        for transport in [PUBLISHING, SUBSCRIBING] {
            controller.request(Command::CloseTransport { transport });
        }
        controller.await_notification(crate::PATIENCE, |event| *event == closed);
        // Fewer in a row than replace the shard.
        assert!(usize::try_from(nth).unwrap() < PANICS_MAX);
    }
    let counters = controller.await_counters(|counters| counters.value(Counter::Transports) == 0);
    assert_eq!(counters.value(Counter::ShardsReplaced), 0);
    let mut call = Call::connect(&engine, &mut controller);
    call.publish(20);
    assert!(engine.is_running());
}

#[test]
fn repeated_panics_replace_one_workers_shard_while_the_call_of_the_other_loses_no_packet() {
    let mut engine = start("2");
    let mut controller = engine.attach();
    let mut call = Call::connect(&engine, &mut controller);
    call.publish(20);

    let router = RouterId(50);
    let mut peer = join_second(&engine, &mut controller, router, TransportId(60));
    peer.connect();
    for nth in 0..PANICS_MAX as u64 {
        let transport = TransportId(100 + nth);
        controller.request_of(1, create_transport(router, transport));
        controller.request_of(1, Command::InjectPanic { transport, stage: Stage::Command });
        let answer = controller.request_of(1, Command::RestartIce { transport });
        assert!(matches!(answer, Event::Refused { refusal: Refusal::Fault, .. }), "{answer:?}");
        // Exactly these packets, in order, without a gap.
        call.publish(20);
    }
    let closed = Event::RouterClosed { router, closed: Closed::Fault };
    controller.await_notification_of(1, |event| *event == closed);
    assert_eq!(controller.snapshot_of(1), []);
    call.publish(20);

    // Its peers join again.
    let began = Instant::now();
    let mut peer = join_second(&engine, &mut controller, router, TransportId(61));
    peer.connect();
    let produced = controller.request_of(1, Command::Produce(produce(TransportId(61), PRODUCER)));
    assert!(matches!(produced, Event::Done { .. }), "{produced:?}");
    eprintln!("a peer of the replaced shard is connected again after {:?}", began.elapsed());
    call.publish(20);
    controller.demand(Command::CloseConsumer { consumer: CONSUMER });
    assert!(engine.is_running());
    let log = engine.log();
    assert_eq!(log.matches("replaced the worker's shard").count(), 1, "{log}");
}

/// A peer of the second worker.
fn join_second(
    engine: &Engine,
    controller: &mut Controller,
    router: RouterId,
    transport: TransportId,
) -> Caller {
    controller.request_of(1, create_router(router));
    let created = controller.request_of(1, create_transport(router, transport));
    let Event::TransportCreated { ice, fingerprint, candidates, .. } = created else { panic!("{created:?}") };
    let fingerprint_of_peer = certificate().fingerprint().0;
    controller.request_of(1, Command::ConnectTransport { transport, fingerprint: fingerprint_of_peer });
    Caller::new(candidate(&candidates, Family::udp(), engine.port + 1), &ice, Fingerprint(fingerprint))
}
