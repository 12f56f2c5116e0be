//! Responses: what they repeat of their request, and what each of them must have.

use crate::allocation::STRANGERS;
use crate::counters::Counter;
use crate::limits::ANSWER_BYTES_MAX;
use crate::nonce::{Form, NONCE_LEN_MAX};
use crate::relay::Relay;
use machine::{Flow, Instant, Path, Tx};
use stun::{Class, HEADER_LEN, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

/// What of a request matters for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHeader {
    pub path: Path,
    pub method: Method,
    pub id: TransactionId,
    /// Bytes of the request.
    pub len: usize,
    /// Whether the request had a FINGERPRINT: then the answer has one.
    pub fingerprint: bool,
}

impl RequestHeader {
    pub(crate) fn new(path: Path, message: &Message<'_>, len: usize) -> Self {
        let fingerprint = message.verify_fingerprint().is_some();
        Self { path, method: message.method(), id: message.transaction_id(), len, fingerprint }
    }
}

/// What we call ourselves. Only those who have authenticated are told: to anybody else it would be but more bytes.
const SOFTWARE: &str = "leat-turn";

impl Relay {
    /// The good answer to somebody who has authenticated.
    pub(crate) fn success_response(
        &mut self,
        header: &RequestHeader,
        key: &Key,
        flow: Flow,
        tx: &mut impl Tx,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        self.write(header, flow, Class::Success, tx, |writer| {
            fill(writer);
            writer.software(SOFTWARE).integrity(key);
        });
    }

    /// The bad answer to somebody who has authenticated.
    pub(crate) fn error_response(&mut self, header: &RequestHeader, key: &Key, code: u16, tx: &mut impl Tx) {
        self.error_response_with(header, key, code, tx, |_| {});
    }

    /// The same, and what more there is to say.
    pub(crate) fn error_response_with(
        &mut self,
        header: &RequestHeader,
        key: &Key,
        code: u16,
        tx: &mut impl Tx,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        self.counters.count(counter(code));
        self.write(header, STRANGERS, Class::Error, tx, |writer| {
            writer.error_code(code, phrase(code));
            fill(writer);
            writer.integrity(key);
        });
    }

    /// The bad answer to a stranger: as short as can be, and within what its source may get.
    pub(crate) fn stranger_error(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        code: u16,
        tx: &mut impl Tx,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        self.counters.count(counter(code));
        self.stranger_response(now, header, Class::Error, tx, |writer| {
            writer.error_code(code, "");
            fill(writer);
        });
    }

    /// An answer to a stranger, if its source may get what it has more bytes than the request. False if not.
    pub(crate) fn stranger_response(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        class: Class,
        tx: &mut impl Tx,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> bool {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        let len = compose(&mut buffer, header, class, fill);
        let may = self.may_answer_stranger(now, header.path, len.saturating_sub(header.len));
        if may {
            self.send(header, STRANGERS, &buffer[..len], tx);
        }
        may
    }

    /// Asks for a credential (401), or for the same with another nonce (438).
    ///
    /// Over UDP an answer may go to somebody whose address was forged, so that it says what the server can beyond MD5 only to who has
    /// asked with as many bytes (RFC 8489 §9.2.4: PASSWORD-ALGORITHMS may be missing). Browsers, which know nothing else, ask with 28.
    pub(crate) fn challenge(&mut self, now: Instant, header: &RequestHeader, code: u16, tx: &mut impl Tx) {
        let realm = self.settings.credentials.realm();
        let fits = featured_challenge_len(&realm, header.fingerprint) <= header.len;
        let form = if header.path.local.is_tcp() || fits { Form::Featured } else { Form::Plain };
        let nonce = self.nonces.make(now, header.path, form);
        self.stranger_error(now, header, code, tx, |writer| {
            writer.realm(realm.as_bytes()).nonce(nonce.as_bytes());
            if form == Form::Featured {
                writer.password_algorithms([PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5]);
            }
        });
    }

    /// Whether to send a stranger so many bytes more than it sent. Its source address may be forged, except behind a TCP connection.
    pub(crate) fn may_answer_stranger(&mut self, now: Instant, path: Path, excess: usize) -> bool {
        let rate = self.settings.excess_bytes_per_second;
        let may = path.local.is_tcp() || self.throttle.take(now, path.remote.ip(), excess, rate);
        if !may {
            self.counters.count(Counter::Throttled);
        }
        may
    }

    /// Writes an answer into the batch.
    pub(crate) fn write(
        &mut self,
        header: &RequestHeader,
        flow: Flow,
        class: Class,
        tx: &mut impl Tx,
        fill: impl FnOnce(&mut Writer<'_>),
    ) {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        let len = compose(&mut buffer, header, class, fill);
        self.send(header, flow, &buffer[..len], tx);
    }

    /// The length of an answer is known only when it is written, and a slot's cannot be changed: so a short answer is copied.
    fn send(&mut self, header: &RequestHeader, flow: Flow, answer: &[u8], tx: &mut impl Tx) {
        match tx.slot(flow, header.path, answer.len()) {
            Some(slot) => slot.copy_from_slice(answer),
            None => self.counters.count(Counter::TxFull),
        }
    }
}

/// Writes an answer; its length.
fn compose(
    buffer: &mut [u8; ANSWER_BYTES_MAX],
    header: &RequestHeader,
    class: Class,
    fill: impl FnOnce(&mut Writer<'_>),
) -> usize {
    let has_room = "an answer has room: a constant assertion beside its bound says so";
    let mut writer = Writer::new(buffer, class, header.method, header.id).expect(has_room);
    fill(&mut writer);
    if header.fingerprint {
        writer.fingerprint();
    }
    writer.finish().expect(has_room)
}

/// Bytes of a challenge that says everything: ERROR-CODE, REALM, NONCE, PASSWORD-ALGORITHMS, and FINGERPRINT if it was asked for.
fn featured_challenge_len(realm: &str, fingerprint: bool) -> usize {
    let attribute = |len: usize| 4 + len.next_multiple_of(4);
    let fingerprint = if fingerprint { attribute(4) } else { 0 };
    HEADER_LEN + attribute(4) + attribute(realm.len()) + attribute(NONCE_LEN_MAX) + attribute(8) + fingerprint
}

fn counter(code: u16) -> Counter {
    match code {
        300 => Counter::Redirected,
        401 => Counter::Challenges,
        403 => Counter::ForbiddenPeers,
        437 => Counter::Mismatches,
        438 => Counter::StaleNonces,
        440 | 442 | 443 => Counter::Unsupported,
        441 => Counter::WrongCredentials,
        446 => Counter::ConnectionExists,
        447 => Counter::ConnectionFailed,
        486 => Counter::QuotaReached,
        508 => Counter::NoCapacity,
        _ => Counter::BadRequests,
    }
}

/// What the RFCs recommend to say (RFC 8489 §14.8, RFC 8656 §19, RFC 6062 §6.3).
fn phrase(code: u16) -> &'static str {
    match code {
        300 => "Try Alternate",
        400 => "Bad Request",
        403 => "Forbidden",
        420 => "Unknown Attribute",
        437 => "Allocation Mismatch",
        440 => "Address Family not Supported",
        441 => "Wrong Credentials",
        442 => "Unsupported Transport Protocol",
        443 => "Peer Address Family Mismatch",
        446 => "Connection Already Exists",
        447 => "Connection Timeout or Failure",
        486 => "Allocation Quota Reached",
        508 => "Insufficient Capacity",
        _ => "",
    }
}
