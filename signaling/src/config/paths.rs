//! Files that options name, and the path of the control socket.

use super::ConfigError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The bytes of the file that an option names.
pub(super) fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Unreadable { option, path: path.to_path_buf(), source })
}

/// Where the engine's control socket is, unless told otherwise: in a directory of this user alone.
pub fn control_socket() -> PathBuf {
    control_socket_in(std::env::var_os("XDG_RUNTIME_DIR"))
}

/// The runtime directory may be named and not be there: after `sudo` and in containers the variable outlives it.
fn control_socket_in(runtime_dir: Option<OsString>) -> PathBuf {
    let runtime_dir = runtime_dir.map(PathBuf::from).filter(|dir| dir.is_absolute() && dir.is_dir());
    let dir = match runtime_dir {
        Some(dir) => dir.join("leat"),
        None => format!("/tmp/leat-{}", rustix::process::getuid().as_raw()).into(),
    };
    dir.join("control.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_directory_that_is_not_there_is_not_used() {
        let there = std::env::temp_dir();
        assert_eq!(control_socket_in(Some(there.clone().into())), there.join("leat/control.sock"));
        let elsewhere = control_socket_in(None);
        assert!(elsewhere.starts_with("/tmp") && elsewhere.ends_with("control.sock"), "{elsewhere:?}");
        for missing in ["", "/nonexistent/runtime", "relative"] {
            assert_eq!(control_socket_in(Some(missing.into())), elsewhere, "{missing:?}");
        }
    }
}
