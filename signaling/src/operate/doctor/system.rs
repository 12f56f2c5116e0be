//! Limits of the system: buffers of UDP sockets, and file descriptors.

use super::finding::{Finding, Level};
use crate::limits;
use crate::server::edge::EdgeSettings;
use rustix::process::{Resource, getrlimit};
use std::path::Path;

/// What the engine and the TURN server ask for, in bytes.
const RECEIVE_BUFFER_BYTES: u64 = 4 << 20;

/// The buffer for packets that have arrived, from the limit in this file.
pub(super) fn buffers(limit: &Path) -> Finding {
    let read = std::fs::read_to_string(limit).map_err(|error| error.to_string());
    let read = read.and_then(|text| text.trim().parse::<u64>().map_err(|error| error.to_string()));
    match read {
        Ok(bytes) if bytes >= RECEIVE_BUFFER_BYTES => {
            Finding::ok("buffers", format!("UDP sockets may have receive buffers of {bytes} bytes"))
        }
        Ok(bytes) => Finding::bad(
            "buffers",
            Level::Warning,
            format!(
                "net.core.rmem_max is {bytes} bytes, and a worker asks for {RECEIVE_BUFFER_BYTES}: packets that arrive \
                 in a burst are lost"
            ),
            format!(
                "run sysctl -w net.core.rmem_max={RECEIVE_BUFFER_BYTES} net.core.wmem_max={RECEIVE_BUFFER_BYTES}, and \
                 put both into a file in /etc/sysctl.d"
            ),
        ),
        Err(error) => Finding::bad(
            "buffers",
            Level::Unknown,
            format!("{}: {error}", limit.display()),
            format!("check that net.core.rmem_max is at least {RECEIVE_BUFFER_BYTES}"),
        ),
    }
}

/// The hard limit of open files: the processes raise their own limit up to it.
pub(super) fn descriptors() -> Finding {
    let connections = EdgeSettings::default().connections;
    let wanted = (connections + limits::OTHER_DESCRIPTORS) as u64;
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < wanted => Finding::bad(
            "descriptors",
            Level::Warning,
            format!(
                "a process may open {limit} files: signaling accepts {} connections instead of {connections}",
                (limit as usize).saturating_sub(limits::OTHER_DESCRIPTORS).max(1)
            ),
            format!("raise the hard limit (ulimit -H -n, or LimitNOFILE= in the systemd unit) to {wanted}"),
        ),
        Some(limit) => Finding::ok("descriptors", format!("a process may open {limit} files")),
        None => Finding::ok("descriptors", "a process may open any number of files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_receive_buffers_cause_a_warning_with_the_command() {
        let file = std::env::temp_dir().join(format!("leat-rmem-{}", std::process::id()));
        for (content, level) in [
            ("212992\n", Level::Warning),
            ("4194303\n", Level::Warning),
            ("4194304\n", Level::Ok),
            ("no number\n", Level::Unknown),
        ] {
            std::fs::write(&file, content).expect("a temporary file");
            let finding = buffers(&file);
            assert_eq!(finding.level, level, "{finding:?}");
            let is_command = finding.advice.is_some_and(|advice| advice.contains("net.core.rmem_max"));
            assert_eq!(is_command, level != Level::Ok);
        }
        std::fs::remove_file(&file).expect("a temporary file");
        assert_eq!(buffers(&file).level, Level::Unknown);
        assert_ne!(buffers(Path::new(super::super::RECEIVE_LIMIT)).level, Level::Unknown, "of this machine");
    }
}
