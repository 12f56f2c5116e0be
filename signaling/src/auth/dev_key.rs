//! The development key: what signs tokens on a machine where no key is configured. It lies in a directory of this
//! user alone, beside the control socket, and is made when first needed.

use rustix::process::getuid;
use std::fs::{DirBuilder, OpenOptions, Permissions, symlink_metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The path of the key, for the default path of the control socket.
pub fn path(control_socket: &Path) -> PathBuf {
    control_socket.with_file_name("development-secret")
}

/// The key at `path`; made if it is not there.
pub fn secret(path: &Path) -> io::Result<Vec<u8>> {
    if let Some(dir) = path.parent() {
        private_dir(dir)?;
    }
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        read => read,
    }
}

/// Two processes may come here at once: each writes a file of its own, and the first to put it in place has made the key.
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

/// Makes a directory for this user alone, or sees that the one there is: in /tmp anybody could have made it before us.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = symlink_metadata(dir)?;
    if found.is_dir() && found.uid() == getuid().as_raw() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let text = format!("{} must be a directory that only this user may enter; remove it", dir.display());
    Err(io::Error::other(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_this_users_alone() {
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
