//! The bounds of this crate, and what happens at each.

/// Packets of a stream, counted back from the newest, within which a late one is still accepted: 1 s at 1000
/// packets/s, so a packet that is requested twice over a 300 ms path still fits. RFC 3711 §3.3.2 requires at
/// least 64. Older ones are [`TooOld`](crate::Discard::TooOld). 128 bytes per stream.
pub const REPLAY_WINDOW: u64 = 1024;

/// Synchronisation sources with a replay window in one [`Inbound`](crate::Inbound), for RTP and RTCP each. A
/// camera with three layers and retransmission has six, and six more each time it is switched off and on.
/// Beyond the bound, the source that has been silent longest is retired. At most 40 KiB per context.
pub const SSRCS_MAX: usize = 256;

/// Retired sources whose highest index is kept, for RTP and RTCP each: a camera with six sources that is
/// switched off and on every minute for two days. None is ever removed: a removed stream would start again at
/// roll-over counter 0 with an empty window, and its recorded packets could be replayed. Beyond the bound,
/// packets of new sources are refused ([`SsrcLimit`](crate::Discard::SsrcLimit)): the session needs a new
/// key. Only the owner of the key can fill the table, which affects only itself. At most 400 KiB per context.
pub const SSRCS_RETIRED_MAX: usize = 16_384;

/// SRTCP packets under one key: the index has 31 bits (RFC 3711 §9.2). At 100 packets/s that is eight months.
/// After that, [`protect_rtcp`](crate::Outbound::protect_rtcp) returns nothing.
pub const RTCP_INDEX_MAX: u32 = (1 << 31) - 1;

/// RTP packets of one source under one key: 48 bits of index (RFC 3711 §9.2).
pub const RTP_INDEX_MAX: u64 = (1 << 48) - 1;

/// Maximum bytes of a source's first packet for which a roll-over counter of 1 is also tried, on a copy.
/// Longer ones must have a counter of 0: media packets fit the usual MTU.
pub const FIRST_LEN_MAX: usize = 1500;
