//! What an offer must have as a whole.

use super::{DataParameters, data, has_data, kind};
use crate::limits;
use crate::request_error::RequestError;
use sdp::{Description, Section};

/// A description that a connection can be made for.
#[derive(Clone, Debug)]
pub struct CheckedOffer {
    /// The description.
    pub description: Description,
    /// Index of the section that describes the transport of all (RFC 9143 §7.2).
    pub tagged: usize,
    /// What the client accepts on its data channels, if it has a section for them that may be accepted.
    pub data: Option<DataParameters>,
}

/// Reads a description of a client.
pub fn parse(text: &str) -> Result<Description, RequestError> {
    Description::parse(text).map_err(|error| RequestError::bad(format!("sdp: {error}")))
}

/// Checks an offer. `accepts_data`: data channels are accepted; otherwise their section is rejected.
pub fn check_offer(description: Description, accepts_data: bool) -> Result<CheckedOffer, RequestError> {
    let refused = |text: &str| Err(RequestError::bad(format!("sdp: {text}")));
    if description.is_ice_lite {
        return refused(
            "the client is an ICE-lite agent (a=ice-lite), and so is this server; one side must be a full agent (RFC 8445 §6.1.1)",
        );
    }
    let open = || description.sections.iter().filter(|section| !section.is_rejected());
    let mut with_data = open().filter(|section| accepts_data && has_data(section));
    let data = with_data.next().map(data).transpose()?;
    if let Some(second) = with_data.next() {
        let text = "is a second section of data channels; all channels are on one (RFC 8831 §6.2)";
        return refused(&format!("the section with mid {:.40} {text}", second.mid));
    }
    let is_usable = |section: &Section| is_usable(section, data.is_some());
    let Some(tagged) = description.sections.iter().position(is_usable) else {
        return match accepts_data {
            true => refused("it has no section of audio, video or data channels with a port"),
            false => refused("it has no section of audio or video with a port"),
        };
    };
    if let Some(long) = description.sections.iter().find(|section| section.mid.len() > limits::MID_LEN_MAX) {
        let text = format!("the mid {:.40} is longer than {} bytes", long.mid, limits::MID_LEN_MAX);
        return refused(&text);
    }
    let section = &description.sections[tagged];
    if section.ice_ufrag.is_none() || section.ice_pwd.is_none() {
        return refused("it needs a=ice-ufrag and a=ice-pwd (RFC 8839 §5.4)");
    }
    if let Some(media) = open().find(|section| kind(section).is_some()) {
        if !media.has_rtcp_mux {
            return refused("it needs a=rtcp-mux: RTP and RTCP share a port (RFC 8834 §4.5)");
        }
        if !media.protocol.contains("TLS/RTP/SAVP") {
            return refused("the protocol of its sections must be UDP/TLS/RTP/SAVPF (RFC 8829 §5.1.2)");
        }
    }
    Ok(CheckedOffer { description, tagged, data })
}

fn is_usable(section: &Section, accepts_data: bool) -> bool {
    !section.is_rejected() && (kind(section).is_some() || accepts_data && has_data(section))
}

impl CheckedOffer {
    /// The section that describes the transport of all.
    pub fn tagged(&self) -> &Section {
        &self.description.sections[self.tagged]
    }

    /// Whether a section can be accepted: it shares the transport of the tagged one.
    pub fn is_acceptable(&self, index: usize) -> bool {
        let Some(section) = self.description.sections.get(index) else { return false };
        if !is_usable(section, self.data.is_some()) {
            return false;
        }
        let tag = &self.tagged().mid;
        let is_bundled =
            self.description.bundles.iter().any(|mids| mids.contains(tag) && mids.contains(&section.mid));
        index == self.tagged || is_bundled
    }
}
