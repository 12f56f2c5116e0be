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

use cli::Cli;
use config::Config;
use host::Program;
use leat_log::Format;
use leat_log::redact::ClientAddresses;
use std::ffi::OsString;
use std::process::ExitCode;

const PROGRAM: &str = "leat-engine";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli: Cli = match leat_log::command_line(PROGRAM, &arguments, Format::Text) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let program = Program::start(PROGRAM, cli.log, ClientAddresses::shown_if(cli.log_addresses));
    runtime::memory::map_large_blocks();
    program.run(cli.die_with_parent, || Config::try_from(&cli), |config| engine::run(&config))
}
