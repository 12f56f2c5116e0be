//! Figures and plots of measurements of media.

use crate::cli::Load;
use crate::measure::{Moment, Report, ServerCost};
use crate::report::{Bars, Better, Curve, Figure, Plot, Scale, Stack, spread};
use std::collections::BTreeMap;

/// The load, in words.
pub fn about(load: &Load, rounds: u32) -> String {
    let shape = load.shape.name();
    let in_turn = if rounds > 1 { format!(" {rounds} rounds in turn.") } else { String::new() };
    format!(
        "{shape}: {} publishers, {} subscribers, {} rooms, {} at {} kbit/s, {} s.{in_turn} Loss, tags and payloads were checked in the same rounds.",
        load.publishers() * load.rooms as usize,
        load.subscribers(),
        load.rooms,
        load.codec.mime_type(),
        load.bitrate,
        load.duration
    )
}

/// All figures of a server.
pub fn of_rounds(server: &str, rounds: &[Report]) -> Vec<Figure> {
    let of = |name, unit, better, figure: fn(&Report) -> Option<f64>| {
        Figure::new(server, (name, unit, better), rounds.iter().filter_map(figure).collect())
    };
    fn cost(report: &Report, figure: fn(&ServerCost) -> f64) -> Option<f64> {
        report.server_cost.as_ref().map(figure)
    }
    use Better::{Less, More, Neither};
    let mut figures = vec![
        of("cpu_per_packet", "ns", Less, |report| cost(report, |cost| cost.cpu_ns_per_packet)),
        of("user_per_packet", "ns", Less, |report| cost(report, |cost| cost.user_ns_per_packet)),
        of("system_per_packet", "ns", Less, |report| cost(report, |cost| cost.system_ns_per_packet)),
        of("delivered", "packets/s", Neither, |report| Some(report.delivered_pps)),
        of("loss_ratio", "", Less, |report| Some(report.loss_ratio)),
        of("latency_p50", "µs", Less, |report| Some(report.latency_us.p50 as f64)),
        of("latency_p99", "µs", Less, |report| Some(report.latency_us.p99 as f64)),
        of("latency_p99.9", "µs", Less, |report| Some(report.latency_us.p999 as f64)),
        of("memory_per_peer", "KiB", Less, |report| cost(report, |cost| cost.rss_bytes_per_peer / 1024.0)),
        of("joins", "1/s", More, |report| Some(report.joins.per_s)),
        of("connect_p99", "ms", Less, |report| Some(report.joins.connect_ms[2])),
        of("wrong_packets", "packets", Less, |report| {
            Some((report.payload_errors + report.unauthentic) as f64)
        }),
        of("generator_cores", "cores", Neither, |report| Some(report.generator_cores)),
        of("data_delivered", "MB/s", More, |report| Some(report.data.as_ref()?.delivered_mbytes_per_s)),
        of("data_cpu_per_mbyte", "µs", Less, |report| Some(report.data.as_ref()?.cpu_us_per_mbyte())),
    ];
    figures.retain(|figure| !figure.rounds.is_empty());
    figures
}

/// What a reader of a round must know.
pub fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let server = &report.server;
    if report.generator_is_bottleneck {
        notes.push(format!("In a round with {server}, the generator was the limit, not the server."));
    }
    if report.interrupted {
        notes.push("The measurement was interrupted.".to_owned());
    }
    if !report.server_ended.is_empty() {
        notes.push(format!("Processes of {server} ended in it: {}.", report.server_ended.join(", ")));
    }
    notes.extend(report.failures.iter().map(|failure| format!("Failed: {failure}")));
    notes
}

/// The plots of some rounds, and of the loads with other numbers of subscribers.
pub fn plots(rounds: &[&Report], sweep: &[&Report]) -> Vec<Plot> {
    let mut plots = Vec::new();
    if rounds.iter().any(|report| report.server_cost.is_some()) {
        plots.push(Plot::Bars(costs(rounds)));
    }
    plots.push(Plot::Curve(latencies(rounds)));
    let course = |title, y, value: fn(&Moment) -> Option<f64>| {
        let lines = by_server(rounds).map(|(server, of_it)| {
            // The first round stands for all.
            let moments = of_it[0].series.iter();
            (server.to_owned(), moments.filter_map(|moment| Some((moment.at_s, value(moment)?))).collect())
        });
        Curve { title, x: ("time, s", Scale::Linear), y, lines: lines.collect() }
    };
    let courses = [
        course("Latency over time (99 % of all packets are faster)", ("µs", Scale::Log), |moment| {
            Some(moment.p99_us as f64)
        }),
        course("Loss over time", ("percent", Scale::Linear), |moment| Some(moment.loss_ratio * 100.0)),
        course("CPU of the server over time", ("cores", Scale::Linear), |moment| moment.server_cores),
    ];
    let has_points = |curve: &Curve| curve.lines.iter().any(|(_, points)| points.len() > 1);
    plots.extend(courses.into_iter().filter(has_points).map(Plot::Curve));
    if !sweep.is_empty() {
        let all = [rounds, sweep].concat();
        let cost = |report: &Report| Some(report.server_cost.as_ref()?.cpu_ns_per_packet);
        let loss = |report: &Report| Some(report.loss_ratio * 100.0);
        plots.push(Plot::Curve(against_subscribers("CPU of a delivered packet", "ns", &all, cost)));
        plots.push(Plot::Curve(against_subscribers("Loss by subscribers", "percent", &all, loss)));
    }
    plots
}

/// Each server with its rounds, in order.
fn by_server<'a>(reports: &[&'a Report]) -> impl Iterator<Item = (&'a str, Vec<&'a Report>)> {
    let mut servers: Vec<(&str, Vec<&Report>)> = Vec::new();
    for report in reports {
        match servers.iter_mut().find(|(server, _)| *server == report.server) {
            Some((_, of_it)) => of_it.push(report),
            None => servers.push((&report.server, vec![report])),
        }
    }
    servers.into_iter()
}

fn costs(rounds: &[&Report]) -> Bars {
    let stacks = by_server(rounds).map(|(server, of_it)| {
        let spread_of = |figure: fn(&ServerCost) -> f64| {
            let costs = of_it.iter().filter_map(|report| report.server_cost.as_ref());
            spread(&costs.map(figure).collect::<Vec<_>>())
        };
        let [least, _, most] = spread_of(|cost| cost.cpu_ns_per_packet);
        let parts =
            [spread_of(|cost| cost.user_ns_per_packet)[1], spread_of(|cost| cost.system_ns_per_packet)[1]];
        Stack { name: server.to_owned(), parts: parts.to_vec(), spread: (least, most) }
    });
    Bars {
        title: "CPU of a delivered packet",
        unit: "ns",
        parts: vec!["user", "system"],
        stacks: stacks.collect(),
    }
}

/// Latency at each percentile; of several rounds of a server, the median at each.
fn latencies(rounds: &[&Report]) -> Curve {
    let lines = by_server(rounds).map(|(server, of_it)| {
        let points = of_it[0].latency_us.curve.iter().enumerate().map(|(at, (percentile, _))| {
            let us: Vec<f64> =
                of_it.iter().filter_map(|report| Some(report.latency_us.curve.get(at)?.1 as f64)).collect();
            (*percentile, spread(&us)[1])
        });
        (server.to_owned(), points.collect())
    });
    Curve {
        title: "Latency by percentile",
        x: ("percentile", Scale::Percentile),
        y: ("µs", Scale::Log),
        lines: lines.collect(),
    }
}

/// A figure against subscribers; of several rounds with one number of them, the median.
fn against_subscribers(
    title: &'static str,
    unit: &'static str,
    reports: &[&Report],
    figure: impl Fn(&Report) -> Option<f64>,
) -> Curve {
    let lines = by_server(reports).map(|(server, of_it)| {
        let mut values: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for report in of_it {
            values.entry(report.subscribers).or_default().extend(figure(report));
        }
        let points = values.into_iter().filter(|(_, values)| !values.is_empty());
        (server.to_owned(), points.map(|(count, values)| (count as f64, spread(&values)[1])).collect())
    });
    Curve { title, x: ("subscribers", Scale::Linear), y: (unit, Scale::Linear), lines: lines.collect() }
}
