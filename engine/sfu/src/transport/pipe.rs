//! A transport without a peer: its producers come from another worker.

use crate::base::slots::Slot;
use crate::limits;
use bytes::Bytes;
use control::CreatePipe;
use machine::WorkerId;
use std::collections::VecDeque;

/// A transport without a peer: its producers come from another worker.
#[derive(Debug)]
pub struct Pipe {
    /// The command that created it: distinguishes a repetition from a contradiction.
    pub spec: CreatePipe,
    /// Its data producers.
    pub data_producers: Vec<Slot>,
    /// What has arrived of their messages, in order.
    queue: VecDeque<Piped>,
    queued_bytes: usize,
}

/// Something of a data producer that waits for its delivery.
#[derive(Debug)]
pub enum Piped {
    /// A message.
    Message {
        /// The data producer.
        producer: Slot,
        /// Text or binary.
        kind: sctp::Kind,
        /// May be empty.
        payload: Bytes,
    },
    /// The data producer is closed: its consumers close after its last message.
    End {
        /// The data producer.
        producer: Slot,
    },
}

impl Pipe {
    /// Without producers.
    pub fn new(spec: CreatePipe) -> Self {
        Self { spec, data_producers: Vec::new(), queue: VecDeque::new(), queued_bytes: 0 }
    }

    /// The worker of its producers.
    pub fn origin(&self) -> WorkerId {
        WorkerId(self.spec.worker)
    }

    /// Queues a message or an end. False if there is no room: it is lost.
    pub fn push(&mut self, piped: Piped) -> bool {
        let len = piped.len();
        let has_room = self.queue.len() < limits::PIPED_MESSAGES_MAX
            && self.queued_bytes + len <= limits::PIPED_BYTES_MAX;
        if has_room {
            self.queued_bytes += len;
            self.queue.push_back(piped);
        }
        has_room
    }

    /// Takes the oldest one.
    pub fn pop(&mut self) -> Option<Piped> {
        let piped = self.queue.pop_front()?;
        self.queued_bytes -= piped.len();
        Some(piped)
    }

    /// Whether something waits.
    pub fn has_data(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl Piped {
    fn len(&self) -> usize {
        match self {
            Self::Message { payload, .. } => payload.len(),
            Self::End { .. } => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{RouterId, TransportId};

    #[test]
    fn messages_wait_in_order_and_those_beyond_the_bounds_are_refused() {
        let mut pipe = Pipe::new(CreatePipe { router: RouterId(1), transport: TransportId(1), worker: 1 });
        let message = |byte, len| Piped::Message {
            producer: Slot::from_bits(1),
            kind: sctp::Kind::Binary,
            payload: Bytes::from(vec![byte; len]),
        };
        assert!(pipe.push(message(1, limits::PIPED_BYTES_MAX)));
        assert!(!pipe.push(message(2, 1)));
        assert!(pipe.push(message(3, 0)));
        assert!(matches!(pipe.pop(), Some(Piped::Message { payload, .. }) if payload[0] == 1));
        assert!(matches!(pipe.pop(), Some(Piped::Message { payload, .. }) if payload.is_empty()));
        assert!(!pipe.has_data());
        let taken = (0..2 * limits::PIPED_MESSAGES_MAX).filter(|_| pipe.push(message(4, 1)));
        assert_eq!(taken.count(), limits::PIPED_MESSAGES_MAX);
    }
}
