//! A shard, its controller and a few browsers, controlled by a script: the basis of [`shard`](crate::shard).
//!
//! Everything that the shard sends is checked: SRTP must be decryptable by its peer, and a repeated index
//! must protect the same bytes ([`SentIndices`]); RTCP must be a compound, nothing is sent to an
//! unauthenticated address. Its events are compared with [`Picture`](crate::picture::Picture), a controller's
//! naive model of the objects.

mod plain;

pub(crate) use plain::key as plain_key;

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use control::{Candidate, Command, Counter, Event, Request, RequestId, TransportId};
use dtls::{Certificate, Endpoint, Output};
use leat_tests::SentIndices;
use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Rng, Tx, WorkerId, meter};
use sfu::{Config, Input, Shard, limits};
use srtp::{Discard, Inbound, Outbound};
use stun::{Class, Demux, Key, Method, TransactionId, Writer};

use crate::picture::Picture;
use plain::Plain;

/// The events of a run, to distinguish useful scripts from useless ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// SRTP packets that a peer has decrypted.
    pub(crate) rtp_opened: u64,
    /// SRTCP compounds that a peer has decrypted.
    pub(crate) rtcp_opened: u64,
    /// Packets retransmitted with a separate SSRC.
    pub(crate) repaired: u64,
    /// Identical retransmissions.
    pub(crate) repeated: u64,
    /// Packets of media from another worker.
    pub(crate) piped: u64,
    /// Packets of media that a plain transport has sent to its peer.
    pub(crate) plain_heard: u64,
}

/// The send batch, kept for inspection.
#[derive(Default)]
pub(crate) struct Sink {
    sent: Vec<(Flow, Path, Vec<u8>)>,
    /// How many datagrams it accepts before it is full.
    room: usize,
    /// Slots refused in one call.
    refused: u32,
}

/// More than any call has to send.
const REFUSED_MAX: u32 = 100_000;

impl Tx for Sink {
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        if self.sent.len() >= self.room {
            self.refused += 1;
            assert!(self.refused < REFUSED_MAX, "a full batch is retried endlessly");
            return None;
        }
        self.sent.push((flow, path, vec![0xa5; len]));
        self.sent.last_mut().map(|(_, _, bytes)| &mut bytes[..])
    }

    fn cancel(&mut self) {
        self.sent.pop().expect("only a claimed slot is given back");
    }

    fn prefetch<T: ?Sized>(&self, _soon: &T) {}

    fn end_of_flow(&mut self) {}

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        machine::forward_by_copy(self, flow, path, head, body)
    }

    fn hand_off(&mut self, _worker: WorkerId, _head: &[u8], _body: &[u8]) -> bool {
        false
    }

    fn hand_off_buffer(&mut self, _worker: WorkerId, _head: &[u8], _body: Box<[u8]>) -> bool {
        false
    }
}

/// A browser, as seen by the shard.
pub(crate) struct Peer {
    ufrag: String,
    key: Key,
    /// The addresses from which it has sent authentic checks.
    proven: HashSet<Path>,
    client: Option<Endpoint>,
    keys: Option<Keys>,
}

pub(crate) struct Keys {
    outbound: Outbound,
    pub(crate) inbound: Inbound,
    /// The index of the packet sent last, by SSRC.
    sent: HashMap<u32, u64>,
    /// Decrypted packets, to distinguish a repetition from a reused index.
    pub(crate) opened: HashSet<Vec<u8>>,
    /// Source and sequence number of the latest decrypted packets, to request them again.
    newest: Vec<(rtp::Ssrc, rtp::Seq)>,
}

impl Keys {
    pub(crate) fn new(inbound: Inbound, outbound: Outbound) -> Self {
        Self { outbound, inbound, sent: HashMap::new(), opened: HashSet::new(), newest: Vec::new() }
    }

    /// A packet has been decrypted, and may be requested again.
    pub(crate) fn note_opened(&mut self, ssrc: rtp::Ssrc, seq: rtp::Seq) {
        self.newest.push((ssrc, seq));
        if self.newest.len() > 32 {
            self.newest.remove(0);
        }
    }

    /// Protects its input: header and payload need not be RTP.
    fn protect_rtp(&mut self, header: &[u8], payload: &[u8]) -> Vec<u8> {
        let seq = u16::from_be_bytes([header[2], header[3]]);
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        // The peer counts roll-overs: the index nearest to the previous one.
        let index = match self.sent.get(&ssrc) {
            None => u64::from(seq),
            Some(&last) => last.saturating_add_signed(i64::from(seq.wrapping_sub(last as u16) as i16)),
        };
        self.sent.insert(ssrc, index);
        let mut out = vec![0xa5; header.len() + payload.len() + 16];
        out[..header.len()].copy_from_slice(header);
        let len = self.outbound.protect_rtp((index >> 16) as u32, header.len(), payload, &mut out);
        out.truncate(len.expect("there is room"));
        out
    }

    /// Protects anything as if it were RTCP; `None` if it is too short for that.
    fn protect_rtcp(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0xa5; plain.len() + 20];
        let len = self.outbound.protect_rtcp(plain, &mut out)?;
        out.truncate(len);
        Some(out)
    }
}

/// The whole world.
pub(crate) struct World {
    pub(crate) shard: Shard,
    pub(crate) sink: Sink,
    pub(crate) now: Instant,
    next_request: u64,
    pub(crate) picture: Picture,
    pub(crate) plain: Plain,
    /// Everything that was sent.
    pub(crate) sent: SentIndices,
    /// The controller's last command.
    asked: Option<Command>,
    pub(crate) peers: HashMap<TransportId, Peer>,
    /// The last authenticated owner of an address: everything from there is attributed to it.
    owners: HashMap<Path, TransportId>,
    /// DTLS from the shard, for the peer with a handshake in progress.
    flight: Vec<Vec<u8>>,
    fed: u64,
    /// The objects after the previous call.
    objects: u64,
    pub(crate) tally: Tally,
}

/// Created once: a key pair is expensive, and any will do.
struct Common {
    engine: Certificate,
    peer: Certificate,
    settings: dtls::Settings,
}

fn common() -> &'static Common {
    static COMMON: OnceLock<Common> = OnceLock::new();
    COMMON.get_or_init(|| Common {
        engine: Certificate::generate(),
        peer: Certificate::generate(),
        settings: dtls::Settings::new(dtls::Options::default()),
    })
}

/// The engine's address.
pub(crate) const ENGINE_IP: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// The nth possible source address of a datagram.
pub(crate) fn path(nth: u8) -> Path {
    let remote = SocketAddr::from((Ipv4Addr::new(192, 0, 2, nth % 5), 5000));
    let locals = [LocalId(0), LocalId::tcp(0)];
    Path { local: locals[usize::from(nth / 128)], remote }
}

impl World {
    pub(crate) fn new() -> Self {
        // Earlier counts of this thread do not matter.
        meter::take();
        let common = common();
        let config = Config {
            candidates: vec![Candidate::udp(SocketAddr::from((ENGINE_IP, 7000)))],
            plain_ips: vec![ENGINE_IP.into()],
            shares_port_as: None,
            certificate: common.engine.clone(),
            dtls: common.settings.clone(),
            grace_period: Duration::from_secs(20),
            consent_timeout: Some(sfu::limits::ICE_CONSENT_TIMEOUT),
        };
        Self {
            shard: Shard::new(config, Rng::from_number(1)),
            sink: Sink { room: usize::MAX, ..Sink::default() },
            now: Instant::from_nanos(1_000_000_000),
            next_request: 1,
            picture: Picture::default(),
            plain: Plain::default(),
            sent: SentIndices::default(),
            asked: None,
            peers: HashMap::new(),
            owners: HashMap::new(),
            flight: Vec::new(),
            fed: 0,
            objects: 0,
            tally: Tally::default(),
        }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Advances time, and calls the shard at its timeouts. A driver never lets a batch wait that long.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.end_batch();
        let end = self.now + by;
        let mut calls = 0;
        while let Some(due) = self.shard.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.shard.on_timeout(self.now, &mut self.sink);
            let next = self.shard.next_timeout();
            assert!(next.is_none_or(|next| next > self.now), "the shard asks for {next:?} at {:?}", self.now);
            self.look();
            calls += 1;
            assert!(calls < 10_000, "the shard wakes all the time");
        }
        self.now = self.now.max(end);
    }

    /// How many datagrams the next call may send.
    pub(crate) fn limit_room(&mut self, room: usize) {
        self.sink.room = room;
    }

    /// A datagram arrives.
    pub(crate) fn receive(&mut self, path: Path, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes };
        self.shard.on_datagram(self.now, datagram, &mut self.sink);
        self.fed += 1;
        assert_eq!(self.shard.counters().value(control::Counter::DatagramsIn), self.fed);
        self.look();
    }

    /// A connection closes. Its peer must authenticate again.
    pub(crate) fn close_path(&mut self, path: Path) {
        self.shard.on_path_closed(self.now, path, &mut self.sink);
        self.owners.remove(&path);
        self.peers.values_mut().for_each(|peer| _ = peer.proven.remove(&path));
        self.look();
    }

    /// Another worker sends a message.
    pub(crate) fn take_over(&mut self, from: WorkerId, bytes: &[u8]) {
        self.shard.on_hand_off(self.now, from, bytes, &mut self.sink);
        self.after_hand_off();
    }

    /// The same with a buffer.
    pub(crate) fn take_over_buffer(&mut self, from: WorkerId, bytes: &[u8], buffer: Box<[u8]>) {
        self.shard.on_hand_off_buffer(self.now, from, bytes, buffer, &mut self.sink);
        self.after_hand_off();
    }

    fn after_hand_off(&mut self) {
        self.tally.piped = self.shard.counters().value(control::Counter::PipedIn);
        self.look();
    }

    /// The receive batch is over.
    pub(crate) fn end_batch(&mut self) {
        self.shard.on_batch_end(self.now, &mut self.sink);
        self.look();
    }

    /// The controller sends a command; exactly one answer follows.
    pub(crate) fn command(&mut self, command: Command) {
        // A controller that attaches starts with a snapshot.
        if self.picture.is_outdated() {
            self.ask(Command::Snapshot);
        }
        self.ask(command);
    }

    fn ask(&mut self, command: Command) {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.picture.asked(id, &command);
        self.asked = Some(command.clone());
        self.shard.on_command(self.now, Input::Request(Request { id, command }), &mut self.sink);
        self.look();
        self.picture.must_be_answered();
    }

    /// The controller is gone.
    pub(crate) fn lose_controller(&mut self) {
        self.shard.on_command(self.now, Input::ControllerLost, &mut self.sink);
        self.picture.outdate();
        self.look();
    }

    /// A check of a peer, with right or wrong credentials.
    pub(crate) fn check(&mut self, transport: TransportId, from: Path, is_authentic: bool, nominates: bool) {
        let Some(peer) = self.peers.get_mut(&transport) else { return };
        let mut bytes = [0xa5; 256];
        let id = TransactionId([self.fed as u8; 12]);
        let mut writer = Writer::new(&mut bytes, Class::Request, Method::BINDING, id).expect("a header fits");
        writer.username(format!("{}:peer", peer.ufrag).as_bytes()).ice_controlling(1).priority(1);
        if nominates {
            writer.use_candidate();
        }
        let wrong = Key::short_term("not the password of anybody");
        writer.integrity(if is_authentic { &peer.key } else { &wrong }).fingerprint();
        let len = writer.finish().expect("it fits");
        if is_authentic {
            peer.proven.insert(from);
            self.owners.insert(from, transport);
        }
        self.receive(from, &bytes[..len]);
    }

    /// A peer performs a handshake, as far as possible. At another peer's address it counts as that peer.
    pub(crate) fn shake_hands(&mut self, transport: TransportId, from: Path) {
        if !self.peers.contains_key(&transport) {
            return;
        }
        let common = common();
        self.command(Command::ConnectTransport { transport, fingerprint: common.peer.fingerprint().0 });
        let mut client =
            Endpoint::client(&common.settings, &common.peer, common.engine.fingerprint(), self.now);
        let mut buffer = Vec::new();
        for _ in 0..8 {
            let mut flight = Vec::new();
            let mut connected = None;
            loop {
                match client.poll(&mut buffer) {
                    Output::Datagram(bytes) => flight.push(bytes.to_vec()),
                    Output::Connected(keys) => connected = Some(keys),
                    Output::ApplicationData(_) | Output::Closed => {}
                    Output::Timeout(_) | Output::Idle => break,
                }
            }
            let owner = self.owners.get(&from).and_then(|owner| self.peers.get_mut(owner));
            if let (Some(connected), Some(peer)) = (connected, owner) {
                let inbound = Inbound::new(connected.profile, &connected.inbound);
                peer.keys = Some(Keys::new(inbound, Outbound::new(connected.profile, &connected.outbound)));
            }
            if flight.is_empty() {
                break;
            }
            self.flight.clear();
            for datagram in flight {
                self.receive(from, &datagram);
            }
            for datagram in std::mem::take(&mut self.flight) {
                if client.on_datagram(self.now, &datagram).is_err() {
                    return;
                }
            }
        }
        if let Some(peer) = self.owners.get(&from).and_then(|owner| self.peers.get_mut(owner)) {
            peer.client = Some(client);
        }
    }

    /// A peer sends data over DTLS after the handshake, or closes.
    pub(crate) fn send_dtls(&mut self, transport: TransportId, from: Path, data: Option<&[u8]>) {
        let Some(client) = self.peers.get_mut(&transport).and_then(|peer| peer.client.as_mut()) else {
            return;
        };
        // Refusals of the peer's own library do not matter.
        let _ = match data {
            Some(data) => client.send(self.now, data).is_ok(),
            None => client.close(self.now).is_ok(),
        };
        let mut buffer = Vec::new();
        let mut out = Vec::new();
        while let Output::Datagram(bytes) = client.poll(&mut buffer) {
            out.push(bytes.to_vec());
        }
        for datagram in out {
            self.receive(from, &datagram);
        }
    }

    /// A peer protects anything: header and payload need not be RTP.
    pub(crate) fn send_rtp(&mut self, transport: TransportId, from: Path, header: &[u8], payload: &[u8]) {
        if self.is_plain(transport) {
            let bytes = match self.plain.keys(transport) {
                Some(keys) => keys.protect_rtp(header, payload),
                None => [header, payload].concat(),
            };
            return self.send_plain(transport, from, false, &bytes);
        }
        let Some(keys) = self.peers.get_mut(&transport).and_then(|peer| peer.keys.as_mut()) else { return };
        let protected = keys.protect_rtp(header, payload);
        self.receive(from, &protected);
    }

    /// A peer protects anything: it need not be RTCP.
    pub(crate) fn send_rtcp(&mut self, transport: TransportId, from: Path, plain: &[u8]) {
        if self.is_plain(transport) {
            let bytes = match self.plain.keys(transport) {
                Some(keys) => keys.protect_rtcp(plain),
                None => Some(plain.to_vec()),
            };
            return self.send_plain(transport, from, true, &bytes.unwrap_or_default());
        }
        let Some(keys) = self.peers.get_mut(&transport).and_then(|peer| peer.keys.as_mut()) else { return };
        let Some(protected) = keys.protect_rtcp(plain) else { return };
        self.receive(from, &protected);
    }

    /// A peer's latest decrypted packets, newest last.
    pub(crate) fn newest(&self, transport: TransportId) -> &[(rtp::Ssrc, rtp::Seq)] {
        let keys = self.peers.get(&transport).and_then(|peer| peer.keys.as_ref());
        let keys = keys.or_else(|| self.plain.keys_of(transport));
        keys.map_or(&[], |keys| &keys.newest)
    }

    /// The shard's tables are consistent.
    pub(crate) fn check_consistency(&self) {
        assert_eq!(self.shard.check_consistency(), Ok(()));
    }

    /// The shard's objects are those reported to the controller.
    pub(crate) fn compare_snapshot(&mut self) {
        self.command(Command::Snapshot);
    }

    /// The last call is within its cost: more only for existing objects, not for chosen input.
    fn check_work(&mut self) {
        let kinds = [Counter::Routers, Counter::Transports, Counter::Producers, Counter::Consumers];
        let objects: u64 = kinds.into_iter().map(|kind| self.shard.counters().value(kind)).sum();
        let most = objects.max(std::mem::replace(&mut self.objects, objects));
        let steps = meter::take();
        let bound = limits::WORK_PER_CALL + limits::WORK_PER_OBJECT * most;
        assert!(steps <= bound, "a call took {steps} steps, with {most} objects");
    }

    /// Checks everything that the last call has sent and reported.
    fn look(&mut self) {
        self.check_work();
        let sent = std::mem::take(&mut self.sink.sent);
        (self.sink.room, self.sink.refused) = (usize::MAX, 0);
        for (flow, path, bytes) in sent {
            if let Err(fault) = self.sent.on_sent(&self.shard, flow, &bytes) {
                panic!("{fault}");
            }
            self.look_at(path, bytes);
        }
        self.carry_out_orders();
        while let Some(event) = self.shard.poll_event() {
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: Event) {
        match &event {
            Event::TransportCreated { transport, ice, .. } => {
                let peer = self.peers.entry(*transport).or_insert_with(|| Peer {
                    ufrag: String::new(),
                    key: Key::short_term(""),
                    proven: HashSet::new(),
                    client: None,
                    keys: None,
                });
                peer.ufrag = ice.ufrag.as_str().to_owned();
                peer.key = Key::short_term(ice.pwd.as_str());
            }
            Event::IceRestarted { transport, ice, .. } => {
                let peer = self.peers.get_mut(transport).expect("only existing transports are restarted");
                peer.ufrag = ice.ufrag.as_str().to_owned();
                peer.key = Key::short_term(ice.pwd.as_str());
            }
            Event::TransportClosed { transport, .. } => {
                self.peers.remove(transport);
            }
            _ => {}
        }
        if let Event::Stats { item, .. } = &event
            && let Err(fault) = self.sent.on_stats(&self.shard, item)
        {
            panic!("{fault}");
        }
        let asked = self.asked.take();
        self.picture.on_event(event.clone());
        self.on_plain_event(&event, asked.as_ref());
        self.asked = asked;
    }

    fn look_at(&mut self, path: Path, mut bytes: Vec<u8>) {
        if path.local.on_demand_index().is_some() {
            return self.look_at_plain(path, &mut bytes);
        }
        let mut at_path = self.peers.iter_mut().filter(|(_, peer)| peer.proven.contains(&path)).peekable();
        assert!(at_path.peek().is_some(), "{path:?} has proved nothing and is sent {bytes:02x?}");
        match stun::demux(&bytes) {
            Demux::Stun => {
                let answer = stun::Message::new(&bytes).expect("an answer is a message");
                assert!(matches!(answer.class(), Class::Success | Class::Error), "a request was sent");
            }
            Demux::Dtls => self.flight.push(bytes),
            Demux::Rtp => {
                let cipher = bytes.clone();
                let mut refused = Vec::new();
                for (transport, peer) in at_path {
                    let Some(keys) = &mut peer.keys else { continue };
                    match keys.inbound.unprotect_rtp(&mut bytes) {
                        Ok(plain) => {
                            let packet = rtp::Packet::new(plain).expect("the sent packet is RTP");
                            let (ssrc, pt) = (packet.ssrc(), packet.pt());
                            let is_repair = self.picture.check_sent(*transport, ssrc, pt);
                            self.tally.repaired += u64::from(is_repair);
                            self.tally.rtp_opened += 1;
                            keys.note_opened(ssrc, packet.seq());
                            keys.opened.insert(cipher);
                            return;
                        }
                        // Retransmitted without RTX, at the peer's request: the identical bytes, otherwise an
                        // index would be used twice.
                        Err(Discard::Replayed | Discard::TooOld) if keys.opened.contains(&cipher) => return,
                        Err(discard) => refused.push(discard),
                    }
                    bytes.copy_from_slice(&cipher);
                }
                panic!("no peer at {path:?} can decrypt {cipher:02x?}: {refused:?}");
            }
            Demux::Rtcp => {
                let cipher = bytes.clone();
                let mut refused = Vec::new();
                for (_, peer) in at_path {
                    let Some(keys) = &mut peer.keys else { continue };
                    match keys.inbound.unprotect_rtcp(&mut bytes) {
                        Ok(plain) => {
                            rtcp::Compound::new(plain).expect("the sent packet is RTCP");
                            self.tally.rtcp_opened += 1;
                            return;
                        }
                        Err(discard) => refused.push(discard),
                    }
                    bytes.copy_from_slice(&cipher);
                }
                panic!("no peer at {path:?} can decrypt {cipher:02x?}: {refused:?}");
            }
            other => panic!("the shard sends {other:?}"),
        }
    }
}
