//! One answer to one ClientHello: a connection of the library, and the state that decides which messages it
//! gets.

use crate::record::{
    CERTIFICATE, CERTIFICATE_VERIFY, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, Fragments, HANDSHAKE, Record,
    Records, message, push_change_cipher_spec, push_plain,
};
use machine::Instant;
use ssl::{Connection, Failure};
use std::collections::{BTreeMap, VecDeque};

/// Message numbers of a DTLS 1.2 client without a cookie exchange.
pub(crate) const HELLO_SEQ: u16 = 0;
pub(crate) const SECOND_HELLO_SEQ: u16 = 1;
pub(crate) const CERTIFICATE_SEQ: u16 = 1;
pub(crate) const KEY_EXCHANGE_SEQ: u16 = 2;
pub(crate) const VERIFY_SEQ: u16 = 3;

/// Offset of `random` in a ClientHello: after the version (RFC 5246 §7.4.1.2).
const RANDOM: std::ops::Range<usize> = 2..34;

#[derive(Debug)]
pub(crate) struct Candidate {
    pub connection: Connection,
    /// The body of the ClientHello.
    pub hello: Vec<u8>,
    /// When its ClientHello first arrived.
    pub since: Instant,
    /// The messages of both sides up to ServerHelloDone. Only for DTLS 1.2, and until the client has
    /// authenticated.
    transcript: Vec<u8>,
    /// Whether the library may get encrypted records: with DTLS 1.2, once the client has authenticated.
    is_open: bool,
    /// Whether the client must start again with other key shares (RFC 8446 §4.1.4).
    awaits_second_hello: bool,
    next_record: u64,
}

/// The flight with which a client of DTLS 1.2 authenticates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight<'a> {
    pub certificate: &'a [u8],
    pub key_exchange: &'a [u8],
    /// Empty if the certificate is empty.
    pub verify: &'a [u8],
}

impl Candidate {
    /// Passes a ClientHello to the library. The answer waits in the connection; after a failure, that is the
    /// alert.
    pub(crate) fn new(
        mut connection: Connection,
        hello: &[u8],
        now: Instant,
    ) -> Result<Self, (Connection, Failure)> {
        let mut datagram = Vec::new();
        let hello_message = message(CLIENT_HELLO, HELLO_SEQ, hello);
        push_plain(&mut datagram, HANDSHAKE, 0, &hello_message);
        if let Err(failure) = connection.on_datagram(now.since_epoch(), datagram) {
            return Err((connection, failure));
        }
        let is_dtls_1_3 = connection.is_dtls_1_3() == Some(true);
        Ok(Self {
            awaits_second_hello: connection.awaits_second_hello(),
            connection,
            hello: hello.to_vec(),
            since: now,
            transcript: if is_dtls_1_3 { Vec::new() } else { hello_message },
            is_open: is_dtls_1_3,
            next_record: 1,
        })
    }

    /// Adds our flight to the transcript.
    pub(crate) fn note_answer(&mut self, datagrams: &VecDeque<Vec<u8>>) {
        if self.is_open {
            return;
        }
        let mut messages: BTreeMap<u16, (u8, Vec<u8>)> = BTreeMap::new();
        for record in datagrams.iter().flat_map(|datagram| Records(datagram)) {
            let Record::Plain { kind: HANDSHAKE, body } = record else { continue };
            for fragment in Fragments(body) {
                let whole = || (fragment.kind, vec![0; fragment.message_len]);
                let (_, bytes) = messages.entry(fragment.seq).or_insert_with(whole);
                if let Some(place) = bytes.get_mut(fragment.offset..fragment.offset + fragment.body.len()) {
                    place.copy_from_slice(fragment.body);
                }
            }
        }
        for (seq, (kind, body)) in messages {
            self.transcript.extend_from_slice(&message(kind, seq, &body));
        }
    }

    /// Whether the flight is from the client that received our answer, by its signature over both (RFC 5246
    /// §7.4.8). Changes nothing.
    pub(crate) fn is_signed(&self, flight: Flight<'_>) -> bool {
        let Some(leaf) = first_certificate(flight.certificate) else { return false };
        let Some((&[scheme_high, scheme_low, ..], signature)) = flight.verify.split_at_checked(4) else {
            return false;
        };
        let mut signed = self.transcript.clone();
        signed.extend_from_slice(&message(CERTIFICATE, CERTIFICATE_SEQ, flight.certificate));
        signed.extend_from_slice(&message(CLIENT_KEY_EXCHANGE, KEY_EXCHANGE_SEQ, flight.key_exchange));
        ssl::has_signed(leaf, u16::from_be_bytes([scheme_high, scheme_low]), &signed, signature)
    }

    /// Passes the flight to the library, which also gets encrypted records from now on.
    pub(crate) fn admit(&mut self, now: Instant, flight: Flight<'_>) -> Result<(), Failure> {
        self.is_open = true;
        self.transcript = Vec::new();
        let mut datagram = Vec::new();
        self.push(&mut datagram, &message(CERTIFICATE, CERTIFICATE_SEQ, flight.certificate));
        self.push(&mut datagram, &message(CLIENT_KEY_EXCHANGE, KEY_EXCHANGE_SEQ, flight.key_exchange));
        if !flight.verify.is_empty() {
            self.push(&mut datagram, &message(CERTIFICATE_VERIFY, VERIFY_SEQ, flight.verify));
        }
        // It has a fixed place in the order, so there is no need to wait for the client's.
        push_change_cipher_spec(&mut datagram, self.next_record);
        self.next_record += 1;
        self.connection.on_datagram(now.since_epoch(), datagram)
    }

    /// Passes a second ClientHello to the library, if it has requested one and this one repeats the first
    /// one's random bytes (RFC 8446 §4.1.2), which only the client knows.
    pub(crate) fn on_second_hello(&mut self, now: Instant, hello: &[u8]) -> Result<(), Failure> {
        if !self.awaits_second_hello || hello.get(RANDOM) != self.hello.get(RANDOM) {
            return Ok(());
        }
        self.awaits_second_hello = false;
        let mut datagram = Vec::new();
        self.push(&mut datagram, &message(CLIENT_HELLO, SECOND_HELLO_SEQ, hello));
        self.connection.on_datagram(now.since_epoch(), datagram)
    }

    /// Passes encrypted records to the library.
    pub(crate) fn on_protected(&mut self, now: Instant, records: &[u8]) -> Result<(), Failure> {
        if !self.is_open {
            return Ok(());
        }
        self.connection.on_datagram(now.since_epoch(), records.to_vec())
    }

    /// Whether it waits for the client's DTLS 1.2 flight.
    pub(crate) fn awaits_flight(&self) -> bool {
        !self.is_open
    }

    fn push(&mut self, datagram: &mut Vec<u8>, message: &[u8]) {
        push_plain(datagram, HANDSHAKE, self.next_record, message);
        self.next_record += 1;
    }
}

/// The first certificate in the body of a Certificate message (RFC 5246 §7.4.2).
pub(crate) fn first_certificate(body: &[u8]) -> Option<&[u8]> {
    let (list_len, list) = body.split_at_checked(3)?;
    let (len, rest) = list.split_at_checked(3)?;
    let len = len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    let list_len = list_len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    (list_len == list.len()).then(|| rest.get(..len)).flatten()
}
