//! Log entries about something that fails again and again: the first, one a minute, and the end.

use crate::limits::LOG_INTERVAL;
use std::fmt::Display;
use tokio::time::Instant;

/// What failed, and when the log had it last.
#[derive(Debug)]
pub(crate) struct Outage {
    what: String,
    logged_at: Option<Instant>,
    failures: u64,
}

impl Outage {
    pub(crate) fn new(what: String) -> Self {
        Self { what, logged_at: None, failures: 0 }
    }

    pub(crate) fn fail(&mut self, error: &dyn Display) {
        self.failures += 1;
        if self.logged_at.is_none_or(|logged_at| logged_at.elapsed() >= LOG_INTERVAL) {
            self.logged_at = Some(Instant::now());
            tracing::warn!(failures = self.failures, "webhooks: {}: {error}; trying again", self.what);
        }
    }

    pub(crate) fn end(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "webhooks: {}: works again", self.what);
        }
        (self.failures, self.logged_at) = (0, None);
    }
}
