//! Tokens that are not accepted, although their signature and their times are valid.
//!
//! A revocation names a token, a user, a key or a project, and has an end: the expiry of the tokens it is
//! about. They are in the memory of this process; with a store of accounts, all processes share them
//! ([`crate::api::audit_writer`]).

use super::session::{Session, TokenId, TokenInfo};
use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stores::accounts::account_hash;

/// The tokens that are revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Revoked {
    /// One token: its `jti`, or its hash.
    Token(TokenId),
    /// All tokens of a user so far; tokens that are issued later are valid. A token without `iat` counts
    /// as issued before.
    User(String),
    /// The same for a user of the store of accounts, by [`account_hash`].
    Account(String),
    /// All tokens of a key.
    Key(String),
    /// All tokens of the project.
    Project,
}

/// A revocation in one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The project.
    pub project: String,
    /// The tokens.
    pub of: Revoked,
    /// Its end, as time since 1970: when the last of these tokens has expired.
    pub until: Duration,
}

/// When a revocation was made, and when it ends.
#[derive(Clone, Copy, Debug)]
struct Period {
    /// Seconds since 1970.
    since: u64,
    /// Seconds since 1970.
    until: u64,
}

type ProjectTable = HashMap<Revoked, Period>;

/// The revocations of this process.
#[derive(Debug)]
pub struct Revocations {
    /// By project.
    table: Mutex<HashMap<String, ProjectTable>>,
    /// Difference between the clocks of an issuer and of this server.
    leeway: Duration,
}

impl Revocations {
    /// None yet.
    pub fn new(leeway: Duration) -> Self {
        Self { table: Mutex::default(), leeway }
    }

    /// Difference between the clocks of an issuer and of this server: tokens of a user that were issued this
    /// much after its revocation count as issued before.
    pub fn leeway(&self) -> Duration {
        self.leeway
    }

    /// Adds a revocation at `now` (time since 1970). One that exists already lasts until the later end. While
    /// a project has the maximum, the one that ends first is dropped.
    pub fn add(&self, revocation: Revocation, now: Duration) -> Result<(), RequestError> {
        self.add_made(revocation, now, now).map(|_| ())
    }

    /// Adds a revocation that was made at `since`, perhaps by another process. Returns whether it is new.
    pub fn add_made(
        &self,
        revocation: Revocation,
        since: Duration,
        now: Duration,
    ) -> Result<bool, RequestError> {
        let (since, now) = (since.as_secs(), now.as_secs());
        if revocation.until.as_secs().saturating_add(self.leeway.as_secs()) < now {
            return Ok(false);
        }
        let mut table = self.table();
        let count: usize = table.values().map(HashMap::len).sum();
        if count >= limits::REVOCATIONS_MAX {
            table.values_mut().for_each(|of_project| of_project.retain(|_, period| period.until > now));
            table.retain(|_, of_project| !of_project.is_empty());
            if table.values().map(HashMap::len).sum::<usize>() >= limits::REVOCATIONS_MAX {
                let text =
                    format!("this server has {} revocations, which is its limit", limits::REVOCATIONS_MAX);
                return Err(RequestError::limit(text));
            }
        }
        let of_project = table.entry(revocation.project.clone()).or_default();
        let until = revocation.until.as_secs().saturating_add(self.leeway.as_secs()).saturating_add(1);
        let known = of_project.get(&revocation.of).copied();
        let is_new = known.is_none_or(|known| known.since < since || known.until < until);
        let known = known.unwrap_or(Period { since, until });
        let period = Period { since: known.since.max(since), until: known.until.max(until) };
        of_project.insert(revocation.of, period);
        if of_project.len() > limits::REVOCATIONS_PER_PROJECT_MAX {
            let first = of_project.iter().min_by_key(|(_, period)| period.until).map(|(of, _)| of.clone());
            if let Some(dropped) = first.and_then(|first| of_project.remove_entry(&first)) {
                tracing::warn!(
                    project = %revocation.project,
                    revocation = ?dropped.0,
                    "a revocation was dropped before its end: the project has too many"
                );
            }
        }
        Ok(is_new)
    }

    /// Checks the token of a session at `now`.
    pub fn check(&self, session: &Session, now: Duration) -> Result<(), RequestError> {
        self.check_token(&session.project, &session.user, &session.token, now)
    }

    /// Checks a token at `now`, of which a peer has kept these parts.
    pub fn check_token(
        &self,
        project: &str,
        user: &str,
        token: &TokenInfo,
        now: Duration,
    ) -> Result<(), RequestError> {
        let now = now.as_secs();
        let table = self.table();
        let Some(of_project) = table.get(project) else { return Ok(()) };
        let found = |of: &Revoked| of_project.get(of).filter(|period| period.until > now);
        let is_from_before = |period: &Period| {
            let last = period.since.saturating_add(self.leeway.as_secs());
            token.issued_at.is_none_or(|issued_at| issued_at.0 <= last)
        };
        // So that the hash is computed only where it is needed.
        let has_accounts = of_project.keys().any(|of| matches!(of, Revoked::Account(_)));
        let account = || Revoked::Account(account_hash(project, user));
        let what = if found(&Revoked::Token(token.id.clone())).is_some() {
            "this token was revoked"
        } else if found(&Revoked::User(user.to_owned())).is_some_and(is_from_before)
            || (has_accounts && found(&account()).is_some_and(is_from_before))
        {
            "all earlier tokens of this user were revoked"
        } else if token.key.iter().any(|key| found(&Revoked::Key(key.clone())).is_some()) {
            "the key of this token was revoked"
        } else if found(&Revoked::Project).is_some() {
            "the project of this token was revoked"
        } else {
            return Ok(());
        };
        Err(RequestError::new(ErrorCode::TokenRevoked, what))
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, ProjectTable>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
