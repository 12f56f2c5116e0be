//! `leat doctor`: checks the machine for what `leat up` needs with the same options. Each finding says what to do.
//!
//! It changes nothing. It may run before Leat starts and while Leat runs.

mod announced;
mod certificates;
mod clock;
mod finding;
mod ports;
mod store_checks;
mod system;
mod turn_check;

use crate::config::cli::DoctorOptions;
use anyhow::Context;
use finding::{Finding, Level};
use std::io::Write;
use std::path::Path;

/// Sizes of the buffers of UDP sockets, as the kernel limits them.
const RECEIVE_LIMIT: &str = "/proc/sys/net/core/rmem_max";

/// Runs all checks and prints the findings to `out`. The result is whether Leat can run: no finding is an error.
pub fn run(options: &DoctorOptions, out: &mut impl Write) -> anyhow::Result<bool> {
    let up = &options.up;
    let is_running = ports::is_running(up.http.http);
    let mut findings = ports::check(up, is_running);
    findings.extend(announced::check(up, is_running));
    findings.push(system::buffers(Path::new(RECEIVE_LIMIT)));
    findings.push(system::descriptors());
    findings.push(clock::check(&options.clock));
    findings.extend(certificates::check(up, clock::now()));
    findings.extend(turn_check::check(options, is_running));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    findings.extend(runtime.block_on(store_checks::check(up)));
    if options.json {
        writeln!(out, "{:#}", serde_json::to_value(&findings)?)?;
    } else {
        finding::print(&findings, out)?;
    }
    Ok(findings.iter().all(|finding| finding.level != Level::Error))
}
