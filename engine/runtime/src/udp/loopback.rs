//! Peers of unit tests: plain sockets on the loopback interface.

use machine::{LocalId, Path};
use std::net::UdpSocket;
use std::time::Duration;

/// A receiver and the path to it. The kernel splits every run that arrives there.
pub(crate) fn peer() -> (UdpSocket, Path) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let remote = socket.local_addr().expect("bound");
    (socket, Path { local: LocalId(0), remote })
}

/// The next datagram.
pub(crate) fn next(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let len = socket.recv(&mut buffer).expect("a datagram in time");
    buffer.truncate(len);
    buffer
}
