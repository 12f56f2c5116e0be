//! The cost of one call, at the bounds of every table and for the worst input of a peer, another worker or
//! the controller.
//!
//! Each handler has a row. A row prepares a shard and makes one call (or several of a kind; the most
//! expensive one is used); callgrind counts its instructions, independent of other programs on the machine.
//! Kinds of input that the types enumerate (commands, packets of RTCP, protocols, messages between workers)
//! must each have a row, so that a new kind without one fails here.
//!
//! The engine is built for tests here, with checks and little optimisation, and callgrind emulates no
//! AVX-512: a release build needs fewer instructions. So a call within the bound here is within the bound
//! there.

#![allow(clippy::unwrap_used)]

mod commands;
mod data;
mod datagrams;
mod names;
#[path = "../../engine/sctp/tests/raw/mod.rs"]
mod raw;
mod stage;
mod timers;
mod workers;

use std::collections::BTreeSet;
use std::process::Command;

use sfu::limits::{WORK_PER_CALL, WORK_PER_OBJECT};

/// One handler with its worst input.
pub struct Row {
    /// The handler.
    pub handler: String,
    /// The worst input.
    pub case: &'static str,
    /// The number of consumers or other objects of the call.
    pub objects: u64,
    /// An allowance beyond the bound, with the reason.
    pub bound: u64,
    run: Box<dyn FnOnce()>,
}

impl Row {
    /// A row for a call without consumers. `run` prepares, and makes calls by [`stage::measured_call`].
    pub fn new(handler: impl Into<String>, case: &'static str, run: impl FnOnce() + 'static) -> Self {
        Self { handler: handler.into(), case, objects: 0, bound: WORK_PER_CALL, run: Box::new(run) }
    }

    /// The call handles this number of consumers or other objects.
    pub fn of(self, objects: usize) -> Self {
        Self { objects: objects as u64, ..self }
    }

    /// The call may cost more, for this reason, which is not a loop over a peer's input.
    pub fn allowed(self, bound: u64, reason: &str) -> Self {
        assert!(!reason.is_empty());
        Self { bound, ..self }
    }
}

fn rows() -> Vec<Row> {
    let all = [datagrams::rows(), data::rows(), workers::rows(), timers::rows(), commands::rows()];
    all.into_iter().flatten().collect()
}

/// The environment variable with which this program runs the rows whose handler contains its value, one after
/// the other.
const RUN_ROWS: &str = "LEAT_WORK_ROWS";

#[test]
fn every_handler_has_a_row() {
    let handlers: BTreeSet<String> = rows().into_iter().map(|row| row.handler).collect();
    let kinds = names::all();
    let missing: Vec<&String> = kinds.difference(&handlers).collect();
    assert!(missing.is_empty(), "these kinds of input have no row: {missing:?}");
}

/// Only under callgrind, and only when [`instructions_of_every_handler_stay_within_the_bound`] starts it.
#[test]
fn rows_run_when_requested() {
    let Ok(wanted) = std::env::var(RUN_ROWS) else { return };
    for row in rows().into_iter().filter(|row| row.handler.contains(&wanted)) {
        println!("ROW {} | {}", row.handler, row.case);
        (row.run)();
    }
}

#[test]
fn instructions_of_every_handler_stay_within_the_bound() {
    let folder = std::env::temp_dir().join(format!("leat-work-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--toggle-collect=work::stage::measured_call")
        .arg("--dump-after=work::stage::measured_call")
        .arg(format!("--callgrind-out-file={}", folder.join("count.%p").display()))
        .arg(std::env::current_exe().unwrap())
        .args(["rows_run_when_requested", "--exact", "--nocapture", "--test-threads=1"])
        .env(RUN_ROWS, "")
        .output()
        .expect("valgrind is installed: apt-get install valgrind");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let costs = costs(&folder);
    std::fs::remove_dir_all(&folder).unwrap();

    // The lines printed by the rows, in the order of their calls.
    let mut costs = costs.into_iter();
    let calls: Vec<&str> = stdout.lines().filter(|line| *line == "CALL" || line.contains("ROW ")).collect();
    let mut calls = calls.into_iter().peekable();
    let mut over = Vec::new();
    let mut table = String::new();
    for row in rows() {
        let title = format!("{} | {}", row.handler, row.case);
        assert!(
            calls.next().is_some_and(|line| line.ends_with(&format!("ROW {title}"))),
            "{title}: {stdout}"
        );
        let mut dearest = None;
        while calls.next_if(|line| *line == "CALL").is_some() {
            dearest = dearest.max(costs.next());
        }
        let cost = dearest.unwrap_or_else(|| panic!("{title}: nothing was measured"));
        let bound = row.bound + WORK_PER_OBJECT * row.objects;
        table += &format!("{cost:>10} of {bound:>10}  {title}\n");
        if cost > bound {
            over.push(title);
        }
    }
    println!("{table}");
    assert_eq!(costs.next(), None, "every count belongs to a call");
    assert!(over.is_empty(), "over their bounds: {over:#?}\n{table}");
}

/// The counts of all calls, in order. Callgrind writes one file for each.
fn costs(folder: &std::path::Path) -> Vec<u64> {
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let number = path.extension().and_then(|number| number.to_str()?.parse().ok());
        let text = std::fs::read_to_string(&path).unwrap();
        let is_call = text.contains("Trigger: --dump-after");
        let total = text
            .lines()
            .filter(|_| is_call)
            .find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        if let (Some(number), Some(total)) = (number, total) {
            counts.push((number, total));
        }
    }
    counts.sort_unstable();
    counts.into_iter().map(|(_, total)| total).collect()
}
