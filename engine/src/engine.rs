//! The engine as a whole: opens everything, starts a thread a worker, and then only listens for controllers and signals.

use crate::config::{Config, WorkerConfig};
use crate::endpoint::{Endpoint, Notice, Order};
use crate::memory::{self, Keeper};
use crate::{limits, self_ping};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use machine::Rng;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use runtime::{Clock, HandOffs, Listeners, SocketOptions, Sockets, Worker};
use sfu::{Contained, Fault, Shard};
use shm::{Listener, ListenerEvent, WorkerEnd};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use std::ffi::c_int;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

const LISTENER: Token = Token(0);
const SIGNAL: Token = Token(1);
const NOTICE: Token = Token(2);
const QUESTION: Token = Token(3);

/// Why the engine cannot start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A UDP or TCP port or address is not to be had.
    #[error(
        "worker {worker} cannot listen (its ports are --rtc-port and --rtc-tcp-port plus its number, its addresses --listen-ip)"
    )]
    Bind {
        /// Which worker.
        worker: usize,
        /// The cause.
        source: runtime::BindError,
    },
    /// The control socket is not to be had.
    #[error("signaling could not attach (--control-socket)")]
    ControlSocket(#[from] shm::BindError),
    /// The operating system's random generator failed.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// A worker panicked: a bug of ours. The supervisor starts the engine anew.
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

/// Tells the main thread that a worker is ending. A drop does it, so that a panic is told like a return; and by a flag
/// beside the wake, since the thread still counts as running at that moment.
#[derive(Debug)]
struct EndGuard {
    ended: Arc<AtomicBool>,
    main: Arc<Waker>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Fails only if the main thread's poll is gone, and then nobody waits.
        let _ = self.main.wake();
    }
}

/// Runs until SIGINT or SIGTERM, or until a worker ends by itself, which is a failure.
pub fn run(config: &Config) -> Result<(), Failure> {
    let mut poll = Poll::new().map_err(system("make a poll"))?;
    let main = Arc::new(Waker::new(poll.registry(), NOTICE).map_err(system("make a waker"))?);
    let ends = signals(&[SIGINT, SIGTERM]).map_err(system("take signals"))?;
    let questions = signals(&[SIGUSR1]).map_err(system("take signals"))?;
    let (notices_in, notices) = bounded(limits::NOTICES_MAX);
    let mut listener =
        Listener::bind(&config.control_socket, config.workers.len() as u16, control::PROTOCOL_VERSION)?;
    let sources =
        [(listener.as_raw_fd(), LISTENER), (ends.as_raw_fd(), SIGNAL), (questions.as_raw_fd(), QUESTION)];
    for (fd, token) in sources {
        poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE).map_err(system("poll"))?;
    }

    self_ping::warn_of_unreachable(config);
    let ended = Arc::new(AtomicBool::new(false));
    let workers = start_workers(config, &notices_in, &main, &ended)?;
    tracing::info!(
        workers = workers.len(),
        rtc_port = config.workers[0].listen[0].port(),
        control_socket = %config.control_socket.display(),
        epoch = format_args!("{:016x}", listener.engine_epoch()),
        "engine is up"
    );

    let mut events = Events::with_capacity(16);
    let mut attachment = 0;
    let mut keeper = Keeper::new(Instant::now());
    loop {
        if let Err(error) = poll.poll(&mut events, Some(keeper.timeout(Instant::now())))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(system("poll")(error));
        }
        if events.iter().any(|event| event.token() == SIGNAL) {
            break;
        }
        if events.iter().any(|event| event.token() == QUESTION) {
            drain(&questions);
            memory::log_usage();
        }
        keeper.look(Instant::now());
        serve_controllers(&mut listener, &mut attachment, &workers, &notices);
        if ended.load(Ordering::Acquire) {
            break;
        }
    }
    tracing::info!("engine is ending");
    stop(workers)
}

/// A socket that becomes readable on these signals.
fn signals(which: &[c_int]) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in which {
        signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// Reads all that is there, so that the next signal makes it readable again.
fn drain(mut signals: &UnixStream) {
    while matches!(signals.read(&mut [0; 64]), Ok(1..)) {}
}

fn start_workers(
    config: &Config,
    notices: &Sender<Notice>,
    main: &Arc<Waker>,
    ended: &Arc<AtomicBool>,
) -> Result<Vec<Handle>, Failure> {
    let clock = Clock::start();
    let certificate = dtls::Certificate::generate();
    let options = dtls::Options { version: config.dtls, ..dtls::Options::default() };
    let shard_config = |worker: &WorkerConfig| sfu::Config {
        candidates: worker.candidates.clone(),
        plain_ips: worker.plain_ips.clone(),
        certificate: certificate.clone(),
        dtls: dtls::Settings::new(options),
        grace_period: config.grace_period,
        consent_timeout: config.consent_timeout,
    };
    // Every port is taken before any thread runs: an engine is up whole or not at all.
    let sockets = config.workers.iter().enumerate().map(|(index, worker)| {
        let udp = Sockets::bind(&worker.listen, &SocketOptions::default())
            .map(|udp| udp.with_places(worker.plain.clone()));
        let both = udp.and_then(|udp| Ok((udp, Listeners::bind(&worker.listen_tcp)?)));
        both.map_err(|source| Failure::Bind { worker: index, source })
    });
    let sockets: Vec<(Sockets, Listeners)> = sockets.collect::<Result<_, _>>()?;
    allow_descriptors(config);

    let mut handles = Vec::new();
    let mut hand_offs = HandOffs::between(config.workers.len()).into_iter();
    for (index, (worker, (sockets, listeners))) in config.workers.iter().zip(sockets).enumerate() {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(Failure::Randomness)?;
        let mut shard = Shard::new(shard_config(worker), Rng::from_seed(seed));
        if config.allow_injected_panics {
            shard.accept_injected_panics();
        }
        let shard = Contained::new(shard, move |fault| log_fault(index, &fault));
        let (orders, orders_out) = bounded(limits::ORDERS_MAX);
        let endpoint = Endpoint::new(index, orders_out, notices.clone(), main.clone());
        let worker = Worker::new(sockets, clock, shard, endpoint).and_then(|worker| worker.listen(listeners));
        let worker = worker.map_err(system("make a worker"))?;
        let worker = worker.with_hand_offs(hand_offs.next().unwrap_or_default());
        let waker = worker.waker();
        let guard = EndGuard { ended: ended.clone(), main: main.clone() };
        let run = move || {
            runtime::pin_to_core(index);
            worker.run().map(|_| ())
        };
        let thread = spawn(index, guard, run).map_err(system("start a thread"))?;
        handles.push(Handle { orders, waker, thread });
    }
    Ok(handles)
}

/// A panic that was contained. What it said and where is in the log already, by the panic hook.
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
            "contained a panic and replaced the worker's shard: its routers are closed, their peers have to join again"
        ),
        None => tracing::error!(
            worker,
            stage,
            message,
            closed,
            unreported,
            "contained a panic: this is a bug; the transports named here are closed, everything else goes on"
        ),
    }
}

/// Each TCP connection takes a descriptor, and systems allow a process 1024 by default, but more to who asks.
fn allow_descriptors(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if config.workers.iter().all(|worker| worker.listen_tcp.is_empty()) {
        return;
    }
    let wanted = (config.workers.len() * runtime::limits::CONNECTIONS_MAX + limits::OTHER_DESCRIPTORS) as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let granted = wanted.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < granted) {
        // Refused only by a sandbox; then the old limit holds, and those beyond it wait to be accepted.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(granted), maximum });
    }
    if granted < wanted {
        tracing::info!(
            granted,
            wanted,
            "the number of TCP connections is limited by the descriptors this process may have"
        );
    }
}

fn spawn(
    index: usize,
    guard: EndGuard,
    run: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<()>>> {
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        let _guard = guard;
        run()
    })
}

/// Attaches, detaches and refuses controllers, and detaches one whose ring a worker found corrupt.
///
/// `attachment` is the number of the last one.
fn serve_controllers(
    listener: &mut Listener,
    attachment: &mut u64,
    workers: &[Handle],
    notices: &Receiver<Notice>,
) {
    while let Ok(Notice::Corrupt { worker, attachment: corrupt, why }) = notices.try_recv() {
        if corrupt == *attachment && listener.is_attached() {
            // Said first, so that whoever sees the attachment end finds the reason.
            tracing::error!(worker, why, "the controller's ring is corrupt; it is detached");
            listener.detach();
            workers.iter().for_each(|worker| worker.order(Order::Detach));
        }
    }
    while let Some(event) = listener.poll() {
        match event {
            ListenerEvent::Attached(ends) => {
                tracing::info!("a controller attached");
                *attachment += 1;
                hand_out(ends, *attachment, workers);
            }
            ListenerEvent::Detached { why } => {
                tracing::warn!(%why, "no controller; media flows on");
                workers.iter().for_each(|worker| worker.order(Order::Detach));
            }
            ListenerEvent::Refused(refusal) => tracing::warn!(%refusal, "a controller was refused"),
            _ => {}
        }
    }
}

fn hand_out(ends: Vec<WorkerEnd>, attachment: u64, workers: &[Handle]) {
    for (end, worker) in ends.into_iter().zip(workers) {
        worker.order(Order::Attach { attachment, end: Box::new(end) });
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Runs one worker that ends so by itself, as [`super::run`] would; what the engine makes of it.
    fn engine_with(run: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), Failure> {
        let mut poll = Poll::new().expect("a poll");
        let main = Arc::new(Waker::new(poll.registry(), NOTICE).expect("a waker"));
        let ended = Arc::new(AtomicBool::new(false));
        let honest = Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(honest.registry(), NOTICE).expect("a waker"));
        let (orders, orders_out) = bounded::<Order>(limits::ORDERS_MAX);
        let obeys = move || {
            assert!(matches!(orders_out.recv(), Ok(Order::Stop)));
            Ok(())
        };
        let guard = || EndGuard { ended: ended.clone(), main: main.clone() };
        let first = spawn(0, guard(), obeys).expect("a thread");
        let second = spawn(1, guard(), run).expect("a thread");
        let mut events = Events::with_capacity(1);
        while !ended.load(Ordering::Acquire) {
            poll.poll(&mut events, Some(Duration::from_secs(10))).expect("a poll");
            assert!(!events.is_empty(), "the main thread sleeps on");
        }
        let (gone, _) = bounded(limits::ORDERS_MAX);
        stop(vec![
            Handle { orders, waker: waker.clone(), thread: first },
            Handle { orders: gone, waker, thread: second },
        ])
    }

    #[test]
    fn a_notice_detaches_the_controller_it_is_about_and_no_successor() {
        let path = std::env::temp_dir().join(format!("leat-engine-notice-{}.sock", std::process::id()));
        let mut listener = Listener::bind(&path, 1, control::PROTOCOL_VERSION).expect("a socket");
        let (notices_in, notices) = bounded(limits::NOTICES_MAX);
        let mut attachment = 0;
        let at = path.clone();
        let controller = std::thread::spawn(move || {
            shm::attach(at, control::PROTOCOL_VERSION, Duration::from_secs(10)).expect("let in")
        });
        while !listener.is_attached() {
            serve_controllers(&mut listener, &mut attachment, &[], &notices);
            std::thread::sleep(Duration::from_millis(1));
        }
        let _controller = controller.join().expect("attached");
        assert_eq!(attachment, 1);
        for (stale, is_attached) in [(0, true), (1, false)] {
            let notice = Notice::Corrupt { worker: 0, attachment: stale, why: "nonsense".into() };
            notices_in.send(notice).expect("room");
            serve_controllers(&mut listener, &mut attachment, &[], &notices);
            assert_eq!(listener.is_attached(), is_attached, "after a notice about attachment {stale}");
        }
        drop(listener);
        for left in [path.clone(), path.with_extension("sock.lock")] {
            let _ = std::fs::remove_file(left);
        }
    }

    #[test]
    fn a_worker_that_panics_or_fails_ends_the_engine_with_its_reason() {
        // Unwinds as a panic does, without its text among the test's.
        let panicked = engine_with(|| std::panic::resume_unwind(Box::new("a bug")));
        assert!(matches!(panicked, Err(Failure::Panicked(1))), "{panicked:?}");
        let failed = engine_with(|| Err(io::ErrorKind::OutOfMemory.into()));
        assert!(matches!(failed, Err(Failure::System { .. })), "{failed:?}");
    }
}
