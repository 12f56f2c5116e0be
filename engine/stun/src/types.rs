//! The header's fields.

/// The class of a message (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Expects a response.
    Request,
    /// Expects no response.
    Indication,
    /// The success response.
    Success,
    /// The error response; contains ERROR-CODE.
    Error,
}

/// The method; 12 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(pub u16);

impl Method {
    /// ICE connectivity and consent checks, and requests for the mapped address (RFC 8489 §18.2).
    pub const BINDING: Self = Self(0x001);
    /// RFC 8656 §18.
    pub const ALLOCATE: Self = Self(0x003);
    /// RFC 8656 §18.
    pub const REFRESH: Self = Self(0x004);
    /// RFC 8656 §18.
    pub const SEND: Self = Self(0x006);
    /// RFC 8656 §18.
    pub const DATA: Self = Self(0x007);
    /// RFC 8656 §18.
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// RFC 8656 §18.
    pub const CHANNEL_BIND: Self = Self(0x009);
    /// RFC 6062 §6.1.
    pub const CONNECT: Self = Self(0x00a);
    /// RFC 6062 §6.1.
    pub const CONNECTION_BIND: Self = Self(0x00b);
    /// RFC 6062 §6.1.
    pub const CONNECTION_ATTEMPT: Self = Self(0x00c);

    /// The largest method of 12 bits.
    pub const MAX: Self = Self(0xfff);
}

/// Chosen at random by the client; an answer repeats it (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// The header's first field: the class bits 4 and 8 are in the middle of the method's.
///
/// ```text
///   13 12 11 10  9  8  7  6  5  4  3  2  1  0
///  M11…M7        C1 M6…M4   C0 M3…M0          (RFC 8489 figure 3)
/// ```
pub(crate) fn to_message_type(class: Class, method: Method) -> u16 {
    let method = method.0;
    let class = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    (method & 0x00f) | (method & 0x070) << 1 | (method & 0xf80) << 2 | class
}

/// The reverse; the two bits above must be zero, and are ignored here.
pub(crate) fn from_message_type(field: u16) -> (Class, Method) {
    let class = match field & 0x110 {
        0x000 => Class::Request,
        0x010 => Class::Indication,
        0x100 => Class::Success,
        _ => Class::Error,
    };
    (class, Method(field & 0x00f | (field & 0x0e0) >> 1 | (field & 0x3e00) >> 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_field_round_trips() {
        assert_eq!(to_message_type(Class::Request, Method::BINDING), 0x0001);
        assert_eq!(to_message_type(Class::Success, Method::BINDING), 0x0101);
        assert_eq!(to_message_type(Class::Error, Method::ALLOCATE), 0x0113);
        for method in 0..=Method::MAX.0 {
            for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
                let field = to_message_type(class, Method(method));
                assert!(field < 0x4000);
                assert_eq!(from_message_type(field), (class, Method(method)));
            }
        }
    }
}
