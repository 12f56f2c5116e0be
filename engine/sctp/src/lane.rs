//! One channel of an association: its state, and its messages that wait for the library.

use crate::channel::{Channel, Kind, Limit, Reliability};
use crate::limits::{LANE_BUFFER_MIN, SEND_BUFFER_MAX};
use bytes::Bytes;
use machine::Instant;
use sctp_proto::PayloadProtocolIdentifier as Protocol;
use std::collections::VecDeque;

/// In the order in which a channel passes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// We have opened it, and the peer has not confirmed: messages are ordered until then (RFC 8832 §6).
    Opening,
    Open,
    /// We have closed it, and its messages are still to be sent.
    Flushing,
    /// It is being reset.
    Resetting,
}

pub(crate) struct Lane {
    pub(crate) channel: Channel,
    pub(crate) state: State,
    pub(crate) is_negotiated: bool,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Bytes in the library, as of the last look.
    pub(crate) in_library: usize,
    /// The virtual time of the schedule at which the last message ended.
    pub(crate) next: u64,
    pub(crate) low: usize,
    pub(crate) is_above_low: bool,
}

/// A message that waits.
pub(crate) struct Queued {
    pub(crate) protocol: Protocol,
    pub(crate) payload: Bytes,
    pub(crate) deadline: Option<Instant>,
}

impl Lane {
    pub(crate) fn new(channel: Channel, state: State, is_negotiated: bool) -> Self {
        Self {
            channel,
            state,
            is_negotiated,
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_library: 0,
            next: 0,
            low: 0,
            is_above_low: false,
        }
    }

    /// Whether messages may be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Opening | State::Open)
    }

    pub(crate) fn buffered(&self) -> usize {
        self.queued_bytes + self.in_library
    }

    pub(crate) fn weight(&self) -> u64 {
        self.channel.priority.max(1).into()
    }

    /// Its share of the send buffer, if the priorities of all channels are `weights`.
    pub(crate) fn share(&self, weights: u64) -> usize {
        let share = SEND_BUFFER_MAX as u64 * self.weight() / weights.max(1);
        (share as usize).max(LANE_BUFFER_MIN)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    pub(crate) fn push(&mut self, now: Instant, kind: Kind, payload: Bytes) {
        let deadline = self.channel.reliability.limit.lifetime().map(|lifetime| now + lifetime);
        let (protocol, payload) = match (kind, payload.is_empty()) {
            (Kind::String, false) => (Protocol::String, payload),
            (Kind::Binary, false) => (Protocol::Binary, payload),
            // SCTP has no empty messages (RFC 8831 §6.6).
            (Kind::String, true) => (Protocol::StringEmpty, Bytes::from_static(&[0])),
            (Kind::Binary, true) => (Protocol::BinaryEmpty, Bytes::from_static(&[0])),
        };
        self.queued_bytes += payload.len();
        self.queue.push_back(Queued { protocol, payload, deadline });
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let queued = self.queue.pop_front()?;
        self.queued_bytes -= queued.payload.len();
        Some(queued)
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
    }

    /// The reliability of a message that leaves the queue now; `None` if it has expired there.
    pub(crate) fn remaining(&self, now: Instant, queued: &Queued) -> Option<Reliability> {
        let Reliability { is_unordered, limit } = self.channel.reliability;
        let limit = match (limit, queued.deadline) {
            (Limit::LifetimeMs(_), Some(deadline)) if deadline <= now => return None,
            (Limit::LifetimeMs(most), Some(deadline)) => {
                let left = deadline.saturating_since(now).as_nanos().div_ceil(1_000_000);
                Limit::LifetimeMs(u32::try_from(left).unwrap_or(most).min(most))
            }
            (limit, _) => limit,
        };
        Some(Reliability { is_unordered: is_unordered && self.state != State::Opening, limit })
    }
}

/// What a message of this payload protocol is: its kind, and whether it is empty.
pub(crate) fn kind_of(protocol: Protocol) -> Option<(Kind, bool)> {
    match protocol {
        Protocol::String => Some((Kind::String, false)),
        Protocol::Binary => Some((Kind::Binary, false)),
        Protocol::StringEmpty => Some((Kind::String, true)),
        Protocol::BinaryEmpty => Some((Kind::Binary, true)),
        _ => None,
    }
}
