//! The control of a worker. In the engine it is the shared-memory ring; in tests, channels.

use crate::latency::LatencyHistogram;
use crate::mailbox::MailboxStats;
use crate::steering::{Steering, SteeringStats};
use crate::tcp::connections::ConnectionStats;
use crate::udp::receive::ReceiveStats;
use crate::udp::send::SendStats;
use machine::{Instant, Machine};
use mio::Registry;
use std::ops::ControlFlow;
use std::time::Duration;

/// The source of commands and the destination of events. All methods are called on the worker's thread; none
/// may block.
pub trait Control<M: Machine> {
    /// Called before the first turn and after each use of the worker's waker: read the main thread's
    /// messages, and register (under [`CONTROL_TOKEN`](crate::CONTROL_TOKEN)) or deregister descriptors.
    /// [`Break`](ControlFlow::Break) ends the worker after this turn.
    fn on_wake(&mut self, registry: &Registry) -> ControlFlow<()>;

    /// A descriptor registered under [`CONTROL_TOKEN`](crate::CONTROL_TOKEN) became ready (edge-triggered):
    /// clear the doorbell.
    fn on_ready(&mut self) {}

    /// The next command, oldest first. Called every turn, also without readiness.
    fn next_command(&mut self) -> Option<M::Command>;

    /// Whether there is room for an event. If not, events stay in the machine, which bounds them.
    fn can_take_event(&mut self) -> bool {
        true
    }

    /// One event of the machine.
    fn push_event(&mut self, event: M::Event);

    /// The turn is over: ring doorbells once for all its events, and publish statistics when they are due.
    fn end_turn(&mut self, machine: &mut M, report: &Report) {
        let _ = (machine, report);
    }

    /// Called last before the worker waits in its poll: `false` if there is a command to take first.
    fn may_sleep(&mut self) -> bool {
        true
    }

    /// How long the worker may wait before it calls the control again, if events wait for room: no doorbell
    /// rings when the controller has made room. `None`: until something happens.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// Counters of the loop since the worker was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopStats {
    /// Turns.
    pub turns: u64,
    /// Time not spent waiting. Divided by the elapsed time it is the load.
    pub busy: Duration,
    /// Duration of the last turn.
    pub turn_last: Duration,
    /// Duration of the longest turn: the longest time that a packet may have waited.
    pub turn_max: Duration,
    /// Commands executed.
    pub commands: u64,
    /// Events pushed.
    pub events: u64,
    /// Calls of the machine's timer.
    pub timeouts: u64,
}

/// All counters of a worker at the end of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The end of the turn.
    pub now: Instant,
    /// The loop.
    pub turns: LoopStats,
    /// UDP, received.
    pub received: ReceiveStats,
    /// UDP, sent.
    pub sent: SendStats,
    /// Envelopes to and from other workers.
    pub mailboxes: MailboxStats,
    /// TCP, both directions.
    pub connections: ConnectionStats,
    /// How datagrams get to the worker, if the workers share a port.
    pub steering: Option<(Steering, SteeringStats)>,
    /// Time from the receipt of datagrams over UDP until what they caused was sent.
    pub forwarding: LatencyHistogram,
}
