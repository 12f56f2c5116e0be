//! Fragments of a description in HTTP PATCH requests (RFC 8840 §4.4, RFC 9725 §4.3): further candidates, or new ICE
//! credentials.

use crate::attribute::token;
use crate::candidate::Candidate;
use crate::error::SdpError;
use crate::limits::{ATTRIBUTES_MAX, FRAGMENT_BYTES_MAX};
use crate::local::LocalTransport;
use std::fmt::Write;

/// What a fragment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// ICE user name fragment.
    pub ice_ufrag: Option<String>,
    /// ICE password.
    pub ice_pwd: Option<String>,
    /// The MID of the first section, if it has one.
    pub mid: Option<String>,
    /// Candidates, of the transports and kinds that are known here.
    pub candidates: Vec<Candidate>,
    /// Whether no further candidates follow.
    pub has_end_of_candidates: bool,
}

impl Fragment {
    /// Reads a fragment. Lines that do not matter here are skipped.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > FRAGMENT_BYTES_MAX {
            return Err(SdpError::TooLong { what: "bytes", count: text.len(), limit: FRAGMENT_BYTES_MAX });
        }
        let wrong =
            |attribute, wanted| SdpError::Attribute { place: "fragment".to_owned(), attribute, wanted };
        let mut found = Self::default();
        let mut count = 0;
        let mut has_ice = false;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let is_line = line.as_bytes().get(1) == Some(&b'=') && line.as_bytes()[0].is_ascii_lowercase();
            if !is_line {
                return Err(SdpError::Syntax(
                    "each line of a fragment is a letter, = and a value".to_owned(),
                ));
            }
            let Some(attribute) = line.strip_prefix("a=") else { continue };
            let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
            has_ice |= matches!(name, "ice-ufrag" | "ice-pwd" | "candidate" | "end-of-candidates");
            match name {
                "ice-ufrag" => {
                    found.ice_ufrag = Some(
                        ice(value, 4)
                            .ok_or_else(|| wrong("ice-ufrag", "4 to 256 letters, digits, + and /"))?,
                    );
                }
                "ice-pwd" => {
                    found.ice_pwd = Some(
                        ice(value, 22)
                            .ok_or_else(|| wrong("ice-pwd", "22 to 256 letters, digits, + and /"))?,
                    );
                }
                "mid" if found.mid.is_none() => {
                    found.mid = Some(token(value).ok_or_else(|| wrong("mid", "a token (RFC 8866 §9)"))?);
                }
                "candidate" => {
                    count += 1;
                    if count > ATTRIBUTES_MAX {
                        let place = "fragment".to_owned();
                        return Err(SdpError::TooMany { place, what: "candidates", limit: ATTRIBUTES_MAX });
                    }
                    match Candidate::parse(value) {
                        Some(candidate) => found.candidates.push(candidate),
                        None if value.split(' ').filter(|word| !word.is_empty()).nth(6) == Some("typ") => {}
                        None => return Err(wrong("candidate", "a candidate as in RFC 8839 §5.1")),
                    }
                }
                "end-of-candidates" => found.has_end_of_candidates = true,
                _ => {}
            }
        }
        if !has_ice {
            return Err(SdpError::Syntax(
                "a fragment has a=candidate, a=end-of-candidates, or a=ice-ufrag and a=ice-pwd (RFC 8840 §4.4)".to_owned(),
            ));
        }
        Ok(found)
    }

    /// The answer to a fragment that restarts ICE: the credentials and candidates of this side.
    pub fn write(transport: &LocalTransport, mid: &str, media: &str) -> String {
        let LocalTransport { ice_ufrag, ice_pwd, candidates, is_ice_lite, .. } = transport;
        let mut text = String::new();
        if *is_ice_lite {
            text.push_str("a=ice-lite\r\n");
        }
        // Writing to a string does not fail.
        let _ = write!(text, "a=ice-ufrag:{ice_ufrag}\r\na=ice-pwd:{ice_pwd}\r\n");
        let _ = write!(text, "m={media} 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{mid}\r\n");
        for candidate in candidates {
            let _ = write!(text, "a=candidate:{candidate}\r\n");
        }
        text.push_str("a=end-of-candidates\r\n");
        text
    }
}

fn ice(text: &str, shortest: usize) -> Option<String> {
    let is_ice = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    ((shortest..=256).contains(&text.len()) && text.chars().all(is_ice)).then(|| text.to_owned())
}
