//! The messages that wait to be sent to one client.

use crate::limits;
use crate::proto::{self, signal::Payload};
use crate::protocol::encode;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// The number of a connection. Not reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Number of bytes that wait to be sent to one client: in its queue, in that of Engine.IO, and between them.
/// A clone shares the count.
#[derive(Clone, Debug, Default)]
pub struct Outstanding(Arc<AtomicUsize>);

impl Outstanding {
    /// Counts a message until the returned value is dropped.
    pub fn count(&self, bytes: Bytes) -> Counted {
        let cost = bytes.len() + limits::MESSAGE_OVERHEAD;
        self.0.fetch_add(cost, Ordering::Relaxed);
        Counted { bytes, cost, of: self.clone(), acknowledges: None }
    }

    /// Whether the client is too far behind, so that its connection ends.
    pub fn is_over(&self) -> bool {
        self.bytes() > limits::OUTSTANDING_BYTES_MAX
    }

    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A message that is counted until it is dropped.
#[derive(Debug)]
pub struct Counted {
    bytes: Bytes,
    cost: usize,
    of: Outstanding,
    acknowledges: Option<u64>,
}

impl Counted {
    /// The number of the request to which this is the answer; `None` for a notification.
    pub fn acknowledges(&self) -> Option<u64> {
        self.acknowledges
    }

    /// Converts to `Bytes`, which are counted until the last clone is dropped.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// The sending half of a connection's queue. When it ends, the receiving half closes the connection.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: Arc<Mutex<Option<mpsc::Sender<Counted>>>>,
    outstanding: Outstanding,
    has_overflowed: Arc<AtomicBool>,
}

/// The receiving half of a connection's queue.
#[derive(Debug)]
pub struct Queue {
    receiver: mpsc::Receiver<Counted>,
    has_overflowed: Arc<AtomicBool>,
}

impl Outbox {
    /// Creates both halves.
    pub fn new() -> (Self, Queue) {
        let (sender, receiver) = mpsc::channel(limits::OUTBOX_LEN);
        let has_overflowed = Arc::<AtomicBool>::default();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let outbox =
            Self { sender, outstanding: Outstanding::default(), has_overflowed: has_overflowed.clone() };
        (outbox, Queue { receiver, has_overflowed })
    }

    /// Queues an encoded signal. A client that is too far behind loses its connection; after a resume,
    /// `Joined` has the complete state.
    pub fn send(&self, signal: Bytes) {
        self.queue(signal, None);
    }

    /// Queues the answer to a request behind the notifications before it. Returns whether the queue is open.
    pub fn answer(&self, request: u64, signal: Bytes) -> bool {
        self.queue(signal, Some(request))
    }

    fn queue(&self, signal: Bytes, acknowledges: Option<u64>) -> bool {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = sender.as_ref() else { return false };
        let mut counted = self.outstanding.count(signal);
        counted.acknowledges = acknowledges;
        if self.outstanding.is_over() || open.try_send(counted).is_err() {
            self.has_overflowed.store(true, Ordering::Relaxed);
            *sender = None;
        }
        true
    }

    /// Closes the connection after all queued signals are sent.
    pub fn end(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The bytes that wait to be sent to this client.
    pub fn outstanding(&self) -> &Outstanding {
        &self.outstanding
    }
}

impl Queue {
    /// Waits for the next signal; `None`: close the connection.
    pub async fn recv(&mut self) -> Option<Counted> {
        self.receiver.recv().await
    }

    /// The next signal, if there is one.
    pub fn try_recv(&mut self) -> Option<Counted> {
        self.receiver.try_recv().ok()
    }

    /// Whether the client was too far behind: then the connection is closed at once.
    pub fn has_overflowed(&self) -> bool {
        self.has_overflowed.load(Ordering::Relaxed)
    }
}

/// Notifications that are sent together.
#[derive(Debug, Default)]
pub struct Batch {
    signals: Vec<Counted>,
    bytes: usize,
}

impl Batch {
    /// Adds an encoded signal.
    pub fn push(&mut self, signal: Counted) {
        self.bytes += signal.as_ref().len();
        self.signals.push(signal);
    }

    /// Whether it should be sent at once.
    pub fn is_full(&self) -> bool {
        self.bytes >= limits::BATCH_BYTES_MAX
    }

    /// Takes all signals as one `Batch`; a single signal is returned as it is.
    pub fn take(&mut self) -> Option<Counted> {
        self.bytes = 0;
        if self.signals.len() <= 1 {
            return self.signals.pop();
        }
        let of = self.signals[0].of.clone();
        let signals = self.signals.iter().map(|signal| signal.as_ref().to_vec()).collect();
        let batch = of.count(encode(Payload::Batch(proto::Batch { signals })));
        self.signals.clear();
        Some(batch)
    }
}

#[cfg(test)]
mod tests;
