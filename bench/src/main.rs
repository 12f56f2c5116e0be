//! `leat-bench`: see [`bench`].
#![forbid(unsafe_code)]

use bench::cli::Cli;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match bench::run(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("leat-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
