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

use clap::Parser;
use cli::{Cli, LogForm};
use config::Config;
use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Exit code for flags that make no sense, alone or together; clap uses the same.
const EXIT_BAD_CONFIG: u8 = 2;

/// Exit code when the system does not give what the flags ask for, such as a port in use.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.log);
    panics::install_hook();
    runtime::memory::map_large_blocks();
    if cli.die_with_parent {
        let signal = rustix::process::Signal::TERM;
        if rustix::process::set_parent_process_death_signal(Some(signal)).is_err() {
            eprintln!("leat-engine: --die-with-parent: the kernel does not tell when the parent dies");
            return ExitCode::from(EXIT_FAILURE);
        }
        if is_orphan() {
            eprintln!("leat-engine: --die-with-parent: the process that started this one is gone already");
            return ExitCode::from(EXIT_FAILURE);
        }
    }
    let config = match Config::try_from(&cli) {
        Ok(config) => config,
        Err(error) => return fail(&error, EXIT_BAD_CONFIG),
    };
    match engine::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, EXIT_FAILURE),
    }
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
    eprintln!("leat-engine: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because {error}");
        cause = error.source();
    }
    ExitCode::from(code)
}
