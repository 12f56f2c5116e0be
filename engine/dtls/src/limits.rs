//! The bounds of this crate, and what happens at each.

use std::time::Duration;

/// Bytes of the largest accepted datagram; larger ones are ignored. Browsers stay below 1500: the largest
/// seen has 1461.
pub const DATAGRAM_MAX: usize = 2048;

/// Maximum bytes of one [`send`](crate::Endpoint::send), so that a record fits into a datagram of
/// [`DATAGRAM_MAX`] with the 37 bytes of header, nonce and tag. SCTP over DTLS stays below 1200 (RFC 8831
/// §5).
pub const SEND_MAX: usize = DATAGRAM_MAX - 64;

/// Datagrams that wait to be polled; a flight has at most three. When full, [`send`](crate::Endpoint::send)
/// refuses, and the end of a flight is dropped, as by a network.
pub const SEND_QUEUE_LEN: usize = 16;

/// How long a flight waits for its answer before it is first retransmitted; doubled each further time. Less
/// than the second of RFC 6347 §4.2.4.1, as it allows for low latency: ICE has just shown that the path
/// works.
pub const FLIGHT_TIMEOUT: Duration = Duration::from_millis(200);

/// Time limit of the whole handshake from the first ClientHello; then [`TimedOut`](crate::Failed::TimedOut).
/// As long as ICE consent lasts without renewal (RFC 7675 §5.1). A flight is retransmitted seven times in
/// this time.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// The smallest [`mtu`](crate::Options::mtu): the minimum of IPv4 (RFC 791), less headers.
pub const MTU_MIN: usize = 548;

/// Bytes of a ClientHello; a longer one is not assembled. Chrome's has 1700 with its ML-KEM share.
pub const HELLO_LEN_MAX: usize = 8192;

/// Bytes of a peer's Certificate message, with its chain; a longer one is not assembled. A self-signed one
/// has 300 to 900.
pub const CERTIFICATES_LEN_MAX: usize = 16 * 1024;

/// Bytes of a client's DTLS 1.2 key share; the longest, on P-384, has 98.
pub const KEY_EXCHANGE_LEN_MAX: usize = 512;

/// Bytes of a client's DTLS 1.2 signature: RSA with 8192 bits, and its header.
pub const VERIFY_LEN_MAX: usize = 1024 + 4;

/// Messages of one number that are kept until the peer has authenticated, as many complete as incomplete
/// ones; the oldest is replaced. One sender has one of each: so two attackers can send in its name at the
/// same time before they displace its message, until it repeats its flight. At worst 150 KB per handshake.
pub const VARIANTS_MAX: usize = 3;

/// ClientHellos that are answered at the same time, some 10 KiB each. A further one replaces one that is
/// older than [`CANDIDATE_AGE_MIN`], or is ignored until it is repeated.
pub const CANDIDATES_MAX: usize = 4;

/// How long the answer to a ClientHello is kept: a round trip, and a retransmission.
pub const CANDIDATE_AGE_MIN: Duration = Duration::from_secs(1);

/// ClientHellos that are answered without delay, and the interval before each further one: each costs a key
/// exchange and a signature. Earlier ones are ignored until they are repeated.
pub const HELLO_BURST: u32 = 4;
/// See [`HELLO_BURST`].
pub const HELLO_INTERVAL: Duration = Duration::from_millis(250);

/// Refused ClientHellos that are remembered, so that their repetition costs nothing. The oldest is replaced.
pub const REFUSED_MAX: usize = 8;

/// Signatures of the expected certificate that are verified without delay, and the interval before each
/// further one, until the peer has authenticated. A correct handshake needs one, or one for each open answer
/// ([`CANDIDATES_MAX`]). One takes up to 0.8 ms (P-384), so this also limits the work of one datagram.
pub const SIGNATURE_BURST: u32 = 4;
/// See [`SIGNATURE_BURST`].
pub const SIGNATURE_INTERVAL: Duration = Duration::from_millis(100);

/// The same for signatures of another certificate, which are verified only to report a wrong certificate at
/// once. Everyone who can forge the peer's source address can send them.
pub const FOREIGN_SIGNATURE_BURST: u32 = 1;
/// See [`FOREIGN_SIGNATURE_BURST`].
pub const FOREIGN_SIGNATURE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a handshake continues after a message that would end it, because its sender is not certain. A
/// correct client repeats its flight two or three times in this time.
pub const VERDICT_DELAY: Duration = Duration::from_secs(3);

/// How long a cookie is valid: at least this long, at most twice. A client must repeat its ClientHello within
/// this time.
pub const COOKIE_LIFETIME: Duration = Duration::from_secs(30);
