//! What other processes get over a real NATS, and what signaling gets from TURN servers.

#![allow(clippy::unwrap_used)]

mod harness;
#[path = "../bus/tests/server/mod.rs"]
mod nats_server;

use bus::{
    Bus, Event, NatsOptions, Participant, ServerState, Subscription, Track, TurnReport, What,
    follow_revocations,
};
use harness::engine::{Engine, socket_path};
use harness::{LIMIT, Signaling, join, settings};
use nats_server::NatsServer;
use signaling::auth::turn::TurnServer;
use signaling::proto::{self, signal::Payload};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, timeout};

async fn connected(server: &NatsServer) -> Bus {
    let options = NatsOptions { servers: vec![server.url()], credentials: None, name: "test".to_owned() };
    let bus = Bus::nats(&options).await.unwrap();
    until("a connection", || bus.is_connected()).await;
    bus
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn next(events: &mut Subscription) -> Event {
    let message = timeout(LIMIT, events.next()).await.expect("an event in time").expect("the bus is there");
    let event = Event::from_json(&message.payload).expect("an event");
    assert_eq!(message.subject, event.subject());
    event
}

#[tokio::test]
async fn another_process_gets_the_events_of_rooms_participants_and_tracks() {
    let server = NatsServer::start();
    let mut events = connected(&server).await.subscribe(Event::ALL).await;
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_with(&engine.path, settings());
    signaling.rooms.publish_events(connected(&server).await);

    let ada = signaling.client();
    let joined = ada.join(join("mill.pond", "Ada")).await;
    let participant =
        || Participant { id: joined.peer_id.clone(), user: joined.user.clone(), name: "Ada".to_owned() };
    let created = next(&mut events).await;
    assert_eq!((created.project.as_str(), created.room.as_str()), ("default", "mill.pond"));
    assert_eq!(created.what, What::RoomCreated);
    assert_eq!(next(&mut events).await.what, What::ParticipantJoined { participant: participant() });
    let changed = |from: &str, to: &str| What::SessionState {
        participant: participant(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    assert_eq!(next(&mut events).await.what, changed("Handshaking", "Negotiating"));

    let transport = ada.transport("send").await;
    let id = ada.produce(&transport.id, "video").await;
    let track = || Track { id: id.clone(), kind: "video".to_owned(), source: "camera".to_owned() };
    let published = next(&mut events).await.what;
    let What::TrackPublished { participant: by, track: found } = &published else { panic!("{published:?}") };
    assert_eq!((by, &found.id, found.kind.as_str()), (&participant(), &track().id, "video"));
    let found = found.clone();
    ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: id.clone() })).await;
    let ended = next(&mut events).await.what;
    assert_eq!(ended, What::TrackUnpublished { participant: participant(), track: found });

    // The participant's end is that of its tracks.
    ada.produce(&transport.id, "audio").await;
    assert!(matches!(next(&mut events).await.what, What::TrackPublished { .. }));
    let report = proto::QualityReport { freezes: 2, round_trip_us: Some(900), ..Default::default() };
    ada.done(Payload::Leave(proto::Leave { quality: Some(report) })).await;
    assert_eq!(next(&mut events).await.what, changed("Negotiating", "Ended"));
    assert_eq!(next(&mut events).await.what, What::ParticipantLeft { participant: participant() });
    let What::SessionQuality { participant: of, quality } = next(&mut events).await.what else {
        panic!("quality")
    };
    assert_eq!((of, quality.freezes, quality.round_trip_us), (participant(), Some(2), Some(900)));
    assert!(quality.joined_at_ms.is_some() && quality.join_ms.is_none(), "{quality:?}");
    assert_eq!(next(&mut events).await.what, What::RoomClosed);
}

fn report(server: &str, region: &str, allocations: u32, secrets: &[String]) -> TurnReport {
    TurnReport {
        version: TurnReport::VERSION,
        server: server.to_owned(),
        region: region.parse().unwrap(),
        urls: vec![format!("turn:{server}.example:3478").parse().unwrap()],
        secrets: secrets.to_vec(),
        allocations,
        capacity: 100,
        state: ServerState::Up,
    }
}

#[tokio::test]
async fn clients_get_the_least_loaded_turn_server_of_the_region_beside_the_static_one() {
    let server = NatsServer::start();
    let engine = Engine::start(&socket_path());
    let ttl = Duration::from_secs(600);
    let mut turn = TurnServer::new(vec!["turn:static.example:3478".to_owned()], "north", ttl).ok().unwrap();
    turn.use_bus(&connected(&server).await, Some("eu".parse().unwrap()));
    let secrets = [turn.secret_id().to_owned()];
    let signaling = Signaling::start_with_turn(&engine.path, turn);

    let turns = connected(&server).await;
    let publish = |report: TurnReport| turns.publish(&report.subject(), report.to_json().into());
    let urls = async || {
        let client = signaling.client();
        let joined = client.join(join("stage", "Ada")).await;
        client.done(Payload::Leave(proto::Leave::default())).await;
        assert!(joined.ice_servers.iter().all(|server| !server.credential.is_empty()));
        joined.ice_servers.into_iter().flat_map(|server| server.urls).collect::<Vec<_>>()
    };
    assert_eq!(urls().await, ["turn:static.example:3478"], "no server has registered");
    let end = Instant::now() + LIMIT;
    loop {
        publish(report("far", "us", 0, &secrets));
        publish(report("busy", "eu", 50, &secrets));
        publish(report("foreign", "eu", 0, &["another".to_owned()]));
        publish(report("near", "eu", 10, &secrets));
        sleep(Duration::from_millis(20)).await;
        if urls().await == ["turn:near.example:3478", "turn:static.example:3478"] {
            break;
        }
        assert!(Instant::now() < end, "clients do not get the registered server");
    }
    // They report no more, so they are gone after three intervals.
    while urls().await.len() > 1 {
        assert!(Instant::now() < end, "a server without reports stays");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_revoked_user_is_stored_for_turn_servers() {
    let server = NatsServer::start();
    let engine = Engine::start(&socket_path());
    let mut turn = TurnServer::new(Vec::new(), "north", Duration::from_secs(600)).ok().unwrap();
    turn.use_bus(&connected(&server).await, None);
    let signaling = Signaling::start_with_turn(&engine.path, turn);
    signaling.rooms.revoke_turn("default", "ada");
    signaling.rooms.revoke_turn("mill", "ada");
    let known = Arc::<Mutex<Vec<String>>>::default();
    let learn = known.clone();
    tokio::spawn(follow_revocations(connected(&server).await, move |batch| {
        learn.lock().unwrap().extend(batch.into_iter().map(|revocation| revocation.user));
    }));
    until("both", || {
        ["ada", "mill/ada"].iter().all(|user| known.lock().unwrap().iter().any(|name| name == user))
    })
    .await;
}

/// Joins and calls do not depend on NATS, and clients get the TURN servers that were known last.
#[tokio::test]
async fn while_nats_is_away_clients_join_and_get_the_last_known_turn_server() {
    let mut server = NatsServer::start();
    let engine = Engine::start(&socket_path());
    let mut turn = TurnServer::new(Vec::new(), "north", Duration::from_secs(600)).ok().unwrap();
    let bus = connected(&server).await;
    turn.use_bus(&bus, None);
    let secrets = [turn.secret_id().to_owned()];
    let signaling = Signaling::start_with_turn(&engine.path, turn);
    signaling.rooms.publish_events(bus.clone());
    let other = connected(&server).await;
    let mut events = other.subscribe(Event::ALL).await;
    let known = async || {
        let client = signaling.client();
        let joined = client.join(join("stage", "Ada")).await;
        client.done(Payload::Leave(proto::Leave::default())).await;
        !joined.ice_servers.is_empty()
    };
    let end = Instant::now() + LIMIT;
    while !known().await {
        let report = report("near", "eu", 0, &secrets);
        other.publish(&report.subject(), report.to_json().into());
        sleep(Duration::from_millis(20)).await;
        assert!(Instant::now() < end, "clients do not get the registered server");
    }
    server.stop();
    until("the loss", || !bus.is_connected()).await;
    // Longer than three reports.
    for _ in 0..10 {
        assert!(known().await);
        sleep(Duration::from_secs(1)).await;
    }
    let ada = signaling.client();
    ada.join(join("during", "Ada")).await;
    let transport = ada.transport("send").await;
    ada.produce(&transport.id, "video").await;
    assert!(bus.counts().dropped_away >= 3, "{:?}", bus.counts());

    server.restart();
    until("the return", || bus.is_connected() && other.is_connected()).await;
    let returned_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    let returned = async {
        loop {
            assert!(known().await);
            sleep(Duration::from_millis(100)).await;
        }
    };
    let of_now = async {
        // Those from before NATS was stopped come first; none is of the time without it.
        loop {
            let event = next(&mut events).await;
            assert_ne!(event.room, "during");
            if event.time_ms > returned_at {
                return;
            }
        }
    };
    tokio::select! {
        () = returned => {}
        () = of_now => {}
    }
}
