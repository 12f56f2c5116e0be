//! The place of a measurement, which is part of the result.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::process::Command;

/// Commit, processor and kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Place {
    commit: String,
    cpu: String,
    cores: usize,
    kernel: String,
}

impl Place {
    /// The current place. Unavailable parts are "unknown".
    pub fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            commit: commit().unwrap_or_else(unknown),
            cpu: cpu.map_or_else(unknown, |(_, name)| name.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |release| release.trim().to_owned()),
        }
    }

    /// Processor, cores and kernel: what must be equal for a comparison.
    pub fn machine(&self) -> (&str, usize, &str) {
        (&self.cpu, self.cores, &self.kernel)
    }

    /// The commit, and whether it was changed.
    pub fn commit(&self) -> &str {
        &self.commit
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, cpu, cores, kernel } = self;
        write!(f, "commit {commit}, {cpu} ({cores} cores), Linux {kernel}")
    }
}

/// The checked-out commit, marked if measured sources differ from it.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changed =
        git(&["status", "--porcelain", "--", "../engine", "../Cargo.toml", "../bench/rig", "benches"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit} with changes") })
}

fn unknown() -> String {
    "unknown".to_owned()
}
