//! The TURN server and its own host, which is a network namespace with several addresses: no service of the
//! host is reachable through it.

use crate::PATIENCE;
use crate::network::{Namespace, SERVER};
use crate::relayed::{PASSWORD, TURN_PORT, TurnServer, ask};
use leat_tests::{Known, turn_request};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};
use stun::attribute::{NONCE, REALM};
use stun::{Message, Method, TransactionId, Writer};

/// Another address of the host, without an option of the server; and one that is added later.
const OTHER: Ipv4Addr = Ipv4Addr::new(11, 0, 1, 1);
const LATER: Ipv4Addr = Ipv4Addr::new(11, 0, 2, 1);

/// As in README and docs/turn.md: it listens on all addresses.
fn host() -> (Namespace, TurnServer) {
    let host = Namespace::new();
    for ip in [SERVER, OTHER] {
        host.run(&format!("ip addr add {ip}/32 dev lo"));
    }
    let turn = TurnServer::start_with(&host, &["--listen-ip", "0.0.0.0", "--relay-ip", &SERVER.to_string()]);
    (host, turn)
}

/// Sends a request on a path to the server, and waits for the answer.
type Ask<T> = fn(&T, Method, Option<Known<'_>>, &dyn Fn(&mut Writer<'_>)) -> Vec<u8>;

/// A client that has been challenged.
struct Client<T> {
    wire: T,
    realm: Vec<u8>,
    nonce: Vec<u8>,
}

impl<T> Client<T> {
    /// `protocol` is the transport protocol to peers.
    fn allocate(wire: T, protocol: u8, ask: Ask<T>) -> Self {
        let transport = |writer: &mut Writer<'_>| _ = writer.requested_transport(protocol);
        let challenge = ask(&wire, Method::ALLOCATE, None, &transport);
        let challenge = Message::new(&challenge).unwrap();
        let attribute = |kind| challenge.attribute(kind).expect("a challenge").to_vec();
        let client = Self { realm: attribute(REALM), nonce: attribute(NONCE), wire };
        let answer = ask(&client.wire, Method::ALLOCATE, Some(client.known()), &transport);
        assert_eq!(Message::new(&answer).unwrap().error_code(), None);
        client
    }

    fn known(&self) -> Known<'_> {
        Known { user: "u", password: PASSWORD, realm: &self.realm, nonce: &self.nonce }
    }
}

fn by_udp(
    socket: &UdpSocket,
    method: Method,
    known: Option<Known<'_>>,
    fill: &dyn Fn(&mut Writer<'_>),
) -> Vec<u8> {
    ask(socket, method, known, fill)
}

fn by_tcp(
    mut stream: &TcpStream,
    method: Method,
    known: Option<Known<'_>>,
    fill: &dyn Fn(&mut Writer<'_>),
) -> Vec<u8> {
    let mut id = TransactionId([0; 12]);
    crate::caller::rng().fill(&mut id.0);
    stream.write_all(&turn_request(method, id, known, fill)).unwrap();
    let mut answer = vec![0; 20];
    stream.read_exact(&mut answer).expect("an answer");
    answer.resize(20 + usize::from(u16::from_be_bytes([answer[2], answer[3]])), 0);
    stream.read_exact(&mut answer[20..]).expect("the rest of it");
    answer
}

fn code(answer: &[u8]) -> u16 {
    Message::new(answer).unwrap().error_code().map_or(0, |(code, _)| code)
}

#[test]
fn no_address_of_the_host_is_reached_over_tcp() {
    let (host, _turn) = host();
    host.live(|| {
        let stream = TcpStream::connect((SERVER, TURN_PORT)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let client = Client::allocate(stream, stun::TCP, by_tcp);
        for ip in [SERVER, OTHER, Ipv4Addr::LOCALHOST] {
            let service = TcpListener::bind((ip, 6379)).unwrap();
            let peer = service.local_addr().unwrap();
            let fill = |writer: &mut Writer<'_>| _ = writer.xor_peer_address(peer);
            assert_eq!(
                code(&by_tcp(&client.wire, Method::CONNECT, Some(client.known()), &fill)),
                403,
                "{peer}"
            );
            service.set_nonblocking(true).unwrap();
            assert_eq!(service.accept().expect_err("no connection").kind(), ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn no_present_or_later_address_of_the_host_is_reached_over_udp() {
    let (host, _turn) = host();
    let client = host.live(|| {
        let socket = UdpSocket::bind((SERVER, 0)).unwrap();
        socket.connect((SERVER, TURN_PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::allocate(socket, stun::UDP, by_udp)
    });
    let permit = |ip: Ipv4Addr| {
        let fill = |writer: &mut Writer<'_>| _ = writer.xor_peer_address(SocketAddr::from((ip, 53)));
        code(&by_udp(&client.wire, Method::CREATE_PERMISSION, Some(client.known()), &fill))
    };
    assert_eq!([SERVER, OTHER, Ipv4Addr::LOCALHOST].map(permit), [403; 3]);
    assert_eq!(permit(LATER), 0, "it belongs to another host");
    host.run(&format!("ip addr add {LATER}/32 dev lo"));
    await_code(|| permit(LATER), 403);
    host.run(&format!("ip addr del {LATER}/32 dev lo"));
    await_code(|| permit(LATER), 0);
}

fn await_code(code: impl Fn() -> u16, wanted: u16) {
    let deadline = Instant::now() + PATIENCE;
    while code() != wanted {
        assert!(Instant::now() < deadline, "it is never answered with {wanted}");
        sleep(Duration::from_millis(10));
    }
}
