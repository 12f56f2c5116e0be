//! One room on two workers: where peers are placed, which objects are created for them, and what clients must
//! not notice.

mod harness;

use control::{Closed, Command, CreatePipe, Event, ProducerId, RouterId, TransportId, Volume};
use harness::engine::{Engine, socket_path};
use harness::{Client, Signaling, join, transport_id};
use signaling::proto::{self, signal::Payload};
use signaling::rooms::Admission;
use std::time::Duration;

/// A peer with both its transports.
struct Member {
    client: Client,
    joined: proto::Joined,
    send: String,
    recv: String,
}

impl Member {
    async fn enter(signaling: &Signaling, name: &str) -> Self {
        let client = signaling.client();
        let joined = client.join(join("stage", name)).await;
        let (send, recv) = (client.transport("send").await.id, client.transport("recv").await.id);
        Self { client, joined, send, recv }
    }

    /// Resumes on another process, with its objects.
    async fn resume_peer(
        &self,
        signaling: &Signaling,
        producers: &[&String],
        consumers: &[&String],
    ) -> (Client, proto::Joined) {
        let transport = |id: &String| proto::HeldTransport { id: id.clone() };
        let producer = |id: &&String| proto::HeldProducer { id: (*id).clone() };
        let consumer = |id: &&String| proto::HeldConsumer { id: (*id).clone() };
        let resume = proto::Resume {
            peer_id: self.joined.peer_id.clone(),
            secret: self.joined.resume_secret.clone(),
            engine_epoch: self.joined.engine_epoch.clone(),
            transports: vec![transport(&self.send), transport(&self.recv)],
            producers: producers.iter().map(producer).collect(),
            consumers: consumers.iter().map(consumer).collect(),
            position: None,
        };
        let client = signaling.client();
        let joined = client.join(proto::JoinRoom { resume: Some(resume), ..join("stage", "") }).await;
        (client, joined)
    }
}

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_spread(&engine.path);
    (engine, signaling)
}

fn id(id: &str) -> u64 {
    u64::from_str_radix(id, 16).expect("an id")
}

/// The worker that was asked for this transport.
fn worker_of(engine: &Engine, id: &str) -> usize {
    let wanted = transport_id(id);
    let is_it = |(_, command): &&(usize, Command)| matches!(command, Command::CreateTransport(create) if create.transport == wanted);
    engine.commands_by_worker().iter().find(is_it).expect("asked for").0
}

/// The routers that were requested, with their workers.
fn routers(engine: &Engine) -> Vec<(usize, RouterId)> {
    let router = |(worker, command): &(usize, Command)| match command {
        Command::CreateRouter { router, .. } => Some((*worker, *router)),
        _ => None,
    };
    engine.commands_by_worker().iter().filter_map(router).collect()
}

#[tokio::test]
async fn small_room_stays_on_one_worker_and_large_room_is_spread() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let mut members = Vec::new();
    for peer in 0..signaling::limits::SPREAD_ABOVE + 4 {
        members.push(Member::enter(&signaling, &format!("peer {peer}")).await);
    }
    let workers: Vec<usize> = members.iter().map(|member| worker_of(&engine, &member.send)).collect();
    let (small, beyond) = workers.split_at(signaling::limits::SPREAD_ABOVE);
    assert!(small.iter().all(|worker| *worker == small[0]), "{workers:?}");
    assert!(beyond.iter().all(|worker| *worker != small[0]), "{workers:?}");
    for member in &members {
        let (send, recv) = (worker_of(&engine, &member.send), worker_of(&engine, &member.recv));
        assert_eq!(send, recv, "a peer is in one place");
    }
    let routers = routers(&engine);
    assert_eq!(routers.len(), 2, "{routers:?}");
    assert!(routers[0].1 == routers[1].1 && routers[0].0 != routers[1].0, "{routers:?}");
}

#[tokio::test]
async fn producer_of_another_worker_is_piped_once_and_then_consumed() {
    let (engine, signaling) = start();
    let (ada, bob, carl, dan) = (
        Member::enter(&signaling, "Ada").await,
        Member::enter(&signaling, "Bob").await,
        Member::enter(&signaling, "Carl").await,
        Member::enter(&signaling, "Dan").await,
    );
    let workers = [&ada, &bob, &carl, &dan].map(|member| worker_of(&engine, &member.send));
    assert_eq!((workers[0], workers[1]), (workers[2], workers[3]), "{workers:?}");
    let (here, there) = (workers[0], workers[1]);
    assert_ne!(here, there);

    let video = ada.client.produce(&ada.send, "video").await;
    let before = engine.commands_by_worker().len();
    bob.client.consume(&bob.recv, &video).await;
    carl.client.consume(&carl.recv, &video).await;
    let (first, second) =
        tokio::join!(dan.client.consume(&dan.recv, &video), bob.client.consume(&bob.recv, &video));
    assert_ne!(first.id, second.id);
    let commands = engine.commands_by_worker().split_off(before);
    let of = |worker: usize| commands.iter().filter(move |(at, _)| *at == worker).map(|(_, command)| command);
    let there: Vec<&Command> = of(there).collect();
    let [Command::CreatePipe(pipe), Command::Produce(copy), rest @ ..] = &there[..] else {
        panic!("{there:#?}")
    };
    assert!(rest.len() == 3 && rest.iter().all(|command| matches!(command, Command::Consume(_))));
    let router = routers(&engine)[0].1;
    let transport = transport_id(&ada.send);
    let expected = CreatePipe { router, transport, worker: here as u16 };
    assert_eq!(*pipe, expected);
    let original = engine.commands().into_iter().find_map(|command| match command {
        Command::Produce(produce) => Some(produce),
        _ => None,
    });
    let original = original.expect("Ada's");
    assert_eq!(*copy, control::Produce { app_data: Default::default(), ..original });
    assert!(of(here).all(|command| matches!(command, Command::Consume(_))));

    // All requests for a producer go to the original.
    let pause = proto::PauseProducer { producer_id: video.clone() };
    ada.client.done(Payload::PauseProducer(pause)).await;
    let paused: Vec<usize> = engine
        .commands_by_worker()
        .iter()
        .filter(|(_, command)| matches!(command, Command::PauseProducer { .. }))
        .map(|(worker, _)| *worker)
        .collect();
    assert_eq!(paused, [here]);
}

#[tokio::test]
async fn copies_are_not_announced_and_the_room_ends_on_every_worker() {
    let (engine, signaling) = start();
    let mut ada = Member::enter(&signaling, "Ada").await;
    let mut bob = Member::enter(&signaling, "Bob").await;
    let there = worker_of(&engine, &bob.recv);
    let video = ada.client.produce(&ada.send, "video").await;
    assert!(matches!(ada.client.notification().await, Payload::PeerJoined(_)));
    assert!(matches!(bob.client.notification().await, Payload::NewProducer(_)));
    let view = bob.client.consume(&bob.recv, &video).await;

    // The copy is closed: its consumer is reported as closed, but not the producer, which still exists.
    let producer = ProducerId(id(&video));
    engine.do_at(there, Command::CloseProducer { producer });
    match bob.client.notification().await {
        Payload::ConsumerClosed(closed) => assert_eq!(closed.consumer_id, view.id),
        other => panic!("{other:?}"),
    }
    let transport = transport_id(&ada.send);
    engine.do_at(there, Command::CloseTransport { transport });
    tokio::time::sleep(Duration::from_millis(100)).await;
    ada.client.no_more_notifications();
    bob.client.no_more_notifications();
    let before = engine.commands().len();
    bob.client.consume(&bob.recv, &video).await;
    let again = engine.commands().split_off(before);
    assert!(
        matches!(again[..], [Command::CreatePipe(_), Command::Produce(_), Command::Consume(_)]),
        "it is piped again: {again:#?}"
    );

    // Only the home worker of the room reports active speakers.
    let router = routers(&engine)[0].1;
    for (worker, dbov) in [(there, -10), (1 - there, -20)] {
        let volumes = vec![Volume { producer, dbov }];
        engine.tell_at(worker, Event::Speakers { router, dominant: Some(producer), volumes });
    }
    match bob.client.notification().await {
        Payload::ActiveSpeakers(speakers) => assert_eq!(speakers.volumes[0].dbov, -20),
        other => panic!("{other:?}"),
    }
    bob.client.no_more_notifications();

    ada.client.done(Payload::Leave(proto::Leave::default())).await;
    bob.client.done(Payload::Leave(proto::Leave::default())).await;
    for worker in 0..2 {
        for _ in 0..6_000 {
            let is_it = |(at, command): &(usize, Command)| {
                *at == worker
                    && matches!(command, Command::CloseRouter { router: closed } if *closed == router)
            };
            if engine.commands_by_worker().iter().any(is_it) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let closed = engine.commands_by_worker();
        let count = closed
            .iter()
            .filter(|(at, command)| *at == worker && matches!(command, Command::CloseRouter { .. }));
        assert_eq!(count.count(), 1, "worker {worker}");
    }
}

#[tokio::test]
async fn every_microphone_is_piped_to_the_worker_that_reports_speakers() {
    let (engine, signaling) = start();
    let ada = Member::enter(&signaling, "Ada").await;
    let bob = Member::enter(&signaling, "Bob").await;
    let (home, there) = (worker_of(&engine, &ada.send), worker_of(&engine, &bob.send));
    let before = engine.commands_by_worker().len();
    ada.client.produce(&ada.send, "audio").await;
    let bobs = bob.client.produce(&bob.send, "audio").await;
    let producer = ProducerId(id(&bobs));
    let commands = engine.commands_by_worker().split_off(before);
    let produced: Vec<usize> = commands
        .iter()
        .filter(|(_, command)| matches!(command, Command::Produce(produce) if produce.producer == producer))
        .map(|(worker, _)| *worker)
        .collect();
    assert_eq!(produced, [there, home]);
    let pipes = commands.iter().filter(|(_, command)| matches!(command, Command::CreatePipe(_)));
    assert_eq!(pipes.map(|(worker, _)| *worker).collect::<Vec<_>>(), [home]);
}

/// The snapshots of both workers may arrive in any order; copies on a pipe are not originals.
#[tokio::test]
async fn new_process_recovers_a_room_on_two_workers() {
    let (engine, first) = start();
    let ada = Member::enter(&first, "Ada").await;
    let bob = Member::enter(&first, "Bob").await;
    let (from_ada, from_bob) =
        (ada.client.produce(&ada.send, "video").await, bob.client.produce(&bob.send, "audio").await);
    let (at_bobs, at_adas) = (
        bob.client.consume(&bob.recv, &from_ada).await.id,
        ada.client.consume(&ada.recv, &from_bob).await.id,
    );
    first.kill().await;
    let commands_before = engine.commands().len();

    let second = Signaling::start_spread(&engine.path);
    let (adas, joined) = ada.resume_peer(&second, &[&from_ada], &[&at_adas]).await;
    assert!(joined.resumed);
    assert_eq!((joined.kept_producers.len(), joined.kept_consumers.len()), (1, 1), "{joined:?}");
    let (bobs, joined) = bob.resume_peer(&second, &[&from_bob], &[&at_bobs]).await;
    assert!(joined.resumed);
    assert_eq!((joined.kept_producers.len(), joined.kept_consumers.len()), (1, 1), "{joined:?}");
    let adas_info = joined.peers.iter().find(|peer| peer.id == ada.joined.peer_id).expect("Ada");
    assert_eq!(adas_info.producers.len(), 1, "a copy is not another producer: {adas_info:?}");
    bobs.consume(&bob.recv, &from_ada).await;
    adas.consume(&ada.recv, &from_bob).await;
    let since = engine.commands().split_off(commands_before);
    let expected = |command: &Command| {
        matches!(
            command,
            Command::Snapshot
                | Command::ClaimRouter { .. }
                | Command::ObserveAudio { .. }
                | Command::Consume(_)
        )
    };
    assert!(since.iter().all(expected), "nothing is closed, and nothing made twice: {since:#?}");
    let claimed = since.iter().filter(|command| matches!(command, Command::ClaimRouter { .. }));
    assert_eq!(claimed.count(), 2, "on each worker");

    // New peers are placed as before.
    let carl = Member::enter(&second, "Carl").await;
    carl.client.consume(&carl.recv, &from_ada).await;
    carl.client.consume(&carl.recv, &from_bob).await;
}

#[tokio::test]
async fn room_without_returning_peers_ends_on_both_workers() {
    let (engine, first) = start();
    let _ada = Member::enter(&first, "Ada").await;
    let _bob = Member::enter(&first, "Bob").await;
    first.kill().await;
    let _second = Signaling::start_spread(&engine.path);
    let deadline = harness::TIMEOUTS.restart + harness::LIMIT;
    let closed = || {
        let commands = engine.commands_by_worker();
        let of = commands.iter().filter(|(_, command)| matches!(command, Command::CloseRouter { .. }));
        of.map(|(worker, _)| *worker).collect::<std::collections::BTreeSet<_>>()
    };
    let waited = tokio::time::timeout(deadline, async {
        while closed().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{:?}", closed()));
}

/// After a loss of events a snapshot is requested: copies from other workers stay.
#[tokio::test]
async fn copies_survive_a_reconciliation() {
    let (engine, signaling) = start();
    let ada = Member::enter(&signaling, "Ada").await;
    let mut bob = Member::enter(&signaling, "Bob").await;
    let video = ada.client.produce(&ada.send, "video").await;
    assert!(matches!(bob.client.notification().await, Payload::NewProducer(_)));
    bob.client.consume(&bob.recv, &video).await;
    let before = engine.commands().len();
    // Of all objects on Bob's worker, this one is lost.
    engine.overflow(transport_id(&bob.send));
    match bob.client.notification().await {
        Payload::TransportClosed(closed) => assert_eq!(closed.transport_id, bob.send),
        other => panic!("{other:?}"),
    }
    bob.client.consume(&bob.recv, &video).await;
    let since = engine.commands().split_off(before);
    assert!(matches!(since[..], [Command::Snapshot, Command::Consume(_)]), "{since:#?}");
}

#[tokio::test]
async fn loss_of_a_router_affects_only_the_peers_of_its_worker() {
    let (engine, signaling) = start();
    let mut ada = Member::enter(&signaling, "Ada").await;
    let mut bob = Member::enter(&signaling, "Bob").await;
    let (home, there) = (worker_of(&engine, &ada.send), worker_of(&engine, &bob.send));
    let router = routers(&engine)[0].1;
    assert!(matches!(ada.client.notification().await, Payload::PeerJoined(_)));
    for (worker, member) in [(there, &mut bob), (home, &mut ada)] {
        engine.tell_at(worker, Event::RouterClosed { router, closed: Closed::Abandoned });
        for _ in 0..2 {
            match member.client.notification().await {
                Payload::TransportClosed(closed) => {
                    assert!([&member.send, &member.recv].contains(&&closed.transport_id));
                }
                other => panic!("{other:?}"),
            }
        }
        member.client.no_more_notifications();
        let replacement = TransportId(id(&member.client.transport("send").await.id));
        let made = engine.commands_by_worker();
        let asked = made.iter().find(
            |(_, command)| matches!(command, Command::CreateTransport(create) if create.transport == replacement),
        );
        assert_eq!(asked.map(|(worker, _)| *worker), Some(worker), "where there is the most room");
    }
    let ids: std::collections::BTreeSet<RouterId> =
        routers(&engine).into_iter().map(|(_, router)| router).collect();
    assert_eq!(ids.len(), 1, "the room is still one");
}

#[tokio::test]
async fn fault_of_a_worker_moves_its_peers_to_new_transports_and_copies_are_created_again() {
    let (engine, signaling) = start();
    let mut ada = Member::enter(&signaling, "Ada").await;
    let mut bob = Member::enter(&signaling, "Bob").await;
    let there = worker_of(&engine, &bob.send);
    let video = ada.client.produce(&ada.send, "video").await;
    assert!(matches!(bob.client.notification().await, Payload::NewProducer(_)));
    bob.client.consume(&bob.recv, &video).await;
    assert!(matches!(ada.client.notification().await, Payload::PeerJoined(_)));

    engine.replace_shard(there);
    for _ in 0..2 {
        match bob.client.notification().await {
            Payload::TransportClosed(closed) => {
                assert!([&bob.send, &bob.recv].contains(&&closed.transport_id));
                assert!(closed.reason.contains("connect again"), "{}", closed.reason);
            }
            other => panic!("{other:?}"),
        }
    }
    let before = engine.commands().len();
    let recv = bob.client.transport("recv").await.id;
    bob.client.consume(&recv, &video).await;
    let since = engine.commands().split_off(before);
    let has = |is_it: fn(&Command) -> bool| since.iter().any(is_it);
    assert!(has(|command| matches!(command, Command::CreatePipe(_))), "the copy is made again: {since:#?}");
    assert!(has(|command| matches!(command, Command::Consume(_))), "{since:#?}");
    ada.client.no_more_notifications();
}

#[tokio::test]
async fn consumer_of_a_copy_closed_by_a_fault_can_be_created_again() {
    let (engine, signaling) = start();
    let ada = Member::enter(&signaling, "Ada").await;
    let mut bob = Member::enter(&signaling, "Bob").await;
    let there = worker_of(&engine, &bob.send);
    let video = ada.client.produce(&ada.send, "video").await;
    assert!(matches!(bob.client.notification().await, Payload::NewProducer(_)));
    let consumer = bob.client.consume(&bob.recv, &video).await.id;

    // The pipe to Bob's worker is closed: first the consumers of its copies, then the copies, then the pipe.
    engine.panic_at(there, transport_id(&ada.send));
    match bob.client.notification().await {
        Payload::ConsumerClosed(closed) => assert_eq!(closed.consumer_id, consumer),
        other => panic!("{other:?}"),
    }
    match bob.client.notification().await {
        Payload::NewProducer(new) => assert_eq!(new.producer.expect("which").id, video),
        other => panic!("{other:?}"),
    }
    let before = engine.commands().len();
    bob.client.consume(&bob.recv, &video).await;
    let since = engine.commands().split_off(before);
    assert!(since.iter().any(|command| matches!(command, Command::CreatePipe(_))), "{since:#?}");
}
