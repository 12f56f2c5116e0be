//! The bounds of this crate, and what happens at each.

/// Packets of a stream, counted back from the newest, within which a late one is still taken: 1 s at
/// 1000 packets/s, so a retransmission asked for twice over a 300 ms path still fits. RFC 3711 §3.3.2
/// wants 64 at least. Older ones are [`TooOld`](crate::Discard::TooOld). 128 bytes per stream.
pub const REPLAY_WINDOW: u64 = 1024;

/// Synchronisation sources one [`Inbound`](crate::Inbound) keeps a replay window for, for RTP and RTCP each. A camera with
/// three layers and retransmission brings six, and every time it is switched off and on, six more. Beyond, the one that has been silent
/// longest is retired. At most 40 KiB per context.
pub const SSRCS_MAX: usize = 256;

/// Retired sources of which the highest index is kept, for RTP and RTCP each: a camera of six that is switched off and on every minute
/// for two days. None is ever forgotten: a forgotten stream starts over at roll-over counter 0 with an empty window, and then whoever
/// recorded its packets could play them again. Beyond, packets of new sources are refused ([`SsrcLimit`](crate::Discard::SsrcLimit)): the
/// session needs a new key. Only the holder of the key can fill the table, and hurts nobody but itself. At most 400 KiB per context.
pub const SSRCS_RETIRED_MAX: usize = 16_384;

/// SRTCP packets under one key: the index has 31 bits (RFC 3711 §9.2). At 100 packets/s that is eight
/// months. Then [`protect_rtcp`](crate::Outbound::protect_rtcp) yields nothing any more.
pub const RTCP_INDEX_MAX: u32 = (1 << 31) - 1;

/// RTP packets of one source under one key: 48 bits of index (RFC 3711 §9.2).
pub const RTP_INDEX_MAX: u64 = (1 << 48) - 1;

/// Bytes of a source's first packet up to which a roll-over counter of 1 is tried as well, on a copy. Longer ones must have a counter of 0:
/// media packets fit the usual MTU.
pub const FIRST_LEN_MAX: usize = 1500;
