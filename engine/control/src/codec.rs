//! The binary form: little-endian integers, lists and texts behind a `u16` or `u32` length, enums behind a
//! `u8` tag.

use crate::limits;
#[cfg(feature = "next-protocol")]
use crate::next;
#[cfg(feature = "next-protocol")]
use crate::version::PROTOCOL_VERSION;
use crate::version::version;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why bytes are not a record of this protocol. Always the writer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record ends inside a field.
    #[error("the record is truncated: {missing} bytes are missing")]
    Truncated {
        /// The number of missing bytes.
        missing: usize,
    },
    /// Bytes follow the last field.
    #[error("{0} bytes follow the record's last field")]
    Trailing(usize),
    /// The tag of an enum is unknown in this protocol version.
    #[error("protocol version {} has no {what} {tag}", version())]
    UnknownTag {
        /// The enum.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A list, text or blob is longer than its bound.
    #[error("a {what} of {len} exceeds the bound of {max}")]
    TooLong {
        /// The kind of value.
        what: &'static str,
        /// Its claimed length.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// A text is not UTF-8.
    #[error("a text is not valid UTF-8")]
    NotText,
    /// A number is outside of its field's range.
    #[error("{value} is out of range for {what}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// The value.
        value: u64,
    },
}

/// The unread rest of a record.
#[derive(Debug)]
pub struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, tail)) = self.0.split_at_checked(len) else {
            return Err(DecodeError::Truncated { missing: len - self.0.len() });
        };
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// Checks that the record ends here. Bytes of a newer peer are fields that this version does not know.
    pub(crate) fn end(self, peer_version: u32) -> Result<(), DecodeError> {
        #[cfg(feature = "next-protocol")]
        let Self(rest) = self.without_next_field(peer_version)?;
        #[cfg(not(feature = "next-protocol"))]
        let Self(rest) = self;
        let is_newer = peer_version > version();
        if rest.is_empty() || is_newer { Ok(()) } else { Err(DecodeError::Trailing(rest.len())) }
    }

    /// Reads the field that the next version adds to every record.
    #[cfg(feature = "next-protocol")]
    fn without_next_field(mut self, peer_version: u32) -> Result<Self, DecodeError> {
        if next::is_next() {
            let Added(value) = Added::read(&mut self)?;
            let expected = (peer_version > PROTOCOL_VERSION).then_some(next::VALUE);
            if value != expected {
                let value = value.unwrap_or(0);
                return Err(DecodeError::OutOfRange { what: "the field of the next version", value });
            }
        }
        Ok(self)
    }
}

/// Writes the field that the next version adds to every record.
#[cfg(feature = "next-protocol")]
pub(crate) fn write_next_field(out: &mut Vec<u8>) {
    if next::is_next() {
        Added(Some(next::VALUE)).write(out);
    }
}

/// A value with a binary form.
pub trait Wire: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError>;
}

/// A field that a later version has added at the end of a command or an event: `None` in a record of a peer
/// that is older than the field. The struct or variant is the last part of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added<T>(pub Option<T>);

impl<T: Wire> Wire for Added<T> {
    fn write(&self, out: &mut Vec<u8>) {
        if let Some(value) = &self.0 {
            value.write(out);
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let value = (!input.0.is_empty()).then(|| T::read(input)).transpose()?;
        Ok(Self(value))
    }
}

macro_rules! wire_integer {
    ($($int:ty),*) => {$(
        impl Wire for $int {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                input.array().map(Self::from_le_bytes)
            }
        }
    )*};
}
wire_integer!(u8, u16, u32, u64, i8, i32);

impl Wire for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match u8::read(input)? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::UnknownTag { what: "boolean", tag }),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.array()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::read(input)? { Some(T::read(input)?) } else { None })
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u16).write(out);
        for item in self {
            item.write(out);
        }
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let len = usize::from(u16::read(input)?);
        if len > limits::LIST_LEN_MAX {
            return Err(DecodeError::TooLong { what: "list", len, max: limits::LIST_LEN_MAX });
        }
        (0..len).map(|_| T::read(input)).collect()
    }
}

impl Wire for SocketAddr {
    fn write(&self, out: &mut Vec<u8>) {
        match self.ip() {
            IpAddr::V4(ip) => {
                4u8.write(out);
                ip.octets().write(out);
            }
            IpAddr::V6(ip) => {
                6u8.write(out);
                ip.octets().write(out);
            }
        }
        self.port().write(out);
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let ip: IpAddr = match u8::read(input)? {
            4 => Ipv4Addr::from(input.array::<4>()?).into(),
            6 => Ipv6Addr::from(input.array::<16>()?).into(),
            tag => return Err(DecodeError::UnknownTag { what: "address family", tag }),
        };
        Ok(Self::new(ip, u16::read(input)?))
    }
}

/// Gives a struct the binary form of its fields in order.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::codec::Wire::write(&self.$field, out);)*
            }

            fn read(input: &mut $crate::codec::Input<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self { $($field: $crate::codec::Wire::read(input)?,)* })
            }
        }
    };
}

/// Gives an enum the binary form of a tag and the fields of its variant. A variant is unit-like, has one
/// value `(inner)`, or has named fields.
macro_rules! wire_enum {
    ($name:ident, $what:literal { $($tag:literal => $variant:ident $(($inner:ident))? $({ $($field:ident),* $(,)? })?),* $(,)? }) => {
        impl $crate::codec::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($inner))? $({ $($field),* })? => {
                        out.push($tag);
                        $($crate::codec::Wire::write($inner, out);)?
                        $($($crate::codec::Wire::write($field, out);)*)?
                    })*
                }
            }

            fn read(input: &mut $crate::codec::Input<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(match <u8 as $crate::codec::Wire>::read(input)? {
                    $($tag => Self::$variant
                        $(({ let $inner = $crate::codec::Wire::read(input)?; $inner }))?
                        $({ $($field: $crate::codec::Wire::read(input)?),* })?,)*
                    tag => return Err($crate::DecodeError::UnknownTag { what: $what, tag }),
                })
            }
        }
    };
}

pub(crate) use {wire_enum, wire_struct};

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Older {
        id: u32,
    }
    wire_struct!(Older { id });

    #[derive(Debug, PartialEq, Eq)]
    struct Newer {
        id: u32,
        rate: Added<u16>,
        name: Added<u8>,
    }
    wire_struct!(Newer { id, rate, name });

    fn record(value: &impl Wire) -> Vec<u8> {
        let mut out = Vec::new();
        value.write(&mut out);
        out
    }

    fn read<T: Wire>(record: &[u8]) -> Result<T, DecodeError> {
        T::read(&mut Input(record))
    }

    #[test]
    fn added_fields_are_absent_in_a_record_of_an_older_peer() {
        let newer = Newer { id: 7, rate: Added(Some(300)), name: Added(Some(2)) };
        assert_eq!(read(&record(&newer)), Ok(newer));
        let of_older = Newer { id: 7, rate: Added(None), name: Added(None) };
        assert_eq!(read(&record(&Older { id: 7 })), Ok(of_older));
        // Of a version between the two.
        let between = [&record(&Older { id: 7 })[..], &300_u16.to_le_bytes()].concat();
        assert_eq!(read(&between), Ok(Newer { id: 7, rate: Added(Some(300)), name: Added(None) }));
    }

    #[test]
    fn an_added_field_that_is_cut_short_is_refused() {
        let cut = [&record(&Older { id: 7 })[..], &[1]].concat();
        assert_eq!(read::<Newer>(&cut), Err(DecodeError::Truncated { missing: 1 }));
    }
}
