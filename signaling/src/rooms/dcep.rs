//! Data channels that are opened by messages (DCEP, RFC 8832), on the transport of a client of the SDP flow: plain
//! data. What happens to it is in [`super::negotiation`].

use crate::limits;
use crate::sdp::DataParameters;
use crate::token_bucket::TokenBucket;
use control::DataProducerId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A transport with an accepted section of data channels.
#[derive(Debug)]
pub(super) struct Dcep {
    /// What the client accepts.
    pub(super) parameters: DataParameters,
    /// Whether the engine is the DTLS client.
    pub(super) is_client: bool,
    /// Data producers whose channel the client has closed: they get no other one.
    pub(super) refused: BTreeSet<DataProducerId>,
    /// Data producers that the engine refused to consume, and how often.
    pub(super) failures: BTreeMap<DataProducerId, u32>,
    /// Bounds the channels that the client opens.
    pub(super) openings: TokenBucket,
}

impl Dcep {
    pub(super) fn new(parameters: DataParameters, is_client: bool) -> Self {
        let (rate, burst) = (limits::CHANNELS_OPENED_PER_SECOND, limits::CHANNELS_OPENED_BURST);
        let openings = TokenBucket::new(rate, burst, Instant::now());
        Self { parameters, is_client, refused: BTreeSet::new(), failures: BTreeMap::new(), openings }
    }

    /// The engine has refused to consume a data producer. Returns when to try again, if at all.
    pub(super) fn on_failure(&mut self, producer: DataProducerId) -> Option<Duration> {
        let count = self.failures.entry(producer).or_default();
        *count += 1;
        (*count < limits::CONSUME_DATA_ATTEMPTS_MAX).then_some(limits::CONSUME_DATA_PAUSE * *count)
    }

    /// Whether this side does not try to open a channel for a data producer any more.
    pub(super) fn gives_up(&self, producer: DataProducerId) -> bool {
        let failures = self.failures.get(&producer).copied().unwrap_or(0);
        self.refused.contains(&producer) || failures >= limits::CONSUME_DATA_ATTEMPTS_MAX
    }

    /// Whether this side may open a channel on a stream (RFC 8832 §6).
    pub(super) fn opens(&self, stream: u16) -> bool {
        stream.is_multiple_of(2) == self.is_client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_producer_that_fails_again_and_again_is_left_alone() {
        let mut dcep = Dcep::new(DataParameters { port: 5000, message_len_max: 0 }, false);
        let (failing, other) = (DataProducerId(1), DataProducerId(2));
        let pauses: Vec<_> = std::iter::from_fn(|| dcep.on_failure(failing)).collect();
        let expected = (1..limits::CONSUME_DATA_ATTEMPTS_MAX).map(|nth| limits::CONSUME_DATA_PAUSE * nth);
        assert_eq!(pauses, expected.collect::<Vec<_>>());
        assert!(dcep.gives_up(failing) && !dcep.gives_up(other));
        dcep.refused.insert(other);
        assert!(dcep.gives_up(other), "its channel was closed by the client");
    }
}
