//! Attribute types by their registered numbers. A receiver must understand those below 0x8000 (RFC 8489 §14);
//! it may ignore the rest.

/// MAPPED-ADDRESS (RFC 8489 §14.1), sent by servers of RFC 3489; not read here.
pub const MAPPED_ADDRESS: u16 = 0x0001;
/// USERNAME (RFC 8489 §14.3); in ICE `receiver-ufrag:sender-ufrag` (RFC 8445 §7.2.2).
pub const USERNAME: u16 = 0x0006;
/// MESSAGE-INTEGRITY (RFC 8489 §14.5): HMAC-SHA1 over everything before it.
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
/// ERROR-CODE (RFC 8489 §14.8).
pub const ERROR_CODE: u16 = 0x0009;
/// UNKNOWN-ATTRIBUTES (RFC 8489 §14.13): the types that caused a 420.
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
/// CHANNEL-NUMBER (RFC 8656 §18.1).
pub const CHANNEL_NUMBER: u16 = 0x000c;
/// LIFETIME of an allocation (RFC 8656 §18.2), seconds.
pub const LIFETIME: u16 = 0x000d;
/// XOR-PEER-ADDRESS (RFC 8656 §18.3).
pub const XOR_PEER_ADDRESS: u16 = 0x0012;
/// DATA of a Send or Data indication (RFC 8656 §18.4).
pub const DATA: u16 = 0x0013;
/// REALM (RFC 8489 §14.9), of the long-term credential mechanism.
pub const REALM: u16 = 0x0014;
/// NONCE (RFC 8489 §14.10), of the long-term credential mechanism.
pub const NONCE: u16 = 0x0015;
/// XOR-RELAYED-ADDRESS (RFC 8656 §18.5): the address at which peers reach the client.
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
/// REQUESTED-ADDRESS-FAMILY of the relayed address (RFC 8656 §18.6).
pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
/// EVEN-PORT (RFC 8656 §18.7): requests an even port, and optionally reserves the next one.
pub const EVEN_PORT: u16 = 0x0018;
/// REQUESTED-TRANSPORT between server and peer (RFC 8656 §18.8), an IP protocol number.
pub const REQUESTED_TRANSPORT: u16 = 0x0019;
/// DONT-FRAGMENT (RFC 8656 §18.9): the DF bit towards the peer.
pub const DONT_FRAGMENT: u16 = 0x001a;
/// MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6): HMAC-SHA256 over everything before it.
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
/// PASSWORD-ALGORITHM used for the key (RFC 8489 §14.12).
pub const PASSWORD_ALGORITHM: u16 = 0x001d;
/// USERHASH (RFC 8489 §14.4): the SHA-256 of user name and realm instead of the name.
pub const USERHASH: u16 = 0x001e;
/// XOR-MAPPED-ADDRESS (RFC 8489 §14.2): the request's source as seen by the server.
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// RESERVATION-TOKEN (RFC 8656 §18.10) of a port reserved by EVEN-PORT.
pub const RESERVATION_TOKEN: u16 = 0x0022;
/// PRIORITY (RFC 8445 §7.1.1): of the peer-reflexive candidate the check may discover.
pub const PRIORITY: u16 = 0x0024;
/// USE-CANDIDATE (RFC 8445 §7.1.2): the controlling agent nominates this pair.
pub const USE_CANDIDATE: u16 = 0x0025;
/// CONNECTION-ID of a peer's TCP connection (RFC 6062 §6.2.1).
pub const CONNECTION_ID: u16 = 0x002a;
/// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11): requests a second relayed address, of that family.
pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
/// ADDRESS-ERROR-CODE (RFC 8656 §18.12): the reason why one family has no relayed address.
pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
/// PASSWORD-ALGORITHMS that the server accepts (RFC 8489 §14.11).
pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
/// SOFTWARE (RFC 8489 §14.14), for people who read captures.
pub const SOFTWARE: u16 = 0x8022;
/// ALTERNATE-SERVER (RFC 8489 §14.15): the server to use instead.
pub const ALTERNATE_SERVER: u16 = 0x8023;
/// FINGERPRINT (RFC 8489 §14.7): CRC-32 over everything before it, always last.
pub const FINGERPRINT: u16 = 0x8028;
/// ICE-CONTROLLED (RFC 8445 §7.1.3), with the tie-breaker.
pub const ICE_CONTROLLED: u16 = 0x8029;
/// ICE-CONTROLLING (RFC 8445 §7.1.3), with the tie-breaker.
pub const ICE_CONTROLLING: u16 = 0x802a;

/// A receiver may ignore unknown types from here on (RFC 8489 §14).
pub const COMPREHENSION_OPTIONAL: u16 = 0x8000;

/// The attributes that an ICE agent understands in a Binding request or its answer. MESSAGE-INTEGRITY-SHA256
/// is among them: a peer that does not know what the other side supports sends it together with
/// MESSAGE-INTEGRITY (RFC 8489 §9.1.2), in either order.
pub const KNOWN_TO_ICE: [u16; 11] = [
    MAPPED_ADDRESS,
    USERNAME,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    REALM,
    NONCE,
    XOR_MAPPED_ADDRESS,
    PRIORITY,
    USE_CANDIDATE,
];
