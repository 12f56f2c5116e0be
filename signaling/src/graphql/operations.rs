//! Counts the operations of WebSockets: of one user, and of all.

use super::requester::Requester;
use crate::limits;
use crate::request_error::RequestError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The operations that run.
#[derive(Debug, Default)]
pub(super) struct Operations {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// By project and user.
    by_user: HashMap<(String, String), usize>,
}

/// One operation, until it is dropped.
#[derive(Debug)]
pub(super) struct OperationPermit {
    of: Arc<Operations>,
    user: Option<(String, String)>,
}

impl Operations {
    /// Counts one more operation. In development mode there are no users, and it counts among all only.
    pub(super) fn acquire(self: &Arc<Self>, requester: &Requester) -> Result<OperationPermit, RequestError> {
        let mut counts = self.counts();
        if counts.all >= limits::GRAPHQL_OPERATIONS_MAX {
            return Err(RequestError::limit(format!(
                "this server has {} operations, which is its limit",
                limits::GRAPHQL_OPERATIONS_MAX
            )));
        }
        let user = requester.user();
        if let Some(user) = &user {
            let count = counts.by_user.entry(user.clone()).or_default();
            if *count >= limits::GRAPHQL_OPERATIONS_PER_USER {
                return Err(RequestError::limit(format!(
                    "this user has {} operations, which is the limit",
                    limits::GRAPHQL_OPERATIONS_PER_USER
                )));
            }
            *count += 1;
        }
        counts.all += 1;
        Ok(OperationPermit { of: self.clone(), user })
    }

    /// Number of operations.
    pub(super) fn count(&self) -> usize {
        self.counts().all
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OperationPermit {
    fn drop(&mut self) {
        let mut counts = self.of.counts();
        counts.all -= 1;
        let Some(user) = &self.user else { return };
        if let Some(count) = counts.by_user.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                counts.by_user.remove(user);
            }
        }
    }
}
