//! `leat backup` and `leat restore`: the file of a backup.

use super::Administration;
use anyhow::{Context, bail};
use std::fs::{File, OpenOptions, hard_link, remove_file};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use stores::accounts::BackupCounts;

impl Administration {
    /// The file appears under its name when it is complete and on disk.
    pub(super) async fn backup(&self, path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        if path.exists() {
            bail!("{} exists already; choose another name, or remove it", path.display());
        }
        let own = path.with_extension(format!("{}.partial", std::process::id()));
        let result = self.write_backup(&own, path).await;
        // After a failure there is no file.
        let _ = remove_file(&own);
        let counts = result?;
        writeln!(out, "backup: {}", sentence(&counts))?;
        Ok(())
    }

    async fn write_backup(&self, own: &Path, path: &Path) -> anyhow::Result<BackupCounts> {
        let failed = || format!("{}: cannot write the backup", path.display());
        // It contains the secrets of API keys.
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(own).with_context(failed)?;
        let mut writer = BufWriter::new(file);
        let counts = self.accounts.backup(&self.actor, &mut writer).await?;
        writer.into_inner().context("cannot write the backup")?.sync_all().with_context(failed)?;
        // Unlike a rename, this replaces no file.
        hard_link(own, path).with_context(failed)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(dir).and_then(|dir| dir.sync_all()).with_context(failed)?;
        Ok(counts)
    }

    pub(super) async fn restore(&self, path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        let file = File::open(path).with_context(|| format!("{}: cannot read it", path.display()))?;
        let restored = self.accounts.restore(&self.actor, &mut BufReader::new(file)).await;
        let counts = restored.with_context(|| format!("{}: nothing was restored", path.display()))?;
        writeln!(out, "restored: {}", sentence(&counts))?;
        Ok(())
    }
}

fn sentence(counts: &BackupCounts) -> String {
    let BackupCounts { projects, users, api_keys, stream_keys, audit, revocations } = counts;
    format!(
        "{projects} projects, {users} users, {api_keys} API keys, {stream_keys} stream keys, {audit} audit entries, \
         {revocations} revocations"
    )
}
