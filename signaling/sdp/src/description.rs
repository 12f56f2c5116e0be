//! A whole description.

use crate::attribute::{Attributes, token, word};
use crate::error::SdpError;
use crate::limits::{DESCRIPTION_BYTES_MAX, LINES_MAX, SECTIONS_MAX};
use crate::section::Section;
use std::collections::BTreeSet;

/// An offer or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its sections, in their order.
    pub sections: Vec<Section>,
    /// The MIDs of each BUNDLE group (RFC 9143).
    pub bundles: Vec<Vec<String>>,
    /// Whether the author is an ICE-lite agent.
    pub is_ice_lite: bool,
    /// Identifies the session of the author: the same in all its descriptions (RFC 8866 §5.2).
    pub session_id: String,
}

impl Description {
    /// Reads a description.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let too_long = |what, count, limit| Err(SdpError::TooLong { what, count, limit });
        if text.len() > DESCRIPTION_BYTES_MAX {
            return too_long("bytes", text.len(), DESCRIPTION_BYTES_MAX);
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            return too_long("lines", lines, LINES_MAX);
        }
        let session = sdp_types::Session::parse(text.as_bytes());
        let session = session.map_err(|error| SdpError::Syntax(error.to_string()))?;
        if session.medias.len() > SECTIONS_MAX {
            return too_long("media sections", session.medias.len(), SECTIONS_MAX);
        }
        let attributes = Attributes { all: &session.attributes, place: "session" };
        let read = |(index, media)| Section::read(index, media, &attributes);
        let sections: Vec<Section> = session.medias.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let mut mids = BTreeSet::new();
        if let Some(twice) = sections.iter().find(|section| !mids.insert(&section.mid)) {
            let place = format!("section with mid {}", twice.mid);
            return Err(SdpError::Section { place, reason: "its mid is that of another section" });
        }
        let groups = attributes.values("group").take(SECTIONS_MAX);
        let bundles = groups.filter_map(|group| group.strip_prefix("BUNDLE")).map(|mids| {
            let mids = mids.split(' ').filter(|mid| !mid.is_empty()).take(SECTIONS_MAX);
            mids.map(token).collect::<Option<Vec<_>>>()
        });
        let bundles = bundles.collect::<Option<_>>();
        let bundles = bundles.ok_or_else(|| attributes.wrong("group", "BUNDLE and MIDs"))?;
        let is_ice_lite = attributes.has("ice-lite");
        let session_id = word(&session.origin.sess_id).unwrap_or_default();
        Ok(Self { sections, bundles, is_ice_lite, session_id })
    }

    /// The section with this MID.
    pub fn section(&self, mid: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.mid == mid)
    }
}
