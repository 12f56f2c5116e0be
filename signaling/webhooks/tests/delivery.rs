//! Webhooks with a real database and a real receiver. Each test of the suite runs on SQLite and on PostgreSQL.

#[path = "../../../turn/policy/tests/notations/mod.rs"]
mod notations;
#[path = "../../stores/tests/postgres/mod.rs"]
mod postgres;
mod receiver;

use bus::{Event, Participant, What};
use notations::REFUSED;
use policy::Policy;
use postgres::{Postgres, temporary_dir};
use receiver::{Arrived, LIMIT, NEW_SECRET, Receiver, Reply, SECRET, until};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stores::accounts::limits::{WEBHOOK_QUEUE_LEN, WEBHOOK_QUEUE_TIME};
use stores::accounts::{Accounts, Database, QueuedEvent};
use tokio::time::sleep;
use webhooks::{Secret, Settings, SettingsError, WebhookCounts, Webhooks};

/// The database under test, and what ends with it.
struct World {
    accounts: Accounts,
    database: Database,
    dir: Option<PathBuf>,
    _server: Option<Arc<Postgres>>,
}

impl World {
    fn sqlite() -> Self {
        let dir = temporary_dir("webhooks");
        let database = Database::Directory(dir.join("data"));
        let accounts = Accounts::open(&database).expect("a new file");
        Self { accounts, database, dir: Some(dir), _server: None }
    }

    /// All tests share one server while any of them runs; each has its own database.
    fn postgres() -> Self {
        static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(Postgres::start()));
        *shared = Arc::downgrade(&server);
        let database = Database::Postgres(server.database());
        let accounts = Accounts::open(&database).expect("a valid URL");
        Self { accounts, database, dir: None, _server: Some(server) }
    }

    /// Webhooks of a process of their own.
    fn webhooks(&self, targets: &[String]) -> Webhooks {
        let accounts = Accounts::open(&self.database).expect("it was opened before");
        Webhooks::start(settings(targets), accounts).expect("valid settings")
    }

    /// Waits until nothing waits for these targets.
    async fn await_empty(&self, urls: &[String]) {
        let start = Instant::now();
        for target in settings(urls).targets {
            while self.accounts.webhook_backlog(target.id()).await.expect("a count").events > 0 {
                assert!(start.elapsed() < LIMIT, "events for {target} are left");
                sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::sqlite()).await })*
        }
        mod postgresql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::postgres()).await })*
        }
    };
}

on_both! {
    events_of_each_room_arrive_once_in_order_and_signed
    a_refused_event_is_sent_again_with_its_id_and_later_ones_of_its_room_wait
    events_wait_while_connections_are_refused
    a_target_that_is_silent_delays_neither_other_targets_nor_other_rooms
    the_oldest_events_are_dropped_when_the_queue_is_full
    events_are_dropped_after_a_day
    one_process_delivers_and_another_one_takes_over
}

/// All loopback addresses are allowed.
fn settings(targets: &[String]) -> Settings {
    let allowed = ["127.0.0.0/8", "::1"].map(|text| text.parse().expect("an exception")).to_vec();
    Settings {
        targets: targets.iter().map(|url| url.parse().expect("a URL")).collect(),
        secrets: vec![Secret::read(SECRET).expect("a secret")],
        types: Vec::new(),
        policy: Policy { allowed, ..Policy::default() },
    }
}

fn joined(room: &str, number: usize) -> Event {
    let participant =
        Participant { id: format!("{number:016x}"), user: "ada".into(), name: number.to_string() };
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    Event::new("default", room, time, What::ParticipantJoined { participant })
}

/// The room and the number of an event.
fn numbered(request: &Arrived) -> (String, usize) {
    let event = Event::from_json(request.body.as_bytes()).unwrap_or_else(|| panic!("{request:?}"));
    let What::ParticipantJoined { participant } = event.what else { panic!("{request:?}") };
    (event.room, participant.name.parse().expect("a number"))
}

fn numbers(requests: &[Arrived], room: &str) -> Vec<usize> {
    let of_room = requests.iter().map(numbered).filter(|(found, _)| found == room);
    of_room.map(|(_, number)| number).collect()
}

fn attempts(counts: &WebhookCounts, result: &str) -> u64 {
    counts.attempts.iter().find(|(name, _)| *name == result).expect("a result").1
}

fn dropped(counts: &WebhookCounts, reason: &str) -> u64 {
    counts.dropped.iter().find(|(name, _)| *name == reason).expect("a reason").1
}

async fn events_of_each_room_arrive_once_in_order_and_signed(world: World) {
    const EVENTS: usize = 40;
    let rooms = ["mill", "pond", "weir"];
    let receiver = Receiver::start().await;
    let mut settings = settings(&[receiver.url()]);
    settings.secrets.push(Secret::read(NEW_SECRET).expect("a secret"));
    let webhooks = Webhooks::start(settings, world.accounts.clone()).expect("valid settings");
    for number in 0..EVENTS {
        rooms.iter().for_each(|room| webhooks.intake().put(&joined(room, number)));
    }
    let requests = receiver.await_requests(rooms.len() * EVENTS).await;
    world.await_empty(&[receiver.url()]).await;
    for room in rooms {
        assert_eq!(numbers(&requests, room), (0..EVENTS).collect::<Vec<_>>(), "{room}");
    }
    let ids: BTreeSet<&str> = requests.iter().map(Arrived::id).collect();
    assert_eq!(ids.len(), requests.len());
    for request in &requests {
        assert_eq!(request.target, "POST /hook?key=s3cret");
        assert_eq!(request.header("host"), receiver.address.to_string());
        assert_eq!(request.header("content-type"), "application/json");
        assert!(request.is_signed_with(SECRET) && request.is_signed_with(NEW_SECRET));
        assert!(!request.is_signed_with("whsec_c29tZXRoaW5nIHRoYXQgaXMgbm90IHRoZSBzZWNyZXQ="));
        let changed = Arrived { body: request.body.replace("ada", "eve"), ..request.clone() };
        assert!(!changed.is_signed_with(SECRET), "the body is signed");
    }
    // What has arrived is counted and is not sent again.
    let counts = webhooks.monitor().counts();
    assert_eq!(attempts(&counts, "delivered"), requests.len() as u64);
    assert_eq!(receiver.arrived().len(), requests.len());
}

async fn a_refused_event_is_sent_again_with_its_id_and_later_ones_of_its_room_wait(world: World) {
    let mut refusals = 2;
    let receiver = Receiver::answering(move |request| {
        let is_refused = numbered(request).0 == "mill" && refusals > 0;
        refusals -= i32::from(is_refused);
        Reply::Status(if is_refused { 500 } else { 204 })
    });
    let receiver = receiver.await;
    let webhooks = world.webhooks(&[receiver.url()]);
    for number in 0..3 {
        webhooks.intake().put(&joined("mill", number));
    }
    webhooks.intake().put(&joined("pond", 0));
    let requests = receiver.await_requests(6).await;
    world.await_empty(&[receiver.url()]).await;
    assert_eq!(numbers(&requests, "mill"), [0, 0, 0, 1, 2]);
    let mill: Vec<&Arrived> = requests.iter().filter(|request| numbered(request).0 == "mill").collect();
    assert!(mill[1..3].iter().all(|again| again.id() == mill[0].id() && again.body == mill[0].body));
    assert!(mill.iter().all(|request| request.is_signed_with(SECRET)), "each attempt, with its own time");
    let pond = requests.iter().position(|request| numbered(request).0 == "pond").expect("it has arrived");
    assert!(pond < 3, "another room does not wait: {requests:?}");
    assert_eq!(attempts(&webhooks.monitor().counts(), "status"), 2);
}

async fn events_wait_while_connections_are_refused(world: World) {
    // Nothing listens there.
    let receiver = Receiver::start().await;
    let (url, address) = (receiver.url(), receiver.address.to_string());
    drop(receiver);
    let webhooks = world.webhooks(&[url]);
    for number in 0..3 {
        webhooks.intake().put(&joined("mill", number));
    }
    let monitor = webhooks.monitor();
    until("a second attempt", || attempts(&monitor.counts(), "unreachable") >= 2).await;
    let receiver = Receiver::start_at(&address, |_| Reply::Status(200)).await;
    let requests = receiver.await_requests(3).await;
    world.await_empty(&[receiver.url()]).await;
    assert_eq!(numbers(&requests, "mill"), [0, 1, 2]);
}

async fn a_target_that_is_silent_delays_neither_other_targets_nor_other_rooms(world: World) {
    const EVENTS: usize = 20;
    let silent = Receiver::answering(|request| match numbered(request) {
        (room, _) if room == "mill" => Reply::Silence,
        _ => Reply::Status(200),
    });
    let (silent, other) = (silent.await, Receiver::start().await);
    let webhooks = world.webhooks(&[silent.url(), other.url()]);
    for number in 0..EVENTS {
        webhooks.intake().put(&joined("mill", number));
        webhooks.intake().put(&joined("pond", number));
    }
    let all: Vec<usize> = (0..EVENTS).collect();
    let requests = other.await_requests(2 * EVENTS).await;
    assert_eq!((numbers(&requests, "mill"), numbers(&requests, "pond")), (all.clone(), all.clone()));
    until("the other room", || numbers(&silent.arrived(), "pond").len() == EVENTS).await;
    assert_eq!(numbers(&silent.arrived(), "pond"), all);
    let waiting = numbers(&silent.arrived(), "mill");
    assert!(waiting.iter().all(|number| *number == 0), "an event that was not accepted: {waiting:?}");
    // The attempt ends, and the rest follows.
    silent.answer(|_| Reply::Status(200));
    world.await_empty(&[silent.url(), other.url()]).await;
    let mut mill = numbers(&silent.arrived(), "mill");
    mill.dedup();
    assert_eq!(mill, all);
    assert!(attempts(&webhooks.monitor().counts(), "timeout") >= 1);
}

async fn the_oldest_events_are_dropped_when_the_queue_is_full(world: World) {
    const MORE: usize = 7;
    let targets = ["a".to_owned(), "b".to_owned()];
    let events: Vec<QueuedEvent> = (0..WEBHOOK_QUEUE_LEN as usize + MORE)
        .map(|number| QueuedEvent::new("default/mill".into(), number.to_string()))
        .collect();
    let mut count = 0;
    for batch in events.chunks(250) {
        count += world.accounts.queue_webhooks(&targets[..1], batch).await.expect("a place");
    }
    assert_eq!(count, MORE as u64);
    // Again after a timeout: the newest ones are not added twice.
    let last = &events[events.len() - 250..];
    assert_eq!(world.accounts.queue_webhooks(&targets, last).await.expect("a place"), 0);
    let oldest = world.accounts.webhooks_of_room("a", "default/mill").await.expect("events");
    assert_eq!(oldest[0], events[MORE], "the oldest are gone");
    let other = world.accounts.webhooks_of_room("b", "default/mill").await.expect("events");
    assert_eq!(other[0], last[0], "the queue of another target is not full");
    let backlog = world.accounts.webhook_backlog("a").await.expect("a count");
    assert_eq!((backlog.events, backlog.oldest_at), (WEBHOOK_QUEUE_LEN, events[MORE].queued_at));
}

async fn events_are_dropped_after_a_day(world: World) {
    let receiver = Receiver::answering(|_| Reply::Status(503)).await;
    let targets: Vec<_> = settings(&[receiver.url()]).targets.iter().map(|it| it.id().to_owned()).collect();
    let event = |age: Duration| {
        let event = QueuedEvent::new("default/mill".into(), "{}".into());
        QueuedEvent { queued_at: event.queued_at - age.as_millis() as i64, ..event }
    };
    let (minute, day) = (Duration::from_secs(60), WEBHOOK_QUEUE_TIME);
    let events = [event(day + minute), event(day + minute), event(day - 10 * minute)];
    world.accounts.queue_webhooks(&targets, &events).await.expect("a place");
    let webhooks = world.webhooks(&[receiver.url()]);
    let monitor = webhooks.monitor();
    until("the count", || dropped(&monitor.counts(), "expired") == 2 && monitor.counts().queued == 1).await;
    let age = monitor.counts().oldest_age_s;
    assert!((day - 10 * minute..day).contains(&Duration::from_secs_f64(age)), "{age}");
    let left = world.accounts.webhooks_of_room(&targets[0], "default/mill").await.expect("events");
    assert_eq!(left, events[2..]);
}

async fn one_process_delivers_and_another_one_takes_over(world: World) {
    let receiver = Receiver::answering(|_| Reply::Silence).await;
    let first = world.webhooks(&[receiver.url()]);
    let monitor = first.monitor();
    until("the first one has the lock", || monitor.counts().is_delivering).await;
    let second = world.webhooks(&[receiver.url()]);
    // Of both processes, each in its own room.
    for number in 0..3 {
        first.intake().put(&joined("mill", number));
        second.intake().put(&joined("pond", number));
    }
    receiver.await_requests(2).await;
    assert!(
        !second.monitor().counts().is_delivering && attempts(&second.monitor().counts(), "delivered") == 0
    );
    receiver.answer(|_| Reply::Status(200));
    first.end().await;
    let monitor = second.monitor();
    until("the second one has the lock", || monitor.counts().is_delivering).await;
    world.await_empty(&[receiver.url()]).await;
    let requests = receiver.arrived().clone();
    for room in ["mill", "pond"] {
        let mut found = numbers(&requests, room);
        found.dedup();
        assert_eq!(found, [0, 1, 2], "{room}");
    }
    // The first one of each room was sent by both, with one id.
    let mut ids = BTreeMap::<(String, usize), BTreeSet<&str>>::new();
    for request in &requests {
        ids.entry(numbered(request)).or_default().insert(request.id());
    }
    assert!(ids.len() == 6 && ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    assert!(requests.len() >= 8, "the interrupted ones again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_while_the_database_is_away() {
    let mut server = Postgres::start();
    let database = Database::Postgres(server.database());
    let receiver = Receiver::start().await;
    let accounts = Accounts::open(&database).expect("a valid URL");
    let webhooks = Webhooks::start(settings(&[receiver.url()]), accounts).expect("valid settings");
    webhooks.intake().put(&joined("mill", 0));
    receiver.await_requests(1).await;
    server.stop();
    let monitor = webhooks.monitor();
    until("the lock is lost", || !monitor.counts().is_delivering).await;
    for number in 1..4 {
        webhooks.intake().put(&joined("mill", number));
    }
    server.resume();
    until("the others", || numbers(&receiver.arrived(), "mill").last() == Some(&3)).await;
    let mut found = numbers(&receiver.arrived(), "mill");
    found.dedup();
    assert_eq!(found, [0, 1, 2, 3]);
}

#[test]
fn every_private_address_in_a_url_is_refused_at_the_start() {
    for ip in REFUSED {
        let host = if ip.contains(':') { format!("[{ip}]") } else { (*ip).to_owned() };
        for scheme in ["http", "https"] {
            let settings =
                Settings { policy: Policy::default(), ..settings(&[format!("{scheme}://{host}/")]) };
            assert!(matches!(settings.check(), Err(SettingsError::Refused(..))), "{host}");
        }
    }
}

/// `localhost` is a name: it is checked after it has been resolved, with each attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_with_a_private_address_gets_no_connection() {
    let world = World::sqlite();
    let receiver = Receiver::start().await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let strict = Settings { policy: Policy::default(), ..settings(std::slice::from_ref(&url)) };
    let webhooks = Webhooks::start(strict, world.accounts.clone()).expect("valid settings");
    webhooks.intake().put(&joined("mill", 0));
    let monitor = webhooks.monitor();
    until("two attempts", || attempts(&monitor.counts(), "refused_address") >= 2).await;
    assert_eq!(receiver.arrived().len(), 0);
    webhooks.end().await;
    // The same name, allowed.
    let webhooks = world.webhooks(std::slice::from_ref(&url));
    receiver.await_requests(1).await;
    world.await_empty(&[url]).await;
    assert_eq!(attempts(&webhooks.monitor().counts(), "delivered"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_failures_and_are_not_followed() {
    let world = World::sqlite();
    let elsewhere = Receiver::start().await;
    let location = elsewhere.url();
    let mut statuses = [302, 307, 308].into_iter();
    let receiver = Receiver::answering(move |_| match statuses.next() {
        Some(status) => Reply::Redirect(status, location.clone()),
        None => Reply::Status(200),
    });
    let receiver = receiver.await;
    let webhooks = world.webhooks(&[receiver.url()]);
    webhooks.intake().put(&joined("mill", 0));
    let requests = receiver.await_requests(4).await;
    world.await_empty(&[receiver.url()]).await;
    assert!(requests.iter().all(|request| request.id() == requests[0].id()));
    assert_eq!((elsewhere.arrived().len(), attempts(&webhooks.monitor().counts(), "status")), (0, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_response_only_a_head_of_bounded_length_is_read() {
    let world = World::sqlite();
    let receiver = Receiver::answering(|_| Reply::Endless("HTTP/1.1 200 OK\r\nx-endless: ")).await;
    let webhooks = world.webhooks(&[receiver.url()]);
    webhooks.intake().put(&joined("mill", 0));
    let monitor = webhooks.monitor();
    until("it fails", || attempts(&monitor.counts(), "protocol") >= 1).await;
    // A body without an end is not read.
    receiver.answer(|_| Reply::Endless("HTTP/1.1 200 OK\r\n\r\n"));
    world.await_empty(&[receiver.url()]).await;
    assert_eq!(attempts(&monitor.counts(), "delivered"), 1);
}
