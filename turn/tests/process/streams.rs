//! Peers over TCP (RFC 6062), over real sockets: bytes pass unchanged, and wait with flow control.

use crate::PATIENCE;
use crate::client::Client;
use crate::server::Server;
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use stun::{Class, Message, Method};

/// A client with an allocation that peers reach over TCP, and the relayed address.
fn allocated(server: &Server) -> (Client, SocketAddr) {
    let mut client = Client::over_tcp(server.port, "u", "p");
    let relayed = client.allocate_for(stun::TCP).unwrap();
    (client, relayed)
}

/// The client's end of a connection that it has made with this peer, and the peer's.
fn connected(server: &Server, client: &mut Client, peer: &TcpListener) -> (TcpStream, TcpStream) {
    let address = peer.local_addr().unwrap();
    let answer = client.ask(Method::CONNECT, |writer| _ = writer.xor_peer_address(address));
    let id = Message::new(&answer).unwrap().connection_id().flatten().expect("connected");
    let far = patient(peer.accept().unwrap().0);
    (Client::over_tcp(server.port, "u", "p").join(client, id), far)
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn listening() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// No two parts of it are equal.
fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn megabytes_pass_unchanged_and_the_peer_sees_the_relayed_address() {
    let server = Server::start(&[]);
    let (mut client, relayed) = allocated(&server);
    let (mut near, mut far) = connected(&server, &mut client, &listening());
    assert_eq!(far.peer_addr().unwrap(), relayed);
    let (there, back) = (bytes(5_000_000, 1), bytes(3_000_000, 2));
    let (to_send, to_answer) = (there.clone(), back.clone());
    let mut far_writer = far.try_clone().unwrap();
    let mut near_writer = near.try_clone().unwrap();
    let writers = [
        thread::spawn(move || {
            near_writer.write_all(&to_send).unwrap();
            near_writer.shutdown(Shutdown::Write).unwrap();
        }),
        thread::spawn(move || far_writer.write_all(&to_answer).unwrap()),
    ];
    // The client closes its sending direction: the peer sees the end while it still sends.
    let reader = thread::spawn(move || {
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).unwrap();
        (heard, far)
    });
    let mut answered = vec![0; back.len()];
    near.read_exact(&mut answered).unwrap();
    let (heard, mut far) = reader.join().unwrap();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(heard == there && answered == back, "every byte, in its place");
    far.write_all(b"and that was all").unwrap();
    drop(far);
    let mut rest = String::new();
    near.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "and that was all");
    server.await_metric("peer_connections", 0);
    server.await_metric("to_peers_bytes_total", 5_000_000);
    server.await_metric("to_clients_bytes_total", 3_000_016);
}

/// A peer that reads nothing makes its client wait, without growing the server's memory.
#[test]
fn unread_data_waits_at_its_sender() {
    let server = Server::start(&[]);
    let (mut client, _) = allocated(&server);
    let (mut near, mut far) = connected(&server, &mut client, &listening());
    let all = bytes(32 << 20, 3);
    near.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    // Until nothing has been accepted for half a second.
    let end = loop {
        match near.write(&all[sent..]) {
            Ok(len) => sent += len,
            Err(error) => break error.kind(),
        }
    };
    assert!(matches!(end, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{end:?} after {sent} bytes");
    assert!(sent < all.len(), "the kernels' buffers hold less, and the server a read's worth");
    // Other clients are served in the meantime.
    let (mut other, mut other_far) = connected(&server, &mut client, &listening());
    other.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    other_far.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");

    near.set_write_timeout(Some(PATIENCE)).unwrap();
    let rest = all.clone();
    let writer = thread::spawn(move || {
        near.write_all(&rest[sent..]).unwrap();
        near
    });
    let mut got = vec![0; all.len()];
    far.read_exact(&mut got).unwrap();
    let _near = writer.join().unwrap();
    assert!(got == all, "nothing is lost by waiting");
}

#[test]
fn early_data_of_a_connecting_peer_is_kept() {
    let server = Server::start(&[]);
    let (mut client, relayed) = allocated(&server);
    let mut stranger = patient(TcpStream::connect(relayed).unwrap());
    assert_eq!(stranger.read(&mut [0; 1]).unwrap(), 0, "without a permission it is closed");

    let permitted = client.ask(Method::CREATE_PERMISSION, |writer| {
        writer.xor_peer_address((Ipv4Addr::LOCALHOST, 9).into());
    });
    assert_eq!(Message::new(&permitted).unwrap().error_code(), None);
    let mut peer = patient(TcpStream::connect(relayed).unwrap());
    peer.write_all(b"first words").unwrap();
    let attempt = client.expect_received();
    let attempt = Message::new(&attempt).unwrap();
    assert_eq!((attempt.class(), attempt.method()), (Class::Indication, Method::CONNECTION_ATTEMPT));
    assert_eq!(attempt.xor_peer_address().flatten(), Some(peer.local_addr().unwrap()));
    let id = attempt.connection_id().flatten().unwrap();
    let mut near = Client::over_tcp(server.port, "u", "p").join(&client, id);
    let mut heard = [0; 11];
    near.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"first words");
    near.write_all(b"answer").unwrap();
    let mut heard = [0; 6];
    peer.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"answer");

    // The allocation ends, and everything with it.
    assert_eq!(client.refresh(0), 0);
    assert_eq!(near.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0);
    assert!(TcpStream::connect(relayed).is_err(), "the port is closed");
}

#[test]
fn a_closed_port_of_a_peer_is_a_failure_at_once() {
    let server = Server::start(&[]);
    let (mut client, _) = allocated(&server);
    let closed = listening().local_addr().unwrap();
    let answer = client.ask(Method::CONNECT, |writer| _ = writer.xor_peer_address(closed));
    assert_eq!(Message::new(&answer).unwrap().error_code().map(|(code, _)| code), Some(447));
    server.await_metric("connection_failed_total", 1);
    server.await_metric("peer_connections", 0);
}

/// A bit rate is kept by reading at that rate, without loss.
#[test]
fn a_stream_is_limited_to_the_rate_of_its_allocation() {
    let server = Server::start(&["--bits-per-second-per-allocation", "1600000"]);
    let (mut client, _) = allocated(&server);
    let (mut near, mut far) = connected(&server, &mut client, &listening());
    // The burst of one second passes at once, and the next second's data a second later.
    let all = bytes(400_000, 4);
    let to_send = all.clone();
    let writer = thread::spawn(move || {
        near.write_all(&to_send).unwrap();
        near
    });
    let mut got = vec![0; all.len()];
    far.read_exact(&mut got).unwrap();
    assert!(got == all);
    let _near = writer.join().unwrap();
    server.await_metric("to_peers_bytes_total", 400_000);
}

#[test]
fn a_connection_with_data_before_the_answer_is_closed() {
    let mut server = Server::start(&[]);
    let (mut client, _) = allocated(&server);
    let peer = listening();
    let address = peer.local_addr().unwrap();
    let answer = client.ask(Method::CONNECT, |writer| _ = writer.xor_peer_address(address));
    let id = Message::new(&answer).unwrap().connection_id().flatten().unwrap();
    let mut far = patient(peer.accept().unwrap().0);
    let hasty = Client::over_tcp(server.port, "u", "p");
    hasty.join_at_once(&client, id, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(far.read(&mut [0; 1]).unwrap(), 0, "bytes before the answer may be a truncated frame");
    server.await_metric("peer_connections", 0);
    server.signal(Signal::TERM);
    assert!(server.wait().success());
}
