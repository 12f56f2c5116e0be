//! A path to the engine through a TURN server, as used by a browser without another path: an allocation over
//! UDP, and a channel for the engine's address.

use crate::PATIENCE;
use crate::engine::binary;
use crate::network::{Namespace, SERVER};
use leat_tests::{Known, turn_request};
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use stun::attribute::{NONCE, REALM};
use stun::{ChannelData, Message, Method, TransactionId, Writer};

/// The server's address; a second worker has the next port.
pub const TURN_PORT: u16 = 3478;

/// The password of the server's user `u`.
pub const PASSWORD: &str = "a-password-of-this-test";

/// A TURN server's process, with one user.
#[derive(Debug)]
pub struct TurnServer {
    process: Child,
    log: PathBuf,
}

impl TurnServer {
    /// Beside the engine, the only peer that it relays to.
    pub fn start(at: &Namespace, engine: SocketAddr) -> Self {
        let (listen_ip, engine) = (SERVER.to_string(), engine.to_string());
        Self::start_with(at, &["--listen-ip", &listen_ip, "--workers", "2", "--allow-peer", &engine])
    }

    /// With these options.
    pub fn start_with(at: &Namespace, options: &[&str]) -> Self {
        let log = crate::engine::socket_path().with_extension("turn");
        let process = at
            .command(binary("leat-turn"))
            .args(["--port", &TURN_PORT.to_string(), "--user", &format!("u:{PASSWORD}")])
            .args(options)
            .env("LEAT_LOG", "debug")
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self { process, log };
        let deadline = Instant::now() + PATIENCE;
        while !server.said().contains("TURN server is up") {
            assert_eq!(server.process.try_wait().unwrap(), None, "the server ended: {}", server.said());
            assert!(Instant::now() < deadline, "the server is not up: {}", server.said());
            sleep(Duration::from_millis(5));
        }
        server
    }

    /// Its log so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the TURN server's log:\n{}", self.said());
        }
        let _ = std::fs::remove_file(&self.log);
    }
}

/// An allocation, and a channel to the engine.
#[derive(Debug)]
pub struct Relayed {
    socket: UdpSocket,
    /// The engine's view of the datagrams' source.
    pub relayed: SocketAddr,
}

const CHANNEL: u16 = 0x4000;

impl Relayed {
    /// Makes both.
    pub fn to(engine: SocketAddr, read_timeout: Duration) -> Self {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect((SERVER, TURN_PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let transport = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::UDP);
        let challenge = ask(&socket, Method::ALLOCATE, None, transport);
        let challenge = Message::new(&challenge).unwrap();
        let nonce = challenge.attribute(NONCE).expect("a challenge");
        let realm = challenge.attribute(REALM).unwrap();
        let known = Some(Known { user: "u", password: PASSWORD, realm, nonce });
        let allocated = ask(&socket, Method::ALLOCATE, known, transport);
        let relayed = Message::new(&allocated).unwrap().xor_relayed_addresses().next().flatten();
        let bound = ask(&socket, Method::CHANNEL_BIND, known, |writer| {
            writer.channel_number(CHANNEL).xor_peer_address(engine);
        });
        assert_eq!(Message::new(&bound).unwrap().error_code(), None);
        socket.set_read_timeout(Some(read_timeout)).unwrap();
        Self { socket, relayed: relayed.expect("an allocation") }
    }

    pub fn send(&self, datagram: &[u8]) -> std::io::Result<usize> {
        let header = ChannelData::header(CHANNEL, datagram.len() as u16);
        self.socket.send(&[&header, datagram].concat())
    }

    /// The next datagram of the engine, on its channel: the server sends nothing else.
    pub fn receive(&self, into: &mut [u8]) -> std::io::Result<usize> {
        let len = self.socket.recv(into)?;
        let channel = ChannelData::new(&into[..len]).expect("ChannelData");
        assert_eq!(channel.number, CHANNEL);
        let (start, len) = (stun::CHANNEL_HEADER_LEN, channel.data.len());
        into.copy_within(start..start + len, 0);
        Ok(len)
    }
}

/// The source address of a socket's datagrams, as seen by the server at this port.
pub fn mapped(socket: &UdpSocket, port: u16) -> SocketAddr {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((SERVER, port)).unwrap();
    let answer = ask(socket, Method::BINDING, None, |_| {});
    Message::new(&answer).unwrap().xor_mapped_address().expect("an address")
}

/// Sends a request over UDP, and waits for the answer.
pub fn ask(
    socket: &UdpSocket,
    method: Method,
    known: Option<Known<'_>>,
    fill: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut id = TransactionId([0; 12]);
    crate::caller::rng().fill(&mut id.0);
    socket.send(&turn_request(method, id, known, fill)).unwrap();
    let mut answer = vec![0; 1024];
    let len = socket.recv(&mut answer).expect("an answer");
    answer.truncate(len);
    assert_eq!(Message::new(&answer).unwrap().transaction_id(), id);
    answer
}
