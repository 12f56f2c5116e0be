//! One end of one DTLS association.
//!
//! The library emits what happens as a sequence in which a certificate, "connected" and the SRTP keys
//! are three events of no promised order. Until all three have been seen, [`Endpoint`] takes everything
//! out of the library as soon as it appears, compares the certificate, and only lets the keys out when
//! it was the right one. Afterwards it hands through.

use crate::limits::{DATAGRAM_MAX, RECEIVE_QUEUE_LEN, SEND_MAX, SEND_QUEUE_LEN};
use crate::settings::Clock;
use crate::{Certificate, Failed, Fingerprint, Settings, Version};
use dimpl::{Dtls, SrtpProfile};
use machine::Instant;
use srtp::{MasterKey, Profile};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A timer further away than this means none: the library says "ten years".
const NO_TIMER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// One end of one association. After every call that can fail, and after [`send`](Self::send) and
/// [`close`](Self::close), call [`poll`](Self::poll) until it yields [`Output::Timeout`] or
/// [`Output::Idle`].
///
/// Garbage is ignored as far as the protocol allows; what it does not forgive is a [`Failed`]. An
/// endpoint that failed has given up its memory and stays failed.
pub struct Endpoint {
    /// `None` once failed. Boxed: an endpoint is a small part of a transport most of the time.
    dtls: Option<Box<Dtls>>,
    failed: Option<Failed>,
    clock: Clock,
    role: Role,
    /// `None`: anybody may be the peer, and there are no keys of SRTP.
    expected: Option<Fingerprint>,
    handshake: Handshake,
    /// What the library had to say while it was searched for events.
    held: VecDeque<Held>,
    /// Bytes fed so far, up to what the library keeps: no certificate can be longer than that.
    fed: usize,
    /// Datagrams put into the library's queue since it was last seen empty.
    unsent: usize,
    last_now: Instant,
}

/// What of the handshake has been seen; in the order it is needed, not the order it comes.
#[derive(Debug, Default)]
struct Handshake {
    certificate_verified: bool,
    finished: bool,
    keys: Option<Connected>,
    announced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

#[derive(Debug)]
enum Held {
    Datagram(Vec<u8>),
    ApplicationData(Vec<u8>),
    Closed,
}

/// The keys of a finished handshake with the expected peer.
#[derive(Clone, Debug)]
pub struct Connected {
    /// How media is to be protected.
    pub profile: Profile,
    /// What the peer protects with.
    pub inbound: MasterKey,
    /// What we protect with.
    pub outbound: MasterKey,
}

/// What an endpoint has to say. The bytes are in the caller's buffer.
#[derive(Debug)]
pub enum Output<'a> {
    /// To be sent to the peer.
    Datagram(&'a [u8]),
    /// The handshake is done and the peer is who it should be. Once.
    Connected(Connected),
    /// From the peer, authenticated.
    ApplicationData(&'a [u8]),
    /// The peer has said goodbye. Once. A last datagram may follow.
    Closed,
    /// Nothing more now; call [`on_timeout`](Endpoint::on_timeout) at that instant.
    Timeout(Instant),
    /// Nothing more until the next input.
    Idle,
}

/// Why application data was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// The handshake is not done; try again after [`Output::Connected`].
    #[error("the handshake is not done")]
    NotConnected,
    /// Longer than [`SEND_MAX`].
    #[error("longer than {SEND_MAX} bytes")]
    TooLong,
    /// As many datagrams wait as may; poll first.
    #[error("poll first")]
    Full,
    /// One of the two sides has closed.
    #[error("the association is closed")]
    Closed,
    /// The endpoint has failed.
    #[error(transparent)]
    Failed(#[from] Failed),
}

impl Endpoint {
    /// The end that waits for a ClientHello (`a=setup:passive`).
    pub fn server(
        settings: &Settings,
        certificate: &Certificate,
        expected: Fingerprint,
        now: Instant,
    ) -> Self {
        Self::new(settings, certificate, Some(expected), now, Role::Server)
    }

    /// The end that waits for anybody's ClientHello, with settings for [anybody](crate::Peers::Anybody): only application data
    /// follows, once it [is connected](Self::is_connected); [`Output::Connected`] is never said.
    pub fn server_for_anybody(settings: &Settings, certificate: &Certificate, now: Instant) -> Self {
        Self::new(settings, certificate, None, now, Role::Server)
    }

    /// The end that sends one (`a=setup:active`). The first datagram is ready to be polled.
    pub fn client(
        settings: &Settings,
        certificate: &Certificate,
        expected: Fingerprint,
        now: Instant,
    ) -> Self {
        Self::new(settings, certificate, Some(expected), now, Role::Client)
    }

    fn new(
        settings: &Settings,
        certificate: &Certificate,
        expected: Option<Fingerprint>,
        now: Instant,
        role: Role,
    ) -> Self {
        let clock = settings.clock();
        let (config, certificate, at) = (settings.config(), certificate.to_dimpl(), clock.to_std(now));
        let mut dtls = Box::new(match settings.options().version {
            Version::Dtls12 => Dtls::new_12(config, certificate, at),
            Version::Auto => Dtls::new_auto(config, certificate, at),
        });
        dtls.set_active(role == Role::Client);

        let mut endpoint = Self {
            dtls: Some(dtls),
            failed: None,
            clock,
            role,
            expected,
            handshake: Handshake::default(),
            held: VecDeque::new(),
            fed: 0,
            unsent: 0,
            last_now: now,
        };
        // The library wants to be told the time before anything else. A failure is kept for later.
        let _ = endpoint.on_timeout(now);
        endpoint
    }

    /// A datagram has arrived from the peer. One that is no DTLS, or larger than [`DATAGRAM_MAX`],
    /// changes nothing.
    pub fn on_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Failed> {
        if datagram.len() > DATAGRAM_MAX {
            return self.failed.map_or(Ok(()), Err);
        }
        self.fed = (self.fed + datagram.len()).min(RECEIVE_QUEUE_LEN * DATAGRAM_MAX);
        self.drive(now, |dtls| dtls.handle_packet(datagram))
    }

    /// The instant of [`Output::Timeout`] has come (or passed).
    pub fn on_timeout(&mut self, now: Instant) -> Result<(), Failed> {
        self.drive(now, |_| Ok(()))
    }

    /// Hands `data` to the peer as one record.
    pub fn send(&mut self, now: Instant, data: &[u8]) -> Result<(), SendError> {
        if let Some(failed) = self.failed {
            return Err(failed.into());
        }
        if !self.handshake.announced {
            return Err(SendError::NotConnected);
        }
        if data.len() > SEND_MAX {
            return Err(SendError::TooLong);
        }
        if self.unsent >= SEND_QUEUE_LEN {
            return Err(SendError::Full);
        }
        if self.dtls.as_ref().is_none_or(|dtls| dtls.is_closed() || dtls.is_closing()) {
            return Err(SendError::Closed);
        }
        self.unsent += 1;
        Ok(self.drive(now, |dtls| dtls.send_application_data(data).map(|_| ()))?)
    }

    /// Says goodbye: the alert is ready to be polled, and nothing can be sent any more. Before the
    /// handshake is done it just ends.
    pub fn close(&mut self, now: Instant) -> Result<(), Failed> {
        self.drive(now, Dtls::close)
    }

    /// Why the endpoint is of no use any more, if so.
    pub fn failed(&self) -> Option<Failed> {
        self.failed
    }

    /// Whether [`Output::Connected`] has been said.
    pub fn is_connected(&self) -> bool {
        self.handshake.announced && self.failed.is_none()
    }

    /// The next thing there is to say. `buffer` is for the bytes of the answer only and may be shared by
    /// all endpoints; it is grown to [`DATAGRAM_MAX`] once.
    pub fn poll<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Output<'b> {
        if self.failed.is_some() {
            return Output::Idle;
        }
        if buffer.len() < DATAGRAM_MAX {
            buffer.resize(DATAGRAM_MAX, 0);
        }
        if let Some(connected) = self.handshake.announce() {
            return Output::Connected(connected);
        }
        match self.held.pop_front() {
            Some(Held::Datagram(bytes)) => return Output::Datagram(copy(&bytes, buffer)),
            Some(Held::ApplicationData(bytes)) => return Output::ApplicationData(copy(&bytes, buffer)),
            Some(Held::Closed) => return Output::Closed,
            None => {}
        }
        self.poll_library(buffer)
    }

    /// Only when no event can be pending in the library: it panics if a certificate does not fit.
    fn poll_library<'b>(&mut self, buffer: &'b mut [u8]) -> Output<'b> {
        let Some(dtls) = &mut self.dtls else { return Output::Idle };
        let polled = catch_unwind(AssertUnwindSafe(move || {
            // Given away, not lent again, or the answer could not outlive the closure.
            let buffer = buffer;
            dtls.poll_output(buffer)
        }));
        match polled {
            Ok(dimpl::Output::Packet(bytes)) => Output::Datagram(bytes),
            Ok(dimpl::Output::ApplicationData(bytes)) => Output::ApplicationData(bytes),
            Ok(dimpl::Output::CloseNotify) => Output::Closed,
            Ok(dimpl::Output::Timeout(at)) => {
                self.unsent = 0;
                let at = self.clock.to_machine(at);
                let far = at.saturating_since(self.last_now) > NO_TIMER;
                if far { Output::Idle } else { Output::Timeout(at) }
            }
            _ => {
                self.fail(Failed::Internal);
                Output::Idle
            }
        }
    }

    /// Tells the library the time, lets it act, and sees what has come of it.
    fn drive(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Dtls) -> Result<(), dimpl::Error>,
    ) -> Result<(), Failed> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.last_now = now;
        let at = self.clock.to_std(now);
        let result = self.contain(|dtls| {
            dtls.handle_timeout(at)?;
            act(dtls)
        });
        result.and_then(|()| self.advance()).map_err(|failed| self.fail(failed))
    }

    /// Runs the library. It has assertions; one that fires ends this endpoint, not the worker and the
    /// thousand calls on it. Nothing of what unwound is used again.
    fn contain(&mut self, act: impl FnOnce(&mut Dtls) -> Result<(), dimpl::Error>) -> Result<(), Failed> {
        let dtls = self.dtls.as_mut().ok_or(Failed::Internal)?;
        match catch_unwind(AssertUnwindSafe(|| act(dtls))) {
            Ok(result) => result.map_err(Failed::from),
            Err(_) => Err(Failed::Internal),
        }
    }

    /// Takes everything out of the library until the handshake is through.
    fn advance(&mut self) -> Result<(), Failed> {
        if self.handshake.announced {
            return Ok(());
        }
        // Room for the longest certificate that can have arrived, as the library insists.
        let mut scratch = vec![0; self.fed.max(DATAGRAM_MAX)];
        let Self { role, expected, handshake, held, .. } = self;
        let (role, expected, handshake, held) = (*role, *expected, handshake, held);
        let dtls = self.dtls.as_mut().ok_or(Failed::Internal)?;
        let drained = catch_unwind(AssertUnwindSafe(|| {
            loop {
                match dtls.poll_output(&mut scratch) {
                    dimpl::Output::PeerCert(der) => {
                        if expected.is_some_and(|expected| !expected.matches(der)) {
                            return Err(Failed::FingerprintMismatch);
                        }
                        handshake.certificate_verified = true;
                    }
                    dimpl::Output::Connected => handshake.finished = true,
                    dimpl::Output::KeyingMaterial(material, profile) => {
                        handshake.keys = Some(connected(role, profile, &material).ok_or(Failed::Internal)?);
                    }
                    dimpl::Output::Packet(bytes) => held.push_back(Held::Datagram(bytes.to_vec())),
                    dimpl::Output::ApplicationData(bytes) => {
                        held.push_back(Held::ApplicationData(bytes.to_vec()));
                    }
                    dimpl::Output::CloseNotify => held.push_back(Held::Closed),
                    dimpl::Output::Timeout(_) => return Ok(()),
                    _ => return Err(Failed::Internal),
                }
            }
        }));
        drained.unwrap_or(Err(Failed::Internal))?;
        if self.expected.is_none() {
            self.handshake.announced = self.handshake.finished;
            return Ok(());
        }
        self.handshake.check()
    }

    fn fail(&mut self, failed: Failed) -> Failed {
        self.failed = Some(failed);
        self.dtls = None;
        self.held = VecDeque::new();
        self.handshake.keys = None;
        failed
    }
}

impl Handshake {
    /// The library finishes only with a certificate, and tells the keys in the same breath.
    fn check(&self) -> Result<(), Failed> {
        match (self.finished, self.certificate_verified, &self.keys) {
            (true, false, _) => Err(Failed::BadCertificate),
            (true, true, None) => Err(Failed::NoSrtpProfile),
            _ => Ok(()),
        }
    }

    /// The keys, once, when everything has been seen.
    fn announce(&mut self) -> Option<Connected> {
        if !(self.finished && self.certificate_verified) {
            return None;
        }
        let connected = self.keys.take()?;
        self.announced = true;
        Some(connected)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("role", &self.role)
            .field("failed", &self.failed)
            .field("connected", &self.handshake.announced)
            .finish_non_exhaustive()
    }
}

/// The client's keys come first in what is exported (RFC 5764 §4.2).
fn connected(role: Role, profile: SrtpProfile, material: &[u8]) -> Option<Connected> {
    let profile = match profile {
        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
        SrtpProfile::AES128_CM_SHA1_80 => Profile::AesCm128HmacSha1_80,
        _ => return None,
    };
    let (client, server) = MasterKey::pair_from_exported(profile, material)?;
    let (inbound, outbound) = match role {
        Role::Client => (server, client),
        Role::Server => (client, server),
    };
    Some(Connected { profile, inbound, outbound })
}

/// What was held came out of a buffer no larger than this one.
fn copy<'b>(bytes: &[u8], buffer: &'b mut [u8]) -> &'b [u8] {
    let target = &mut buffer[..bytes.len()];
    target.copy_from_slice(bytes);
    target
}
