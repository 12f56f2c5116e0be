//! What the handlers of the HTTP API work on: the rooms, the accounts, and the rates.

use super::Problem;
use super::accounts::AccountsApi;
use super::idempotency::IdempotencyStore;
use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::rooms::Rooms;
use crate::token_bucket::TokenBuckets;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use stores::accounts::Accounts;

/// The HTTP API.
pub struct ApiService {
    pub(super) rooms: Arc<Rooms>,
    /// `None` without a database.
    pub(super) accounts: Option<Arc<AccountsApi>>,
    pub(super) idempotency: Arc<IdempotencyStore>,
    requests: Mutex<TokenBuckets>,
    /// By project.
    passwords: Mutex<TokenBuckets<String>>,
}

impl ApiService {
    /// For these rooms, and accounts if there are any.
    pub fn new(rooms: Arc<Rooms>, accounts: Option<Arc<AccountsApi>>) -> Arc<Self> {
        let requests = TokenBuckets::new(
            limits::API_REQUESTS_PER_ADDRESS_PER_SECOND,
            limits::API_REQUESTS_PER_ADDRESS_BURST,
        );
        let passwords = TokenBuckets::new(limits::API_PASSWORDS_PER_SECOND, limits::API_PASSWORDS_BURST);
        Arc::new(Self {
            rooms,
            accounts,
            idempotency: Arc::default(),
            requests: Mutex::new(requests),
            passwords: Mutex::new(passwords),
        })
    }

    /// Counts a request of an address.
    pub(super) fn count(&self, address: IpAddr) -> Result<(), Problem> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests
            .take(address, Instant::now())
            .map_err(|pause| Problem::limit("too many requests from this address; try again later", pause))
    }

    /// Counts a password that is hashed for a project.
    pub(super) fn count_password(&self, project: &str) -> Result<(), Problem> {
        let mut passwords = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        passwords
            .take_of(project.to_owned(), Instant::now())
            .map_err(|pause| Problem::limit("too many new passwords in this project; try again later", pause))
    }

    /// The store of accounts.
    pub(super) fn store(&self) -> Result<&Accounts, Problem> {
        self.accounts.as_ref().map(|accounts| accounts.store()).ok_or_else(|| {
            let text = "this server has no accounts: start it with --data-dir or --database";
            RequestError::new(ErrorCode::StoreUnavailable, text).retry_after(limits::QUOTA_PAUSE).into()
        })
    }
}
