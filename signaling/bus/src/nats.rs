//! The bus over NATS.
//!
//! Written for nats-server 2.9 and later. The client's own `create_key_value` fails on 2.9, so the stream of a
//! bucket is made here, by the conventions of NATS: `nats kv` reads it. Nothing depends on a JetStream watch,
//! which may be silent for seconds after a reconnect: readers subscribe to the bucket's subject and read all
//! entries again after each connection.

use crate::limits::{
    BUCKET_ENTRIES_MAX, CLIENT_QUEUE_LEN, CONNECT_TIMEOUT, LOG_INTERVAL, NATS_PING_INTERVAL,
    PUBLISH_QUEUE_LEN, RECONNECT_PAUSE_MAX, SEND_TIMEOUT, STORE_TIMEOUT, SUBSCRIPTION_LEN,
};
use crate::message::{BusError, Counts, Inbox, Message, Subscription, bucket_subject};
use async_nats::connection::State;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy, push};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions, ServerAddr};
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// How to reach NATS.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NatsOptions {
    /// The servers, such as `nats://127.0.0.1:4222`; `tls://` requires TLS. Name and password may be in the
    /// URL.
    pub servers: Vec<String>,
    /// A file of credentials (`.creds`).
    pub credentials: Option<PathBuf>,
    /// The name of this client, in NATS's own lists of connections.
    pub name: String,
}

/// The connection to NATS, and its queue.
#[derive(Debug)]
pub(crate) struct Nats {
    client: Client,
    queue: mpsc::Sender<(String, Bytes)>,
    shared: Arc<Shared>,
    /// Buckets that this process has created or found.
    buckets: Mutex<BTreeSet<String>>,
}

/// What the callbacks of the client count and report.
#[derive(Debug)]
struct Shared {
    connections: watch::Sender<u64>,
    published: AtomicU64,
    dropped_away: AtomicU64,
    dropped_full: AtomicU64,
    slow: Arc<AtomicU64>,
    last_warning: Mutex<Option<Instant>>,
}

impl fmt::Debug for NatsOptions {
    /// Without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(|url| without_password(url)).collect();
        f.debug_struct("NatsOptions")
            .field("servers", &servers)
            .field("credentials", &self.credentials)
            .field("name", &self.name)
            .finish()
    }
}

impl NatsOptions {
    /// Checks the options without connecting.
    pub fn check(&self) -> Result<(), BusError> {
        self.addresses()?;
        self.connecting().map(drop)
    }

    /// The servers that are given by an IP address.
    pub fn ips(&self) -> Vec<IpAddr> {
        let addresses = self.addresses().unwrap_or_default();
        addresses.iter().filter_map(|address| address.host().trim_matches(['[', ']']).parse().ok()).collect()
    }

    fn addresses(&self) -> Result<Vec<ServerAddr>, BusError> {
        let address = |text: &String| text.parse().map_err(|_| BusError::Url(without_password(text)));
        let addresses = self.servers.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() { Err(BusError::Url(String::new())) } else { Ok(addresses) }
    }

    fn connecting(&self) -> Result<ConnectOptions, BusError> {
        let connecting = ConnectOptions::new()
            .name(&self.name)
            .retry_on_initial_connect()
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(NATS_PING_INTERVAL)
            .request_timeout(Some(STORE_TIMEOUT))
            .client_capacity(CLIENT_QUEUE_LEN)
            .subscription_capacity(SUBSCRIPTION_LEN)
            .reconnect_delay_callback(|attempts| {
                let pause =
                    Duration::from_millis(50).saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX));
                pause.min(RECONNECT_PAUSE_MAX)
            });
        let Some(path) = &self.credentials else { return Ok(connecting) };
        let text = std::fs::read_to_string(path);
        let used = text.and_then(|text| connecting.credentials(&text));
        used.map_err(|source| BusError::Credentials { path: path.display().to_string(), source })
    }
}

impl Nats {
    pub(crate) async fn start(options: &NatsOptions) -> Result<Arc<Self>, BusError> {
        let (servers, connecting) = (options.addresses()?, options.connecting()?);
        let shared = Arc::new(Shared {
            connections: watch::channel(0).0,
            published: AtomicU64::new(0),
            dropped_away: AtomicU64::new(0),
            dropped_full: AtomicU64::new(0),
            slow: Arc::default(),
            last_warning: Mutex::default(),
        });
        let on_event = shared.clone();
        let connecting = connecting.event_callback(move |event| {
            on_event.on_event(&event);
            std::future::ready(())
        });
        let client = connecting.connect(servers).await.map_err(BusError::Client)?;
        let (queue, queued) = mpsc::channel(PUBLISH_QUEUE_LEN);
        tokio::spawn(send(client.clone(), queued, shared.clone()));
        Ok(Arc::new(Self { client, queue, shared, buckets: Mutex::default() }))
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.shared.connections.subscribe()
    }

    pub(crate) fn counts(&self) -> Counts {
        let Shared { published, dropped_away, dropped_full, slow, .. } = &*self.shared;
        Counts {
            published: published.load(Ordering::Relaxed),
            dropped_away: dropped_away.load(Ordering::Relaxed),
            dropped_full: dropped_full.load(Ordering::Relaxed),
            slow: slow.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn publish(&self, subject: &str, payload: Bytes) {
        if !self.is_connected() {
            self.shared.drop_away();
        } else if self.queue.try_send((subject.to_owned(), payload)).is_err() {
            self.shared.drop_full();
        }
    }

    /// Waits until what was published has left this process, at most twice [`SEND_TIMEOUT`].
    pub(crate) async fn flush(&self) {
        let sent = async {
            while self.queue.capacity() < self.queue.max_capacity() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(SEND_TIMEOUT, sent).await;
        if self.is_connected() {
            let _ = timeout(SEND_TIMEOUT, self.client.flush()).await;
        }
    }

    /// A message that is longer than the bound.
    pub(crate) fn drop_long(&self) {
        self.shared.drop_full();
    }

    pub(crate) async fn subscribe(&self, filter: &str) -> Subscription {
        let (inbox, subscription) = Inbox::new();
        let (client, filter, slow) = (self.client.clone(), filter.to_owned(), self.shared.slow.clone());
        let (known, is_known) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            // While NATS is away, the client keeps the subscription for the next connection.
            let mut messages = match client.subscribe(filter.clone()).await {
                Ok(messages) => messages,
                Err(error) => return tracing::error!(filter, %error, "cannot subscribe"),
            };
            if client.connection_state() == State::Connected {
                // So that a message which is sent after this call arrives.
                let _ = timeout(STORE_TIMEOUT, client.flush()).await;
            }
            let _ = known.send(());
            loop {
                tokio::select! {
                    () = inbox.closed() => return,
                    message = messages.next() => {
                        let Some(message) = message else { return };
                        let subject = message.subject.to_string();
                        inbox.deliver(Message { subject, payload: message.payload }, &slow);
                    }
                }
            }
        });
        let _ = is_known.await;
        subscription
    }

    pub(crate) async fn put(
        &self,
        bucket: &str,
        key: &str,
        value: Bytes,
        max_age: Duration,
    ) -> Result<(), BusError> {
        if !self.is_connected() {
            return Err(BusError::Away);
        }
        let stored = within(STORE_TIMEOUT * 3, self.store(bucket, key, value, max_age)).await;
        if stored.is_err() {
            // The bucket may have been deleted.
            self.buckets().remove(bucket);
        }
        stored
    }

    async fn store(&self, bucket: &str, key: &str, value: Bytes, max_age: Duration) -> Result<(), BusError> {
        let jetstream = self.jetstream();
        if !self.buckets().contains(bucket) {
            ensure_bucket(&jetstream, bucket, max_age).await?;
            self.buckets().insert(bucket.to_owned());
        }
        let sent = jetstream.publish(bucket_subject(bucket, key), value).await.map_err(store_error)?;
        sent.await.map(|_| ()).map_err(store_error)
    }

    pub(crate) async fn read_all(&self, bucket: &str) -> Result<Vec<Bytes>, BusError> {
        if !self.is_connected() {
            return Err(BusError::Away);
        }
        within(STORE_TIMEOUT * 5, read_all(&self.jetstream(), bucket)).await
    }

    fn jetstream(&self) -> jetstream::Context {
        let mut jetstream = jetstream::new(self.client.clone());
        jetstream.set_timeout(STORE_TIMEOUT);
        jetstream
    }

    fn buckets(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is queued, in order. One message waits at most [`SEND_TIMEOUT`].
async fn send(client: Client, mut queued: mpsc::Receiver<(String, Bytes)>, shared: Arc<Shared>) {
    while let Some((subject, payload)) = queued.recv().await {
        // Otherwise the client would keep it and send it late.
        let sent = client.connection_state() == State::Connected
            && matches!(timeout(SEND_TIMEOUT, client.publish(subject, payload)).await, Ok(Ok(())));
        if sent {
            shared.published.fetch_add(1, Ordering::Relaxed);
        } else {
            shared.drop_away();
        }
    }
}

/// Creates the stream of a bucket, or gives an existing one a longer lifetime for its entries.
/// `get_or_create_stream` alone would silently keep the lifetime of an existing one.
async fn ensure_bucket(
    jetstream: &jetstream::Context,
    bucket: &str,
    max_age: Duration,
) -> Result<(), BusError> {
    let wanted = stream_config(bucket, max_age);
    let stream = jetstream.get_or_create_stream(wanted.clone()).await.map_err(store_error)?;
    let found = stream.cached_info().config.max_age;
    // Zero is without an end.
    if !found.is_zero() && found < max_age {
        jetstream.update_stream(&wanted).await.map_err(store_error)?;
        tracing::info!(bucket, seconds = max_age.as_secs(), "the entries of this bucket live longer now");
    }
    Ok(())
}

/// What `nats kv add` makes: one value for each key.
fn stream_config(bucket: &str, max_age: Duration) -> stream::Config {
    stream::Config {
        name: stream_name(bucket),
        subjects: vec![bucket_subject(bucket, ">")],
        max_messages_per_subject: 1,
        max_age,
        duplicate_window: max_age.min(Duration::from_secs(120)),
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        discard: stream::DiscardPolicy::New,
        storage: stream::StorageType::File,
        num_replicas: 1,
        max_bytes: -1,
        max_messages: -1,
        max_message_size: -1,
        max_consumers: -1,
        ..stream::Config::default()
    }
}

fn stream_name(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// The last value of each key.
async fn read_all(jetstream: &jetstream::Context, bucket: &str) -> Result<Vec<Bytes>, BusError> {
    let stream = match jetstream.get_stream(stream_name(bucket)).await {
        Ok(stream) => stream,
        // Until the first entry there is no bucket.
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(store_error(error)),
    };
    let config = push::OrderedConfig {
        deliver_subject: jetstream.client().new_inbox(),
        filter_subject: bucket_subject(bucket, ">"),
        deliver_policy: DeliverPolicy::LastPerSubject,
        replay_policy: ReplayPolicy::Instant,
        ..push::OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(store_error)?;
    let mut values = Vec::new();
    if consumer.cached_info().num_pending == 0 {
        return Ok(values);
    }
    let mut messages = consumer.messages().await.map_err(store_error)?;
    while let Some(message) = messages.next().await {
        let message = message.map_err(store_error)?;
        let pending = message.info().map_err(store_error)?.pending;
        // A deleted entry has no content.
        if !message.payload.is_empty() {
            values.push(message.payload.clone());
        }
        if values.len() >= BUCKET_ENTRIES_MAX && pending > 0 {
            tracing::error!(
                bucket,
                pending,
                "more than {BUCKET_ENTRIES_MAX} entries: the others are ignored"
            );
            break;
        }
        if pending == 0 {
            break;
        }
    }
    Ok(values)
}

fn is_absent(error: &jetstream::context::GetStreamError) -> bool {
    use jetstream::context::GetStreamErrorKind;
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.code() == 404)
}

async fn within<T>(time: Duration, work: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    let late = || BusError::Store(format!("no answer within {} s", time.as_secs()));
    timeout(time, work).await.unwrap_or_else(|_| Err(late()))
}

fn store_error(error: impl Display) -> BusError {
    BusError::Store(error.to_string())
}

/// A URL for an error message: what is before the host may be a password.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        (None, Some((_, rest))) => format!("…@{rest}"),
        (_, None) => url.to_owned(),
    }
}

impl Shared {
    fn on_event(&self, event: &async_nats::Event) {
        match event {
            async_nats::Event::Connected => {
                self.connections.send_modify(|count| *count += 1);
                let dropped = self.dropped_away.load(Ordering::Relaxed);
                tracing::info!(eventsDropped = dropped, "connected to NATS");
            }
            async_nats::Event::Disconnected => {
                tracing::warn!("lost the connection to NATS; until it returns, events are dropped");
            }
            // The queue of the client for a subscription is as long as ours.
            async_nats::Event::SlowConsumer(_) => _ = self.slow.fetch_add(1, Ordering::Relaxed),
            async_nats::Event::ServerError(error) => self.warn(&error.to_string()),
            async_nats::Event::ClientError(error) => self.warn(&error.to_string()),
            async_nats::Event::LameDuckMode | async_nats::Event::Draining | async_nats::Event::Closed => {}
        }
    }

    fn drop_away(&self) {
        self.dropped_away.fetch_add(1, Ordering::Relaxed);
    }

    fn drop_full(&self) {
        self.dropped_full.fetch_add(1, Ordering::Relaxed);
        self.warn("the queue is full or the message is too long: an event is dropped");
    }

    /// Logs at most once in [`LOG_INTERVAL`].
    fn warn(&self, why: &str) {
        let mut last = self.last_warning.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            *last = Some(Instant::now());
            tracing::warn!(reason = why, "trouble with NATS");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_contain_no_password() {
        for (url, shown) in [
            ("nats://u:p@host:4222", "nats://…@host:4222"),
            ("u:p@host", "…@host"),
            ("http://host", "http://host"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
