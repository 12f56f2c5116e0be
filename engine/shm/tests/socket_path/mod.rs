//! The socket of a test's engine.

use std::path::{Path, PathBuf};

/// A socket path of one test, removed with its lock when the test ends.
pub struct SocketPath(PathBuf);

impl std::ops::Deref for SocketPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_file(format!("{}.lock", self.0.display()));
    }
}

/// A path that no other test uses: `name` is unique per test, and the process id per binary.
pub fn socket_path(name: &str) -> SocketPath {
    SocketPath(std::env::temp_dir().join(format!("leat-shm-{}-{name}", std::process::id())))
}
