//! A room over two workers of one process: one thread receives, another one sends.

use crate::call::{
    CONSUMER, Call, Family, PRODUCER, PUBLISHING, RECEIVED_SSRC, ROUTER, SUBSCRIBING, candidate, consume,
    create_router, create_transport, produce,
};
use crate::caller::{Caller, certificate};
use crate::controller::Controller;
use crate::engine::Engine;
use control::{Closed, Command, Consume, ConsumerId, CreatePipe, Event, Produce, SnapshotItem, TransportId};
use dtls::Fingerprint;

/// Creates a transport at this worker, which listens on this port, and a peer for it.
pub fn join_at((worker, port): (usize, u16), controller: &mut Controller, transport: TransportId) -> Caller {
    let created = controller.request_of(worker, create_transport(ROUTER, transport));
    let Event::TransportCreated { ice, fingerprint, candidates, .. } = created else { panic!("{created:?}") };
    let candidate = candidate(&candidates, Family::udp(), port);
    let known = Command::ConnectTransport { transport, fingerprint: certificate().fingerprint().0 };
    demand_of(controller, worker, known);
    Caller::new(candidate, &ice, Fingerprint(fingerprint))
}

pub fn demand_of(controller: &mut Controller, worker: usize, command: Command) {
    let answer = controller.request_of(worker, command);
    assert!(matches!(answer, Event::Done { .. }), "{answer:?}");
}

/// As signaling does before a track of the first worker is consumed on the second.
fn pipe(controller: &mut Controller) {
    let create = CreatePipe { router: ROUTER, transport: PUBLISHING, worker: 0 };
    demand_of(controller, 1, Command::CreatePipe(create));
    let copy = Produce { app_data: control::AppData::default(), ..produce(PUBLISHING, PRODUCER) };
    demand_of(controller, 1, Command::Produce(copy));
}

fn call(engine: &Engine, controller: &mut Controller) -> Call {
    (0..2).for_each(|worker| demand_of(controller, worker, create_router(ROUTER)));
    let mut publisher = join_at((0, engine.port), controller, PUBLISHING);
    let mut subscriber = join_at((1, engine.port + 1), controller, SUBSCRIBING);
    demand_of(controller, 0, Command::Produce(produce(PUBLISHING, PRODUCER)));
    pipe(controller);
    demand_of(controller, 1, Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
    publisher.connect();
    subscriber.connect();
    Call::of(publisher, subscriber)
}

#[test]
fn media_of_one_worker_arrives_complete_at_a_peer_of_another() {
    let engine = Engine::start_with(&["--workers", "2"]);
    let mut controller = engine.attach();
    let mut call = call(&engine, &mut controller);
    // One by one, so that both threads sleep in between, and in bursts.
    (0..50).for_each(|_| call.publish(1));
    (0..4).for_each(|_| call.publish(50));

    // A track that is paused at its worker is silent at the other, and continues there.
    demand_of(&mut controller, 0, Command::PauseProducer { producer: PRODUCER });
    let unheard = call.next_packet();
    call.publisher.publish(&unheard);
    assert_eq!(call.subscriber.receive_for(crate::SILENCE), []);
    demand_of(&mut controller, 0, Command::ResumeProducer { producer: PRODUCER });
    call.publish(20);

    // Without a controller, media continues; the next controller finds everything unchanged.
    drop(controller);
    call.publish(20);
    let mut controller = engine.attach();
    let items = controller.snapshot_of(1);
    let is_pipe =
        |item: &&SnapshotItem| matches!(item, SnapshotItem::Pipe { transport: PUBLISHING, router: ROUTER });
    assert_eq!(items.iter().filter(is_pipe).count(), 1, "{items:?}");
    call.publish(20);

    // The end of the original is the end of the copy, reported once.
    demand_of(&mut controller, 0, Command::CloseProducer { producer: PRODUCER });
    let closed = Closed::Requested;
    let expected = [
        Event::ConsumerClosed { consumer: CONSUMER, closed },
        Event::ProducerClosed { producer: PRODUCER, closed },
        Event::TransportClosed { transport: PUBLISHING, closed },
    ];
    for event in &expected {
        controller.await_notification_of(1, |notification| notification == event);
    }
    let left = controller.snapshot_of(1);
    assert!(!left.iter().any(|item| matches!(item, SnapshotItem::Producer { .. })), "{left:?}");
    assert!(
        !controller.notifications().iter().any(|event| expected.contains(event)),
        "{:?}",
        controller.notifications()
    );
}

#[test]
fn many_consumers_at_the_other_worker_receive_the_same_in_a_burst_too() {
    let engine = Engine::start_with(&["--workers", "2"]);
    let mut controller = engine.attach();
    let mut call = call(&engine, &mut controller);
    let mut others: Vec<Caller> = (0..3)
        .map(|other| {
            let transport = TransportId(500 + other);
            let mut caller = join_at((1, engine.port + 1), &mut controller, transport);
            let consume =
                Consume { ssrc: RECEIVED_SSRC, ..consume(transport, PRODUCER, ConsumerId(500 + other)) };
            demand_of(&mut controller, 1, Command::Consume(consume));
            caller.connect();
            caller
        })
        .collect();
    for _ in 0..20 {
        call.publish(100);
        for other in &mut others {
            assert_eq!(other.receive(100).len(), 100);
        }
    }
}
