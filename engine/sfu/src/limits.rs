//! Every bound of a shard: why it is what it is, and what happens when it is reached.

use std::time::Duration;

/// What one call may cost, in instructions: a datagram, a message of another worker, a command, or one transport's timers. Tests hold
/// every handler against it (`tests/work`, counted), and so do simulations and the shard's fuzzer (in steps).
pub const WORK_PER_CALL: u64 = 150_000;

/// … and for each consumer or other object that the call concerns: a packet encrypted, or something closed and reported.
pub const WORK_PER_OBJECT: u64 = 20_000;

/// What it may cost to give one consumer what is behind the beginning of a keyframe ([`CATCH_UP_PACKETS_MAX`],
/// [`KEYFRAME_CACHED_LEN_MAX`]), beside the rest of the call: none of these packets has been sent to it before, so none has cost anything.
/// Without a pacer all of them are encrypted in that call.
pub const WORK_PER_CATCH_UP: u64 = 1_200_000;

/// Bytes of a datagram, or of one frame of a TCP connection: the MTU of Ethernet. A longer one was put together by IP or by a sender that
/// counts wrong; no consumer behind an MTU could be sent it, and the work for one datagram grows with its length. It is dropped and
/// counted.
pub const DATAGRAM_LEN_MAX: usize = 1500;

/// Statuses of transport-wide feedback that one datagram may hold: 100 ms at 5,000 packets a second, and as many as our own feedback
/// holds. Those beyond count as unmatched, and the packets they are about as neither arrived nor lost.
pub const STATUSES_PER_DATAGRAM: usize = 512;

/// Missing packets that one datagram may ask for. Browsers ask for what they have just found missing, a burst at most. Those beyond are
/// not looked for, and are counted as over budget; the peer asks again.
pub const LOSSES_PER_DATAGRAM: usize = 48;

/// Streams of which one datagram may ask for a keyframe. Requests beyond are dropped; receivers repeat them until a keyframe comes.
pub const KEYFRAME_REQUESTS_PER_DATAGRAM: usize = 64;

/// Packets that are sent again at once for one datagram. More wait in the transport's pacer; where it has none, they are not sent, and
/// are counted as over budget.
pub const RESENDS_PER_DATAGRAM: usize = 8;

/// Packets that leave a transport's pacer in one call: more than its rate allows in as long as [`TIMEOUT_PAUSE`]. What is left goes with
/// the next call.
pub const RELEASED_PER_TIMEOUT: usize = 20;

/// Missing packets that are looked at in one call for one transport, of all its streams; the stream with which it is reached is looked at
/// whole. The other streams follow in the next call.
pub const REPAIRS_PER_TIMEOUT: usize = NACK_PENDING_MAX;

/// Between two calls for a transport whose work did not fit into the first: time for the others.
pub const TIMEOUT_PAUSE: Duration = Duration::from_millis(1);

/// Compound packets of transport-wide feedback that are sent in one call: three hold all that a
/// [`Recorder`](rtcp::twcc::Recorder) remembers. The rest follows with the next feedback.
pub const TWCC_PER_TIMEOUT: usize = 4;

/// Routers whose speakers are looked at in one go. The rest follows after what has arrived meanwhile.
pub const ROUTERS_PER_TIMEOUT: usize = 16;

/// Routers of one shard. Creating more is refused.
pub const ROUTERS_MAX: usize = 10_000;

/// Transports of one shard. Creating more is refused. Well above what a core forwards for.
pub const TRANSPORTS_MAX: usize = 20_000;

/// Producers of one transport: a browser's camera, microphone and screen, and room to spare. More are refused.
pub const PRODUCERS_PER_TRANSPORT_MAX: usize = 16;

/// Consumers of one transport: every track of a large meeting. More are refused.
pub const CONSUMERS_PER_TRANSPORT_MAX: usize = 1024;

/// Consumers of one producer in one shard. More are refused.
pub const CONSUMERS_PER_PRODUCER_MAX: usize = 16_384;

/// Received SSRCs a transport remembers: media and retransmission of each encoding, three layers of every
/// producer. A producer that could need more is refused.
pub const SSRCS_PER_TRANSPORT_MAX: usize = 96;

/// SSRCs that the consumers of a transport may have over its life, those of closed consumers too: a track with
/// retransmission watched anew every second for nine hours. At the bound a consumer is refused; the peer must connect
/// anew, which makes new keys. Grows with use; 0.6 MiB at the bound.
pub const SSRCS_SENT_PER_TRANSPORT_MAX: usize = 65_536;

/// After a stream has changed its SSRC, packets of the former one are late, not a change back, for so long: a packet is no
/// longer on its way. They are dropped and counted.
pub const SSRC_LINGER: Duration = Duration::from_secs(1);

/// … unless the sender goes on with the former SSRC, as from hold, and nothing of the present one comes between two packets in sequence. Earlier
/// than this after the change they may have been on their way since before it.
pub const SSRC_RETURN_MIN: Duration = Duration::from_millis(100);

/// Bytes of a packet that does not continue its stream's numbers, kept until the next packet tells whether the source has started again
/// (RFC 3550 §A.1): any packet of an Ethernet. A longer one is dropped; then the restarted stream begins with its second packet. One packet
/// a stream.
pub const APART_LEN_MAX: usize = 1500;

/// A step of a source's RTP clock against the time of arrival, in seconds, that shows another clock: that of a program that has started
/// again. Networks and jitter buffers hold nothing back for so long.
pub const CLOCK_STEP_SECONDS_MAX: u32 = 10;

/// How far ahead of the newest packet a retransmission may be: a probe that carries what was lost at the end. As many as may be asked for
/// again; one that is farther ahead is dropped and counted.
pub const RTX_AHEAD_MAX: u64 = NACK_PENDING_MAX as u64;

/// Address pairs of a transport that have passed a check: host, reflexive and relayed, IPv4 and IPv6. At the bound the
/// pair heard from least recently, other than the selected one, is forgotten.
pub const PAIRS_PER_TRANSPORT_MAX: usize = 8;

/// Unknown attributes that the answer to an ICE check lists: more than a check of 1,200 bytes has room for, at four bytes each. Of a longer
/// check those beyond are left out.
pub const UNKNOWN_ATTRIBUTES_MAX: usize = 288;

/// Bytes of the longest answer to an ICE check: header, error with its phrase, unknown attributes, integrity and fingerprint. It is shorter
/// than the check it answers.
pub const STUN_ANSWER_LEN_MAX: usize = 96 + 4 + 2 * UNKNOWN_ATTRIBUTES_MAX;

/// UDP sockets of the plain transports of one shard, one or two each. At the bound another transport is refused. Each is a file
/// descriptor of the process and a system call a batch.
pub const PLAIN_SOCKETS_MAX: usize = 1024;

/// News waiting for the controller. At the bound news is dropped, and the controller told how much; answers are not
/// bounded here because a worker takes no command while its event ring is full.
pub const EVENTS_MAX: usize = 4096;

/// Video packets kept for retransmission: 1 s at 500 packets a second. When full, the oldest goes. Each 512 cost
/// 0.7 MiB of address space per track, of which only what has been written is resident.
pub const VIDEO_CACHE_LEN: usize = 512;

/// Audio packets kept for retransmission: 1 s at 50 packets a second. When full, the oldest goes.
pub const AUDIO_CACHE_LEN: usize = 64;

/// Bytes of one cached packet: its payload, and its dependency descriptor if it has one. Browsers keep RTP packets at about
/// 1,200 bytes, GStreamer at 1,400; ffmpeg fills an Ethernet frame, 1,472 bytes with the RTP header. A longer one is forwarded but not cached,
/// and so cannot be asked for again. It also keeps the picture numbers its publisher gave it.
pub const CACHED_LEN_MAX: usize = 1472;

/// Packets of one receive batch that wait to be given out together. When there are more, those that wait go at once.
pub const HELD_MAX: usize = 64;

/// Packets of one producer that a consumer is given in one go: three frames of usual size, or half of a keyframe. More take another walk over
/// the consumers.
pub const TOGETHER_MAX: usize = 32;

/// Bytes by which packets of one row may differ in length and still be made equal by padding. Browsers cut a frame into packets that differ by
/// one byte; their extensions may add a word. Beyond, another run is cheaper than the bytes.
pub const LEVELLED_MAX: u16 = 8;
const _: () = assert!(LEVELLED_MAX <= u8::MAX as u16 && CACHED_LEN_MAX <= u16::MAX as usize);

/// How long the rest of a frame is waited for, for each consumer of it: what one run of the send batch more would cost to each, so that waiting
/// in vain never costs more than twice what it could have saved.
pub const GATHER_PER_CONSUMER: Duration = Duration::from_micros(1);

/// Frames of so few consumers that they would be waited for no longer than this are not waited for: a sleep costs as much.
pub const GATHER_MIN: Duration = Duration::from_micros(20);

/// How long the rest of a frame is waited for at most. What comes later goes by itself.
pub const GATHER_MAX: Duration = Duration::from_micros(200);

/// How far apart packets of a frame usually are at most, for the rest of one to be waited for: those of a sender that spreads them come too late.
pub const GATHER_DISTANCE_MAX: Duration = Duration::from_micros(50);

/// Parameter sets of H.264 that a stream keeps: encoders have one or two of each kind. Those beyond are not kept, and a consumer begins where the
/// encoder sends them itself.
pub const PARAMETER_SETS_MAX: usize = 8;

/// … and their bytes. An encoder's are about 40; a consumer that begins is sent all of them, so a publisher must not be able to multiply its bytes by much.
pub const PARAMETER_SETS_LEN_MAX: usize = 1024;

/// Packets of one picture before its first slice: a delimiter, a few of supplemental information. With more, a consumer does not begin at that
/// picture unless it brings parameter sets.
pub const PICTURE_HEAD_MAX: u64 = 8;

/// Header extensions of a consumer that its packets may have: MID, dependency descriptor, and the five kinds of value that travel. Were one
/// negotiated under two ids, those beyond would be left out.
pub const EXTENSIONS_WRITTEN_MAX: usize = 8;

/// Bytes of a dependency descriptor that is forwarded: a browser's for L3T3, with its structure, has about 95. A longer one
/// is dropped, and its packet forwarded as if it had none.
pub const DESCRIPTOR_LEN_MAX: usize = 128;

/// Pictures that may come late from an encoding that is left, for which their ids are kept free. More would look like a jump
/// backwards among the 128 ids that VP8 may have; the late picture then has the id of another one.
pub const LATE_PICTURES_MAX: u8 = 16;

/// The same for frame numbers of the dependency descriptor, of which there are 65 536.
pub const LATE_FRAMES_MAX: u16 = 1024;

/// How far an encoding that a consumer goes over to may begin behind what it was sent, for its timestamps to catch up with time: a keyframe
/// may come late by a repair, which ends after [`NACK_AGE_MAX`]. One that is farther behind has another clock than its reports say,
/// and goes on from the newest timestamp at its own pace.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(2);
const _: () = assert!(CATCH_UP_MAX.as_millis() > NACK_AGE_MAX.as_millis());

/// Runs of packets a consumer remembers the numbers of, to answer NACKs for them. A run ends where a layer is left out: with every
/// other frame of 30 a second, three seconds. Beyond, the oldest is forgotten and its packets cannot be asked for again.
/// 32 bytes each; a consumer that is sent everything has none.
pub const NUMBERINGS_REMEMBERED: usize = 48;

/// Numbers a consumer remembers that were taken by an empty packet, so that a NACK for one is not answered with what was left
/// out. Beyond, it is, which does no harm but costs a packet.
pub const HOLES_REMEMBERED: usize = 16;

/// Layers of one stream whose rates are measured. Those beyond count with the last.
pub const LAYERS_MEASURED: usize = 16;

/// Streams of one producer: simulcast has three, one for each bit of a byte is room to spare. More are refused.
pub const ENCODINGS_MAX: usize = 8;

/// Temporal layers, as both VP9 and AV1 count them in three bits.
pub const TEMPORAL_LAYERS_MAX: u8 = 8;

/// Spatial layers: one for each bit of the mask that tells which have takers.
pub const SPATIAL_LAYERS_MAX: u8 = 8;

/// An encoding counts as silent when another of its producer has brought so many frames since its last: more than the
/// ratio of any two encodings' frame rates. Counted in frames, because a shared screen may bring one a second.
pub const FRAMES_MISSED_MAX: u8 = 16;

/// How long a layer is without takers before the publisher hears of it: starting an encoder costs a keyframe, and a
/// consumer that only restarts is back within this.
pub const UNWANTED_AFTER: Duration = Duration::from_secs(2);

/// Age of a keyframe a new consumer is given from the cache instead of waiting for the publisher's next. What follows it is sent along,
/// so that the consumer is at once where the others are; an older one would be too much to decode at once.
pub const KEYFRAME_CACHED_AGE_MAX: Duration = Duration::from_secs(2);

/// Packets behind the beginning of a keyframe that a consumer is given together with it, when the beginning comes late or is taken from the
/// cache: with [`KEYFRAME_CACHED_LEN_MAX`] the most that one packet can make us send to one consumer. When there are more, another
/// keyframe is asked for.
pub const CATCH_UP_PACKETS_MAX: usize = 256;

/// Payload bytes that a new consumer is given at once that way. More is asked of the publisher instead.
pub const KEYFRAME_CACHED_LEN_MAX: usize = 192 << 10;

const _: () = assert!(VIDEO_CACHE_LEN.is_power_of_two() && AUDIO_CACHE_LEN.is_power_of_two());

/// Retransmissions a consumer remembers having sent, to answer a repeated NACK only once per round trip. At the bound the
/// oldest is forgotten, and a NACK for it answered once more.
pub const RESENDS_REMEMBERED: usize = 64;

/// The least time between two answers to NACKs for the same packet, however short the round trip a peer claims.
pub const RESEND_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Payload bytes of retransmissions a consumer may have coming to it at once: what was sent to it earns as much again, so that a
/// flood of NACKs costs at most the track twice. A NACK beyond is not answered, and counted. About a cache of video.
pub const RESEND_CREDIT_MAX: u32 = 512 << 10;

/// Missing packets of one stream that are being asked for. At the bound the oldest is given up: after so long a
/// burst the next keyframe repairs more than retransmissions.
pub const NACK_PENDING_MAX: usize = 512;

/// Newer packets that must have come before a missing one counts as lost rather than reordered.
pub const NACK_REORDER_PACKETS: u64 = 4;

/// … or the time that must have passed since the gap was seen, for streams too slow to bring that many.
pub const NACK_REORDER_WAIT: Duration = Duration::from_millis(100);

/// Times a packet is asked for. With the spacing of one round trip, 10 cover a second at 100 ms.
pub const NACK_RETRIES_MAX: u8 = 10;

/// The round trip assumed to a publisher before a retransmission has shown it.
pub const NACK_RTT_INITIAL: Duration = Duration::from_millis(80);

/// The least time between two requests for the same packet.
pub const NACK_INTERVAL_MIN: Duration = Duration::from_millis(20);

/// Age at which a missing packet is given up whatever its retries: a receiver's jitter buffer has moved on.
pub const NACK_AGE_MAX: Duration = Duration::from_secs(1);

/// Between two keyframe requests to one producer: a keyframe costs as much as a second of deltas.
pub const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// What keyframes may cost, in percent of an encoding's rate: the next is asked for when the last is no more of all that could be sent since.
pub const KEYFRAME_SHARE_PERCENT: u64 = 20;

/// … but never later than this after the last.
pub const KEYFRAME_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Between transport-wide feedback packets. A publisher's estimator wants several in a round trip of 250 ms; each costs
/// it 16 kbit/s at most.
pub const TWCC_INTERVAL: Duration = Duration::from_millis(100);

/// Between RTCP reports on one transport (RFC 3550 §6.2 with the reduced minimum of §6.2 for a session of two).
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A transport from which neither a check nor authentic media comes for so long is reported as disconnected. Chrome checks every
/// 2.5 s, Firefox every 4 to 6 s: one lost check is no reason.
pub const ICE_DISCONNECTED_AFTER: Duration = Duration::from_secs(15);

/// For so long after the last check or authentic media from an address, no other transport may take it: a check with a forged source
/// address must not end another peer's call. As long as its owner is not disconnected; a NAT keeps an address for a client twice as
/// long (RFC 4787 §4.3). A check of another transport from there is discarded.
pub const PATH_HELD_FOR: Duration = ICE_DISCONNECTED_AFTER;

/// Of authentic media, one packet in this time counts as a sign of its peer, so that the others cost one comparison.
pub const MEDIA_COUNTS_EVERY: Duration = Duration::from_millis(500);

/// A selected pair without a check or authentic media for so long gives way to one that is checked: a consent interval of Firefox (5 s and a
/// fifth, RFC 7675 §5.1) and some delay.
pub const PAIR_STALE_AFTER: Duration = Duration::from_millis(6500);

/// How long the nomination of a UDP pair holds against that of a TCP pair. Firefox nominates all pairs in its first second and means the
/// best; Chrome nominates what it uses with every check, at least each half second while it doubts, so that it is followed to
/// TCP after this.
pub const UDP_NOMINATION_HOLDS: Duration = Duration::from_millis(1500);
const _: () = assert!(UDP_NOMINATION_HOLDS.as_millis() < PAIR_STALE_AFTER.as_millis());

/// Between two pieces of news about a transport of which only the remote address differs: a peer may change it with
/// every datagram, and must not fill the event ring with that. The last one is told with the next report's timer.
pub const REMOTE_NEWS_INTERVAL: Duration = Duration::from_secs(1);

/// A transport from which neither a check nor authentic media comes for so long has lost consent (RFC 7675 §5.1) and is closed,
/// unless the operator chooses another time.
pub const ICE_CONSENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A transport whose peer's fingerprint is known must have completed DTLS within this, or is closed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(45);

/// How soon after a failed DTLS handshake another begins on the same transport. A failure can be the work of someone who writes the peer's
/// address into its datagrams: the transport stays until [`CONNECT_TIMEOUT`], and this bounds what its handshakes cost.
pub const DTLS_ATTEMPT_INTERVAL: Duration = Duration::from_millis(500);

/// The longest RTCP compound packet we write, before protection: fits the smallest MTU a browser assumes.
pub const RTCP_LEN_MAX: usize = 1160;

/// Reports and sharings of bandwidth wait for the next multiple of this, so that those of many transports are done in one go. 200 transports would
/// otherwise wake the worker up to 2000 times a second. Small beside the intervals of both.
pub const TICK: Duration = Duration::from_millis(20);

/// Transports whose timers are seen to in one go, some 10 µs each. What has arrived meanwhile comes before the rest.
pub const TRANSPORTS_PER_TIMEOUT: usize = 16;

/// Between two sharings of a transport's bandwidth, while anything is sent: as often as feedback comes.
pub const ADAPT_INTERVAL: Duration = Duration::from_millis(100);

/// … and while nothing is.
pub const ADAPT_INTERVAL_IDLE: Duration = Duration::from_secs(1);

/// Packets that wait in a transport's pacer at most when another track may begin: each begins with a keyframe, and several at once would
/// keep each other waiting.
pub const BEGIN_QUEUE_LEN: usize = 16;

/// What an encoding is taken to cost that brings nothing and for which nothing is announced, from the lowest: what browsers send at a
/// quarter, half and all of 720p.
pub const EXPECTED_BPS: [u64; 4] = [150_000, 500_000, 1_500_000, 3_000_000];

/// Bytes that a packet has beside its payload: header, extensions and tag.
pub const OVERHEAD_LEN: usize = 50;

/// Between two looks at who speaks in a router: of two voices, who has the floor is known as much later at most.
pub const SPEAKERS_INTERVAL: Duration = Duration::from_millis(100);

/// Audio producers that may be forwarded at most where only the loudest are: nobody understands more at once, and whoever
/// begins to speak is compared with all of them. More are refused.
pub const LOUDEST_FORWARDED_MAX: u8 = 16;

/// The shortest and the longest interval between news of who speaks. Others are refused.
pub const SPEAKERS_NEWS_INTERVAL_MS: std::ops::RangeInclusive<u16> = 100..=10_000;

/// Requests for the statistics of a router or of everything that are under way. More are refused; those of one object are
/// answered at once.
pub const STATS_WALKS_MAX: usize = 4;

/// Between two pieces of news of one score: it is for people, and on a bad network it changes all the time.
pub const SCORE_NEWS_INTERVAL: Duration = Duration::from_secs(2);

/// Video of which nothing has come for so long has ceased, and its score is 0. Screens that nothing moves on are sent at a
/// frame a second.
pub const SILENT_VIDEO_AFTER: Duration = Duration::from_millis(2500);

/// Panics within [`PANIC_WINDOW`] after which a shard is replaced. Each alone closes the transports it may have damaged; five in so short a time
/// are damage that was not found, or a peer that comes back with the same poison.
pub const PANICS_MAX: usize = 5;

/// See [`PANICS_MAX`]. A peer that was closed is back within a second, so the same one can panic a shard as often in this time.
pub const PANIC_WINDOW: Duration = Duration::from_secs(10);

/// Contained panics reported within [`PANIC_WINDOW`]: enough to find the bug. More are counted, and their number goes with the next report, so that
/// a client that can cause a panic cannot fill a disk with log lines.
pub const FAULTS_REPORTED_MAX: u32 = 20;

/// Snapshots waiting to be told: one per attachment is what a controller needs, and it waits for the end. More are refused.
pub const SNAPSHOTS_MAX: usize = 4;

/// How much a screen that gets nothing may exceed what is estimated, in bits a second: what other servers take (Jitsi's `max-oversend-bitrate`). Beyond
/// it the screen is paused, as a camera is at once.
pub const OVERSEND_BPS_MAX: u64 = 500_000;

/// Other workers that take one producer: the cores of a large machine. Beyond, they are told that there is no such producer.
pub const NEIGHBOURS_MAX: usize = 256;

/// Messages to other workers, packets apart, that wait to be sent together: all that a full room says in one turn. Beyond, they are not said;
/// the worker that waits for one asks again.
pub const PARCELS_MAX: usize = 4096;

/// Between two messages of a worker that it still takes a producer, with which the first is repeated and everything else confirmed: what a
/// full queue swallowed is made good as late. A few hundred a second in a full room.
pub const SUBSCRIBE_INTERVAL: Duration = Duration::from_secs(1);

/// The same as long as the other worker has not answered: nothing is seen until then.
pub const SUBSCRIBE_RETRY: Duration = Duration::from_millis(50);

/// A worker that has not said for so long that it takes a producer gets no more of it: it would say so five times, and its farewell was lost.
pub const NEIGHBOUR_SILENT_MAX: Duration = Duration::from_secs(5);
const _: () = assert!(NEIGHBOUR_SILENT_MAX.as_secs() > 3 * SUBSCRIBE_INTERVAL.as_secs());
