//! A worker's end of the ring, connected to the worker loop: records in and out, statistics, attach and
//! detach.

use crate::collector::Board;
use control::page;
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
    /// For the metrics, which do not need a controller.
    board: Board,
    /// The statistics page, kept for its capacity.
    statistics: Vec<u64>,
}

impl Endpoint {
    /// A worker without a controller. `main` wakes the main thread to read `notices`.
    pub fn new(
        worker: usize,
        orders: Receiver<Order>,
        notices: Sender<Notice>,
        main: Arc<Waker>,
        board: Board,
    ) -> Self {
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
            // An idle worker publishes its first counts too.
            has_unpublished_stats: true,
            board,
            statistics: Vec::with_capacity(page::capacity()),
        }
    }

    fn attach(&mut self, registry: &Registry, attachment: u64, end: WorkerEnd) {
        self.attachment = attachment;
        // The new page gets its first counts at once.
        self.stats_due = Instant::EPOCH;
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
            Ok(popped) => popped.map(|_| decode(&self.incoming, end.controller_version)),
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
            _ if self.has_unpublished_stats => Some(STATS_INTERVAL),
            _ => None,
        }
    }

    fn end_turn(&mut self, machine: &mut Contained, report: &Report) {
        if let Some(end) = self.end.as_ref().filter(|_| std::mem::take(&mut self.has_pushed))
            && end.events.wants_doorbell()
        {
            end.peer_doorbell.ring();
        }
        self.has_unpublished_stats = report.now < self.stats_due;
        if !self.has_unpublished_stats {
            self.stats_due = report.now + STATS_INTERVAL;
            let counters = machine.shard().counters();
            self.board.publish(counters, report);
            if let Some(end) = &mut self.end {
                write_statistics(counters, report, &mut self.statistics);
                end.stats.write(&self.statistics);
            }
        }
    }
}

/// Lengths of the sections behind those of the shard.
const LOOP_STATISTICS_LEN: usize = 4;
const SOCKET_STATISTICS_LEN: usize = 6;
const CONNECTION_STATISTICS_LEN: usize = 13;
const MAILBOX_STATISTICS_LEN: usize = 4;
const STATISTICS_WORDS: usize = page::words(
    Counters::LEN
        + LOOP_STATISTICS_LEN
        + SOCKET_STATISTICS_LEN
        + CONNECTION_STATISTICS_LEN
        + MAILBOX_STATISTICS_LEN,
);

/// Writes the statistics [page]. The sections of the shard and of the loop are described there. The section
/// of the sockets contains losses since the start:
///
/// | receiving | | sending | |
/// |---|---|---|---|
/// | 0 | datagrams dropped by the kernel: receive buffer full | 3 | datagrams dropped: send buffer full |
/// | 1 | messages dropped: too long, or no usable source | 4 | datagrams dropped: batch full |
/// | 2 | failed receive calls | 5 | datagrams that could not be sent to their destination |
///
/// The section of the worker's TCP connections, and of the frames on them:
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
/// The section of the mailboxes to other workers: envelopes sent, envelopes lost because the mailbox was
/// full, envelopes received, and wakes of other workers.
fn write_statistics(counters: &Counters, report: &Report, page: &mut Vec<u64>) {
    let of_loop: [u64; LOOP_STATISTICS_LEN] = [
        report.turns.turns,
        report.turns.busy.as_nanos() as u64,
        report.turns.turn_max.as_nanos() as u64,
        report.now.as_nanos(),
    ];
    let (received, sent) = (&report.received, &report.sent);
    let of_sockets: [u64; SOCKET_STATISTICS_LEN] = [
        received.dropped_by_kernel,
        received.dropped_truncated + received.dropped_source,
        received.errors,
        sent.dropped_wouldblock,
        sent.dropped_full,
        sent.errors,
    ];
    let connections = &report.connections;
    let of_connections: [u64; CONNECTION_STATISTICS_LEN] = [
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
    ];
    let mailboxes = &report.mailboxes;
    let of_mailboxes: [u64; MAILBOX_STATISTICS_LEN] =
        [mailboxes.sent, mailboxes.dropped, mailboxes.received, mailboxes.wakes];
    let (counters, discards) = counters.sections();
    page::write([counters, discards, &of_loop, &of_sockets, &of_connections, &of_mailboxes], page);
}

fn decode(record: &[u8], controller_version: u32) -> Input {
    match Request::decode_from(record, controller_version) {
        Ok(request) => Input::Request(request),
        Err((request, error)) => Input::BadRecord { request, error },
    }
}

const _: () = assert!(control::limits::RECORD_LEN_MAX <= shm::limits::RECORD_BYTES_MAX);
const _: () =
    assert!(STATISTICS_WORDS <= page::CAPACITY && 2 * page::CAPACITY <= shm::limits::STATS_SLOTS_MAX);

#[cfg(test)]
mod tests;
