//! TCP connections of a worker, over real loopback sockets: frames in both directions, and hostile clients.

#![allow(clippy::unwrap_used)]

use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Tx};
use runtime::limits::{CONNECTIONS_PER_HOST_MAX, FRAME_BYTES_MAX, PROOF_TIMEOUT, QUEUE_BYTES_MAX};
use runtime::{Clock, ConnectionStats, Control, Listeners, Report, SocketOptions, Sockets, Worker};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// More than any test here sends or receives at once.
const QUEUE_LEN: usize = 4096;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Echoes frames that begin with an `e`, and only reports the others.
#[derive(Default)]
struct Echo {
    events: VecDeque<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Received(Path, Vec<u8>),
    Closed(Path),
}

/// Frames of this length to send to a path, numbered.
#[derive(Clone, Copy, Debug)]
struct Send {
    path: Path,
    len: usize,
    count: u32,
}

impl Machine for Echo {
    type Command = Send;
    type Event = Event;

    fn on_datagram(&mut self, _now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let (path, bytes) = (datagram.path, &*datagram.bytes);
        if bytes.first() == Some(&b'e') {
            tx.slot(Flow(u32::from(path.remote.port())), path, bytes.len()).unwrap().copy_from_slice(bytes);
        }
        self.events.push_back(Event::Received(path, bytes.to_vec()));
    }

    fn on_path_closed(&mut self, _now: Instant, path: Path, _tx: &mut impl Tx) {
        self.events.push_back(Event::Closed(path));
    }

    fn on_batch_end(&mut self, _now: Instant, _tx: &mut impl Tx) {}

    fn on_timeout(&mut self, _now: Instant, _tx: &mut impl Tx) {}

    fn on_command(&mut self, _now: Instant, Send { path, len, count }: Send, tx: &mut impl Tx) {
        for number in 0..count {
            let slot = tx.slot(Flow(u32::from(path.remote.port())), path, len).unwrap();
            slot.fill(number as u8);
            slot[..4].copy_from_slice(&number.to_be_bytes());
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

struct Channels {
    commands: Receiver<Send>,
    events: SyncSender<Event>,
    stats: Arc<Mutex<ConnectionStats>>,
    is_over: bool,
}

impl Control<Echo> for Channels {
    fn on_wake(&mut self, _registry: &mio::Registry) -> ControlFlow<()> {
        if self.is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn next_command(&mut self) -> Option<Send> {
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.is_over = true;
                None
            }
        }
    }

    fn push_event(&mut self, event: Event) {
        let _ = self.events.send(event);
    }

    fn end_turn(&mut self, _machine: &mut Echo, report: &Report) {
        *self.stats.lock().unwrap() = report.connections;
    }

    fn may_sleep(&mut self) -> bool {
        !self.is_over
    }
}

/// A worker with a TCP listener, on its thread.
struct Running {
    udp: SocketAddr,
    tcp: SocketAddr,
    waker: Arc<mio::Waker>,
    commands: Option<SyncSender<Send>>,
    events: Receiver<Event>,
    stats: Arc<Mutex<ConnectionStats>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(ip: &str) -> Self {
        let address: SocketAddr = format!("{ip}:0").parse().unwrap();
        let sockets = Sockets::bind(&[address], &SocketOptions::default()).unwrap();
        let listeners = Listeners::bind(&[address]).unwrap();
        let (udp, tcp) =
            (sockets.local_addr(LocalId(0)).unwrap(), listeners.local_addr(LocalId::tcp(0)).unwrap());
        let (commands, take_commands) = sync_channel(QUEUE_LEN);
        let (give_events, events) = sync_channel(QUEUE_LEN);
        let stats = Arc::new(Mutex::new(ConnectionStats::default()));
        let control =
            Channels { commands: take_commands, events: give_events, stats: stats.clone(), is_over: false };
        let worker = Worker::new(sockets, Clock::start(), Echo::default(), control).unwrap();
        let worker = worker.listen(listeners).unwrap();
        let waker = worker.waker();
        let thread = std::thread::spawn(move || drop(worker.run().unwrap()));
        Self { udp, tcp, waker, commands: Some(commands), events, stats, thread: Some(thread) }
    }

    fn send(&self, send: Send) {
        self.commands.as_ref().unwrap().send(send).unwrap();
        self.waker.wake().unwrap();
    }

    fn next_event(&self) -> Event {
        self.events.recv_timeout(TIMEOUT).unwrap()
    }

    fn stats(&self) -> ConnectionStats {
        *self.stats.lock().unwrap()
    }

    /// Waits until the statistics fulfil a condition.
    fn await_stats(&self, is_so: impl Fn(&ConnectionStats) -> bool) -> ConnectionStats {
        let deadline = std::time::Instant::now() + TIMEOUT;
        loop {
            let stats = self.stats();
            if is_so(&stats) {
                return stats;
            }
            assert!(std::time::Instant::now() < deadline, "{stats:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let path = Path { local: LocalId::tcp(0), remote: stream.local_addr().unwrap() };
        Peer { stream, path }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.commands.take();
        let _ = self.waker.wake();
        // The control notices the closed channel in one turn, and ends the worker at the next wake.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            let _ = self.waker.wake();
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Peer {
    stream: TcpStream,
    path: Path,
}

impl Peer {
    fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(&(frame.len() as u16).to_be_bytes()).unwrap();
        self.stream.write_all(frame).unwrap();
    }

    fn next(&mut self) -> Vec<u8> {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len).unwrap();
        let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut frame).unwrap();
        frame
    }

    /// Waits until the other end has closed.
    fn await_end(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn frames_are_echoed_and_the_end_of_a_connection_is_reported() {
    let both = ["127.0.0.1", "[::1]"];
    for ip in both.into_iter().take(1 + usize::from(UdpSocket::bind("[::1]:0").is_ok())) {
        let running = Running::start(ip);
        let mut peers = [running.connect(), running.connect()];
        for round in 0..50 {
            for peer in &mut peers {
                let frame = [b"e".as_slice(), &vec![round; usize::from(round) * 40]].concat();
                peer.send(&frame);
                assert_eq!(running.next_event(), Event::Received(peer.path, frame.clone()));
                assert_eq!(peer.next(), frame);
            }
        }
        // One byte at a time, with an empty frame before.
        for byte in [0, 0, 0, 3, b'e', 1, 2] {
            peers[0].stream.write_all(&[byte]).unwrap();
        }
        assert_eq!(running.next_event(), Event::Received(peers[0].path, vec![]));
        assert_eq!(running.next_event(), Event::Received(peers[0].path, vec![b'e', 1, 2]));
        assert_eq!(peers[0].next(), [b'e', 1, 2]);

        let [first, second] = peers;
        let path = first.path;
        drop(first);
        assert_eq!(running.next_event(), Event::Closed(path));
        // Frames for a closed connection are dropped and counted.
        running.send(Send { path, len: 100, count: 3 });
        let stats = running.await_stats(|stats| stats.dropped_closed == 3);
        assert_eq!((stats.open, stats.accepted, stats.closed_by_peer), (1, 2, 1));
        assert_eq!((stats.frames_in, stats.queued.sent), (102, 101));
        drop(second);
    }
}

#[test]
fn udp_and_tcp_of_one_peer_are_two_paths() {
    let running = Running::start("127.0.0.1");
    let mut peer = running.connect();
    let udp = UdpSocket::bind(peer.path.remote).unwrap();
    udp.send_to(b"e by udp", running.udp).unwrap();
    let path = Path { local: LocalId(0), remote: udp.local_addr().unwrap() };
    assert_eq!(running.next_event(), Event::Received(path, b"e by udp".to_vec()));
    peer.send(b"e by tcp");
    assert_eq!(running.next_event(), Event::Received(peer.path, b"e by tcp".to_vec()));
    assert_eq!(peer.next(), b"e by tcp");
    let mut buffer = [0; 100];
    udp.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert_eq!(udp.recv(&mut buffer).unwrap(), 8);
    assert_eq!(&buffer[..8], b"e by udp");
}

#[test]
fn an_unproven_connection_is_closed_in_time_even_if_it_sends() {
    let running = Running::start("127.0.0.1");
    let mut silent = running.connect();
    let mut slow = running.connect();
    let mut talkative = running.connect();
    let mut proven = running.connect();
    proven.send(b"e");
    proven.next();
    // Neither a part of a frame nor unauthentic frames keep a connection open.
    slow.stream.write_all(&[0]).unwrap();
    talkative.send(b"nonsense");
    let since = std::time::Instant::now();
    for peer in [&mut silent, &mut slow, &mut talkative] {
        peer.await_end();
    }
    assert!(since.elapsed() > PROOF_TIMEOUT / 2);
    let stats = running.await_stats(|stats| stats.closed_unproven == 3);
    assert_eq!((stats.open, stats.accepted), (1, 4));
    proven.send(b"e still here");
    assert_eq!(proven.next(), b"e still here");
}

#[test]
fn a_connection_of_another_protocol_is_closed_at_once() {
    let running = Running::start("127.0.0.1");
    for text in [&b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut peer = running.connect();
        peer.stream.write_all(text).unwrap();
        peer.await_end();
        assert_eq!(running.next_event(), Event::Closed(peer.path));
    }
    let mut peer = running.connect();
    peer.send(&[b'e'; FRAME_BYTES_MAX]);
    assert_eq!(peer.next(), [b'e'; FRAME_BYTES_MAX], "the longest frame is accepted");
    assert_eq!(running.stats().closed_malformed, 2);
}

#[test]
fn a_stalled_reader_has_a_bounded_queue_and_does_not_affect_others() {
    let running = Running::start("127.0.0.1");
    let (mut stalled, mut other) = (running.connect(), running.connect());
    stalled.send(b"e");
    assert_eq!(stalled.next(), b"e");
    // More than the kernel's buffers and the queue hold together.
    let mut sent = 0;
    while running.stats().queued.dropped_full < 100 {
        running.send(Send { path: stalled.path, len: 1_000, count: 500 });
        sent += 500;
        assert!(sent * 1_000 < 1 << 30, "the queue is not bounded");
        other.send(b"e other");
        assert_eq!(other.next(), b"e other", "while the first does not read");
    }
    // The reader continues: it gets whole frames in order, with gaps, and the newest frame is not missing.
    running.send(Send { path: stalled.path, len: 8, count: 1 });
    let (mut read, mut gaps, mut last) = (0u64, 0u64, u32::MAX);
    loop {
        let frame = stalled.next();
        if frame.len() == 8 {
            break;
        }
        assert_eq!(frame.len(), 1_000);
        let number = u32::from_be_bytes(*frame.first_chunk().unwrap());
        assert!(frame[4..].iter().all(|byte| *byte == number as u8), "a frame is not whole");
        gaps += u64::from(number != last.wrapping_add(1) % 500);
        last = number;
        read += 1;
    }
    assert!(gaps > 0 && read < sent, "{read} of {sent}");
    let stats = running.await_stats(|stats| stats.queued.sent >= read + 2);
    let dropped = stats.queued.dropped_full + stats.queued.dropped_late;
    assert_eq!(read + dropped, sent, "{stats:?}");
    assert!(dropped > (QUEUE_BYTES_MAX / 1_000) as u64 / 2);
    stalled.send(b"e well again");
    assert_eq!(stalled.next(), b"e well again");
}

#[test]
fn connections_of_one_host_are_bounded_and_replace_unproven_ones() {
    let running = Running::start("127.0.0.1");
    let mut proven = running.connect();
    proven.send(b"e");
    assert_eq!(proven.next(), b"e");
    let mut crowd: Vec<Peer> = Vec::new();
    for _ in 1..CONNECTIONS_PER_HOST_MAX {
        crowd.push(running.connect());
    }
    running.await_stats(|stats| stats.open as usize == CONNECTIONS_PER_HOST_MAX);
    let mut last = running.connect();
    last.send(b"e let in");
    assert_eq!(last.next(), b"e let in");
    crowd[0].await_end();
    let stats = running.await_stats(|stats| stats.refused == 1);
    assert_eq!(stats.open as usize, CONNECTIONS_PER_HOST_MAX);
    // All the others become proven: then a new connection is refused.
    for peer in &mut crowd[1..] {
        peer.send(b"e");
        assert_eq!(peer.next(), b"e");
    }
    running.connect().await_end();
    running.await_stats(|stats| stats.refused == 2);
    proven.send(b"e still here");
    assert_eq!(proven.next(), b"e still here");
}
