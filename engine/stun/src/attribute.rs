//! Attribute types by their registered numbers. Those below 0x8000 must be understood by whoever
//! processes the message (RFC 8489 §14); the rest may be passed over.

/// MAPPED-ADDRESS (RFC 8489 §14.1), what servers of RFC 3489 sent; read by nobody here.
pub const MAPPED_ADDRESS: u16 = 0x0001;
/// USERNAME (RFC 8489 §14.3); in ICE `receiver-ufrag:sender-ufrag` (RFC 8445 §7.2.2).
pub const USERNAME: u16 = 0x0006;
/// MESSAGE-INTEGRITY (RFC 8489 §14.5): HMAC-SHA1 over everything before it.
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
/// ERROR-CODE (RFC 8489 §14.8).
pub const ERROR_CODE: u16 = 0x0009;
/// UNKNOWN-ATTRIBUTES (RFC 8489 §14.13): the types a 420 complains about.
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
/// REALM (RFC 8489 §14.9), of the long-term credential mechanism.
pub const REALM: u16 = 0x0014;
/// NONCE (RFC 8489 §14.10), of the long-term credential mechanism.
pub const NONCE: u16 = 0x0015;
/// XOR-MAPPED-ADDRESS (RFC 8489 §14.2): the request's source as the server saw it.
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// PRIORITY (RFC 8445 §7.1.1): of the peer-reflexive candidate the check may discover.
pub const PRIORITY: u16 = 0x0024;
/// USE-CANDIDATE (RFC 8445 §7.1.2): the controlling agent nominates this pair.
pub const USE_CANDIDATE: u16 = 0x0025;
/// SOFTWARE (RFC 8489 §14.14), for people who read captures.
pub const SOFTWARE: u16 = 0x8022;
/// FINGERPRINT (RFC 8489 §14.7): CRC-32 over everything before it, always last.
pub const FINGERPRINT: u16 = 0x8028;
/// ICE-CONTROLLED (RFC 8445 §7.1.3), with the tie-breaker.
pub const ICE_CONTROLLED: u16 = 0x8029;
/// ICE-CONTROLLING (RFC 8445 §7.1.3), with the tie-breaker.
pub const ICE_CONTROLLING: u16 = 0x802a;

/// Types from here on may be ignored by a receiver that does not know them (RFC 8489 §14).
pub const COMPREHENSION_OPTIONAL: u16 = 0x8000;

/// What an ICE agent understands in a Binding request or its answer.
pub const KNOWN_TO_ICE: [u16; 10] = [
    MAPPED_ADDRESS,
    USERNAME,
    MESSAGE_INTEGRITY,
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    REALM,
    NONCE,
    XOR_MAPPED_ADDRESS,
    PRIORITY,
    USE_CANDIDATE,
];
