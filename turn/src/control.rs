//! A worker's connection to the main thread: requests in; events to the log and counters to the metrics.

use crate::limits::REPORT_INTERVAL;
use crossbeam_channel::Receiver;
use machine::Instant;
use mio::Registry;
use relay::{Command, Counters, DtlsRelay, Event};
use runtime::{Control, Report};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// A message of the main thread to a worker.
#[derive(Debug)]
pub enum Order {
    /// A command for the worker's relay.
    Command(Command),
    /// The worker must end.
    Stop,
}

/// The place where a worker publishes its counters.
pub type Board = Arc<metrics::Board<Counters>>;

/// One worker's control.
#[derive(Debug)]
pub struct Endpoint {
    orders: Receiver<Order>,
    board: Board,
    due: Instant,
    /// Whether counters have changed since the last report.
    has_unpublished_counts: bool,
    commands: VecDeque<Command>,
}

impl Endpoint {
    /// Reads `orders` and publishes reports on `board`.
    pub fn new(orders: Receiver<Order>, board: Board) -> Self {
        Self { orders, board, due: Instant::EPOCH, has_unpublished_counts: true, commands: VecDeque::new() }
    }
}

impl Control<DtlsRelay> for Endpoint {
    fn on_wake(&mut self, _registry: &Registry) -> ControlFlow<()> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Command(command) => self.commands.push_back(command),
                Order::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    fn push_event(&mut self, event: Event) {
        match event {
            Event::Created { user, client, relayed } => {
                tracing::info!(user, %client, %relayed, "allocation made");
            }
            Event::Ended { user, client, end, to_peers_bytes, to_client_bytes } => {
                tracing::info!(user, %client, end = end.name(), to_peers_bytes, to_client_bytes, "allocation ended");
            }
        }
    }

    /// The last counts before the worker became idle must be published too.
    fn retry_after(&self) -> Option<Duration> {
        self.has_unpublished_counts.then_some(REPORT_INTERVAL)
    }

    fn end_turn(&mut self, relay: &mut DtlsRelay, report: &Report) {
        self.has_unpublished_counts = report.now < self.due;
        if !self.has_unpublished_counts {
            self.due = report.now + REPORT_INTERVAL;
            self.board.publish(relay.counters(), report);
        }
    }
}
