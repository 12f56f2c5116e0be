//! Data channels of a section (RFC 8841).

use crate::limits;
use crate::request_error::RequestError;
use sdp::{LocalData, MediaKind, Section};

/// What the author of a section accepts on its data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataParameters {
    /// The SCTP port.
    pub port: u16,
    /// Bytes of the longest message; 0: any.
    pub message_len_max: u32,
}

/// Whether a section has data channels, in the form of RFC 8841 or the older one. A section of another application
/// has none.
pub fn has_data(section: &Section) -> bool {
    let is_older = || section.sctpmap.as_ref().is_some_and(|map| map.application == DATA_CHANNELS);
    section.kind == MediaKind::Application
        && section.protocol.ends_with("DTLS/SCTP")
        && (section.formats.iter().any(|format| format == DATA_CHANNELS) || is_older())
}

/// What the author of a section with data channels accepts.
pub fn data(section: &Section) -> Result<DataParameters, RequestError> {
    let port = section.sctp_port.or_else(|| section.sctpmap.as_ref().map(|map| map.port));
    let port = port.ok_or_else(|| {
        let text = "the section of data channels needs a=sctp-port (RFC 8841 §5)";
        RequestError::bad(format!("sdp: mid {}: {text}", section.mid))
    })?;
    let message_len_max = section.max_message_size.unwrap_or(MESSAGE_LEN_MAX_ASSUMED);
    // Beyond the range, it is more than the engine sends.
    Ok(DataParameters { port, message_len_max: u32::try_from(message_len_max).unwrap_or(u32::MAX) })
}

/// What this side accepts.
pub fn local_data() -> LocalData {
    LocalData {
        port: limits::SCTP_PORT,
        streams: limits::DATA_STREAMS_MAX,
        message_len_max: limits::DATA_MESSAGE_LEN_MAX,
    }
}

const DATA_CHANNELS: &str = "webrtc-datachannel";

/// Without `a=max-message-size` (RFC 8841 §6.1).
const MESSAGE_LEN_MAX_ASSUMED: u64 = 65_536;
