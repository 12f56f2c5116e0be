//! What both implementations of the bus do: messages by subject, and entries that expire.

use crate::event::Event;
use crate::in_process::InProcess;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{BusError, Counts, Subscription};
use crate::nats::{Nats, NatsOptions};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// The bus. A clone is the same bus.
#[derive(Clone, Debug)]
pub struct Bus(Implementation);

#[derive(Clone, Debug)]
enum Implementation {
    InProcess(Arc<InProcess>),
    Nats(Arc<Nats>),
}

impl Bus {
    /// A bus for this process alone.
    pub fn in_process() -> Self {
        Self(Implementation::InProcess(Arc::default()))
    }

    /// A bus over NATS. Connects in the background, now and after every loss; an error is one of the options.
    pub async fn nats(options: &NatsOptions) -> Result<Self, BusError> {
        Ok(Self(Implementation::Nats(Nats::start(options).await?)))
    }

    /// Sends an event. Never waits: an event that cannot be sent is dropped and counted.
    pub fn publish_event(&self, event: &Event) {
        // In process there is often no reader.
        if let Implementation::InProcess(bus) = &self.0
            && !bus.has_subscriptions()
        {
            return;
        }
        self.publish(&event.subject(), event.to_json().into());
    }

    /// Sends a message. Never waits: a message that cannot be sent is dropped and counted.
    pub fn publish(&self, subject: &str, payload: Bytes) {
        match &self.0 {
            Implementation::InProcess(bus) => bus.publish(subject, payload),
            Implementation::Nats(bus) if payload.len() > MESSAGE_BYTES_MAX => bus.drop_long(),
            Implementation::Nats(bus) => bus.publish(subject, payload),
        }
    }

    /// The messages whose subject matches the filter, after this call: `*` is any one word, `>` at the end is
    /// one or more words.
    pub async fn subscribe(&self, filter: &str) -> Subscription {
        match &self.0 {
            Implementation::InProcess(bus) => bus.subscribe(filter),
            Implementation::Nats(bus) => bus.subscribe(filter).await,
        }
    }

    /// Waits until what was published has left this process, at most a second: before the process ends.
    pub async fn flush(&self) {
        if let Implementation::Nats(bus) = &self.0 {
            bus.flush().await;
        }
    }

    /// Whether messages reach other processes at present. In process always.
    pub fn is_connected(&self) -> bool {
        match &self.0 {
            Implementation::InProcess(_) => true,
            Implementation::Nats(bus) => bus.is_connected(),
        }
    }

    /// Changes with every connection to NATS; `None` in process.
    pub(crate) fn connections(&self) -> Option<watch::Receiver<u64>> {
        match &self.0 {
            Implementation::InProcess(_) => None,
            Implementation::Nats(bus) => Some(bus.connections()),
        }
    }

    /// What the bus has done since its start.
    pub fn counts(&self) -> Counts {
        match &self.0 {
            Implementation::InProcess(bus) => Counts {
                published: bus.published.load(Ordering::Relaxed),
                slow: bus.slow.load(Ordering::Relaxed),
                ..Counts::default()
            },
            Implementation::Nats(bus) => bus.counts(),
        }
    }

    /// Stores an entry of a bucket for `max_age`, and sends it to the subscriptions of
    /// [`bucket_subject`](crate::message::bucket_subject). After an error it may have been stored: store it again.
    pub(crate) async fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        max_age: Duration,
    ) -> Result<(), BusError> {
        match &self.0 {
            Implementation::InProcess(bus) => {
                bus.put(bucket, key, value, max_age);
                Ok(())
            }
            Implementation::Nats(bus) => bus.put(bucket, key, value, max_age).await,
        }
    }

    /// The values of all entries of a bucket that have not expired.
    pub(crate) async fn read_all(&self, bucket: &str) -> Result<Vec<Bytes>, BusError> {
        match &self.0 {
            Implementation::InProcess(bus) => Ok(bus.read_all(bucket)),
            Implementation::Nats(bus) => bus.read_all(bucket).await,
        }
    }
}
