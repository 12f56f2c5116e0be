//! `leat-turn`: a TURN server over UDP, TCP, TLS and DTLS, one thread per worker.

#![forbid(unsafe_code)]

mod bus_thread;
mod certificates;
mod cli;
mod collector;
mod config;
mod control;
mod interfaces;
mod ledger;
mod limits;
mod server;
mod wall_clock;

use clap::CommandFactory;
use cli::Cli;
use config::Config;
use host::Program;
use leat_log::Format;
use leat_log::redact::ClientAddresses;
use options::OptionsOf;
use std::ffi::OsString;
use std::process::ExitCode;

const PROGRAM: &str = "leat-turn";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let read = options::command_line(OptionsOf::Turn, PROGRAM, &Cli::command(), &arguments, 1, Format::Text);
    let cli: Cli = match read {
        Ok((cli, _)) => cli,
        Err(code) => return code,
    };
    let addresses = ClientAddresses::shown_if(cli.log_addresses);
    let format = cli.log.unwrap_or(Format::Text);
    let program = Program::start(PROGRAM, format, cli.log_level.as_deref(), addresses);
    let run = |config| server::run(config, &arguments);
    program.run(cli.die_with_parent, || Config::read(&arguments), run)
}
