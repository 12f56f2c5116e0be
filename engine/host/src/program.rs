//! A program from its command line to its exit code.

use crate::panics;
use leat_log::Format;
use leat_log::redact::ClientAddresses;
use std::error::Error;
use std::process::ExitCode;

/// What is logged without `--log-level`. The client of NATS reports every event at level info; our own messages
/// are about the same events.
const LOG_FILTER: &str = "info,async_nats=warn";

/// Exit code when the system cannot provide a requested resource, such as a port in use.
const EXIT_FAILURE: u8 = 1;

/// A program whose log has started.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    name: &'static str,
    log: Format,
}

impl Program {
    /// Starts the log. From now on panics are logged.
    pub fn start(name: &'static str, log: Format, level: Option<&str>, addresses: ClientAddresses) -> Self {
        leat_log::start(log, level, LOG_FILTER, addresses);
        // After the log's own hook, which it replaces: it logs by the same formatter.
        panics::install_hook();
        Self { name, log }
    }

    /// Handles `--die-with-parent`, reads the configuration and runs. A failure is the last line of the log.
    pub fn run<C, B: Error, F: Error>(
        self,
        die_with_parent: bool,
        configure: impl FnOnce() -> Result<C, B>,
        run: impl FnOnce(C) -> Result<(), F>,
    ) -> ExitCode {
        if die_with_parent && let Err(error) = self::die_with_parent() {
            return self.fail(&error, EXIT_FAILURE);
        }
        let config = match configure() {
            Ok(config) => config,
            Err(error) => return self.fail(&error, leat_log::EXIT_USAGE),
        };
        match run(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => self.fail(&error, EXIT_FAILURE),
        }
    }

    fn fail(self, error: &dyn Error, code: u8) -> ExitCode {
        leat_log::fatal(self.log, self.name, error, code)
    }
}

/// Why `--die-with-parent` failed.
#[derive(Debug, thiserror::Error)]
enum NoParent {
    /// The kernel has no parent-death signal.
    #[error("--die-with-parent: the kernel does not report when the parent dies")]
    NotReported,
    /// The parent died before this process asked the kernel.
    #[error("--die-with-parent: the process that started this one has ended already")]
    Gone,
}

/// Makes the kernel end this process when its parent dies.
fn die_with_parent() -> Result<(), NoParent> {
    let signal = rustix::process::Signal::TERM;
    rustix::process::set_parent_process_death_signal(Some(signal)).map_err(|_| NoParent::NotReported)?;
    if is_orphan() { Err(NoParent::Gone) } else { Ok(()) }
}

/// Whether the parent died before this process asked the kernel for the signal. The parent is then another
/// process, which adopts orphans. A supervisor passes its pid in LEAT_PARENT, because in a container it may
/// be process 1.
fn is_orphan() -> bool {
    let parent = std::os::unix::process::parent_id();
    match std::env::var("LEAT_PARENT") {
        Ok(supervisor) => supervisor != parent.to_string(),
        Err(_) => parent == 1,
    }
}
