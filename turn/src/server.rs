//! The server as a whole: opens everything, starts a thread a worker, and then only listens for signals.

use crate::certificates::{BadCertificate, Certificates};
use crate::config::{Config, WorkerConfig};
use crate::control::{self, Board, Endpoint, Order};
use crate::interfaces::{self, Changes};
use crate::ledger::Shared;
use crate::limits::{DRAIN_POLL, ORDERS_MAX, OTHER_DESCRIPTORS};
use crate::metrics;
use crossbeam_channel::{Sender, TrySendError, bounded};
use machine::{LocalId, Rng};
use mio::Waker;
use relay::{Command, Counter, DtlsSettings, Interfaces, Relay, Secured};
use runtime::{Clock, Framing, Listeners, Listening, SocketOptions, Sockets, Worker};
use rustls::ServerConfig;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why the server cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A port or address is not to be had.
    #[error(
        "worker {worker} cannot listen (its ports are --port and --tls-port plus its number, its addresses --listen-ip)"
    )]
    Bind {
        /// Which worker.
        worker: usize,
        /// The cause.
        source: runtime::BindError,
    },
    /// The metrics' address is not to be had.
    #[error("--metrics {address}: cannot listen there")]
    Metrics {
        /// As given.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// The operating system's random generator failed.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// A worker panicked: a bug of ours. The supervisor starts the server anew.
    #[error("worker {0} panicked; this is a bug")]
    Panicked(usize),
    /// Something the operating system should always give.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
}

fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |source| Failure::System { doing, source }
}

/// A worker's thread, seen from the main thread.
#[derive(Debug)]
struct Handle {
    orders: Sender<Order>,
    waker: Arc<Waker>,
    board: Board,
    thread: JoinHandle<io::Result<()>>,
}

impl Handle {
    fn order(&self, order: Order) {
        // One that has ended hears nothing more; its join says why.
        if let Err(TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::error!("a worker takes no orders");
        }
        // Without a wake the order is taken at the worker's next turn all the same.
        let _ = self.waker.wake();
    }
}

/// Runs until SIGINT or SIGTERM, or until a worker ends by itself, which is a failure.
pub fn run(config: Config, arguments: &[OsString]) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(system("take signals"))?;
    let certificates = match &config.certificate {
        Some((certificate, key)) => Some(Certificates::read(certificate, key)?),
        None => None,
    };
    let tls = certificates.as_ref().map(Certificates::config).transpose()?;
    let clock = Clock::start();
    let dtls = certificates.as_ref().map(|certificates| certificates.for_dtls());
    // Before the first reading, so that no change is missed.
    let changes = Changes::open()
        .inspect_err(|error| tracing::warn!(%error, "the kernel reports no changes of addresses; they are read every second"));
    let interfaces = interfaces::read().map_err(system("read the addresses of the interfaces"))?;
    let workers = start_workers(&config, &interfaces, clock, tls, dtls)?;
    let ends = workers.iter().map(|worker| (worker.orders.clone(), worker.waker.clone())).collect();
    interfaces::watch(changes.ok(), interfaces, ends).map_err(system("start a thread"))?;
    if let Some(address) = config.metrics {
        let boards = workers.iter().map(|worker| worker.board.clone()).collect();
        metrics::serve(address, boards).map_err(|source| Failure::Metrics { address, source })?;
    }
    tracing::info!(
        workers = workers.len(),
        port = config.workers[0].listen[0].port(),
        tls_port = config.workers[0].listen_tls.first().map(SocketAddr::port),
        "TURN server is up"
    );
    let mut config = config;
    let ended_by = loop {
        match signals.forever().next() {
            Some(SIGHUP) => reload(&mut config, arguments, &workers, certificates.as_deref()),
            Some(signal) => break signal,
            None => break SIGTERM,
        }
    };
    if ended_by == SIGTERM {
        drain(&workers, config.drain_deadline, &mut signals);
    }
    tracing::info!("TURN server is ending");
    stop(workers)
}

/// Options, secrets and certificate as they are now. What listens and relays stays as it is, and after a mistake everything does.
fn reload(
    config: &mut Config,
    arguments: &[OsString],
    workers: &[Handle],
    certificates: Option<&Certificates>,
) {
    let new = match Config::read(arguments) {
        Ok(new) => new,
        Err(error) => {
            return tracing::error!(
                error = &error as &(dyn Error + 'static),
                "not reloaded: everything stays as it was"
            );
        }
    };
    if let (Some(certificates), Some((certificate, key))) = (certificates, &new.certificate)
        && let Err(error) = certificates.reload(certificate, key)
    {
        return tracing::error!(
            error = &error as &(dyn Error + 'static),
            "not reloaded: everything stays as it was"
        );
    }
    if is_elsewhere(config, &new) {
        tracing::warn!(
            "addresses, ports, the number of workers, and whether there is TLS are read at the start alone: restart to change them"
        );
    }
    config.drain_deadline = new.drain_deadline;
    // The relay sockets are those of the start, and so are the families there are.
    let families = config.settings.families;
    config.settings = relay::Settings { families, ..new.settings };
    for worker in workers {
        worker.order(Order::Command(Command::Reload(Box::new(config.settings.clone()))));
        let certificate = certificates.map(Certificates::for_dtls);
        certificate.into_iter().for_each(|new| worker.order(Order::Command(Command::SetCertificate(new))));
    }
    tracing::info!("options, secrets and certificate are read again");
}

/// Whether what listens or relays would be another.
fn is_elsewhere(config: &Config, new: &Config) -> bool {
    new.workers != config.workers
        || new.metrics != config.metrics
        || new.certificate.is_some() != config.certificate.is_some()
}

/// Makes no allocations any more, and waits for those there are: until the deadline, or another signal.
fn drain(workers: &[Handle], deadline: Duration, signals: &mut Signals) {
    if deadline.is_zero() {
        return;
    }
    workers.iter().for_each(|worker| worker.order(Order::Command(Command::Drain)));
    tracing::info!(deadline_seconds = deadline.as_secs(), "draining: no allocation is made any more");
    let end = Instant::now() + deadline;
    let has_allocations =
        |worker: &Handle| control::read(&worker.board).counters.value(Counter::Allocations) > 0;
    while Instant::now() < end && workers.iter().any(has_allocations) {
        std::thread::sleep(DRAIN_POLL);
        if signals.pending().any(|signal| signal != SIGHUP) {
            break;
        }
    }
}

fn start_workers(
    config: &Config,
    interfaces: &Interfaces,
    clock: Clock,
    tls: Option<Arc<ServerConfig>>,
    dtls: Option<dtls::Certificate>,
) -> Result<Vec<Handle>, Failure> {
    allow_descriptors(config);
    // Every port is taken before any thread runs: a server is up whole or not at all.
    let sockets = config.workers.iter().enumerate().map(|(worker, addresses)| {
        bind(addresses, tls.as_ref(), dtls.is_some()).map_err(|source| Failure::Bind { worker, source })
    });
    let sockets: Vec<(Sockets, Listeners)> = sockets.collect::<Result<_, _>>()?;
    let mut settings = config.settings.clone();
    settings.policy.interfaces = interfaces.clone();
    let options = dtls::Options { peers: dtls::Peers::Anybody, ..dtls::Options::default() };
    let dtls_settings = dtls::Settings::new(options);
    let mut handles = Vec::new();
    // A user has what it has, whichever worker it asks.
    let mut ledger = None;
    for (index, (sockets, listeners)) in sockets.into_iter().enumerate() {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Failure::Randomness)?;
        let mut rng = Rng::from_seed(seed);
        let sockets = sockets.with_random_ports(rng.fork());
        // Behind the sockets for plain UDP.
        let first = LocalId(config.workers[index].listen.len() as u16);
        let dtls = dtls.clone().map(|certificate| DtlsSettings {
            settings: dtls_settings.clone(),
            certificate,
            first,
        });
        let ledger = Box::new(ledger.get_or_insert_with(|| Shared::new(&mut rng)).clone());
        let relay = Relay::sharing(ledger, settings.clone(), rng.fork());
        let relay = Secured::new(relay, dtls, &mut rng);
        let (orders, orders_out) = bounded(ORDERS_MAX);
        let board = Board::default();
        let endpoint = Endpoint::new(orders_out, board.clone());
        let worker = Worker::new(sockets, clock, relay, endpoint).and_then(|worker| worker.listen(listeners));
        let worker = worker.map_err(system("make a worker"))?;
        let waker = worker.waker();
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        let thread = thread.spawn(move || run_worker(worker)).map_err(system("start a thread"))?;
        handles.push(Handle { orders, waker, board, thread });
    }
    Ok(handles)
}

/// Asks the main thread to end when the worker does by itself, also by a panic.
fn run_worker(worker: Worker<Secured, Endpoint>) -> io::Result<()> {
    struct EndGuard;
    impl Drop for EndGuard {
        fn drop(&mut self) {
            // It only fails for a signal that does not exist.
            let _ = signal_hook::low_level::raise(SIGINT);
        }
    }
    let _guard = EndGuard;
    worker.run().map(|_| ())
}

fn bind(
    addresses: &WorkerConfig,
    tls: Option<&Arc<ServerConfig>>,
    has_dtls: bool,
) -> Result<(Sockets, Listeners), runtime::BindError> {
    let over_dtls: &[SocketAddr] = if has_dtls { &addresses.listen_tls } else { &[] };
    let udp = Sockets::bind(&[&addresses.listen, over_dtls].concat(), &SocketOptions::default())?;
    let listening = |address: &SocketAddr, tls| Listening { address: *address, framing: Framing::Stun, tls };
    let plain = addresses.listen.iter().map(|address| listening(address, None));
    let secure = addresses.listen_tls.iter().map(|address| listening(address, tls.cloned()));
    let tcp = Listeners::open(plain.chain(secure).collect())?;
    Ok((udp.with_places(addresses.relay.clone()), tcp))
}

/// Each relay socket and TCP connection takes a descriptor, and systems allow a process 1024 by default, but more to who asks.
fn allow_descriptors(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let connections = runtime::limits::CONNECTIONS_MAX + relay::limits::STREAMS_MAX;
    let relay_sockets = 2 * config.settings.quotas.allocations as usize;
    let wanted = (config.workers.len() * connections + relay_sockets + OTHER_DESCRIPTORS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let granted = wanted.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < granted) {
        // Refused only by a sandbox; then the old limit holds, and what is beyond it is answered with 508.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum });
    }
    if granted < wanted {
        tracing::info!(
            granted,
            wanted,
            "allocations and TCP connections are limited by the descriptors this process may have"
        );
    }
}

/// Ends all workers, and says of the first that failed how it did.
fn stop(workers: Vec<Handle>) -> Result<(), Failure> {
    workers.iter().for_each(|worker| worker.order(Order::Stop));
    let ends = workers.into_iter().enumerate().map(|(index, worker)| match worker.thread.join() {
        Ok(end) => end.map_err(system("keep a worker running")),
        Err(_) => Err(Failure::Panicked(index)),
    });
    // Each is waited for, also after a failure.
    ends.fold(Ok(()), Result::and)
}
