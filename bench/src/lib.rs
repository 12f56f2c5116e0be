//! Load for media servers, and its cost: synthetic peers that share no code with the engine, drivers that
//! join rooms of several servers, and measurement side by side.
#![forbid(unsafe_code)]

pub mod cli;
mod compare;
mod diff;
mod drivers;
mod load;
mod measure;
mod media;
mod peer;
mod place;
mod proto;
mod random;
mod report;
mod results;
mod servers;
mod signaling;
mod turn;
mod watch;
mod world;

pub use place::Place;

use anyhow::Context;
use cli::{Command, LoadArguments, Server};
use load::Target;
use measure::Report;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use report::{File, Head, Page};
use std::path::Path;
use watch::Watch;

/// Runs the command line. The result is the exit code.
pub fn run(command: Command) -> anyhow::Result<u8> {
    let watch = Watch::start()?;
    match command {
        Command::Load(arguments) => load(&arguments, &watch),
        Command::Compare(arguments) => compare::run(&arguments, &watch),
        Command::Turn(arguments) => turn::run(&arguments, &watch),
        Command::Diff(arguments) => diff::run(&arguments.before, &arguments.after, arguments.noise),
        Command::Signaling(arguments) => signaling::run(&arguments, &watch),
    }
}

/// `leat-bench load`: 0 if all checked packets were valid.
fn load(arguments: &LoadArguments, watch: &Watch) -> anyhow::Result<u8> {
    // Before pinning: afterwards it would see one core.
    let place = Place::here();
    if let Some(core) = arguments.load.cpu {
        pin(core)?;
    }
    let url = arguments.url.as_deref().unwrap_or_else(|| arguments.server.default_url());
    let report = put(&arguments.load, arguments.server, url, arguments.pid, watch)?;
    println!("{report}");
    let figures = results::of_rounds(&report.server, std::slice::from_ref(&report));
    let head = Head::new("load", results::about(&arguments.load, 1), place, figures);
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(&File { head: &head, detail: &report })?)?;
    }
    if let Some(path) = &arguments.html {
        let plots = results::plots(&[&report], &[]);
        let page = Page { head: &head, versions: Vec::new(), notes: results::notes(&report), plots };
        write(path, &page.html()?)?;
    }
    Ok(u8::from(!report.is_sound()))
}

/// Puts a load on a server that runs at `url`.
fn put(
    load: &cli::Load,
    server: Server,
    url: &str,
    pid: Option<u32>,
    watch: &Watch,
) -> anyhow::Result<Report> {
    raise_file_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let target = Target { name: server.name(), pid };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        match server {
            Server::Leat => load::run(load, target, drivers::Leat::new(url), watch).await,
            Server::Mediasoup => load::run(load, target, drivers::Mediasoup::new(url), watch).await,
            Server::Janus => {
                load::run(load, target, drivers::Janus::new(url, load.publishers()), watch).await
            }
        }
    })
}

/// A socket for media and one for signaling for each of thousands of peers.
fn raise_file_limit() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of open files")
}

/// Keeps this thread, and those it starts from now on, on one core.
fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores
        .set(core)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &cores))
        .with_context(|| format!("cannot run on core {core}"))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
