//! DTLS between client and server (RFC 8656 §3.1, RFC 7350): a machine around the [`Relay`], which sees only
//! the decrypted datagrams.
//!
//! On sockets with DTLS, datagrams are decrypted on their way in and encrypted on their way out; all others
//! pass unchanged. This is *not* the fast path: the DTLS library allocates for every record.

use crate::counters::Counters;
use crate::events::Command;
use crate::limits::{
    DTLS_CLIENTS_MAX, DTLS_CLIENTS_PER_ADDRESS_MAX, DTLS_HALF_OPEN_MAX, DTLS_HALF_OPEN_PER_ADDRESS_MAX,
    DTLS_IDLE_MAX, DTLS_SWEEP_INTERVAL,
};
use crate::relay::Relay;
use crate::table::{Keyed, Table};
use crate::throttle::one_source;
use dtls::{Cookies, FirstDatagram, ValidCookie};
use machine::{Adaptor, Datagram, Deadlines, Flow, Instant, LocalId, Machine, Path, Rng, Tx, WorkerId};
use std::net::IpAddr;

/// A relay with DTLS.
#[derive(Debug)]
pub struct DtlsRelay {
    relay: Relay,
    dtls: Option<Dtls>,
}

/// The settings of DTLS, and its sockets.
#[derive(Debug)]
pub struct DtlsSettings {
    /// Accepts [anybody](dtls::Peers::Anybody).
    pub settings: dtls::Settings,
    /// The server's certificate.
    pub certificate: dtls::Certificate,
    /// The first UDP socket with DTLS; all later ones have it as well.
    pub first: LocalId,
}

/// The DTLS state of all clients.
#[derive(Debug)]
struct Dtls {
    settings: DtlsSettings,
    cookies: Cookies,
    by_path: Table<Path, u32>,
    clients: Vec<Option<Client>>,
    free: Vec<u32>,
    half_open: usize,
    /// The number of clients by source. Never more entries than `by_path`.
    by_source: Table<IpAddr, Taken>,
    deadlines: Deadlines,
    sweep_at: Option<Instant>,
    /// Datagrams that the relay has written for clients with DTLS, to be encrypted.
    plain: Vec<(Flow, Path, Vec<u8>)>,
    /// Buffer for the library's output.
    buffer: Vec<u8>,
    /// A decrypted datagram, until the relay has handled it.
    opened: Vec<u8>,
}

/// The clients of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    clients: usize,
    half_open: usize,
}

#[derive(Debug)]
struct Client {
    path: Path,
    endpoint: dtls::Endpoint,
    seen_at: Instant,
    is_open: bool,
}

/// The send batch that the relay writes into.
#[derive(Debug)]
pub struct ClientTx<'a, T> {
    tx: &'a mut T,
    first: Option<LocalId>,
    /// `None` without DTLS.
    plain: Option<&'a mut Vec<(Flow, Path, Vec<u8>)>>,
    /// Whether the last claimed slot is one to be encrypted.
    is_plain: bool,
}

impl<T: Tx> Tx for ClientTx<'_, T> {
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        let plain = self.plain.as_deref_mut().filter(|_| is_dtls(self.first, path.local));
        self.is_plain = plain.is_some();
        let Some(plain) = plain else { return self.tx.slot(flow, path, len) };
        if len > dtls::limits::SEND_MAX {
            return None;
        }
        plain.push((flow, path, vec![0; len]));
        plain.last_mut().map(|(_, _, bytes)| &mut bytes[..])
    }

    fn cancel(&mut self) {
        match self.plain.as_deref_mut().filter(|_| self.is_plain) {
            Some(plain) => _ = plain.pop(),
            None => self.tx.cancel(),
        }
    }

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        if !is_dtls(self.first, path.local) {
            self.is_plain = false;
            return self.tx.forward(flow, path, head, body);
        }
        machine::forward_by_copy(self, flow, path, head, body)
    }

    fn prefetch<S: ?Sized>(&self, soon: &S) {
        self.tx.prefetch(soon);
    }

    fn end_of_flow(&mut self) {
        self.tx.end_of_flow();
    }

    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.tx.hand_off(worker, head, body)
    }

    fn hand_off_buffer(&mut self, worker: WorkerId, head: &[u8], body: Box<[u8]>) -> bool {
        self.tx.hand_off_buffer(worker, head, body)
    }
}

/// Whether traffic on this socket is DTLS.
fn is_dtls(first: Option<LocalId>, local: LocalId) -> bool {
    first.is_some_and(|first| (first..LocalId::TCP).contains(&local))
}

/// The data that a cookie is bound to: the socket, and the client's address.
fn named(path: Path) -> [u8; 20] {
    let ip = match path.remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut name = [0; 20];
    name[..2].copy_from_slice(&path.local.0.to_be_bytes());
    name[2..18].copy_from_slice(&ip.octets());
    name[18..].copy_from_slice(&path.remote.port().to_be_bytes());
    name
}

/// The key of cookies; they need not outlive the process.
fn secret(rng: &mut Rng) -> [u8; 32] {
    let mut secret = [0; 32];
    rng.fill(&mut secret);
    secret
}

impl DtlsRelay {
    /// Without `dtls`, all datagrams pass unchanged.
    pub fn new(relay: Relay, dtls: Option<DtlsSettings>, rng: &mut Rng) -> Self {
        let dtls = dtls.map(|settings| Dtls {
            settings,
            cookies: Cookies::new(secret(rng)),
            by_path: Table::with_hasher(Keyed::new(rng)),
            clients: Vec::new(),
            free: Vec::new(),
            half_open: 0,
            by_source: Table::with_hasher(Keyed::new(rng)),
            deadlines: Deadlines::default(),
            sweep_at: None,
            plain: Vec::new(),
            buffer: Vec::new(),
            opened: Vec::new(),
        });
        Self { relay, dtls }
    }

    /// The relay's counters so far.
    pub fn counters(&self) -> &Counters {
        self.relay.counters()
    }

    /// Passes a datagram to the relay unchanged.
    fn pass_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let (relay, mut client_tx) = self.enter(tx);
        relay.on_datagram(now, datagram, &mut client_tx);
        self.leave(now, tx);
    }

    /// A datagram on a socket with DTLS.
    fn on_record(&mut self, now: Instant, path: Path, bytes: &[u8], tx: &mut impl Tx) {
        let Some(dtls) = &mut self.dtls else { return };
        let known = dtls.by_path.get(&path).copied();
        let index = match known {
            Some(index) => index,
            None => match dtls.cookies.classify(now, &named(path), bytes) {
                FirstDatagram::Verified(cookie) => match dtls.admit(now, path, cookie) {
                    Some(index) => index,
                    None => return,
                },
                // Any address may begin, and it may be forged: no state is stored, and the answer is sent
                // once.
                FirstDatagram::Unverified(answer) => {
                    return self.stranger_response(now, path, bytes, &answer, tx);
                }
                FirstDatagram::TooOld => {
                    return self.stranger_response(now, path, bytes, &alert(PROTOCOL_VERSION), tx);
                }
                FirstDatagram::Noise => return,
            },
        };
        if let Some(Some(client)) = dtls.clients.get_mut(index as usize) {
            // A failure shows in the next output.
            let _ = client.endpoint.on_datagram(now, bytes);
        }
        self.follow(now, index, tx);
    }

    /// Sends an answer within the bound for unauthenticated sources, which counts the bytes beyond those
    /// received.
    fn stranger_response(
        &mut self,
        now: Instant,
        path: Path,
        question: &[u8],
        answer: &[u8],
        tx: &mut impl Tx,
    ) {
        let excess = answer.len().saturating_sub(question.len());
        if self.relay.may_answer_stranger(now, path, excess) {
            send(tx, FLOW, path, answer);
        }
    }

    /// Handles all outputs of an endpoint.
    fn follow(&mut self, now: Instant, index: u32, tx: &mut impl Tx) {
        loop {
            let Some(dtls) = &mut self.dtls else { return };
            match dtls.next(now, index, tx) {
                Said::Data(path) => {
                    let mut opened = std::mem::take(&mut dtls.opened);
                    let datagram = Datagram { path, received_at: now, bytes: &mut opened };
                    self.pass_datagram(now, datagram, tx);
                    if let Some(dtls) = &mut self.dtls {
                        dtls.opened = opened;
                    }
                }
                Said::Ended(path) => {
                    dtls.forget(index);
                    return self.on_path_closed(now, path, tx);
                }
                Said::Nothing => return,
            }
        }
    }

    /// Removes clients that have gone without closing.
    fn sweep(&mut self, now: Instant) {
        let Some(dtls) = &mut self.dtls else { return };
        for index in 0..dtls.clients.len() as u32 {
            let Some(Some(client)) = dtls.clients.get(index as usize) else { continue };
            let is_idle = now.saturating_since(client.seen_at) >= DTLS_IDLE_MAX;
            if is_idle && !self.relay.has_allocation(client.path) {
                dtls.forget(index);
            }
        }
        dtls.sweep_at = (!dtls.by_path.is_empty()).then_some(now + DTLS_SWEEP_INTERVAL);
    }
}

/// An output of an endpoint.
enum Said {
    /// A datagram of the client behind this path is in `opened`.
    Data(Path),
    /// The connection is closed or has failed.
    Ended(Path),
    Nothing,
}

impl Dtls {
    /// A place for a new client with a proven address. `None` if there is none, or if the maximum number of
    /// handshakes is unfinished.
    fn admit(&mut self, now: Instant, path: Path, cookie: ValidCookie) -> Option<u32> {
        if self.half_open >= DTLS_HALF_OPEN_MAX || self.by_path.len() >= DTLS_CLIENTS_MAX {
            return None;
        }
        let source = one_source(path.remote.ip());
        let taken = self.by_source.get(&source).copied().unwrap_or_default();
        if taken.half_open >= DTLS_HALF_OPEN_PER_ADDRESS_MAX || taken.clients >= DTLS_CLIENTS_PER_ADDRESS_MAX
        {
            return None;
        }
        let one_more = Taken { clients: taken.clients + 1, half_open: taken.half_open + 1 };
        self.by_source.insert(source, one_more);
        let DtlsSettings { settings, certificate, .. } = &self.settings;
        let endpoint = dtls::Endpoint::server_after_cookie(settings, certificate, cookie, now);
        let index = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() as u32 - 1
        });
        self.clients[index as usize] = Some(Client { path, endpoint, seen_at: now, is_open: false });
        self.by_path.insert(path, index);
        self.half_open += 1;
        self.sweep_at.get_or_insert(now + DTLS_SWEEP_INTERVAL);
        Some(index)
    }

    /// Sends the datagrams of an endpoint, up to its next output of another kind.
    fn next(&mut self, now: Instant, index: u32, tx: &mut impl Tx) -> Said {
        let Some(Some(client)) = self.clients.get_mut(index as usize) else { return Said::Nothing };
        let path = client.path;
        if client.endpoint.is_connected() && !std::mem::replace(&mut client.is_open, true) {
            self.half_open -= 1;
            if let Some(taken) = self.by_source.get_mut(&one_source(path.remote.ip())) {
                taken.half_open -= 1;
            }
        }
        loop {
            match client.endpoint.poll(&mut self.buffer) {
                dtls::Output::Datagram(bytes) => send(tx, FLOW, path, bytes),
                dtls::Output::ApplicationData(bytes) => {
                    // A datagram that is not authentic does not keep the client alive.
                    client.seen_at = now;
                    self.opened.clear();
                    self.opened.extend_from_slice(bytes);
                    return Said::Data(path);
                }
                dtls::Output::Closed => return Said::Ended(path),
                dtls::Output::Timeout(at) => {
                    self.deadlines.set(index, Some(at));
                    return Said::Nothing;
                }
                dtls::Output::Connected(_) => {}
                dtls::Output::Idle if client.endpoint.failed().is_some() => return Said::Ended(path),
                dtls::Output::Idle => {
                    self.deadlines.set(index, None);
                    return Said::Nothing;
                }
            }
        }
    }

    /// Encrypts a datagram of the relay.
    fn seal(&mut self, now: Instant, index: u32, flow: Flow, bytes: &[u8], tx: &mut impl Tx) {
        let Some(Some(client)) = self.clients.get_mut(index as usize) else { return };
        if client.endpoint.send(now, bytes).is_err() {
            return;
        }
        while let dtls::Output::Datagram(bytes) = client.endpoint.poll(&mut self.buffer) {
            send(tx, flow, client.path, bytes);
        }
    }

    fn forget(&mut self, index: u32) {
        let Some(client) = self.clients.get_mut(index as usize).and_then(Option::take) else { return };
        self.by_path.remove(&client.path);
        self.deadlines.set(index, None);
        self.free.push(index);
        let half_open = usize::from(!client.is_open);
        self.half_open -= half_open;
        let source = one_source(client.path.remote.ip());
        if let Some(taken) = self.by_source.get_mut(&source) {
            taken.clients -= 1;
            taken.half_open -= half_open;
            if taken.clients == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

/// An alert (RFC 5246 §7.2).
const PROTOCOL_VERSION: u8 = 70;

/// A fatal alert in a record of DTLS 1.0, which every version reads, with a sequence number that a handshake
/// has not reached.
fn alert(description: u8) -> [u8; 15] {
    [21, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 2, 2, description]
}

/// The flow of handshakes.
const FLOW: Flow = Flow(1);

fn send(tx: &mut impl Tx, flow: Flow, path: Path, bytes: &[u8]) {
    // When the batch is full, the datagram is lost as on any full queue, and the batch has counted it.
    if let Some(slot) = tx.slot(flow, path, bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

impl Adaptor for DtlsRelay {
    type Inner = Relay;
    type InnerTx<'t, T: Tx + 't> = ClientTx<'t, T>;

    fn inner(&self) -> &Relay {
        &self.relay
    }

    fn inner_mut(&mut self) -> &mut Relay {
        &mut self.relay
    }

    fn enter<'t, T: Tx>(&'t mut self, tx: &'t mut T) -> (&'t mut Relay, ClientTx<'t, T>) {
        let first = self.dtls.as_ref().map(|dtls| dtls.settings.first);
        let plain = self.dtls.as_mut().map(|dtls| &mut dtls.plain);
        (&mut self.relay, ClientTx { tx, first, plain, is_plain: false })
    }

    /// Encrypts the datagrams that the relay has written for clients with DTLS.
    fn leave(&mut self, now: Instant, tx: &mut impl Tx) {
        let Some(dtls) = &mut self.dtls else { return };
        let mut plain = std::mem::take(&mut dtls.plain);
        for (flow, path, bytes) in plain.drain(..) {
            if let Some(index) = dtls.by_path.get(&path).copied() {
                dtls.seal(now, index, flow, &bytes, tx);
            }
        }
        dtls.plain = plain;
    }

    fn adapt_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let first = self.dtls.as_ref().map(|dtls| dtls.settings.first);
        if is_dtls(first, datagram.path.local) {
            self.on_record(now, datagram.path, datagram.bytes, tx);
        } else {
            self.pass_datagram(now, datagram, tx);
        }
    }

    fn adapt_command(&mut self, command: &Command) {
        if let Command::SetCertificate(certificate) = command
            && let Some(dtls) = &mut self.dtls
        {
            dtls.settings.certificate = certificate.clone();
        }
    }

    fn adapt_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        while let Some(index) = self.dtls.as_mut().and_then(|dtls| dtls.deadlines.pop(now)) {
            if let Some(Some(client)) =
                self.dtls.as_mut().and_then(|dtls| dtls.clients.get_mut(index as usize))
            {
                // A failure shows in the next output.
                let _ = client.endpoint.on_timeout(now);
            }
            self.follow(now, index, tx);
        }
        if self.dtls.as_ref().and_then(|dtls| dtls.sweep_at).is_some_and(|at| at <= now) {
            self.sweep(now);
        }
    }

    fn adapted_timeout(&self) -> Option<Instant> {
        let dtls = self.dtls.as_ref()?;
        dtls.deadlines.next().into_iter().chain(dtls.sweep_at).min()
    }
}
