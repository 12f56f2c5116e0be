//! Bounds of the bandwidth part: why each is what it is, and what happens when it is reached.

use std::time::Duration;

/// Sent packets remembered until the peer tells of them: 400 ms (a feedback interval and a long round trip) at 5,000
/// packets/s, about 50 Mbit/s. When more are sent, the oldest is forgotten and feedback on it counts as unmatched. 16 bytes each.
pub const HISTORY_LEN: usize = 2048;
const _: () = assert!(HISTORY_LEN.is_power_of_two() && HISTORY_LEN <= 32_768);

/// No estimate is lower: audio and the probes that lead back up fit in it.
pub const BITRATE_MIN_BPS: u64 = 30_000;

/// The estimate of a transport that has heard nothing yet: a low layer and audio. Probing corrects it within two round trips.
pub const BITRATE_START_BPS: u64 = 600_000;

/// No estimate is higher: as much as [`HISTORY_LEN`] can follow.
pub const BITRATE_MAX_BPS: u64 = 50_000_000;

/// A peer that acknowledged before and is silent for so long, while packets are sent to it, has a path that carries nothing: the
/// estimate is halved, and again after as long. Ten feedback intervals.
pub const FEEDBACK_SILENCE: Duration = Duration::from_secs(1);

/// A REMB counts for so long. Receivers repeat it every second.
pub const REMB_AGE_MAX: Duration = Duration::from_secs(10);

/// Packets that a probe cluster has at least: with fewer, the jitter of one decides the result.
pub const PROBE_PACKETS_MIN: u32 = 5;

/// How long a probe cluster lasts at least.
pub const PROBE_TIME_MIN: Duration = Duration::from_millis(15);

/// A cluster that has not got all its packets out by then is given up, and one that has is not waited for longer either.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(1);

/// Bytes of one probe cluster at most: 15 ms at 26 Mbit/s. A higher rate is approached in steps that end here.
pub const PROBE_BYTES_MAX: u32 = 48 << 10;

/// Clusters whose result is waited for: they are started one after the other, feedback may lag. When more are started, the oldest
/// is given up.
pub const PROBES_PENDING_MAX: usize = 4;

/// Between two probes that look for more than was found last: the first, and the longest after probes that found nothing.
pub const PROBE_INTERVAL_MIN: Duration = Duration::from_secs(3);
/// … and when much more is wanted than at the last: a track was added, or a larger layer is wanted.
pub const PROBE_INTERVAL_WANTED: Duration = Duration::from_secs(1);
/// See [`PROBE_INTERVAL_MIN`].
pub const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(6);

/// Packets that wait in a pacer: a keyframe of 600 kB. When full, a packet is dropped before it is sent, and counted; the peer asks
/// for it like for any lost one. Grows with use; 24 KiB at the bound.
pub const PACER_QUEUE_LEN: usize = 512;

/// How long packets are to wait in a pacer at most: a longer queue leaves faster, at up to twice the usual rate.
pub const PACER_WAIT: Duration = Duration::from_millis(400);

/// A packet that has waited for so long is dropped, and counted: the picture is late beyond use, and soon no retransmission cache would
/// hold what the entry refers to.
pub const PACER_WAIT_MAX: Duration = Duration::from_secs(1);

/// Between two releases from a pacer whose queue is not empty.
pub const PACER_INTERVAL: Duration = Duration::from_millis(5);

/// Consumers in one allocation; those beyond get nothing. As many as a transport may have.
pub const DEMANDS_MAX: usize = crate::limits::CONSUMERS_PER_TRANSPORT_MAX;

/// After a step down for lack of bandwidth, a track takes one step up at most within this, and beyond it only to more frames of the same
/// picture: every other switch costs a keyframe.
pub const HOLD_TIME: Duration = Duration::from_secs(10);

/// … and that one not before.
pub const RAISE_WAIT: Duration = Duration::from_secs(2);

/// Packets of padding that are written in one go: those of a whole probe cluster, each as long as padding can be. What is due beyond waits for
/// the pacer's next turn.
pub const PADDING_PACKETS_MAX: usize = PROBE_BYTES_MAX as usize / 255 + 1;
