//! Bounds of the bandwidth module: the reason for each value, and what happens when it is reached.

use std::time::Duration;

/// Sent packets that are stored until feedback reports on them: 400 ms (a feedback interval and a long round
/// trip) at 5,000 packets/s, about 50 Mbit/s. If more are sent, the oldest is dropped and feedback on it
/// counts as unmatched. 16 bytes each.
pub const HISTORY_LEN: usize = 2048;
const _: () = assert!(HISTORY_LEN.is_power_of_two() && HISTORY_LEN <= 32_768);

/// The lowest estimate: enough for audio and for the probes that raise it again.
pub const BITRATE_MIN_BPS: u64 = 30_000;

/// The estimate of a transport without feedback yet: a low layer and audio. Probing corrects it within two
/// round trips.
pub const BITRATE_START_BPS: u64 = 600_000;

/// The highest estimate: as much as [`HISTORY_LEN`] can follow.
pub const BITRATE_MAX_BPS: u64 = 50_000_000;

/// If a peer that has sent feedback before is silent for this time, while packets are sent to it, its path
/// carries nothing: the estimate is halved, and again after the same time. Ten feedback intervals.
pub const FEEDBACK_SILENCE: Duration = Duration::from_secs(1);

/// How long a REMB is used. Receivers repeat it every second.
pub const REMB_AGE_MAX: Duration = Duration::from_secs(10);

/// Minimum packets of a probe cluster: with fewer, the jitter of one determines the result.
pub const PROBE_PACKETS_MIN: u32 = 5;

/// Minimum duration of a probe cluster.
pub const PROBE_TIME_MIN: Duration = Duration::from_millis(15);

/// A cluster that is not sent completely within this time is given up, and the result of a complete one is
/// not awaited longer.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(1);

/// Maximum bytes of one probe cluster: 15 ms at 26 Mbit/s. A higher rate is approached in steps of this size.
pub const PROBE_BYTES_MAX: u32 = 48 << 10;

/// Clusters whose result is awaited: they are started one after the other, and feedback may be late. If more
/// are started, the oldest is given up.
pub const PROBES_PENDING_MAX: usize = 4;

/// Interval between two probes for a higher rate: the shortest, and below the longest, after probes without a
/// gain.
pub const PROBE_INTERVAL_MIN: Duration = Duration::from_secs(3);
/// … and if the requested rate has risen much: a track was added, or a higher layer is requested.
pub const PROBE_INTERVAL_WANTED: Duration = Duration::from_secs(1);
/// See [`PROBE_INTERVAL_MIN`].
pub const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(6);

/// Packets in a pacer: a keyframe of 600 kB. When full, a packet is dropped before it is sent, and counted;
/// the peer requests it like any lost one. Grows with use; 24 KiB at the bound.
pub const PACER_QUEUE_LEN: usize = 512;

/// Target for the longest wait in a pacer: a longer queue is sent faster, at up to twice the usual rate.
pub const PACER_WAIT: Duration = Duration::from_millis(400);

/// A packet that has waited for this time is dropped and counted: the picture is too late, and the
/// retransmission cache will soon overwrite the packet.
pub const PACER_WAIT_MAX: Duration = Duration::from_secs(1);

/// Interval between two releases from a non-empty pacer.
pub const PACER_INTERVAL: Duration = Duration::from_millis(5);

/// Consumers in one allocation; those beyond get nothing. The maximum of a transport.
pub const DEMANDS_MAX: usize = crate::limits::CONSUMERS_PER_TRANSPORT_MAX;

/// After a step down because of bandwidth, a track takes at most one step up within this time, and further
/// ones only to a higher frame rate at the same resolution: every other switch costs a keyframe.
pub const HOLD_TIME: Duration = Duration::from_secs(10);

/// … and that one not earlier than this.
pub const RAISE_WAIT: Duration = Duration::from_secs(2);

/// Packets of padding that are written in one call: those of a whole probe cluster, each of maximum length.
/// Further padding waits for the pacer's next call.
pub const PADDING_PACKETS_MAX: usize = PROBE_BYTES_MAX as usize / 255 + 1;

/// The rate of data channels beside media, in bits per second, does not fall below this where the limit of the path is
/// not known: round trips on a busy machine look like those of a queue, and a file must arrive. A path that carries
/// less has the queue of SCTP, as without this pace. Where the limit is known, data gets its part of it
/// ([`DATA_SHARE_MIN`]) …
pub const DATA_RATE_FLOOR_BPS: f64 = 500_000.0;
/// … which is not below this one, at which an association does not time out.
pub const DATA_RATE_MIN_BPS: f64 = 30_000.0;
/// The rate at the beginning.
pub const DATA_RATE_START_BPS: f64 = 500_000.0;
/// The highest rate. Channels of a transport without media have no such limit.
pub const DATA_RATE_MAX_BPS: f64 = 100_000_000.0;

/// Data sends faster while its packets wait no longer than this in the queue of the path …
pub const DATA_QUEUE_LOW: Duration = Duration::from_millis(4);
/// … and slower if they wait longer than this. With the packet that is being sent, and with what is sent until the
/// queue is seen, audio waits less than 20 ms for data.
pub const DATA_QUEUE_HIGH: Duration = Duration::from_millis(8);

/// Round trips of which the shortest is judged: one of them may be long because the peer or the engine was busy …
pub const DATA_SAMPLES_MIN: u32 = 4;
/// … and this number if they differ by more than [`DATA_QUEUE_HIGH`].
pub const DATA_SAMPLES_SPREAD_MIN: u32 = 14;

/// The part of the estimate that data gets at least, while it has something to send: video gets the rest. One part
/// of this number.
pub const DATA_SHARE_MIN: u64 = 8;
