//! What the process counts by itself, for Prometheus. Everything else is read when the page is requested
//! ([`monitoring`](crate::server::monitoring)).
//!
//! Labels contain no user, room or address, because their number is not bounded.

use crate::proto::ErrorCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// Labels and their values.
type Labels = [(&'static str, &'static str); 2];

/// The requests of clients.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    requests: Family<Labels, Counter>,
    joins: Histogram,
}

/// Seconds of a join. It takes milliseconds, and a second while media is not ready.
const JOIN_BUCKETS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

impl Default for RequestMetrics {
    fn default() -> Self {
        let metrics = Self { requests: Family::default(), joins: Histogram::new(JOIN_BUCKETS) };
        // So that the first error is an increase too.
        drop(metrics.requests.get_or_create(&[("request", "NOT_READ"), ("code", "BAD_MESSAGE")]));
        metrics
    }
}

impl RequestMetrics {
    /// Counts a request. `request` is the name of its message, or a constant for one without.
    pub fn count(&self, request: &'static str, error: Option<ErrorCode>) {
        let code = error.map_or("OK", |code| code.as_str_name().trim_start_matches("ERROR_CODE_"));
        self.requests.get_or_create(&[("request", request), ("code", code)]).inc();
    }

    /// Counts a join that succeeded.
    pub fn count_join(&self, duration: Duration) {
        self.joins.observe(duration.as_secs_f64());
    }

    /// Adds the metrics to a page.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests of clients, by message and result", self.requests.clone());
        let help = "Time from JoinRoom to Joined, of joins that succeeded";
        registry.register_with_unit("join_duration", help, Unit::Seconds, self.joins.clone());
    }
}
