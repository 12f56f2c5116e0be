//! The engine as a whole: opens everything, starts a thread per worker, then waits for controllers and
//! signals.

use crate::collector::{self, Board};
use crate::config::{Config, WorkerConfig};
use crate::endpoint::{Endpoint, Notice, Order};
use crate::memory::{self, Keeper};
use crate::{limits, self_ping};
use crossbeam_channel::{Receiver, Sender, bounded};
use host::{MainThread, StartError, Workers, system};
use machine::WorkerId;
use runtime::{Clock, Listeners, Mailboxes, PortShare, SocketOptions, Sockets, SteeringError, Worker};
use sfu::{Contained, Fault, Shard};
use shm::{Listener, ListenerEvent, Versions};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use std::{fmt, io};

/// The options that set the first worker's ports.
const PORT_OPTIONS: &str = "--rtc-port and --rtc-tcp-port";

/// Why the engine cannot start, or had to end.
#[derive(thiserror::Error)]
pub enum EngineError {
    /// The control socket cannot be opened.
    #[error("signaling could not attach (--control-socket)")]
    ControlSocket(#[from] shm::BindError),
    /// The address for metrics cannot be bound.
    #[error("--metrics {address}: cannot listen there")]
    Metrics {
        /// As given.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The way of steering that was wanted is not possible.
    #[error("--udp-steering cannot be used")]
    Steering(#[from] SteeringError),
    /// An error that all processes of Leat have in common.
    #[error(transparent)]
    Host(#[from] StartError),
}

/// The log takes the error's name from here: for [`Host`](Self::Host) it is the name of the cause.
impl fmt::Debug for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ControlSocket(error) => f.debug_tuple("ControlSocket").field(error).finish(),
            Self::Steering(error) => f.debug_tuple("Steering").field(&error.source).finish(),
            Self::Metrics { source, .. } => f.debug_tuple("Metrics").field(source).finish(),
            Self::Host(error) => error.fmt(f),
        }
    }
}

/// Runs until SIGINT, SIGTERM, or the end of a worker without a stop message, which is a failure.
pub fn run(config: &Config) -> Result<(), EngineError> {
    let mut main = MainThread::new(&[SIGINT, SIGTERM, SIGUSR1])?;
    let (notices_in, notices) = bounded(limits::NOTICES_MAX);
    let versions = Versions { own: control::version(), oldest: control::OLDEST_VERSION };
    let mut listener = Listener::bind(&config.control_socket, config.workers.len() as u16, versions)?
        .with_stats_slots(control::page::capacity());
    main.watch(&listener)?;

    self_ping::warn_of_unreachable(config);
    let (workers, boards) = start_workers(config, &notices_in, &main)?;
    let is_attached = Arc::new(AtomicBool::default());
    if let Some(address) = config.metrics {
        let serve = metrics::serve(address, collector::page(boards, is_attached.clone()));
        serve.map_err(|source| EngineError::Metrics { address, source })?;
    }
    tracing::info!(
        workers = workers.len(),
        rtc_port = config.workers[0].listen[0].port(),
        control_socket = %config.control_socket.display(),
        epoch = format_args!("{:016x}", listener.engine_epoch()),
        "engine is up"
    );

    let mut attachment = 0;
    let mut keeper = Keeper::new(Instant::now());
    while !main.has_lost_a_worker() {
        let signals = main.wait(Some(keeper.timeout(Instant::now())))?;
        if signals.iter().any(|signal| [SIGINT, SIGTERM].contains(signal)) {
            break;
        }
        if signals.contains(&SIGUSR1) {
            memory::log_usage();
        }
        keeper.look(Instant::now());
        serve_controllers(&mut listener, &mut attachment, &workers, &notices);
        is_attached.store(listener.is_attached(), Ordering::Relaxed);
    }
    tracing::info!("engine is stopping");
    Ok(workers.stop(|| Order::Stop)?)
}

fn start_workers(
    config: &Config,
    notices: &Sender<Notice>,
    main: &MainThread,
) -> Result<(Workers<Order>, Vec<Board>), EngineError> {
    let clock = Clock::start();
    let certificate = dtls::Certificate::generate();
    let options = dtls::Options { version: config.dtls, ..dtls::Options::default() };
    let is_shared = config.shared_port.is_some();
    let shard_config = |index: usize, worker: &WorkerConfig| sfu::Config {
        candidates: worker.candidates.clone(),
        plain_ips: worker.plain_ips.clone(),
        shares_port_as: is_shared.then_some(WorkerId(index as u16)),
        certificate: certificate.clone(),
        dtls: dtls::Settings::new(options),
        grace_period: config.grace_period,
        consent_timeout: config.consent_timeout,
    };
    let options = SocketOptions { share: is_shared, ..SocketOptions::default() };
    if let Some(worker) = config.workers.first().filter(|_| is_shared) {
        // A second engine could share the port, too. This socket cannot, and fails if the port is in use.
        Sockets::bind(&worker.listen, &SocketOptions::default()).map_err(|source| StartError::Bind {
            worker: 0,
            port_options: PORT_OPTIONS,
            source,
        })?;
    }
    // All ports are bound before the first thread starts: either the whole engine starts or nothing.
    let sockets = config.workers.iter().enumerate().map(|(index, worker)| {
        let udp = Sockets::bind(&worker.listen, &options).map(|udp| udp.with_port_pool(worker.plain.clone()));
        let both = udp.and_then(|udp| Ok((udp, Listeners::bind(&worker.listen_tcp)?)));
        both.map_err(|source| StartError::Bind { worker: index, port_options: PORT_OPTIONS, source })
    });
    let sockets: Vec<(Sockets, Listeners)> = sockets.collect::<Result<_, _>>()?;
    allow_descriptors(config);
    let mut shares = match config.shared_port {
        Some(shared) => {
            let workers: Vec<&Sockets> = sockets.iter().map(|(udp, _)| udp).collect();
            PortShare::between(&workers, shared.steering)?
        }
        None => Vec::new(),
    }
    .into_iter();

    let (mut workers, mut boards) = (Workers::default(), Vec::new());
    let mut mailboxes = Mailboxes::between(config.workers.len()).into_iter();
    for (index, (worker, (sockets, listeners))) in config.workers.iter().zip(sockets).enumerate() {
        let mut shard = Shard::new(shard_config(index, worker), host::rng()?);
        if config.allow_injected_panics {
            shard.accept_injected_panics();
        }
        let shard = Contained::new(shard, move |fault| log_fault(index, &fault));
        let (orders, orders_out) = bounded(limits::ORDERS_MAX);
        let board = Board::default();
        let endpoint = Endpoint::new(index, orders_out, notices.clone(), main.waker(), board.clone());
        boards.push(board);
        let worker = Worker::new(sockets, clock, shard, endpoint).and_then(|worker| worker.listen(listeners));
        let worker = worker.map_err(system("make a worker"))?;
        let mut worker = worker.with_mailboxes(mailboxes.next().unwrap_or_default());
        if let Some(share) = shares.next() {
            if index == 0 {
                tracing::info!(steering = share.steering().name(), "the workers share their UDP port");
            }
            worker = worker.with_port_share(share);
        }
        let waker = worker.waker();
        let run = move || {
            runtime::pin_to_core(index);
            worker.run().map(|_| ())
        };
        workers.start(main, orders, waker, run)?;
    }
    Ok((workers, boards))
}

/// Logs a contained panic. The panic hook has logged its message and location already.
fn log_fault(worker: usize, fault: &Fault) {
    let Fault { stage, message, closed, replaced, unreported } = fault;
    let (stage, closed) =
        (stage.name(), closed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    match replaced {
        Some(why) => tracing::error!(
            worker,
            stage,
            message,
            closed,
            unreported,
            %why,
            "contained a panic and replaced the worker's shard: its routers are closed, and their peers must join again"
        ),
        None => tracing::error!(
            worker,
            stage,
            message,
            closed,
            unreported,
            "contained a panic: this is a bug; only the transports named here are closed"
        ),
    }
}

/// Each TCP connection needs a file descriptor.
fn allow_descriptors(config: &Config) {
    if config.workers.iter().any(|worker| !worker.listen_tcp.is_empty()) {
        let connections = config.workers.len() * runtime::limits::CONNECTIONS_MAX;
        let wanted = connections + limits::OTHER_DESCRIPTORS;
        host::raise_descriptor_limit(wanted, "the number of TCP connections is");
    }
}

/// Attaches, detaches and refuses controllers, and detaches one whose ring is corrupt.
///
/// `attachment` is the number of the latest attachment.
fn serve_controllers(
    listener: &mut Listener,
    attachment: &mut u64,
    workers: &Workers<Order>,
    notices: &Receiver<Notice>,
) {
    while let Ok(Notice::Corrupt { worker, attachment: corrupt, why }) = notices.try_recv() {
        if corrupt == *attachment && listener.is_attached() {
            // Logged first, so that the reason precedes the end of the attachment in the log.
            tracing::error!(worker, why, "the controller's ring is corrupt; it is detached");
            listener.detach();
            workers.send_each(|| Order::Detach);
        }
    }
    while let Some(event) = listener.poll() {
        match event {
            ListenerEvent::Attached(ends) => {
                let controller = ends.first().map(|end| end.controller_version);
                tracing::info!(
                    controller,
                    engine = control::version(),
                    "a controller attached; protocol versions"
                );
                *attachment += 1;
                let attachment = *attachment;
                let attach = |end| Order::Attach { attachment, end: Box::new(end) };
                workers.send_all(ends.into_iter().map(attach));
            }
            ListenerEvent::Detached { why } => {
                tracing::warn!(%why, "no controller; media continues");
                workers.send_each(|| Order::Detach);
            }
            ListenerEvent::Refused(refusal) => tracing::warn!(%refusal, "a controller was refused"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn notice_detaches_only_the_controller_of_its_attachment() {
        let path = std::env::temp_dir().join(format!("leat-engine-notice-{}.sock", std::process::id()));
        let mut listener = Listener::bind(&path, 1, control::PROTOCOL_VERSION).expect("a socket");
        let (notices_in, notices) = bounded(limits::NOTICES_MAX);
        let mut attachment = 0;
        let at = path.clone();
        let controller = std::thread::spawn(move || {
            shm::attach(at, control::PROTOCOL_VERSION, Duration::from_secs(10)).expect("attached")
        });
        while !listener.is_attached() {
            serve_controllers(&mut listener, &mut attachment, &Workers::default(), &notices);
            std::thread::sleep(Duration::from_millis(1));
        }
        let _controller = controller.join().expect("the thread ends");
        assert_eq!(attachment, 1);
        for (stale, is_attached) in [(0, true), (1, false)] {
            let notice = Notice::Corrupt { worker: 0, attachment: stale, why: "nonsense".into() };
            notices_in.send(notice).expect("room");
            serve_controllers(&mut listener, &mut attachment, &Workers::default(), &notices);
            assert_eq!(listener.is_attached(), is_attached, "after a notice about attachment {stale}");
        }
        drop(listener);
        for left in [path.clone(), path.with_extension("sock.lock")] {
            let _ = std::fs::remove_file(left);
        }
    }
}
