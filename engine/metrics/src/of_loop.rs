//! The metrics of the loops and sockets, which the workers of every process have.

use crate::family::Metric;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use runtime::{LatencyHistogram, Report};
use std::fmt;
use std::time::Duration;

/// A count in a report.
type Count = (Metric<'static>, fn(&Report) -> u64);

const COUNTS: &[Count] = &[
    (Metric::counter("turns", "Turns of the event loop."), |report| report.turns.turns),
    (Metric::counter("udp_receive_calls", "Calls of recvmmsg."), |report| report.received.syscalls),
    (Metric::counter("udp_received", "Datagrams received over UDP."), |report| report.received.datagrams),
    (
        Metric::counter(
            "udp_receive_dropped",
            "Datagrams that the kernel dropped because a socket's buffer was full.",
        ),
        |report| report.received.dropped_by_kernel,
    ),
    (
        Metric::counter("udp_receive_unusable", "Messages dropped: too long, or without a usable source."),
        |report| report.received.dropped_truncated + report.received.dropped_source,
    ),
    (Metric::counter("udp_receive_errors", "Failed calls of recvmmsg."), |report| report.received.errors),
    (Metric::counter("udp_send_calls", "Calls of sendmmsg."), |report| report.sent.syscalls),
    (Metric::counter("udp_sent", "Datagrams sent over UDP."), |report| report.sent.datagrams),
    (
        Metric::counter(
            "udp_send_runs",
            "Messages passed to sendmmsg: fewer than datagrams, because of GSO.",
        ),
        |report| report.sent.runs,
    ),
    (
        Metric::counter("udp_send_dropped", "Datagrams dropped because a socket's buffer was full."),
        |report| report.sent.dropped_wouldblock + report.sent.dropped_full,
    ),
    (
        Metric::counter("udp_send_errors", "Datagrams that could not be sent to their destination."),
        |report| report.sent.errors,
    ),
    (Metric::gauge("tcp_connections", "Open TCP connections."), |report| report.connections.open),
    (Metric::counter("tcp_accepted", "TCP connections accepted."), |report| report.connections.accepted),
    (
        Metric::counter("tcp_refused", "TCP connections closed at once, because the limit was reached."),
        |report| report.connections.refused,
    ),
    (Metric::counter("tcp_malformed", "TCP connections closed because of what they carried."), |report| {
        report.connections.closed_malformed
    }),
    (
        Metric::counter(
            "tcp_unproven",
            "TCP connections closed because they were not authenticated in time.",
        ),
        |report| report.connections.closed_unproven,
    ),
    (
        Metric::counter("tcp_frames_dropped", "Datagrams dropped because a peer over TCP was too slow."),
        |report| report.connections.queued.dropped_full + report.connections.queued.dropped_late,
    ),
    (Metric::counter("mailbox_sent", "Envelopes sent to other workers."), |report| report.mailboxes.sent),
    (
        Metric::counter(
            "mailbox_dropped",
            "Envelopes not sent because the mailbox of the other worker was full.",
        ),
        |report| report.mailboxes.dropped,
    ),
];

/// Writes the metrics of the loops, with one sample for each label set.
///
/// # Errors
///
/// Only if the writer fails, which a `String` does not.
pub fn of_loop<L: EncodeLabelSet + Clone>(
    encoder: &mut DescriptorEncoder<'_>,
    reports: &[(L, Vec<Report>)],
) -> fmt::Result {
    for (metric, count) in COUNTS {
        let sum = |reports: &Vec<Report>| reports.iter().map(count).sum::<u64>();
        metric.write_each(encoder, reports.iter().map(|(labels, reports)| (labels.clone(), sum(reports))))?;
    }
    let busy_time = |reports: &Vec<Report>| reports.iter().map(|report| report.turns.busy).sum::<Duration>();
    let busy = Metric::counter("busy", "Time not spent waiting for events.").in_unit(&Unit::Seconds);
    busy.write_each(
        encoder,
        reports.iter().map(|(labels, reports)| (labels.clone(), busy_time(reports).as_secs_f64())),
    )?;
    let help = "Time from the kernel's receipt of a datagram until what it caused was sent: of each batch over UDP \
                after which something was sent at once, the oldest datagram.";
    let seconds = Some(&Unit::Seconds);
    let mut encoder =
        encoder.encode_descriptor("forwarding_latency", help, seconds, MetricType::Histogram)?;
    for (labels, reports) in reports {
        let mut all = LatencyHistogram::default();
        reports.iter().for_each(|report| all.merge(&report.forwarding));
        let buckets: Vec<_> = all.buckets().collect();
        encoder.encode_family(labels)?.encode_histogram::<NoLabelSet>(
            all.sum().as_secs_f64(),
            all.count(),
            &buckets,
            None,
        )?;
    }
    Ok(())
}
