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
use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, SocketError, SocketRequest, Tx, WorkerId};
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Config;
    use control::Counter;
    use machine::Rng;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// The lengths of the datagrams to send.
    struct Batch {
        sent: Vec<usize>,
        arena: [u8; 64],
    }

    impl Default for Batch {
        fn default() -> Self {
            Self { sent: Vec::new(), arena: [0; 64] }
        }
    }

    impl Tx for Batch {
        fn slot(&mut self, _: Flow, _: Path, len: usize) -> Option<&mut [u8]> {
            self.sent.push(len);
            self.arena.get_mut(..len)
        }

        fn cancel(&mut self) {
            self.sent.pop();
        }

        fn prefetch<T: ?Sized>(&self, _soon: &T) {}

        fn end_of_flow(&mut self) {}

        fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
            machine::forward_by_copy(self, flow, path, head, body)
        }

        fn hand_off(&mut self, _worker: WorkerId, _head: &[u8], _body: &[u8]) -> bool {
            false
        }
    }

    #[test]
    fn slot_half_written_by_a_panicking_call_is_not_sent_and_earlier_ones_are() {
        let path = Path { local: LocalId(0), remote: SocketAddr::from(([192, 0, 2, 1], 1)) };
        let mut batch = Batch::default();
        let mut earlier = Guarded { tx: &mut batch, has_claimed: false };
        earlier.slot(Flow(1), path, 1);
        for claimed in [&[][..], &[2], &[2, 3]] {
            batch.sent.truncate(1);
            let mut guarded = Guarded { tx: &mut batch, has_claimed: false };
            for len in claimed {
                guarded.slot(Flow(1), path, *len);
            }
            guarded.cancel_last();
            let whole = &claimed[..claimed.len().saturating_sub(1)];
            assert_eq!(batch.sent[..], [&[1], whole].concat(), "after {claimed:?}");
        }
        let mut guarded = Guarded { tx: &mut batch, has_claimed: false };
        guarded.slot(Flow(1), path, 2);
        guarded.cancel();
        guarded.cancel_last();
        assert_eq!(batch.sent, [1, 2], "a cancelled slot is not cancelled twice");
    }

    /// An empty shard whose faults are collected.
    fn contained() -> (Contained, Arc<Mutex<Vec<Fault>>>) {
        let config = Config {
            candidates: Vec::new(),
            plain_ips: Vec::new(),
            certificate: dtls::Certificate::generate(),
            dtls: dtls::Settings::new(dtls::Options::default()),
            grace_period: Duration::from_secs(60),
            consent_timeout: Some(crate::limits::ICE_CONSENT_TIMEOUT),
        };
        let faults = Arc::new(Mutex::new(Vec::new()));
        let report = faults.clone();
        let shard = Shard::new(config, Rng::from_number(1));
        (Contained::new(shard, move |fault| report.lock().expect("no panic here").push(fault)), faults)
    }

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(ms)
    }

    /// A call that changes the shard and then unwinds like a panic.
    fn panic_after(contained: &mut Contained, ms: u64, stage: Stage, change: impl FnOnce(&mut Shard)) {
        let done: Option<()> = contained.call(at(ms), stage, &mut NoTx, |shard, _| {
            change(shard);
            std::panic::resume_unwind(Box::new("a bug"))
        });
        assert_eq!(done, None);
    }

    #[test]
    fn panics_before_a_transport_is_known_are_counted_and_replace_nothing() {
        let (mut contained, faults) = contained();
        for _ in 0..100 {
            panic_after(&mut contained, 1_000, Stage::Datagram, |_| {});
        }
        assert_eq!(contained.shard().counters().value(Counter::Panics), 100);
        assert_eq!(contained.shard().counters().value(Counter::ShardsReplaced), 0);
        let reported = std::mem::take(&mut *faults.lock().expect("no panic here"));
        assert_eq!(reported.len(), limits::FAULTS_REPORTED_MAX as usize, "the others are counted");
        assert!(reported.iter().all(|fault| fault.message == "a bug" && fault.replaced.is_none()));
        panic_after(&mut contained, 60_000, Stage::Datagram, |_| {});
        let unreported = faults.lock().expect("no panic here")[0].unreported;
        assert_eq!(unreported, 100 - u64::from(limits::FAULTS_REPORTED_MAX));
    }

    #[test]
    fn panics_that_are_far_apart_replace_nothing_and_those_that_are_not_do() {
        let (mut contained, faults) = contained();
        let apart = limits::PANIC_WINDOW.as_millis() as u64 / (limits::PANICS_MAX as u64 - 1);
        for nth in 1..20 {
            panic_after(&mut contained, nth * apart, Stage::Timer, |_| {});
        }
        assert!(faults.lock().expect("no panic here").iter().all(|fault| fault.replaced.is_none()));
        for nth in 0..limits::PANICS_MAX as u64 {
            panic_after(&mut contained, 1_000_000 + nth, Stage::Timer, |_| {});
        }
        let last = faults.lock().expect("no panic here").last().cloned().expect("reported");
        assert_eq!(last.replaced, Some(Replaced::Repeated));
        assert_eq!(contained.shard().counters().value(Counter::ShardsReplaced), 1);
    }

    #[test]
    fn panic_that_leaves_tables_inconsistent_replaces_the_shard_at_once() {
        let (mut contained, faults) = contained();
        panic_after(&mut contained, 1, Stage::Command, |shard| {
            shard.parts().0.router_ids.insert(control::RouterId(7), crate::base::slots::Slot::from_bits(0));
        });
        let fault = faults.lock().expect("no panic here").pop().expect("reported");
        assert!(matches!(fault.replaced, Some(Replaced::Inconsistent(_))), "{fault:?}");
        assert_eq!(contained.shard().check_consistency(), Ok(()));
    }

    #[test]
    fn buffers_taken_by_a_stage_are_restored_after_a_panic() {
        let (mut contained, faults) = contained();
        panic_after(&mut contained, 1, Stage::BatchEnd, |shard| drop(std::mem::take(shard.parts().1)));
        let fault = faults.lock().expect("no panic here").pop().expect("reported");
        assert_eq!(fault.replaced, None);
        assert_eq!(contained.shard().check_consistency(), Ok(()));
    }

    #[test]
    fn read_that_panics_causes_a_timer_call_and_is_counted_once() {
        let (mut contained, faults) = contained();
        let answer: Option<Instant> = contained.read(|_| std::panic::resume_unwind(Box::new("a bug")));
        assert_eq!((answer, contained.next_timeout()), (None, Some(Instant::EPOCH)));
        contained.on_timeout(at(1), &mut NoTx);
        assert_eq!(contained.shard().counters().value(Counter::Panics), 1);
        assert_eq!(contained.next_timeout(), None);
        assert_eq!(faults.lock().expect("no panic here").len(), 1);
    }
}
