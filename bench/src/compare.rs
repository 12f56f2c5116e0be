//! The same load on several servers in turn, and what came of it side by side.

use crate::cli::{CompareArguments, Load, Server};
use crate::measure::Report;
use crate::servers::{self, Network, Start};
use crate::watch::Watch;
use crate::{Place, html, pin, put, write};
use serde::Serialize;
use std::fmt::Write as _;

/// `leat-bench compare`: 0 if everything that was looked at was sound.
pub fn run(arguments: &CompareArguments, watch: &Watch) -> anyhow::Result<u8> {
    // Before it is pinned: then it would see one core.
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
    for subscribers in &arguments.sweep {
        let load = Load { subscribers: Some(*subscribers), ..arguments.load.clone() };
        for rival in rivals.iter().filter(|rival| rival.skipped.is_none()) {
            if watch.is_interrupted() {
                break;
            }
            eprintln!("{subscribers} subscribers: {}", rival.server.name());
            let mut point = Rival::new(rival.server);
            point.measure(&load, arguments.server_cpu, &network, watch)?;
            sweep.extend(point.rounds);
        }
    }
    let comparison = Comparison::of(&arguments.load, arguments.rounds, &rivals);
    println!("{}", table(&place, &comparison, &rivals));
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(&comparison)?)?;
    }
    if let Some(path) = &arguments.html {
        let rounds: Vec<&Report> = rivals.iter().flat_map(|rival| &rival.rounds).collect();
        let sweep: Vec<&Report> = sweep.iter().collect();
        write(path, &html::comparison(&table(&place, &comparison, &rivals), &rounds, &sweep))?;
    }
    Ok(u8::from(!rivals.iter().flat_map(|rival| &rival.rounds).all(Report::is_sound)))
}

/// A server, and what was measured of it.
#[derive(Debug)]
struct Rival {
    server: Server,
    version: String,
    skipped: Option<String>,
    rounds: Vec<Report>,
}

impl Rival {
    fn new(server: Server) -> Self {
        Self { server, version: String::new(), skipped: None, rounds: Vec::new() }
    }

    /// Starts the server, puts the load on it, and ends it.
    fn measure(&mut self, load: &Load, core: usize, network: &Network, watch: &Watch) -> anyhow::Result<()> {
        match servers::start(self.server, core, network)? {
            Start::Skipped(why) => self.skipped = Some(why),
            Start::Running(running) => {
                self.version.clone_from(&running.version);
                let report = put(load, self.server, &running.url, Some(running.pid()), watch);
                // One that was cut short is no round like the others.
                if !watch.is_interrupted() {
                    self.rounds.push(report?);
                }
            }
        }
        Ok(())
    }
}

/// What is written as JSON. Medians over rounds.
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
        /// Of all rounds, and with what was not authentic: one must not hide behind a median.
        payload_errors: u64,
        latency_us: Latencies,
        rss_bytes_per_peer: f64,
        joins_per_s: f64,
    },
    Skipped {
        server: &'static str,
        skipped: String,
    },
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
        }
    }
}

fn cpu(report: &Report) -> f64 {
    report.server_cost.as_ref().map_or(0.0, |cost| cost.cpu_ns_per_packet)
}

/// The least, the median and the most.
fn spread(rounds: &[Report], figure: impl Fn(&Report) -> f64) -> [f64; 3] {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let median = match figures.len() % 2 {
        1 => figures[middle],
        _ => (figures[middle - 1] + figures[middle]) / 2.0,
    };
    [figures[0], median, figures[figures.len() - 1]]
}

/// For people: Markdown, as `bench/record/` keeps it.
fn table(place: &Place, comparison: &Comparison, rivals: &[Rival]) -> String {
    let mut text = format!(
        "{}\n\n{}, {} subscribers, {} rounds in turn; medians, and the spread of CPU. Loss, tags and payloads were checked in the same rounds.\n\n\
         | server | CPU ns per packet | ratio | user / system | packets/s | lost | wrong | p50 µs | p99 | p99.9 | KiB a peer | joins/s | cores of the generator |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        place, comparison.shape, comparison.subscribers, comparison.rounds
    );
    let first =
        rivals.iter().find(|rival| !rival.rounds.is_empty()).map(|rival| spread(&rival.rounds, cpu)[1]);
    for (rival, outcome) in rivals.iter().zip(&comparison.results) {
        let _ = match outcome {
            Outcome::Skipped { server, skipped } => writeln!(text, "| {server} | skipped: {skipped} |"),
            Outcome::Measured {
                server,
                version,
                cpu_ns_per_packet,
                delivered_pps,
                loss_ratio,
                payload_errors,
                latency_us,
                rss_bytes_per_peer,
                joins_per_s,
            } => {
                let [least, _, most] = spread(&rival.rounds, cpu);
                let part = |figure: fn(&crate::measure::ServerCost) -> f64| {
                    spread(&rival.rounds, |report| report.server_cost.as_ref().map_or(0.0, figure))[1]
                };
                let generator = spread(&rival.rounds, |report| report.generator_cores)[1];
                let limit = rival.rounds.iter().any(|report| report.generator_is_bottleneck);
                writeln!(
                    text,
                    "| {server} {version} | {cpu_ns_per_packet:.0} ({least:.0} to {most:.0}) | {:.2} | {:.0} / {:.0} | {delivered_pps:.0} | {:.4} % | {payload_errors} | {} | {} | {} | {:.1} | {joins_per_s:.0} | {generator:.2}{} |",
                    cpu_ns_per_packet / first.unwrap_or(*cpu_ns_per_packet),
                    part(|cost| cost.user_ns_per_packet),
                    part(|cost| cost.system_ns_per_packet),
                    loss_ratio * 100.0,
                    latency_us.p50,
                    latency_us.p99,
                    latency_us.p999,
                    rss_bytes_per_peer / 1024.0,
                    if limit { ", the bottleneck" } else { "" },
                )
            }
        };
    }
    text
}
