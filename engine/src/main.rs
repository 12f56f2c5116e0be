//! `leat-engine`: the media plane. One pinned thread per core, controlled over a shared-memory ring.

#![forbid(unsafe_code)]

mod cli;
mod collector;
mod config;
mod endpoint;
mod engine;
mod limits;
mod memory;
mod self_ping;

use clap::CommandFactory;
use cli::Cli;
use config::Config;
use host::Program;
use leat_log::Format;
use leat_log::redact::ClientAddresses;
use options::OptionsOf;
use std::ffi::OsString;
use std::process::ExitCode;

const PROGRAM: &str = "leat-engine";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let read =
        options::command_line(OptionsOf::Engine, PROGRAM, &Cli::command(), &arguments, 1, Format::Text);
    let cli: Cli = match read {
        Ok((cli, _)) => cli,
        Err(code) => return code,
    };
    let addresses = ClientAddresses::shown_if(cli.log_addresses);
    let program = Program::start(PROGRAM, cli.log, cli.log_level.as_deref(), addresses);
    runtime::memory::map_large_blocks();
    program.run(cli.die_with_parent, || Config::try_from(&cli), |config| engine::run(&config))
}
