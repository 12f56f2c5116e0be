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
/// XOR-RELAYED-ADDRESS (RFC 8656 §18.5): where peers reach the client.
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
/// REQUESTED-ADDRESS-FAMILY of the relayed address (RFC 8656 §18.6).
pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
/// EVEN-PORT (RFC 8656 §18.7): wants an even port, and perhaps the next one reserved.
pub const EVEN_PORT: u16 = 0x0018;
/// REQUESTED-TRANSPORT between server and peer (RFC 8656 §18.8), an IP protocol number.
pub const REQUESTED_TRANSPORT: u16 = 0x0019;
/// DONT-FRAGMENT (RFC 8656 §18.9): the DF bit towards the peer.
pub const DONT_FRAGMENT: u16 = 0x001a;
/// MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6): HMAC-SHA256 over everything before it.
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
/// PASSWORD-ALGORITHM that made the key (RFC 8489 §14.12).
pub const PASSWORD_ALGORITHM: u16 = 0x001d;
/// USERHASH (RFC 8489 §14.4): the SHA-256 of user name and realm instead of the name.
pub const USERHASH: u16 = 0x001e;
/// XOR-MAPPED-ADDRESS (RFC 8489 §14.2): the request's source as the server saw it.
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// RESERVATION-TOKEN (RFC 8656 §18.10) of a port that EVEN-PORT has reserved.
pub const RESERVATION_TOKEN: u16 = 0x0022;
/// PRIORITY (RFC 8445 §7.1.1): of the peer-reflexive candidate the check may discover.
pub const PRIORITY: u16 = 0x0024;
/// USE-CANDIDATE (RFC 8445 §7.1.2): the controlling agent nominates this pair.
pub const USE_CANDIDATE: u16 = 0x0025;
/// CONNECTION-ID of a peer's TCP connection (RFC 6062 §6.2.1).
pub const CONNECTION_ID: u16 = 0x002a;
/// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11): a relayed address of that family besides.
pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
/// ADDRESS-ERROR-CODE (RFC 8656 §18.12): why there is no relayed address of one family.
pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
/// PASSWORD-ALGORITHMS that the server takes (RFC 8489 §14.11).
pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
/// SOFTWARE (RFC 8489 §14.14), for people who read captures.
pub const SOFTWARE: u16 = 0x8022;
/// ALTERNATE-SERVER (RFC 8489 §14.15): where to ask instead.
pub const ALTERNATE_SERVER: u16 = 0x8023;
/// FINGERPRINT (RFC 8489 §14.7): CRC-32 over everything before it, always last.
pub const FINGERPRINT: u16 = 0x8028;
/// ICE-CONTROLLED (RFC 8445 §7.1.3), with the tie-breaker.
pub const ICE_CONTROLLED: u16 = 0x8029;
/// ICE-CONTROLLING (RFC 8445 §7.1.3), with the tie-breaker.
pub const ICE_CONTROLLING: u16 = 0x802a;

/// Types from here on may be ignored by a receiver that does not know them (RFC 8489 §14).
pub const COMPREHENSION_OPTIONAL: u16 = 0x8000;

/// What an ICE agent understands in a Binding request or its answer. MESSAGE-INTEGRITY-SHA256 is among them: a peer that does not know
/// what the other side supports writes it beside MESSAGE-INTEGRITY (RFC 8489 §9.1.2), in either order.
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
