//! Data channels that are opened by messages (DCEP, RFC 8832), on the transport of a client of the SDP flow: plain
//! data. What happens to it is in [`super::negotiation`].

use crate::limits;
use crate::sdp::DataParameters;
use crate::token_bucket::TokenBucket;
use control::DataProducerId;
use std::collections::BTreeSet;
use std::time::Instant;

/// A transport with an accepted section of data channels.
#[derive(Debug)]
pub(super) struct Dcep {
    /// What the client accepts.
    pub(super) parameters: DataParameters,
    /// Whether the engine is the DTLS client.
    pub(super) is_client: bool,
    /// Data producers whose channel the client has closed, or that cannot be consumed.
    pub(super) refused: BTreeSet<DataProducerId>,
    /// Bounds the channels that the client opens.
    pub(super) openings: TokenBucket,
}

impl Dcep {
    pub(super) fn new(parameters: DataParameters, is_client: bool) -> Self {
        let (rate, burst) = (limits::CHANNELS_OPENED_PER_SECOND, limits::CHANNELS_OPENED_BURST);
        let openings = TokenBucket::new(rate, burst, Instant::now());
        Self { parameters, is_client, refused: BTreeSet::new(), openings }
    }

    /// Whether this side may open a channel on a stream (RFC 8832 §6).
    pub(super) fn opens(&self, stream: u16) -> bool {
        stream.is_multiple_of(2) == self.is_client
    }
}
