//! The place where a worker publishes its counters, and the HTTP server reads them.

use runtime::Report;
use std::sync::{Mutex, PoisonError};

/// The last report of a worker: absolute values, so that a lost report never makes a sum wrong.
#[derive(Clone, Debug, Default)]
pub struct Status<C> {
    /// Of the worker's machine.
    pub counters: C,
    /// Of the worker's loop and sockets; `None` before the first one.
    pub report: Option<Report>,
}

/// The last report of one worker. Writer and reader hold the lock only while they copy it.
#[derive(Debug, Default)]
pub struct Board<C>(Mutex<Status<C>>);

impl<C: Clone> Board<C> {
    /// Replaces the report.
    pub fn publish(&self, counters: &C, report: &Report) {
        let mut status = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        status.counters.clone_from(counters);
        status.report = Some(*report);
    }

    /// The last report.
    pub fn read(&self) -> Status<C> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
