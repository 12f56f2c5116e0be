//! Why a received packet is not used.

/// Noise, or an attack: count it and drop the packet. Never a reason to end a call, because anyone who
/// can spoof an address can cause any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discard {
    /// Shorter than its own header with a tag behind it, or an RTP header that says it is longer than
    /// the packet.
    TooShort,
    /// The version field is not 2.
    NotRtp,
    /// Older than the replay window, or than the very first packet (RFC 3711 §3.3.2); not decrypted.
    /// Usually reordering; many mean an attack.
    TooOld,
    /// A packet with this index has been accepted before; not decrypted. The network duplicates now and
    /// then; many mean an attack.
    Replayed,
    /// The tag is wrong: damaged, forged, or from before a change of keys.
    AuthFailed,
    /// SRTCP whose E bit is clear (RFC 3711 §3.4): authenticated perhaps, but in the open, which WebRTC
    /// never does. Refused unread.
    NotEncrypted,
    /// A source beyond the [`SSRCS_MAX`](crate::limits::SSRCS_MAX) this context has room for; not
    /// decrypted. The peer has had more streams in one session than a browser ever makes.
    SsrcLimit,
    /// The index would exceed 48 bits: the key is used up (RFC 3711 §9.2), or this is a forgery.
    IndexExhausted,
}
