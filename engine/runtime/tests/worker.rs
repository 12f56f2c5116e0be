//! A whole worker over real loopback sockets: echo, timers, commands, events, GRO, and no allocation per packet.

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

/// Echoes every datagram, reports it as an event, and has a timer.
#[derive(Default)]
struct Echo {
    /// Events that wait, oldest first.
    events: VecDeque<Event>,
    alarm: Option<Instant>,
    batches: u64,
    late: bool,
    reports_nothing: bool,
    /// The number of datagrams that the batch still expects, and until when.
    gathering: (u32, Option<Instant>),
    /// How many more times the timer is due at once.
    repeats: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Received { len: usize, from: SocketAddr },
    Alarm,
    Done(u32),
    Batches(u64),
}

#[derive(Clone, Copy, Debug)]
enum Request {
    /// Set the timer to this time from now.
    Wake(Duration),
    /// Make the timer due at once, this number of times.
    RepeatTimer(u32),
    /// Send this number of datagrams to this address.
    Send(SocketAddr, u32),
    /// Report the number of batches.
    Count,
    /// Expect this number of datagrams in one batch.
    Gather(u32),
    /// Report no more datagrams.
    ReportNothing,
    /// Push this number of events at once.
    PushEvents(u32),
}

impl Echo {
    fn repeat(&mut self, now: Instant) {
        if self.repeats > 0 {
            self.repeats -= 1;
            self.alarm = Some(now);
        }
    }
}

impl Machine for Echo {
    type Command = Request;
    type Event = Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        self.late |= datagram.received_at > now;
        self.gathering = (self.gathering.0.saturating_sub(1), Some(now + Duration::from_secs(20)));
        let bytes = &*datagram.bytes;
        tx.slot(Flow(u32::from(datagram.path.remote.port())), datagram.path, bytes.len())
            .unwrap()
            .copy_from_slice(bytes);
        if !self.reports_nothing {
            self.events.push_back(Event::Received { len: bytes.len(), from: datagram.path.remote });
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
        self.events.push_back(Event::Alarm);
        self.repeat(now);
    }

    fn on_command(&mut self, now: Instant, command: Request, tx: &mut impl Tx) {
        match command {
            Request::Wake(after) => self.alarm = Some(now + after),
            Request::RepeatTimer(count) => {
                self.repeats = count;
                self.repeat(now);
            }
            Request::Send(remote, count) => {
                for index in 0..count {
                    let path = Path { local: LocalId(0), remote };
                    tx.slot(Flow(1), path, 4).unwrap().copy_from_slice(&index.to_be_bytes());
                }
                self.events.push_back(Event::Done(count));
            }
            Request::Count => self.events.push_back(Event::Batches(self.batches)),
            Request::Gather(count) => {
                self.gathering.0 = count;
                self.events.push_back(Event::Done(count));
            }
            Request::ReportNothing => self.reports_nothing = true,
            Request::PushEvents(count) => self.events.extend((0..count).map(Event::Done)),
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.alarm
    }
}

/// Messages of the main thread to the worker.
enum Message {
    Request(Request),
    Stop,
}

/// Commands by a channel, events by another.
struct Channels {
    messages: Receiver<Message>,
    commands: VecDeque<Request>,
    events: SyncSender<Event>,
    report: Option<Report>,
    wakes: u32,
}

impl Control<Echo> for Channels {
    fn on_wake(&mut self, _registry: &mio::Registry) -> ControlFlow<()> {
        self.wakes += 1;
        for message in self.messages.try_iter() {
            match message {
                Message::Request(command) => self.commands.push_back(command),
                Message::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn next_command(&mut self) -> Option<Request> {
        self.commands.pop_front()
    }

    fn push_event(&mut self, event: Event) {
        let _ = self.events.send(event);
    }

    fn end_turn(&mut self, machine: &mut Echo, report: &Report) {
        assert!(!machine.late, "a datagram was received after now");
        self.report = Some(*report);
    }
}

/// More than any test here sends at once.
const QUEUE_LEN: usize = 4096;

/// A worker on its thread, with the channels to control it.
struct Running {
    address: SocketAddr,
    waker: std::sync::Arc<mio::Waker>,
    messages: SyncSender<Message>,
    events: Receiver<Event>,
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

    fn send(&self, message: Message) {
        self.messages.send(message).unwrap();
        self.waker.wake().unwrap();
    }

    fn next_event(&self) -> Event {
        self.events.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn stop(self) -> (Echo, Report) {
        self.send(Message::Stop);
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
fn sockets_are_polled_between_two_timer_calls() {
    let running = Running::start(SocketOptions::default());
    running.send(Message::Request(Request::RepeatTimer(100)));
    for _ in 0..100 {
        assert!(matches!(running.next_event(), Event::Alarm));
    }
    let (_, report) = running.stop();
    let LoopStats { turns, timeouts, .. } = report.turns;
    assert_eq!(timeouts, 100);
    assert!(turns >= 100, "{turns} turns: each polls the sockets before its timer");
    assert_eq!(report.forwarding.count(), 0, "nothing was forwarded");
}

#[test]
fn datagrams_are_echoed_in_order_to_each_peer() {
    let running = Running::start(SocketOptions::default());
    let clients: Vec<_> = (0..5).map(|_| client()).collect();
    let len = |round: u8, index: usize| [1200, 1200, 1199, 80, 0][(usize::from(round) + index) % 5];
    // In bursts that fit the buffers of the sockets.
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
    // One for each batch. A burst is at least one, because the next one follows its echo.
    let (batches, time) = (report.forwarding.count(), report.forwarding.sum());
    assert!((8..=200).contains(&batches) && time > Duration::ZERO, "{batches} in {time:?}");
}

#[test]
fn a_received_run_is_split_into_its_datagrams() {
    let running = Running::start(SocketOptions::default());
    let sender = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let from = sender.local_addr(LocalId(0)).unwrap();
    let mut io = runtime::Io::new(sender);
    let mut tx = io.tx(Instant::EPOCH);
    for _ in 0..20 {
        let path = Path { local: LocalId(0), remote: running.address };
        tx.slot(Flow(0), path, 1000).unwrap().fill(0x5a);
    }
    tx.slot(Flow(0), Path { local: LocalId(0), remote: running.address }, 33).unwrap().fill(0x5a);
    io.flush(Instant::EPOCH);
    for _ in 0..20 {
        assert_eq!(running.next_event(), Event::Received { len: 1000, from });
    }
    assert_eq!(running.next_event(), Event::Received { len: 33, from });
    let (_, report) = running.stop();
    assert_eq!(report.received.datagrams, 21);
    assert_eq!(report.received.messages, 1, "the kernel kept the run joined");
    assert_eq!(report.sent.gso_runs, 1, "the echo was sent as one run");
}

#[test]
fn without_gro_and_gso_the_same_datagrams_arrive() {
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
fn packets_that_the_machine_expects_are_in_the_same_batch() {
    let running = Running::start(SocketOptions::default());
    running.send(Message::Request(Request::Gather(3)));
    assert_eq!(running.next_event(), Event::Done(3));
    let client = client();
    for index in 0..3u8 {
        client.send_to(&[index], running.address).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    for index in 0..3u8 {
        assert_eq!(next(&client), [index]);
    }
    let (machine, report) = running.stop();
    assert_eq!((machine.batches, report.sent.runs), (1, 1), "answered together, after the last one");
}

#[test]
fn a_timer_fires_at_its_time_and_not_earlier() {
    let running = Running::start(SocketOptions::default());
    for millis in [0, 1, 7, 30] {
        let before = std::time::Instant::now();
        let after = Duration::from_millis(millis);
        running.send(Message::Request(Request::Wake(after)));
        // How late it is depends on the load of the host.
        assert!(matches!(running.next_event(), Event::Alarm));
        assert!(before.elapsed() >= after, "too early");
    }
    let (_, report) = running.stop();
    assert_eq!((report.turns.timeouts, report.turns.commands, report.turns.events), (4, 4, 4));
    assert!(report.turns.turns < 100, "the worker slept in between: {:?}", report.turns);
}

#[test]
fn datagrams_of_commands_are_sent_and_answers_are_in_order() {
    let running = Running::start(SocketOptions::default());
    let client = client();
    let to = client.local_addr().unwrap();
    for _ in 0..150 {
        running.messages.send(Message::Request(Request::Send(to, 1))).unwrap();
    }
    running.send(Message::Request(Request::Count));
    for _ in 0..150 {
        assert_eq!(running.next_event(), Event::Done(1));
        assert_eq!(next(&client), [0; 4]);
    }
    assert_eq!(running.next_event(), Event::Batches(0));
    let (_, report) = running.stop();
    assert_eq!(report.turns.commands, 151, "more than those of one turn");
}

#[test]
fn a_batch_larger_than_the_arena_is_flushed_early_and_loses_nothing() {
    let running = Running::start(SocketOptions::default());
    let to = client().local_addr().unwrap();
    let many = 3 * runtime::limits::SEND_SLOTS as u32;
    running.send(Message::Request(Request::Send(to, many)));
    assert_eq!(running.next_event(), Event::Done(many));
    let (_, report) = running.stop();
    assert_eq!(report.sent.dropped_full, 0);
    assert_eq!(report.sent.datagrams + report.sent.dropped_wouldblock, u64::from(many));
}

/// A control with its own descriptor, like the doorbell of the engine.
struct Doorbell {
    bell: UdpSocket,
    rung: u32,
    left: u32,
    /// How often it was called for room.
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

    fn next_command(&mut self) -> Option<Request> {
        self.left = self.left.checked_sub(1)?;
        Some(Request::Count)
    }

    fn can_take_event(&mut self) -> bool {
        self.turns += 1;
        self.rung != 1 || self.turns > 5
    }

    fn retry_after(&self) -> Option<Duration> {
        (self.rung == 1).then_some(Duration::from_millis(2))
    }

    fn push_event(&mut self, event: Event) {
        assert_eq!(event, Event::Batches(0));
    }
}

#[test]
fn a_doorbell_wakes_the_worker_and_events_stay_in_the_machine_while_the_ring_is_full() {
    let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let bell = client();
    let address = bell.local_addr().unwrap();
    let control = Doorbell { bell, rung: 0, left: 0, turns: 0 };
    let mut worker = Worker::new(sockets, Clock::start(), Echo::default(), control).unwrap();
    let _ = worker.turn().unwrap();
    let client = client();
    client.send_to(b"ring", address).unwrap();
    let _ = worker.turn().unwrap();
    assert_eq!((worker.control().rung, worker.machine().events.len()), (1, 1));
    // No doorbell rings when there is room again: the worker calls the control from time to time.
    while worker.machine().events.len() == 1 {
        let _ = worker.turn().unwrap();
    }
    assert_eq!((worker.control().rung, worker.control().turns), (1, 7));
    client.send_to(b"ring", address).unwrap();
    let _ = worker.turn().unwrap();
    assert_eq!((worker.control().rung, worker.machine().events.len()), (2, 0));
}

/// At most one command, no events: nothing here allocates.
struct OneCommand(Option<Request>);

impl Control<Echo> for OneCommand {
    fn on_wake(&mut self, _registry: &mio::Registry) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn next_command(&mut self) -> Option<Request> {
        self.0.take()
    }

    fn push_event(&mut self, _event: Event) {}
}

#[test]
fn many_events_are_pushed_over_several_turns_without_a_wait() {
    let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let control = OneCommand(Some(Request::PushEvents(600)));
    let mut worker = Worker::new(sockets, Clock::start(), Echo::default(), control).unwrap();
    // Nothing would end a wait here: there are no packets and no timer.
    for left in [344, 88, 0] {
        let _ = worker.turn().unwrap();
        assert_eq!(worker.machine().events.len(), left);
    }
}

#[test]
fn a_warm_worker_does_not_allocate_per_packet() {
    let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
    let address = sockets.local_addr(LocalId(0)).unwrap();
    let mut worker =
        Worker::new(sockets, Clock::start(), Echo::default(), OneCommand(Some(Request::ReportNothing)))
            .unwrap();
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
fn a_warm_worker_does_not_allocate_per_frame() {
    let here = ["127.0.0.1:0".parse().unwrap()];
    let sockets = Sockets::bind(&here, &SocketOptions::default()).unwrap();
    let listeners = Listeners::bind(&here).unwrap();
    let address = listeners.local_addr(LocalId::tcp(0)).unwrap();
    let worker =
        Worker::new(sockets, Clock::start(), Echo::default(), OneCommand(Some(Request::ReportNothing)))
            .unwrap();
    let mut worker = worker.listen(listeners).unwrap();
    let mut clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    let frames = [&[4, 176][..], &[7; 1200], &[0, 80], &[8; 80]].concat().repeat(5);
    let (mut buffer, mut measured) = (vec![0; frames.len()], 0);
    for round in 0..20 {
        for client in &mut clients {
            // Two writes; the first ends within a frame.
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
