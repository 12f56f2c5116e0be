//! The server and a real NATS: it registers itself and its load, and obeys revocations.

use crate::PATIENCE;
use crate::client::Client;
use crate::nats_server::NatsServer;
use crate::server::{Folder, Server};
use bus::{Bus, NatsOptions, Revocations, TurnRegister, TurnReport, follow_revocations, follow_turn_servers};
use relay::{Credentials, Derivation, mint};
use rustix::process::Signal;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Runtime;

/// The lifetime of credentials.
const LIFETIME: Duration = Duration::from_secs(600);
const URL: &str = "turn:turn.example.org:3478?transport=udp";

/// What signaling does, on its own runtime.
struct Signaling {
    runtime: Runtime,
    bus: Bus,
    register: Arc<Mutex<TurnRegister>>,
    revocations: Revocations,
}

impl Signaling {
    fn start(nats: &NatsServer) -> Self {
        let runtime = Runtime::new().unwrap();
        let entered = runtime.enter();
        let options = NatsOptions { servers: vec![nats.url()], credentials: None, name: "test".to_owned() };
        let bus = runtime.block_on(Bus::nats(&options)).unwrap();
        let register = Arc::<Mutex<TurnRegister>>::default();
        runtime.spawn(follow_turn_servers(bus.clone(), register.clone()));
        let revocations = Revocations::start(bus.clone(), LIFETIME);
        drop(entered);
        Self { runtime, bus, register, revocations }
    }

    fn report(&self) -> Option<TurnReport> {
        self.register.lock().unwrap().reports().next().cloned()
    }

    /// Waits until another reader has got a revocation of this user: it is stored.
    fn await_stored(&self, user: &'static str) {
        let is_known = Arc::<Mutex<bool>>::default();
        let learn = is_known.clone();
        let reader = self.runtime.spawn(follow_revocations(self.bus.clone(), move |batch| {
            *learn.lock().unwrap() |= batch.iter().any(|revocation| revocation.user == user);
        }));
        until("a stored revocation", || *is_known.lock().unwrap());
        reader.abort();
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A server with the secret `north`, which uses this NATS.
fn registered(nats: &NatsServer) -> Server {
    let folder = Folder::new();
    let secret = folder.write("secret", "north\n");
    Server::start_in(
        folder,
        &[
            "--secret-file",
            &secret,
            "--nats",
            &nats.url(),
            "--region",
            "eu",
            "--announce",
            URL,
            "--allocations",
            "7",
        ],
    )
}

fn holder(server: &Server, user: &str, minted_at: Duration) -> Client {
    let (username, password) = mint(b"north", Derivation::Sha1, minted_at + LIFETIME, user);
    Client::new(server.port, &username, &password)
}

#[test]
fn the_server_registers_itself_and_its_load_until_it_ends() {
    let nats = NatsServer::start();
    let signaling = Signaling::start(&nats);
    let mut server = registered(&nats);
    until("the server in the register", || signaling.report().is_some());
    let report = signaling.report().unwrap();
    assert_eq!((report.region.to_string().as_str(), report.capacity, report.allocations), ("eu", 7, 0));
    let north = Credentials::new("leat").secret(b"north").unwrap().secret_ids();
    assert_eq!(report.secrets, north);
    let choose = |secret: &str| signaling.register.lock().unwrap().choose(None, secret);
    assert_eq!(choose(&north[0]), Some(vec![URL.to_owned()]));
    assert_eq!(choose("another secret"), None);

    let mut client = holder(&server, "ada", now());
    client.allocate().unwrap();
    until("its load", || signaling.report().is_some_and(|report| report.allocations == 1));
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    until("its end", || signaling.report().is_none());
}

/// No report of its end: it is gone with the third missed one.
#[test]
fn a_server_that_is_killed_leaves_the_register() {
    let nats = NatsServer::start();
    let signaling = Signaling::start(&nats);
    let server = registered(&nats);
    until("the server in the register", || signaling.report().is_some());
    server.signal(Signal::KILL);
    until("its end", || signaling.report().is_none());
}

#[test]
fn revoked_users_lose_their_allocations_and_get_no_others() {
    let nats = NatsServer::start();
    let signaling = Signaling::start(&nats);
    let server = registered(&nats);
    until("the server in the register", || signaling.report().is_some());
    let (mut ada, mut eve) = (holder(&server, "ada", now()), holder(&server, "eve", now()));
    ada.allocate().unwrap();
    eve.allocate().unwrap();
    server.await_metric("allocations", 2);

    let revoked_at = now();
    assert!(signaling.revocations.revoke("ada", revoked_at));
    server.await_metric("allocations", 1);
    server.await_metric("allocations_revoked_total", 1);
    assert_eq!(ada.refresh(600), 403);
    assert_eq!(holder(&server, "ada", revoked_at).allocate(), Err(403));
    assert_eq!(eve.refresh(600), 0, "others notice nothing");
    holder(&server, "ada", revoked_at + Duration::from_secs(2))
        .allocate()
        .expect("a credential that is minted later");
}

#[test]
fn a_server_that_was_away_learns_revocations_at_its_start() {
    let nats = NatsServer::start();
    let signaling = Signaling::start(&nats);
    let revoked_at = now();
    assert!(signaling.revocations.revoke("ada", revoked_at));
    signaling.await_stored("ada");
    drop(signaling);

    let server = registered(&nats);
    // The server does not wait for NATS, so the first allocation may be granted; then it ends.
    until("a refusal", || holder(&server, "ada", revoked_at).allocate() == Err(403));
    server.await_metric("allocations", 0);
    holder(&server, "eve", revoked_at).allocate().expect("another user");
}

#[test]
fn without_nats_the_server_works_and_learns_revocations_when_nats_returns() {
    let mut nats = NatsServer::start();
    let server = registered(&nats);
    let signaling = Signaling::start(&nats);
    until("the server in the register", || signaling.report().is_some());
    nats.stop();
    let mut ada = holder(&server, "ada", now());
    ada.allocate().unwrap();
    server.await_metric("allocations", 1);
    until("the loss", || !signaling.bus.is_connected());
    assert!(signaling.revocations.revoke("ada", now()));
    assert_eq!(ada.refresh(600), 0);
    assert!(signaling.report().is_some(), "while NATS is away, servers stay in the register");
    nats.restart();
    server.await_metric("allocations_revoked_total", 1);
    assert_eq!(ada.refresh(600), 403);
}

#[test]
fn a_server_starts_without_nats() {
    let mut nats = NatsServer::start();
    nats.stop();
    let server = registered(&nats);
    let mut client = holder(&server, "ada", now());
    client.allocate().unwrap();
    nats.restart();
    let signaling = Signaling::start(&nats);
    until("the server in the register", || signaling.report().is_some_and(|report| report.allocations == 1));
}
