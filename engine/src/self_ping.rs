//! Checks at the start whether a packet that is sent to an announced address comes back to the first worker's
//! ports. This finds a wrong public address before the first peer fails to connect.

use crate::config::Config;
use crate::limits;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Interval between two reads of the sockets.
const PAUSE: Duration = Duration::from_millis(10);

/// Checks the announced addresses and warns of those from which no packet came back. It never prevents the
/// start: not every NAT loops packets back.
pub fn warn_of_unreachable(config: &Config) {
    if config.to_check.is_empty() {
        return;
    }
    let own = &config.workers[0].listen;
    let lost = lost(own, &config.to_check).unwrap_or_else(|error| {
        tracing::warn!(%error, "the announced addresses could not be checked");
        Vec::new()
    });
    for ip in lost {
        tracing::warn!(
            announced = %ip,
            port = own[0].port(),
            "a packet sent to this announced address does not come back: the address is wrong, a firewall drops the packet, \
             or the NAT does not loop packets back (then peers outside may still reach it)"
        );
    }
}

/// The addresses from which no packet came back in time.
fn lost(own: &[SocketAddr], announced: &[IpAddr]) -> io::Result<Vec<IpAddr>> {
    let sockets = own.iter().map(|address| open(*address)).collect::<io::Result<Vec<UdpSocket>>>()?;
    let mut waiting: Vec<(IpAddr, [u8; 16])> = Vec::new();
    for ip in announced {
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
        let any = match ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        // Sends from a separate port, like a peer. If sending fails, the address counts as lost.
        let sender = UdpSocket::bind((any, 0))?;
        let _ = sender.send_to(&token, (*ip, own[0].port()));
        waiting.push((*ip, token));
    }
    let deadline = Instant::now() + limits::SELF_PING_WAIT;
    while !waiting.is_empty() && Instant::now() < deadline {
        for socket in &sockets {
            let mut datagram = [0; 64];
            while let Ok((len, _)) = socket.recv_from(&mut datagram) {
                waiting.retain(|(_, token)| datagram[..len] != token[..]);
            }
        }
        std::thread::sleep(PAUSE);
    }
    Ok(waiting.into_iter().map(|(ip, _)| ip).collect())
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_reachable_from_unreachable_addresses() {
        // All of 127/8 belongs to this host, but the socket is bound to one address.
        let port = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let [own, other] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        assert_eq!(lost(&[SocketAddr::new(own, port)], &[own, other]).expect("checked"), [other]);
        let both = [own, other].map(|ip| SocketAddr::new(ip, port));
        assert_eq!(lost(&both, &[other]).expect("checked"), [] as [IpAddr; 0]);
    }
}
