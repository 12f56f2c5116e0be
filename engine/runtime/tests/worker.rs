//! A whole worker over real loopback sockets: echo, timers, commands, events, GRO, and nothing allocated per packet.

#![allow(clippy::unwrap_used)]

mod counting;

use counting::{ALLOCATIONS, Counting};
use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Tx};
use runtime::{
    CONTROL_TOKEN, Clock, Control, Listeners, LoopStats, ReceiveStats, Report, SendStats, SocketOptions,
    Sockets, Worker,
};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sends back what it gets, says what it saw, and keeps time.
#[derive(Default)]
struct Echo {
    /// The next event, oldest first. Sized at the start: the machine allocates nothing either.
    events: VecDeque<Said>,
    alarm: Option<Instant>,
    batches: u64,
    late: bool,
    silent: bool,
    /// How many more datagrams are to come in one batch, and until when they are waited for.
    gathering: (u32, Option<Instant>),
    /// How many more alarms are due at once.
    tolls: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Heard { len: usize, from: SocketAddr },
    Alarm,
    Did(u32),
    Batches(u64),
}

#[derive(Clone, Copy, Debug)]
enum Do {
    /// Be called when so much time has passed.
    Wake(Duration),
    /// Be called so many times, each time at once.
    Toll(u32),
    /// Send this many datagrams there.
    Send(SocketAddr, u32),
    /// Say how many batches there were.
    Count,
    /// Wait for as many datagrams, so that they are one batch.
    Gather(u32),
    /// Stop saying what is heard.
    Hush,
    /// Say this much at once.
    Chatter(u32),
}

impl Echo {
    fn toll(&mut self, now: Instant) {
        if self.tolls > 0 {
            self.tolls -= 1;
            self.alarm = Some(now);
        }
    }
}

impl Machine for Echo {
    type Command = Do;
    type Event = Said;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        self.late |= datagram.received_at > now;
        self.gathering = (self.gathering.0.saturating_sub(1), Some(now + Duration::from_secs(20)));
        let bytes = &*datagram.bytes;
        tx.slot(Flow(u32::from(datagram.path.remote.port())), datagram.path, bytes.len())
            .unwrap()
            .copy_from_slice(bytes);
        if !self.silent {
            self.events.push_back(Said::Heard { len: bytes.len(), from: datagram.path.remote });
        }
    }

    fn gathering_until(&self) -> Option<Instant> {
        self.gathering.1.filter(|_| self.gathering.0 > 0)
    }

    fn on_batch_end(&mut self, _now: Instant, _tx: &mut impl Tx) {
        self.batches += 1;
    }

    fn on_timeout(&mut self, now: Instant, _tx: &mut impl Tx) {
        self.alarm.take().unwrap();
        self.events.push_back(Said::Alarm);
        self.toll(now);
    }

    fn on_command(&mut self, now: Instant, command: Do, tx: &mut impl Tx) {
        match command {
            Do::Wake(after) => self.alarm = Some(now + after),
            Do::Toll(count) => {
                self.tolls = count;
                self.toll(now);
            }
            Do::Send(remote, count) => {
                for index in 0..count {
                    let path = Path { local: LocalId(0), remote };
                    tx.slot(Flow(1), path, 4).unwrap().copy_from_slice(&index.to_be_bytes());
                }
                self.events.push_back(Said::Did(count));
            }
            Do::Count => self.events.push_back(Said::Batches(self.batches)),
            Do::Gather(count) => {
                self.gathering.0 = count;
                self.events.push_back(Said::Did(count));
            }
            Do::Hush => self.silent = true,
            Do::Chatter(count) => self.events.extend((0..count).map(Said::Did)),
        }
    }

    fn poll_event(&mut self) -> Option<Said> {
        self.events.pop_front()
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.alarm
    }
}

/// What the main thread tells the worker through its waker.
enum Message {
    Do(Do),
    Stop,
}

/// Commands by a channel, events by another.
struct Channels {
    messages: Receiver<Message>,
    commands: VecDeque<Do>,
    events: SyncSender<Said>,
    report: Option<Report>,
    wakes: u32,
}

impl Control<Echo> for Channels {
    fn on_wake(&mut self, _registry: &mio::Registry) -> ControlFlow<()> {
        self.wakes += 1;
        for message in self.messages.try_iter() {
            match message {
                Message::Do(command) => self.commands.push_back(command),
                Message::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn next_command(&mut self) -> Option<Do> {
        self.commands.pop_front()
    }

    fn push_event(&mut self, event: Said) {
        let _ = self.events.send(event);
    }

    fn end_turn(&mut self, machine: &mut Echo, report: &Report) {
        assert!(!machine.late, "a datagram was received after now");
        self.report = Some(*report);
    }
}

/// More than any test here says.
const QUEUE_LEN: usize = 4096;

/// A worker on its thread, and the ends to drive it by.
struct Running {
    address: SocketAddr,
    waker: std::sync::Arc<mio::Waker>,
    messages: SyncSender<Message>,
    events: Receiver<Said>,
    thread: std::thread::JoinHandle<std::io::Result<(Echo, Channels)>>,
}

impl Running {
    fn start(options: SocketOptions) -> Self {
        let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &options).unwrap();
        let (messages, take_messages) = sync_channel(QUEUE_LEN);
        let (give_events, events) = sync_channel(QUEUE_LEN);
        let control = Channels {
            messages: take_messages,
            commands: VecDeque::new(),
            events: give_events,
            report: None,
            wakes: 0,
        };
        let worker = Worker::new(sockets, Clock::start(), Echo::default(), control).unwrap();
        let address = worker.sockets().local_addr(LocalId(0)).unwrap();
        let waker = worker.waker();
        Self { address, waker, messages, events, thread: std::thread::spawn(move || worker.run()) }
    }

    fn tell(&self, message: Message) {
        self.messages.send(message).unwrap();
        self.waker.wake().unwrap();
    }

    fn heard(&self) -> Said {
        self.events.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn stop(self) -> (Echo, Report) {
        self.tell(Message::Stop);
        let (echo, channels) = self.thread.join().unwrap().unwrap();
        (echo, channels.report.unwrap())
    }
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

fn next(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let len = socket.recv(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

#[test]
fn what_has_arrived_comes_before_the_next_timer() {
    let running = Running::start(SocketOptions::default());
    running.tell(Message::Do(Do::Toll(100)));
    for _ in 0..100 {
        assert!(matches!(running.heard(), Said::Alarm));
    }
    let (_, report) = running.stop();
    let LoopStats { turns, timeouts, .. } = report.turns;
    assert_eq!(timeouts, 100);
    assert!(turns >= 100, "{turns} turns: each looks at the sockets before its timer");
}

#[test]
fn what_is_sent_comes_back_in_order_to_each_peer() {
    let running = Running::start(SocketOptions::default());
    let clients: Vec<_> = (0..5).map(|_| client()).collect();
    let len = |round: u8, index: usize| [1200, 1200, 1199, 80, 0][(usize::from(round) + index) % 5];
    // In bursts that fit the sockets' buffers even if nobody reads them yet.
    for burst in 0..8u8 {
        let rounds = burst * 5..burst * 5 + 5;
        for round in rounds.clone() {
            for (index, client) in clients.iter().enumerate() {
                client.send_to(&vec![round; len(round, index)], running.address).unwrap();
            }
        }
        for (index, client) in clients.iter().enumerate() {
            for round in rounds.clone() {
                assert_eq!(next(client), vec![round; len(round, index)]);
            }
        }
    }
    let (_, report) = running.stop();
    let (ReceiveStats { datagrams: received, .. }, SendStats { datagrams: sent, .. }) =
        (report.received, report.sent);
    assert_eq!((received, sent), (200, 200));
    assert_eq!(report.received.bytes, report.sent.bytes);
    let LoopStats { turns, busy, turn_max, turn_last, .. } = report.turns;
    assert!(turns > 0 && busy >= turn_max && turn_max >= turn_last);
}

#[test]
fn a_run_from_a_peer_is_cut_into_its_datagrams() {
    let running = Running::start(SocketOptions::default());
    let far = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let from = far.local_addr(LocalId(0)).unwrap();
    let mut io = runtime::Io::new(far);
    let mut tx = io.tx(Instant::EPOCH);
    for _ in 0..20 {
        let path = Path { local: LocalId(0), remote: running.address };
        tx.slot(Flow(0), path, 1000).unwrap().fill(0x5a);
    }
    tx.slot(Flow(0), Path { local: LocalId(0), remote: running.address }, 33).unwrap().fill(0x5a);
    io.flush(Instant::EPOCH);
    for _ in 0..20 {
        assert_eq!(running.heard(), Said::Heard { len: 1000, from });
    }
    assert_eq!(running.heard(), Said::Heard { len: 33, from });
    let (_, report) = running.stop();
    assert_eq!(report.received.datagrams, 21);
    assert_eq!(report.received.messages, 1, "the kernel kept the run joined");
    assert_eq!(report.sent.gso_runs, 1, "and back it went as one");
}

#[test]
fn without_gro_and_gso_the_same_arrives() {
    let plain = SocketOptions { gro: false, gso: false, ..SocketOptions::default() };
    let running = Running::start(plain);
    let client = client();
    for index in 0..50u8 {
        client.send_to(&[index; 900], running.address).unwrap();
    }
    // Longer than a plain receive buffer: dropped and counted, the next arrives.
    client.send_to(&[0xee; 3000], running.address).unwrap();
    client.send_to(&[0xff; 10], running.address).unwrap();
    for index in 0..50u8 {
        assert_eq!(next(&client), [index; 900]);
    }
    assert_eq!(next(&client), [0xff; 10]);
    let (_, report) = running.stop();
    assert_eq!(report.received.dropped_truncated, 1);
    assert_eq!((report.received.datagrams, report.received.messages, report.sent.gso_runs), (51, 51, 0));
}

#[test]
fn what_the_machine_waits_for_is_of_the_same_batch() {
    let running = Running::start(SocketOptions::default());
    running.tell(Message::Do(Do::Gather(3)));
    assert_eq!(running.heard(), Said::Did(3));
    let client = client();
    for index in 0..3u8 {
        client.send_to(&[index], running.address).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    for index in 0..3u8 {
        assert_eq!(next(&client), [index]);
    }
    let (machine, report) = running.stop();
    assert_eq!((machine.batches, report.sent.runs), (1, 1), "answered together, when the last was there");
}

#[test]
fn a_timer_fires_at_its_time_and_not_before() {
    let running = Running::start(SocketOptions::default());
    for millis in [0, 1, 7, 30] {
        let before = std::time::Instant::now();
        let after = Duration::from_millis(millis);
        running.tell(Message::Do(Do::Wake(after)));
        // How late it is depends on what else the machine does.
        assert!(matches!(running.heard(), Said::Alarm));
        assert!(before.elapsed() >= after, "before its time");
    }
    let (_, report) = running.stop();
    assert_eq!((report.turns.timeouts, report.turns.commands, report.turns.events), (4, 4, 4));
    assert!(report.turns.turns < 100, "the worker slept in between: {:?}", report.turns);
}

#[test]
fn commands_are_flushed_and_answered_in_order() {
    let running = Running::start(SocketOptions::default());
    let client = client();
    let to = client.local_addr().unwrap();
    for _ in 0..150 {
        running.messages.send(Message::Do(Do::Send(to, 1))).unwrap();
    }
    running.tell(Message::Do(Do::Count));
    for _ in 0..150 {
        assert_eq!(running.heard(), Said::Did(1));
        assert_eq!(next(&client), [0; 4]);
    }
    assert_eq!(running.heard(), Said::Batches(0));
    let (_, report) = running.stop();
    assert_eq!(report.turns.commands, 151, "more than one turn's worth");
}

#[test]
fn a_batch_larger_than_the_arena_is_flushed_early_and_nothing_is_lost() {
    let running = Running::start(SocketOptions::default());
    let to = client().local_addr().unwrap();
    let many = 3 * runtime::limits::SEND_SLOTS as u32;
    running.tell(Message::Do(Do::Send(to, many)));
    assert_eq!(running.heard(), Said::Did(many));
    let (_, report) = running.stop();
    assert_eq!(report.sent.dropped_full, 0);
    assert_eq!(report.sent.datagrams + report.sent.dropped_wouldblock, u64::from(many));
}

/// The control registers a descriptor of its own, as the engine does with its doorbell.
struct Doorbell {
    bell: UdpSocket,
    rung: u32,
    left: u32,
    /// How often it was asked for room.
    turns: u32,
}

impl Control<Echo> for Doorbell {
    fn on_wake(&mut self, registry: &mio::Registry) -> ControlFlow<()> {
        let fd = self.bell.as_raw_fd();
        registry.register(&mut mio::unix::SourceFd(&fd), CONTROL_TOKEN, mio::Interest::READABLE).unwrap();
        ControlFlow::Continue(())
    }

    fn on_ready(&mut self) {
        self.bell.recv(&mut [0; 8]).unwrap();
        self.rung += 1;
        self.left = 1;
    }

    fn next_command(&mut self) -> Option<Do> {
        self.left = self.left.checked_sub(1)?;
        Some(Do::Count)
    }

    fn can_take_event(&mut self) -> bool {
        self.turns += 1;
        self.rung != 1 || self.turns > 5
    }

    fn retry_after(&self) -> Option<Duration> {
        (self.rung == 1).then_some(Duration::from_millis(2))
    }

    fn push_event(&mut self, event: Said) {
        assert_eq!(event, Said::Batches(0));
    }
}

#[test]
fn a_doorbell_wakes_the_worker_and_a_full_ring_leaves_events_with_the_machine() {
    let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let bell = client();
    let address = bell.local_addr().unwrap();
    let control = Doorbell { bell, rung: 0, left: 0, turns: 0 };
    let mut worker = Worker::new(sockets, Clock::start(), Echo::default(), control).unwrap();
    let _ = worker.turn().unwrap();
    let ringer = client();
    ringer.send_to(b"ring", address).unwrap();
    let _ = worker.turn().unwrap();
    assert_eq!((worker.control().rung, worker.machine().events.len()), (1, 1));
    // Nobody rings when there is room again: the control is asked from time to time.
    while worker.machine().events.len() == 1 {
        let _ = worker.turn().unwrap();
    }
    assert_eq!((worker.control().rung, worker.control().turns), (1, 7));
    ringer.send_to(b"ring", address).unwrap();
    let _ = worker.turn().unwrap();
    assert_eq!((worker.control().rung, worker.machine().events.len()), (2, 0));
}

/// Commands from a list, no events: nothing here allocates.
struct Quiet(Option<Do>);

impl Control<Echo> for Quiet {
    fn on_wake(&mut self, _registry: &mio::Registry) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn next_command(&mut self) -> Option<Do> {
        self.0.take()
    }

    fn push_event(&mut self, _event: Said) {}
}

#[test]
fn a_machine_with_much_to_say_says_it_over_several_turns_without_a_wait_between() {
    let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let control = Quiet(Some(Do::Chatter(600)));
    let mut worker = Worker::new(sockets, Clock::start(), Echo::default(), control).unwrap();
    // Nothing would end a wait here: nobody sends, and there is no timer.
    for left in [344, 88, 0] {
        let _ = worker.turn().unwrap();
        assert_eq!(worker.machine().events.len(), left);
    }
}

#[test]
fn a_warm_worker_allocates_nothing_per_packet() {
    let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let address = sockets.local_addr(LocalId(0)).unwrap();
    let mut worker = Worker::new(sockets, Clock::start(), Echo::default(), Quiet(Some(Do::Hush))).unwrap();
    let clients: Vec<_> = (0..10).map(|_| client()).collect();
    let mut buffer = vec![0; 2048];
    let mut measured = 0;
    for round in 0..20 {
        for client in &clients {
            for index in 0..10usize {
                client.send_to(&[index as u8; 1200][..1200 - index / 9], address).unwrap();
            }
        }
        let before = ALLOCATIONS.get();
        let _ = worker.turn().unwrap();
        if round > 2 {
            measured += ALLOCATIONS.get() - before;
        }
        for client in &clients {
            for _ in 0..10 {
                assert!(client.recv(&mut buffer).unwrap() >= 1199);
            }
        }
    }
    assert_eq!(measured, 0);
}

#[test]
fn a_warm_worker_allocates_nothing_per_frame_either() {
    let here = ["127.0.0.1:0".parse().unwrap()];
    let sockets = Sockets::bind(&here, &SocketOptions::default()).unwrap();
    let listeners = Listeners::bind(&here).unwrap();
    let address = listeners.local_addr(LocalId::tcp(0)).unwrap();
    let worker = Worker::new(sockets, Clock::start(), Echo::default(), Quiet(Some(Do::Hush))).unwrap();
    let mut worker = worker.listen(listeners).unwrap();
    let mut clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    let frames = [&[4, 176][..], &[7; 1200], &[0, 80], &[8; 80]].concat().repeat(5);
    let (mut buffer, mut measured) = (vec![0; frames.len()], 0);
    for round in 0..20 {
        for client in &mut clients {
            // Of two writes, the first ends within a frame.
            let (first, second) = frames.split_at(700 + round);
            client.write_all(first).unwrap();
            client.write_all(second).unwrap();
        }
        for client in &mut clients {
            let mut left = &mut buffer[..];
            client.set_nonblocking(true).unwrap();
            while !left.is_empty() {
                match client.read(left) {
                    Ok(len) => left = &mut left[len..],
                    Err(error) => {
                        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                        let before = ALLOCATIONS.get();
                        let _ = worker.turn().unwrap();
                        measured += if round > 2 { ALLOCATIONS.get() - before } else { 0 };
                    }
                }
            }
            client.set_nonblocking(false).unwrap();
            assert_eq!(buffer, frames);
        }
    }
    assert_eq!(measured, 0);
}
