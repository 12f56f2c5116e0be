//! Writes an answer (RFC 8829 §5.3.1).

use crate::description::Description;
use crate::error::SdpError;
use crate::local::{self, Head, LocalData, LocalSection, LocalTransport, Session};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Identifies the session; the same in all its answers.
    pub session_id: u64,
    /// Increases with each answer.
    pub version: u64,
    /// The transport.
    pub transport: LocalTransport,
    /// One for each section of the offer, in its order.
    pub sections: Vec<LocalSection>,
}

impl Answer {
    /// The text of the answer to this offer. An error if a section has no counterpart, or has what was not offered:
    /// the offerer would refuse it.
    pub fn write(&self, offer: &Description) -> Result<String, SdpError> {
        let wrong = |place: &str, reason| SdpError::Section { place: place.to_owned(), reason };
        if self.sections.len() != offer.sections.len() {
            return Err(wrong("answer", "it must have as many sections as the offer"));
        }
        for (section, answer) in offer.sections.iter().zip(&self.sections) {
            let place = format!("answer for mid {}", section.mid);
            let reason = match answer {
                LocalSection::Rejected => None,
                LocalSection::Media(media) => media.check(section),
                LocalSection::Data(_) => LocalData::check(section),
            };
            reason.map_or(Ok(()), |reason| Err(wrong(&place, reason)))?;
        }
        let sections: Vec<_> = offer.sections.iter().map(Head::from).zip(&self.sections).collect();
        let allows_mixed = offer.sections.iter().any(|section| section.allows_mixed);
        let (id, version) = (self.session_id, self.version);
        Ok(local::write(&Session { id, version, transport: &self.transport, allows_mixed }, &sections))
    }
}
