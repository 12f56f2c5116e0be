//! What the process counts by itself, for Prometheus. Everything else is read when the page is requested
//! ([`monitoring`](crate::server::monitoring)).
//!
//! Labels contain no user, room or address, because their number is not bounded.

use crate::proto::ErrorCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;
use webhooks::WebhookMonitor;

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

/// What clients measure of their calls, and report.
#[derive(Clone, Debug)]
pub struct QualityMetrics {
    joins: Histogram,
    first_frames: Histogram,
    freezes: Counter,
    reports: Counter,
    records_dropped: Counter,
}

/// Seconds until a client has joined, or shows the first picture.
const CALL_BUCKETS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 120.0];

impl Default for QualityMetrics {
    fn default() -> Self {
        Self {
            joins: Histogram::new(CALL_BUCKETS),
            first_frames: Histogram::new(CALL_BUCKETS),
            freezes: Counter::default(),
            reports: Counter::default(),
            records_dropped: Counter::default(),
        }
    }
}

impl QualityMetrics {
    /// Counts a report, with what is new in it: the time of the join and the time to the first picture, in
    /// milliseconds, and the number of further freezes.
    pub fn count(&self, join_ms: Option<u32>, first_frame_ms: Option<u32>, freezes: u32) {
        self.reports.inc();
        let seconds = |ms: u32| f64::from(ms) / 1_000.0;
        join_ms.into_iter().for_each(|ms| self.joins.observe(seconds(ms)));
        first_frame_ms.into_iter().for_each(|ms| self.first_frames.observe(seconds(ms)));
        self.freezes.inc_by(freezes.into());
    }

    /// Counts records that were not written to the database.
    pub fn count_dropped(&self, records: usize) {
        self.records_dropped.inc_by(records as u64);
    }

    /// Adds the metrics to a page.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Time from the beginning of a join in a client to its end, as clients report it";
        registry.register_with_unit("client_join_duration", help, Unit::Seconds, self.joins.clone());
        let help = "Time from the beginning of a join in a client to the first picture of another peer, as clients report it";
        registry.register_with_unit("first_frame_duration", help, Unit::Seconds, self.first_frames.clone());
        registry.register(
            "freezes",
            "Freezes of received video, as clients report them",
            self.freezes.clone(),
        );
        registry.register("quality_reports", "Reports of clients that were accepted", self.reports.clone());
        let help = "Records of sessions that were not written, because the database was away or refused them";
        registry.register("quality_records_dropped", help, self.records_dropped.clone());
    }
}

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

/// Webhooks on the page of metrics.
#[derive(Debug)]
pub struct WebhookMetrics(pub WebhookMonitor);

impl Collector for WebhookMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts();
        let mut family = |name: &str, help: &str, label: &'static str, values: &[(&'static str, u64)]| {
            let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            values.iter().try_for_each(|(value, count)| {
                ConstCounter::new(*count).encode(counter.encode_family(&[(label, *value)])?)
            })
        };
        let help = "Attempts to deliver an event to a target, by result";
        family("webhook_attempts", help, "result", &counts.attempts)?;
        let help = "Events that a target does not get, by reason";
        family("webhook_dropped", help, "reason", &counts.dropped)?;
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: f64| {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
        };
        let is_delivering = if counts.is_delivering { 1.0 } else { 0.0 };
        gauge("webhook_delivering", "1 in the process that delivers the queue", None, is_delivering)?;
        gauge("webhook_queued", "Events that wait, once for each target", None, counts.queued as f64)?;
        let help = "Age of the oldest event that waits";
        gauge("webhook_oldest_age", help, Some(&Unit::Seconds), counts.oldest_age_s)
    }
}
