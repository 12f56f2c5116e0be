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
}

impl NotificationLog {
    /// An empty log. `id` is a random number.
    pub(super) fn new(id: u64) -> Self {
        Self { id, last: 0, kept: VecDeque::new() }
    }

    /// Keeps an encoded notification, and returns it with its number.
    pub(super) fn push(&mut self, signal: Bytes) -> Bytes {
        self.last += 1;
        if self.kept.len() == limits::NOTIFICATIONS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(signal.clone());
        numbered(&signal, self.last)
    }

    /// The place after the last notification.
    pub(super) fn position(&self) -> NotificationPosition {
        NotificationPosition { log: self.id, number: self.last }
    }

    /// Gives up what is kept: a client that missed any of it needs a snapshot.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// The notifications after `seen`, with their numbers; `None` if one of them is not kept any more, if they
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
mod tests {
    use super::*;
    use crate::proto::{PeerLeft, Signal, signal::Payload};
    use crate::protocol::encode;
    use prost::Message;

    fn notification(peer: usize) -> Bytes {
        encode(Payload::PeerLeft(PeerLeft { peer_id: peer.to_string() }))
    }

    fn read(signals: &[Bytes]) -> Vec<(u64, String)> {
        let read = |signal: &Bytes| {
            let Signal { notification, payload, .. } = Signal::decode(signal.as_ref()).expect("a Signal");
            match payload {
                Some(Payload::PeerLeft(left)) => (notification, left.peer_id),
                other => panic!("{other:?}"),
            }
        };
        signals.iter().map(read).collect()
    }

    /// The notifications after a number of the log with the id 7.
    fn after(log: &NotificationLog, number: u64) -> Option<Vec<Bytes>> {
        log.after(&NotificationPosition { log: 7, number })
    }

    #[test]
    fn missed_notifications_come_in_order_with_their_numbers() {
        let mut log = NotificationLog::new(7);
        let sent: Vec<_> = (1..=5).map(|peer| log.push(notification(peer))).collect();
        assert_eq!(read(&sent)[4], (5, "5".into()));
        assert_eq!(after(&log, 2).map(|missed| read(&missed)), Some(read(&sent[2..])));
        assert_eq!((after(&log, 5), log.position().number), (Some(Vec::new()), 5));
        assert_eq!(after(&log, 6), None, "a number that was never given");
        assert_eq!(after(&log, u64::MAX), None);
        assert_eq!(log.after(&NotificationPosition { log: 8, number: 5 }), None, "of a former process");
    }

    #[test]
    fn a_client_that_missed_more_than_is_kept_needs_a_snapshot() {
        let mut log = NotificationLog::new(7);
        (0..limits::NOTIFICATIONS_KEPT + 1).for_each(|peer| _ = log.push(notification(peer)));
        assert_eq!(after(&log, 0), None);
        assert_eq!(after(&log, 1).map(|missed| missed.len()), Some(limits::NOTIFICATIONS_KEPT));
        let last = log.position().number;
        log.forget();
        assert_eq!(after(&log, last - 1), None);
        assert_eq!(after(&log, last), Some(Vec::new()));
    }

    #[test]
    fn notifications_that_do_not_fit_into_the_queue_need_a_snapshot() {
        let mut log = NotificationLog::new(7);
        let long = encode(Payload::PeerLeft(PeerLeft { peer_id: "x".repeat(limits::REPLAY_BYTES_MAX / 3) }));
        (0..4).for_each(|_| _ = log.push(long.clone()));
        assert_eq!(after(&log, 0), None);
        assert_eq!(after(&log, 2).map(|missed| missed.len()), Some(2));
    }
}
