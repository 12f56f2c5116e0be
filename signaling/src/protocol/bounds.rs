//! Counts the parts of a protobuf message before it is decoded.
//!
//! Two encoded bytes can become a structure of two hundred bytes in memory, so the length of a message does
//! not bound the cost of decoding it. This walks over the encoding (protobuf.dev, "Encoding") along the
//! schema, without allocating, and counts messages and elements of repeated fields. Values are checked by the
//! decoder.

use crate::limits;

/// The fields of a message that are counted.
type Message = &'static [Field];

/// A field that contains messages or is repeated.
struct Field {
    number: u64,
    /// Index in [`MESSAGES`] of the message type it contains; `None` for a scalar, a string or bytes.
    message: Option<usize>,
    is_repeated: bool,
}

/// All messages of `signal.proto`, `Signal` first.
static MESSAGES: &[Message] = include!(concat!(env!("OUT_DIR"), "/fields.rs"));

/// Why a message is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BoundsError {
    /// It ends within a field, or has an unknown wire type.
    #[error("it is not a protobuf message")]
    Malformed,
    /// It has too many parts.
    #[error("it has more than {} messages and list elements", limits::MESSAGE_ELEMENTS_MAX)]
    TooManyElements,
    /// It is nested more deeply than the messages of `signal.proto`.
    #[error("its messages are nested more than {} deep", limits::MESSAGE_DEPTH_MAX)]
    TooDeep,
}

/// Checks that a `Signal` may be decoded.
pub(super) fn check(signal: &[u8]) -> Result<(), BoundsError> {
    let mut elements = 0;
    walk(signal, MESSAGES[0], &mut elements, limits::MESSAGE_DEPTH_MAX)
}

fn walk(mut rest: &[u8], message: Message, elements: &mut usize, depth: usize) -> Result<(), BoundsError> {
    let depth = depth.checked_sub(1).ok_or(BoundsError::TooDeep)?;
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = message.iter().find(|field| field.number == tag >> 3);
        let value = match tag & 7 {
            0 => {
                varint(&mut rest)?;
                &[]
            }
            1 => take(&mut rest, 8)?,
            2 => {
                let len = varint(&mut rest)?;
                take(&mut rest, usize::try_from(len).map_err(|_| BoundsError::Malformed)?)?
            }
            5 => take(&mut rest, 4)?,
            // Groups are obsolete in protobuf; 6 and 7 are undefined.
            _ => return Err(BoundsError::Malformed),
        };
        let Some(field) = field else { continue };
        // A list of scalars may be packed into one field, with at most one element per byte.
        let packed =
            if field.message.is_none() && tag & 7 == 2 && field.is_repeated { value.len() } else { 0 };
        *elements += 1 + packed;
        if *elements > limits::MESSAGE_ELEMENTS_MAX {
            return Err(BoundsError::TooManyElements);
        }
        if let (Some(inner), 2) = (field.message, tag & 7) {
            walk(value, MESSAGES[inner], elements, depth)?;
        }
    }
    Ok(())
}

/// Whether one of the first fields of a message has one of these numbers. Looks at the outermost level only.
pub(super) fn begins_with(mut rest: &[u8], numbers: std::ops::RangeInclusive<u64>) -> bool {
    for _ in 0..FIELDS_READ {
        let Ok(tag) = varint(&mut rest) else { return false };
        if numbers.contains(&(tag >> 3)) {
            return true;
        }
        let skipped = match tag & 7 {
            0 => varint(&mut rest).map(|_| ()),
            1 => take(&mut rest, 8).map(|_| ()),
            2 => varint(&mut rest)
                .and_then(|len| take(&mut rest, usize::try_from(len).unwrap_or(usize::MAX)))
                .map(|_| ()),
            5 => take(&mut rest, 4).map(|_| ()),
            _ => return false,
        };
        if skipped.is_err() {
            return false;
        }
    }
    false
}

/// Fields that [`begins_with`] reads: a `Signal` has its version before its payload.
const FIELDS_READ: usize = 4;

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], BoundsError> {
    let (value, after) = rest.split_at_checked(len).ok_or(BoundsError::Malformed)?;
    *rest = after;
    Ok(value)
}

fn varint(rest: &mut &[u8]) -> Result<u64, BoundsError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte, after @ ..] = *rest else { return Err(BoundsError::Malformed) };
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(BoundsError::Malformed)
}

#[cfg(test)]
mod tests;
