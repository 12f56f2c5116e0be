//! Builds a message in the caller's buffer (RFC 8489 §5, §14).
//!
//! Attribute methods return the writer, so they chain; the first that does not fit invalidates the message,
//! which [`Writer::finish`] reports.

use crate::attribute::{
    ERROR_CODE, FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256,
    NONCE, PRIORITY, REALM, SOFTWARE, UNKNOWN_ATTRIBUTES, USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS,
};
use crate::crc32::crc32;
use crate::key::Key;
use crate::message::{FINGERPRINT_XOR, xor_pad};
use crate::types::to_message_type;
use crate::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId};
use std::net::{IpAddr, SocketAddr};

/// A message under construction. Every byte of it is written, whatever the buffer contained.
///
/// ```
/// # use stun::{Class, Key, Message, Method, TransactionId, Writer};
/// # let key = Key::short_term("VOkJxbRl1RmTxUk/WvJxBt");
/// let mut buffer = [0xa5; 128];
/// let len = Writer::new(&mut buffer, Class::Success, Method::BINDING, TransactionId([7; 12]))
///     .expect("a header fits")
///     .xor_mapped_address("192.0.2.1:3478".parse().expect("an address"))
///     .integrity(&key)
///     .fingerprint()
///     .finish()
///     .expect("it all fits");
/// assert!(Message::new(&buffer[..len]).expect("well-formed").verify_integrity(&key));
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
    id: TransactionId,
    stage: Stage,
    /// Which of the two MESSAGE-INTEGRITYs are written.
    signed: [bool; 2],
}

/// The attributes that may still be added, in the order of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Anything.
    Attributes,
    /// Only the other MESSAGE-INTEGRITY and FINGERPRINT: the HMAC does not cover what follows it.
    Integrity,
    /// Nothing.
    Fingerprint,
    /// An attribute did not fit or was too late; there is no message.
    Invalid,
}

impl<'a> Writer<'a> {
    /// Writes the header. `None` if it does not fit, or if the method has more than 12 bits.
    pub fn new(buffer: &'a mut [u8], class: Class, method: Method, id: TransactionId) -> Option<Self> {
        if method.0 > Method::MAX.0 {
            return None;
        }
        let header = buffer.get_mut(..HEADER_LEN)?;
        header[..2].copy_from_slice(&to_message_type(class, method).to_be_bytes());
        header[2..4].fill(0);
        header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        header[8..].copy_from_slice(&id.0);
        Some(Self { buffer, len: HEADER_LEN, id, stage: Stage::Attributes, signed: [false; 2] })
    }

    /// USERNAME, at most 508 bytes (RFC 8489 §14.3).
    pub fn username(&mut self, username: &[u8]) -> &mut Self {
        self.bounded(USERNAME, username, 508)
    }

    /// REALM, at most 763 bytes (RFC 8489 §14.9).
    pub fn realm(&mut self, realm: &[u8]) -> &mut Self {
        self.bounded(REALM, realm, 763)
    }

    /// NONCE, at most 763 bytes (RFC 8489 §14.10).
    pub fn nonce(&mut self, nonce: &[u8]) -> &mut Self {
        self.bounded(NONCE, nonce, 763)
    }

    /// SOFTWARE, at most 763 bytes (RFC 8489 §14.14).
    pub fn software(&mut self, name: &str) -> &mut Self {
        self.bounded(SOFTWARE, name.as_bytes(), 763)
    }

    /// PRIORITY of the peer-reflexive candidate this check may discover.
    pub fn priority(&mut self, priority: u32) -> &mut Self {
        self.attribute(PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE: nominates the pair.
    pub fn use_candidate(&mut self) -> &mut Self {
        self.attribute(USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING with the tie-breaker.
    pub fn ice_controlling(&mut self, tie_breaker: u64) -> &mut Self {
        self.attribute(ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    /// ICE-CONTROLLED with the tie-breaker.
    pub fn ice_controlled(&mut self, tie_breaker: u64) -> &mut Self {
        self.attribute(ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    /// XOR-MAPPED-ADDRESS: the request's source address.
    pub fn xor_mapped_address(&mut self, address: SocketAddr) -> &mut Self {
        self.xored_address(XOR_MAPPED_ADDRESS, address)
    }

    /// An attribute with a plain address, such as ALTERNATE-SERVER (RFC 8489 §14.1, §14.15).
    pub fn address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let [high, low] = address.port().to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => self.attribute_of(kind, &[&[0, 1, high, low], &ip.octets()]),
            IpAddr::V6(ip) => self.attribute_of(kind, &[&[0, 2, high, low], &ip.octets()]),
        }
    }

    /// An attribute with an XORed address.
    pub(crate) fn xored_address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let mut value = [0; 20];
        let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
        value[2..4].copy_from_slice(&port.to_be_bytes());
        let len = match address.ip() {
            IpAddr::V4(ip) => {
                value[1] = 1;
                value[4..8].copy_from_slice(&(u32::from(ip) ^ MAGIC_COOKIE).to_be_bytes());
                8
            }
            IpAddr::V6(ip) => {
                value[1] = 2;
                value[4..].copy_from_slice(&(u128::from(ip) ^ xor_pad(self.id)).to_be_bytes());
                20
            }
        };
        self.attribute(kind, &value[..len])
    }

    /// ERROR-CODE: a code of 300..=699 and a phrase of at most 763 bytes, which may be empty: before
    /// authentication a phrase only makes the answer larger than the request.
    pub fn error_code(&mut self, code: u16, reason: &str) -> &mut Self {
        if !(300..=699).contains(&code) || reason.len() > 763 {
            return self.spoil();
        }
        let head = [0, 0, (code / 100) as u8, (code % 100) as u8];
        self.attribute_of(ERROR_CODE, &[&head, reason.as_bytes()])
    }

    /// UNKNOWN-ATTRIBUTES: the types that caused a 420.
    pub fn unknown_attributes(&mut self, kinds: &[u16]) -> &mut Self {
        let Some(value) = self.claim(UNKNOWN_ATTRIBUTES, kinds.len() * 2, Stage::Attributes) else {
            return self;
        };
        for (slot, kind) in value.chunks_exact_mut(2).zip(kinds) {
            slot.copy_from_slice(&kind.to_be_bytes());
        }
        self
    }

    /// Any attribute except MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT: those are computed
    /// over the message, by [`integrity`](Self::integrity) and [`fingerprint`](Self::fingerprint).
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute_of(kind, &[value])
    }

    /// The key's kind of MESSAGE-INTEGRITY over all of the above. Only the other kind and FINGERPRINT may
    /// follow.
    pub fn integrity(&mut self, key: &Key) -> &mut Self {
        let (at, integrity) = (self.len, key.integrity());
        let is_signed = std::mem::replace(&mut self.signed[integrity as usize], true);
        let latest = if is_signed { Stage::Attributes } else { Stage::Integrity };
        if self.claim(integrity.attribute(), integrity.len(), latest).is_some() {
            // The length field already counts the attribute itself, as the HMAC requires.
            let (message, end) = self.buffer.split_at_mut(at);
            let (header, attributes) = message.split_at(HEADER_LEN);
            end[4..4 + integrity.len()].copy_from_slice(key.sign(header, attributes).as_ref());
            self.stage = Stage::Integrity;
        }
        self
    }

    /// FINGERPRINT over all of the above. Nothing may follow.
    pub fn fingerprint(&mut self) -> &mut Self {
        let at = self.len;
        if self.claim(FINGERPRINT, 4, Stage::Integrity).is_some() {
            let crc = crc32(&self.buffer[..at]) ^ FINGERPRINT_XOR;
            self.buffer[at + 4..at + 8].copy_from_slice(&crc.to_be_bytes());
            self.stage = Stage::Fingerprint;
        }
        self
    }

    /// The message's length; `None` if anything did not fit, was out of its RFC's bounds, or was added after
    /// MESSAGE-INTEGRITY or FINGERPRINT.
    pub fn finish(&mut self) -> Option<usize> {
        (self.stage != Stage::Invalid).then_some(self.len)
    }

    fn bounded(&mut self, kind: u16, value: &[u8], len_max: usize) -> &mut Self {
        if value.len() > len_max { self.spoil() } else { self.attribute(kind, value) }
    }

    fn attribute_of(&mut self, kind: u16, parts: &[&[u8]]) -> &mut Self {
        if matches!(kind, MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256 | FINGERPRINT) {
            return self.spoil();
        }
        let len = parts.iter().map(|part| part.len()).sum();
        if let Some(mut value) = self.claim(kind, len, Stage::Attributes) {
            for part in parts {
                let (slot, rest) = value.split_at_mut(part.len());
                slot.copy_from_slice(part);
                value = rest;
            }
        }
        self
    }

    /// Writes an attribute's header and padding, adds it to the message's length, and returns the space for
    /// its value; or invalidates the message.
    fn claim(&mut self, kind: u16, len: usize, latest: Stage) -> Option<&mut [u8]> {
        let value_at = self.len + 4;
        let end = value_at.saturating_add(len.next_multiple_of(4));
        let total = u16::try_from(end - HEADER_LEN);
        let fits = self.stage <= latest && end <= self.buffer.len();
        let (true, Ok(total)) = (fits, total) else {
            self.spoil();
            return None;
        };
        self.buffer[self.len..self.len + 2].copy_from_slice(&kind.to_be_bytes());
        // At most the message's length, which has just been checked.
        self.buffer[self.len + 2..value_at].copy_from_slice(&(len as u16).to_be_bytes());
        self.buffer[value_at + len..end].fill(0);
        self.buffer[2..4].copy_from_slice(&total.to_be_bytes());
        self.len = end;
        Some(&mut self.buffer[value_at..value_at + len])
    }

    fn spoil(&mut self) -> &mut Self {
        self.stage = Stage::Invalid;
        self
    }
}
