//! One end of one DTLS association.

use crate::guard::{Guard, Step};
use crate::limits::{DATAGRAM_MAX, HANDSHAKE_TIMEOUT, SEND_MAX, SEND_QUEUE_LEN};
use crate::record::{ALERT, CLIENT_HELLO, Fragments, HANDSHAKE, Record, Records};
use crate::{Certificate, Failed, Peers, Settings, ValidCookie};
use machine::Instant;
use srtp::{MasterKey, Profile};
use ssl::{CertificateHash, Connection, Failure, Role, SrtpProfile};
use std::collections::VecDeque;
use std::fmt;
use zeroize::Zeroizing;

/// One end of one association. After every call that can fail, and after [`send`](Self::send) and
/// [`close`](Self::close), call [`poll`](Self::poll) until it yields [`Output::Timeout`] or
/// [`Output::Idle`]; also after a failure, whose alert is polled like every datagram.
///
/// Unauthenticated messages cannot end a server's handshake with an [announced](crate::Peers::Announced)
/// peer. Other protocol errors are a [`Failed`]; a failed endpoint has released its memory and stays failed.
pub struct Endpoint {
    state: State,
    failed: Option<Failed>,
    is_for_media: bool,
    role: Role,
    /// The keys, until they are polled.
    connected: Option<Connected>,
    is_connected: bool,
    is_closing: bool,
    is_closed_polled: bool,
    /// Datagrams to send, of a connection that has been released.
    unsent: VecDeque<Vec<u8>>,
    /// The start time of a client, and of a server that accepts any peer.
    started_at: Option<Instant>,
    last_now: Instant,
}

enum State {
    /// A server whose peer has not authenticated yet. Boxed: most of the time an endpoint is a small part of
    /// a transport.
    Guarded(Box<Guard>),
    /// All others.
    Open(Box<Connection>),
    Gone,
}

/// The keys of a complete handshake with the expected peer.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The SRTP protection profile.
    pub profile: Profile,
    /// The key that the peer sends with.
    pub inbound: MasterKey,
    /// The key that we send with.
    pub outbound: MasterKey,
}

/// An output of an endpoint. The bytes are in the caller's buffer.
#[derive(Debug)]
pub enum Output<'a> {
    /// To be sent to the peer.
    Datagram(&'a [u8]),
    /// The handshake is complete with the expected peer. Once.
    Connected(Connected),
    /// From the peer, authenticated.
    ApplicationData(&'a [u8]),
    /// The peer has closed the association. Once. One more datagram may follow.
    Closed,
    /// Nothing more now; call [`on_timeout`](Endpoint::on_timeout) at that time.
    Timeout(Instant),
    /// Nothing more until the next input.
    Idle,
}

/// Why application data was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// The handshake is not complete; try again after [`Output::Connected`].
    #[error("the handshake is not complete")]
    NotConnected,
    /// Longer than [`SEND_MAX`].
    #[error("longer than {SEND_MAX} bytes")]
    TooLong,
    /// The queue of datagrams is full; poll first.
    #[error("poll first")]
    Full,
    /// One of the sides has closed.
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
        expected: impl Into<CertificateHash>,
        now: Instant,
    ) -> Self {
        let credential = certificate.credential().clone();
        let guard = Guard::new(settings.context().clone(), credential, expected.into());
        Self::new(State::Guarded(Box::new(guard)), Role::Server, true, now)
    }

    /// The end for a client that has proved its address by a [cookie](crate::Cookies), with settings for [any
    /// peer](crate::Peers::Anybody): the only output is application data, once it [is
    /// connected](Self::is_connected), and never [`Output::Connected`]. The first datagram must be the
    /// ClientHello with the cookie.
    pub fn server_after_cookie(
        settings: &Settings,
        certificate: &Certificate,
        cookie: ValidCookie,
        now: Instant,
    ) -> Self {
        let mut endpoint = Self::open(settings, certificate, None, Role::Server, now);
        if let State::Open(connection) = &mut endpoint.state {
            connection.begin_after_cookie(cookie.record_number);
        }
        endpoint
    }

    /// The end that sends a ClientHello (`a=setup:active`), which is ready to be polled. Unauthenticated
    /// messages can end it: it cannot distinguish the answers of two servers. Create a new one then.
    pub fn client(
        settings: &Settings,
        certificate: &Certificate,
        expected: impl Into<CertificateHash>,
        now: Instant,
    ) -> Self {
        let mut endpoint = Self::open(settings, certificate, Some(expected.into()), Role::Client, now);
        // A failure is stored for later.
        let _ = endpoint.step(|connection| connection.start(now.since_epoch()));
        endpoint
    }

    /// The same with a ClientHello of one datagram, by a shorter key share: for any server. Some do not
    /// assemble a ClientHello from fragments, such as those that use Mbed TLS.
    pub fn client_with_short_hello(
        settings: &Settings,
        certificate: &Certificate,
        expected: impl Into<CertificateHash>,
        now: Instant,
    ) -> Self {
        let mut endpoint = Self::open(settings, certificate, Some(expected.into()), Role::Client, now);
        let _ = endpoint.step(|connection| {
            connection.shorten_hello()?;
            connection.start(now.since_epoch())
        });
        endpoint
    }

    fn open(
        settings: &Settings,
        certificate: &Certificate,
        expected: Option<CertificateHash>,
        role: Role,
        now: Instant,
    ) -> Self {
        let is_for_media = settings.options().peers == Peers::Announced;
        let connection = Connection::new(settings.context(), certificate.credential(), role, expected);
        let state = connection.map_or(State::Gone, |connection| State::Open(Box::new(connection)));
        let mut endpoint = Self::new(state, role, is_for_media, now);
        endpoint.failed = matches!(endpoint.state, State::Gone).then_some(Failed::Internal);
        endpoint.started_at = Some(now);
        endpoint
    }

    fn new(state: State, role: Role, is_for_media: bool, now: Instant) -> Self {
        Self {
            state,
            failed: None,
            is_for_media,
            role,
            connected: None,
            is_connected: false,
            is_closing: false,
            is_closed_polled: false,
            unsent: VecDeque::new(),
            started_at: None,
            last_now: now,
        }
    }

    /// A datagram has arrived from the peer. One that is not DTLS, or larger than [`DATAGRAM_MAX`], has no
    /// effect.
    pub fn on_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Failed> {
        self.check()?;
        self.last_now = now;
        if datagram.len() > DATAGRAM_MAX {
            return Ok(());
        }
        match &mut self.state {
            State::Guarded(guard) => match guard.on_datagram(now, datagram) {
                Ok(Step::Running) => Ok(()),
                Ok(Step::Established(connection)) => {
                    while let Some(datagram) = guard.poll_datagram() {
                        self.unsent.push_back(datagram);
                    }
                    self.state = State::Open(connection);
                    self.step(|_| Ok(()))
                }
                Err(failure) => Err(self.fail(failure.into())),
            },
            State::Open(_) => {
                // With the keys, only authenticated records are accepted.
                let without_plain = self.is_connected || self.connected.is_some();
                let datagram = without_noise(datagram, without_plain, self.role);
                if datagram.is_empty() {
                    return Ok(());
                }
                self.step(|connection| connection.on_datagram(now.since_epoch(), datagram))
            }
            State::Gone => Ok(()),
        }
    }

    /// The time of [`Output::Timeout`] has been reached (or passed).
    pub fn on_timeout(&mut self, now: Instant) -> Result<(), Failed> {
        self.check()?;
        self.last_now = now;
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            return Err(self.fail(Failed::TimedOut));
        }
        match &mut self.state {
            State::Guarded(guard) => guard.on_timeout(now).map_err(|failure| self.fail(failure.into())),
            State::Open(connection) => {
                let is_due = connection.timeout(now.since_epoch()).is_some_and(|left| left.is_zero());
                if is_due { self.step(|connection| connection.on_timeout(now.since_epoch())) } else { Ok(()) }
            }
            State::Gone => Ok(()),
        }
    }

    /// Sends `data` to the peer as one record.
    pub fn send(&mut self, now: Instant, data: &[u8]) -> Result<(), SendError> {
        self.check()?;
        self.last_now = now;
        if !self.is_connected {
            return Err(SendError::NotConnected);
        }
        if data.len() > SEND_MAX {
            return Err(SendError::TooLong);
        }
        let State::Open(connection) = &mut self.state else { return Err(SendError::NotConnected) };
        if connection.outbound_len() >= SEND_QUEUE_LEN {
            return Err(SendError::Full);
        }
        if self.is_closing || connection.is_closed() {
            return Err(SendError::Closed);
        }
        connection.send(now.since_epoch(), data).map_err(|failure| self.fail(failure.into()).into())
    }

    /// Closes the association: the alert is ready to be polled, and nothing more can be sent. Before the end
    /// of the handshake it only ends.
    pub fn close(&mut self, now: Instant) -> Result<(), Failed> {
        self.check()?;
        self.last_now = now;
        self.is_closing = true;
        match &mut self.state {
            State::Open(connection) if connection.is_established() => connection.close(now.since_epoch()),
            _ => self.state = State::Gone,
        }
        Ok(())
    }

    /// The failure, if the endpoint has failed.
    pub fn failed(&self) -> Option<Failed> {
        self.failed
    }

    /// Whether the handshake is complete, and [`Output::Connected`], if expected, has been polled.
    pub fn is_connected(&self) -> bool {
        self.is_connected && self.failed.is_none()
    }

    /// Whether DTLS 1.3 is used. `None` before the end of the handshake.
    pub fn is_dtls_1_3(&self) -> Option<bool> {
        match &self.state {
            State::Open(connection) if connection.is_established() => connection.is_dtls_1_3(),
            _ => None,
        }
    }

    /// The next output. `buffer` is only for its bytes and may be shared by all endpoints; it is grown to
    /// [`DATAGRAM_MAX`] once.
    pub fn poll<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Output<'b> {
        if buffer.len() < DATAGRAM_MAX {
            buffer.resize(DATAGRAM_MAX, 0);
        }
        if let Some(datagram) = self.poll_datagram() {
            return Output::Datagram(copy(&datagram, buffer));
        }
        if self.failed.is_some() {
            return Output::Idle;
        }
        if let Some(connected) = self.connected.take() {
            self.is_connected = true;
            return Output::Connected(connected);
        }
        if let State::Open(connection) = &mut self.state {
            if let Some(data) = connection.poll_received() {
                return Output::ApplicationData(copy(&data, buffer));
            }
            if connection.is_closed() && !std::mem::replace(&mut self.is_closed_polled, true) {
                return Output::Closed;
            }
        }
        match self.timeout() {
            Some(at) => Output::Timeout(at),
            None => Output::Idle,
        }
    }

    fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.unsent.pop_front().or_else(|| self.state.poll_datagram())
    }

    fn timeout(&self) -> Option<Instant> {
        let repetition = match &self.state {
            State::Guarded(guard) => guard.timeout(self.last_now),
            State::Open(connection) => {
                connection.timeout(self.last_now.since_epoch()).map(|left| self.last_now + left)
            }
            State::Gone => None,
        };
        repetition.into_iter().chain(self.deadline()).min()
    }

    /// When an incomplete handshake fails.
    fn deadline(&self) -> Option<Instant> {
        let started_at = match &self.state {
            State::Guarded(guard) => guard.started_at(),
            State::Open(connection) if !connection.is_established() => self.started_at,
            _ => None,
        };
        started_at.map(|started_at| started_at + HANDSHAKE_TIMEOUT)
    }

    /// Runs the connection, and takes the keys as soon as they are available.
    fn step(&mut self, act: impl FnOnce(&mut Connection) -> Result<(), Failure>) -> Result<(), Failed> {
        let State::Open(connection) = &mut self.state else { return Ok(()) };
        let result = act(connection).map_err(Failed::from).and_then(|()| {
            let is_new = connection.is_established() && !self.is_connected && self.connected.is_none();
            match (is_new, self.is_for_media) {
                (false, _) => Ok(()),
                (true, true) => keys(connection, self.role).map(|keys| self.connected = Some(keys)),
                (true, false) => {
                    self.is_connected = true;
                    Ok(())
                }
            }
        });
        result.map_err(|failed| self.fail(failed))
    }

    fn check(&self) -> Result<(), Failed> {
        self.failed.map_or(Ok(()), Err)
    }

    /// Only the alert remains.
    fn fail(&mut self, failed: Failed) -> Failed {
        let mut state = std::mem::replace(&mut self.state, State::Gone);
        if let State::Open(connection) = &mut state {
            // If the handshake itself succeeded, as without an SRTP profile, this notifies the peer.
            connection.close(self.last_now.since_epoch());
        }
        self.unsent.extend(std::iter::from_fn(|| state.poll_datagram()));
        self.failed = Some(failed);
        self.connected = None;
        failed
    }
}

impl State {
    fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Guarded(guard) => guard.poll_datagram(),
            Self::Open(connection) => connection.poll_datagram(),
            Self::Gone => None,
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("role", &self.role)
            .field("failed", &self.failed)
            .field("connected", &self.is_connected)
            .finish_non_exhaustive()
    }
}

/// A datagram without unauthenticated alerts (RFC 6347 §4.1.2.7), or without anything unauthenticated. For a
/// client also without ClientHellos, which would end its handshake: the peer may be a client too.
fn without_noise(datagram: &[u8], without_plain: bool, role: Role) -> Vec<u8> {
    let mut kept = Vec::with_capacity(datagram.len());
    let mut rest = datagram;
    let mut records = Records(datagram);
    while let Some(record) = records.next() {
        let bytes = &rest[..rest.len() - records.0.len()];
        rest = records.0;
        let is_noise = match record {
            Record::Plain { .. } if without_plain => true,
            Record::Plain { kind: HANDSHAKE, body } => {
                let mut fragments = Fragments(body);
                role == Role::Client && fragments.any(|fragment| fragment.kind == CLIENT_HELLO)
            }
            Record::Plain { kind, .. } => kind == ALERT,
            Record::Protected(_) => false,
        };
        if !is_noise {
            kept.extend_from_slice(bytes);
        }
    }
    kept
}

/// The exported material begins with the client's keys (RFC 5764 §4.2).
fn keys(connection: &Connection, role: Role) -> Result<Connected, Failed> {
    let profile = match connection.srtp_profile().ok_or(Failed::NoSrtpProfile)? {
        SrtpProfile::AeadAes128Gcm => Profile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => Profile::AeadAes256Gcm,
        SrtpProfile::AesCm128HmacSha1_80 => Profile::AesCm128HmacSha1_80,
    };
    let mut material = Zeroizing::new(vec![0; 2 * (profile.key_len() + profile.salt_len())]);
    connection.export("EXTRACTOR-dtls_srtp", &mut material)?;
    let (client, server) = MasterKey::pair_from_exported(profile, &material).ok_or(Failed::Internal)?;
    let (inbound, outbound) = match role {
        Role::Client => (server, client),
        Role::Server => (client, server),
    };
    Ok(Connected { profile, inbound, outbound })
}

/// A datagram larger than the buffer, which no setting allows, is cut.
fn copy<'b>(bytes: &[u8], buffer: &'b mut [u8]) -> &'b [u8] {
    let len = bytes.len().min(buffer.len());
    let target = &mut buffer[..len];
    target.copy_from_slice(&bytes[..len]);
    target
}
