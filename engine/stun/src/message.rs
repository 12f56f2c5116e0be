//! A received message as a checked view (RFC 8489 §5, §6.3, §14).
//!
//! [`Message::new`] walks the attributes once; after that only the value of a single attribute can be
//! invalid, which is then `None`. The sender is authenticated separately, with [`Message::verify_integrity`].

use crate::attribute::{
    COMPREHENSION_OPTIONAL, ERROR_CODE, FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING, KNOWN_TO_ICE,
    MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY, SOFTWARE, USE_CANDIDATE, USERNAME,
    XOR_MAPPED_ADDRESS,
};
use crate::crc32::crc32;
use crate::key::{Integrity, Key};
use crate::types::from_message_type;
use crate::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Bytes of an attribute's type and length.
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// The value that FINGERPRINT's CRC is XORed with, so that it differs from a CRC of the payload (RFC 8489
/// §14.7).
pub(crate) const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// A message with checked framing.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// The end of the attributes that are used: after the first of the two MESSAGE-INTEGRITYs, else before
    /// FINGERPRINT, else the message's end.
    used_end: usize,
    /// Of MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256.
    integrity_at: [Option<usize>; 2],
    fingerprint_at: Option<usize>,
}

/// Why bytes are not a STUN message. All of it is network noise: count it and drop the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Shorter than a header.
    TooShort,
    /// The two bits above the message type are not zero: not STUN at all.
    NotStun,
    /// The magic cookie is missing: the obsolete RFC 3489, or not STUN at all.
    NoCookie,
    /// The length field is not a multiple of 4, or differs from the received length.
    BadLength,
    /// An attribute reaches beyond the message.
    AttributeCut,
    /// MESSAGE-INTEGRITY is not 20 bytes long, MESSAGE-INTEGRITY-SHA256 not 32 or FINGERPRINT not 4.
    BadCheckLength,
    /// Something follows FINGERPRINT, which must be last (RFC 8489 §14.7).
    AfterFingerprint,
}

/// One attribute in use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// A number of [`attribute`](crate::attribute), or an unknown one.
    pub kind: u16,
    /// The value without its padding.
    pub value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks the framing of `bytes`, which must be exactly one message.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = bytes.get(..HEADER_LEN).ok_or(Malformed::TooShort)?;
        if header[0] & 0xc0 != 0 {
            return Err(Malformed::NotStun);
        }
        if header[4..8] != MAGIC_COOKIE.to_be_bytes() {
            return Err(Malformed::NoCookie);
        }
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if !len.is_multiple_of(4) || bytes.len() != HEADER_LEN + len {
            return Err(Malformed::BadLength);
        }

        let mut message =
            Self { bytes, used_end: bytes.len(), integrity_at: [None; 2], fingerprint_at: None };
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            if message.fingerprint_at.is_some() {
                return Err(Malformed::AfterFingerprint);
            }
            let (attribute, next) = attribute_at(bytes, at).ok_or(Malformed::AttributeCut)?;
            match attribute.kind {
                MESSAGE_INTEGRITY => message.note_integrity(Integrity::Sha1, attribute, at..next)?,
                MESSAGE_INTEGRITY_SHA256 => {
                    message.note_integrity(Integrity::Sha256, attribute, at..next)?;
                }
                FINGERPRINT => {
                    if attribute.value.len() != 4 {
                        return Err(Malformed::BadCheckLength);
                    }
                    message.fingerprint_at = Some(at);
                    if message.integrity_at == [None; 2] {
                        message.used_end = at;
                    }
                }
                _ => {}
            }
            at = next;
        }
        Ok(message)
    }

    /// The first of each kind is used; after the first of both, other attributes are ignored.
    fn note_integrity(
        &mut self,
        integrity: Integrity,
        attribute: Attribute<'_>,
        at: Range<usize>,
    ) -> Result<(), Malformed> {
        if self.integrity_at[integrity as usize].is_some() {
            return Ok(());
        }
        if attribute.value.len() != integrity.len() {
            return Err(Malformed::BadCheckLength);
        }
        if self.integrity_at == [None; 2] {
            self.used_end = at.end;
        }
        self.integrity_at[integrity as usize] = Some(at.start);
        Ok(())
    }

    /// Request, indication or response.
    pub fn class(&self) -> Class {
        from_message_type(self.message_type()).0
    }

    /// The method.
    pub fn method(&self) -> Method {
        from_message_type(self.message_type()).1
    }

    /// The id that an answer must repeat.
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_LEN]);
        TransactionId(id)
    }

    /// The attributes in use, in order: those before the first MESSAGE-INTEGRITY of either kind, that one,
    /// and FINGERPRINT. Attributes between the latter two are not covered by the HMAC, so an attacker could
    /// have added them; they are ignored (RFC 8489 §14.5, §14.6).
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { message: *self, at: HEADER_LEN }
    }

    /// The value of the first attribute of that type; later ones are ignored (RFC 8489 §14).
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// USERNAME. In a received check, `our-ufrag:their-ufrag` (RFC 8445 §7.2.2).
    pub fn username(&self) -> Option<&'a [u8]> {
        self.attribute(USERNAME)
    }

    /// PRIORITY of the checked pair.
    pub fn priority(&self) -> Option<u32> {
        self.attribute(PRIORITY)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Whether the controlling agent nominates the pair.
    pub fn use_candidate(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
    }

    /// The tie-breaker of a sender in the controlling role.
    pub fn ice_controlling(&self) -> Option<u64> {
        self.attribute(ICE_CONTROLLING)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The tie-breaker of a sender in the controlled role.
    pub fn ice_controlled(&self) -> Option<u64> {
        self.attribute(ICE_CONTROLLED)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// SOFTWARE, if it is text.
    pub fn software(&self) -> Option<&'a str> {
        str::from_utf8(self.attribute(SOFTWARE)?).ok()
    }

    /// The request's source address as seen by the server.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.address(self.attribute(XOR_MAPPED_ADDRESS)?)
    }

    /// The address in the value of any attribute with an XORed address.
    pub(crate) fn address(&self, value: &[u8]) -> Option<SocketAddr> {
        from_xored_address(value, self.transaction_id())
    }

    /// The code (300..=699) and its phrase, which is empty if it is not text (RFC 8489 §14.8).
    pub fn error_code(&self) -> Option<(u16, &'a str)> {
        let (head, reason) = self.attribute(ERROR_CODE)?.split_first_chunk::<4>()?;
        let (class, number) = (u16::from(head[2] & 0x07), u16::from(head[3]));
        if !(3..=6).contains(&class) || number > 99 {
            return None;
        }
        Some((class * 100 + number, str::from_utf8(reason).unwrap_or_default()))
    }

    /// The types for a 420: the comprehension-required ones that an ICE agent does not understand.
    pub fn unknown_required(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.required_outside(&KNOWN_TO_ICE)
    }

    /// The comprehension-required types that are not in `known`; duplicates are repeated.
    pub fn required_outside<'k>(&self, known: &'k [u16]) -> impl Iterator<Item = u16> + use<'a, 'k> {
        self.attributes()
            .map(|attribute| attribute.kind)
            .filter(move |kind| *kind < COMPREHENSION_OPTIONAL && !known.contains(kind))
    }

    /// Whether there is a MESSAGE-INTEGRITY of either kind.
    pub fn has_integrity(&self) -> bool {
        self.integrity_at != [None; 2]
    }

    /// The strongest MESSAGE-INTEGRITY in the message, which must be verified (RFC 8489 §9.2.4).
    pub fn integrity(&self) -> Option<Integrity> {
        [Integrity::Sha256, Integrity::Sha1]
            .into_iter()
            .find(|integrity| self.integrity_at[*integrity as usize].is_some())
    }

    /// Whether the message has the key's kind of MESSAGE-INTEGRITY and it is correct; compared in constant
    /// time.
    ///
    /// The HMAC covers the message before later attributes were added: the length field counts up to the end
    /// of this attribute (RFC 8489 §14.5, §14.6).
    pub fn verify_integrity(&self, key: &Key) -> bool {
        let integrity = key.integrity();
        let Some(at) = self.integrity_at[integrity as usize] else { return false };
        let end = at + ATTRIBUTE_HEADER_LEN + integrity.len();
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&self.bytes[..HEADER_LEN]);
        // At most the value of the length field itself, so it fits.
        header[2..4].copy_from_slice(&((end - HEADER_LEN) as u16).to_be_bytes());
        let mac = &self.bytes[at + ATTRIBUTE_HEADER_LEN..end];
        key.verify(&header, &self.bytes[HEADER_LEN..at], mac)
    }

    /// Whether FINGERPRINT is correct; `None` if there is none.
    pub fn verify_fingerprint(&self) -> Option<bool> {
        let at = self.fingerprint_at?;
        let value = &self.bytes[at + ATTRIBUTE_HEADER_LEN..];
        Some(value == (crc32(&self.bytes[..at]) ^ FINGERPRINT_XOR).to_be_bytes())
    }

    /// The underlying bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn message_type(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }
}

impl fmt::Debug for Message<'_> {
    /// Without the values: they contain user names, and bytes chosen by an attacker.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("class", &self.class())
            .field("method", &self.method())
            .field("transaction_id", &self.transaction_id())
            .field("attributes", &self.attributes())
            .finish()
    }
}

impl fmt::Debug for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}({})", self.kind, self.value.len())
    }
}

/// See [`Message::attributes`].
#[derive(Clone)]
pub struct Attributes<'a> {
    message: Message<'a>,
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        if self.at >= self.message.used_end {
            // FINGERPRINT is last and returned once; then `at` is beyond everything.
            self.at = self.at.max(self.message.fingerprint_at?);
            if self.at >= self.message.bytes.len() {
                return None;
            }
        }
        let (attribute, next) = attribute_at(self.message.bytes, self.at)?;
        self.at = next;
        Some(attribute)
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The attribute at `at`, and the position of the next one.
fn attribute_at(bytes: &[u8], at: usize) -> Option<(Attribute<'_>, usize)> {
    let (head, rest) = bytes.get(at..)?.split_first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // Computed in `usize`: 65533 rounded up to a multiple of 4 does not fit into u16.
    let padded = len.next_multiple_of(4);
    if padded > rest.len() {
        return None;
    }
    let kind = u16::from_be_bytes([head[0], head[1]]);
    Some((Attribute { kind, value: &rest[..len] }, at + ATTRIBUTE_HEADER_LEN + padded))
}

/// The port is XORed with the cookie's upper half, the address with cookie and transaction id
/// (RFC 8489 §14.2).
fn from_xored_address(value: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let (head, address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([head[2], head[3]]) ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match head[1] {
        1 => {
            let address: [u8; 4] = address.try_into().ok()?;
            IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(address) ^ MAGIC_COOKIE))
        }
        2 => {
            let address: [u8; 16] = address.try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(u128::from_be_bytes(address) ^ xor_pad(id)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Cookie and transaction id, side by side.
pub(crate) fn xor_pad(id: TransactionId) -> u128 {
    let mut pad = [0; 16];
    pad[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    pad[4..].copy_from_slice(&id.0);
    u128::from_be_bytes(pad)
}
