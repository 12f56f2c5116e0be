//! The bus inside one process: the default.

use crate::limits::{BUCKET_ENTRIES_MAX, SUBSCRIPTIONS_MAX};
use crate::message::{Inbox, Message, Subscription, bucket_subject};
use crate::subject::matches;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Delivers at once to the subscriptions that match.
#[derive(Debug, Default)]
pub(crate) struct InProcess {
    subscriptions: Mutex<Vec<(String, Inbox)>>,
    entries: Mutex<BTreeMap<(String, String), (Bytes, Instant)>>,
    pub(crate) published: AtomicU64,
    pub(crate) slow: AtomicU64,
}

impl InProcess {
    pub(crate) fn publish(&self, subject: &str, payload: Bytes) {
        self.published.fetch_add(1, Ordering::Relaxed);
        let mut subscriptions = lock(&self.subscriptions);
        subscriptions.retain(|(filter, inbox)| {
            if matches(filter, subject) {
                let message = Message { subject: subject.to_owned(), payload: payload.clone() };
                inbox.deliver(message, &self.slow);
            }
            inbox.is_open()
        });
    }

    /// Whether a message would reach a subscription.
    pub(crate) fn has_subscriptions(&self) -> bool {
        !lock(&self.subscriptions).is_empty()
    }

    pub(crate) fn subscribe(&self, filter: &str) -> Subscription {
        let (inbox, subscription) = Inbox::new();
        let mut subscriptions = lock(&self.subscriptions);
        subscriptions.retain(|(_, inbox)| inbox.is_open());
        if subscriptions.len() < SUBSCRIPTIONS_MAX {
            subscriptions.push((filter.to_owned(), inbox));
        } else {
            tracing::error!(
                filter,
                "the bus has {SUBSCRIPTIONS_MAX} subscriptions: a further one gets no messages"
            );
        }
        subscription
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, value: Bytes, max_age: Duration) {
        let now = Instant::now();
        let mut entries = lock(&self.entries);
        entries.retain(|_, (_, expires_at)| *expires_at > now);
        if entries.len() >= BUCKET_ENTRIES_MAX {
            let first = entries.iter().min_by_key(|(_, (_, expires_at))| *expires_at);
            if let Some(place) = first.map(|(place, _)| place.clone()) {
                entries.remove(&place);
            }
        }
        entries.insert((bucket.to_owned(), key.to_owned()), (value.clone(), now + max_age));
        drop(entries);
        self.publish(&bucket_subject(bucket, key), value);
    }

    pub(crate) fn read_all(&self, bucket: &str) -> Vec<Bytes> {
        let now = Instant::now();
        let entries = lock(&self.entries);
        let of_bucket =
            entries.iter().filter(|((name, _), (_, expires_at))| name == bucket && *expires_at > now);
        of_bucket.map(|(_, (value, _))| value.clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No critical section panics in the middle of a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
