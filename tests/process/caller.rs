//! A peer on a real socket, in real time. It only acts in the turns that a test gives it.

use crate::PATIENCE;
use crate::relayed::Relayed;
use control::{Candidate, Protocol};
use dtls::{Certificate, Fingerprint, Options, Settings};
use leat_tests::{Client, Received};
use machine::{Instant, Rng};
use oracle_rtp::header::Header;
use oracle_rtp::packet::Packet;
use oracle_util::marshal::{Marshal, Unmarshal};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A browser, from the engine's point of view.
#[derive(Debug)]
pub struct Caller {
    engine: Candidate,
    way: Way,
    client: Client,
    media: VecDeque<Packet>,
    /// RTCP compound packets received, decrypted.
    pub control: VecDeque<Vec<u8>>,
}

impl Caller {
    /// A peer with the parameters of a transport; it starts checks in its first turn.
    pub fn new(engine: Candidate, ice: &control::IceParameters, fingerprint: Fingerprint) -> Self {
        let client = Client::new(now(), ice, fingerprint, certificate().clone(), settings(), rng());
        Self { engine, way: Way::to(engine), client, media: VecDeque::new(), control: VecDeque::new() }
    }

    /// Its ICE and DTLS.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Its ICE.
    pub fn agent(&self) -> &leat_tests::peer::Agent {
        self.client.agent()
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        self.way.local_addr()
    }

    /// Takes turns until both ends have keys, so that no media is early: media of others may arrive at the
    /// engine on another socket.
    pub fn connect(&mut self) {
        self.run_until("connected", |caller| caller.client.is_acknowledged());
    }

    /// Whether there are keys.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Takes turns until `is_done`. Panics when that takes too long.
    pub fn run_until(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !is_done(self) {
            assert!(std::time::Instant::now() < deadline, "not {what} within {PATIENCE:?}");
            self.turn();
        }
    }

    /// The same, within this number of turns.
    pub fn run_until_within(&mut self, turns: u32, what: &str, is_done: impl Fn(&Self) -> bool) {
        for _ in 0..turns {
            if is_done(self) {
                return;
            }
            self.turn();
        }
        assert!(is_done(self), "not {what} within {turns} turns");
    }

    /// From now on its datagrams go through the TURN server.
    pub fn go_by_relay(&mut self) {
        self.way = Way::Relayed(Relayed::to(self.engine.address, READ_TIMEOUT));
    }

    /// Takes turns for a while.
    pub fn run_for(&mut self, time: Duration) {
        let end = now() + time;
        while now() < end {
            self.turn();
        }
    }

    /// Sends what is due, receives for a few milliseconds, and sends the answers: with DTLS 1.3 the client
    /// has keys before it has sent its last flight.
    pub fn turn(&mut self) {
        self.send_due();
        for datagram in self.way.receive() {
            self.take(&datagram);
        }
        self.send_due();
    }

    /// Takes a turn of a handshake that the engine may refuse; returns the failure of the client's DTLS, if
    /// any.
    pub fn turn_until_refused(&mut self) -> Option<String> {
        self.send_due();
        let received = self.way.receive();
        let failed = received.iter().find_map(|datagram| self.client.on_datagram(now(), datagram).err());
        if failed.is_none() {
            self.send_due();
        }
        failed
    }

    fn send_due(&mut self) {
        for datagram in self.client.poll(now()).expect("DTLS goes well") {
            self.send(&datagram);
        }
    }

    /// Reconnects with a new socket or connection; the old one is closed.
    pub fn come_again(&mut self) {
        self.way = Way::to(self.engine);
    }

    fn take(&mut self, bytes: &[u8]) {
        match self.client.on_datagram(now(), bytes).expect("what the engine sends is sound") {
            Received::Handshake => {}
            Received::Rtp(plain) => self.media.push_back(Packet::unmarshal(&mut &plain[..]).unwrap()),
            Received::Rtcp(plain) => self.control.push_back(plain),
        }
    }

    /// Sends a datagram as it is.
    pub fn send(&mut self, datagram: &[u8]) {
        self.way.send(datagram);
    }

    /// Encrypts an RTP packet; it is not sent.
    pub fn protect(&mut self, packet: &Packet) -> Vec<u8> {
        self.client.protect_rtp(&packet.marshal().unwrap())
    }

    /// Encrypts an RTP packet and sends it.
    pub fn publish(&mut self, packet: &Packet) {
        let bytes = self.protect(packet);
        self.send(&bytes);
    }

    /// Takes turns until this number of media packets has arrived, and returns them.
    pub fn receive(&mut self, count: usize) -> Vec<Packet> {
        let what = format!("reached by {count} packets");
        self.run_until(&what, |caller| caller.media.len() >= count);
        self.media.drain(..count).collect()
    }

    /// Receives for a while; returns all media.
    pub fn receive_for(&mut self, time: Duration) -> Vec<Packet> {
        self.run_for(time);
        self.media.drain(..).collect()
    }
}

/// The transport of a caller's datagrams.
#[derive(Debug)]
enum Way {
    Udp(UdpSocket),
    /// As frames (RFC 4571), with the incomplete rest.
    Tcp(TcpStream, Vec<u8>),
    /// Through a TURN server.
    Relayed(Relayed),
}

impl Way {
    fn to(engine: Candidate) -> Self {
        match engine.protocol {
            Protocol::Udp => Self::Udp(socket_to(engine.address)),
            Protocol::Tcp => {
                let stream = TcpStream::connect(engine.address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
                Self::Tcp(stream, Vec::new())
            }
        }
    }

    fn local_addr(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(stream, _) => stream.local_addr(),
            Self::Relayed(relayed) => Ok(relayed.relayed),
        }
        .unwrap()
    }

    fn send(&mut self, datagram: &[u8]) {
        match self {
            Self::Udp(socket) => _ = socket.send(datagram).unwrap(),
            Self::Tcp(stream, _) => {
                stream.write_all(&[&(datagram.len() as u16).to_be_bytes(), datagram].concat()).unwrap();
            }
            Self::Relayed(relayed) => _ = relayed.send(datagram).unwrap(),
        }
    }

    /// Everything that has arrived, or arrives within a few milliseconds.
    fn receive(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = [0; 4096];
        let received = match self {
            Self::Udp(socket) => socket.recv(&mut buffer),
            Self::Tcp(stream, _) => stream.read(&mut buffer),
            Self::Relayed(relayed) => relayed.receive(&mut buffer),
        };
        let len = match received {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Vec::new();
            }
            // The kernel ends a wait with a timeout also when a frozen process continues.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Vec::new(),
            // A closed port at the other end, reported by ICMP.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Vec::new(),
            Err(error) => panic!("{error}"),
        };
        let Self::Tcp(_, begun) = self else { return vec![buffer[..len].to_vec()] };
        assert!(len > 0, "the engine closed the connection");
        begun.extend_from_slice(&buffer[..len]);
        let mut frames = Vec::new();
        while let Some(len) = begun.first_chunk().map(|len| usize::from(u16::from_be_bytes(*len)))
            && begun.len() >= 2 + len
        {
            frames.push(begun[2..2 + len].to_vec());
            begun.drain(..2 + len);
        }
        frames
    }
}

/// How long a turn waits for a packet.
const READ_TIMEOUT: Duration = Duration::from_millis(5);

/// The certificate of all callers.
pub fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(Certificate::generate)
}

/// The DTLS settings of all callers.
pub fn settings() -> Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| Settings::new(Options::default())).clone()
}

/// A socket of the engine's family, connected to it.
pub fn socket_to(engine: SocketAddr) -> UdpSocket {
    let own: IpAddr = match engine.ip() {
        ip if ip.is_loopback() => ip,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((own, 0)).unwrap();
    socket.connect(engine).unwrap();
    socket.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    socket
}

/// The present time of the machines.
pub fn now() -> Instant {
    Instant::EPOCH + epoch().elapsed()
}

fn epoch() -> std::time::Instant {
    static EPOCH: OnceLock<std::time::Instant> = OnceLock::new();
    *EPOCH.get_or_init(std::time::Instant::now)
}

/// A separate generator for each caller. Its output must differ, and need not be secret.
pub fn rng() -> Rng {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Rng::from_number(u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An audio packet whose payload follows from its number.
pub fn audio_packet(seq: u16) -> Packet {
    let header = Header {
        version: 2,
        payload_type: crate::call::SENT_PT,
        sequence_number: seq,
        timestamp: u32::from(seq) * 960,
        ssrc: crate::call::SENT_SSRC,
        ..Header::default()
    };
    Packet { header, payload: payload(seq).into() }
}

/// What packet `seq` carries.
pub fn payload(seq: u16) -> Vec<u8> {
    let mut payload = vec![0x08; 60];
    payload[1..3].copy_from_slice(&seq.to_be_bytes());
    payload
}
