//! Whether a packet that is sent to an announced address comes back: before the workers listen, their first one's ports are tried. A wrong
//! public address is found at the start, rather than by the first peer that cannot connect.

use crate::config::Config;
use crate::limits;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Between two looks at the sockets.
const PAUSE: Duration = Duration::from_millis(10);

/// Tries the addresses that are to be checked, and warns of those that lead elsewhere or nowhere. It never keeps the engine from starting: not every
/// NAT loops a packet back.
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
            "a packet sent to this announced address does not come back: it is not this host's, something drops it, or the NAT does not loop \
             packets back (then peers outside may reach it all the same)"
        );
    }
}

/// Those from which nothing came back in time.
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
        // From a port of its own, as a peer's packet would come. One that cannot even be sent does not come back either.
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
    fn what_comes_back_is_told_from_what_does_not() {
        // All of 127/8 is this host, but a socket has one address of it.
        let port = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let [own, other] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        assert_eq!(lost(&[SocketAddr::new(own, port)], &[own, other]).expect("checked"), [other]);
        let both = [own, other].map(|ip| SocketAddr::new(ip, port));
        assert_eq!(lost(&both, &[other]).expect("checked"), [] as [IpAddr; 0]);
    }
}
