//! The server as a whole: opens everything, starts a thread per worker, then waits for signals.

use crate::bus_thread::{BusThread, WorkerAccess};
use crate::certificates::{BadCertificate, Certificates};
use crate::collector;
use crate::config::{Config, WorkerConfig};
use crate::control::{Board, Endpoint, Order};
use crate::interfaces::{self, Changes};
use crate::ledger::Shared;
use crate::limits::{DRAIN_POLL, ORDERS_MAX, OTHER_DESCRIPTORS};
use crossbeam_channel::bounded;
use host::{MainThread, StartError, Workers, system};
use machine::LocalId;
use relay::{Command, Counter, DtlsRelay, DtlsSettings, Interfaces, Relay};
use runtime::{Clock, Framing, ListenerConfig, Listeners, SocketOptions, Sockets, Worker};
use rustls::ServerConfig;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::error::Error;
use std::ffi::{OsString, c_int};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The options that set the first worker's ports.
const PORT_OPTIONS: &str = "--port and --tls-port";

/// Why the server cannot start, or had to end.
#[derive(thiserror::Error)]
pub enum ServerError {
    /// The address for metrics cannot be bound.
    #[error("--metrics {address}: cannot listen there")]
    Metrics {
        /// As given.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// An error that all processes of Leat have in common.
    #[error(transparent)]
    Host(#[from] StartError),
}

/// The log takes the error's name from here: for [`Host`](Self::Host) it is the name of the cause.
impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metrics { address, source } => {
                f.debug_struct("Metrics").field("address", address).field("source", source).finish()
            }
            Self::Certificate(error) => f.debug_tuple("Certificate").field(error).finish(),
            Self::Host(error) => error.fmt(f),
        }
    }
}

/// Runs until SIGINT, SIGTERM, or the end of a worker without a stop message, which is a failure.
pub fn run(config: Config, arguments: &[OsString]) -> Result<(), ServerError> {
    let mut main = MainThread::new(&[SIGHUP, SIGINT, SIGTERM])?;
    let certificates = match &config.certificate {
        Some((certificate, key)) => Some(Certificates::read(certificate, key)?),
        None => None,
    };
    let tls = certificates.as_ref().map(Certificates::config).transpose()?;
    let clock = Clock::start();
    let dtls = certificates.as_ref().map(|certificates| certificates.for_dtls());
    // Subscribes before the first read, so that no change is missed.
    let changes = Changes::open()
        .inspect_err(|error| tracing::warn!(%error, "cannot subscribe to address changes; reading the addresses every second"));
    let interfaces = interfaces::read().map_err(system("read the addresses of the interfaces"))?;
    let (workers, boards) = start_workers(&config, &main, &interfaces, clock, tls, dtls)?;
    interfaces::watch(changes.ok(), interfaces, workers.senders()).map_err(system("start a thread"))?;
    if let Some(address) = config.metrics {
        let serve = metrics::serve(address, collector::page(boards.clone()));
        serve.map_err(|source| ServerError::Metrics { address, source })?;
    }
    let bus = match config.bus.clone() {
        None => None,
        Some(settings) => {
            let access = WorkerAccess { boards: boards.clone(), senders: workers.senders() };
            let bus = BusThread::start(settings, host::rng()?.next_u64(), &config.settings, access);
            Some(bus.map_err(system("start a thread"))?)
        }
    };
    tracing::info!(
        workers = workers.len(),
        port = config.workers[0].listen[0].port(),
        tls_port = config.workers[0].listen_tls.first().map(SocketAddr::port),
        "TURN server is up"
    );
    let mut config = config;
    while !main.has_lost_a_worker() {
        let signals = main.wait(None)?;
        if signals.contains(&SIGHUP) {
            reload(&mut config, arguments, &workers, certificates.as_deref());
            bus.iter().for_each(|bus| bus.reload(&config.settings));
        }
        if let Some(signal) = signals.into_iter().find(is_end) {
            if signal == SIGTERM {
                bus.iter().for_each(BusThread::drain);
                drain(&workers, &boards, config.drain_deadline, &mut main)?;
            }
            break;
        }
    }
    tracing::info!("TURN server is stopping");
    bus.into_iter().for_each(BusThread::end);
    Ok(workers.stop(|| Order::Stop)?)
}

/// Whether a signal ends the server.
fn is_end(signal: &c_int) -> bool {
    *signal != SIGHUP
}

/// Reads options, secrets and certificate again. Listening and relay addresses stay; after an error nothing
/// changes.
fn reload(
    config: &mut Config,
    arguments: &[OsString],
    workers: &Workers<Order>,
    certificates: Option<&Certificates>,
) {
    let new = match Config::read(arguments) {
        Ok(new) => new,
        Err(error) => {
            return tracing::error!(
                error = &error as &(dyn Error + 'static),
                "reload failed: nothing has changed"
            );
        }
    };
    if let (Some(certificates), Some((certificate, key))) = (certificates, &new.certificate)
        && let Err(error) = certificates.reload(certificate, key)
    {
        return tracing::error!(
            error = &error as &(dyn Error + 'static),
            "reload failed: nothing has changed"
        );
    }
    if needs_restart(config, &new) {
        tracing::warn!(
            "addresses, ports, the number of workers, the use of TLS, NATS, region and announced URLs are read only at the start: restart to change them"
        );
    }
    config.drain_deadline = new.drain_deadline;
    // The relay sockets do not change, so the families stay too.
    let families = config.settings.families;
    config.settings = relay::Settings { families, ..new.settings };
    workers.send_each(|| Order::Command(Command::Reload(Box::new(config.settings.clone()))));
    if let Some(certificates) = certificates {
        workers.send_each(|| Order::Command(Command::SetCertificate(certificates.for_dtls())));
    }
    tracing::info!("options, secrets and certificate have been reloaded");
}

/// Whether a restart is needed for listening or relay addresses.
fn needs_restart(config: &Config, new: &Config) -> bool {
    new.workers != config.workers
        || new.metrics != config.metrics
        || new.bus != config.bus
        || new.certificate.is_some() != config.certificate.is_some()
}

/// Creates no new allocations and waits for the existing ones: until the deadline, another signal, or the end
/// of a worker.
fn drain(
    workers: &Workers<Order>,
    boards: &[Board],
    deadline: Duration,
    main: &mut MainThread,
) -> Result<(), StartError> {
    if deadline.is_zero() {
        return Ok(());
    }
    workers.send_each(|| Order::Command(Command::Drain));
    tracing::info!(deadline_seconds = deadline.as_secs(), "draining: no new allocations");
    let end = Instant::now() + deadline;
    let has_allocations = |board: &Board| board.read().counters.value(Counter::Allocations) > 0;
    while Instant::now() < end && boards.iter().any(has_allocations) && !main.has_lost_a_worker() {
        if main.wait(Some(DRAIN_POLL))?.iter().any(is_end) {
            break;
        }
    }
    Ok(())
}

fn start_workers(
    config: &Config,
    main: &MainThread,
    interfaces: &Interfaces,
    clock: Clock,
    tls: Option<Arc<ServerConfig>>,
    dtls: Option<dtls::Certificate>,
) -> Result<(Workers<Order>, Vec<Board>), StartError> {
    allow_descriptors(config);
    // All ports are bound before the first thread starts: either the whole server starts or nothing.
    let sockets = config.workers.iter().enumerate().map(|(worker, addresses)| {
        let bound = bind(addresses, tls.as_ref(), dtls.is_some());
        bound.map_err(|source| StartError::Bind { worker, port_options: PORT_OPTIONS, source })
    });
    let sockets: Vec<(Sockets, Listeners)> = sockets.collect::<Result<_, _>>()?;
    let mut settings = config.settings.clone();
    settings.policy.interfaces = interfaces.clone();
    let options = dtls::Options { peers: dtls::Peers::Anybody, ..dtls::Options::default() };
    let dtls_settings = dtls::Settings::new(options);
    let (mut workers, mut boards) = (Workers::default(), Vec::new());
    // The quotas of a user are for all workers together.
    let mut ledger = None;
    for (index, (sockets, listeners)) in sockets.into_iter().enumerate() {
        let mut rng = host::rng()?;
        let sockets = sockets.with_random_ports(rng.fork());
        // The numbers after the sockets of plain UDP.
        let first = LocalId(config.workers[index].listen.len() as u16);
        let dtls = dtls.clone().map(|certificate| DtlsSettings {
            settings: dtls_settings.clone(),
            certificate,
            first,
        });
        let ledger = Box::new(ledger.get_or_insert_with(|| Shared::new(&mut rng)).clone());
        let relay = Relay::sharing(ledger, settings.clone(), rng.fork());
        let relay = DtlsRelay::new(relay, dtls, &mut rng);
        let (orders, orders_out) = bounded(ORDERS_MAX);
        let board = Board::default();
        let endpoint = Endpoint::new(orders_out, board.clone());
        let worker = Worker::new(sockets, clock, relay, endpoint).and_then(|worker| worker.listen(listeners));
        let worker = worker.map_err(system("make a worker"))?;
        let waker = worker.waker();
        workers.start(main, orders, waker, move || worker.run().map(|_| ()))?;
        boards.push(board);
    }
    Ok((workers, boards))
}

fn bind(
    addresses: &WorkerConfig,
    tls: Option<&Arc<ServerConfig>>,
    has_dtls: bool,
) -> Result<(Sockets, Listeners), runtime::BindError> {
    let over_dtls: &[SocketAddr] = if has_dtls { &addresses.listen_tls } else { &[] };
    let udp = Sockets::bind(&[&addresses.listen, over_dtls].concat(), &SocketOptions::default())?;
    let listening =
        |address: &SocketAddr, tls| ListenerConfig { address: *address, framing: Framing::Stun, tls };
    let plain = addresses.listen.iter().map(|address| listening(address, None));
    let secure = addresses.listen_tls.iter().map(|address| listening(address, tls.cloned()));
    let tcp = Listeners::open(plain.chain(secure).collect())?;
    Ok((udp.with_port_pool(addresses.relay.clone()), tcp))
}

/// Each relay socket and TCP connection needs a file descriptor. Beyond the limit, requests are answered with
/// 508.
fn allow_descriptors(config: &Config) {
    let connections = runtime::limits::CONNECTIONS_MAX + relay::limits::STREAMS_MAX;
    let relay_sockets = 2 * config.settings.quotas.allocations as usize;
    let wanted = config.workers.len() * connections + relay_sockets + OTHER_DESCRIPTORS;
    host::raise_descriptor_limit(wanted, "allocations and TCP connections are");
}
