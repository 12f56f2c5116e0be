//! Session descriptions, candidates alone, and fragments of HTTP PATCH requests.

use sdp::limits::{ATTRIBUTES_MAX, FORMATS_MAX, RIDS_MAX, SECTIONS_MAX};
use sdp::{
    Answer, Candidate, Description, Fingerprint, Fragment, HashAlgorithm, LocalData, LocalSection,
    LocalTransport, MediaKind, Section, Setup,
};

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
            // Whatever was read can be refused, data channels can be accepted, and the answers can be read.
            for accepts_data in [false, true] {
                let is_accepted = |section: &Section| {
                    accepts_data && section.kind == MediaKind::Application && !section.is_rejected()
                };
                let accepted: Vec<bool> = description.sections.iter().map(is_accepted).collect();
                let sections = accepted.iter().map(|accepted| match accepted {
                    true => LocalSection::Data(LocalData { port: 1, streams: 2, message_len_max: 3 }),
                    false => LocalSection::Rejected,
                });
                let (transport, sections) = (transport(), sections.collect());
                let answer = Answer { session_id: 1, version: 1, transport, sections };
                let text = answer.write(&description).expect("an answer with as many sections");
                let answer = Description::parse(&text).expect("an answer that can be read");
                let rejected = answer.sections.iter().map(Section::is_rejected);
                assert!(rejected.eq(accepted.iter().map(|accepted| !accepted)));
            }
        }
    }
}

/// A fragment ends with values within their limits, or with an error that has a text.
pub fn sdp_fragment(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Fragment::parse(text) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(fragment) => {
            assert!(fragment.candidates.len() <= ATTRIBUTES_MAX);
            let is_length = |text: &String| text.len() <= 256;
            assert!(fragment.ice_ufrag.iter().chain(&fragment.ice_pwd).chain(&fragment.mid).all(is_length));
        }
    }
    // The fragment of this side can be read.
    let own = Fragment::parse(&Fragment::write(&transport(), "0", "audio")).expect("a fragment");
    assert_eq!(own.ice_ufrag.as_deref(), Some("abcd"));
}

fn transport() -> LocalTransport {
    LocalTransport {
        ice_ufrag: "abcd".to_owned(),
        ice_pwd: "abcdefghijklmnopqrstuv".to_owned(),
        fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, value: vec![7; 32] },
        setup: Setup::Passive,
        candidates: Vec::new(),
        is_ice_lite: true,
    }
}
