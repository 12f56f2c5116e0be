//! DTLS in front of the relay: which clients get a place, and what unauthenticated ones get.

#![allow(clippy::unwrap_used)]

use crate::rig::{Outbox, at, settings};
use dtls::{Certificate, Endpoint, Options, Output, Peers, Settings};
use machine::{Datagram, Instant, LocalId, Machine, Path, Rng};
use relay::{DtlsRelay, DtlsSettings, Relay};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use stun::{Class, Message, Method, TransactionId, Writer};

const DTLS: LocalId = LocalId(1);

struct Server {
    secured: DtlsRelay,
    certificate: Certificate,
    now: Instant,
}

impl Server {
    fn new() -> Self {
        let mut rng = Rng::from_number(5);
        let certificate = Certificate::generate();
        let dtls = DtlsSettings { settings: for_anybody(), certificate: certificate.clone(), first: DTLS };
        let secured = DtlsRelay::new(Relay::new(settings(), rng.fork()), Some(dtls), &mut rng);
        Self { secured, certificate, now: Instant::from_nanos(5_000_000_000) }
    }

    fn receive(&mut self, remote: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        let path = Path { local: DTLS, remote };
        let (mut outbox, mut bytes) = (Outbox::default(), bytes.to_vec());
        let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes };
        self.secured.on_datagram(self.now, datagram, &mut outbox);
        assert!(outbox.0.iter().all(|(to, _)| *to == path), "only to where it came from");
        outbox.0.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// Advances the time; returns the datagrams sent in it.
    fn run_for(&mut self, time: Duration) -> Vec<(Path, Vec<u8>)> {
        let (end, mut outbox) = (self.now + time, Outbox::default());
        while let Some(due) = self.secured.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.secured.on_timeout(self.now, &mut outbox);
        }
        self.now = end;
        outbox.0
    }

    fn client(&self) -> Endpoint {
        Endpoint::client(&for_anybody(), &self.certificate, self.certificate.fingerprint(), self.now)
    }
}

fn for_anybody() -> Settings {
    Settings::new(Options { peers: Peers::Anybody, ..Options::default() })
}

/// The datagrams that the client sends.
fn drain(client: &mut Endpoint) -> Vec<Vec<u8>> {
    let (mut buffer, mut datagrams) = (Vec::new(), Vec::new());
    while let Output::Datagram(bytes) = client.poll(&mut buffer) {
        datagrams.push(bytes.to_vec());
    }
    datagrams
}

/// Exchanges datagrams; returns the client's received data.
fn converse(server: &mut Server, client: &mut Endpoint, remote: SocketAddr) -> Vec<Vec<u8>> {
    let (mut buffer, mut received) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        loop {
            match client.poll(&mut buffer) {
                Output::Datagram(bytes) => {
                    for answer in server.receive(remote, bytes) {
                        client.on_datagram(server.now, &answer).unwrap();
                    }
                }
                Output::ApplicationData(bytes) => received.push(bytes.to_vec()),
                _ => break,
            }
        }
    }
    received
}

/// A Binding request through DTLS, and the address in its answer.
fn mapped_address(server: &mut Server, client: &mut Endpoint, remote: SocketAddr) -> Option<SocketAddr> {
    let mut request = [0; 20];
    Writer::new(&mut request, Class::Request, Method::BINDING, TransactionId([7; 12])).unwrap();
    client.send(server.now, &request).unwrap();
    let answers = converse(server, client, remote);
    let [answer] = &answers[..] else { panic!("{} answers", answers.len()) };
    Message::new(answer).unwrap().xor_mapped_address()
}

fn forged(nth: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from(0x0808_0000 + nth), 4000))
}

#[test]
fn forged_hellos_get_no_place_and_one_shorter_answer() {
    let mut server = Server::new();
    let hello = drain(&mut server.client()).remove(0);
    for nth in 0..5_000 {
        let answers = server.receive(forged(nth), &hello);
        let [answer] = &answers[..] else { panic!("{} answers", answers.len()) };
        assert_eq!(answer[13], 3, "HelloVerifyRequest");
        assert!(answer.len() < hello.len());
    }
    assert_eq!(server.secured.next_timeout(), None, "nothing is kept");
    assert_eq!(server.run_for(Duration::from_secs(60)), []);

    // A client that proves its address with the cookie gets a place, and an answer from the relay.
    let (mut client, remote) = (server.client(), at("8.8.4.4:4000"));
    converse(&mut server, &mut client, remote);
    assert!(client.is_connected());
    assert_eq!(mapped_address(&mut server, &mut client, remote), Some(remote));
}

#[test]
fn a_flood_of_hellos_with_invalid_cookies_gets_no_place() {
    let mut server = Server::new();
    let mut client = server.client();
    let hello = drain(&mut client).remove(0);
    let answer = server.receive(forged(0), &hello).remove(0);
    client.on_datagram(server.now, &answer).unwrap();
    let second = drain(&mut client).remove(0);
    for nth in 1..1_000 {
        assert_eq!(server.receive(forged(nth), &second), Vec::<Vec<u8>>::new(), "another's cookie");
    }
    assert_eq!(server.secured.next_timeout(), None, "nothing is kept");
    assert!(!server.receive(forged(0), &second).is_empty(), "its own");
    assert!(server.secured.next_timeout().is_some());
}

#[test]
fn a_client_of_an_old_version_gets_an_alert() {
    let mut server = Server::new();
    let mut hello = drain(&mut server.client()).remove(0);
    hello[26] = 0xff;
    let answers = server.receive(at("8.8.4.4:4000"), &hello);
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0][0], &answers[0][13..]), (21, &[2, 70][..]), "protocol_version");
}

/// Places are for clients with a proven address; no single address gets all of them.
#[test]
fn a_host_with_unfinished_handshakes_does_not_block_others() {
    let mut server = Server::new();
    let begin = |server: &mut Server, remote: SocketAddr| {
        let mut client = server.client();
        let hello = drain(&mut client).remove(0);
        let cookie = server.receive(remote, &hello).remove(0);
        client.on_datagram(server.now, &cookie).unwrap();
        let second = drain(&mut client).remove(0);
        !server.receive(remote, &second).is_empty()
    };
    let begun =
        (0..400).filter(|port| begin(&mut server, SocketAddr::from(([8, 8, 4, 4], 4_000 + port)))).count();
    assert_eq!(begun, relay::limits::DTLS_HALF_OPEN_PER_ADDRESS_MAX);
    let (mut client, remote) = (server.client(), at("1.1.1.1:4000"));
    converse(&mut server, &mut client, remote);
    assert!(client.is_connected(), "another host");
    // The unfinished handshakes are removed, and the host gets places again.
    server.run_for(Duration::from_secs(60));
    assert!(begin(&mut server, at("8.8.4.4:9000")));
}

#[test]
fn a_host_with_idle_clients_does_not_block_others() {
    let mut server = Server::new();
    let connect = |server: &mut Server, remote: SocketAddr| {
        let mut client = server.client();
        converse(server, &mut client, remote);
        client.is_connected()
    };
    for port in 0..relay::limits::DTLS_CLIENTS_PER_ADDRESS_MAX as u16 {
        assert!(connect(&mut server, SocketAddr::from(([8, 8, 4, 4], 4_000 + port))), "{port}");
    }
    assert!(!connect(&mut server, at("8.8.4.4:9000")), "one more of that host");
    assert!(connect(&mut server, at("1.1.1.1:4000")), "another host");
    server.run_for(Duration::from_secs(60));
    assert!(connect(&mut server, at("8.8.4.4:9000")), "those that were silent are forgotten");
}
