//! DTLS 1.2 as the client, by OpenSSL: keys for SRTP (RFC 5764), and then data. Offers only AEAD_AES_128_GCM:
//! all compared servers support it, and another one would be measured with another cipher.

use super::srtp::{self, Keys};
use anyhow::{Context, bail, ensure};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
use openssl::x509::{X509, X509NameBuilder};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// OpenSSL's name of AEAD_AES_128_GCM (RFC 7714 §14.2).
const PROFILE: &str = "SRTP_AEAD_AES_128_GCM";

/// RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Bytes of a handshake datagram.
const MTU: u32 = 1200;

/// A flight without an answer is repeated after this time, and after twice as long each further time, as in
/// browsers: a server that has just received the first check may not be listening yet. OpenSSL's own timer
/// starts at a second.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// See [`RETRY_MIN`].
const RETRY_MAX: Duration = Duration::from_secs(1);

/// The certificate of all peers, and their DTLS settings.
#[derive(Clone)]
pub struct Identity {
    context: SslContext,
    fingerprint: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Identity {
    /// With a new key.
    pub fn generate() -> anyhow::Result<Self> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_text("CN", "leat-bench")?;
        let name = name.build();
        let mut serial = BigNum::new()?;
        serial.rand(64, MsbOption::ONE, false)?;
        let mut certificate = X509::builder()?;
        certificate.set_version(2)?;
        certificate.set_serial_number(serial.to_asn1_integer()?.as_ref())?;
        certificate.set_subject_name(&name)?;
        certificate.set_issuer_name(&name)?;
        certificate.set_not_before(Asn1Time::days_from_now(0)?.as_ref())?;
        certificate.set_not_after(Asn1Time::days_from_now(30)?.as_ref())?;
        certificate.set_pubkey(&key)?;
        certificate.sign(&key, MessageDigest::sha256())?;
        let certificate = certificate.build();

        let mut context = SslContext::builder(SslMethod::dtls_client())?;
        context.set_certificate(&certificate)?;
        context.set_private_key(&key)?;
        context.set_tlsext_use_srtp(PROFILE)?;
        // Certificates are self-signed; only their fingerprint matters, which is checked after the handshake.
        context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
        context.set_options(openssl::ssl::SslOptions::NO_QUERY_MTU);
        Ok(Self { context: context.build(), fingerprint: fingerprint(&certificate)? })
    }

    /// SHA-256 of the certificate, as written in SDP (RFC 8122 §5).
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn fingerprint(certificate: &X509) -> anyhow::Result<String> {
    let digest = certificate.digest(MessageDigest::sha256())?;
    Ok(digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// A running handshake.
#[derive(Debug)]
pub struct Handshake {
    stream: SslStream<Datagrams>,
    /// The last flight, without an answer.
    flight: Vec<Vec<u8>>,
    pause: Duration,
    next_try: Instant,
}

impl Handshake {
    /// Begins a handshake. The first flight is sent by the first [`advance`](Self::advance).
    pub fn new(identity: &Identity, now: Instant) -> anyhow::Result<Self> {
        let mut ssl = Ssl::new(&identity.context)?;
        ssl.set_mtu(MTU)?;
        ssl.set_connect_state();
        let stream = SslStream::new(ssl, Datagrams::default())?;
        Ok(Self { stream, flight: Vec::new(), pause: RETRY_MIN, next_try: now })
    }

    /// The time to [`advance`](Self::advance) if nothing arrives.
    pub fn next_timeout(&self) -> Instant {
        self.next_try
    }

    /// A datagram has arrived.
    pub fn on_datagram(&mut self, bytes: &[u8]) {
        self.stream.get_mut().incoming.push_back(bytes.to_vec());
    }

    /// Continues as far as possible, and puts datagrams into `outbox`. Returns keys at the end; an error if
    /// it has failed, or the certificate is not the announced one.
    pub fn advance(
        &mut self,
        now: Instant,
        expected: &str,
        outbox: &mut Vec<Vec<u8>>,
    ) -> anyhow::Result<Option<Keys>> {
        let result = match self.stream.do_handshake() {
            Ok(()) => self.keys(expected).map(Some),
            Err(error) if matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE) => Ok(None),
            Err(error) => Err(error).context("the DTLS handshake failed"),
        };
        let next = std::mem::take(&mut self.stream.get_mut().outgoing);
        if !next.is_empty() {
            (self.flight, self.pause, self.next_try) = (next, RETRY_MIN, now + RETRY_MIN);
            outbox.extend_from_slice(&self.flight);
        } else if self.next_try <= now {
            self.pause = (2 * self.pause).min(RETRY_MAX);
            self.next_try = now + self.pause;
            outbox.extend_from_slice(&self.flight);
        }
        result
    }

    /// The session after the handshake.
    pub fn into_tunnel(self) -> Tunnel {
        Tunnel(self.stream)
    }

    fn keys(&self, expected: &str) -> anyhow::Result<Keys> {
        let ssl = self.stream.ssl();
        let certificate = ssl.peer_certificate().context("the server has shown no certificate")?;
        let shown = fingerprint(&certificate)?;
        ensure!(
            shown.eq_ignore_ascii_case(expected),
            "the server's certificate is {shown}, but signaling announced {expected}"
        );
        if ssl.selected_srtp_profile().is_none_or(|profile| profile.name() != PROFILE) {
            bail!("the server does not speak {PROFILE}");
        }
        let mut exported = [0; 2 * (srtp::KEY_LEN + srtp::SALT_LEN)];
        ssl.export_keying_material(&mut exported, EXPORTER_LABEL, None)?;
        Ok(Keys::exported_to_client(&exported))
    }
}

/// A session that carries packets of SCTP.
#[derive(Debug)]
pub struct Tunnel(SslStream<Datagrams>);

impl Tunnel {
    /// The packets in a datagram.
    pub fn open(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.0.get_mut().incoming.push_back(datagram.to_vec());
        let mut packets = Vec::new();
        let mut buffer = [0; 1 << 11];
        while let Ok(len) = self.0.ssl_read(&mut buffer) {
            packets.push(buffer[..len].to_vec());
        }
        packets
    }

    /// Encrypts a packet.
    pub fn seal(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        // It cannot fail before 2^48 records; then the packet is lost.
        let _ = self.0.ssl_write(packet);
        std::mem::take(&mut self.0.get_mut().outgoing)
    }
}

/// A socket without a network: one datagram a read, one a write.
#[derive(Debug, Default)]
struct Datagrams {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
