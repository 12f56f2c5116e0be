//! Workers that pass datagrams on to each other: they arrive whole and in order, wake sleeping workers, and cause no allocation.

#![allow(clippy::unwrap_used)]

mod counting;

use counting::{ALLOCATIONS, Counting};
use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Tx, WorkerId};
use runtime::limits::MAILBOX_ENVELOPES_MAX;
use runtime::{Clock, Control, MailboxStats, Mailboxes, Report, SocketOptions, Sockets, Worker};
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Hands every datagram to the next worker; the last one sends it back to its source, by its own socket. The source port precedes it, in two
/// bytes.
struct Relay {
    next: Option<WorkerId>,
    batches: u64,
    sent: u64,
}

impl Machine for Relay {
    type Command = ();
    type Event = ();

    fn on_datagram(&mut self, _now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let head = datagram.path.remote.port().to_be_bytes();
        if let Some(next) = self.next {
            self.sent += u64::from(tx.hand_off(next, &head, datagram.bytes));
        }
    }

    fn on_hand_off(&mut self, _now: Instant, from: WorkerId, bytes: &[u8], tx: &mut impl Tx) {
        let (head, body) = bytes.split_first_chunk().unwrap();
        match self.next {
            Some(next) => _ = tx.hand_off(next, head, body),
            None => {
                assert_eq!(from, WorkerId(1));
                let remote = SocketAddr::from(([127, 0, 0, 1], u16::from_be_bytes(*head)));
                let path = Path { local: LocalId(0), remote };
                tx.slot(Flow(remote.port().into()), path, body.len()).unwrap().copy_from_slice(body);
            }
        }
    }

    fn on_batch_end(&mut self, _now: Instant, _tx: &mut impl Tx) {
        self.batches += 1;
    }

    fn on_timeout(&mut self, _now: Instant, _tx: &mut impl Tx) {}
    fn on_command(&mut self, _now: Instant, (): (), _tx: &mut impl Tx) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}

/// Keeps the last report, and ends when `is_over` is set.
#[derive(Default)]
struct Reporter {
    report: Option<Report>,
    is_over: Arc<AtomicBool>,
}

impl Control<Relay> for Reporter {
    fn on_wake(&mut self, _registry: &mio::Registry) -> ControlFlow<()> {
        if self.is_over.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn next_command(&mut self) -> Option<()> {
        None
    }

    fn push_event(&mut self, (): ()) {}

    fn end_turn(&mut self, _machine: &mut Relay, report: &Report) {
        self.report = Some(*report);
    }
}

/// Three workers in a chain.
fn chain(is_over: &Arc<AtomicBool>) -> Vec<Worker<Relay, Reporter>> {
    let clock = Clock::start();
    let workers = Mailboxes::between(3).into_iter().zip([Some(WorkerId(1)), Some(WorkerId(2)), None]);
    let workers = workers.map(|(mailboxes, next)| {
        let sockets = Sockets::bind(&["127.0.0.1:0".parse().unwrap()], &SocketOptions::default()).unwrap();
        let relay = Relay { next, batches: 0, sent: 0 };
        let watch = Reporter { report: None, is_over: is_over.clone() };
        Worker::new(sockets, clock, relay, watch).unwrap().with_mailboxes(mailboxes)
    });
    workers.collect()
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

fn mailbox_stats(worker: &Worker<Relay, Reporter>) -> MailboxStats {
    worker.control().report.unwrap().mailboxes
}

#[test]
fn packets_through_two_workers_arrive_in_order_and_wake_sleeping_workers() {
    let is_over = Arc::new(AtomicBool::new(false));
    let workers = chain(&is_over);
    let address = workers[0].sockets().local_addr(LocalId(0)).unwrap();
    let wakers: Vec<_> = workers.iter().map(Worker::waker).collect();
    let threads: Vec<_> =
        workers.into_iter().map(|worker| std::thread::spawn(move || worker.run().unwrap())).collect();
    let client = client();
    let mut buffer = [0; 2048];
    // One by one, so that all workers sleep in between, and then in bursts.
    for (round, count) in std::iter::repeat_n(1u32, 200).chain(std::iter::repeat_n(50, 40)).enumerate() {
        for index in 0..count {
            let text = format!("{round} {index}");
            client.send_to(text.as_bytes(), address).unwrap();
        }
        for index in 0..count {
            let len = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], format!("{round} {index}").as_bytes());
        }
    }
    is_over.store(true, Ordering::SeqCst);
    wakers.iter().for_each(|waker| waker.wake().unwrap());
    let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let total = 200 + 40 * 50;
    let stats: Vec<MailboxStats> = ended.iter().map(|(_, watch)| watch.report.unwrap().mailboxes).collect();
    assert_eq!(
        stats.iter().map(|stats| (stats.sent, stats.received)).collect::<Vec<_>>(),
        [(total, 0), (total, total), (0, total)]
    );
    assert!(stats.iter().all(|stats| stats.dropped == 0), "{stats:?}");
    // At most once per batch.
    assert!((1..=ended[0].0.batches).contains(&stats[0].wakes), "{stats:?}");
}

#[test]
fn a_worker_that_does_not_read_loses_only_messages_beyond_its_mailbox() {
    let mut workers = chain(&Arc::default());
    let address = workers[0].sockets().local_addr(LocalId(0)).unwrap();
    let client = client();
    let mut sent = 0;
    while workers[0].machine().sent < MAILBOX_ENVELOPES_MAX as u64 || sent < MAILBOX_ENVELOPES_MAX + 100 {
        for _ in 0..20 {
            client.send_to(&[5; 100], address).unwrap();
        }
        sent += 20;
        let _ = workers[0].turn().unwrap();
    }
    let stats = mailbox_stats(&workers[0]);
    assert_eq!((stats.sent, stats.wakes), (MAILBOX_ENVELOPES_MAX as u64, 0), "the other worker never slept");
    assert_eq!(stats.sent + stats.dropped, sent as u64);
    // When it reads again, it receives a bounded number per turn.
    let mut turns = 0;
    while workers[1].machine().batches == 0
        || mailbox_stats(&workers[1]).received < MAILBOX_ENVELOPES_MAX as u64
    {
        let _ = workers[1].turn().unwrap();
        turns += 1;
    }
    assert_eq!(turns, 4);
    client.send_to(&[5; 100], address).unwrap();
    let _ = workers[0].turn().unwrap();
    assert_eq!(mailbox_stats(&workers[0]).sent, MAILBOX_ENVELOPES_MAX as u64 + 1);
}

#[test]
fn packets_through_two_workers_cause_no_allocation() {
    let mut workers = chain(&Arc::default());
    let address = workers[0].sockets().local_addr(LocalId(0)).unwrap();
    let client = client();
    let mut buffer = [0; 2048];
    let mut measured = 0;
    for round in 0..20 {
        for _ in 0..50 {
            client.send_to(&[5; 1200], address).unwrap();
        }
        let before = ALLOCATIONS.get();
        for worker in &mut workers {
            let _ = worker.turn().unwrap();
        }
        if round > 2 {
            measured += ALLOCATIONS.get() - before;
        }
        for _ in 0..50 {
            assert_eq!(client.recv(&mut buffer).unwrap(), 1200);
        }
    }
    assert_eq!((measured, mailbox_stats(&workers[2]).received), (0, 1000));
}
