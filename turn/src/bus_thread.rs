//! The connection to NATS: reports this server and its load to signaling, and applies revocations.
//!
//! One thread with a runtime of its own. It reads the boards of the workers and sends them commands, and never
//! touches the packet path: without NATS the server works as before.

use crate::control::{Board, Order};
use crate::limits::REVOCATIONS_PER_ORDER;
use bus::{Bus, NatsOptions, Region, Revocation, ServerState, TurnReport, TurnUrl};
use crossbeam_channel::Sender;
use mio::Waker;
use relay::{Command, Counter, RevokedUser};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::Notify;

/// The options for the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSettings {
    /// How to reach NATS.
    pub nats: NatsOptions,
    /// Where this server is.
    pub region: Region,
    /// The URLs that signaling gives to clients. Without them the server does not register; it only applies
    /// revocations.
    pub urls: Vec<TurnUrl>,
}

/// What the reports contain beside the load; the main thread changes it.
#[derive(Debug)]
struct Reported {
    state: ServerState,
    /// Ids of the shared secrets.
    secrets: Vec<String>,
    /// Maximum of allocations.
    capacity: u32,
}

/// The running thread.
#[derive(Debug)]
pub struct BusThread {
    reported: Arc<Mutex<Reported>>,
    changed: Arc<Notify>,
    thread: JoinHandle<()>,
}

/// The workers, as this thread reaches them.
pub struct WorkerAccess {
    /// The last report of each.
    pub boards: Vec<Board>,
    /// The queue of each, and what wakes it.
    pub senders: Vec<(Sender<Order>, Arc<Waker>)>,
}

impl BusThread {
    /// Starts the thread. `id` is new with each run of the server.
    pub fn start(
        settings: BusSettings,
        id: u64,
        relay: &relay::Settings,
        workers: WorkerAccess,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let reported = Arc::new(Mutex::new(Reported {
            state: ServerState::Up,
            secrets: relay.credentials.secret_ids(),
            capacity: relay.quotas.allocations,
        }));
        let changed = Arc::<Notify>::default();
        let (of_thread, on_change) = (reported.clone(), changed.clone());
        let thread = std::thread::Builder::new().name("bus".to_owned()).spawn(move || {
            runtime.block_on(run(settings, format!("{id:016x}"), of_thread, on_change, workers));
            // What still waits for NATS does not delay the end.
            runtime.shutdown_timeout(Duration::ZERO);
        })?;
        Ok(Self { reported, changed, thread })
    }

    /// The settings have been read again.
    pub fn reload(&self, relay: &relay::Settings) {
        let mut reported = lock(&self.reported);
        reported.secrets = relay.credentials.secret_ids();
        reported.capacity = relay.quotas.allocations;
        drop(reported);
        self.changed.notify_one();
    }

    /// The server makes no new allocations.
    pub fn drain(&self) {
        lock(&self.reported).state = ServerState::Draining;
        self.changed.notify_one();
    }

    /// Reports the end of the server, and waits at most a second until the report is sent.
    pub fn end(self) {
        lock(&self.reported).state = ServerState::Ended;
        self.changed.notify_one();
        if self.thread.join().is_err() {
            tracing::error!("the thread of the bus has panicked");
        }
    }
}

async fn run(
    settings: BusSettings,
    id: String,
    reported: Arc<Mutex<Reported>>,
    changed: Arc<Notify>,
    workers: WorkerAccess,
) {
    let bus = match Bus::nats(&settings.nats).await {
        Ok(bus) => bus,
        // The options were checked at the start; a file may have gone since.
        Err(error) => return tracing::error!(%error, "cannot use NATS: this server is not registered"),
    };
    let WorkerAccess { boards, senders } = workers;
    tokio::spawn(bus::follow_revocations(bus.clone(), move |batch| revoke(&senders, &batch)));
    if settings.urls.is_empty() {
        while lock(&reported).state != ServerState::Ended {
            changed.notified().await;
        }
        return;
    }
    let report = || {
        let allocations = |board: &Board| board.read().counters.value(Counter::Allocations);
        let allocations: u64 = boards.iter().map(allocations).sum();
        let reported = lock(&reported);
        TurnReport {
            version: TurnReport::VERSION,
            server: id.clone(),
            region: settings.region.clone(),
            urls: settings.urls.clone(),
            secrets: reported.secrets.clone(),
            allocations: u32::try_from(allocations).unwrap_or(u32::MAX),
            capacity: reported.capacity,
            state: reported.state,
        }
    };
    bus::report_turn_server(bus.clone(), changed, report).await;
    bus.flush().await;
}

/// Sends revocations to all workers. Waits for room in their queues: no revocation may be lost. The queue of a
/// worker that has ended is closed.
fn revoke(senders: &[(Sender<Order>, Arc<Waker>)], batch: &[Revocation]) {
    for part in batch.chunks(REVOCATIONS_PER_ORDER) {
        let entry = |revocation: &Revocation| RevokedUser {
            user: revocation.user.as_bytes().into(),
            expires_until: Duration::from_secs(revocation.expires_until),
        };
        let users: Arc<[RevokedUser]> = part.iter().map(entry).collect();
        for (orders, waker) in senders {
            let _ = orders.send(Order::Command(Command::Revoke(users.clone())));
            // Without a wake the worker reads the message in its next turn.
            let _ = waker.wake();
        }
    }
}

fn lock(reported: &Mutex<Reported>) -> MutexGuard<'_, Reported> {
    reported.lock().unwrap_or_else(PoisonError::into_inner)
}
