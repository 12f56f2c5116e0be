//! Why a received packet is discarded.

/// Noise, or an attack: count it and drop the packet. Never a reason to end a call, because everyone who can
/// spoof an address can cause any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// Shorter than its header and a tag, or an RTP header longer than the packet.
    TooShort,
    /// The version field is not 2.
    NotRtp,
    /// Older than the replay window, or than the very first packet (RFC 3711 §3.3.2); not decrypted.
    /// Usually reordering; many mean an attack.
    TooOld,
    /// A packet with this index has been accepted before; not decrypted. Networks duplicate some packets;
    /// many mean an attack.
    Replayed,
    /// The tag is wrong: damaged, forged, or from before a change of keys.
    AuthFailed,
    /// SRTCP whose E bit is clear (RFC 3711 §3.4): perhaps authenticated, but not encrypted, which WebRTC
    /// never does. Refused without reading.
    NotEncrypted,
    /// A source beyond [`SSRCS_MAX`](crate::limits::SSRCS_MAX); not decrypted. The peer has sent more streams
    /// in one session than a browser ever does.
    SsrcLimit,
    /// The index would exceed 48 bits: the key is used up (RFC 3711 §9.2), or the packet is forged.
    IndexExhausted,
}
