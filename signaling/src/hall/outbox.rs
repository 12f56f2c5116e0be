//! What waits to be sent to one client.

use crate::limits;
use crate::proto::{self, Signal, signal::Payload};
use bytes::Bytes;
use prost::Message;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// One connection, by number. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// The sending end of a connection. When it ends, the other end closes the socket.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: Arc<Mutex<Option<mpsc::Sender<Bytes>>>>,
}

impl Outbox {
    /// An outbox, and the queue it fills. `None` from the queue means: close the socket.
    pub fn new() -> (Self, mpsc::Receiver<Bytes>) {
        let (sender, receiver) = mpsc::channel(limits::OUTBOX_LEN);
        (Self { sender: Arc::new(Mutex::new(Some(sender))) }, receiver)
    }

    /// Queues an encoded signal. A client that has let the queue fill up is let go of: it will come back and be told
    /// how things stand then.
    pub fn send(&self, signal: Bytes) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.as_ref().is_some_and(|sender| sender.try_send(signal).is_err()) {
            *sender = None;
        }
    }

    /// Closes the socket once everything queued has been sent.
    pub fn end(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Notifications that leave together.
#[derive(Debug, Default)]
pub struct Batch {
    signals: Vec<Bytes>,
    bytes: usize,
}

impl Batch {
    /// Adds an encoded signal.
    pub fn push(&mut self, signal: Bytes) {
        self.bytes += signal.len();
        self.signals.push(signal);
    }

    /// Whether it should not wait for more.
    pub fn is_full(&self) -> bool {
        self.bytes >= limits::BATCH_BYTES_MAX
    }

    /// All of it as one signal, which leaves it empty; a single one is itself.
    pub fn take(&mut self) -> Option<Bytes> {
        self.bytes = 0;
        if self.signals.len() <= 1 {
            return self.signals.pop();
        }
        let signals = self.signals.drain(..).map(Into::into).collect();
        Some(encode(Payload::Batch(proto::Batch { signals })))
    }
}

/// The bytes of a signal of ours.
pub fn encode(payload: Payload) -> Bytes {
    Signal { version: crate::SIGNAL_VERSION.into(), payload: Some(payload) }.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Ack;

    #[test]
    fn one_is_itself_and_several_are_a_batch() {
        let signal = |room: &str| {
            encode(Payload::JoinRoom(proto::JoinRoom { room: room.into(), ..Default::default() }))
        };
        let mut batch = Batch::default();
        assert_eq!(batch.take(), None);
        batch.push(signal("a"));
        assert_eq!(batch.take(), Some(signal("a")));
        batch.push(signal("a"));
        batch.push(signal("b"));
        let taken = Signal::decode(batch.take().expect("two")).expect("a Signal");
        let signals: Vec<Vec<u8>> = ["a", "b"].map(|room| signal(room).into()).into();
        assert_eq!(taken.payload, Some(Payload::Batch(proto::Batch { signals })));
        assert!(!batch.is_full() && batch.take().is_none());
        batch.push(vec![0; limits::BATCH_BYTES_MAX].into());
        assert!(batch.is_full());
    }

    #[tokio::test]
    async fn a_client_that_does_not_keep_up_is_let_go_of() {
        let (outbox, mut queue) = Outbox::new();
        let signal = encode(Payload::Ack(Ack {}));
        for _ in 0..limits::OUTBOX_LEN + 10 {
            outbox.send(signal.clone());
        }
        let mut sent = 0;
        while queue.recv().await.is_some() {
            sent += 1;
        }
        assert_eq!(sent, limits::OUTBOX_LEN, "what was queued goes out, and then the socket closes");
    }
}
