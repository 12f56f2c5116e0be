//! All peers, their sockets and timers, in one loop on one thread.

pub mod socket;
mod timers;

use crate::measure::{Tally, thread_time};
use crate::peer::{DataRole, Local, Media, Peer, Remote, Surroundings};
use crate::random::throw;
use anyhow::Context;
use mio::{Events, Interest, Poll, Token, Waker};
use socket::{BUFFER_LEN, CONTROL_LEN, Socket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use timers::Timers;
use tokio::sync::oneshot;

/// The peers' use of the network.
#[derive(Debug)]
pub struct Settings {
    /// The common state of all peers.
    pub surroundings: Surroundings,
    /// The part of received media that is dropped.
    pub loss: f64,
    /// See [`Socket::connect`].
    pub coalesce: bool,
}

/// A peer to join.
#[derive(Debug)]
pub struct Joining {
    /// Its ICE credentials.
    pub local: Local,
    /// The server's end.
    pub remote: Remote,
    /// Its media.
    pub media: Media,
    /// Its data channel.
    pub data: Option<DataRole>,
    /// The start of the join: before its first message to the server.
    pub begun: Instant,
    /// Notified when it is connected, or has failed.
    pub connected: oneshot::Sender<Result<(), String>>,
}

enum WorldCommand {
    Join(Box<Joining>),
    /// Starts counting.
    Measure,
    Harvest(oneshot::Sender<Harvest>),
    /// The counts so far; counting goes on.
    Peek(oneshot::Sender<Tally>),
}

/// The result of a measurement.
#[derive(Debug)]
pub struct Harvest {
    /// The counts since the measurement began.
    pub tally: Tally,
    /// Its duration.
    pub time: Duration,
    /// CPU time of the loop in it.
    pub cpu: Duration,
    /// The time of each peer from its first message until it was connected.
    pub connect_times: Vec<Duration>,
    /// The same until its first packet of media; for subscribers only.
    pub media_times: Vec<Duration>,
    /// Subscribers with all their streams.
    pub complete: usize,
    /// Why peers failed.
    pub failures: Vec<String>,
}

/// Maximum number of waiting commands.
const COMMANDS_MAX: usize = 4096;

/// Number of failures whose text is stored.
const FAILURES_MAX: usize = 20;

/// The handle of the loop, which ends when this is dropped.
#[derive(Debug)]
pub struct World {
    commands: Option<SyncSender<WorldCommand>>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for WorldCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Join(_) => "Join",
            Self::Measure => "Measure",
            Self::Harvest(_) => "Harvest",
            Self::Peek(_) => "Peek",
        })
    }
}

impl World {
    /// Starts the loop on a separate thread.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let poll = Poll::new().context("cannot poll")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).context("cannot wake")?);
        let (commands, inbox) = sync_channel(COMMANDS_MAX);
        let turning = Loop::new(settings, poll, inbox);
        let thread = std::thread::Builder::new().name("media".to_owned()).spawn(move || turning.run())?;
        Ok(Self { commands: Some(commands), waker, thread: Some(thread) })
    }

    /// Adds a peer.
    pub fn join(&self, joining: Joining) {
        self.tell(WorldCommand::Join(Box::new(joining)));
    }

    /// Restarts counting.
    pub fn measure(&self) {
        self.tell(WorldCommand::Measure);
    }

    /// Ends counting.
    pub async fn harvest(&self) -> anyhow::Result<Harvest> {
        let (reply, harvest) = oneshot::channel();
        self.tell(WorldCommand::Harvest(reply));
        harvest.await.context("the media thread has ended early")
    }

    /// The counts so far.
    pub async fn peek(&self) -> anyhow::Result<Tally> {
        let (reply, tally) = oneshot::channel();
        self.tell(WorldCommand::Peek(reply));
        tally.await.context("the media thread has ended early")
    }

    fn tell(&self, command: WorldCommand) {
        let commands = self.commands.as_ref().expect("taken only when dropped");
        // The thread ends only by a panic; then waiting callers are notified.
        let _ = commands.send(command);
        let _ = self.waker.wake();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed already.
            let _ = thread.join();
        }
    }
}

const WAKER: Token = Token(usize::MAX);

/// How much later than requested the kernel may wake the generator, nanoseconds: by default it is 50 000,
/// half of the time of a frame.
const TIMER_SLACK_NS: u64 = 1_000;

/// The state of the loop.
struct Loop {
    settings: Settings,
    poll: Poll,
    inbox: Receiver<WorldCommand>,
    members: Vec<PeerEntry>,
    timers: Timers,
    tally: Tally,
    random: u64,
    measured_since: Instant,
    cpu_at_start: Duration,
    failures: Vec<String>,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

/// A peer and its socket.
struct PeerEntry {
    peer: Peer,
    socket: Socket,
    begun: Instant,
    connect_time: Option<Duration>,
    connected: Option<oneshot::Sender<Result<(), String>>>,
    has_failed: bool,
}

impl Loop {
    fn new(settings: Settings, poll: Poll, inbox: Receiver<WorldCommand>) -> Self {
        Self {
            settings,
            poll,
            inbox,
            members: Vec::new(),
            timers: Timers::default(),
            tally: Tally::default(),
            random: 0x9e37_79b9_7f4a_7c15,
            measured_since: Instant::now(),
            cpu_at_start: Duration::ZERO,
            failures: Vec::new(),
            buffer: vec![0; BUFFER_LEN],
            control: vec![0; CONTROL_LEN],
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        // If that is refused, peers are late by this time.
        let _ = nix::sys::prctl::set_timerslack(TIMER_SLACK_NS);
        loop {
            self.wait(&mut events);
            for event in &events {
                if event.token() != WAKER {
                    self.receive(event.token().0);
                    // Due peers do not wait until all packets are received.
                    self.fire();
                }
            }
            if !self.obey() {
                return;
            }
            self.fire();
        }
    }

    /// Waits until a packet arrives or work is due. A poll counts whole milliseconds, and peers must not all
    /// send at the same one: cameras are not synchronised. So the last part is slept; packets that arrive in
    /// it have the kernel's timestamp, and are not affected.
    fn wait(&mut self, events: &mut Events) {
        let until_due = self.timers.next().map(|next| next.saturating_duration_since(Instant::now()));
        let whole = until_due.map(|time| Duration::from_millis(time.as_millis() as u64));
        if whole == Some(Duration::ZERO) {
            std::thread::sleep(until_due.unwrap_or_default());
        }
        if let Err(error) = self.poll.poll(events, whole)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            self.failures.push(format!("cannot poll: {error}"));
        }
    }

    /// Carries out a command. False if there are no more.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(WorldCommand::Join(joining)) => self.admit(*joining),
                Ok(WorldCommand::Measure) => self.begin(),
                Ok(WorldCommand::Harvest(reply)) => {
                    let harvest = self.harvest();
                    // The caller may have been interrupted.
                    let _ = reply.send(harvest);
                }
                Ok(WorldCommand::Peek(reply)) => {
                    let mut tally = self.tally.clone();
                    self.members.iter().for_each(|member| member.peer.add_spans(&mut tally));
                    // As above.
                    let _ = reply.send(tally);
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn admit(&mut self, joining: Joining) {
        let Joining { local, remote, media, data, begun, connected } = joining;
        let index = self.members.len();
        let socket = Socket::connect(remote.address, self.settings.coalesce).and_then(|mut socket| {
            self.poll.registry().register(socket.source(), Token(index), Interest::READABLE)?;
            Ok(socket)
        });
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                let _ = connected.send(Err(format!("no socket: {error}")));
                return;
            }
        };
        let now = Instant::now();
        let peer = Peer::new(now, &local, remote, media, data);
        self.members.push(PeerEntry {
            peer,
            socket,
            begun,
            connect_time: None,
            connected: Some(connected),
            has_failed: false,
        });
        self.timers.set(index, now);
    }

    fn begin(&mut self) {
        let mut forgotten = Tally::default();
        self.members.iter_mut().for_each(|member| member.peer.close_spans(&mut forgotten));
        self.tally = Tally::default();
        self.measured_since = Instant::now();
        self.cpu_at_start = thread_time();
    }

    fn harvest(&mut self) -> Harvest {
        let mut tally = std::mem::take(&mut self.tally);
        self.members.iter_mut().for_each(|member| member.peer.close_spans(&mut tally));
        let media_time = |member: &PeerEntry| Some(member.peer.first_media()?.duration_since(member.begun));
        Harvest {
            tally,
            time: self.measured_since.elapsed(),
            cpu: thread_time().saturating_sub(self.cpu_at_start),
            connect_times: self.members.iter().filter_map(|member| member.connect_time).collect(),
            media_times: self.members.iter().filter_map(media_time).collect(),
            complete: self
                .members
                .iter()
                .filter(|member| !member.peer.is_publisher() && member.peer.has_all())
                .count(),
            failures: self.failures.clone(),
        }
    }

    /// Handles everything received for a peer.
    fn receive(&mut self, index: usize) {
        let Some(member) = self.members.get_mut(index).filter(|member| !member.has_failed) else { return };
        let mut result = Ok(());
        while let Some(received) = member.socket.receive(&mut self.buffer, &mut self.control) {
            let now = Instant::now();
            for datagram in self.buffer[..received.len].chunks_mut(received.segment) {
                if self.settings.loss > 0.0
                    && is_media(datagram)
                    && throw(&mut self.random) < self.settings.loss
                {
                    self.tally.thrown += 1;
                    continue;
                }
                let heard = member.peer.on_datagram(
                    now,
                    received.at,
                    datagram,
                    &self.settings.surroundings,
                    &mut self.tally,
                );
                result = result.and(heard);
            }
        }
        member.peer.on_batch_end();
        self.settle(index, result);
    }

    /// Performs due work.
    fn fire(&mut self) {
        let now = Instant::now();
        while let Some(index) = self.timers.pop(now) {
            let Some(member) = self.members.get_mut(index).filter(|member| !member.has_failed) else {
                continue;
            };
            let (socket, mut unsent) = (&member.socket, 0);
            let result = member.peer.advance(now, &mut self.tally, |datagram| {
                unsent += u64::from(!socket.send(datagram));
            });
            self.tally.unsent += unsent;
            self.settle(index, result);
        }
    }

    /// Sends a peer's datagrams, sets its timer, and records its state.
    fn settle(&mut self, index: usize, result: anyhow::Result<()>) {
        let member = &mut self.members[index];
        for datagram in member.peer.take_outgoing() {
            member.socket.send(&datagram);
        }
        self.timers.set(index, member.peer.next_timeout());
        if let Err(error) = result {
            member.has_failed = true;
            let text = format!("peer {index}: {error:#}");
            if let Some(connected) = member.connected.take() {
                let _ = connected.send(Err(text.clone()));
            }
            if self.failures.len() < FAILURES_MAX {
                self.failures.push(text);
            }
        } else if member.peer.is_connected()
            && let Some(connected) = member.connected.take()
        {
            member.connect_time = Some(member.begun.elapsed());
            let _ = connected.send(Ok(()));
        }
    }
}

/// Whether it is RTP, not RTCP (RFC 5761 §4).
fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}
