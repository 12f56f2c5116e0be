//! Why a description is refused.

/// A description is refused: where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The text is longer than the limit, or has too many lines or sections.
    #[error("the description has {count} {what}; at most {limit} are accepted")]
    TooLong {
        /// What is counted.
        what: &'static str,
        /// Its number.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A line is not one of SDP.
    #[error("the description is not SDP (RFC 8866): {0}")]
    Syntax(String),
    /// An attribute has another form than expected.
    #[error("{place}: a={attribute}: expected {wanted}")]
    Attribute {
        /// The session, or the section.
        place: String,
        /// The name of the attribute.
        attribute: &'static str,
        /// The expected form.
        wanted: &'static str,
    },
    /// A section has too many of something.
    #[error("{place}: more than {limit} {what}")]
    TooMany {
        /// The session, or the section.
        place: String,
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A section cannot be used as a whole.
    #[error("{place}: {reason}")]
    Section {
        /// The section.
        place: String,
        /// Why.
        reason: &'static str,
    },
}
