//! A peer's UDP socket. Each peer has a separate one: servers distinguish peers by address, and only this is
//! fair to all of them.

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

/// The requested size of a receive buffer in the kernel: a keyframe for a peer that waits for its turn.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Room for the segment's size and a timestamp.
pub const CONTROL_LEN: usize = 128;

/// The maximum length of a run of datagrams.
pub const BUFFER_LEN: usize = 1 << 16;

/// A socket that is connected to a server.
#[derive(Debug)]
pub struct Socket(mio::net::UdpSocket);

/// Datagrams that were received in one piece.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Length of all in bytes.
    pub len: usize,
    /// Length of each but the last in bytes.
    pub segment: usize,
    /// The arrival time in the kernel, in nanoseconds of the wall clock.
    pub at: u64,
}

impl Socket {
    /// A socket on a separate port. `coalesce`: the kernel may return runs of datagrams in one piece (UDP
    /// GRO), which costs both ends of loopback less.
    pub fn connect(remote: SocketAddr, coalesce: bool) -> io::Result<Self> {
        let any = match remote {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(remote)?;
        socket.set_nonblocking(true)?;
        // Beyond the system's limit only root may set it.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        if coalesce {
            setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
        }
        Ok(Self(mio::net::UdpSocket::from_std(socket)))
    }

    /// An unconnected socket on loopback, with this receive buffer in bytes. Runs arrive in one piece.
    pub fn open(receive_buffer: usize) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &receive_buffer)?;
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
        Ok(Self(mio::net::UdpSocket::from_std(socket)))
    }

    /// Its address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Sends to an address. False if the buffer is full.
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) -> bool {
        self.0.send_to(datagram, to).is_ok()
    }

    /// Sends a datagram. False if the buffer is full.
    pub fn send(&self, datagram: &[u8]) -> bool {
        self.0.send(datagram).is_ok()
    }

    /// From now on, sent data is a run of datagrams of this length (UDP GSO): a burst costs the generator
    /// little.
    pub fn segment(&self, bytes: usize) -> nix::Result<()> {
        setsockopt(&self.0, sockopt::UdpGsoSegment, &(bytes as i32))
    }

    /// What has arrived; `None` when there is no more. `control` has [`CONTROL_LEN`] bytes.
    pub fn receive(&self, buffer: &mut [u8], control: &mut [u8]) -> Option<Received> {
        let mut slices = [IoSliceMut::new(buffer)];
        let message =
            recvmsg::<()>(self.0.as_raw_fd(), &mut slices, Some(control), MsgFlags::MSG_DONTWAIT).ok()?;
        let mut received = Received { len: message.bytes, segment: message.bytes.max(1), at: 0 };
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::UdpGroSegments(segment) if segment > 0 => {
                    received.segment = segment as usize;
                }
                ControlMessageOwned::ScmTimestampns(at) => {
                    received.at = at.tv_sec() as u64 * 1_000_000_000 + at.tv_nsec() as u64;
                }
                _ => {}
            }
        }
        if received.at == 0 {
            received.at = crate::peer::wall_clock();
        }
        Some(received)
    }

    /// The descriptor for the poll.
    pub fn source(&mut self) -> &mut impl mio::event::Source {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_have_their_time_and_order() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = Socket::connect(server.local_addr().unwrap(), true).unwrap();
        assert!(socket.send(b"who"));
        let (_, peer) = server.recv_from(&mut [0; 9]).unwrap();
        let before = crate::peer::wall_clock();
        for text in [b"one", b"two"] {
            server.send_to(text, peer).unwrap();
        }
        let (mut buffer, mut control) = (vec![0; BUFFER_LEN], vec![0; CONTROL_LEN]);
        let mut heard = Vec::new();
        while heard.len() < 6 {
            if let Some(received) = socket.receive(&mut buffer, &mut control) {
                heard.extend_from_slice(&buffer[..received.len]);
                assert!(received.segment == 3 && received.at >= before, "{received:?}");
            }
        }
        assert_eq!(heard, b"onetwo");
    }

    #[test]
    fn a_run_in_one_piece_has_its_segment_length() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = Socket::connect(server.local_addr().unwrap(), true).unwrap();
        socket.send(b"who");
        let (_, peer) = server.recv_from(&mut [0; 9]).unwrap();
        setsockopt(&server, sockopt::UdpGsoSegment, &100).unwrap();
        server.send_to(&[7; 250], peer).unwrap();
        let (mut buffer, mut control) = (vec![0; BUFFER_LEN], vec![0; CONTROL_LEN]);
        let received = std::iter::repeat_with(|| socket.receive(&mut buffer, &mut control)).flatten().next();
        assert!(
            received.is_some_and(|received| (received.len, received.segment) == (250, 100)),
            "{received:?}"
        );
    }
}
