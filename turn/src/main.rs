//! `leat-turn`: a TURN server over UDP, TCP, TLS and DTLS, one thread a worker.

#![forbid(unsafe_code)]

mod certificates;
mod cli;
mod config;
mod config_file;
mod control;
mod interfaces;
mod ledger;
mod limits;
mod metrics;
mod server;
mod wall_clock;

use cli::Cli;
use config::Config;
use leat_log::Format;
use std::ffi::OsString;
use std::process::ExitCode;

const PROGRAM: &str = "leat-turn";

/// Exit code when the system does not give what the options ask for, such as a port in use.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The command line alone first: it names the file.
    let cli: Cli = match leat_log::command_line(PROGRAM, &arguments, Format::Text) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let log = Config::log(&cli);
    leat_log::start(log, "info");
    if cli.die_with_parent
        && let Err(error) = die_with_parent()
    {
        return leat_log::fatal(log, PROGRAM, &error, EXIT_FAILURE);
    }
    let config = match Config::read(&arguments) {
        Ok(config) => config,
        Err(error) => return leat_log::fatal(log, PROGRAM, &error, leat_log::EXIT_USAGE),
    };
    match server::run(config, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => leat_log::fatal(log, PROGRAM, &error, EXIT_FAILURE),
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
    // The parent may have died before the kernel was asked: then another process, which adopts orphans, is the parent now. A supervisor
    // names itself in LEAT_PARENT, since in a container it may well be process 1.
    let parent = std::os::unix::process::parent_id();
    let is_orphan = match std::env::var("LEAT_PARENT") {
        Ok(supervisor) => supervisor != parent.to_string(),
        Err(_) => parent == 1,
    };
    if is_orphan { Err(NoParent::Gone) } else { Ok(()) }
}
