//! Which stream of its producer a consumer follows.

/// One life of one stream of the producer: its index, and how often its SSRC has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Index among the producer's streams.
    pub stream: u8,
    /// [`Stream::epoch`](crate::ingress::stream::Stream::epoch).
    pub epoch: u32,
}
