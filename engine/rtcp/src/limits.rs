//! Every bound of this crate, with its reason and what happens when it is reached.

/// Report blocks, SDES chunks or BYE sources in one packet: its header has a five-bit count (RFC 3550
/// §6.4.1). The [`Writer`](crate::Writer) refuses more; a caller with more sources writes a second packet.
pub const COUNT_MAX: usize = 31;

/// Transport-wide sequence numbers in a [`Recorder`](crate::twcc::Recorder): 100 ms at 10 000 packets/s
/// (about 100 Mbit/s). If there are more between two feedbacks, the oldest are not reported. 4 KiB per
/// transport.
pub const TWCC_WINDOW: usize = 1024;
const _: () = assert!(TWCC_WINDOW.is_power_of_two() && TWCC_WINDOW <= 32768);

/// Packets in one transport-wide feedback. More are split over several feedbacks; with two bytes each and
/// seven per chunk, this number still fits an MTU of 1200.
pub const TWCC_STATUSES_MAX: usize = 512;

/// Feedbacks that a [`Recorder`](crate::twcc::Recorder) puts into one compound. One is usual; a peer that
/// sends old numbers late can make each arrival need a separate one. The rest remains for the next compound.
pub const TWCC_FEEDBACKS_MAX: usize = 8;

/// A forward step in sequence numbers that still counts as loss (RFC 3550 §A.1, MAX_DROPOUT): a minute of
/// audio, five seconds of 6 Mbit/s video. A wider step is a restart of the source if the next packet
/// continues there.
pub const DROPOUT_MAX: u16 = 3000;

/// A backward step that still counts as reordering (RFC 3550 §A.1, MAX_MISORDER). A wider one is a restart,
/// as above.
pub const MISORDER_MAX: u16 = 100;

/// A difference of transit times, in seconds, above which it is a jump of the timestamp and not jitter:
/// sources change their clock when a device or an encoder changes. Such a packet does not change the jitter.
pub const JITTER_STEP_SECONDS_MAX: u32 = 10;
