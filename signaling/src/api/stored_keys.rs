//! What the server does with the store of accounts besides requests: it reads API keys into the keyring, and
//! deletes old entries of the audit log.

use crate::auth::keyring::{ApiKey, Keyring};
use crate::auth::revocations::{Revocation, Revoked};
use crate::limits;
use crate::rooms::Rooms;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stores::accounts::{AccountError, Accounts, Actor, ApiKey as StoredKey, DEFAULT_PROJECT};
use tokio::time::sleep;

/// Reads the API keys again and again. While the database is away, the keyring keeps those that it has.
pub async fn follow_api_keys(accounts: Accounts, rooms: Arc<Rooms>) {
    let Some(keyring) = rooms.keyring() else { return };
    // So that the first login needs not wait until the key that signs its tokens is read.
    let _ = accounts.server_key(DEFAULT_PROJECT).await;
    let mut known: Option<Vec<StoredKey>> = None;
    let mut outage = Outage::default();
    loop {
        let read = accounts.valid_api_keys().await;
        outage.log(read.as_ref().err(), "API keys cannot be read; those that are known stay valid");
        if let Ok(keys) = read
            && known.as_ref() != Some(&keys)
        {
            set_api_keys(keyring, &keys);
            let is_gone = |key: &&StoredKey| !keys.iter().any(|other| other.id == key.id);
            known.iter().flatten().filter(is_gone).for_each(|key| revoke(&rooms, key));
            known = Some(keys);
        }
        sleep(limits::API_KEYS_INTERVAL).await;
    }
}

/// Removes the peers that joined with tokens of this key.
fn revoke(rooms: &Rooms, key: &StoredKey) {
    let until = now().saturating_add(limits::API_KEY_REVOCATION);
    let of = Revoked::Key(key.id.clone());
    let revoked = rooms.revoke(Revocation { project: key.project.clone(), of, until });
    match revoked {
        Ok(peers) => tracing::info!(key = key.id, peers, "an API key was revoked"),
        Err(error) => tracing::warn!(key = key.id, %error, "cannot remove the peers of a revoked API key"),
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn set_api_keys(keyring: &Keyring, keys: &[StoredKey]) {
    let keys = keys.iter().map(|key| ApiKey {
        id: key.id.clone(),
        project: key.project.clone(),
        secret: key.secret.clone().into_bytes(),
    });
    for (id, error) in keyring.set_api_keys(keys.collect()) {
        tracing::warn!(key = id, %error, "a stored API key cannot be used");
    }
}

/// Deletes entries of the audit log that are older than `retention`, once an hour.
pub async fn delete_old_audit_entries(accounts: Accounts, retention: Duration) {
    let mut outage = Outage::default();
    loop {
        let keep_from = i64::try_from(now().saturating_sub(retention).as_millis()).unwrap_or(0);
        let deleted = accounts.delete_audit_before(&Actor::System, keep_from).await;
        outage.log(deleted.as_ref().err(), "old entries of the audit log cannot be deleted");
        if let Ok(count @ 1..) = deleted {
            tracing::info!(count, "deleted old entries of the audit log");
        }
        sleep(limits::AUDIT_RETENTION_INTERVAL).await;
    }
}

/// One line in the log when the database stops answering, and one when it answers again.
#[derive(Default)]
pub(super) struct Outage {
    is_logged: bool,
}

impl Outage {
    pub(super) fn log(&mut self, error: Option<&AccountError>, consequence: &str) {
        match error {
            Some(error) if !self.is_logged => {
                tracing::warn!(error = error as &dyn Error, "{consequence}");
                self.is_logged = true;
            }
            None if self.is_logged => {
                tracing::info!("the database of accounts answers again");
                self.is_logged = false;
            }
            _ => {}
        }
    }
}
