//! What a worker needs from whoever controls it. The engine's binary fills this with the shared-memory ring; tests with vectors.

use crate::mailbox::MailboxStats;
use crate::tcp::connections::ConnectionStats;
use crate::udp::receive::ReceiveStats;
use crate::udp::send::SendStats;
use machine::{Instant, Machine};
use mio::Registry;
use std::ops::ControlFlow;
use std::time::Duration;

/// Where commands come from and events go. All methods are called on the worker's thread; none may block.
pub trait Control<M: Machine> {
    /// Called before the first turn and whenever the worker's waker was woken: take the main thread's messages, and register (under
    /// [`CONTROL_TOKEN`](crate::CONTROL_TOKEN)) or deregister descriptors. [`Break`](ControlFlow::Break) ends the worker after this turn.
    fn on_wake(&mut self, registry: &Registry) -> ControlFlow<()>;

    /// A descriptor registered under [`CONTROL_TOKEN`](crate::CONTROL_TOKEN) became ready (edge-triggered): clear the doorbell.
    fn on_ready(&mut self) {}

    /// The next command, oldest first. Asked every turn, whether or not something was ready.
    fn next_command(&mut self) -> Option<M::Command>;

    /// Whether there is room for an event. While not, events stay with the machine, which has a bound of its own.
    fn can_take_event(&mut self) -> bool {
        true
    }

    /// One event of the machine.
    fn push_event(&mut self, event: M::Event);

    /// The turn is over: ring doorbells once for all events of it, publish statistics when they are due.
    fn end_turn(&mut self, machine: &mut M, report: &Report) {
        let _ = (machine, report);
    }

    /// Last question before the worker waits in its poll: `false` if there is a command to take first.
    fn may_sleep(&mut self) -> bool {
        true
    }

    /// The longest the worker may wait before it asks again, for a control that holds something back: nobody rings when the
    /// controller has made room for an event. `None`: until something happens.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// How the loop is doing, since the worker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopStats {
    /// Turns.
    pub turns: u64,
    /// Time not spent waiting: divided by the time passed, the load.
    pub busy: Duration,
    /// The last turn's share of that.
    pub turn_last: Duration,
    /// The longest turn: what a packet may have had to wait.
    pub turn_max: Duration,
    /// Commands taken.
    pub commands: u64,
    /// Events given.
    pub events: u64,
    /// Calls of the machine's timer.
    pub timeouts: u64,
}

/// All counters of a worker as of the end of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// When.
    pub now: Instant,
    /// The loop.
    pub turns: LoopStats,
    /// In.
    pub received: ReceiveStats,
    /// Out.
    pub sent: SendStats,
    /// To other workers, and from them.
    pub mailboxes: MailboxStats,
    /// TCP, both ways.
    pub connections: ConnectionStats,
}
