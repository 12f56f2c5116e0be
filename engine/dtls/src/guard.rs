//! A server's end of a handshake, until the peer has authenticated.
//!
//! Until then every message may come from an attacker who only forges the peer's source address and does not
//! see the answers. The library uses the first message of each number and ends an inconsistent handshake; so
//! it only gets consistent messages:
//!
//! - Alerts are discarded (RFC 6347 §4.1.2.7). A handshake that never completes ends by its timeout.
//! - Each ClientHello gets a separate answer, a [`Candidate`]. Later messages show which of them the peer has
//!   received.
//! - In DTLS 1.3 all later messages are encrypted, and the library discards those that do not decrypt.
//! - In DTLS 1.2 the client's flight is assembled here, and the library gets it only if its signature is
//!   valid. The signature covers our random bytes and key share, which only a receiver of our answers knows.
//!   A flight that a *wrong* certificate has signed is from the peer too: the library gets it and reports it.
//!
//! A peer without a certificate, or without common parameters, cannot authenticate. The library handles its
//! flight after [`VERDICT_DELAY`], if no other handshake has completed by that time; its alert notifies the
//! peer.

use crate::assembly::Assembly;
use crate::candidate::{
    CERTIFICATE_SEQ, Candidate, Flight, HELLO_SEQ, KEY_EXCHANGE_SEQ, SECOND_HELLO_SEQ, VERIFY_SEQ,
    first_certificate,
};
use crate::limits::{
    CANDIDATE_AGE_MIN, CANDIDATES_MAX, CERTIFICATES_LEN_MAX, HELLO_LEN_MAX, KEY_EXCHANGE_LEN_MAX,
    REFUSED_MAX, VARIANTS_MAX, VERDICT_DELAY, VERIFY_LEN_MAX,
};
use crate::ration::Ration;
use crate::record::{
    CERTIFICATE, CERTIFICATE_VERIFY, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, Fragment, Fragments, HANDSHAKE,
    Record, Records,
};
use machine::Instant;
use ssl::{CertificateHash, Connection, Context, Credential, Failure, Role};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};

#[derive(Debug)]
pub(crate) struct Guard {
    context: Context,
    credential: Credential,
    expected: CertificateHash,
    /// In the order in which their ClientHellos last arrived. Only the last one sends.
    candidates: VecDeque<Candidate>,
    hellos: Assembly,
    /// Hashes of the ClientHellos that the library has refused, the newest last.
    refused: VecDeque<u64>,
    /// A ClientHello was ignored because of the rate limit: it may have been the peer's.
    has_ignored: bool,
    second_hellos: Assembly,
    flight: Assemblies,
    hello_ration: Ration,
    signature_ration: Ration,
    /// The same for certificates other than the expected one.
    foreign_ration: Ration,
    verdict: Option<Verdict>,
    outbound: VecDeque<Vec<u8>>,
    started_at: Option<Instant>,
}

/// The client's DTLS 1.2 flight.
#[derive(Debug)]
struct Assemblies {
    certificates: Assembly,
    key_exchanges: Assembly,
    verifies: Assembly,
}

#[derive(Debug)]
struct OwnedFlight {
    certificate: Vec<u8>,
    key_exchange: Vec<u8>,
    verify: Vec<u8>,
}

/// The fallback if no better message arrives.
#[derive(Debug)]
enum Verdict {
    /// A ClientHello that the library has refused, with its alert.
    Hello(Instant, Failure, Connection),
    /// The client's flight, unchanged.
    Flight(Instant),
}

/// The result of a step.
#[derive(Debug)]
pub(crate) enum Step {
    /// The handshake continues.
    Running,
    /// The peer has authenticated and the handshake is complete.
    Established(Box<Connection>),
}

impl Guard {
    pub(crate) fn new(context: Context, credential: Credential, expected: CertificateHash) -> Self {
        Self {
            context,
            credential,
            expected,
            candidates: VecDeque::new(),
            hellos: Assembly::new(HELLO_LEN_MAX, VARIANTS_MAX),
            refused: VecDeque::new(),
            has_ignored: false,
            second_hellos: Assembly::new(HELLO_LEN_MAX, VARIANTS_MAX),
            flight: Assemblies {
                certificates: Assembly::new(CERTIFICATES_LEN_MAX, VARIANTS_MAX),
                key_exchanges: Assembly::new(KEY_EXCHANGE_LEN_MAX, VARIANTS_MAX),
                verifies: Assembly::new(VERIFY_LEN_MAX, VARIANTS_MAX),
            },
            hello_ration: Ration::of_hellos(),
            signature_ration: Ration::of_signatures(),
            foreign_ration: Ration::of_foreign_signatures(),
            verdict: None,
            outbound: VecDeque::new(),
            started_at: None,
        }
    }

    /// When the first ClientHello was answered.
    pub(crate) fn started_at(&self) -> Option<Instant> {
        self.started_at
    }

    pub(crate) fn on_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<Step, Failure> {
        let mut is_to_be_decided = false;
        for record in Records(datagram) {
            match record {
                Record::Plain { kind: HANDSHAKE, body } => {
                    for fragment in Fragments(body) {
                        is_to_be_decided |= self.on_fragment(now, &fragment)?;
                    }
                }
                // Unauthenticated alerts, data and other records.
                Record::Plain { .. } => {}
                Record::Protected(bytes) => {
                    // The end of a flight is usually in the same datagram as the rest.
                    if std::mem::take(&mut is_to_be_decided) {
                        self.decide(now)?;
                    }
                    if let Step::Established(connection) = self.on_protected(now, bytes)? {
                        return Ok(Step::Established(connection));
                    }
                }
            }
        }
        if is_to_be_decided {
            self.decide(now)?;
        }
        Ok(Step::Running)
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        if let Some(at) = self.verdict.as_ref().map(Verdict::at)
            && at <= now
        {
            self.pass(now)?;
        }
        if self.only_candidate().is_some() { self.repeat(now) } else { Ok(()) }
    }

    pub(crate) fn timeout(&self, now: Instant) -> Option<Instant> {
        let repetition = self.only_candidate().and_then(|only| only.connection.timeout(now.since_epoch()));
        let verdict = self.verdict.as_ref().map(Verdict::at);
        repetition.map(|left| now + left).into_iter().chain(verdict).min()
    }

    pub(crate) fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.outbound.pop_front()
    }

    /// The candidate whose flight is retransmitted by the timer. If there are several, or a ClientHello was
    /// ignored, each is retransmitted only when its ClientHello is: the others would mislead the peer.
    fn only_candidate(&self) -> Option<&Candidate> {
        self.candidates.front().filter(|_| self.candidates.len() == 1 && !self.has_ignored)
    }

    /// Whether the client's flight may be complete now.
    fn on_fragment(&mut self, now: Instant, fragment: &Fragment<'_>) -> Result<bool, Failure> {
        let assembly = match (fragment.kind, fragment.seq) {
            (CLIENT_HELLO, HELLO_SEQ) => {
                if self.hellos.add(fragment) {
                    self.on_hello(now)?;
                }
                return Ok(false);
            }
            (CLIENT_HELLO, SECOND_HELLO_SEQ) => {
                if self.second_hellos.add(fragment) {
                    self.on_second_hello(now)?;
                }
                return Ok(false);
            }
            (CERTIFICATE, CERTIFICATE_SEQ) => &mut self.flight.certificates,
            (CLIENT_KEY_EXCHANGE, KEY_EXCHANGE_SEQ) => &mut self.flight.key_exchanges,
            (CERTIFICATE_VERIFY, VERIFY_SEQ) => &mut self.flight.verifies,
            _ => return Ok(false),
        };
        // Before our first answer these messages cannot be an answer to it.
        Ok(!self.candidates.is_empty() && assembly.add(fragment))
    }

    /// The newest ClientHello has just been completed.
    fn on_hello(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(hello) = self.hellos.newest_first().next() else { return Ok(()) };
        if let Some(at) = self.candidates.iter().position(|candidate| candidate.hello == hello) {
            // Its sender waits for an answer.
            let repeated = self.candidates.remove(at);
            self.candidates.extend(repeated);
            return self.repeat(now);
        }
        let hash = hash(hello);
        if self.refused.contains(&hash) {
            return Ok(());
        }
        let is_old = |candidate: &Candidate| now.saturating_since(candidate.since) >= CANDIDATE_AGE_MIN;
        let replaced = self.candidates.iter().position(is_old);
        if self.candidates.len() >= CANDIDATES_MAX && replaced.is_none() || !self.hello_ration.take(now) {
            self.has_ignored = true;
            return Ok(());
        }
        let connection = Connection::new(&self.context, &self.credential, Role::Server, Some(self.expected));
        let connection = connection?;
        match Candidate::new(connection, hello, now) {
            Ok(mut candidate) => {
                self.started_at.get_or_insert(now);
                self.outbound.clear();
                while let Some(datagram) = candidate.connection.poll_datagram() {
                    self.outbound.push_back(datagram);
                }
                candidate.note_answer(&self.outbound);
                if self.candidates.len() >= CANDIDATES_MAX {
                    replaced.map(|at| self.candidates.remove(at));
                }
                self.candidates.push_back(candidate);
                if matches!(self.verdict, Some(Verdict::Hello(..))) {
                    self.verdict = None;
                }
            }
            Err((connection, failure)) => {
                if self.refused.len() >= REFUSED_MAX {
                    self.refused.pop_front();
                }
                self.refused.push_back(hash);
                if self.candidates.is_empty() && self.verdict.is_none() {
                    self.verdict = Some(Verdict::Hello(now + VERDICT_DELAY, failure, connection));
                }
            }
        }
        Ok(())
    }

    /// Retransmits the flight of the last candidate, if that is due.
    fn repeat(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(candidate) = self.candidates.back_mut() else { return Ok(()) };
        if candidate.connection.timeout(now.since_epoch()).is_some_and(|left| left.is_zero()) {
            candidate.connection.on_timeout(now.since_epoch())?;
            self.collect();
        }
        Ok(())
    }

    fn on_second_hello(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(hello) = self.second_hellos.newest_first().next() else { return Ok(()) };
        for candidate in &mut self.candidates {
            candidate.on_second_hello(now, hello)?;
        }
        self.collect();
        Ok(())
    }

    /// Searches for a flight with a valid signature, and passes it to the library.
    fn decide(&mut self, now: Instant) -> Result<(), Failure> {
        if let Some((at, flight)) = self.find_signed(now) {
            return self.admit(now, at, &flight);
        }
        if self.verdict.is_none() && self.flight.newest().is_some() {
            self.verdict = Some(Verdict::Flight(now + VERDICT_DELAY));
        }
        Ok(())
    }

    /// The newest messages first, each with all answers: the new messages of a correct client are found at
    /// the first attempt, or with an attacker's ClientHellos after a few.
    ///
    /// The expected certificate comes before all others, and has a separate ration: only a host that has seen
    /// a handshake of the peer can send it.
    fn find_signed(&mut self, now: Instant) -> Option<(usize, OwnedFlight)> {
        let expected = self.expected;
        let is_expected =
            |certificate: &[u8]| first_certificate(certificate).is_some_and(|leaf| expected.is_of(leaf));
        let Self { candidates, flight: Assemblies { certificates, key_exchanges, verifies }, .. } = self;
        let (own, foreign): (Vec<&[u8]>, Vec<&[u8]>) =
            certificates.newest_first().partition(|certificate| is_expected(certificate));
        let rations = [(own, &mut self.signature_ration), (foreign, &mut self.foreign_ration)];
        for (certificates, ration) in rations {
            for verify in verifies.newest_first() {
                for &certificate in &certificates {
                    for key_exchange in key_exchanges.newest_first() {
                        let flight = Flight { certificate, key_exchange, verify };
                        let awaiting = candidates.iter().enumerate().rev();
                        for (at, candidate) in awaiting.filter(|(_, it)| it.awaits_flight()) {
                            if !ration.take(now) {
                                return None;
                            }
                            if candidate.is_signed(flight) {
                                return Some((at, flight.into()));
                            }
                        }
                    }
                }
            }
        }
        None
    }

    fn admit(&mut self, now: Instant, at: usize, flight: &OwnedFlight) -> Result<(), Failure> {
        self.verdict = None;
        self.keep_only(at);
        let Some(candidate) = self.candidates.front_mut() else { return Ok(()) };
        let result = candidate.admit(now, flight.as_ref());
        self.collect();
        result
    }

    /// Passes the fallback to the library.
    fn pass(&mut self, now: Instant) -> Result<(), Failure> {
        match self.verdict.take() {
            Some(Verdict::Hello(_, failure, mut connection)) => {
                self.outbound.extend(std::iter::from_fn(|| connection.poll_datagram()));
                Err(failure)
            }
            Some(Verdict::Flight(_)) => {
                // The peer's ClientHello may have arrived after forged messages.
                let newest = self.candidates.iter().map(|candidate| candidate.since).max();
                if let Some(at) = newest.map(|since| since + VERDICT_DELAY).filter(|at| *at > now) {
                    self.verdict = Some(Verdict::Flight(at));
                    return Ok(());
                }
                let at = self.candidates.iter().rposition(Candidate::awaits_flight);
                let (Some(at), Some(flight)) = (at, self.flight.newest()) else { return Ok(()) };
                // The library checks the certificate before the signature. Without a signature, it proves
                // nothing about the sender.
                self.admit(now, at, &flight).map_err(|failure| match failure {
                    Failure::WrongCertificate => Failure::Protocol,
                    other => other,
                })
            }
            None => Ok(()),
        }
    }

    fn on_protected(&mut self, now: Instant, records: &[u8]) -> Result<Step, Failure> {
        for at in (0..self.candidates.len()).rev() {
            let candidate = &mut self.candidates[at];
            let result = candidate.on_protected(now, records);
            if result.is_err() || candidate.connection.is_established() {
                // Both are from the owner of the keys.
                self.keep_only(at);
                self.collect();
                result?;
                if let Some(candidate) = self.candidates.pop_front() {
                    return Ok(Step::Established(Box::new(candidate.connection)));
                }
            }
        }
        self.collect();
        Ok(Step::Running)
    }

    /// Drops the other candidates, which are not the peer's.
    fn keep_only(&mut self, at: usize) {
        self.has_ignored = false;
        self.candidates.swap(0, at);
        self.candidates.truncate(1);
    }

    /// Collects the datagrams of the last candidate. Those of the others would only mislead the peer.
    fn collect(&mut self) {
        while let Some(datagram) = self.candidates.back_mut().and_then(|last| last.connection.poll_datagram())
        {
            self.outbound.push_back(datagram);
        }
    }
}

impl Assemblies {
    /// The flight as the library would have received it. Without a certificate there is no signature.
    fn newest(&self) -> Option<OwnedFlight> {
        let certificate = self.certificates.newest_first().next()?;
        let key_exchange = self.key_exchanges.newest_first().next()?;
        let verify = match certificate {
            NO_CERTIFICATE => &[],
            _ => self.verifies.newest_first().next()?,
        };
        Some(Flight { certificate, key_exchange, verify }.into())
    }
}

fn hash(hello: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(hello);
    hasher.finish()
}

/// The body of a Certificate message without certificates.
const NO_CERTIFICATE: &[u8] = &[0, 0, 0];

impl From<Flight<'_>> for OwnedFlight {
    fn from(flight: Flight<'_>) -> Self {
        let Flight { certificate, key_exchange, verify } = flight;
        Self {
            certificate: certificate.to_vec(),
            key_exchange: key_exchange.to_vec(),
            verify: verify.to_vec(),
        }
    }
}

impl OwnedFlight {
    fn as_ref(&self) -> Flight<'_> {
        Flight { certificate: &self.certificate, key_exchange: &self.key_exchange, verify: &self.verify }
    }
}

impl Verdict {
    fn at(&self) -> Instant {
        match self {
            Self::Hello(at, ..) | Self::Flight(at) => *at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SIGNATURE_BURST;
    use crate::{Certificate, Endpoint, Options, Output, Settings, Version};

    fn datagrams(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
        let (mut buffer, mut datagrams) = (Vec::new(), Vec::new());
        while let Output::Datagram(bytes) = endpoint.poll(&mut buffer) {
            datagrams.push(bytes.to_vec());
        }
        datagrams
    }

    /// Verifying a signature costs almost a millisecond with P-384, and forging one only a datagram.
    #[test]
    fn forged_flights_cause_few_signature_checks_and_none_of_the_peers_ration() {
        let now = Instant::EPOCH;
        let settings = Settings::new(Options { version: Version::Dtls12, ..Options::default() });
        let [own, peer, stranger] = [(); 3].map(|()| Certificate::generate());
        let credential = own.credential().clone();
        let mut guard = Guard::new(settings.context().clone(), credential, peer.fingerprint().into());
        for _ in 0..CANDIDATES_MAX {
            let mut client = Endpoint::client(&settings, &stranger, own.fingerprint(), now);
            for hello in datagrams(&mut client) {
                assert!(guard.on_datagram(now, &hello).is_ok());
            }
        }
        for _ in 0..3 {
            // The flight of a handshake with another server.
            let mut server = Endpoint::server(&settings, &own, stranger.fingerprint(), now);
            let mut client = Endpoint::client(&settings, &stranger, own.fingerprint(), now);
            datagrams(&mut client).iter().for_each(|hello| server.on_datagram(now, hello).expect("a hello"));
            datagrams(&mut server).iter().for_each(|it| client.on_datagram(now, it).expect("an answer"));
            for flight in datagrams(&mut client) {
                assert!(guard.on_datagram(now, &flight).is_ok());
            }
        }
        assert_eq!(guard.signature_ration.left(), SIGNATURE_BURST);
        assert_eq!(guard.foreign_ration.left(), 0, "they were verified");
    }
}
