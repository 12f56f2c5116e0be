//! What waits to be sent to one client.

use crate::limits;
use crate::proto::{self, signal::Payload};
use crate::protocol::encode;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// One connection, by number. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// Bytes on their way to one client: in its queue, in Engine.IO's, and in neither yet. Cloning it gives another handle to the same count.
#[derive(Clone, Debug, Default)]
pub struct Outstanding(Arc<AtomicUsize>);

impl Outstanding {
    /// Counts a message until the value returned is dropped.
    pub fn count(&self, bytes: Bytes) -> Counted {
        let cost = bytes.len() + limits::MESSAGE_OVERHEAD;
        self.0.fetch_add(cost, Ordering::Relaxed);
        Counted { bytes, cost, of: self.clone() }
    }

    /// Whether the client is so far behind that its connection ends.
    pub fn is_over(&self) -> bool {
        self.bytes() > limits::OUTSTANDING_BYTES_MAX
    }

    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A message that counts as outstanding until it is dropped.
#[derive(Debug)]
pub struct Counted {
    bytes: Bytes,
    cost: usize,
    of: Outstanding,
}

impl Counted {
    /// The same as `Bytes`, which count until the last of them is dropped.
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

/// The sending end of a connection's queue. When it ends, the other end closes the connection.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: Arc<Mutex<Option<mpsc::Sender<Counted>>>>,
    outstanding: Outstanding,
    has_overflowed: Arc<AtomicBool>,
}

/// The receiving end of a connection's queue.
#[derive(Debug)]
pub struct Queue {
    receiver: mpsc::Receiver<Counted>,
    has_overflowed: Arc<AtomicBool>,
}

impl Outbox {
    /// An outbox, and the queue it fills.
    pub fn new() -> (Self, Queue) {
        let (sender, receiver) = mpsc::channel(limits::OUTBOX_LEN);
        let has_overflowed = Arc::<AtomicBool>::default();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let outbox =
            Self { sender, outstanding: Outstanding::default(), has_overflowed: has_overflowed.clone() };
        (outbox, Queue { receiver, has_overflowed })
    }

    /// Queues an encoded signal. A client that is too far behind loses its connection: when it comes back, `Joined` has it all.
    pub fn send(&self, signal: Bytes) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = sender.as_ref() else { return };
        let counted = self.outstanding.count(signal);
        if self.outstanding.is_over() || open.try_send(counted).is_err() {
            self.has_overflowed.store(true, Ordering::Relaxed);
            *sender = None;
        }
    }

    /// Closes the connection once everything queued has been sent.
    pub fn end(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is on its way to this client.
    pub fn outstanding(&self) -> &Outstanding {
        &self.outstanding
    }
}

impl Queue {
    /// The next signal; `None`: close the connection.
    pub async fn recv(&mut self) -> Option<Counted> {
        self.receiver.recv().await
    }

    /// The next signal, if one is there.
    pub fn try_recv(&mut self) -> Option<Counted> {
        self.receiver.try_recv().ok()
    }

    /// Whether the client was too far behind: then the connection closes at once.
    pub fn has_overflowed(&self) -> bool {
        self.has_overflowed.load(Ordering::Relaxed)
    }
}

/// Notifications that leave together.
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

    /// Whether it should not wait for more.
    pub fn is_full(&self) -> bool {
        self.bytes >= limits::BATCH_BYTES_MAX
    }

    /// All of it as one signal, which leaves it empty; a single one is itself.
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
mod tests {
    use super::*;
    use crate::proto::{Ack, Signal};
    use prost::Message;

    #[test]
    fn one_is_itself_and_several_are_a_batch() {
        let outstanding = Outstanding::default();
        let signal = |room: &str| {
            encode(Payload::JoinRoom(proto::JoinRoom { room: room.into(), ..Default::default() }))
        };
        let counted = |room: &str| outstanding.count(signal(room));
        let mut batch = Batch::default();
        assert!(batch.take().is_none());
        batch.push(counted("a"));
        assert_eq!(batch.take().expect("one").as_ref(), signal("a"));
        batch.push(counted("a"));
        batch.push(counted("b"));
        let taken = Signal::decode(batch.take().expect("two").as_ref()).expect("a Signal");
        let signals: Vec<Vec<u8>> = ["a", "b"].map(|room| signal(room).into()).into();
        assert_eq!(taken.payload, Some(Payload::Batch(proto::Batch { signals })));
        assert!(!batch.is_full() && batch.take().is_none());
        batch.push(outstanding.count(vec![0; limits::BATCH_BYTES_MAX].into()));
        assert!(batch.is_full());
    }

    #[test]
    fn a_message_counts_until_its_last_copy_is_dropped() {
        let (outbox, mut queue) = Outbox::new();
        outbox.send(vec![0; 1_000].into());
        let cost = 1_000 + limits::MESSAGE_OVERHEAD;
        assert_eq!(outbox.outstanding().bytes(), cost);
        let bytes = queue.try_recv().expect("queued").into_bytes();
        let copy = bytes.slice(1..2);
        drop(bytes);
        assert_eq!(outbox.outstanding().bytes(), cost);
        drop(copy);
        assert_eq!(outbox.outstanding().bytes(), 0);
    }

    #[tokio::test]
    async fn a_client_that_is_too_far_behind_loses_its_connection() {
        // By number, and by bytes.
        for signal in [encode(Payload::Ack(Ack {})), vec![0; 64 * 1024].into()] {
            let (outbox, mut queue) = Outbox::new();
            let mut sent = 0;
            while !queue.has_overflowed() {
                outbox.send(signal.clone());
                sent += 1;
                assert!(sent <= limits::OUTBOX_LEN + 1, "the queue is bounded");
                assert!(outbox.outstanding().bytes() <= limits::OUTSTANDING_BYTES_MAX + signal.len());
            }
            while queue.recv().await.is_some() {}
            assert_eq!(outbox.outstanding().bytes(), 0);
        }
        let (outbox, mut queue) = Outbox::new();
        outbox.send(encode(Payload::Ack(Ack {})));
        outbox.end();
        assert!(queue.recv().await.is_some() && queue.recv().await.is_none());
        assert!(!queue.has_overflowed(), "what was queued goes out, and then the connection closes");
    }
}
