//! The bounds of this crate, and what happens at each.

use std::time::Duration;

/// Bytes of the largest datagram that is looked at; larger ones are ignored. Browsers stay below 1500:
/// 1461 is the most seen.
pub const DATAGRAM_MAX: usize = 2048;

/// Bytes one [`send`](crate::Endpoint::send) may carry, so that a record fits into a datagram of
/// [`DATAGRAM_MAX`] with the 37 bytes of header, nonce and tag. SCTP over DTLS stays below 1200
/// (RFC 8831 §5).
pub const SEND_MAX: usize = DATAGRAM_MAX - 64;

/// Datagrams received out of order that wait for those before them. A browser's longest flight is three
/// or four; a peer that sends every record alone makes five, and leaves one behind with every repetition.
/// When full, the handshake fails ([`PeerOverrun`](crate::Failed::PeerOverrun)) and gives up its memory:
/// at worst 0.7 MB with DTLS 1.2 and 1.3 MB with 1.3, if the peer packs as many tiny fragments into
/// each as the library takes apart (measured; an honest handshake needs 20 KB). Only a peer that
/// signaling let in and ICE has validated can do that.
pub const RECEIVE_QUEUE_LEN: usize = 16;

/// Datagrams that wait to be polled; a flight of ours is two at most. When full,
/// [`send`](crate::Endpoint::send) refuses.
pub const SEND_QUEUE_LEN: usize = 16;

/// How long a flight waits for its answer before it is repeated the first time; doubles from there, with
/// a quarter of jitter. Less than the second of RFC 6347 §4.2.4.1, as it allows where latency matters:
/// ICE has just shown that the path works.
pub const FLIGHT_TIMEOUT: Duration = Duration::from_millis(200);

/// Repetitions of a flight: the last leaves 12.6 s after the first, give or take the jitter.
pub const FLIGHT_RETRIES: usize = 6;

/// How long the whole handshake may take from the first ClientHello; then
/// [`TimedOut`](crate::Failed::TimedOut). As long as ICE consent lasts without renewal (RFC 7675 §5.1).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The smallest [`mtu`](crate::Options::mtu): what IPv4 always carries (RFC 791), less headers.
pub const MTU_MIN: usize = 548;
