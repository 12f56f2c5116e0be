//! Signaling servers side by side: thousands of Socket.IO clients join rooms and change their presence.
//!
//! Every answer is checked: a client must be notified of every other client of its room, and every change of
//! presence must reach each of them once.

mod client;
mod message;
mod token;

use crate::cli::{Front, SignalingArguments};
use crate::measure::Account;
use crate::servers::{self, Start};
use crate::watch::Watch;
use crate::{Place, pin, raise_file_limit, write};
use client::{Expected, Participant};
use hdrhistogram::Histogram;
use message::Dialect;
use serde::Serialize;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::{interval, sleep, timeout};

/// Time for a single join, and for what is on its way at the end of a phase.
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval of checks whether everything has arrived.
const STEP: Duration = Duration::from_millis(20);

/// `leat-bench signaling`: 0 if every notification arrived once.
pub fn run(arguments: &SignalingArguments, watch: &Watch) -> anyhow::Result<u8> {
    let place = Place::here();
    raise_file_limit()?;
    pin(arguments.cpu)?;
    let mut rounds: Vec<SignalingRound> = Vec::new();
    for round in 1..=arguments.rounds {
        for front in &arguments.rivals {
            if watch.is_interrupted() {
                break;
            }
            eprintln!("round {round} of {}: {}", arguments.rounds, front.name());
            match servers::start_front(*front, arguments.server_cpu, token::SECRET)? {
                Start::Skipped(why) => eprintln!("{} is left out: {why}", front.name()),
                Start::Running(running) => {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    let measuring = measure(*front, &running, arguments);
                    rounds.push(LocalSet::new().block_on(&runtime, measuring)?);
                }
            }
        }
    }
    println!("{place}");
    println!(
        "{} clients in {} rooms, {} joins/s offered, {} changes of presence/s for {} s\n",
        arguments.clients, arguments.rooms, arguments.joins, arguments.changes, arguments.seconds
    );
    println!(
        "| server | joins / s | join p50 / p99 ms | CPU µs / join | notified p50 / p99 ms | CPU µs / notification | KiB / client | wrong |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    rounds.iter().for_each(|round| println!("{}", round.row()));
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(&rounds)?)?;
    }
    Ok(u8::from(rounds.is_empty() || rounds.iter().any(|round| round.wrong > 0)))
}

/// One measurement.
#[derive(Debug, Serialize)]
struct SignalingRound {
    server: &'static str,
    version: String,
    joins_per_s: f64,
    join_ms: [f64; 2],
    cpu_us_per_join: f64,
    notified_ms: [f64; 2],
    notifications: u64,
    cpu_us_per_notification: f64,
    kib_per_client: f64,
    /// Clients that were not notified of every other one, and changes that did not reach every other client
    /// once.
    wrong: u64,
}

impl SignalingRound {
    fn row(&self) -> String {
        let ([join50, join99], [notified50, notified99]) = (self.join_ms, self.notified_ms);
        format!(
            "| {} {} | {:.0} | {join50:.1} / {join99:.1} | {:.0} | {notified50:.1} / {notified99:.1} | {:.1} | {:.1} | {} |",
            self.server,
            self.version,
            self.joins_per_s,
            self.cpu_us_per_join,
            self.cpu_us_per_notification,
            self.kib_per_client,
            self.wrong
        )
    }
}

async fn measure(
    front: Front,
    running: &servers::Running,
    arguments: &SignalingArguments,
) -> anyhow::Result<SignalingRound> {
    let dialect = Dialect::of(front);
    let pid = running.pid();
    let before = Account::of(pid);
    let expected = Rc::new(Expected::new(arguments.clients, arguments.rooms));
    let (joined, mut joins) = mpsc::channel(arguments.clients);
    let started = Instant::now();
    let mut clients = Vec::new();
    let mut ticks = interval(Duration::from_secs_f64(1.0 / arguments.joins));
    for number in 0..arguments.clients {
        ticks.tick().await;
        clients.push(Participant::start(number, dialect, &running.url, expected.clone(), joined.clone()));
    }
    drop(joined);
    let mut join_time = histogram();
    let mut failed = 0;
    for _ in 0..arguments.clients {
        match timeout(PATIENCE, joins.recv()).await {
            Ok(Some(Ok(time))) => record(&mut join_time, time),
            Ok(Some(Err(error))) => {
                failed += 1;
                eprintln!("a client could not join: {error:#}");
            }
            Ok(None) | Err(_) => {
                anyhow::bail!("{} joined of {}", join_time.len(), arguments.clients);
            }
        }
    }
    let joins_per_s = join_time.len() as f64 / started.elapsed().as_secs_f64();
    let untold = expected.until_everybody_knows_everybody(PATIENCE).await;
    let after_joins = Account::of(pid);

    let mut changes = interval(Duration::from_secs_f64(1.0 / arguments.changes));
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    // Every client in turn, so that none is limited; a step that shares no factor spreads them over the rooms.
    for number in (0..).map(|turn: usize| turn * STRIDE % arguments.clients) {
        changes.tick().await;
        if Instant::now() > end {
            break;
        }
        clients[number].change();
    }
    let missing = expected.until_every_change_has_arrived(PATIENCE).await;
    let after_changes = Account::of(pid);
    let notified = expected.notified();
    let wrong = failed + untold + missing + expected.repeated();
    drop(clients);
    // The server sees that all have left before it ends.
    sleep(STEP).await;

    let cpu = |from: &Account, to: &Account| to.cpu.saturating_sub(from.cpu).as_secs_f64() * 1e6;
    Ok(SignalingRound {
        server: front.name(),
        version: running.version.clone(),
        joins_per_s,
        join_ms: quantiles(&join_time),
        cpu_us_per_join: cpu(&before, &after_joins) / join_time.len().max(1) as f64,
        notified_ms: quantiles(&notified),
        notifications: notified.len(),
        cpu_us_per_notification: cpu(&after_joins, &after_changes) / notified.len().max(1) as f64,
        kib_per_client: after_joins.rss.saturating_sub(before.rss) as f64 / 1024.0 / arguments.clients as f64,
        wrong,
    })
}

/// A prime that is no number of clients.
const STRIDE: usize = 7919;

/// Up to a minute, in microseconds.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(PATIENCE.as_micros() as u64, 3).expect("valid bounds")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(time.as_micros() as u64);
}

/// Median and 99th percentile, milliseconds.
fn quantiles(histogram: &Histogram<u64>) -> [f64; 2] {
    [0.5, 0.99].map(|quantile| histogram.value_at_quantile(quantile) as f64 / 1e3)
}
