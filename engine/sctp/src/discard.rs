//! What is discarded, and how often.

/// Why a packet or a chunk was discarded. Network noise, or a peer that breaks the protocol; the association
/// continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// Too short or too long, a length that does not fit, a wrong checksum, or too many chunks (RFC 9260 §3).
    Malformed,
    /// A verification tag or a port of another association (RFC 9260 §8.5).
    WrongAssociation,
    /// A handshake chunk that fits no state (RFC 9260 §5.2). Usually a repetition.
    UnexpectedHandshake,
    /// A chunk type, or a parameter of a RE-CONFIG, that is not supported.
    Unsupported,
    /// An ERROR chunk (RFC 9260 §3.3.10), which has no effect.
    PeerError,
    /// DATA beyond [`TSN_WINDOW`](crate::limits::TSN_WINDOW),
    /// [`FRAGMENTS_MAX`](crate::limits::FRAGMENTS_MAX) or
    /// [`DATA_CHUNKS_MAX`](crate::limits::DATA_CHUNKS_MAX), or without bytes. The peer retransmits it.
    DataBeyondLimits,
    /// DATA of a stream whose reset is not complete (RFC 6525 §5.1.2), or of a channel that we have closed.
    DataOfClosingChannel,
    /// DATA of a stream beyond [`STREAMS_MAX`](crate::limits::STREAMS_MAX).
    InvalidStream,
    /// A message of a stream that is no channel.
    MessageWithoutChannel,
    /// A message with a payload protocol that is not for data channels (RFC 8831 §8).
    UnknownProtocol,
    /// A DCEP message that is malformed, or not possible in the state of its channel (RFC 8832).
    InvalidDcep,
    /// A SACK of data that was not sent, or with gaps that are not in order (RFC 9260 §3.3.4).
    InvalidAck,
    /// A HEARTBEAT or a repeated handshake chunk that got no answer: the packet has got one, or
    /// [`PACKETS_TARGET`](crate::limits::PACKETS_TARGET) packets wait.
    ReplyBeyondLimits,
}

impl Discard {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::WrongAssociation,
        Self::UnexpectedHandshake,
        Self::Unsupported,
        Self::PeerError,
        Self::DataBeyondLimits,
        Self::DataOfClosingChannel,
        Self::InvalidStream,
        Self::MessageWithoutChannel,
        Self::UnknownProtocol,
        Self::InvalidDcep,
        Self::InvalidAck,
        Self::ReplyBeyondLimits,
    ];
}

/// A counter for each [`Discard`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Discarded {
    counts: [u64; Discard::ALL.len()],
    /// The counts that were taken.
    taken: [u64; Discard::ALL.len()],
    has_new: bool,
}

impl Discarded {
    pub(crate) fn add(&mut self, discard: Discard) {
        self.counts[discard as usize] += 1;
        self.has_new = true;
    }

    pub(crate) fn count(&self, discard: Discard) -> u64 {
        self.counts[discard as usize]
    }

    /// What was added since the last call.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (Discard, u64)> {
        let new = std::mem::take(&mut self.has_new).then(|| {
            let before = std::mem::replace(&mut self.taken, self.counts);
            let counts = self.counts;
            Discard::ALL
                .into_iter()
                .map(move |discard| (discard, counts[discard as usize] - before[discard as usize]))
        });
        new.into_iter().flatten().filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let mut discarded = Discarded::default();
        for (at, discard) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(discard as usize, at);
            discarded.add(discard);
            assert_eq!(discarded.count(discard), 1);
            assert_eq!(discarded.take().collect::<Vec<_>>(), [(discard, 1)]);
            assert_eq!(discarded.take().count(), 0);
        }
    }
}
