//! The URIs in `a=extmap` (RFC 8285 §5) of the supported extensions.

/// Media identification, RFC 9143 §15.
pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Stream id, RFC 8852 §4.1.
pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
/// Stream id of the stream an RTX stream repairs, RFC 8852 §4.2.
pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
/// Send time in 24 bits, libwebrtc's abs-send-time.
pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
/// Transport-wide sequence number, draft-holmer-rmcat-transport-wide-cc-extensions-01.
pub const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Client-to-mixer audio level, RFC 6464.
pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// Coordination of video orientation, 3GPP TS 26.114 §7.4.5.
pub const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";
/// Transmission time offset, RFC 5450.
pub const TOFFSET: &str = "urn:ietf:params:rtp-hdrext:toffset";
/// Limits on the playout delay, libwebrtc's playout-delay.
pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// When the frame was captured, libwebrtc's abs-capture-time.
pub const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
/// AV1 RTP specification, appendix A; used with other codecs too.
pub const DEPENDENCY_DESCRIPTOR: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// Which simulcast and temporal layers are being sent, libwebrtc's video-layers-allocation00.
pub const VIDEO_LAYERS_ALLOCATION: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00";
