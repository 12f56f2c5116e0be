//! The bounds of this crate, and what happens at each.

use std::time::Duration;

/// Bytes of the largest datagram that is looked at; larger ones are ignored. Browsers stay below 1500:
/// 1461 is the most seen.
pub const DATAGRAM_MAX: usize = 2048;

/// Bytes one [`send`](crate::Endpoint::send) may carry, so that a record fits into a datagram of
/// [`DATAGRAM_MAX`] with the 37 bytes of header, nonce and tag. SCTP over DTLS stays below 1200
/// (RFC 8831 §5).
pub const SEND_MAX: usize = DATAGRAM_MAX - 64;

/// Datagrams that wait to be polled; a flight of ours is three at most. When full,
/// [`send`](crate::Endpoint::send) refuses, and a flight is cut as if the network had lost its end.
pub const SEND_QUEUE_LEN: usize = 16;

/// How long a flight waits for its answer before it is repeated the first time; doubles from there. Less than the second of RFC 6347
/// §4.2.4.1, as it allows where latency matters: ICE has just shown that the path works.
pub const FLIGHT_TIMEOUT: Duration = Duration::from_millis(200);

/// How long the whole handshake may take from the first ClientHello; then
/// [`TimedOut`](crate::Failed::TimedOut). As long as ICE consent lasts without renewal (RFC 7675 §5.1). A flight is repeated
/// seven times meanwhile.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The smallest [`mtu`](crate::Options::mtu): what IPv4 always carries (RFC 791), less headers.
pub const MTU_MIN: usize = 548;

/// Bytes of a ClientHello; a longer one is not put together. Chrome's has 1700 with its ML-KEM share.
pub const HELLO_LEN_MAX: usize = 8192;

/// Bytes of a peer's Certificate message, a chain if it likes; longer ones are not put together. A self-signed one has 300 to 900.
pub const CERTIFICATES_LEN_MAX: usize = 16 * 1024;

/// Bytes of a client's key share of DTLS 1.2; the longest, on P-384, has 98.
pub const KEY_EXCHANGE_LEN_MAX: usize = 512;

/// Bytes of a client's signature of DTLS 1.2: RSA with 8192 bits, and what is around it.
pub const VERIFY_LEN_MAX: usize = 1024 + 4;

/// Messages of one number that are kept while the peer has not shown who it is, as many whole ones and as many with parts missing; the
/// oldest makes room. One sender has one of each: this is how many others may write in its name at the same time before they
/// push it out, until it repeats its flight. At worst 150 KB for each handshake.
pub const VARIANTS_MAX: usize = 3;

/// ClientHellos that are answered at the same time, some 10 KiB each. A further one takes the place of one that is older than
/// [`CANDIDATE_AGE_MIN`], or is ignored until it is repeated.
pub const CANDIDATES_MAX: usize = 4;

/// How long the answer to a ClientHello keeps its place: a round trip, and a repetition.
pub const CANDIDATE_AGE_MIN: Duration = Duration::from_secs(1);

/// ClientHellos that are answered without pause, and the pause before each further one: each costs a key exchange and a signature. What comes
/// too soon is ignored, until it is repeated.
pub const HELLO_BURST: u32 = 4;
/// See [`HELLO_BURST`].
pub const HELLO_INTERVAL: Duration = Duration::from_millis(250);

/// ClientHellos that were refused and are known again when they are repeated, which then costs nothing. The oldest makes room.
pub const REFUSED_MAX: usize = 8;

/// Signatures of the expected certificate that are verified without pause, and the pause before each further one, while the peer has not
/// shown who it is. An honest handshake needs one, or one for each answer that is open ([`CANDIDATES_MAX`]). One takes up to 0.8 ms (P-384), so
/// this is also the most that one datagram can ask for.
pub const SIGNATURE_BURST: u32 = 4;
/// See [`SIGNATURE_BURST`].
pub const SIGNATURE_INTERVAL: Duration = Duration::from_millis(100);

/// The same for signatures of another certificate, which are verified only to report at once that the peer has a wrong one. Anybody can send
/// them who writes the peer's address into a datagram.
pub const FOREIGN_SIGNATURE_BURST: u32 = 1;
/// See [`FOREIGN_SIGNATURE_BURST`].
pub const FOREIGN_SIGNATURE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a handshake goes on after something that would end it, if only it were certain who has sent it. An honest client repeats
/// its flight two or three times meanwhile.
pub const VERDICT_DELAY: Duration = Duration::from_secs(3);

/// How long a cookie is valid; at least this long, at most twice. Within this time a client has to repeat its ClientHello.
pub const COOKIE_LIFETIME: Duration = Duration::from_secs(30);
