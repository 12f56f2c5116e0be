//! One end of one DTLS association.

use crate::certificate_hash::CertificateHash;
use crate::credential::Credential;
use crate::failure::{self, Failure};
use crate::{key, raw};
use boring::ex_data::Index;
use boring::ssl::{
    ErrorCode, Ssl, SslAlert, SslContext, SslOptions, SslRef, SslSessionCacheMode, SslStream, SslVerifyError,
    SslVerifyMode, SslVersion,
};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::LazyLock;
use std::time::Duration;

/// The shared configuration of all connections of a process.
#[derive(Clone)]
pub struct Context {
    inner: SslContext,
    options: Options,
}

/// The options of [`Context`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether to offer DTLS 1.3. DTLS 1.2 is always offered.
    pub dtls_1_3: bool,
    /// Whether a client must send a certificate, and SRTP is negotiated.
    pub is_for_media: bool,
    /// Bytes of the largest datagram of a handshake.
    pub mtu: u32,
    /// How long a flight waits for its answer before it is first retransmitted; doubled each further time.
    pub flight_timeout: Duration,
    /// Bytes of certificates that a peer may send.
    pub certificates_len_max: usize,
    /// Datagrams that wait to be sent. Later ones are dropped, as by a network.
    pub send_queue_len: usize,
}

/// The role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends the first ClientHello.
    Client,
    /// Waits for the first ClientHello.
    Server,
}

/// The SRTP protection profile, by the numbers of RFC 5764 §4.1.2 and RFC 7714 §14.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`.
    AesCm128HmacSha1_80,
}

/// In the server's order of preference: the cheapest per packet first.
const PROFILES: [(SrtpProfile, &str); 3] = [
    (SrtpProfile::AeadAes128Gcm, "SRTP_AEAD_AES_128_GCM"),
    (SrtpProfile::AeadAes256Gcm, "SRTP_AEAD_AES_256_GCM"),
    (SrtpProfile::AesCm128HmacSha1_80, "SRTP_AES128_CM_SHA1_80"),
];

/// For DTLS 1.2; 1.3 has AEADs only. RFC 8827 §6.5 requires the first.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
                       ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/// The first, which resists quantum computers, is only for DTLS 1.3.
const GROUPS: &str = "X25519MLKEM768:X25519:P-256:P-384";

impl Context {
    /// Creates one.
    ///
    /// # Panics
    /// If the library rejects one of the constants above: a bug in this file.
    pub fn new(options: Options) -> Self {
        let inner = build(&options).expect("the library knows every name in this file");
        Self { inner, options }
    }
}

fn build(options: &Options) -> Result<SslContext, boring::error::ErrorStack> {
    let mut context = SslContext::builder(raw::method())?;
    raw::prepare(&mut context, options.certificates_len_max);
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    let newest = if options.dtls_1_3 { SslVersion::DTLS1_3 } else { SslVersion::DTLS1_2 };
    context.set_max_proto_version(Some(newest))?;
    context.set_strict_cipher_list(CIPHERS)?;
    context.set_curves_list(GROUPS)?;
    context.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_verify_algorithm_prefs(&key::SCHEMES)?;
    if options.is_for_media {
        context.set_tlsext_use_srtp(&PROFILES.map(|(_, name)| name).join(":"))?;
        let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        context.set_custom_verify_callback(mode, judge);
    } else {
        context.set_custom_verify_callback(SslVerifyMode::NONE, judge);
    }
    Ok(context.build())
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The state of the peer's certificate check; the library stores it with the connection.
struct Peer {
    /// The hash of the expected certificate. `None`: any certificate is accepted.
    expected: Option<CertificateHash>,
    refused: Option<Failure>,
}

static PEER: LazyLock<Index<Ssl, Peer>> =
    LazyLock::new(|| Ssl::new_ex_index().expect("the library has room for an index"));

/// Called by the library when the peer's certificate has arrived.
fn judge(ssl: &mut SslRef) -> Result<(), SslVerifyError> {
    let found = raw::peer_certificate(ssl);
    let expected = ssl.ex_data(*PEER).and_then(|peer| peer.expected);
    let refused = match (found, expected) {
        (Some(found), Some(expected)) if !expected.is_of(found) => {
            // RFC 8122 §6.2 defines the alert.
            Some((Failure::WrongCertificate, SslAlert::BAD_CERTIFICATE))
        }
        (None, _) => Some((Failure::NoCertificate, SslAlert::BAD_CERTIFICATE)),
        (Some(found), _) if key::of(found).is_none() => {
            Some((Failure::UnusableCertificate, SslAlert::UNSUPPORTED_CERTIFICATE))
        }
        _ if !raw::has_extended_master_secret(ssl) => {
            Some((Failure::Incompatible, SslAlert::HANDSHAKE_FAILURE))
        }
        _ => None,
    };
    let Some((failure, alert)) = refused else { return Ok(()) };
    if let Some(peer) = ssl.ex_data_mut(*PEER) {
        peer.refused = Some(failure);
    }
    Err(SslVerifyError::Invalid(alert))
}

/// One end of one DTLS association. After [`on_datagram`](Self::on_datagram) and
/// [`on_timeout`](Self::on_timeout), poll its datagrams to send and its received data.
///
/// After a failure, the alert is among its datagrams, and the connection cannot be used any more.
pub struct Connection {
    stream: SslStream<Wire>,
    role: Role,
    is_established: bool,
    is_closed: bool,
    received: VecDeque<Vec<u8>>,
}

/// The library reads and writes datagrams here, one per call.
#[derive(Debug)]
struct Wire {
    inbound: Option<Vec<u8>>,
    outbound: VecDeque<Vec<u8>>,
    send_queue_len: usize,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbound.take().ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        if self.outbound.len() < self.send_queue_len {
            self.outbound.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection {
    /// A new one that expects a peer with this hash of its certificate, or any peer.
    pub fn new(
        context: &Context,
        credential: &Credential,
        role: Role,
        expected: Option<CertificateHash>,
    ) -> Result<Self, Failure> {
        let options = &context.options;
        let mut ssl = Ssl::new(&context.inner).map_err(|_| Failure::Internal)?;
        ssl.add_credential(&credential.inner).map_err(|_| Failure::Internal)?;
        ssl.set_mtu(options.mtu).map_err(|_| Failure::Internal)?;
        ssl.set_ex_data(*PEER, Peer { expected, refused: None });
        raw::set_up(&mut ssl, options.flight_timeout);
        let wire = Wire { inbound: None, outbound: VecDeque::new(), send_queue_len: options.send_queue_len };
        let stream = SslStream::new(ssl, wire).map_err(|_| Failure::Internal)?;
        let received = VecDeque::new();
        Ok(Self { stream, role, is_established: false, is_closed: false, received })
    }

    /// Tells a server without a received datagram that its ClientHello will contain a cookie (RFC 6347
    /// §4.2.1), and that ClientHello and ServerHello therefore have the message number 1. Our first record
    /// gets the record number of that ClientHello.
    pub fn begin_after_cookie(&mut self, first_record: u32) {
        raw::begin_after_cookie(self.stream.ssl_mut(), first_record);
    }

    /// Shortens the ClientHello of a client before its [start](Self::start), so that it fits into one
    /// datagram: without the long key share of X25519MLKEM768. A server that prefers that group requests the
    /// share (RFC 8446 §4.1.4).
    pub fn shorten_hello(&mut self) -> Result<(), Failure> {
        if raw::send_short_key_share(self.stream.ssl_mut()) { Ok(()) } else { Err(Failure::Internal) }
    }

    /// Starts a client: its ClientHello is ready to be sent.
    pub fn start(&mut self, now: Duration) -> Result<(), Failure> {
        raw::set_time(now);
        self.advance()
    }

    /// A datagram has arrived.
    pub fn on_datagram(&mut self, now: Duration, datagram: Vec<u8>) -> Result<(), Failure> {
        raw::set_time(now);
        self.stream.get_mut().inbound = Some(datagram);
        let result = self.advance();
        self.stream.get_mut().inbound = None;
        result
    }

    /// The time that [`timeout`](Self::timeout) announced has passed.
    pub fn on_timeout(&mut self, now: Duration) -> Result<(), Failure> {
        raw::set_time(now);
        if raw::handle_timeout(self.stream.ssl_mut()) { Ok(()) } else { Err(Failure::TimedOut) }
    }

    /// The time until [`on_timeout`](Self::on_timeout) must be called.
    pub fn timeout(&self, now: Duration) -> Option<Duration> {
        raw::set_time(now);
        raw::timeout(self.stream.ssl())
    }

    /// Encrypts `data` as one record.
    pub fn send(&mut self, now: Duration, data: &[u8]) -> Result<(), Failure> {
        raw::set_time(now);
        self.stream.ssl_write(data).map(|_| ()).map_err(|error| failure::of(&error))
    }

    /// Closes the sending direction. Before the end of the handshake it only ends the connection.
    pub fn close(&mut self, now: Duration) {
        raw::set_time(now);
        if self.is_established {
            // Fails if the connection has failed before; then there is nothing to close.
            let _ = self.stream.shutdown();
        }
    }

    /// The next datagram to send.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.stream.get_mut().outbound.pop_front()
    }

    /// Datagrams that wait to be sent.
    pub fn outbound_len(&self) -> usize {
        self.stream.get_ref().outbound.len()
    }

    /// The next received record of application data.
    pub fn poll_received(&mut self) -> Option<Vec<u8>> {
        self.received.pop_front()
    }

    /// Whether the handshake is complete, with the expected certificate.
    pub fn is_established(&self) -> bool {
        self.is_established
    }

    /// Whether the peer has closed its sending direction.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether DTLS 1.3 was selected. `None` before the selection.
    pub fn is_dtls_1_3(&self) -> Option<bool> {
        match self.stream.ssl().version2() {
            Some(SslVersion::DTLS1_3) => Some(true),
            Some(SslVersion::DTLS1_2) => Some(false),
            _ => None,
        }
    }

    /// Whether the server has requested a second ClientHello with a key share in one of its groups (RFC 8446
    /// §4.1.4).
    pub fn awaits_second_hello(&self) -> bool {
        !self.is_established && self.stream.ssl().used_hello_retry_request()
    }

    /// The SRTP profile, after the handshake. `None`: there is no common profile.
    pub fn srtp_profile(&self) -> Option<SrtpProfile> {
        let chosen = self.stream.ssl().selected_srtp_profile()?.name();
        PROFILES.into_iter().find(|(_, name)| *name == chosen).map(|(profile, _)| profile)
    }

    /// Exported key material (RFC 5705), after the handshake.
    pub fn export(&self, label: &str, material: &mut [u8]) -> Result<(), Failure> {
        let exported = self.stream.ssl().export_keying_material(material, label, None);
        exported.map_err(|_| Failure::Internal)
    }

    fn advance(&mut self) -> Result<(), Failure> {
        if !self.is_established {
            let result = match self.role {
                Role::Client => self.stream.connect(),
                Role::Server => self.stream.accept(),
            };
            match result {
                Ok(()) => self.is_established = true,
                Err(error) if error.code() == ErrorCode::WANT_READ => return Ok(()),
                Err(error) => return Err(self.failure(&error)),
            }
        }
        let mut record = [0; RECORD_LEN_MAX];
        while !self.is_closed {
            match self.stream.ssl_read(&mut record) {
                Ok(len) => self.received.push_back(record[..len].to_vec()),
                Err(error) if error.code() == ErrorCode::WANT_READ => break,
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.is_closed = true;
                    // Answers the peer's close_notify (RFC 5246 §7.2.1). Fails if we have closed first.
                    let _ = self.stream.shutdown();
                }
                Err(error) => return Err(self.failure(&error)),
            }
        }
        Ok(())
    }

    fn failure(&self, error: &boring::ssl::Error) -> Failure {
        let refused = self.stream.ssl().ex_data(*PEER).and_then(|peer| peer.refused);
        refused.unwrap_or_else(|| failure::of(error))
    }
}

/// Bytes that are read at once; the rest of a longer record is read next.
const RECORD_LEN_MAX: usize = 2048;

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("is_established", &self.is_established)
            .finish_non_exhaustive()
    }
}
