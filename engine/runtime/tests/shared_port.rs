//! Workers that share one UDP port: whatever way the kernel chooses the worker of a datagram, it reaches the worker
//! whose machine has claimed its path.

#![allow(clippy::unwrap_used)]

use machine::{Datagram, Flow, Instant, LocalId, Machine, PathClaim, Tx, WorkerId};
use runtime::{Clock, Control, PortShare, SocketOptions, Sockets, Steering, SteeringStats, Worker};
use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const WORKERS: u16 = 8;

/// Claims the path of each check, and answers every datagram with its own number.
struct Numbered {
    own: u16,
    claims: VecDeque<PathClaim>,
}

impl Machine for Numbered {
    type Command = ();
    type Event = ();

    fn on_datagram(&mut self, _: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        if datagram.bytes[0] == 0 {
            self.claims.push_back(PathClaim::Claim(datagram.path));
        }
        tx.slot(Flow(u32::from(datagram.path.remote.port())), datagram.path, 1).unwrap()[0] = self.own as u8;
    }

    fn on_batch_end(&mut self, _: Instant, _: &mut impl Tx) {}
    fn on_timeout(&mut self, _: Instant, _: &mut impl Tx) {}
    fn on_command(&mut self, _: Instant, (): (), _: &mut impl Tx) {}

    fn poll_path_claim(&mut self) -> Option<PathClaim> {
        self.claims.pop_front()
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

/// Ends its worker on request, and keeps the last counters.
struct Stop {
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<SteeringStats>>,
}

impl Control<Numbered> for Stop {
    fn on_wake(&mut self, _: &mio::Registry) -> ControlFlow<()> {
        if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn next_command(&mut self) -> Option<()> {
        None
    }

    fn push_event(&mut self, (): ()) {}

    fn end_turn(&mut self, _: &mut Numbered, report: &runtime::Report) {
        *self.stats.lock().unwrap() = report.steering.unwrap().1;
    }
}

/// Runs workers at one port. `body` gets the address. Returns the counters of all.
fn with_workers(steering: Steering, body: impl FnOnce(SocketAddr)) -> Option<Vec<SteeringStats>> {
    let options = SocketOptions { share: true, ..SocketOptions::default() };
    let first = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &options).unwrap();
    let address = first.local_addr(LocalId(0)).unwrap();
    let others = (1..WORKERS).map(|_| Sockets::bind(&[address], &options).unwrap());
    let sockets: Vec<Sockets> = std::iter::once(first).chain(others).collect();
    let shares = PortShare::between(&sockets.iter().collect::<Vec<_>>(), Some(steering)).ok()?;
    let stop = Arc::new(AtomicBool::new(false));
    let clock = Clock::start();
    let mut wakers = Vec::new();
    let mut threads = Vec::new();
    let mut boards = Vec::new();
    for (own, (sockets, share)) in (0..).zip(sockets.into_iter().zip(shares)) {
        let stats = Arc::new(Mutex::default());
        let control = Stop { stop: stop.clone(), stats: stats.clone() };
        let machine = Numbered { own, claims: VecDeque::new() };
        let worker = Worker::new(sockets, clock, machine, control).unwrap().with_port_share(share);
        wakers.push(worker.waker());
        boards.push(stats);
        threads.push(thread::spawn(move || worker.run().map(|_| ())));
    }
    body(address);
    stop.store(true, Ordering::SeqCst);
    wakers.iter().for_each(|waker| waker.wake().unwrap());
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    Some(boards.iter().map(|board| *board.lock().unwrap()).collect())
}

/// An ICE check for this worker.
fn check(worker: u16) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([7; 12]);
    bytes.extend([0, 6, 0, 8, WorkerId(worker).ice_char().unwrap()]);
    bytes.extend(b"abc:xyz");
    bytes
}

/// The number in the answer.
fn answer(client: &UdpSocket) -> u16 {
    let mut bytes = [0; 100];
    assert_eq!(client.recv(&mut bytes).expect("an answer in time"), 1);
    u16::from(bytes[0])
}

const PEERS: u16 = 40;
const PACKETS: u16 = 25;

#[test]
fn every_datagram_reaches_the_worker_of_its_peer_and_the_extended_program_sends_it_there_directly() {
    for steering in Steering::ALL {
        let stats = with_workers(*steering, |address| {
            // All stay open: a port that is used again would still be claimed.
            let mut clients = Vec::new();
            for peer in 0..PEERS {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.connect(address).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                client.send(&check(peer % WORKERS)).unwrap();
                assert_eq!(answer(&client), peer % WORKERS, "a check, {steering:?}");
                for _ in 0..PACKETS {
                    client.send(&[0x90; 200]).unwrap();
                    assert_eq!(answer(&client), peer % WORKERS, "media, {steering:?}");
                }
                clients.push(client);
            }
        });
        let Some(stats) = stats else {
            assert_eq!(*steering, Steering::Extended, "the others need no privilege");
            continue;
        };
        let sum = |of: fn(&SteeringStats) -> u64| stats.iter().map(of).sum::<u64>();
        let all = u64::from(PEERS * (PACKETS + 1));
        // What is handed over is counted by both workers.
        assert_eq!(sum(|stats| stats.own) + sum(|stats| stats.handed_over), all);
        assert_eq!(sum(|stats| stats.received), sum(|stats| stats.handed_over));
        assert_eq!((sum(|stats| stats.dropped), sum(|stats| stats.claims_refused)), (0, 0));
        match steering {
            Steering::Extended => assert_eq!(sum(|stats| stats.own), all),
            // By chance, one in eight is right.
            Steering::Classic | Steering::Hash => assert!(sum(|stats| stats.handed_over) > all / 2),
        }
    }
}
