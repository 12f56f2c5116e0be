//! Cookies with which a client proves its address before the server keeps state for it (RFC 6347 §4.2.1).

use crate::limits::COOKIE_LIFETIME;
use crate::record::{
    CLIENT_HELLO, Fragment, Fragments, HANDSHAKE, HEADER_LEN, HELLO_VERIFY_REQUEST, message, push_plain,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use machine::Instant;

/// Creates and verifies cookies. It has a key and no state per client.
#[derive(Clone)]
pub struct Cookies(hmac::Key);

/// The first datagram from an unknown address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstDatagram {
    /// Not the beginning of a handshake.
    Noise,
    /// The ClientHello of a version before DTLS 1.2.
    TooOld,
    /// A ClientHello without a cookie, or with an invalid one: send this HelloVerifyRequest once, and keep no
    /// state. It is shorter than the ClientHello.
    Unverified(Vec<u8>),
    /// A ClientHello with a valid cookie.
    Verified(ValidCookie),
}

/// Proof that a client receives at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidCookie {
    /// The number of the record with the ClientHello.
    pub(crate) record_number: u32,
}

/// The part of a ClientHello that must be the same in both (RFC 6347 §4.2.1), and its cookie.
struct Hello<'a> {
    /// Version, random and session.
    front: &'a [u8],
    cookie: &'a [u8],
    /// Cipher suites and compression methods.
    back: &'a [u8],
}

/// A byte for the time, then the authentication code.
const COOKIE_LEN: usize = 1 + CODE_LEN;
const CODE_LEN: usize = 16;

/// Message numbers of the two ClientHellos.
const FIRST: u16 = 0;
const SECOND: u16 = 1;

const DTLS_1_0: [u8; 2] = [0xfe, 0xff];
const DTLS_1_2: [u8; 2] = [0xfe, 0xfd];

impl Cookies {
    /// With a secret of the process, such as a random number: cookies need not be valid longer.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// Classifies a datagram from an address without an association. `from` identifies the address, on both
    /// ends.
    pub fn classify(&self, now: Instant, from: &[u8], datagram: &[u8]) -> FirstDatagram {
        let Some((number, fragment)) = first_fragment(datagram) else { return FirstDatagram::Noise };
        let Some(hello) = Hello::of(fragment.body) else { return FirstDatagram::Noise };
        // A client of DTLS 1.3 also has 1.2 in this field (RFC 9147 §5.3).
        if hello.front[..2] != DTLS_1_2 {
            return FirstDatagram::TooOld;
        }
        if fragment.seq == SECOND && self.is_valid(now, from, &hello) {
            return FirstDatagram::Verified(ValidCookie { record_number: number });
        }
        if fragment.seq != FIRST {
            // Its cookie has expired: it has to start again, and does not expect another HelloVerifyRequest.
            return FirstDatagram::Noise;
        }
        let mut body = Vec::with_capacity(3 + COOKIE_LEN);
        // RFC 6347 §4.2.1: 1.0 in this field for any later version.
        body.extend_from_slice(&DTLS_1_0);
        body.push(COOKIE_LEN as u8);
        body.extend_from_slice(&self.cookie(slot(now), from, &hello));
        let mut answer = Vec::new();
        push_plain(&mut answer, HANDSHAKE, u64::from(number), &message(HELLO_VERIFY_REQUEST, FIRST, &body));
        answer[1..3].copy_from_slice(&DTLS_1_0);
        FirstDatagram::Unverified(answer)
    }

    fn is_valid(&self, now: Instant, from: &[u8], hello: &Hello<'_>) -> bool {
        let slot = slot(now);
        [slot, slot.wrapping_sub(1)]
            .into_iter()
            .any(|slot| verify_slices_are_equal(&self.cookie(slot, from, hello), hello.cookie).is_ok())
    }

    fn cookie(&self, slot: u8, from: &[u8], hello: &Hello<'_>) -> [u8; COOKIE_LEN] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[slot]);
        for part in [from, hello.front, hello.back] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut cookie = [slot; COOKIE_LEN];
        cookie[1..].copy_from_slice(&context.sign().as_ref()[..CODE_LEN]);
        cookie
    }
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookies(_)")
    }
}

/// The time slot; the numbers repeat after two hours, when no client uses an old cookie any more.
fn slot(now: Instant) -> u8 {
    (now.since_epoch().as_secs() / COOKIE_LIFETIME.as_secs() % 256) as u8
}

/// The beginning of a ClientHello at the start of a datagram, and the number of its record.
fn first_fragment(datagram: &[u8]) -> Option<(u32, Fragment<'_>)> {
    let header = datagram.get(..HEADER_LEN)?;
    // Epoch 0, and a number that a handshake can reach.
    let is_first_epoch = header[0] == HANDSHAKE && header[1] == 0xfe && header[3..7] == [0; 4];
    let number = u32::from_be_bytes([header[7], header[8], header[9], header[10]]);
    let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let body = datagram.get(HEADER_LEN..HEADER_LEN + len).filter(|_| is_first_epoch)?;
    let fragment = Fragments(body).next()?;
    (fragment.kind == CLIENT_HELLO && fragment.offset == 0).then_some((number, fragment))
}

impl<'a> Hello<'a> {
    /// `None` if it is shorter than up to the compression methods.
    fn of(body: &'a [u8]) -> Option<Self> {
        let session_len = usize::from(*body.get(34)?);
        let (front, rest) = body.split_at_checked(35 + session_len)?;
        let (cookie_len, rest) = rest.split_first()?;
        let (cookie, back) = rest.split_at_checked(usize::from(*cookie_len))?;
        let ciphers = usize::from(u16::from_be_bytes([*back.first()?, *back.get(1)?]));
        let compression = usize::from(*back.get(2 + ciphers)?);
        let back = back.get(..2 + ciphers + 1 + compression)?;
        Some(Self { front, cookie, back })
    }
}
