//! Writes an offer (RFC 8829 §5.2).

use crate::local::{self, Head, LocalSection, LocalTransport, Session};

/// A section of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedSection {
    /// `audio`, `video` or `application`: it stays the same in all descriptions.
    pub media: String,
    /// For example `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// The MID.
    pub mid: String,
    /// For a section with port 0: at least one format.
    pub formats: Vec<String>,
    /// What it has.
    pub content: LocalSection,
}

/// An offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Identifies the session; the same in all its descriptions.
    pub session_id: u64,
    /// Increases with each description.
    pub version: u64,
    /// The transport.
    pub transport: LocalTransport,
    /// Its sections: those of the last description in their order, then the new ones.
    pub sections: Vec<OfferedSection>,
    /// Whether one-byte and two-byte headers may be mixed (RFC 8285 §6).
    pub allows_mixed: bool,
}

impl Offer {
    /// The text.
    pub fn write(&self) -> String {
        let sections: Vec<_> =
            self.sections.iter().map(|section| (section.into(), &section.content)).collect();
        let Self { session_id: id, version, transport, allows_mixed, .. } = self;
        let session = Session { id: *id, version: *version, transport, allows_mixed: *allows_mixed };
        local::write(&session, &sections)
    }
}

impl<'a> From<&'a OfferedSection> for Head<'a> {
    fn from(section: &'a OfferedSection) -> Self {
        Self {
            media: &section.media,
            protocol: &section.protocol,
            mid: &section.mid,
            has_rtcp_rsize: true,
            formats: &section.formats,
        }
    }
}
