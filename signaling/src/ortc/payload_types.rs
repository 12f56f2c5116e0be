//! The payload types that consumers use.

use super::h264::Profile;
use control::Codec;

/// The payload type of `codec` on every consumer, and that of its retransmissions. From the dynamic range
/// 96–127 (RFC 3551 §3). `profile`: of H264.
pub(super) const fn payload_types(codec: Codec, profile: Profile) -> (u8, Option<u8>) {
    match codec {
        Codec::H264 if matches!(profile, Profile::Baseline) => (110, Some(111)),
        Codec::H264 if matches!(profile, Profile::High) => (112, Some(113)),
        Codec::Opus => (100, None),
        Codec::Vp8 => (101, Some(102)),
        Codec::H264 => (103, Some(104)),
        Codec::Vp9 => (105, Some(106)),
        Codec::Av1 => (107, Some(108)),
        Codec::Red => (109, None),
    }
}
