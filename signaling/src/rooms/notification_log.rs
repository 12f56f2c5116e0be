//! The notifications of one peer, numbered, of which the last ones are kept: a client that lost its connection
//! gets those that it missed, in order, each exactly once.

use crate::limits;
use crate::proto::NotificationPosition;
use bytes::Bytes;
use prost::encoding::uint64;
use std::collections::VecDeque;

/// The field `Signal.notification`.
const FIELD: u32 = 100;

/// The notifications of one peer. The first has the number 1.
#[derive(Debug)]
pub(super) struct NotificationLog {
    /// Distinguishes the numbers of this log from those of a former process.
    id: u64,
    /// The last number that was given.
    last: u64,
    /// The last notifications, each a `Signal` without its number. Their bytes are shared with the other
    /// peers of the room.
    kept: VecDeque<Bytes>,
    /// Their bytes, with the overhead of a message each.
    kept_bytes: usize,
}

impl NotificationLog {
    /// An empty log. `id` is a random number.
    pub(super) fn new(id: u64) -> Self {
        Self { id, last: 0, kept: VecDeque::new(), kept_bytes: 0 }
    }

    /// Keeps an encoded notification, and returns it with its number.
    pub(super) fn push(&mut self, signal: Bytes) -> Bytes {
        self.last += 1;
        self.kept_bytes += signal.len() + limits::MESSAGE_OVERHEAD;
        self.kept.push_back(signal.clone());
        // More bytes than are sent again would never be used.
        while self.kept.len() > limits::NOTIFICATIONS_KEPT || self.kept_bytes > limits::REPLAY_BYTES_MAX {
            let Some(dropped) = self.kept.pop_front() else { break };
            self.kept_bytes -= dropped.len() + limits::MESSAGE_OVERHEAD;
        }
        numbered(&signal, self.last)
    }

    /// The place after the last notification.
    pub(super) fn position(&self) -> NotificationPosition {
        NotificationPosition { log: self.id, number: self.last }
    }

    /// Deletes what is kept: a client that missed any of it needs a snapshot.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
    }

    /// The notifications after `seen`, with their numbers; `None` if one of them is not kept, if they
    /// do not fit into the queue of a connection, or if `seen` is not a place in this log.
    pub(super) fn after(&self, seen: &NotificationPosition) -> Option<Vec<Bytes>> {
        if seen.log != self.id {
            return None;
        }
        let seen = seen.number;
        let missed = usize::try_from(self.last.checked_sub(seen)?).ok()?;
        let first = self.kept.len().checked_sub(missed)?;
        let missed = (seen + 1..).zip(self.kept.range(first..));
        let missed: Vec<_> = missed.map(|(number, signal)| numbered(signal, number)).collect();
        let bytes: usize = missed.iter().map(|signal| signal.len() + limits::MESSAGE_OVERHEAD).sum();
        (bytes <= limits::REPLAY_BYTES_MAX).then_some(missed)
    }
}

/// A `Signal` with its number: fields of a protobuf message may follow in any order.
fn numbered(signal: &Bytes, number: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(signal.len() + uint64::encoded_len(FIELD, &number));
    bytes.extend_from_slice(signal);
    uint64::encode(FIELD, &number, &mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests;
