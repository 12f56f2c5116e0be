//! Files that options name, and the default path of the control socket.

use super::ConfigError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Reads the file that an option names.
pub(super) fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Unreadable { option, path: path.to_path_buf(), source })
}

/// Default path of the engine's control socket: in a directory of this user only.
pub fn control_socket() -> PathBuf {
    control_socket_in(std::env::var_os("XDG_RUNTIME_DIR"))
}

/// The variable may name a directory that does not exist, for example after `sudo` and in containers.
fn control_socket_in(runtime_dir: Option<OsString>) -> PathBuf {
    let runtime_dir = runtime_dir.map(PathBuf::from).filter(|dir| dir.is_absolute() && dir.is_dir());
    let dir = match runtime_dir {
        Some(dir) => dir.join("leat"),
        None => format!("/tmp/leat-{}", rustix::process::getuid().as_raw()).into(),
    };
    dir.join("control.sock")
}

/// Default directory for what is kept: `leat` in `$XDG_STATE_HOME`, or in `~/.local/state`.
pub(super) fn state_dir() -> Option<PathBuf> {
    state_dir_in(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME"))
}

/// The XDG Base Directory Specification ignores relative paths.
fn state_dir_in(state_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |dir: OsString| Some(PathBuf::from(dir)).filter(|dir| dir.is_absolute());
    let of_home = || home.and_then(absolute).map(|home| home.join(".local/state"));
    Some(state_home.and_then(absolute).or_else(of_home)?.join("leat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_directory_is_that_of_the_xdg_specification() {
        let dir = |state: Option<&str>, home: Option<&str>| {
            state_dir_in(state.map(OsString::from), home.map(OsString::from))
        };
        assert_eq!(dir(Some("/s"), Some("/h")), Some("/s/leat".into()));
        for unused in [None, Some(""), Some("relative")] {
            assert_eq!(dir(unused, Some("/h")), Some("/h/.local/state/leat".into()));
            assert_eq!(dir(unused, None), None);
        }
    }

    #[test]
    fn missing_runtime_directory_is_not_used() {
        let there = std::env::temp_dir();
        assert_eq!(control_socket_in(Some(there.clone().into())), there.join("leat/control.sock"));
        let elsewhere = control_socket_in(None);
        assert!(elsewhere.starts_with("/tmp") && elsewhere.ends_with("control.sock"), "{elsewhere:?}");
        for missing in ["", "/nonexistent/runtime", "relative"] {
            assert_eq!(control_socket_in(Some(missing.into())), elsewhere, "{missing:?}");
        }
    }
}
