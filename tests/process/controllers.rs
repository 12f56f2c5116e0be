//! Controllers attach, are refused, are killed, and attach again.

use crate::call::{CONSUMER, Call, Family, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, candidate};
use crate::caller::{Caller, certificate};
use crate::child::{ControllerProcess, FORGOTTEN};
use crate::controller::Controller;
use crate::engine::Engine;
use control::{Closed, Command, DtlsState, Event, SnapshotItem};
use dtls::Fingerprint;
use shm::{AttachError, RefusalReason};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[test]
fn another_layout_version_is_refused_and_both_are_named() {
    let engine = Engine::start();
    let mut socket = UnixStream::connect(&engine.socket).unwrap();
    let mut hello = b"LEATRING".to_vec();
    hello.extend((shm::LAYOUT_VERSION + 76).to_le_bytes());
    hello.extend(control::PROTOCOL_VERSION.to_le_bytes());
    socket.write_all(&hello).unwrap();
    // The beginning of an answer is the same in every version: docs/ring.md.
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(&answer[..8], b"LEATRING");
    let sentence = String::from_utf8_lossy(&answer[48..]);
    let ours = (shm::LAYOUT_VERSION + 76).to_string();
    assert!(sentence.contains("layout") && sentence.contains(&ours), "{sentence}");
    engine.attach();
}

#[test]
fn a_second_controller_is_refused_while_the_first_stays_attached() {
    let engine = Engine::start();
    let mut first = engine.attach();
    let Err(AttachError::Refused(refusal)) =
        Controller::try_attach(&engine.socket, control::PROTOCOL_VERSION)
    else {
        panic!("not refused")
    };
    assert_eq!(refusal.reason, RefusalReason::Busy);
    assert!(refusal.sentence.contains("controller"), "{refusal}");
    assert_eq!(first.snapshot(), []);
    assert!(!first.is_detached());
}

#[test]
fn media_outlives_its_controller_and_the_next_one_finds_everything() {
    // Long enough to attach and claim on a busy machine.
    const GRACE: Duration = Duration::from_secs(15);
    let engine = Engine::start_with(&["--workers", "1", "--grace-period", &GRACE.as_secs().to_string()]);
    let mut process = ControllerProcess::start(&engine.socket, &certificate().fingerprint());
    let [mut publisher, mut subscriber] = [0, 1].map(|of| {
        let Event::TransportCreated { ice, fingerprint, candidates, .. } = &process.created[of] else {
            panic!()
        };
        let candidate = candidate(candidates, Family::udp(), engine.port);
        Caller::new(candidate, ice, Fingerprint(*fingerprint))
    });
    publisher.connect();
    subscriber.connect();
    let mut call = Call::of(publisher, subscriber);
    call.publish(20);

    // Before the kill: the engine may notice it before `kill` returns.
    let killed_at = Instant::now();
    process.kill();
    call.publish(20);
    let mut controller = engine.attach();
    call.publish(20);
    let snapshot = controller.snapshot();
    assert_eq!(
        ids(&snapshot),
        ["router 1", "router 7", "transport 10", "transport 20", "producer 100", "consumer 200"]
    );
    for item in &snapshot {
        match item {
            SnapshotItem::Router { router, app_data } => {
                assert_eq!(app_data.0, format!("room {router}").into_bytes())
            }
            SnapshotItem::Transport { transport, router, state, app_data } => {
                assert_eq!(app_data.0, format!("transport {transport}").into_bytes());
                assert_eq!((*router, state.dtls), (ROUTER, DtlsState::Connected));
                assert!(state.remote.is_some());
            }
            SnapshotItem::Producer { transport, app_data, .. } => {
                assert_eq!((*transport, &app_data.0[..]), (PUBLISHING, &b"microphone"[..]));
            }
            SnapshotItem::Consumer { transport, producer, app_data, .. } => {
                assert_eq!((*transport, *producer), (SUBSCRIBING, PRODUCER));
                assert_eq!(app_data.0, b"loudspeaker");
            }
            SnapshotItem::PlainTransport { .. }
            | SnapshotItem::Pipe { .. }
            | SnapshotItem::DataProducer { .. }
            | SnapshotItem::DataConsumer { .. } => panic!("unexpected {item:?}"),
        }
    }

    // Claimed routers stay, the others are closed when the grace period ends.
    controller.demand(Command::ClaimRouter { router: ROUTER });
    let forgotten = Event::RouterClosed { router: FORGOTTEN, closed: Closed::Abandoned };
    controller.await_notification(GRACE + crate::PATIENCE, |event| *event == forgotten);
    assert!(killed_at.elapsed() >= GRACE, "closed before the grace period ended");
    assert_eq!(
        ids(&controller.snapshot()),
        ids(&snapshot[..1]).into_iter().chain(ids(&snapshot[2..])).collect::<Vec<_>>()
    );
    call.publish(20);

    // And this controller can use it like the previous one.
    controller.demand(Command::CloseConsumer { consumer: CONSUMER });
    let packet = call.next_packet();
    call.publisher.publish(&packet);
    assert_eq!(call.subscriber.receive_for(crate::SILENCE), []);
}

#[test]
fn rooms_that_are_not_claimed_are_closed() {
    let engine = Engine::start_with(&["--workers", "1", "--grace-period", "1"]);
    let mut controller = engine.attach();
    let mut call = Call::connect(&engine, &mut controller);
    call.publish(5);
    drop(controller);
    // Five times the necessary time. A controller that attaches earlier would find the room.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(engine.attach().snapshot(), []);
    let packet = call.next_packet();
    call.publisher.publish(&packet);
    assert_eq!(call.subscriber.receive_for(crate::SILENCE), []);
}

fn ids(snapshot: &[SnapshotItem]) -> Vec<String> {
    let id = |item: &SnapshotItem| match item {
        SnapshotItem::Router { router, .. } => format!("router {}", router.0),
        SnapshotItem::Transport { transport, .. } | SnapshotItem::PlainTransport { transport, .. } => {
            format!("transport {}", transport.0)
        }
        SnapshotItem::Pipe { transport, .. } => format!("pipe {}", transport.0),
        SnapshotItem::Producer { producer, .. } => format!("producer {}", producer.0),
        SnapshotItem::Consumer { consumer, .. } => format!("consumer {}", consumer.0),
        SnapshotItem::DataProducer { producer, .. } => format!("data producer {}", producer.0),
        SnapshotItem::DataConsumer { consumer, .. } => format!("data consumer {}", consumer.0),
    };
    snapshot.iter().map(id).collect()
}
