//! A worker's end of the ring, connected to the worker loop: records in and out, statistics, attach and
//! detach.

use control::{Counters, Event, Request};
use crossbeam_channel::{Receiver, Sender};
use machine::Instant;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Waker};
use runtime::{CONTROL_TOKEN, Control, Report};
use sfu::{Contained, Input};
use shm::{PushError, WorkerEnd};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// Interval between two copies of the counters to the statistics page. A lost copy delays the values by a
/// second and never makes a sum wrong.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between two attempts to push to a full event ring.
const PENDING_RETRY: Duration = Duration::from_millis(5);

/// A request of the main thread to a worker.
#[derive(Debug)]
pub enum Order {
    /// A controller attached.
    Attach {
        /// The number of this attachment, counted by the main thread.
        attachment: u64,
        /// The worker's end of its rings.
        end: Box<WorkerEnd>,
    },
    /// The controller is gone.
    Detach,
    /// The worker must end.
    Stop,
}

/// A message of a worker to the main thread.
#[derive(Debug)]
pub enum Notice {
    /// The ring contains a record that no correct controller writes: the controller must be detached.
    Corrupt {
        /// Which worker.
        worker: usize,
        /// The attachment of that ring: the notice may arrive when another controller has attached already,
        /// which must stay.
        attachment: u64,
        /// The fault.
        why: String,
    },
}

/// One worker's control.
#[derive(Debug)]
pub struct Endpoint {
    worker: usize,
    orders: Receiver<Order>,
    notices: Sender<Notice>,
    main: Arc<Waker>,
    end: Option<WorkerEnd>,
    /// The number of the attachment that `end` or `distrusted` belongs to.
    attachment: u64,
    /// The end of a corrupt ring: it is not read any more, but its doorbell must still be deregistered.
    distrusted: Option<WorkerEnd>,
    /// Inputs that this side creates: the loss of the controller.
    own_inputs: VecDeque<Input>,
    /// The record being read, and the one being written.
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// An event for which the ring had no room.
    pending_event: Option<Event>,
    /// Commands may be in the ring, unread because of `pending_event`. The controller has rung for them
    /// already, so only this flag makes the worker read them once the event is pushed.
    has_deferred_commands: bool,
    has_pushed: bool,
    stats_due: Instant,
    has_unpublished_stats: bool,
}

impl Endpoint {
    /// A worker without a controller. `main` wakes the main thread to read `notices`.
    pub fn new(worker: usize, orders: Receiver<Order>, notices: Sender<Notice>, main: Arc<Waker>) -> Self {
        Self {
            worker,
            orders,
            notices,
            main,
            end: None,
            attachment: 0,
            distrusted: None,
            own_inputs: VecDeque::new(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            pending_event: None,
            has_deferred_commands: false,
            has_pushed: false,
            stats_due: Instant::EPOCH,
            has_unpublished_stats: false,
        }
    }

    fn attach(&mut self, registry: &Registry, attachment: u64, end: WorkerEnd) {
        self.attachment = attachment;
        let fd = end.doorbell.as_raw_fd();
        match registry.register(&mut SourceFd(&fd), CONTROL_TOKEN, Interest::READABLE) {
            Ok(()) => self.end = Some(end),
            Err(error) => self.notify_corrupt(format!("cannot poll its doorbell: {error}")),
        }
    }

    fn detach(&mut self, registry: &Registry) {
        let (trusted, distrusted) = (self.end.take(), self.distrusted.take());
        if trusted.is_some() {
            self.on_lost();
        }
        for end in trusted.iter().chain(&distrusted) {
            // Closing our descriptor is not enough: the peer shares the doorbell and would continue to wake
            // this worker.
            if let Err(error) = registry.deregister(&mut SourceFd(&end.doorbell.as_raw_fd())) {
                tracing::warn!(worker = self.worker, %error, "the doorbell of a former controller is still registered");
            }
        }
    }

    /// Tells the shard that there is no controller, and drops the pending event.
    fn on_lost(&mut self) {
        self.pending_event = None;
        self.has_deferred_commands = false;
        self.own_inputs.push_back(Input::ControllerLost);
    }

    /// From now on the ring is neither read nor written, so there is one notice of it.
    fn distrust(&mut self, why: String) {
        self.notify_corrupt(why);
        self.distrusted = self.end.take();
        self.on_lost();
    }

    fn notify_corrupt(&mut self, why: String) {
        let (worker, attachment) = (self.worker, self.attachment);
        // Lost only if the queue is full; one notice is enough to detach the controller.
        let _ = self.notices.try_send(Notice::Corrupt { worker, attachment, why });
        let _ = self.main.wake();
    }

    /// Pushes the pending event. True if the ring can take the next one.
    fn flush_pending(&mut self) -> bool {
        let Some(event) = self.pending_event.take() else { return true };
        let Some(end) = &mut self.end else { return true };
        event.encode(&mut self.outgoing);
        match end.events.push(&self.outgoing) {
            Ok(()) => {
                self.has_pushed = true;
                true
            }
            Err(PushError::Full) => {
                self.pending_event = Some(event);
                false
            }
            Err(error) => {
                self.distrust(error.to_string());
                true
            }
        }
    }
}

impl Control<Contained> for Endpoint {
    fn on_wake(&mut self, registry: &Registry) -> ControlFlow<()> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Attach { attachment, end } => {
                    self.detach(registry);
                    self.attach(registry, attachment, *end);
                }
                Order::Detach => self.detach(registry),
                Order::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn on_ready(&mut self) {
        if let Some(end) = &self.end {
            end.doorbell.clear();
        }
    }

    fn next_command(&mut self) -> Option<Input> {
        if let Some(input) = self.own_inputs.pop_front() {
            return Some(input);
        }
        // If the controller does not read its answers, its commands are not read either.
        if self.pending_event.is_some() {
            self.has_deferred_commands = true;
            return None;
        }
        self.has_deferred_commands = false;
        let end = self.end.as_mut()?;
        match end.commands.pop(&mut self.incoming) {
            Ok(popped) => popped.map(|_| decode(&self.incoming)),
            Err(corrupt) => {
                self.distrust(corrupt.to_string());
                self.own_inputs.pop_front()
            }
        }
    }

    fn can_take_event(&mut self) -> bool {
        // In this order: the push may find that the ring is corrupt.
        self.flush_pending() && self.end.is_some()
    }

    fn push_event(&mut self, event: Event) {
        self.pending_event = Some(event);
        self.flush_pending();
    }

    /// Not while inputs wait: the loss of the controller, if a push found the ring corrupt; and commands that
    /// were not read before the event was pushed, because their doorbell has been cleared.
    fn may_sleep(&mut self) -> bool {
        let can_read_commands = self.has_deferred_commands && self.pending_event.is_none();
        self.own_inputs.is_empty() && !can_read_commands
    }

    /// The controller does not ring when it makes room; and the last counts before a worker became idle must
    /// be published too.
    fn retry_after(&self) -> Option<Duration> {
        match (&self.end, &self.pending_event) {
            (Some(_), Some(_)) => Some(PENDING_RETRY),
            (Some(_), None) if self.has_unpublished_stats => Some(STATS_INTERVAL),
            _ => None,
        }
    }

    fn end_turn(&mut self, machine: &mut Contained, report: &Report) {
        let Some(end) = &mut self.end else { return };
        if std::mem::take(&mut self.has_pushed) && end.events.wants_doorbell() {
            end.peer_doorbell.ring();
        }
        self.has_unpublished_stats = report.now < self.stats_due;
        if !self.has_unpublished_stats {
            self.stats_due = report.now + STATS_INTERVAL;
            let mut page = [0; STATISTICS_LEN];
            write_statistics(machine.shard().counters(), report, &mut page);
            end.stats.write(&page);
        }
    }
}

/// Length of the loop's statistics, which follow the shard's counters, and of each later part's offset.
const LOOP_STATISTICS_LEN: usize = 4;
const SOCKET_STATISTICS_LEN: usize = 6;
const CONNECTION_STATISTICS_LEN: usize = 13;
const MAILBOX_STATISTICS_LEN: usize = 4;
const STATISTICS_LEN: usize = Counters::LEN
    + LOOP_STATISTICS_LEN
    + SOCKET_STATISTICS_LEN
    + CONNECTION_STATISTICS_LEN
    + MAILBOX_STATISTICS_LEN;

/// The statistics page. It begins with the shard's counters, then the loop's: turns, ns busy, ns of the
/// longest turn, and ns since the engine's epoch. Then losses of the worker's sockets since the start:
///
/// | receiving | | sending | |
/// |---|---|---|---|
/// | 0 | datagrams dropped by the kernel: receive buffer full | 3 | datagrams dropped: send buffer full |
/// | 1 | messages dropped: too long, or no usable source | 4 | datagrams dropped: batch full |
/// | 2 | failed receive calls | 5 | datagrams that could not be sent to their destination |
///
/// Then the worker's TCP connections and the frames on them:
///
/// | connections | | frames | |
/// |---|---|---|---|
/// | 0 | open | 7 | received |
/// | 1 | accepted | 8 | bytes received, lengths included |
/// | 2 | refused: no room | 9 | sent |
/// | 3 | closed: not authenticated in time | 10 | dropped: the connection's queue was full |
/// | 4 | closed: frame length above the limit | 11 | dropped: waited too long |
/// | 5 | closed: no longer used | 12 | dropped: connection closed |
/// | 6 | closed by the peer | | |
///
/// Last, the mailboxes to other workers: envelopes sent, envelopes lost because the mailbox was
/// full, envelopes received, and wakes of other workers.
fn write_statistics(counters: &Counters, report: &Report, page: &mut [u64; STATISTICS_LEN]) {
    let (of_shard, others) = page.split_at_mut(Counters::LEN);
    let (of_loop, others) = others.split_at_mut(LOOP_STATISTICS_LEN);
    let (of_sockets, others) = others.split_at_mut(SOCKET_STATISTICS_LEN);
    let (of_connections, of_mailboxes) = others.split_at_mut(CONNECTION_STATISTICS_LEN);
    of_shard.copy_from_slice(counters.as_slots());
    of_loop.copy_from_slice(&[
        report.turns.turns,
        report.turns.busy.as_nanos() as u64,
        report.turns.turn_max.as_nanos() as u64,
        report.now.as_nanos(),
    ]);
    let (received, sent) = (&report.received, &report.sent);
    of_sockets.copy_from_slice(&[
        received.dropped_by_kernel,
        received.dropped_truncated + received.dropped_source,
        received.errors,
        sent.dropped_wouldblock,
        sent.dropped_full,
        sent.errors,
    ]);
    let connections = &report.connections;
    of_connections.copy_from_slice(&[
        connections.open,
        connections.accepted,
        connections.refused,
        connections.closed_unproven,
        connections.closed_malformed,
        connections.closed_idle,
        connections.closed_by_peer,
        connections.frames_in,
        connections.bytes_in,
        connections.queued.sent,
        connections.queued.dropped_full,
        connections.queued.dropped_late,
        connections.dropped_closed,
    ]);
    let mailboxes = &report.mailboxes;
    of_mailboxes.copy_from_slice(&[mailboxes.sent, mailboxes.dropped, mailboxes.received, mailboxes.wakes]);
}

fn decode(record: &[u8]) -> Input {
    match Request::decode(record) {
        Ok(request) => Input::Request(request),
        Err((request, error)) => Input::BadRecord { request, error },
    }
}

const _: () = assert!(control::limits::RECORD_LEN_MAX <= shm::limits::RECORD_BYTES_MAX);
const _: () = assert!(STATISTICS_LEN <= shm::limits::STATS_SLOTS);

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::framing::QueueCounts;
    use runtime::{ConnectionStats, LoopStats, MailboxStats, ReceiveStats, SendStats};

    #[test]
    fn the_statistics_page_ends_with_what_sockets_connections_and_mailboxes_lost() {
        let received = ReceiveStats {
            dropped_by_kernel: 1,
            dropped_truncated: 20,
            dropped_source: 2,
            errors: 3,
            ..ReceiveStats::default()
        };
        let sent = SendStats { dropped_wouldblock: 4, dropped_full: 5, errors: 6, ..SendStats::default() };
        let turns = LoopStats { turns: 7, ..LoopStats::default() };
        let connections = ConnectionStats {
            open: 10,
            accepted: 11,
            refused: 12,
            closed_unproven: 13,
            closed_malformed: 14,
            closed_idle: 15,
            closed_by_peer: 16,
            // The driver counts these for a shard.
            closed_by_machine: 0,
            frames_in: 17,
            bytes_in: 18,
            queued: QueueCounts { sent: 19, dropped_full: 20, dropped_late: 21 },
            dropped_closed: 22,
        };
        let mailboxes = MailboxStats { sent: 23, dropped: 24, received: 25, wakes: 26 };
        let report = Report { now: Instant::from_nanos(8), turns, received, sent, mailboxes, connections };
        let mut page = [0xa5; STATISTICS_LEN];
        write_statistics(&Counters::default(), &report, &mut page);
        assert_eq!(page[..Counters::LEN], [0; Counters::LEN]);
        assert_eq!(page[Counters::LEN..][..10], [7, 0, 0, 8, 1, 22, 3, 4, 5, 6]);
        assert_eq!(page[Counters::LEN + 10..], std::array::from_fn::<u64, 17, _>(|index| 10 + index as u64));
    }

    /// An endpoint with an attached controller, and the controller's end of the ring.
    struct Attached {
        endpoint: Endpoint,
        controller: shm::Attachment,
        _orders: Sender<Order>,
        _poll: mio::Poll,
        listener: shm::Listener,
        path: std::path::PathBuf,
    }

    impl Attached {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("leat-endpoint-{name}-{}.sock", std::process::id()));
            let mut listener = shm::Listener::bind(&path, 1, control::PROTOCOL_VERSION).expect("a socket");
            let at = path.clone();
            let controller = std::thread::spawn(move || {
                shm::attach(at, control::PROTOCOL_VERSION, Duration::from_secs(10)).expect("let in")
            });
            let mut ends = loop {
                match listener.poll() {
                    Some(shm::ListenerEvent::Attached(ends)) => break ends,
                    _ => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            let poll = mio::Poll::new().expect("a poll");
            let waker = Arc::new(Waker::new(poll.registry(), mio::Token(9)).expect("a waker"));
            let (orders, orders_out) = crossbeam_channel::bounded(4);
            let (notices, _) = crossbeam_channel::bounded(4);
            let mut endpoint = Endpoint::new(0, orders_out, notices, waker);
            orders.send(Order::Attach { attachment: 1, end: Box::new(ends.remove(0)) }).expect("room");
            assert!(endpoint.on_wake(poll.registry()).is_continue());
            let controller = controller.join().expect("attached");
            Self { endpoint, controller, _orders: orders, _poll: poll, listener, path }
        }

        /// The controller sends a command, rings, and the worker handles its doorbell.
        fn command(&mut self, request: u64) {
            let mut record = Vec::new();
            Request { id: control::RequestId(request), command: control::Command::Snapshot }
                .encode(&mut record);
            let end = &mut self.controller.workers[0];
            end.commands.push(&record).expect("room");
            end.peer_doorbell.ring();
            self.endpoint.on_ready();
        }
    }

    impl Drop for Attached {
        fn drop(&mut self) {
            let _ = &self.listener;
            for left in [self.path.clone(), self.path.with_extension("sock.lock")] {
                let _ = std::fs::remove_file(left);
            }
        }
    }

    #[test]
    fn worker_does_not_sleep_on_commands_deferred_by_a_full_event_ring() {
        let mut attached = Attached::new("deferred");
        let mut pushed = 0;
        while attached.endpoint.can_take_event() {
            attached.endpoint.push_event(Event::Done { request: control::RequestId(pushed) });
            pushed += 1;
        }
        attached.command(77);
        assert!(attached.endpoint.next_command().is_none(), "the pending event goes first");
        assert!(attached.endpoint.may_sleep(), "nothing to do until the controller reads");
        assert_eq!(attached.endpoint.retry_after(), Some(PENDING_RETRY));

        let mut record = Vec::new();
        while attached.controller.workers[0].events.pop(&mut record).expect("sound").is_some() {}
        // The worker's next turn: commands, then events.
        assert!(attached.endpoint.next_command().is_none());
        assert!(attached.endpoint.can_take_event(), "there is room again");
        assert!(!attached.endpoint.may_sleep(), "a command is unread, and its doorbell has been cleared");
        let command = attached.endpoint.next_command();
        assert!(matches!(command, Some(Input::Request(Request { id: control::RequestId(77), .. }))));
        assert!(attached.endpoint.next_command().is_none());
        assert!(attached.endpoint.may_sleep(), "nothing to do");
    }
}
