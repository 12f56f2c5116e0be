//! Session descriptions, and candidates alone.

use sdp::limits::{ATTRIBUTES_MAX, FORMATS_MAX, RIDS_MAX, SECTIONS_MAX};
use sdp::{Candidate, Description};

/// Reading ends with values within their limits, or with an error that has a text.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Candidate::parse(text);
    match Description::parse(text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(description) => {
            assert!(description.sections.len() <= SECTIONS_MAX);
            for section in &description.sections {
                assert!(section.formats.len() <= FORMATS_MAX && section.rtpmaps.len() <= FORMATS_MAX);
                assert!(section.extmaps.len() <= ATTRIBUTES_MAX && section.ssrcs.len() <= ATTRIBUTES_MAX);
                assert!(section.rids.len() <= RIDS_MAX && section.candidates.len() <= ATTRIBUTES_MAX);
                assert_eq!(description.section(&section.mid).map(|found| &found.mid), Some(&section.mid));
            }
        }
    }
}
