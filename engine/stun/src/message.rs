//! A received message as a checked view (RFC 8489 §5, §6.3, §14).
//!
//! [`Message::new`] walks the attributes once; after that nothing can fail but the meaning of a single
//! attribute, which is then `None`. Whether the sender is who it says is a separate question, put to
//! [`Message::verify_integrity`].

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
/// What FINGERPRINT's CRC is XORed with, so that it differs from a CRC of the payload (RFC 8489 §14.7).
pub(crate) const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// A message whose framing is known to be sound.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Where the attributes end that count: behind the first of the two MESSAGE-INTEGRITYs, else before FINGERPRINT,
    /// else at the message's end.
    counted_end: usize,
    /// Of MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256.
    integrity_at: [Option<usize>; 2],
    fingerprint_at: Option<usize>,
}

/// Why bytes are no STUN message. All of it is network noise: count it and drop the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Shorter than a header.
    TooShort,
    /// The two bits above the message type are not zero: not STUN at all.
    NotStun,
    /// The magic cookie is missing: the obsolete RFC 3489, or not STUN at all.
    NoCookie,
    /// The length field is no multiple of 4, or does not say what has arrived.
    BadLength,
    /// An attribute reaches beyond the message.
    AttributeCut,
    /// MESSAGE-INTEGRITY is not 20 bytes long, MESSAGE-INTEGRITY-SHA256 not 32 or FINGERPRINT not 4.
    BadCheckLength,
    /// Something follows FINGERPRINT, which must be last (RFC 8489 §14.7).
    AfterFingerprint,
}

/// One attribute that counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// A number out of [`attribute`](crate::attribute), or one this crate does not know.
    pub kind: u16,
    /// The value without its padding.
    pub value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks the framing of `bytes`, which must be one whole message and nothing else.
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
            Self { bytes, counted_end: bytes.len(), integrity_at: [None; 2], fingerprint_at: None };
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
                        message.counted_end = at;
                    }
                }
                _ => {}
            }
            at = next;
        }
        Ok(message)
    }

    /// The first of its kind counts, and the first of both ends what counts.
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
            self.counted_end = at.end;
        }
        self.integrity_at[integrity as usize] = Some(at.start);
        Ok(())
    }

    /// Request, indication or an answer.
    pub fn class(&self) -> Class {
        from_message_type(self.message_type()).0
    }

    /// What is asked for.
    pub fn method(&self) -> Method {
        from_message_type(self.message_type()).1
    }

    /// What an answer must repeat.
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_LEN]);
        TransactionId(id)
    }

    /// The attributes that count, in order: those before the first MESSAGE-INTEGRITY of either kind, that one, and
    /// FINGERPRINT. Anything between the latter two is not covered by the HMAC, so whoever touched the packet could
    /// have put it there; it is passed over (RFC 8489 §14.5, §14.6).
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { message: *self, at: HEADER_LEN }
    }

    /// The value of the first attribute of that type, which is the one that counts (RFC 8489 §14).
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// USERNAME. In a check towards us, `our-ufrag:their-ufrag` (RFC 8445 §7.2.2).
    pub fn username(&self) -> Option<&'a [u8]> {
        self.attribute(USERNAME)
    }

    /// PRIORITY of the pair the check is for.
    pub fn priority(&self) -> Option<u32> {
        self.attribute(PRIORITY)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Whether the controlling agent nominates the pair.
    pub fn use_candidate(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
    }

    /// The tie-breaker of a sender that thinks it controls.
    pub fn ice_controlling(&self) -> Option<u64> {
        self.attribute(ICE_CONTROLLING)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The tie-breaker of a sender that thinks it is controlled.
    pub fn ice_controlled(&self) -> Option<u64> {
        self.attribute(ICE_CONTROLLED)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// SOFTWARE, if it is text.
    pub fn software(&self) -> Option<&'a str> {
        str::from_utf8(self.attribute(SOFTWARE)?).ok()
    }

    /// The address the server saw the request come from.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.address(self.attribute(XOR_MAPPED_ADDRESS)?)
    }

    /// The address in the value of any attribute that has one XORed.
    pub(crate) fn address(&self, value: &[u8]) -> Option<SocketAddr> {
        from_xored_address(value, self.transaction_id())
    }

    /// The code (300..=699) and its phrase, which is empty when it is no text (RFC 8489 §14.8).
    pub fn error_code(&self) -> Option<(u16, &'a str)> {
        let (head, reason) = self.attribute(ERROR_CODE)?.split_first_chunk::<4>()?;
        let (class, number) = (u16::from(head[2] & 0x07), u16::from(head[3]));
        if !(3..=6).contains(&class) || number > 99 {
            return None;
        }
        Some((class * 100 + number, str::from_utf8(reason).unwrap_or_default()))
    }

    /// The types a 420 must name: those that have to be understood and are not, by an ICE agent.
    pub fn unknown_required(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.required_outside(&KNOWN_TO_ICE)
    }

    /// The types that have to be understood and are not in `known`; duplicates are repeated.
    pub fn required_outside<'k>(&self, known: &'k [u16]) -> impl Iterator<Item = u16> + use<'a, 'k> {
        self.attributes()
            .map(|attribute| attribute.kind)
            .filter(move |kind| *kind < COMPREHENSION_OPTIONAL && !known.contains(kind))
    }

    /// Whether MESSAGE-INTEGRITY of either kind is there at all.
    pub fn has_integrity(&self) -> bool {
        self.integrity_at != [None; 2]
    }

    /// The strongest MESSAGE-INTEGRITY that is there: the one to verify (RFC 8489 §9.2.4).
    pub fn integrity(&self) -> Option<Integrity> {
        [Integrity::Sha256, Integrity::Sha1]
            .into_iter()
            .find(|integrity| self.integrity_at[*integrity as usize].is_some())
    }

    /// Whether the key's kind of MESSAGE-INTEGRITY is there and right for it; compared in constant time.
    ///
    /// The HMAC is over the message as it was before anything was put behind it: the length field
    /// counts up to the end of this attribute (RFC 8489 §14.5, §14.6).
    pub fn verify_integrity(&self, key: &Key) -> bool {
        let integrity = key.integrity();
        let Some(at) = self.integrity_at[integrity as usize] else { return false };
        let end = at + ATTRIBUTE_HEADER_LEN + integrity.len();
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&self.bytes[..HEADER_LEN]);
        // At most what the length field itself said, so it fits.
        header[2..4].copy_from_slice(&((end - HEADER_LEN) as u16).to_be_bytes());
        let mac = &self.bytes[at + ATTRIBUTE_HEADER_LEN..end];
        key.verify(&header, &self.bytes[HEADER_LEN..at], mac)
    }

    /// Whether FINGERPRINT is right; `None` when there is none.
    pub fn verify_fingerprint(&self) -> Option<bool> {
        let at = self.fingerprint_at?;
        let value = &self.bytes[at + ATTRIBUTE_HEADER_LEN..];
        Some(value == (crc32(&self.bytes[..at]) ^ FINGERPRINT_XOR).to_be_bytes())
    }

    /// The bytes the view is over.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn message_type(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }
}

impl fmt::Debug for Message<'_> {
    /// Without the values: they hold user names, and an attacker's choice of bytes.
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
        if self.at >= self.message.counted_end {
            // FINGERPRINT comes last and once; then `at` is beyond everything.
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

/// The attribute that starts at `at`, and where the next one does.
fn attribute_at(bytes: &[u8], at: usize) -> Option<(Attribute<'_>, usize)> {
    let (head, rest) = bytes.get(at..)?.split_first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
    let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // Compared in `usize`: rounding 65533 up to a multiple of 4 does not fit into the field's own u16.
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
