//! One child process: started, watched, restarted after a pause, and ended.

use crate::config::ConfigError;
use crate::limits;
use anyhow::{Context, bail};
use options::{ConfigFile, OPTIONS, OptionsOf, PARENT_VARIABLE, Row};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// A process that runs for less than this has exited "quickly".
pub(super) const QUICK_EXIT: Duration = Duration::from_secs(5);
/// Pause before a restart after the second quick exit in a row; doubles with each up to [`PAUSE_MAX`]. After
/// the first there is none, so that one crash interrupts a call as little as possible.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Maximum pause before a restart.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Time that a process has to end after SIGTERM: longer than signaling takes.
const END_TIMEOUT: Duration = Duration::from_secs(6);
const _: () = assert!(
    END_TIMEOUT.as_millis() > limits::DRAIN_TIMEOUT.as_millis() + limits::STORES_DRAIN.as_millis() + 1_000
);
/// Interval of the health checks at the start.
const READY_POLL: Duration = Duration::from_millis(50);

/// One child process and its restarts.
pub(super) struct Supervised {
    pub(super) name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    child: Option<Child>,
    pub(super) starts: u64,
    pub(super) started: Instant,
    /// Time of the next start, while it does not run.
    start_at: Instant,
    quick_exits: u32,
}

impl Supervised {
    /// Checks that the file does not set options of this process that `leat up` sets itself, and passes it on.
    pub(super) fn read_file(&mut self, file: &ConfigFile, program: OptionsOf) -> Result<(), ConfigError> {
        let set = |row: &Row| {
            let (option, variable) =
                (OsString::from(format!("--{}", row.name)), OsString::from(row.variable()));
            // The secret is generated, or is an option of `leat up`.
            let is_turn_secret = row.name.starts_with("turn-secret");
            self.arguments.contains(&option)
                || self.environment.iter().any(|(name, _)| *name == variable)
                || is_turn_secret
        };
        for entry in file.entries() {
            let is_read = match entry.section {
                Some(section) => section == program,
                None => entry.row.is_of(program) && !entry.row.is_of(OptionsOf::Up),
            };
            if is_read && set(entry.row) {
                return Err(ConfigError::SetByUp {
                    path: file.path().to_path_buf(),
                    line: entry.line,
                    key: entry.row.name,
                    program: program.name(),
                });
            }
        }
        self.environment.push(("LEAT_CONFIG".into(), file.path().into()));
        Ok(())
    }

    /// The program with this name in the directory of the running program.
    pub(super) fn new(name: &'static str, arguments: Vec<OsString>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot determine the path of this program")?;
        let program = own.with_file_name(name);
        if !program.is_file() {
            bail!(
                "{} does not exist; it must be in the same directory as {}",
                program.display(),
                own.display()
            );
        }
        let now = Instant::now();
        let environment = vec![(PARENT_VARIABLE.into(), std::process::id().to_string().into())];
        Ok(Self {
            name,
            program,
            arguments,
            environment,
            child: None,
            starts: 0,
            started: now,
            start_at: now,
            quick_exits: 0,
        })
    }

    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        // The options in the environment are those of this process. The child gets its own: a secret only if it
        // needs it, and another number of workers, for example.
        OPTIONS.iter().map(Row::variable).filter(|name| name != "LEAT_LOG").for_each(|name| {
            command.env_remove(name);
        });
        // The child has its own process group: Ctrl-C reaches only this process, which then ends the others in
        // order.
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        self.starts += 1;
        self.started = Instant::now();
        tracing::info!(process = self.name, pid = child.id(), "started");
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the child exits; starts it first if necessary, at the planned time. Cancel-safe.
    pub(super) async fn died(&mut self) -> anyhow::Result<ExitStatus> {
        while self.child.is_none() {
            tokio::time::sleep_until(self.start_at).await;
            if let Err(error) = self.start() {
                self.delay_restart(error.as_ref());
            }
        }
        let child = self.child.as_mut().expect("it was just started");
        let status = child.wait().await.with_context(|| format!("cannot wait for {}", self.name))?;
        self.child = None;
        Ok(status)
    }

    /// The start failed: the program is being replaced, or memory or process ids are exhausted at the moment.
    fn delay_restart(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.quick_exits = self.quick_exits.max(1) + 1;
        let pause = pause(self.quick_exits);
        let pause_ms = pause.as_millis() as u64;
        tracing::error!(process = self.name, error, pause_ms, "could not be started again; retrying later");
        self.start_at = Instant::now() + pause;
    }

    pub(super) fn plan_restart(&mut self, status: &ExitStatus) {
        let lived = self.started.elapsed();
        self.quick_exits = if lived < QUICK_EXIT { self.quick_exits + 1 } else { 0 };
        let pause = pause(self.quick_exits);
        let (lived_ms, pause_ms) = (lived.as_millis() as u64, pause.as_millis() as u64);
        tracing::error!(process = self.name, status = %status, lived_ms, pause_ms, "exited; restarting it");
        self.start_at = Instant::now() + pause;
    }

    /// Forwards SIGHUP.
    pub(super) fn hang_up(&self) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id()?.cast_signed()));
        if let Some(pid) = pid {
            // If it has just exited, it reads its files at the restart.
            let _ = kill_process(pid, Signal::HUP);
        }
    }

    /// Ends the child: SIGTERM, then SIGKILL.
    pub(super) async fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // Fails only if it has exited.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(END_TIMEOUT, child.wait()).await.is_err() {
            tracing::warn!(process = self.name, "did not end within {END_TIMEOUT:?}; killing it");
            let _ = child.kill().await;
        }
    }
}

/// Pause before a restart after this number of quick exits or failed starts in a row.
fn pause(quick_exits: u32) -> Duration {
    match quick_exits {
        0 | 1 => Duration::ZERO,
        deaths => PAUSE_MIN.saturating_mul(2u32.saturating_pow(deaths - 2)).min(PAUSE_MAX),
    }
}

/// Waits until an optional process exits.
pub(super) async fn died(process: &mut Option<Supervised>) -> Option<anyhow::Result<ExitStatus>> {
    Some(process.as_mut()?.died().await)
}

/// Resolves when signaling serves requests and is attached to the engine.
pub(super) async fn until_ready(http: SocketAddr) {
    let ip = match http.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, http.port());
    while !matches!(timeout(Duration::from_secs(1), is_ready(address)).await, Ok(Ok(true))) {
        sleep(READY_POLL).await;
    }
}

async fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).contains("\"engine\":\"ready\""))
}

/// Makes the kernel kill this process when its parent exits. An error if the parent has already exited.
pub fn die_with_parent() -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("the kernel refused it")?;
    // The kernel does not report an exit in the past; in that case this process has a different parent now.
    let parent = std::os::unix::process::parent_id().to_string();
    match std::env::var(PARENT_VARIABLE) {
        Ok(expected) if expected != parent => {
            bail!("the process that started this one ({PARENT_VARIABLE}={expected}) has exited already")
        }
        _ => Ok(()),
    }
}

/// Handles SIGINT and SIGTERM from now on; the future resolves with the name of the first signal.
pub fn termination() -> io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_restart_is_immediate_and_further_ones_back_off() {
        let now = Instant::now();
        let mut process = Supervised {
            name: "x",
            program: PathBuf::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            child: None,
            starts: 0,
            started: now,
            start_at: now,
            quick_exits: 0,
        };
        let status = ExitStatus::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            process.plan_restart(&status);
            pauses.push(
                process.start_at.saturating_duration_since(Instant::now()).as_millis().div_ceil(100) * 100,
            );
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        process.started = now.checked_sub(QUICK_EXIT).expect("the machine has been up that long");
        process.plan_restart(&status);
        assert!(process.start_at <= Instant::now(), "a long run resets the pause");
    }
}
