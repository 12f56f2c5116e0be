//! Every bound of the relay: the reason for its value, and what happens when it is reached.

use std::time::Duration;

/// Allocations of one worker. Further ones are refused (486). Each has one or two sockets.
pub const ALLOCATIONS_MAX: usize = 8_192;

/// Relay sockets of one worker: two for each allocation, and the reserved ones. Further ones are refused
/// (508).
pub const SOCKETS_MAX: usize = 2 * ALLOCATIONS_MAX;

/// Permissions of one allocation: the addresses of the peers of a large meeting without a media server.
/// Further ones are refused (508).
pub const PERMISSIONS_MAX: usize = 128;

/// Channels of one allocation; the same number. Further ones are refused (508).
pub const CHANNELS_MAX: usize = 128;

/// Peers in one CreatePermission request. More are refused (400): the policy is checked for each.
pub const PEERS_PER_REQUEST_MAX: usize = 32;

/// Reserved ports. Further ones are refused (508).
pub const RESERVATIONS_MAX: usize = 256;

/// Connections with peers over TCP of one worker: its clients' connections are bounded as well, and each of
/// these needs one. A further one is refused (508), or closed if the peer opened it.
pub const STREAMS_MAX: usize = 1_024;

/// The time in which a peer must answer, and then the client must join a connection (RFC 6062 §5.2, §5.3: 30
/// seconds at least). After it the connection is closed.
pub const STREAM_PATIENCE: Duration = Duration::from_secs(30);

/// The lifetime of a reserved port (RFC 8656 §7.2: 30 seconds at least).
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// The lifetime of an allocation whose client requests none (RFC 8656 §3.2).
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(600);

/// The maximum lifetime of an allocation without a refresh (RFC 8656 §7.2 recommends an hour).
pub const LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// The lifetime of a permission (RFC 8656 §9: exactly this).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// The lifetime of a channel (RFC 8656 §12: exactly this).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// The lifetime of a nonce (RFC 8656 §5: at most an hour). A client with an older one gets a new one and
/// repeats its request.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(3600);

/// Length of a user name in bytes (RFC 8489 §14.3). A longer one belongs to no user.
pub const USERNAME_LEN_MAX: usize = 508;

/// Length of a realm in bytes: every challenge contains it, so it should be short. A longer one is refused at
/// start.
pub const REALM_LEN_MAX: usize = 127;

/// Length of a shared secret or a password in bytes. A longer one is refused at start.
pub const SECRET_LEN_MAX: usize = 256;

/// Shared secrets that are valid at a time: the one in use, and the one before or after it.
pub const SECRETS_MAX: usize = 2;

/// Users with a password. More are refused at start: large services mint credentials.
pub const USERS_MAX: usize = 10_000;

/// Bytes per second, beyond the bytes received, that are sent to unauthenticated clients of one source, by
/// default. 400 clients behind one address that all send at once (each for two allocations, with a Binding
/// request before each) get 29 kB beyond their requests, which is less than the burst of twice this. A sender
/// that forges the address of another host makes it receive 32 kB/s more than the sender sends itself.
pub const EXCESS_BYTES_PER_SECOND: u32 = 32_000;

/// The minimum that an operator may choose: two seconds of it allow the longest answer to an unauthenticated
/// client.
pub const EXCESS_BYTES_PER_SECOND_MIN: u32 = ANSWER_BYTES_MAX as u32;

/// Users with revoked credentials of one worker, until their credentials have expired. With more, the
/// allocations of a further user end, but the server does not refuse new ones; this is counted.
pub const REVOKED_MAX: usize = 16_384;

/// Cells of the table that counts answers to unauthenticated clients. Sources with the same hash share a cell
/// and its bytes; because the hash is keyed, no source can choose its cell. 64 KiB.
pub const THROTTLE_CELLS: usize = 4_096;
const _: () = assert!(THROTTLE_CELLS.is_power_of_two());

/// Events in the queue. Beyond this, the newest are lost and counted: they are for people to read.
pub const EVENTS_MAX: usize = 1_024;

/// Length of any response in bytes: realm, nonce, two relayed addresses and the integrity. A longer one would
/// not be written.
pub const ANSWER_BYTES_MAX: usize = 512;
const _: () = assert!(ANSWER_BYTES_MAX > 300 + REALM_LEN_MAX);

/// Unknown attributes that a 420 lists (RFC 8489 §6.3.1), two bytes for each of at least four in the request.
/// Further ones are left out.
pub const UNKNOWN_ATTRIBUTES_MAX: usize = 128;
const _: () = assert!(ANSWER_BYTES_MAX > 100 + 2 * UNKNOWN_ATTRIBUTES_MAX);

/// Clients of one worker over DTLS, some 10 KiB each. Beyond this, a ClientHello with a valid cookie is not
/// answered.
pub const DTLS_CLIENTS_MAX: usize = 4_096;

/// Of these, clients with an unfinished handshake: at worst 250 KB each. All have proved by a cookie that
/// they receive at their address. Beyond this, a ClientHello is not answered until a handshake has finished
/// or has timed out.
pub const DTLS_HALF_OPEN_MAX: usize = 128;

/// Of these, clients from one IPv4 address or IPv6 /64, so that a host with unfinished handshakes leaves
/// places for others. An office whose clients connect at the same moment gets this many at a time; the others
/// repeat their ClientHello.
pub const DTLS_HALF_OPEN_PER_ADDRESS_MAX: usize = DTLS_HALF_OPEN_MAX / 4;

/// Clients of one worker over DTLS from one IPv4 address or IPv6 /64: a school of 400 browsers with two
/// transports each. Beyond this, as with [`DTLS_CLIENTS_MAX`]. A connection counts even without an
/// allocation.
pub const DTLS_CLIENTS_PER_ADDRESS_MAX: usize = DTLS_CLIENTS_MAX / 4;

/// The maximum silence of a client over DTLS without an allocation.
pub const DTLS_IDLE_MAX: Duration = Duration::from_secs(30);

/// The interval of checks for such clients.
pub const DTLS_SWEEP_INTERVAL: Duration = Duration::from_secs(5);
