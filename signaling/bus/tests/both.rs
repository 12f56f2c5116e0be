//! One suite for both implementations of the bus: in process, and a real `nats-server` that the test starts.

#![allow(clippy::unwrap_used)]

mod server;

use bus::limits::{PUBLISH_QUEUE_LEN, SUBSCRIPTION_LEN};
use bus::{
    Bus, Event, Message, NatsOptions, Participant, Revocation, Revocations, ServerState, Subscription,
    TurnRegister, TurnReport, What, follow_revocations, follow_turn_servers, report_turn_server,
};
use server::NatsServer;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// For effects that follow at once on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test on both implementations.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod in_process {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Bus::in_process()).await;
            })*
        }

        mod nats {
            $(#[tokio::test]
            async fn $test() {
                let server = super::NatsServer::start();
                super::$test(super::connected(&server).await).await;
            })*
        }
    };
}

on_both! {
    events_arrive_in_order_at_every_subscriber_that_wants_them
    a_slow_subscriber_is_counted_and_delays_nobody_else
    revocations_reach_readers_of_now_and_of_later
    entries_end_with_their_lifetime
    a_turn_server_is_registered_until_it_ends
}

async fn connected(server: &NatsServer) -> Bus {
    let bus = Bus::nats(&options(server)).await.unwrap();
    until("a connection", || bus.is_connected()).await;
    bus
}

fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions { servers: vec![server.url()], credentials: None, name: "test".to_owned() }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn next(subscription: &mut Subscription) -> Message {
    timeout(PATIENCE, subscription.next()).await.expect("a message in time").expect("the bus is there")
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn joined(room: &str, user: &str) -> Event {
    let participant = Participant { id: "0001".to_owned(), user: user.to_owned(), name: user.to_owned() };
    Event::new("default", room, now(), What::ParticipantJoined { participant })
}

async fn events_arrive_in_order_at_every_subscriber_that_wants_them(bus: Bus) {
    let mut all = bus.subscribe(Event::ALL).await;
    let mut of_room = bus.subscribe("leat.v1.default.room.a=2Eb.>").await;
    let mut of_others = bus.subscribe("leat.v1.other.>").await;
    let events: Vec<Event> = (0..100).map(|index| joined("a.b", &format!("u{index}"))).collect();
    events.iter().for_each(|event| bus.publish_event(event));
    let elsewhere = joined("elsewhere", "u");
    bus.publish_event(&elsewhere);
    for event in &events {
        for subscription in [&mut all, &mut of_room] {
            let message = next(subscription).await;
            assert_eq!(message.subject, "leat.v1.default.room.a=2Eb.participant.joined");
            assert_eq!(Event::from_json(&message.payload).as_ref(), Some(event));
        }
    }
    assert_eq!(Event::from_json(&next(&mut all).await.payload), Some(elsewhere));
    bus.publish("leat.v1.other.x", "last".into());
    assert_eq!(next(&mut of_others).await.payload, "last", "the first that it wants");
    assert_eq!((all.lost(), bus.counts().published), (0, 102));
}

async fn a_slow_subscriber_is_counted_and_delays_nobody_else(bus: Bus) {
    let slow = bus.subscribe("a.>").await;
    let mut quick = bus.subscribe("a.>").await;
    let count = SUBSCRIPTION_LEN + 500;
    for index in 0..count {
        bus.publish("a.b", index.to_string().into());
        assert_eq!(next(&mut quick).await.payload, index.to_string());
    }
    until("the lost messages", || slow.lost() == 500).await;
    assert_eq!((quick.lost(), bus.counts().slow), (0, 500));
}

/// What a TURN server would keep.
fn followed(bus: &Bus) -> Arc<Mutex<Vec<Revocation>>> {
    let known = Arc::<Mutex<Vec<Revocation>>>::default();
    let keep = known.clone();
    tokio::spawn(follow_revocations(bus.clone(), move |batch| keep.lock().unwrap().extend(batch)));
    known
}

fn has(known: &Mutex<Vec<Revocation>>, user: &str) -> bool {
    known.lock().unwrap().iter().any(|revocation| revocation.user == user)
}

async fn revocations_reach_readers_of_now_and_of_later(bus: Bus) {
    let lifetime = Duration::from_secs(600);
    let early = followed(&bus);
    let revocations = Revocations::start(bus.clone(), lifetime);
    let revoked_at = now();
    assert!(revocations.revoke("ada", revoked_at));
    assert!(revocations.revoke("a user: é. *>", revoked_at));
    assert!(!revocations.revoke("", revoked_at));
    assert!(!revocations.revoke(&"u".repeat(497), revoked_at));
    until("both", || has(&early, "ada") && has(&early, "a user: é. *>")).await;
    let late = followed(&bus);
    until("both for a later reader", || has(&late, "ada") && has(&late, "a user: é. *>")).await;
    assert_eq!(late.lock().unwrap().len(), 2);
    assert_eq!(late.lock().unwrap()[1], Revocation::new("ada", revoked_at + lifetime));
    assert!(revocations.revoke("eve", now()));
    until("the third", || has(&early, "eve") && has(&late, "eve")).await;
}

async fn entries_end_with_their_lifetime(bus: Bus) {
    // Of the credentials no time is left; of the entry a minute, for clocks that differ.
    let revocations = Revocations::start(bus.clone(), Duration::ZERO);
    let past = now() - Duration::from_secs(5);
    revocations.revoke("gone", past);
    revocations.revoke("here", now() + Duration::from_secs(60));
    let known = followed(&bus);
    until("the other", || has(&known, "here")).await;
    assert!(!has(&known, "gone"), "a revocation without an effect is not stored");
}

async fn a_turn_server_is_registered_until_it_ends(bus: Bus) {
    let register = Arc::<Mutex<TurnRegister>>::default();
    tokio::spawn(follow_turn_servers(bus.clone(), register.clone()));
    let state = Arc::new(Mutex::new(ServerState::Up));
    let (current, changed) = (state.clone(), Arc::<Notify>::default());
    tokio::spawn(report_turn_server(bus.clone(), changed.clone(), move || TurnReport {
        version: TurnReport::VERSION,
        server: "s".to_owned(),
        region: "eu".parse().unwrap(),
        urls: vec!["turn:192.0.2.1:3478".parse().unwrap()],
        secrets: vec!["north".to_owned()],
        allocations: 1,
        capacity: 2,
        state: *current.lock().unwrap(),
    }));
    let choose = || register.lock().unwrap().choose(None, "north");
    until("the server", || choose().is_some_and(|urls| urls == ["turn:192.0.2.1:3478"])).await;
    *state.lock().unwrap() = ServerState::Ended;
    changed.notify_one();
    until("its end", || choose().is_none()).await;
}

/// Events are dropped and counted while NATS is away, and everything recovers by itself.
#[tokio::test]
async fn while_nats_is_away_events_are_dropped_and_revocations_are_kept() {
    let mut server = NatsServer::start();
    let bus = connected(&server).await;
    let other = connected(&server).await;
    let mut events = other.subscribe(Event::ALL).await;
    let revocations = Revocations::start(bus.clone(), Duration::from_secs(600));
    // Repeated, because the server may not know the subscription of the other connection yet.
    let sent = async {
        loop {
            bus.publish_event(&joined("before", "u"));
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = sent => {}
        message = next(&mut events) => assert!(message.subject.contains("before"), "{message:?}"),
    }

    server.stop();
    until("the loss", || !bus.is_connected()).await;
    let before = Instant::now();
    let count = 2 * PUBLISH_QUEUE_LEN as u64;
    (0..count).for_each(|_| bus.publish_event(&joined("during", "u")));
    assert!(before.elapsed() < PATIENCE, "no caller waits");
    assert_eq!(bus.counts().dropped_away, count);
    assert!(revocations.revoke("ada", now()));

    server.restart();
    until("the return", || bus.is_connected() && other.is_connected()).await;
    let known = followed(&other);
    until("the kept revocation", || has(&known, "ada")).await;
    // The subscription lives again, and nothing from before comes late.
    let sent = async {
        loop {
            bus.publish_event(&joined("after", "u"));
            sleep(Duration::from_millis(50)).await;
        }
    };
    let received = async {
        loop {
            let message = next(&mut events).await;
            // A repetition from before the loss may have been on its way.
            if !message.subject.contains("before") {
                return message;
            }
        }
    };
    tokio::select! {
        () = sent => {}
        message = received => assert!(message.subject.contains("after"), "{message:?}"),
    }
}

/// A server that has stopped without closing its connections, as after a cut cable.
#[tokio::test]
async fn a_server_that_does_not_read_delays_nobody() {
    let server = NatsServer::start();
    let bus = connected(&server).await;
    server.freeze();
    let event = joined("frozen", &"u".repeat(200));
    until("dropped events", || {
        (0..1_000).for_each(|_| bus.publish_event(&event));
        let counts = bus.counts();
        counts.dropped_away + counts.dropped_full > 0
    })
    .await;
    server.thaw();
    let mut events = bus.subscribe("leat.v1.*.room.thawed.>").await;
    let sent = async {
        loop {
            bus.publish_event(&joined("thawed", "u"));
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = sent => {}
        _ = next(&mut events) => {}
    }
}

/// A bucket of a former configuration, with a shorter lifetime, does not shorten revocations.
#[tokio::test]
async fn the_lifetime_of_a_bucket_grows_with_that_of_credentials() {
    let server = NatsServer::start();
    let bus = connected(&server).await;
    let known = followed(&bus);
    for (user, lifetime) in [("short", 60), ("long", 7_200), ("short again", 60)] {
        let client = connected(&server).await;
        Revocations::start(client, Duration::from_secs(lifetime)).revoke(user, now());
        until("a revocation", || has(&known, user)).await;
    }
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("KV_leat_turn_revocations").await.unwrap();
    assert_eq!(stream.cached_info().config.max_age, Duration::from_secs(7_200 + 60));
}

#[tokio::test]
async fn invalid_options_are_errors_that_name_them() {
    for (servers, credentials, wanted) in [
        (vec!["nats://u:secret@host:port".to_owned()], None, "nats://…@host:port"),
        (vec![], None, "expected nats://HOST:PORT"),
        (
            vec!["nats://127.0.0.1:1".to_owned()],
            Some("/nowhere".into()),
            "/nowhere: cannot use these credentials",
        ),
    ] {
        let options = NatsOptions { servers, credentials, name: "test".to_owned() };
        let error = Bus::nats(&options).await.unwrap_err().to_string();
        assert!(error.contains(wanted) && !error.contains("secret"), "{error}");
    }
}
