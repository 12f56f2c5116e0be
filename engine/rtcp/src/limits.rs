//! Every bound of this crate, with its reason and what happens when it is reached.

/// Report blocks, SDES chunks or BYE sources in one packet: its header counts them with five bits (RFC 3550
/// §6.4.1). The [`Writer`](crate::Writer) refuses more; a caller with more sources writes a second packet.
pub const COUNT_MAX: usize = 31;

/// Transport-wide sequence numbers a [`Recorder`](crate::twcc::Recorder) remembers: 100 ms at 10 000
/// packets/s (about 100 Mbit/s). When more lie between two feedbacks, the oldest go unreported. 4 KiB a
/// transport.
pub const TWCC_WINDOW: usize = 1024;
const _: () = assert!(TWCC_WINDOW.is_power_of_two() && TWCC_WINDOW <= 32768);

/// Packets one transport-wide feedback reports on. More are split over several feedbacks; with two bytes for
/// each and seven of them in a chunk, this many still fit an MTU of 1200.
pub const TWCC_STATUSES_MAX: usize = 512;

/// Feedbacks that a [`Recorder`](crate::twcc::Recorder) puts into one compound. One is usual; a peer that sends old numbers late can
/// make each arrival need its own. The rest remains for the next compound.
pub const TWCC_FEEDBACKS_MAX: usize = 8;

/// A step ahead in sequence numbers that still counts as loss (RFC 3550 §A.1, MAX_DROPOUT): a minute of
/// audio, five seconds of 6 Mbit/s video. A wider step is taken for a restart of the source if the packet
/// after it follows on.
pub const DROPOUT_MAX: u16 = 3000;

/// A step back that still counts as reordering (RFC 3550 §A.1, MAX_MISORDER). A wider one is taken for a
/// restart, as above.
pub const MISORDER_MAX: u16 = 100;

/// A difference of transit times, in seconds, beyond which a timestamp has jumped and is no jitter: sources
/// change their clock when a device or an encoder does. Such a packet leaves the jitter as it was.
pub const JITTER_STEP_SECONDS_MAX: u32 = 10;
