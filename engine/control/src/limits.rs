//! Bounds of the parts of a record.

/// Bytes of [`AppData`](crate::AppData) of an object: the state that signaling needs after a restart — names
/// and RTP parameters, about 2 KiB for a browser's video producer. More is refused.
pub const APP_DATA_LEN_MAX: usize = 16 * 1024;

/// Elements of a list in a record: encodings, codecs, header extensions (a browser's offer has about a
/// dozen).
pub const LIST_LEN_MAX: usize = 32;

/// Bytes of a text in a record: a CNAME, a MID, a sentence that explains a refusal.
pub const TEXT_LEN_MAX: usize = 512;

/// Bytes of an SRTP master key with its salt: the longest, of AEAD_AES_256_GCM, has 44.
pub const SRTP_KEY_LEN_MAX: usize = 64;

/// The longest playout delay, in milliseconds: the extension has twelve bits of 10 ms. A longer one is
/// refused.
pub const PLAYOUT_DELAY_MS_MAX: u16 = 40_950;

/// Bytes of the longest encoded record. The ring's own maximum must be at least this.
pub const RECORD_LEN_MAX: usize = 32 * 1024;

const _: () = assert!(APP_DATA_LEN_MAX + 8 * TEXT_LEN_MAX < RECORD_LEN_MAX);
