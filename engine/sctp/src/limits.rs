//! The bounds of this crate, and what happens at each.

use std::time::Duration;

/// Bytes of the longest message in both directions. [`send`](crate::Association::send) refuses a longer one;
/// one that a peer sends ends the association, because SDP has announced this size (RFC 8841 §6).
pub const MESSAGE_LEN_MAX: usize = 256 * 1024;

/// Bytes of messages that an association holds for sending, until the peer has acknowledged them. Beyond,
/// [`send`](crate::Association::send) refuses with [`Full`](crate::SendError::Full). Eight messages of the
/// longest kind: 16 Mbit/s with a round trip of one second.
pub const SEND_BUFFER_MAX: usize = 2 * 1024 * 1024;

/// Messages that an association holds for sending, whatever their length; each takes some 100 bytes besides
/// its payload. Beyond, [`send`](crate::Association::send) refuses with [`Full`](crate::SendError::Full).
pub const SEND_MESSAGES_MAX: usize = 8192;

/// Bytes of messages in the library that are not sent yet, below which the next message is chosen. What is in
/// the library cannot be overtaken by a channel of higher priority; so this is small, and at least one packet.
pub const FEED_TARGET: usize = 4 * 1024;

/// DATA chunks that are sent and not acknowledged, above which no message is chosen; one of [`MESSAGE_LEN_MAX`]
/// may exceed it by its own. The library looks at each of them whenever it is asked for packets, for 0.1 to 0.2 µs.
/// A path with a round trip of 50 ms carries 6 MB/s of long messages.
pub const IN_FLIGHT_MAX: u32 = 256;

/// DATA chunks of which the round trip is measured at the same time. Those beyond are not measured.
pub const TIMED_MAX: usize = 256;

/// Bytes that a channel may always have in the send buffer while it is not full: one message of the longest kind.
/// See [`SEND_BUFFER_SHARED`].
pub const LANE_BUFFER_MIN: usize = MESSAGE_LEN_MAX;

/// The part of the send buffer that channels may fill beyond their shares, which are in proportion to their
/// priorities: half of it. The rest is for channels that have less than their share.
pub const SEND_BUFFER_SHARED: usize = SEND_BUFFER_MAX / 2;

/// Packets that wait to be polled, above which no more are made until the caller has polled them. One message
/// of [`MESSAGE_LEN_MAX`] may exceed it. Answers to the peer are polled first, and that many may wait.
pub const PACKETS_TARGET: usize = 32;

/// The receive window, in bytes: what the library stores of messages that are incomplete, or that the caller
/// has not polled. Four messages of the longest kind: without interleaving (RFC 8260) a peer sends one at a
/// time. When full, the peer pauses.
pub const RECEIVE_WINDOW: usize = 4 * MESSAGE_LEN_MAX;

/// Bytes of received messages that wait as events. Above, messages stay in the library, and the receive window
/// closes; one message of [`MESSAGE_LEN_MAX`] may exceed it.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Events that wait to be polled, above which no message is read from the library. Events of the association
/// and of channels are always stored: at most two of each channel.
pub const EVENTS_MAX: usize = 1024;

/// DATA chunks that the library may hold for reassembly. Its work for a chunk grows with their number, and
/// their memory is that of the packets in which they arrived: 2 MB at most. Beyond, only the chunk that fills
/// the oldest gap is accepted and the others count as lost; if there is no gap either, a message consists of
/// more fragments than this, which no correct sender makes, and the association ends.
pub const FRAGMENTS_MAX: usize = 1024;

/// How far the TSN of a DATA chunk may be ahead of the last one without a gap. Beyond, the chunk counts as lost.
pub const TSN_WINDOW: u32 = 2048;

/// DATA chunks of one packet that are handled; the others count as lost. A packet of 1200 bytes has space for
/// 42 messages of ten bytes.
pub const DATA_CHUNKS_MAX: usize = 64;

/// Chunks of one packet; a packet with more is discarded.
pub const CHUNKS_MAX: usize = 128;

/// Bytes of one packet: the longest datagram of DTLS. A longer one is discarded.
pub const PACKET_LEN_MAX: usize = 2048;

/// The smallest [`packet_len_max`](crate::Settings::packet_len_max): the minimum of IPv4 (RFC 791), less
/// headers of IP, UDP and DTLS.
pub const PACKET_LEN_MIN: usize = 508;

/// Streams of an association, and so channels: ids are below. As in browsers, which announce at most 1024.
/// Data of a stream beyond is acknowledged and discarded.
pub const STREAMS_MAX: u16 = 1024;

/// Bytes of a channel's label or protocol. A longer one is refused by
/// [`open`](crate::Association::open); a peer's channel with a longer one is reset.
pub const LABEL_LEN_MAX: usize = 1024;

/// Bytes of a State Cookie (RFC 9260 §5.1.3) of a peer; an INIT ACK with a longer one is discarded. usrsctp's
/// has some 400.
pub const COOKIE_LEN_MAX: usize = 1024;

/// How long the DTLS server waits for the peer's INIT before it sends one: more than a usual round trip, because
/// some peers cannot handle an INIT that crosses theirs. Less than the second after which browsers repeat an
/// INIT that has come too early.
pub const START_DELAY: Duration = Duration::from_millis(300);

/// The first timeout of INIT, COOKIE ECHO and DATA, doubled each further time up to [`RTO_MAX`]. Less than
/// RFC 9260 §16 recommends, because ICE has just shown that the path works.
pub const RTO_INITIAL: Duration = Duration::from_millis(500);

/// The shortest retransmission timeout: twice the delay of a peer's SACK (RFC 9260 §6.2).
pub const RTO_MIN: Duration = Duration::from_millis(400);

/// The longest one: a path that was interrupted, or a peer that was paused, is used again within this time.
pub const RTO_MAX: Duration = Duration::from_secs(3);

/// INITs, or COOKIE ECHOs, without an answer before the association
/// [ends](crate::Failed::HandshakeTimedOut): after half a minute.
pub const HANDSHAKE_ATTEMPTS_MAX: u32 = 12;
