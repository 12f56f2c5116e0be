//! The limits of a description, the reason for each, and what happens when it is reached.

/// Bytes of a description: that of Chrome with three sections and all codecs has 8 KiB, and each further camera
/// adds 3. A longer one is refused before it is parsed.
pub const DESCRIPTION_BYTES_MAX: usize = 256 * 1024;
/// Lines of a description: a section of Chrome has about 150. A description with more is refused before it is
/// parsed.
pub const LINES_MAX: usize = 8_192;
/// Media sections of a description: audio and video of 32 peers. A description with more is refused.
pub const SECTIONS_MAX: usize = 64;
/// Formats (payload types) of a section, and each list of attributes about them. A section with more is refused.
pub const FORMATS_MAX: usize = 128;
/// Bytes of the parameters of a payload type: browsers write 80. Longer ones are refused.
pub const PARAMETERS_BYTES_MAX: usize = 1_024;
/// Header extensions, SSRCs, groups of SSRCs and candidates of a section, each. A section with more is refused.
pub const ATTRIBUTES_MAX: usize = 128;
/// RIDs of a section, and entries of its simulcast line. A section with more is refused.
pub const RIDS_MAX: usize = 16;
/// Bytes of a token: a MID, a RID, an identifier of a stream. A longer one is refused.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Fingerprints of a section: one for each hash of RFC 8122. A section with more is refused.
pub const FINGERPRINTS_MAX: usize = 8;
/// Bytes of a fragment: 128 candidates of 120 bytes, and what surrounds them. A longer one is refused before it is
/// parsed.
pub const FRAGMENT_BYTES_MAX: usize = 32 * 1024;
