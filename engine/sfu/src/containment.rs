//! A shard whose panics only close the objects they may have damaged.
//!
//! A panic is a bug of the engine. [`Contained`] catches it at the driver's call, closes the transports (or
//! the router) that were being handled, checks that the rest of the shard is consistent, and continues. If
//! the rest is inconsistent, or if panics repeat, the whole shard is replaced by an empty one: its routers
//! are reported as closed, and their peers join again. Other workers are not affected.
//!
//! Nothing half-written is sent: the slot of the send batch that was claimed last is cancelled. Encrypted
//! packets are never encrypted again with other bytes, because the keys are dropped with the transport.

use crate::limits;
use crate::shard::{Input, NoTx, Shard};
use control::{Event, Request, Stage, TransportId};
use machine::{
    Datagram, Flow, Instant, LocalId, Machine, Path, PathClaim, SocketError, SocketRequest, Tx, WorkerId,
};
use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

// With `panic = "abort"` a panic cannot be caught.
const _: () = assert!(cfg!(panic = "unwind"));

/// A panic that was contained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was being handled.
    pub stage: Stage,
    /// The panic's message.
    pub message: String,
    /// The transports that were closed, except those of a router or of the whole shard.
    pub closed: Vec<TransportId>,
    /// Why the shard was replaced, if it was.
    pub replaced: Option<Replaced>,
    /// Faults since the last report, which were only counted.
    pub unreported: u64,
}

/// Why a shard was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// There were [`limits::PANICS_MAX`] panics within [`limits::PANIC_WINDOW`].
    Repeated,
    /// The rest of the shard is inconsistent; the text says how.
    Inconsistent(String),
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated => write!(f, "panics are repeated"),
            Self::Inconsistent(what) => write!(f, "its state is inconsistent: {what}"),
        }
    }
}

/// A [`Shard`] for a driver.
pub struct Contained {
    shard: Shard,
    report: Box<dyn FnMut(Fault) + Send>,
    now: Instant,
    /// Times of the latest panics that may have damaged something, at most [`limits::PANICS_MAX`].
    recent: VecDeque<Instant>,
    /// Start of the window of [`limits::FAULTS_REPORTED_MAX`], and the number of reports in it.
    reported: (Instant, u32),
    unreported: u64,
    /// A read-only call of the shard has panicked.
    has_failed_read: Cell<bool>,
}

impl fmt::Debug for Contained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contained").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl Contained {
    /// Wraps `shard`. `report` is called for each fault, up to a limit.
    pub fn new(shard: Shard, report: impl FnMut(Fault) + Send + 'static) -> Self {
        Self {
            shard,
            report: Box::new(report),
            now: Instant::EPOCH,
            recent: VecDeque::with_capacity(limits::PANICS_MAX),
            reported: (Instant::EPOCH, 0),
            unreported: 0,
            has_failed_read: Cell::new(false),
        }
    }

    /// The shard.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Calls the shard. `None` after a panic; the damaged objects are closed then.
    fn call<T, X: Tx>(
        &mut self,
        now: Instant,
        stage: Stage,
        tx: &mut X,
        call: impl FnOnce(&mut Shard, &mut Guarded<'_, X>) -> T,
    ) -> Option<T> {
        self.now = now;
        self.shard.begin(stage);
        let mut guarded = Guarded { tx, has_claimed: false };
        let shard = &mut self.shard;
        match catch_unwind(AssertUnwindSafe(|| call(shard, &mut guarded))) {
            Ok(done) => Some(done),
            Err(payload) => {
                guarded.cancel_last();
                self.on_panic(&*payload);
                None
            }
        }
    }

    /// Calls a read-only function of the shard.
    fn read<T: Default>(&self, read: impl FnOnce(&Shard) -> T) -> T {
        let answer = catch_unwind(AssertUnwindSafe(|| read(&self.shard)));
        answer.unwrap_or_else(|_| {
            self.has_failed_read.set(true);
            T::default()
        })
    }

    #[cold]
    fn on_panic(&mut self, payload: &(dyn Any + Send)) {
        let shard = &mut self.shard;
        let stage = shard.on_panic();
        let now = self.now;
        let mut fault =
            Fault { stage, message: message(payload), closed: Vec::new(), replaced: None, unreported: 0 };
        // Before a datagram's transport is known, nothing has changed: an unauthenticated datagram must not
        // cause a check or a replacement of the shard.
        if stage != Stage::Datagram {
            let closed = catch_unwind(AssertUnwindSafe(|| shard.close_after_panic(now)));
            let checked = closed.and_then(|closed| {
                fault.closed = closed;
                catch_unwind(AssertUnwindSafe(|| shard.check_consistency()))
            });
            let checked = checked.unwrap_or_else(|payload| Err(message(&*payload)));
            fault.replaced = match checked {
                Err(what) => Some(Replaced::Inconsistent(what)),
                Ok(()) => self.is_repeated().then_some(Replaced::Repeated),
            };
            if fault.replaced.is_some() {
                self.shard.renew();
                self.recent.clear();
            }
        }
        self.report(fault);
    }

    /// Counts a panic. True if there were too many recently.
    fn is_repeated(&mut self) -> bool {
        let now = self.now;
        self.recent.retain(|at| now.saturating_since(*at) < limits::PANIC_WINDOW);
        self.recent.push_back(now);
        self.recent.len() >= limits::PANICS_MAX
    }

    fn report(&mut self, mut fault: Fault) {
        let (since, count) = self.reported;
        let is_over = self.now.saturating_since(since) >= limits::PANIC_WINDOW;
        let (since, count) = if is_over { (self.now, 0) } else { (since, count) };
        if count >= limits::FAULTS_REPORTED_MAX && fault.replaced.is_none() {
            self.unreported += 1;
            return;
        }
        self.reported = (since, count + 1);
        fault.unreported = std::mem::take(&mut self.unreported);
        (self.report)(fault);
    }

    /// After a panic in a read-only call: the damage is unknown.
    fn check_failed_read(&mut self) {
        if self.has_failed_read.take() {
            self.shard.begin(Stage::Timer);
            self.on_panic(&"a read-only call of the shard panicked");
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").to_owned()
}

impl Machine for Contained {
    type Command = Input;
    type Event = Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        self.call(now, Stage::Datagram, tx, |shard, tx| shard.on_datagram(now, datagram, tx));
    }

    fn on_hand_off(&mut self, now: Instant, from: WorkerId, bytes: &[u8], tx: &mut impl Tx) {
        self.call(now, Stage::HandOff, tx, |shard, tx| shard.on_hand_off(now, from, bytes, tx));
    }

    fn on_hand_off_buffer(
        &mut self,
        now: Instant,
        from: WorkerId,
        head: &[u8],
        body: Box<[u8]>,
        tx: &mut impl Tx,
    ) {
        self.call(now, Stage::HandOff, tx, |shard, tx| shard.on_hand_off_buffer(now, from, head, body, tx));
    }

    fn on_path_closed(&mut self, now: Instant, path: Path, tx: &mut impl Tx) {
        self.call(now, Stage::PathClosed, tx, |shard, tx| shard.on_path_closed(now, path, tx));
    }

    fn gathering_until(&self) -> Option<Instant> {
        self.read(Shard::gathering_until)
    }

    fn on_batch_end(&mut self, now: Instant, tx: &mut impl Tx) {
        self.call(now, Stage::BatchEnd, tx, |shard, tx| shard.on_batch_end(now, tx));
    }

    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        self.now = now;
        self.check_failed_read();
        self.call(now, Stage::Timer, tx, |shard, tx| shard.on_timeout(now, tx));
    }

    fn on_command(&mut self, now: Instant, input: Input, tx: &mut impl Tx) {
        let request = match &input {
            Input::Request(Request { id, .. }) => Some(*id),
            Input::BadRecord { .. } | Input::ControllerLost => None,
        };
        let done = self.call(now, Stage::Command, tx, |shard, tx| shard.on_command(now, input, tx));
        if let (None, Some(request)) = (done, request) {
            self.shard.answer_after_panic(request);
        }
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.shard.poll_socket_request()
    }

    fn poll_path_claim(&mut self) -> Option<PathClaim> {
        self.shard.poll_path_claim()
    }

    fn on_socket_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        self.call(now, Stage::SocketOpened, tx, |shard, tx| shard.on_socket_opened(now, local, opened, tx));
    }

    fn poll_event(&mut self) -> Option<Event> {
        let now = self.now;
        self.call(now, Stage::Event, &mut NoTx, |shard, _| shard.poll_event()).flatten()
    }

    fn next_timeout(&self) -> Option<Instant> {
        let next = self.read(Shard::next_timeout);
        if self.has_failed_read.get() { Some(Instant::EPOCH) } else { next }
    }
}

/// A send batch that records whether its last slot was claimed by the present call.
struct Guarded<'a, T> {
    tx: &'a mut T,
    has_claimed: bool,
}

impl<T: Tx> Guarded<'_, T> {
    /// Cancels the slot claimed last, which may be half written; earlier ones are complete.
    fn cancel_last(&mut self) {
        if self.has_claimed {
            self.tx.cancel();
        }
    }
}

impl<T: Tx> Tx for Guarded<'_, T> {
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        let slot = self.tx.slot(flow, path, len)?;
        self.has_claimed = true;
        Some(slot)
    }

    fn cancel(&mut self) {
        self.tx.cancel();
        self.has_claimed = false;
    }

    fn prefetch<S: ?Sized>(&self, soon: &S) {
        self.tx.prefetch(soon);
    }

    fn end_of_flow(&mut self) {
        self.tx.end_of_flow();
    }

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        self.tx.forward(flow, path, head, body)
    }

    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.tx.hand_off(worker, head, body)
    }

    fn hand_off_buffer(&mut self, worker: WorkerId, head: &[u8], body: Box<[u8]>) -> bool {
        self.tx.hand_off_buffer(worker, head, body)
    }
}

#[cfg(test)]
mod tests;
