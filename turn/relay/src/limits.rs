//! Every bound of the relay: why it is what it is, and what happens when it is reached.

use std::time::Duration;

/// Allocations of one worker. More are refused (486). Each has a socket, and perhaps a second.
pub const ALLOCATIONS_MAX: usize = 8_192;

/// Relay sockets of one worker: two for each allocation, and those that are reserved. One more is refused (508).
pub const SOCKETS_MAX: usize = 2 * ALLOCATIONS_MAX;

/// Permissions of one allocation: the addresses of the peers of a large meeting without a media server. More are refused (508).
pub const PERMISSIONS_MAX: usize = 128;

/// Channels of one allocation; as many. More are refused (508).
pub const CHANNELS_MAX: usize = 128;

/// Peers in one CreatePermission request. More are refused (400): each costs a look into the policy.
pub const PEERS_PER_REQUEST_MAX: usize = 32;

/// Ports that wait for whoever has their token. Another is refused (508).
pub const RESERVATIONS_MAX: usize = 256;

/// Connections with peers over TCP of one worker: its clients' connections are bounded as well, and each of these wants one. Another is
/// refused (508), or closed if it was the peer's wish.
pub const STREAMS_MAX: usize = 1_024;

/// How long a peer may take to answer, and then the client to join a connection (RFC 6062 §5.2, §5.3: 30 seconds at least). After it
/// the connection is closed.
pub const STREAM_PATIENCE: Duration = Duration::from_secs(30);

/// How long a reserved port waits (RFC 8656 §7.2: 30 seconds at least).
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// How long an allocation lives that asks for nothing (RFC 8656 §3.2).
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(600);

/// How long an allocation lives at most without a refresh (RFC 8656 §7.2 recommends an hour).
pub const LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// How long a permission lives (RFC 8656 §9: exactly so).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// How long a channel lives (RFC 8656 §12: exactly so).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// How long a nonce is good (RFC 8656 §5: at most an hour). A client with an older one is told a new one and asks again.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(3600);

/// Bytes of a user name (RFC 8489 §14.3). A longer one is no user's.
pub const USERNAME_LEN_MAX: usize = 508;

/// Bytes of a realm: every challenge carries it, so that it should be short. A longer one is refused at start.
pub const REALM_LEN_MAX: usize = 127;

/// Bytes of a shared secret or a password. A longer one is refused at start.
pub const SECRET_LEN_MAX: usize = 256;

/// Shared secrets that are good at a time: the one in use, and the one before or after it.
pub const SECRETS_MAX: usize = 2;

/// Users with a password of their own. More are refused at start: large services mint credentials.
pub const USERS_MAX: usize = 10_000;

/// Exceptions from what peers may not be. More are refused at start: each is looked at for every peer that the rules refuse.
pub const ALLOWED_MAX: usize = 64;

/// Bytes per second that strangers of one source get beyond those that they sent, by default. 400 clients behind one address whose
/// questions come at once, each for two allocations with an address looked up before each, get 29 kB beyond their questions, which is
/// less than the burst of twice this. Somebody who forges the address of another makes that one get 32 kB/s more than the forger
/// sends itself.
pub const EXCESS_BYTES_PER_SECOND: u32 = 32_000;

/// The least that an operator may choose: of what two seconds bring, the longest answer to a stranger can be paid.
pub const EXCESS_BYTES_PER_SECOND_MIN: u32 = ANSWER_BYTES_MAX as u32;

/// Cells of the table that counts answers to strangers. Sources whose hash is the same share one, and so a share of answers;
/// with a secret hash nobody can choose with whom. 64 KiB.
pub const THROTTLE_CELLS: usize = 4_096;
const _: () = assert!(THROTTLE_CELLS.is_power_of_two());

/// Events that wait to be taken. Beyond, the newest are lost and counted: they are for people to read.
pub const EVENTS_MAX: usize = 1_024;

/// Bytes of any answer: realm, nonce, two relayed addresses and the integrity. A longer one would not be written.
pub const ANSWER_BYTES_MAX: usize = 512;
const _: () = assert!(ANSWER_BYTES_MAX > 300 + REALM_LEN_MAX);

/// Unknown attributes that a 420 lists (RFC 8489 §6.3.1), two bytes for each of at least four in the request. Of a request with more, those
/// beyond are left out.
pub const UNKNOWN_ATTRIBUTES_MAX: usize = 128;
const _: () = assert!(ANSWER_BYTES_MAX > 100 + 2 * UNKNOWN_ATTRIBUTES_MAX);

/// Clients of one worker over DTLS, some 10 KiB each. Beyond, a ClientHello with a valid cookie is not answered.
pub const DTLS_CLIENTS_MAX: usize = 4_096;

/// Those of them that have not finished their handshake: at worst 250 KB each. All have shown by a cookie that they receive at their address.
/// Beyond, a ClientHello is not answered, until one of them has finished or has run into its timeout.
pub const DTLS_HALF_OPEN_MAX: usize = 128;

/// Those of them from one IPv4 address or IPv6 /64: a host that begins handshakes and leaves them leaves places for others. An office whose clients
/// connect at the same moment gets these many at a time; the others repeat their ClientHello.
pub const DTLS_HALF_OPEN_PER_ADDRESS_MAX: usize = DTLS_HALF_OPEN_MAX / 4;

/// Clients of one worker over DTLS from one IPv4 address or IPv6 /64: a school of 400 browsers with two transports each. Beyond, as with
/// [`DTLS_CLIENTS_MAX`]: whoever keeps handshakes open has no need of an allocation for it.
pub const DTLS_CLIENTS_PER_ADDRESS_MAX: usize = DTLS_CLIENTS_MAX / 4;

/// How long a client over DTLS that has no allocation may be silent.
pub const DTLS_IDLE_MAX: Duration = Duration::from_secs(30);

/// Between two looks for such clients.
pub const DTLS_SWEEP_INTERVAL: Duration = Duration::from_secs(5);
