//! Reports as a self-contained page: a table, and plots as SVG.

use crate::measure::Report;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Of one load.
pub fn load(report: &Report) -> String {
    page("leat-bench load", &report.to_string(), &[latencies(&[report])])
}

/// Of a comparison: its table, the rounds, and the loads with other numbers of subscribers.
pub fn comparison(table: &str, rounds: &[&Report], sweep: &[&Report]) -> String {
    let mut plots = vec![latencies(rounds)];
    if !sweep.is_empty() {
        plots.push(costs(&[rounds, sweep].concat()));
    }
    page("leat-bench compare", table, &plots)
}

fn page(title: &str, text: &str, plots: &[Plot]) -> String {
    let plots: String = plots.iter().map(Plot::svg).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>body{{font:15px sans-serif;margin:2em}}pre{{white-space:pre-wrap}}svg{{display:block;margin:2em 0}}</style>\n\
         <h1>{title}</h1>\n<pre>{}</pre>\n{plots}</html>\n",
        escape(text)
    )
}

/// Latency at each percentile; of several rounds of a server, the median at each.
fn latencies(reports: &[&Report]) -> Plot {
    let series = servers(reports).map(|server| {
        let of_it: Vec<_> = reports.iter().filter(|report| report.server == server).collect();
        let points = of_it[0].latency_us.curve.iter().enumerate().map(|(at, (percentile, _))| {
            let mut us: Vec<u64> = of_it.iter().map(|report| report.latency_us.curve[at].1).collect();
            us.sort_unstable();
            // A decade of the tail for each step to the right.
            (-(1.0 - percentile / 100.0).log10(), (us[us.len() / 2].max(1) as f64).log10())
        });
        (server.to_owned(), points.collect())
    });
    Plot {
        title: "Latency by percentile",
        x: Axis {
            name: "percentile",
            labels: vec![(0.0, "0"), (1.0, "90"), (2.0, "99"), (3.0, "99.9"), (4.0, "99.99")],
        },
        y: Axis {
            name: "latency",
            labels: vec![
                (1.0, "10 µs"),
                (2.0, "100 µs"),
                (3.0, "1 ms"),
                (4.0, "10 ms"),
                (5.0, "100 ms"),
                (6.0, "1 s"),
            ],
        },
        series: series.collect(),
    }
}

/// CPU for each packet against subscribers; of several rounds with one number of them, the median.
fn costs(reports: &[&Report]) -> Plot {
    let series = servers(reports).map(|server| {
        let mut costs: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for report in reports.iter().filter(|report| report.server == server) {
            let cost = report.server_cost.as_ref().map(|cost| cost.cpu_ns_per_packet / 1000.0);
            costs.entry(report.subscribers).or_default().extend(cost);
        }
        let points =
            costs.into_iter().filter(|(_, costs)| !costs.is_empty()).map(|(subscribers, mut costs)| {
                costs.sort_by(f64::total_cmp);
                ((subscribers.max(1) as f64).log10(), costs[costs.len() / 2])
            });
        (server.to_owned(), points.collect())
    });
    Plot {
        title: "CPU per delivered packet",
        x: Axis {
            name: "subscribers",
            labels: vec![(0.0, "1"), (1.0, "10"), (2.0, "100"), (3.0, "1000"), (4.0, "10000")],
        },
        y: Axis {
            name: "",
            labels: vec![(0.0, "0"), (5.0, "5 µs"), (10.0, "10 µs"), (20.0, "20 µs"), (50.0, "50 µs")],
        },
        series: series.collect(),
    }
}

/// The servers, in order.
fn servers<'a>(reports: &[&'a Report]) -> impl Iterator<Item = &'a str> {
    let mut names: Vec<&str> = Vec::new();
    for report in reports {
        if !names.contains(&report.server.as_str()) {
            names.push(&report.server);
        }
    }
    names.into_iter()
}

struct Plot {
    title: &'static str,
    x: Axis,
    y: Axis,
    series: Vec<(String, Vec<(f64, f64)>)>,
}

struct Axis {
    name: &'static str,
    labels: Vec<(f64, &'static str)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 70.0;
const COLOURS: [&str; 4] = ["#1b6ca8", "#c8553d", "#588b3c", "#7d4e9e"];

impl Plot {
    fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let range = |axis: &Axis, of: fn(&(f64, f64)) -> f64| {
            let (least, most) = points()
                .map(of)
                .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
            // From the label below to the label above, so that every point lies between two.
            let below = axis.labels.iter().map(|(at, _)| *at).rfind(|at| *at <= least).unwrap_or(least);
            let above = axis.labels.iter().map(|(at, _)| *at).find(|at| *at >= most).unwrap_or(most);
            (below, if above > below { above } else { below + 1.0 })
        };
        let (x, y) = (range(&self.x, |point| point.0), range(&self.y, |point| point.1));
        let across = |at: f64| MARGIN + (at - x.0) / (x.1 - x.0) * (WIDTH - 2.0 * MARGIN);
        let up = |at: f64| HEIGHT - MARGIN + 20.0 - (at - y.0) / (y.1 - y.0) * (HEIGHT - 2.0 * MARGIN);
        let mut svg = format!(
            "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" font-size=\"12\"><text x=\"{MARGIN}\" y=\"20\" font-size=\"15\">{}</text>\n",
            self.title
        );
        for (at, label) in self.x.labels.iter().filter(|(at, _)| (x.0..=x.1).contains(at)) {
            let _ = writeln!(
                svg,
                "<path d=\"M{0:.1} {1:.1}V{2:.1}\" stroke=\"#ddd\"/><text x=\"{0:.1}\" y=\"{3:.1}\" text-anchor=\"middle\">{label}</text>",
                across(*at),
                up(y.0),
                up(y.1),
                up(y.0) + 16.0
            );
        }
        for (at, label) in self.y.labels.iter().filter(|(at, _)| (y.0..=y.1).contains(at)) {
            let _ = writeln!(
                svg,
                "<path d=\"M{0:.1} {1:.1}H{2:.1}\" stroke=\"#ddd\"/><text x=\"{3:.1}\" y=\"{1:.1}\" text-anchor=\"end\">{label}</text>",
                across(x.0),
                up(*at),
                across(x.1),
                across(x.0) - 6.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            across(x.1) + 4.0,
            up(y.0) + 30.0,
            self.x.name
        );
        let _ = writeln!(svg, "<text x=\"6\" y=\"40\">{}</text>", self.y.name);
        for ((name, points), (index, colour)) in self.series.iter().zip(COLOURS.iter().cycle().enumerate()) {
            let line: Vec<String> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
                line.join(" "),
                MARGIN + 10.0,
                50 + 16 * index,
                escape(name)
            );
        }
        svg + "</svg>\n"
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
