//! The stream of its producer that a consumer follows.

/// One epoch of one stream of the producer: its index, and the number of changes of its SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Index among the producer's streams.
    pub stream: u8,
    /// [`Stream::epoch`](crate::ingress::stream::Stream::epoch).
    pub epoch: u32,
}
