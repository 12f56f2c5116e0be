//! Every bound of a shard: the reason for its value, and what happens when it is reached.

use std::time::Duration;

/// Instructions of one call: a datagram, a message of another worker, a command, or one transport's timers.
/// Tests check every handler against it (`tests/work`, counted), and so do simulations and the shard's fuzzer
/// (in steps).
pub const WORK_PER_CALL: u64 = 150_000;

/// … plus this for each consumer or other object of the call: a packet encrypted, or an object closed and
/// reported.
pub const WORK_PER_OBJECT: u64 = 20_000;

/// Instructions to send one consumer the packets after the start of a keyframe ([`CATCH_UP_PACKETS_MAX`],
/// [`KEYFRAME_CACHED_LEN_MAX`]), in addition to the rest of the call: none of these packets has been sent to
/// it before. Without a pacer all of them are encrypted in that call.
pub const WORK_PER_CATCH_UP: u64 = 1_200_000;

/// Instructions for one packet of SCTP, or for the timer after it, in addition to the rest of the call: the library
/// looks at each chunk that it holds (1024 `FRAGMENTS_MAX`) for each of the packet (64 `DATA_CHUNKS_MAX`), and at each
/// that is in flight (256 `IN_FLIGHT_MAX`) for each gap of a SACK. About a millisecond; only a peer that sends such
/// packets on purpose reaches it.
pub const WORK_PER_SCTP_PACKET: u64 = 5_000_000;

/// Bytes of a datagram, or of one frame of a TCP connection: the MTU of Ethernet. A longer one was
/// reassembled by IP, or comes from an incorrect sender; it could not be forwarded to a consumer behind an
/// MTU, and the work for one datagram grows with its length. It is dropped and counted.
pub const DATAGRAM_LEN_MAX: usize = 1500;

/// Statuses of transport-wide feedback per datagram: 100 ms at 5,000 packets a second, and the maximum of our
/// own feedback. Those beyond count as unmatched, and their packets as neither arrived nor lost.
pub const STATUSES_PER_DATAGRAM: usize = 512;

/// Missing packets that one datagram may request. Browsers request packets as soon as they are missing, at
/// most a burst. Those beyond are ignored, and counted as over budget; the peer requests them again.
pub const LOSSES_PER_DATAGRAM: usize = 48;

/// Streams for which one datagram may request a keyframe. Further requests are dropped; receivers repeat them
/// until a keyframe arrives.
pub const KEYFRAME_REQUESTS_PER_DATAGRAM: usize = 64;

/// Packets that are retransmitted at once for one datagram. More wait in the transport's pacer; without a
/// pacer, they are not sent, and are counted as over budget.
pub const RESENDS_PER_DATAGRAM: usize = 8;

/// Packets that a transport's pacer releases in one call: more than its rate allows within [`TIMEOUT_PAUSE`].
/// The rest is released in the next call.
pub const RELEASED_PER_TIMEOUT: usize = 20;

/// Missing packets that are checked in one call for one transport, of all its streams; the stream with which
/// the bound is reached is checked completely. The other streams follow in the next call.
pub const REPAIRS_PER_TIMEOUT: usize = NACK_PENDING_MAX;

/// Interval between two calls for a transport whose work did not fit into the first: time for the others.
pub const TIMEOUT_PAUSE: Duration = Duration::from_millis(1);

/// Compound packets of transport-wide feedback in one call: three contain everything in a
/// [`Recorder`](rtcp::twcc::Recorder). The rest follows with the next feedback.
pub const TWCC_PER_TIMEOUT: usize = 4;

/// Routers whose speakers are checked in one call. The rest follows after newly received packets.
pub const ROUTERS_PER_TIMEOUT: usize = 16;

/// Routers of one shard. Creating more is refused.
pub const ROUTERS_MAX: usize = 10_000;

/// Transports of one shard. Creating more is refused. Far more than one core can forward for.
pub const TRANSPORTS_MAX: usize = 20_000;

/// Producers of one transport: a browser's camera, microphone and screen, with a margin. More are refused.
pub const PRODUCERS_PER_TRANSPORT_MAX: usize = 16;

/// Consumers of one transport: every track of a large meeting. More are refused.
pub const CONSUMERS_PER_TRANSPORT_MAX: usize = 1024;

/// Consumers of one producer in one shard. More are refused.
pub const CONSUMERS_PER_PRODUCER_MAX: usize = 16_384;

/// Data channels of one transport, in both directions. More are refused. A peer that receives messages of every
/// other peer of a large room has one channel for each.
pub const DATA_CHANNELS_PER_TRANSPORT_MAX: usize = 1000;

/// Data channels that a peer has opened by messages, and that the controller has not answered yet. A further one is
/// closed at once. As many as signaling lets a peer have.
pub const DATA_CHANNELS_OPENED_MAX: usize = 16;

/// Data consumers of one data producer in one shard. More are refused.
pub const DATA_CONSUMERS_PER_PRODUCER_MAX: usize = 1024;

/// The numbers of SCTP streams are below: that many are in a browser's INIT. A higher one is refused.
pub const DATA_STREAMS_MAX: u16 = sctp::limits::STREAMS_MAX;

/// Events of an association, messages included, that one call of its timer handles. The rest follows after
/// other transports.
pub const DATA_EVENTS_PER_TIMEOUT: usize = 64;

/// Messages for consumers after which one call of a timer delivers no further events of its association. The rest
/// follows after other transports.
pub const DATA_SENDS_PER_TIMEOUT: usize = 256;

/// Bytes of messages from another worker that wait for the consumers of one pipe: 16 of the longest kind. They wait
/// for some microseconds, except if there are many consumers. Messages beyond are lost, and counted as
/// `piped_lost`.
pub const PIPED_BYTES_MAX: usize = 16 * sctp::limits::MESSAGE_LEN_MAX;

/// Messages from another worker that wait for the consumers of one pipe, whatever their length. Those beyond are
/// lost, and counted as `piped_lost`.
pub const PIPED_MESSAGES_MAX: usize = 4096;

/// Copying this number of bytes for another worker counts as one more of these messages.
pub const COPY_BYTES_PER_SEND: usize = 8 * 1024;

/// Packets of an association that one call of its timer sends. The rest follows after other transports.
pub const DATA_PACKETS_PER_TIMEOUT: usize = 32;

/// Received SSRCs per transport: media and retransmission of each encoding, three layers of every producer. A
/// producer that could need more is refused.
pub const SSRCS_PER_TRANSPORT_MAX: usize = 96;

/// SSRCs of a transport's consumers over its lifetime, including closed ones: a track with retransmission
/// that is consumed again every second for nine hours. At the bound a consumer is refused; the peer must
/// connect again, which creates new keys. Grows with use; 0.6 MiB at the bound.
pub const SSRCS_SENT_PER_TRANSPORT_MAX: usize = 65_536;

/// After a stream has changed its SSRC, packets of the former one are late, not a change back, within this
/// time: a packet is not in transit longer. They are dropped and counted.
pub const SSRC_LINGER: Duration = Duration::from_secs(1);

/// … unless the sender continues with the former SSRC, for example after hold, without a packet of the
/// present one between two packets in sequence. Within this time after the change, such packets may have been
/// in transit since before it.
pub const SSRC_RETURN_MIN: Duration = Duration::from_millis(100);

/// Bytes of a packet that does not continue its stream's numbers, stored until the next packet shows whether
/// the source has restarted (RFC 3550 §A.1): any packet of an Ethernet. A longer one is dropped; then the
/// restarted stream starts with its second packet. One packet per stream.
pub const OUT_OF_SEQUENCE_LEN_MAX: usize = 1500;

/// A step of a source's RTP clock relative to the arrival time, in seconds, that shows another clock: that of
/// a restarted program. Networks and jitter buffers do not delay packets that long.
pub const CLOCK_STEP_SECONDS_MAX: u32 = 10;

/// How far ahead of the newest packet a retransmission may be: a probe with a packet lost at the end. As many
/// as may be requested again; one that is farther ahead is dropped and counted.
pub const RTX_AHEAD_MAX: u64 = NACK_PENDING_MAX as u64;

/// Address pairs of a transport that have passed a check: host, reflexive and relayed, IPv4 and IPv6. At the
/// bound the least recently used pair, other than the selected one, is removed.
pub const PAIRS_PER_TRANSPORT_MAX: usize = 8;

/// Unknown attributes that the answer to an ICE check lists: more than fit into a check of 1,200 bytes, at
/// four bytes each. Those beyond, of a longer check, are left out.
pub const UNKNOWN_ATTRIBUTES_MAX: usize = 288;

/// Bytes of the longest answer to an ICE check: header, error with its phrase, unknown attributes, integrity
/// and fingerprint. It is shorter than the check it answers.
pub const STUN_ANSWER_LEN_MAX: usize = 96 + 4 + 2 * UNKNOWN_ATTRIBUTES_MAX;

/// UDP sockets of the plain transports of one shard, one or two each. At the bound another transport is
/// refused. Each is a file descriptor of the process and a system call per batch.
pub const PLAIN_SOCKETS_MAX: usize = 1024;

/// Notifications for the controller. At the bound new ones are dropped, and an event reports their number;
/// answers are not bounded here because a worker reads no commands while its event ring is full.
pub const EVENTS_MAX: usize = 4096;

/// Video packets cached for retransmission: 1 s at 500 packets a second. When full, the oldest is replaced.
/// Each 512 use 0.7 MiB of address space per track, of which only written pages are resident.
pub const VIDEO_CACHE_LEN: usize = 512;

/// Audio packets cached for retransmission: 1 s at 50 packets a second. When full, the oldest is replaced.
pub const AUDIO_CACHE_LEN: usize = 64;

/// Bytes of one cached packet: its payload, and its dependency descriptor if it has one. Browsers limit RTP
/// packets to about 1,200 bytes, GStreamer to 1,400; ffmpeg fills an Ethernet frame, 1,472 bytes with the RTP
/// header. A longer one is forwarded but not cached, and so cannot be retransmitted. It also keeps the
/// publisher's picture numbers.
pub const CACHED_LEN_MAX: usize = 1472;

/// Packets of one receive batch that wait to be forwarded together. If there are more, the waiting ones are
/// forwarded at once.
pub const PENDING_PACKETS_MAX: usize = 64;

/// Packets of one producer that a consumer gets in one pass: three frames of usual size, or half of a
/// keyframe. More need another pass over the consumers.
pub const FAN_OUT_PACKETS_MAX: usize = 32;

/// Maximum difference in length of consecutive packets that are padded to equal length. Browsers split a
/// frame into packets that differ by one byte; their extensions may add a word. For larger differences,
/// another run is cheaper than the padding.
pub const EQUAL_LENGTH_PADDING_MAX: u16 = 8;
const _: () = assert!(EQUAL_LENGTH_PADDING_MAX <= u8::MAX as u16 && CACHED_LEN_MAX <= u16::MAX as usize);

/// How long the rest of a frame is awaited, for each consumer of it: the cost of one additional run of the
/// send batch per consumer, so that waiting in vain costs at most twice the possible gain.
pub const GATHER_PER_CONSUMER: Duration = Duration::from_micros(1);

/// Frames with so few consumers that they would be awaited for a shorter time than this are not awaited: a
/// sleep costs as much.
pub const GATHER_MIN: Duration = Duration::from_micros(20);

/// How long the rest of a frame is awaited at most. A later packet is forwarded separately.
pub const GATHER_MAX: Duration = Duration::from_micros(200);

/// The usual distance of a frame's packets up to which its rest is awaited: packets of a sender that spreads
/// them arrive too late.
pub const GATHER_DISTANCE_MAX: Duration = Duration::from_micros(50);

/// H.264 parameter sets stored per stream: encoders have one or two of each kind. Those beyond are not
/// stored, and a consumer starts where the encoder sends them.
pub const PARAMETER_SETS_MAX: usize = 8;

/// … and their bytes. An encoder's are about 40; a new consumer gets all of them, so this limits how much a
/// publisher can multiply its bytes.
pub const PARAMETER_SETS_LEN_MAX: usize = 1024;

/// Packets of one picture before its first slice: a delimiter, and some supplemental information. With more,
/// a consumer does not start at that picture unless it contains parameter sets.
pub const PICTURE_HEAD_MAX: u64 = 8;

/// Header extensions that a consumer's packets may have: MID, dependency descriptor, and the five forwarded
/// kinds of value. If one is negotiated under two ids, those beyond are left out.
pub const EXTENSIONS_WRITTEN_MAX: usize = 8;

/// Bytes of a forwarded dependency descriptor: a browser's for L3T3, with its structure, has about 95. A
/// longer one is dropped, and its packet forwarded without it.
pub const DESCRIPTOR_LEN_MAX: usize = 128;

/// Pictures that may arrive late from an encoding that is no longer followed, for which ids are reserved.
/// More would look like a jump backwards among VP8's 128 ids; a late picture then has the id of another one.
pub const LATE_PICTURES_MAX: u8 = 16;

/// The same for frame numbers of the dependency descriptor, of which there are 65 536.
pub const LATE_FRAMES_MAX: u16 = 1024;

/// How far a new encoding may start behind the last one sent, for its timestamps to catch up: a keyframe may
/// be late because of a retransmission, which ends after [`NACK_AGE_MAX`]. If it is farther behind, its clock
/// differs from its reports, and it continues from the newest timestamp with its own clock.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(2);
const _: () = assert!(CATCH_UP_MAX.as_millis() > NACK_AGE_MAX.as_millis());

/// Runs of packets whose numbers a consumer stores, to answer NACKs for them. A run ends where a layer is
/// left out: with every other frame of 30 a second, three seconds. Beyond, the oldest is dropped and its
/// packets cannot be requested again. 32 bytes each; a consumer that gets everything has none.
pub const NUMBERINGS_REMEMBERED: usize = 48;

/// Numbers of empty packets that a consumer stores, so that a NACK for one is not answered with the packet
/// that was left out. Beyond, it is, which only costs a packet.
pub const HOLES_REMEMBERED: usize = 16;

/// Layers of one stream whose rates are measured. Those beyond count with the last.
pub const LAYERS_MEASURED: usize = 16;

/// Streams of one producer: simulcast has three; eight is one for each bit of a byte. More are refused.
pub const ENCODINGS_MAX: usize = 8;

/// Temporal layers: both VP9 and AV1 have three bits for them.
pub const TEMPORAL_LAYERS_MAX: u8 = 8;

/// Spatial layers: one for each bit of the mask of consumed layers.
pub const SPATIAL_LAYERS_MAX: u8 = 8;

/// An encoding counts as silent if another one of its producer has sent this number of frames since its last:
/// more than the ratio of any two encodings' frame rates. Counted in frames, because a shared screen may have
/// one per second.
pub const FRAMES_MISSED_MAX: u8 = 16;

/// How long a layer has no consumers before the publisher is notified: starting an encoder costs a keyframe,
/// and a consumer that only restarts returns within this time.
pub const UNWANTED_AFTER: Duration = Duration::from_secs(2);

/// Maximum age of a cached keyframe that a new consumer gets instead of waiting for the publisher's next one.
/// The packets after it are sent too, so that the consumer is at the same position as the others; after an
/// older one there would be too much to decode at once.
pub const KEYFRAME_CACHED_AGE_MAX: Duration = Duration::from_secs(2);

/// Packets after the beginning of a keyframe that a consumer gets together with it, if the beginning is late
/// or taken from the cache: with [`KEYFRAME_CACHED_LEN_MAX`] this limits what one packet can make the engine
/// send to one consumer. If there are more, another keyframe is requested.
pub const CATCH_UP_PACKETS_MAX: usize = 256;

/// Payload bytes that a new consumer gets at once in that way. If there are more, a keyframe is requested
/// from the publisher.
pub const KEYFRAME_CACHED_LEN_MAX: usize = 192 << 10;

const _: () = assert!(VIDEO_CACHE_LEN.is_power_of_two() && AUDIO_CACHE_LEN.is_power_of_two());

/// Retransmissions that a consumer records, to answer a repeated NACK only once per round trip. At the bound
/// the oldest is dropped, and a NACK for it is answered once more.
pub const RESENDS_REMEMBERED: usize = 64;

/// Minimum time between two answers to NACKs for the same packet, however short the round trip in the peer's
/// report.
pub const RESEND_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Maximum credit of a consumer for retransmissions, in payload bytes: every sent byte adds one byte of
/// credit, so that a flood of NACKs costs at most the rate of the track again. A NACK beyond is not answered,
/// and counted. About the size of a video cache.
pub const RESEND_CREDIT_MAX: u32 = 512 << 10;

/// Missing packets of one stream that are being requested. At the bound the oldest is given up: after such a
/// burst the next keyframe is more useful than retransmissions.
pub const NACK_PENDING_MAX: usize = 512;

/// Newer packets that must have arrived before a missing one counts as lost and not as reordered.
pub const NACK_REORDER_PACKETS: u64 = 4;

/// … or the time since the gap was seen, for streams too slow for this number.
pub const NACK_REORDER_WAIT: Duration = Duration::from_millis(100);

/// Maximum requests for one packet. With one per round trip, 10 cover a second at 100 ms.
pub const NACK_RETRIES_MAX: u8 = 10;

/// The assumed round trip to a publisher before a retransmission has been measured.
pub const NACK_RTT_INITIAL: Duration = Duration::from_millis(80);

/// Minimum time between two requests for the same packet.
pub const NACK_INTERVAL_MIN: Duration = Duration::from_millis(20);

/// Age at which a missing packet is given up independent of its requests: it is too late for a receiver's
/// jitter buffer.
pub const NACK_AGE_MAX: Duration = Duration::from_secs(1);

/// Interval between two keyframe requests to one producer: a keyframe costs as much as a second of delta
/// frames.
pub const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// Maximum share of keyframes in an encoding's rate, in percent: the next one is requested when the last one
/// is at most this share of all bytes that could be sent since.
pub const KEYFRAME_SHARE_PERCENT: u64 = 20;

/// … but at most this long after the last.
pub const KEYFRAME_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Interval between transport-wide feedback packets. A publisher's estimator needs several in a round trip of
/// 250 ms; they cost it at most 16 kbit/s.
pub const TWCC_INTERVAL: Duration = Duration::from_millis(100);

/// Interval between RTCP reports on one transport (RFC 3550 §6.2 with the reduced minimum for a session of
/// two).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A transport without a check and without authentic media for this time is reported as disconnected. Chrome
/// checks every 2.5 s, Firefox every 4 to 6 s: one lost check is not enough.
pub const ICE_DISCONNECTED_AFTER: Duration = Duration::from_secs(15);

/// Within this time after the last check or authentic media from an address, no other transport may use the
/// address: a check with a forged source address must not end another peer's call. As long as its owner is
/// not disconnected; a NAT keeps an address for a client twice as long (RFC 4787 §4.3). A check of another
/// transport from there is discarded.
pub const PATH_OWNED_FOR: Duration = ICE_DISCONNECTED_AFTER;

/// One packet of authentic media per interval is recorded as activity of its peer, so that the others cost
/// only one comparison.
pub const MEDIA_COUNTS_EVERY: Duration = Duration::from_millis(500);

/// If the selected pair has no check and no authentic media for this time, a checked pair replaces it: a
/// consent interval of Firefox (5 s and a fifth, RFC 7675 §5.1) and some delay.
pub const PAIR_STALE_AFTER: Duration = Duration::from_millis(6500);

/// How long the nomination of a UDP pair takes precedence over that of a TCP pair. Firefox nominates all
/// pairs in its first second, although only the best one is meant; Chrome nominates the pair in use with
/// every check, at least each half second while connectivity is uncertain, so that its change to TCP is
/// followed after this time.
pub const UDP_NOMINATION_HOLDS: Duration = Duration::from_millis(1500);
const _: () = assert!(UDP_NOMINATION_HOLDS.as_millis() < PAIR_STALE_AFTER.as_millis());

/// Interval between two reports about a transport that differ only in the remote address: a peer may change
/// it with every datagram, and must not fill the event ring. The last one is sent with the next report's
/// timer.
pub const REMOTE_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A transport without a check and without authentic media for this time has lost consent (RFC 7675 §5.1) and
/// is closed, unless the operator configures another time.
pub const ICE_CONSENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A transport whose peer's fingerprint is known must complete DTLS within this time, otherwise it is closed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(45);

/// Time between a failed DTLS handshake and the next one on the same transport. A failure can be caused by an
/// attacker who forges the peer's source address: the transport stays until [`CONNECT_TIMEOUT`], and this
/// bounds the cost of its handshakes.
pub const DTLS_ATTEMPT_INTERVAL: Duration = Duration::from_millis(500);

/// The longest RTCP compound packet that the engine writes, before protection: fits the smallest MTU that a
/// browser assumes.
pub const RTCP_LEN_MAX: usize = 1160;

/// Reports and bandwidth allocations wait for the next multiple of this, so that those of many transports are
/// done in one call. 200 transports would otherwise wake the worker up to 2000 times a second. Small relative
/// to the intervals of both.
pub const TICK: Duration = Duration::from_millis(20);

/// Transports whose timers are handled in one call, some 10 µs each. Newly received packets are handled
/// before the rest.
pub const TRANSPORTS_PER_TIMEOUT: usize = 16;

/// Interval between two allocations of a transport's bandwidth, while anything is sent: that of feedback.
pub const ADAPT_INTERVAL: Duration = Duration::from_millis(100);

/// … and while nothing is sent.
pub const ADAPT_INTERVAL_IDLE: Duration = Duration::from_secs(1);

/// Maximum packets in a transport's pacer when another track may start: each starts with a keyframe, and
/// several at once would delay each other.
pub const BEGIN_QUEUE_LEN: usize = 16;

/// Assumed rates of encodings that are silent and without an announced rate, from the lowest: those of
/// browsers for a quarter, half and all of 720p.
pub const EXPECTED_BPS: [u64; 4] = [150_000, 500_000, 1_500_000, 3_000_000];

/// Bytes of a packet in addition to its payload: header, extensions and tag.
pub const OVERHEAD_LEN: usize = 50;

/// Interval between two checks of a router's speakers: a change of the dominant speaker is detected with at
/// most this delay.
pub const SPEAKERS_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum number of forwarded audio producers if only the loudest are forwarded: more at once cannot be
/// understood, and each new speaker is compared with all of them. More are refused.
pub const LOUDEST_FORWARDED_MAX: u8 = 16;

/// The shortest and the longest interval between reports of active speakers. Others are refused.
pub const SPEAKERS_REPORT_INTERVAL_MS: std::ops::RangeInclusive<u16> = 100..=10_000;

/// Requests for the statistics of a router or of everything that are in progress. More are refused; those of
/// one object are answered at once.
pub const STATS_WALKS_MAX: usize = 4;

/// Interval between two reports of one score: it is for people, and on a bad network it changes constantly.
pub const SCORE_REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// Video without packets for this time has stopped, and its score is 0. A static screen is sent at one frame
/// per second.
pub const SILENT_VIDEO_AFTER: Duration = Duration::from_millis(2500);

/// Panics within [`PANIC_WINDOW`] after which a shard is replaced. Each one alone closes the transports that
/// it may have damaged; five in this time mean undetected damage, or a peer that returns with the same input.
pub const PANICS_MAX: usize = 5;

/// See [`PANICS_MAX`]. A closed peer returns within a second, so the same peer can cause as many panics in
/// this time.
pub const PANIC_WINDOW: Duration = Duration::from_secs(10);

/// Contained panics reported within [`PANIC_WINDOW`]: enough to find the bug. More are counted, and their
/// number is in the next report, so that a client that can cause a panic cannot fill a disk with log lines.
pub const FAULTS_REPORTED_MAX: u32 = 20;

/// Snapshots that wait for the controller: it needs one per attachment, and waits for the end. More are
/// refused.
pub const SNAPSHOTS_MAX: usize = 4;

/// By how much a screen without layers may exceed the estimate, in bits per second: the value of other
/// servers (Jitsi's `max-oversend-bitrate`). Beyond it the screen is paused, as a camera is at once.
pub const OVERSEND_BPS_MAX: u64 = 500_000;

/// Other workers that subscribe to one producer: the cores of a large machine. Those beyond get the answer
/// that the producer does not exist.
pub const SUBSCRIBERS_MAX: usize = 256;

/// Messages to other workers, except packets, that wait to be sent together: all messages of a full room in
/// one turn. Messages beyond are dropped; the worker that waits for one requests it again.
pub const PIPE_MESSAGES_MAX: usize = 4096;

/// Interval between two subscription messages of a worker for a producer. Each repeats the first one and
/// confirms everything else: a message lost in a full queue is replaced after this time. A few hundred a
/// second in a full room.
pub const SUBSCRIBE_INTERVAL: Duration = Duration::from_secs(1);

/// The same until the other worker has answered: no media arrives until then.
pub const SUBSCRIBE_RETRY: Duration = Duration::from_millis(50);

/// A worker that has not repeated its subscription for this time is removed: five repetitions and its final
/// message were lost.
pub const SUBSCRIBER_SILENT_MAX: Duration = Duration::from_secs(5);
const _: () = assert!(SUBSCRIBER_SILENT_MAX.as_secs() > 3 * SUBSCRIBE_INTERVAL.as_secs());
