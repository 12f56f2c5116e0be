//! Responses: the fields copied from their request, and the attributes that each must have.

use crate::allocation::STRANGERS;
use crate::call::Call;
use crate::counters::Counter;
use crate::limits::ANSWER_BYTES_MAX;
use crate::nonce::{Form, NONCE_LEN_MAX};
use crate::request_context::RequestHeader;
use machine::{Flow, Tx};
use stun::{Class, HEADER_LEN, Key, PasswordAlgorithm, Writer};

/// The name of this software. Only authenticated users get it: for others it would only add bytes.
const SOFTWARE: &str = "leat-turn";

/// The success response to an authenticated user.
pub(crate) fn success_response(
    call: &mut Call<'_, impl Tx>,
    header: &RequestHeader,
    key: &Key,
    flow: Flow,
    fill: impl FnOnce(&mut Writer<'_>),
) {
    write(call, header, flow, Class::Success, |writer| {
        fill(writer);
        writer.software(SOFTWARE).integrity(key);
    });
}

/// The error response to an authenticated user.
pub(crate) fn error_response(call: &mut Call<'_, impl Tx>, header: &RequestHeader, key: &Key, code: u16) {
    error_response_with(call, header, key, code, |_| {});
}

/// An error response with additional attributes.
pub(crate) fn error_response_with(
    call: &mut Call<'_, impl Tx>,
    header: &RequestHeader,
    key: &Key,
    code: u16,
    fill: impl FnOnce(&mut Writer<'_>),
) {
    call.counters.count(counter(code));
    write(call, header, STRANGERS, Class::Error, |writer| {
        writer.error_code(code, phrase(code));
        fill(writer);
        writer.integrity(key);
    });
}

/// The error response to an unauthenticated client: as short as possible, and within the bound of its source.
pub(crate) fn stranger_error(
    call: &mut Call<'_, impl Tx>,
    header: &RequestHeader,
    code: u16,
    fill: impl FnOnce(&mut Writer<'_>),
) {
    call.counters.count(counter(code));
    stranger_response(call, header, Class::Error, |writer| {
        writer.error_code(code, "");
        fill(writer);
    });
}

/// A response to an unauthenticated client, if its source may get the bytes by which it is longer than the
/// request. False if not.
pub(crate) fn stranger_response(
    call: &mut Call<'_, impl Tx>,
    header: &RequestHeader,
    class: Class,
    fill: impl FnOnce(&mut Writer<'_>),
) -> bool {
    let mut buffer = [0; ANSWER_BYTES_MAX];
    let len = compose(&mut buffer, header, class, fill);
    let (excess, rate) = (len.saturating_sub(header.len), call.settings.excess_bytes_per_second);
    let may = call.throttle.may_answer(call.now, header.path, excess, rate, call.counters);
    if may {
        send(call, header, STRANGERS, &buffer[..len]);
    }
    may
}

/// Requires a credential (401), or the same credential with another nonce (438).
///
/// Over UDP the source address may be forged. So the challenge lists features beyond MD5 only if the request
/// had enough bytes (RFC 8489 §9.2.4: PASSWORD-ALGORITHMS may be missing). Browsers, which support nothing
/// else, send 28.
pub(crate) fn challenge(call: &mut Call<'_, impl Tx>, header: &RequestHeader, code: u16) {
    let realm = call.settings.credentials.realm();
    let fits = featured_challenge_len(&realm, header.fingerprint) <= header.len;
    let form = if header.path.local.is_tcp() || fits { Form::Featured } else { Form::Plain };
    let nonce = call.nonces.make(call.now, header.path, form);
    stranger_error(call, header, code, |writer| {
        writer.realm(realm.as_bytes()).nonce(nonce.as_bytes());
        if form == Form::Featured {
            writer.password_algorithms([PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5]);
        }
    });
}

/// Writes a response into the batch.
pub(crate) fn write(
    call: &mut Call<'_, impl Tx>,
    header: &RequestHeader,
    flow: Flow,
    class: Class,
    fill: impl FnOnce(&mut Writer<'_>),
) {
    let mut buffer = [0; ANSWER_BYTES_MAX];
    let len = compose(&mut buffer, header, class, fill);
    send(call, header, flow, &buffer[..len]);
}

/// The length of a response is known only after it is written, and a slot has a fixed length: so a response,
/// which is short, is copied.
fn send(call: &mut Call<'_, impl Tx>, header: &RequestHeader, flow: Flow, response: &[u8]) {
    match call.tx.slot(flow, header.path, response.len()) {
        Some(slot) => slot.copy_from_slice(response),
        None => call.counters.count(Counter::TxFull),
    }
}

/// Writes a response; returns its length.
fn compose(
    buffer: &mut [u8; ANSWER_BYTES_MAX],
    header: &RequestHeader,
    class: Class,
    fill: impl FnOnce(&mut Writer<'_>),
) -> usize {
    let has_room = "the response fits: a constant assertion beside its bound checks this";
    let mut writer = Writer::new(buffer, class, header.method, header.id).expect(has_room);
    fill(&mut writer);
    if header.fingerprint {
        writer.fingerprint();
    }
    writer.finish().expect(has_room)
}

/// Length of a challenge with every attribute in bytes: ERROR-CODE, REALM, NONCE, PASSWORD-ALGORITHMS, and
/// FINGERPRINT if the request had one.
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

/// The phrases that the RFCs recommend (RFC 8489 §14.8, RFC 8656 §19, RFC 6062 §6.3).
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
