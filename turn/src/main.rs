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

use clap::Parser;
use cli::{Cli, LogForm};
use config::Config;
use std::error::Error;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Exit code for options that make no sense, alone or together; clap uses the same.
const EXIT_BAD_CONFIG: u8 = 2;

/// Exit code when the system does not give what the options ask for, such as a port in use.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The command line alone first: its mistakes are clap's to tell, and it names the file.
    let cli = Cli::parse_from(&arguments);
    start_log(cli.log.unwrap_or(LogForm::Text));
    if cli.die_with_parent
        && let Err(why) = die_with_parent()
    {
        eprintln!("leat-turn: --die-with-parent: {why}");
        return ExitCode::from(EXIT_FAILURE);
    }
    let config = match Config::read(&arguments) {
        Ok(config) => config,
        Err(error) => return fail(&error, EXIT_BAD_CONFIG),
    };
    match server::run(config, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, EXIT_FAILURE),
    }
}

/// Has the kernel end this process when its parent dies.
fn die_with_parent() -> Result<(), &'static str> {
    let signal = rustix::process::Signal::TERM;
    rustix::process::set_parent_process_death_signal(Some(signal))
        .map_err(|_| "the kernel does not tell when the parent dies")?;
    // The parent may have died before the kernel was asked: then another process, which adopts orphans, is the parent now. A supervisor
    // names itself in LEAT_PARENT, since in a container it may well be process 1.
    let parent = std::os::unix::process::parent_id();
    let is_orphan = match std::env::var("LEAT_PARENT") {
        Ok(supervisor) => supervisor != parent.to_string(),
        Err(_) => parent == 1,
    };
    if is_orphan { Err("the process that started this one is gone already") } else { Ok(()) }
}

fn start_log(form: LogForm) {
    let level = EnvFilter::try_from_env("LEAT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr);
    match form {
        LogForm::Text => log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogForm::Json => log.json().flatten_event(true).with_target(false).init(),
    }
}

/// Prints the whole chain of causes, once.
fn fail(error: &dyn Error, code: u8) -> ExitCode {
    eprintln!("leat-turn: {}", chain(error));
    ExitCode::from(code)
}

/// An error and its causes, a line each.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!("\n  because {error}");
        cause = error.source();
    }
    text
}
