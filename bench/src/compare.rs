//! The same load on several servers alternately, with the results side by side.

use crate::cli::{CompareArguments, Load, Server};
use crate::measure::{DataReport, Family, Report};
use crate::report::{File, Head, Page, spread as spread_of, table as aligned};
use crate::servers::{self, Network, Start};
use crate::watch::Watch;
use crate::{Place, pin, put, results, write};
use anyhow::Context;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use std::fmt::Write as _;

/// A server that loses more than this is overloaded: it spends no CPU on dropped packets, so its CPU per
/// delivered packet is not comparable with that of one that delivers everything.
const SATURATED_ABOVE: f64 = 0.01;

/// `leat-bench compare`: 0 if all checked packets were valid, and no server ended in a round.
pub fn run(arguments: &CompareArguments, watch: &Watch) -> anyhow::Result<u8> {
    forbid_core_dumps()?;
    // Before pinning: afterwards it would see one core.
    let place = Place::here();
    let network = Network::enter()?;
    let has_two = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    if let Some(core) = arguments.load.cpu.or(has_two.then_some(1)) {
        pin(core)?;
    }
    let mut rivals: Vec<Rival> = arguments.rivals.iter().map(|server| Rival::new(*server)).collect();
    for round in 1..=arguments.rounds {
        for rival in &mut rivals {
            if watch.is_interrupted() || rival.skipped.is_some() {
                continue;
            }
            eprintln!("round {round} of {}: {}", arguments.rounds, rival.server.name());
            rival.measure(&arguments.load, arguments.server_cpu, &network, watch)?;
        }
    }
    let mut sweep = Vec::new();
    let mut is_any_void = rivals.iter().any(|rival| !rival.void.is_empty());
    let mut saturated: Vec<Server> = Vec::new();
    for subscribers in arguments.sweep.iter().flat_map(|sweep| &sweep.0) {
        let load = Load { subscribers: Some(*subscribers), ..arguments.load.clone() };
        for rival in rivals.iter().filter(|rival| rival.skipped.is_none()) {
            if watch.is_interrupted() {
                break;
            }
            if saturated.contains(&rival.server) {
                continue;
            }
            eprintln!("{subscribers} subscribers: {}", rival.server.name());
            let mut point = Rival::new(rival.server);
            point.measure(&load, arguments.server_cpu, &network, watch)?;
            if point.rounds.iter().any(|report| report.loss_ratio > SATURATED_ABOVE) {
                eprintln!("{} is saturated: it is not measured with more", rival.server.name());
                saturated.push(rival.server);
            }
            sweep.extend(point.rounds);
            for why in point.void {
                eprintln!("{subscribers} subscribers: void: {why}");
                is_any_void = true;
            }
        }
    }
    let comparison = Comparison::of(&arguments.load, arguments.rounds, &rivals);
    println!("{}", table(&place, &comparison, &rivals));
    let figures =
        rivals.iter().flat_map(|rival| results::of_rounds(rival.server.name(), &rival.rounds)).collect();
    let head = Head::new("compare", results::about(&arguments.load, arguments.rounds), place, figures);
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(&File { head: &head, detail: &comparison })?)?;
    }
    if let Some(path) = &arguments.html {
        let rounds: Vec<&Report> = rivals.iter().flat_map(|rival| &rival.rounds).collect();
        let sweep: Vec<&Report> = sweep.iter().collect();
        let versions = rivals.iter().map(|rival| (rival.server.name().to_owned(), rival.version.clone()));
        let plots = results::plots(&rounds, &sweep);
        let page = Page { head: &head, versions: versions.collect(), notes: notes(&rivals), plots };
        write(path, &page.html()?)?;
    }
    let is_sound = rivals.iter().flat_map(|rival| &rival.rounds).all(Report::is_sound);
    Ok(u8::from(!is_sound || is_any_void))
}

/// Of this process and its children: a crashing server should not fill the disk.
fn forbid_core_dumps() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, hard).context("cannot turn core dumps off")
}

/// A server, and its results.
#[derive(Debug)]
struct Rival {
    server: Server,
    version: String,
    skipped: Option<String>,
    rounds: Vec<Report>,
    /// Why rounds are invalid.
    void: Vec<String>,
}

impl Rival {
    fn new(server: Server) -> Self {
        Self { server, version: String::new(), skipped: None, rounds: Vec::new(), void: Vec::new() }
    }

    /// Starts the server, puts the load on it, and ends it.
    fn measure(&mut self, load: &Load, core: usize, network: &Network, watch: &Watch) -> anyhow::Result<()> {
        match servers::start(self.server, core, network)? {
            Start::Skipped(why) => self.skipped = Some(why),
            Start::Running(running) => {
                self.version.clone_from(&running.version);
                let family = Family::of(running.pid());
                let report = put(load, self.server, &running.url, Some(running.pid()), watch);
                // An interrupted round is not comparable.
                if watch.is_interrupted() {
                    return Ok(());
                }
                match report {
                    Ok(report) if report.server_ended.is_empty() => self.rounds.push(report),
                    Ok(report) => self.void.push(format!("{} ended in it", report.server_ended.join(", "))),
                    // It failed because the server was gone.
                    Err(error) if !family.ended().is_empty() => {
                        self.void.push(format!("{} ended in it: {error:#}", family.ended().join(", ")))
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// The JSON output. Medians over rounds.
#[derive(Debug, Serialize)]
pub struct Comparison {
    shape: &'static str,
    subscribers: usize,
    rounds: u32,
    results: Vec<Outcome>,
}

/// Of one server.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Measured {
        server: &'static str,
        version: String,
        cpu_ns_per_packet: f64,
        delivered_pps: f64,
        loss_ratio: f64,
        /// Its loss is so high that its CPU per packet is not comparable.
        saturated: bool,
        /// Why rounds are invalid; the figures are of the others.
        void_rounds: Vec<String>,
        /// Of all rounds, including packets that were not authentic: one must not be hidden by a median.
        payload_errors: u64,
        latency_us: Latencies,
        rss_bytes_per_peer: f64,
        joins_per_s: f64,
        /// Messages of data channels, if they were part of the load.
        data: Option<DataFigures>,
    },
    /// None of its rounds is valid.
    Void {
        server: &'static str,
        version: String,
        void_rounds: Vec<String>,
    },
    Skipped {
        server: &'static str,
        skipped: String,
    },
}

/// Of messages; medians, except the sums of lost and wrong ones.
#[derive(Debug, Serialize)]
struct DataFigures {
    message_len: u32,
    delivered_mbytes_per_s: f64,
    cpu_us_per_mbyte: f64,
    user_us_per_mbyte: f64,
    system_us_per_mbyte: f64,
    delivered: u64,
    lost: u64,
    wrong: u64,
}

impl DataFigures {
    fn of(rounds: &[Report]) -> Option<Self> {
        let data: Vec<&DataReport> = rounds.iter().filter_map(|report| report.data.as_ref()).collect();
        let message_len = data.first()?.message_len;
        let median = |figure: fn(&DataReport) -> f64| {
            spread(rounds, |report| report.data.as_ref().map_or(0.0, figure))[1]
        };
        let sum = |figure: fn(&DataReport) -> u64| data.iter().map(|data| figure(data)).sum();
        Some(Self {
            message_len,
            delivered_mbytes_per_s: median(|data| data.delivered_mbytes_per_s),
            cpu_us_per_mbyte: median(DataReport::cpu_us_per_mbyte),
            user_us_per_mbyte: median(|data| data.user_us_per_mbyte.unwrap_or(0.0)),
            system_us_per_mbyte: median(|data| data.system_us_per_mbyte.unwrap_or(0.0)),
            delivered: sum(|data| data.delivered),
            lost: sum(|data| data.lost),
            wrong: sum(|data| data.wrong),
        })
    }
}

#[derive(Debug, Serialize)]
struct Latencies {
    p50: u64,
    p99: u64,
    p999: u64,
}

impl Comparison {
    fn of(load: &Load, rounds: u32, rivals: &[Rival]) -> Self {
        Self {
            shape: load.shape.name(),
            subscribers: load.subscribers(),
            rounds,
            results: rivals.iter().map(Outcome::of).collect(),
        }
    }
}

impl Outcome {
    fn of(rival: &Rival) -> Self {
        let server = rival.server.name();
        if let Some(skipped) = &rival.skipped {
            return Self::Skipped { server, skipped: skipped.clone() };
        }
        if rival.rounds.is_empty() && !rival.void.is_empty() {
            return Self::Void { server, version: rival.version.clone(), void_rounds: rival.void.clone() };
        }
        if rival.rounds.is_empty() {
            return Self::Skipped { server, skipped: "interrupted before a round was over".to_owned() };
        }
        let median = |figure: fn(&Report) -> f64| spread(&rival.rounds, figure)[1];
        Self::Measured {
            server,
            version: rival.version.clone(),
            cpu_ns_per_packet: median(cpu),
            delivered_pps: median(|report| report.delivered_pps),
            loss_ratio: median(|report| report.loss_ratio),
            saturated: is_saturated(rival),
            void_rounds: rival.void.clone(),
            payload_errors: rival
                .rounds
                .iter()
                .map(|report| report.payload_errors + report.unauthentic)
                .sum(),
            latency_us: Latencies {
                p50: median(|report| report.latency_us.p50 as f64) as u64,
                p99: median(|report| report.latency_us.p99 as f64) as u64,
                p999: median(|report| report.latency_us.p999 as f64) as u64,
            },
            rss_bytes_per_peer: median(|report| {
                report.server_cost.as_ref().map_or(0.0, |cost| cost.rss_bytes_per_peer)
            }),
            joins_per_s: median(|report| report.joins.per_s),
            data: DataFigures::of(&rival.rounds),
        }
    }
}

fn is_saturated(rival: &Rival) -> bool {
    spread(&rival.rounds, |report| report.loss_ratio)[1] > SATURATED_ABOVE
}

/// CPU per packet, relative to the first server. Not comparable if either is saturated.
fn ratio(of: f64, to: f64, is_saturated: bool) -> String {
    let mark = if is_saturated { ", saturated" } else { "" };
    format!("{:.2}{mark}", of / to)
}

fn cpu(report: &Report) -> f64 {
    report.server_cost.as_ref().map_or(0.0, |cost| cost.cpu_ns_per_packet)
}

/// The least, the median and the most.
fn spread(rounds: &[Report], figure: impl Fn(&Report) -> f64) -> [f64; 3] {
    spread_of(&rounds.iter().map(figure).collect::<Vec<_>>())
}

/// What a reader of the page must know.
fn notes(rivals: &[Rival]) -> Vec<String> {
    let mut notes = Vec::new();
    for rival in rivals {
        let server = rival.server.name();
        notes.extend(rival.skipped.iter().map(|why| format!("{server} was skipped: {why}")));
        notes.extend(
            rival.void.iter().map(|why| format!("A round of {server} is void and in no figure: {why}.")),
        );
        if !rival.rounds.is_empty() && is_saturated(rival) {
            notes.push(format!("{server} is saturated: what is lost costs less than what is delivered, so its CPU is not comparable."));
        }
        notes.extend(rival.rounds.iter().flat_map(results::notes));
    }
    notes.dedup();
    notes
}

/// For people: an aligned table that is Markdown too, in the form of `bench/record/`.
fn table(place: &Place, comparison: &Comparison, rivals: &[Rival]) -> String {
    let mut text = format!(
        "{}\n\n{}, {} subscribers, {} rounds in turn; medians, and the spread of CPU. Loss, tags and payloads were checked in the same rounds.\n\n",
        place, comparison.shape, comparison.subscribers, comparison.rounds
    );
    let head = [
        "server",
        "CPU ns per packet",
        "ratio",
        "user / system",
        "packets/s",
        "lost %",
        "wrong",
        "p50 µs",
        "p99",
        "p99.9",
        "KiB a peer",
        "joins/s",
        "cores of the generator",
    ];
    let first = rivals.iter().find(|rival| !rival.rounds.is_empty());
    let first = first.map_or((0.0, false), |rival| (spread(&rival.rounds, cpu)[1], is_saturated(rival)));
    let rows = rivals.iter().zip(&comparison.results).map(|(rival, outcome)| row(rival, outcome, first));
    text.push_str(&aligned(&head, rows));
    text.push('\n');
    for (rival, outcome) in rivals.iter().zip(&comparison.results) {
        let _ = match outcome {
            Outcome::Skipped { server, skipped } => writeln!(text, "\n{server} was skipped: {skipped}"),
            Outcome::Void { server, .. } => writeln!(text, "\nNo round of {server} counts, see below."),
            Outcome::Measured { .. } => Ok(()),
        };
        if rival.rounds.iter().any(|report| report.generator_is_bottleneck) {
            let _ =
                writeln!(text, "\nThe generator was the bottleneck in a round of {}.", rival.server.name());
        }
    }
    let is_any_saturated = rivals.iter().any(|rival| !rival.rounds.is_empty() && is_saturated(rival));
    if is_any_saturated {
        let _ = writeln!(
            text,
            "\nSaturated: it, or the server it is compared with, lost more than {:.0} %. What is lost costs less than what is delivered, so the ratio \
             is no comparison.",
            SATURATED_ABOVE * 100.0
        );
    }
    text.push_str(&data_table(rivals));
    for rival in rivals {
        for why in &rival.void {
            let _ = writeln!(text, "\nA round of {} is void and in no figure: {why}.", rival.server.name());
        }
    }
    text
}

/// One server. `first`: CPU per packet of the reference, and whether it is saturated.
fn row(rival: &Rival, outcome: &Outcome, (first_cpu, is_first_saturated): (f64, bool)) -> Vec<String> {
    let Outcome::Measured {
        server,
        version,
        cpu_ns_per_packet,
        delivered_pps,
        loss_ratio,
        saturated,
        payload_errors,
        latency_us,
        rss_bytes_per_peer,
        joins_per_s,
        ..
    } = outcome
    else {
        return vec![format!("{} {}", rival.server.name(), rival.version), "–".to_owned()];
    };
    let [least, _, most] = spread(&rival.rounds, cpu);
    let part = |figure: fn(&crate::measure::ServerCost) -> f64| {
        spread(&rival.rounds, |report| report.server_cost.as_ref().map_or(0.0, figure))[1]
    };
    vec![
        format!("{server} {version}"),
        format!("{cpu_ns_per_packet:.0} ({least:.0} to {most:.0})"),
        ratio(*cpu_ns_per_packet, first_cpu, *saturated || is_first_saturated),
        format!(
            "{:.0} / {:.0}",
            part(|cost| cost.user_ns_per_packet),
            part(|cost| cost.system_ns_per_packet)
        ),
        format!("{delivered_pps:.0}"),
        format!("{:.4}", loss_ratio * 100.0),
        payload_errors.to_string(),
        latency_us.p50.to_string(),
        latency_us.p99.to_string(),
        latency_us.p999.to_string(),
        format!("{:.1}", rss_bytes_per_peer / 1024.0),
        format!("{joins_per_s:.0}"),
        format!("{:.2}", spread(&rival.rounds, |report| report.generator_cores)[1]),
    ]
}

/// The messages of all servers; empty without messages.
fn data_table(rivals: &[Rival]) -> String {
    let mut first: Option<(f64, u32)> = None;
    let mut rows = Vec::new();
    for rival in rivals {
        let Some(data) = DataFigures::of(&rival.rounds) else { continue };
        let (first_cpu, _) = *first.get_or_insert((data.cpu_us_per_mbyte, data.message_len));
        let [least, _, most] =
            spread(&rival.rounds, |report| report.data.as_ref().map_or(0.0, DataReport::cpu_us_per_mbyte));
        rows.push(vec![
            format!("{} {}", rival.server.name(), rival.version),
            format!("{:.1}", data.delivered_mbytes_per_s),
            format!("{:.0} ({least:.0} to {most:.0})", data.cpu_us_per_mbyte),
            format!("{:.2}", data.cpu_us_per_mbyte / first_cpu),
            format!("{:.0} / {:.0}", data.user_us_per_mbyte, data.system_us_per_mbyte),
            data.delivered.to_string(),
            data.lost.to_string(),
            data.wrong.to_string(),
        ]);
    }
    let Some((_, message_len)) = first else { return String::new() };
    let head = ["server", "MB/s", "CPU µs per MB", "ratio", "user / system", "delivered", "lost", "wrong"];
    format!(
        "\nMessages of {message_len} bytes. CPU per megabyte includes the media beside them.\n\n{}\n",
        aligned(&head, rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_of_a_saturated_server_is_marked() {
        assert_eq!(ratio(3.0, 2.0, false), "1.50");
        assert_eq!(ratio(3.0, 2.0, true), "1.50, saturated");
    }
}
