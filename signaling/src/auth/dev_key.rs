//! The development key: signs tokens on a machine without a configured key. It is stored in a directory of
//! this user only, beside the control socket, and created when it is first needed.

use rustix::process::getuid;
use std::fs::{DirBuilder, OpenOptions, Permissions, symlink_metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The path of the key, beside the control socket.
pub fn path(control_socket: &Path) -> PathBuf {
    control_socket.with_file_name("development-secret")
}

/// Reads the key at `path`; creates it if it does not exist.
pub fn secret(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(dir) = path.parent() {
        private_dir(dir)?;
    }
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        read => read,
    }
}

/// Two processes may create it at the same time: each writes its own file, and the first to link it at `path`
/// has created the key.
fn make(path: &Path) -> io::Result<Vec<u8>> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let own = path.with_extension(std::process::id().to_string());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&own)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(secret.as_bytes())?;
    let linked = std::fs::hard_link(&own, path);
    std::fs::remove_file(&own)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => std::fs::read(path),
    }
}

/// Creates a directory for this user only. An existing one must be private too: in /tmp, another user could
/// have created it.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = symlink_metadata(dir)?;
    if found.is_dir() && found.uid() == getuid().as_raw() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let text = format!("{} must be a directory that only this user can access; remove it", dir.display());
    Err(io::Error::other(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_created_once_and_readable_by_this_user_only() {
        let dir = std::env::temp_dir().join(format!("leat-development-{}", std::process::id()));
        let path = dir.join("development-secret");
        let first = secret(&path).expect("a key");
        assert_eq!(secret(&path).expect("the same key"), first);
        assert_eq!(first.len(), 64);
        assert_eq!(symlink_metadata(&path).expect("a file").mode() & 0o777, 0o600);

        std::fs::set_permissions(&dir, Permissions::from_mode(0o755)).expect("our directory");
        secret(&path).expect_err("others may enter");
        std::fs::remove_dir_all(&dir).expect("our directory");
    }
}
