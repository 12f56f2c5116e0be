//! What both implementations of the bus share: messages, queues for subscribers, counts and errors.

use crate::limits::SUBSCRIPTION_LEN;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Why an entry was not stored or read, or the bus could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A URL of NATS that is not valid.
    #[error("{0:?} is not an address of NATS: expected nats://HOST:PORT or tls://HOST:PORT")]
    Url(String),
    /// The file of credentials cannot be used.
    #[error("{path}: cannot use these credentials of NATS")]
    Credentials {
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The client could not be made.
    #[error("cannot make a client of NATS")]
    Client(#[source] async_nats::ConnectError),
    /// NATS is not connected.
    #[error("NATS is not connected")]
    Away,
    /// JetStream has refused or has not answered; then the entry may have been stored.
    #[error("JetStream: {0}")]
    Store(String),
}

/// What the bus has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were sent.
    pub published: u64,
    /// Messages that were dropped because NATS was not connected or did not read.
    pub dropped_away: u64,
    /// Messages that were dropped because the queue to NATS was full, or that were too long.
    pub dropped_full: u64,
    /// Messages that were lost because a subscriber of this process was slow.
    pub slow: u64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// Its content.
    pub payload: Bytes,
}

/// The subject of an entry, by NATS's own convention for buckets. `>` as the key: of all entries.
pub(crate) fn bucket_subject(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// The messages for one subscriber. It ends when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    queue: mpsc::Receiver<Message>,
    lost: Arc<AtomicU64>,
}

impl Subscription {
    /// The next message. `None` after the end of the bus.
    pub async fn next(&mut self) -> Option<Message> {
        self.queue.recv().await
    }

    /// Messages that this subscriber has lost because it was slow.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The other end of a [`Subscription`].
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: mpsc::Sender<Message>,
    lost: Arc<AtomicU64>,
}

impl Inbox {
    pub(crate) fn new() -> (Self, Subscription) {
        let (sender, queue) = mpsc::channel(SUBSCRIPTION_LEN);
        let lost = Arc::new(AtomicU64::new(0));
        (Self { queue: sender, lost: lost.clone() }, Subscription { queue, lost })
    }

    /// Never waits: if the subscriber is too slow, the message is counted, here and in `slow`.
    pub(crate) fn deliver(&self, message: Message, slow: &AtomicU64) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(message) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.queue.is_closed()
    }

    /// Resolves when the subscription is dropped.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }
}
