//! Writes what administrators do in rooms into the audit log, and shares revocations with other processes
//! through the database.

use super::stored_keys::Outage;
use crate::auth::revocations::{Revocation, Revoked};
use crate::auth::session::TokenId;
use crate::limits;
use crate::rooms::{AuditQueue, AuditRecord, Rooms};
use std::sync::Arc;
use std::time::Duration;
use stores::accounts::{
    AccountError, Accounts, Action, Actor, RevocationKind, RevocationReader, StoredRevocation,
};
use tokio::time::{Instant, sleep};

/// Writes entries until the queue ends. While the database is away, they wait in the queue, in order.
pub async fn write_audit(accounts: Accounts, mut queue: AuditQueue) {
    let mut outage = Outage::default();
    while let Some(record) = queue.next().await {
        let mut refused = 0;
        while let Err(error) = write(&accounts, &record).await {
            outage.log(Some(&error), "entries of the audit log wait until the database answers");
            // An entry that the database refuses must not stop the others.
            refused += u32::from(error.is_refusal() || !error.is_unavailable());
            if refused == limits::AUDIT_TRIES {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    action = record.action,
                    "the database refuses an entry of the audit log"
                );
                break;
            }
            sleep(limits::AUDIT_RETRY).await;
        }
        outage.log(None, "");
        let dropped = queue.take_dropped();
        if dropped > 0 {
            tracing::error!(
                dropped,
                "entries of the audit log were dropped: too many waited for the database"
            );
        }
    }
}

async fn write(accounts: &Accounts, record: &AuditRecord) -> Result<(), AccountError> {
    let AuditRecord { project, actor, user, room, details, revocations, .. } = record;
    let actor = match actor {
        Actor::Participant(name) => participant(accounts, project, name).await?,
        known => known.clone(),
    };
    let target = match user {
        Some(user) => participant(accounts, project, user).await?.to_string(),
        None => format!("room:{room}"),
    };
    let in_room = if user.is_some() { format!("room {room}; ") } else { String::new() };
    let details = format!("{in_room}{details}");
    let at_ms = i64::try_from(record.at.as_millis()).unwrap_or(i64::MAX);
    let action = Action::new(record.action, target, project).at(at_ms);
    let action = action.with_details(details.trim_end_matches("; ").to_owned());
    let revocations: Vec<_> = revocations.iter().map(|(what, since)| stored(what, *since)).collect();
    accounts.record_and_revoke(&actor, action, &revocations).await
}

/// A user of the store by id, so that an erased one is not named; another one by the name in its token.
pub(super) async fn participant(
    accounts: &Accounts,
    project: &str,
    name: &str,
) -> Result<Actor, AccountError> {
    let found = accounts.user(project, name).await?;
    Ok(found.map_or_else(|| Actor::Participant(name.to_owned()), |user| Actor::User(user.id)))
}

fn stored(revocation: &Revocation, since: Duration) -> StoredRevocation {
    let (kind, value) = match &revocation.of {
        Revoked::Token(TokenId(id)) => (RevocationKind::Token, id.clone()),
        Revoked::User(user) => (RevocationKind::User, user.clone()),
        Revoked::Account(hash) => (RevocationKind::Account, hash.clone()),
        Revoked::Key(key) => (RevocationKind::Key, key.clone()),
        Revoked::Project => (RevocationKind::Project, String::new()),
    };
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let (since, until) = (seconds(since), seconds(revocation.until));
    StoredRevocation { project: revocation.project.clone(), kind, value, since, until }
}

fn from_store(stored: StoredRevocation, leeway: Duration) -> (Revocation, Duration) {
    let StoredRevocation { project, kind, value, since, until } = stored;
    let time = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let mut since = time(since);
    let of = match kind {
        RevocationKind::Token => Revoked::Token(TokenId(value)),
        RevocationKind::User => Revoked::User(value),
        RevocationKind::Account => {
            // This server issued the tokens, so their times need no leeway: a user with a new password can log in
            // and join at once.
            since = since.saturating_sub(leeway);
            Revoked::Account(value)
        }
        RevocationKind::Key => Revoked::Key(value),
        RevocationKind::Project => Revoked::Project,
    };
    (Revocation { project, of, until: time(until) }, since)
}

/// Reads the revocations of all processes again and again, and deletes those that have ended.
pub async fn follow_revocations(accounts: Accounts, rooms: Arc<Rooms>) {
    let Some(keyring) = rooms.keyring() else { return };
    let leeway = keyring.revocations().leeway();
    let mut reader = RevocationReader::new(accounts.clone());
    let mut outage = Outage::default();
    let mut deleted_at: Option<Instant> = None;
    loop {
        let read = reader.next().await;
        outage.log(read.as_ref().err(), "revocations of other processes cannot be read");
        let found = read.unwrap_or_default();
        if found.is_empty() {
            if deleted_at.is_none_or(|deleted_at| deleted_at.elapsed() >= limits::AUDIT_RETENTION_INTERVAL) {
                // Those that cannot be deleted now are deleted later.
                let _ = accounts.delete_ended_revocations().await;
                deleted_at = Some(Instant::now());
            }
            sleep(limits::API_KEYS_INTERVAL).await;
        }
        let found = found.into_iter().map(|stored| from_store(stored, leeway));
        if let Err(error) = rooms.take_over_revocations(found) {
            tracing::warn!(%error, "a revocation of the database cannot be used");
        }
    }
}
