//! `leat-engine`: the media plane. One pinned thread a core, controlled over a shared-memory ring.

#![forbid(unsafe_code)]

mod cli;
mod config;
mod endpoint;
mod engine;
mod limits;
mod memory;
mod panics;
mod self_ping;

use cli::Cli;
use config::Config;
use leat_log::Format;
use std::ffi::OsString;
use std::process::ExitCode;

const PROGRAM: &str = "leat-engine";

/// Exit code when the system does not give what the flags ask for, such as a port in use.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli: Cli = match leat_log::command_line(PROGRAM, &arguments, Format::Text) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    leat_log::start(cli.log, "info");
    // Behind the log's own, which it replaces: it logs by the same formatter.
    panics::install_hook();
    runtime::memory::map_large_blocks();
    if cli.die_with_parent
        && let Err(error) = die_with_parent()
    {
        return leat_log::fatal(cli.log, PROGRAM, &error, EXIT_FAILURE);
    }
    let config = match Config::try_from(&cli) {
        Ok(config) => config,
        Err(error) => return leat_log::fatal(cli.log, PROGRAM, &error, leat_log::EXIT_USAGE),
    };
    match engine::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => leat_log::fatal(cli.log, PROGRAM, &error, EXIT_FAILURE),
    }
}

/// `--die-with-parent` cannot be done.
#[derive(Debug, thiserror::Error)]
enum NoParent {
    /// The kernel has no parent-death signal.
    #[error("--die-with-parent: the kernel does not report when the parent dies")]
    NotReported,
    /// It died before the kernel was asked.
    #[error("--die-with-parent: the process that started this one has ended already")]
    Gone,
}

/// Has the kernel end this process when its parent dies.
fn die_with_parent() -> Result<(), NoParent> {
    let signal = rustix::process::Signal::TERM;
    rustix::process::set_parent_process_death_signal(Some(signal)).map_err(|_| NoParent::NotReported)?;
    if is_orphan() { Err(NoParent::Gone) } else { Ok(()) }
}

/// Whether the parent died before the kernel was asked to tell: then another process, which adopts orphans, is the parent
/// now. A supervisor names itself in LEAT_PARENT, since in a container it may well be process 1.
fn is_orphan() -> bool {
    let parent = std::os::unix::process::parent_id();
    match std::env::var("LEAT_PARENT") {
        Ok(supervisor) => supervisor != parent.to_string(),
        Err(_) => parent == 1,
    }
}
