//! The payload types that consumers use.

use control::Codec;

/// The payload type of `codec` on every consumer, and of its retransmissions. From the dynamic range 96–127 (RFC 3551 §3).
pub const fn payload_types(codec: Codec) -> (u8, Option<u8>) {
    match codec {
        Codec::Opus => (100, None),
        Codec::Vp8 => (101, Some(102)),
        Codec::H264 => (103, Some(104)),
        Codec::Vp9 => (105, Some(106)),
        Codec::Av1 => (107, Some(108)),
        Codec::Red => (109, None),
    }
}
