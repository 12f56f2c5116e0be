//! A worker's end of the ring, glued to the worker loop: records in and out, statistics, attach and detach.

use control::{Counters, Event, Request};
use crossbeam_channel::{Receiver, Sender};
use machine::Instant;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Waker};
use runtime::{CONTROL_TOKEN, Control, Report};
use sfu::{Input, Shard};
use shm::{PushError, WorkerEnd};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// Between two copies of the counters to the statistics page: a lost one costs a second of staleness, never a wrong sum.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// What the main thread tells a worker.
#[derive(Debug)]
pub enum Order {
    /// A controller attached; this is the worker's end of its rings.
    Attach(Box<WorkerEnd>),
    /// The controller is gone.
    Detach,
    /// End.
    Stop,
}

/// What a worker tells the main thread.
#[derive(Debug)]
pub enum Notice {
    /// The ring holds what no honest controller writes: it must be detached. The text says what.
    Corrupt {
        /// Which worker.
        worker: usize,
        /// What was found.
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
    /// Inputs that come from this side of the ring: the controller's loss.
    own: VecDeque<Input>,
    /// The record being read, and the one being written.
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// An event that the ring had no room for.
    held: Option<Event>,
    has_pushed: bool,
    stats_due: Instant,
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
            own: VecDeque::new(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            held: None,
            has_pushed: false,
            stats_due: Instant::EPOCH,
        }
    }

    fn attach(&mut self, registry: &Registry, end: WorkerEnd) {
        let fd = end.doorbell.as_raw_fd();
        match registry.register(&mut SourceFd(&fd), CONTROL_TOKEN, Interest::READABLE) {
            Ok(()) => self.end = Some(end),
            Err(error) => self.notify_corrupt(format!("its doorbell cannot be waited for: {error}")),
        }
    }

    fn detach(&mut self, registry: &Registry) {
        let Some(end) = self.end.take() else { return };
        // Closing the descriptor would do as well; a failure leaves nothing to be done.
        let _ = registry.deregister(&mut SourceFd(&end.doorbell.as_raw_fd()));
        self.held = None;
        self.own.push_back(Input::ControllerLost);
    }

    fn notify_corrupt(&mut self, why: String) {
        // Lost only if as many are waiting already; one is enough to have the controller detached.
        let _ = self.notices.try_send(Notice::Corrupt { worker: self.worker, why });
        let _ = self.main.wake();
    }

    /// Pushes the held event. True if the ring is free for the next.
    fn flush_held(&mut self) -> bool {
        let Some(event) = self.held.take() else { return true };
        let Some(end) = &mut self.end else { return true };
        event.encode(&mut self.outgoing);
        match end.events.push(&self.outgoing) {
            Ok(()) => {
                self.has_pushed = true;
                true
            }
            Err(PushError::Full) => {
                self.held = Some(event);
                false
            }
            Err(error) => {
                self.notify_corrupt(error.to_string());
                true
            }
        }
    }
}

impl Control<Shard> for Endpoint {
    fn on_wake(&mut self, registry: &Registry) -> ControlFlow<()> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Attach(end) => {
                    self.detach(registry);
                    self.attach(registry, *end);
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
        if let Some(own) = self.own.pop_front() {
            return Some(own);
        }
        // A controller that does not read its answers is not given more of them.
        if self.held.is_some() {
            return None;
        }
        let end = self.end.as_mut()?;
        match end.commands.pop(&mut self.incoming) {
            Ok(popped) => popped.map(|_| decode(&self.incoming)),
            Err(corrupt) => {
                let why = corrupt.to_string();
                self.notify_corrupt(why);
                self.end = None;
                Some(Input::ControllerLost)
            }
        }
    }

    fn can_take_event(&mut self) -> bool {
        self.end.is_some() && self.flush_held()
    }

    fn push_event(&mut self, event: Event) {
        self.held = Some(event);
        self.flush_held();
    }

    fn end_turn(&mut self, shard: &mut Shard, report: &Report) {
        let Some(end) = &mut self.end else { return };
        if std::mem::take(&mut self.has_pushed) && end.events.wants_doorbell() {
            end.peer_doorbell.ring();
        }
        if report.now >= self.stats_due {
            self.stats_due = report.now + STATS_INTERVAL;
            end.stats.write(&statistics(shard.counters(), report));
        }
    }
}

/// The statistics page: the shard's counters, then the loop's.
fn statistics(counters: &Counters, report: &Report) -> Vec<u64> {
    let of_loop = [
        report.turns.turns,
        report.turns.busy.as_nanos() as u64,
        report.turns.turn_max.as_nanos() as u64,
        report.now.as_nanos(),
    ];
    counters.as_slots().iter().copied().chain(of_loop).collect()
}

fn decode(record: &[u8]) -> Input {
    match Request::decode(record) {
        Ok(request) => Input::Request(request),
        Err((request, error)) => Input::BadRecord { request, error },
    }
}

const _: () = assert!(control::limits::RECORD_LEN_MAX <= shm::limits::RECORD_BYTES_MAX);
