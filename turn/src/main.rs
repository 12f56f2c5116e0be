//! `leat-turn`: a TURN server over UDP, TCP, TLS and DTLS, one thread per worker.

#![forbid(unsafe_code)]

mod bus_thread;
mod certificates;
mod cli;
mod collector;
mod config;
mod config_file;
mod control;
mod interfaces;
mod ledger;
mod limits;
mod server;
mod wall_clock;

use cli::Cli;
use config::Config;
use host::Program;
use leat_log::Format;
use leat_log::redact::ClientAddresses;
use std::ffi::OsString;
use std::process::ExitCode;

const PROGRAM: &str = "leat-turn";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // First the command line alone: it names the file.
    let cli: Cli = match leat_log::command_line(PROGRAM, &arguments, Format::Text) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let program = Program::start(PROGRAM, Config::log(&cli), ClientAddresses::shown_if(cli.log_addresses));
    let run = |config| server::run(config, &arguments);
    program.run(cli.die_with_parent, || Config::read(&arguments), run)
}
