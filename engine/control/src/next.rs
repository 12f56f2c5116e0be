//! A stand-in for the next protocol version, for tests of two versions together (feature `next-protocol`).
//!
//! A process built with the feature is of the current version, unless [`VARIABLE`] is set. Then it adds something of
//! each kind that a new version can add: a field at the end of every record, a counter on the statistics page, and
//! more words for that page.

use crate::codec::{DecodeError, Input, Wire};
use crate::version::{PROTOCOL_VERSION, version};
use std::sync::LazyLock;

/// The environment variable that makes a process one of the next version.
pub const VARIABLE: &str = "LEAT_NEXT_PROTOCOL";

/// The field at the end of every record, and the counter.
const VALUE: u64 = 0x6e65_7874;

pub(crate) fn is_next() -> bool {
    static IS_NEXT: LazyLock<bool> = LazyLock::new(|| std::env::var_os(VARIABLE).is_some());
    *IS_NEXT
}

/// Appends the additional field.
pub(crate) fn write_field(out: &mut Vec<u8>) {
    if is_next() {
        VALUE.write(out);
    }
}

/// Reads the additional field. A record of a peer of the current version has none.
pub(crate) fn read_field(input: &mut Input<'_>, peer_version: u32) -> Result<(), DecodeError> {
    if is_next() && peer_version > PROTOCOL_VERSION {
        let value = u64::read(input)?;
        if value != VALUE {
            return Err(DecodeError::OutOfRange { what: "the field of the next version", value });
        }
    }
    Ok(())
}

/// The additional counter of a section of the statistics page.
pub(crate) fn counter() -> Option<u64> {
    (version() > PROTOCOL_VERSION).then_some(VALUE)
}
