//! Sockets that are opened and closed while the worker runs, over real loopback sockets.

#![allow(clippy::unwrap_used)]

use machine::{Datagram, Flow, Instant, LocalId, Machine, SocketError, SocketRequest, Tx};
use runtime::{Clock, Control, PortPool, SocketOptions, Sockets, Worker};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

type Opened = (LocalId, Result<SocketAddr, SocketError>);

/// Requests the sockets that it is commanded to, and echoes every datagram.
#[derive(Default)]
struct Echo {
    requests: VecDeque<SocketRequest>,
    opened: VecDeque<Opened>,
}

impl Machine for Echo {
    type Command = SocketRequest;
    type Event = Opened;

    fn on_datagram(&mut self, _now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        // One flow for all sockets: a flow is not a socket.
        tx.slot(Flow(7), datagram.path, datagram.bytes.len()).unwrap().copy_from_slice(datagram.bytes);
    }

    fn on_batch_end(&mut self, _now: Instant, _tx: &mut impl Tx) {}
    fn on_timeout(&mut self, _now: Instant, _tx: &mut impl Tx) {}

    fn on_command(&mut self, _now: Instant, request: SocketRequest, _tx: &mut impl Tx) {
        self.requests.push_back(request);
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.requests.pop_front()
    }

    fn on_socket_opened(
        &mut self,
        _now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        _tx: &mut impl Tx,
    ) {
        self.opened.push_back((local, opened));
    }

    fn poll_event(&mut self) -> Option<Opened> {
        self.opened.pop_front()
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

/// Commands by a channel, events by another.
struct Channels {
    commands: Receiver<SocketRequest>,
    events: SyncSender<Opened>,
}

impl Control<Echo> for Channels {
    fn on_wake(&mut self, _: &mio::Registry) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn next_command(&mut self) -> Option<SocketRequest> {
        self.commands.try_recv().ok()
    }

    fn push_event(&mut self, opened: Opened) {
        self.events.send(opened).unwrap();
    }
}

/// More than any test here sends at once.
const QUEUE_LEN: usize = 64;

/// A worker whose turns are called by the test. Its machine may request sockets on these ports of loopback.
struct Running {
    worker: Worker<Echo, Channels>,
    commands: SyncSender<SocketRequest>,
    events: Receiver<Opened>,
}

impl Running {
    fn start(ports: RangeInclusive<u16>) -> Self {
        let pool = PortPool { ips: vec![Ipv4Addr::LOCALHOST.into()], ports };
        let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
        let (commands, take_commands) = sync_channel(QUEUE_LEN);
        let (give_events, events) = sync_channel(QUEUE_LEN);
        let control = Channels { commands: take_commands, events: give_events };
        let worker = Worker::new(sockets.with_port_pool(pool), Clock::start(), Echo::default(), control);
        Self { worker: worker.unwrap(), commands, events }
    }

    fn request(&mut self, request: SocketRequest) {
        self.commands.send(request).unwrap();
        self.turn();
    }

    /// One turn that does not wait.
    fn turn(&mut self) {
        self.worker.waker().wake().unwrap();
        let _ = self.worker.turn().unwrap();
    }

    fn open(&mut self, index: u16) -> Result<SocketAddr, SocketError> {
        self.open_of(LocalId::on_demand(index), None, false)
    }

    fn open_pair(&mut self, index: u16) -> Result<SocketAddr, SocketError> {
        self.open_of(LocalId::on_demand(index), Some(LocalId::on_demand(index + 1)), false)
    }

    fn open_of(
        &mut self,
        local: LocalId,
        next: Option<LocalId>,
        is_ipv6: bool,
    ) -> Result<SocketAddr, SocketError> {
        self.request(SocketRequest::Open { local, next, is_ipv6, dont_fragment: false });
        let (number, opened) = self.events.try_recv().unwrap();
        assert_eq!(number, local);
        opened
    }

    fn close(&mut self, index: u16) {
        self.request(SocketRequest::Close { local: LocalId::on_demand(index) });
    }

    /// Whether a datagram to this address is echoed from it.
    fn echoes(&mut self, address: SocketAddr) -> bool {
        let client = client();
        client.send_to(b"hello", address).unwrap();
        self.turn();
        let mut buffer = [0; 16];
        let Ok((len, from)) = client.recv_from(&mut buffer) else { return false };
        assert_eq!((&buffer[..len], from), (&b"hello"[..], address));
        true
    }
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket
}

/// Adjacent free ports, at most 16, the first of them even. No two tests of a run get the same.
fn free_ports(count: u16) -> RangeInclusive<u16> {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    let is_free = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    loop {
        let nth = (std::process::id() % 400) as u16 + ASKED.fetch_add(1, Ordering::Relaxed);
        let first = 24_000 + nth % 500 * 16;
        if (first..first + count).all(is_free) {
            return first..=first + count - 1;
        }
    }
}

#[test]
fn an_opened_socket_echoes_until_it_is_closed() {
    let mut running = Running::start(free_ports(4));
    let (first, second) = (running.open(0).unwrap(), running.open(1).unwrap());
    assert_ne!(first, second);
    assert!(running.echoes(first) && running.echoes(second));
    running.close(0);
    assert!(!running.echoes(first) && running.echoes(second));
    // Its number is free again; its port is used last.
    let third = running.open(0).unwrap();
    assert_eq!(third.port(), second.port() + 1);
    assert!(running.echoes(third));
}

#[test]
fn many_sockets_are_served_in_one_turn_and_each_answers_itself() {
    let ports = free_ports(8);
    let mut running = Running::start(ports.clone());
    let addresses: Vec<SocketAddr> = (0..8).map(|index| running.open(index).unwrap()).collect();
    let client = client();
    for round in 0..3u8 {
        for (index, address) in addresses.iter().enumerate() {
            client.send_to(&[round, index as u8], address).unwrap();
        }
    }
    running.turn();
    let mut received = Vec::new();
    let mut buffer = [0; 16];
    while let Ok((len, from)) = client.recv_from(&mut buffer) {
        assert_eq!(len, 2);
        assert_eq!(from, addresses[usize::from(buffer[1])], "not by the socket that received it");
        received.push((buffer[1], buffer[0]));
    }
    received.sort_unstable();
    let all: Vec<(u8, u8)> = (0..8).flat_map(|index| (0..3).map(move |round| (index, round))).collect();
    assert_eq!(received, all);
}

#[test]
fn a_pair_has_an_even_port_and_the_one_after_it() {
    let ports = free_ports(6);
    let mut running = Running::start(ports.clone());
    running.open(9).unwrap();
    let even = running.open_pair(0).unwrap();
    assert_eq!(even.port(), ports.start() + 2);
    let odd = SocketAddr::new(even.ip(), even.port() + 1);
    assert!(running.echoes(even) && running.echoes(odd));
    running.close(0);
    assert!(!running.echoes(even) && running.echoes(odd));
}

#[test]
fn ports_of_other_processes_are_skipped_until_none_is_left() {
    let ports = free_ports(3);
    let mut running = Running::start(ports.clone());
    let other_process = UdpSocket::bind((Ipv4Addr::LOCALHOST, *ports.start())).unwrap();
    assert_eq!(running.open(0).unwrap().port(), ports.start() + 1);
    assert_eq!(running.open(1).unwrap().port(), ports.start() + 2);
    assert_eq!(running.open(2), Err(SocketError::Ports));
    assert_eq!(running.open_pair(2), Err(SocketError::Ports));
    drop(other_process);
    assert_eq!(running.open(2).unwrap().port(), *ports.start());
}

#[test]
fn a_request_that_cannot_be_fulfilled_is_answered_with_its_error() {
    let mut running = Running::start(free_ports(4));
    let local = LocalId::on_demand(0);
    assert_eq!(running.open_of(local, None, true), Err(SocketError::Family));
    let address = running.open(0).unwrap();
    // A number in use, a number beyond the table, and a pair with one number in use.
    assert_eq!(running.open(0), Err(SocketError::System));
    assert_eq!(running.open(60_000), Err(SocketError::System));
    assert_eq!(running.open_of(LocalId::on_demand(1), Some(local), false), Err(SocketError::System));
    assert!(running.echoes(address), "the open socket is not affected");
    assert!(running.open(1).is_ok(), "a failed request leaves nothing behind");
}
