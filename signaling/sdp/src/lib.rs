//! Session descriptions (RFC 8866) of WebRTC clients, as values: what browsers, encoders and players write by
//! JSEP (RFC 8829), WHIP (RFC 9725) and WHEP.
//!
//! [`Description::parse`] checks the length and the number of lines first, then every value of the attributes that
//! matter here. Other attributes are skipped. All lists are bounded ([`limits`]), so the work for a description is
//! bounded by its length. [`Answer::write`] writes an answer, and refuses one that the offerer would not accept.

#![forbid(unsafe_code)]

mod answer;
mod attribute;
mod candidate;
mod description;
mod error;
mod fragment;
pub mod limits;
mod local;
mod offer;
mod section;
mod simulcast;

pub use answer::Answer;
pub use candidate::{Candidate, CandidateAddress, CandidateKind, TcpKind, Transport};
pub use description::Description;
pub use error::SdpError;
pub use fragment::Fragment;
pub use local::{LocalCodec, LocalData, LocalMedia, LocalSection, LocalTransport};
pub use offer::{Offer, OfferedSection};
pub use section::{
    Direction, ExtMap, Feedback, Fingerprint, Fmtp, HashAlgorithm, MediaKind, Msid, Rid, RtpMap, SctpMap,
    Section, Setup, Ssrc, SsrcGroup,
};
pub use simulcast::{RidChoice, Simulcast};
