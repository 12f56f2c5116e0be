//! Whether clients can reach the announced addresses.

use super::finding::{Finding, Level};
use crate::config::cli::UpOptions;
use crate::supervisor::listen_ips;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

const CHECK: &str = "announced";

/// Time for a packet to come back.
const RETURN_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn check(options: &UpOptions, is_running: bool) -> Vec<Finding> {
    let listen = listen_ips(options);
    if options.announced_ip.is_empty() {
        return vec![without(&listen)];
    }
    options.announced_ip.iter().flat_map(|host| of_host(options, host, &listen, is_running)).collect()
}

fn without(listen: &[IpAddr]) -> Finding {
    let is_local = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    };
    if let Some(ip) = listen.iter().find(|ip| ip.is_unspecified()) {
        return Finding::bad(
            CHECK,
            Level::Error,
            format!("--listen-ip {ip} without --announced-ip: clients get no address for media"),
            "give --announced-ip with the public address of this machine",
        );
    }
    if listen.iter().all(is_local) {
        return Finding::bad(
            CHECK,
            Level::Warning,
            "media is received only on addresses of this machine or its network: clients elsewhere cannot send or receive",
            "for clients on the internet, give --listen-ip 0.0.0.0 and --announced-ip with the public address",
        );
    }
    Finding::ok(CHECK, "the addresses of --listen-ip are announced")
}

fn of_host(options: &UpOptions, host: &str, listen: &[IpAddr], is_running: bool) -> Vec<Finding> {
    let found: Vec<IpAddr> = match (host, 0).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => {
            return vec![Finding::bad(
                CHECK,
                Level::Error,
                format!("--announced-ip {host} cannot be resolved: {error}"),
                "correct the name, its entry in DNS, or the resolver of this machine",
            )];
        }
    };
    let of_family = |ip: &&IpAddr| listen.iter().any(|own| own.is_ipv4() == ip.is_ipv4());
    let used: Vec<&IpAddr> = found.iter().filter(of_family).collect();
    if used.is_empty() {
        return vec![Finding::bad(
            CHECK,
            Level::Error,
            format!("--announced-ip {host} has no address of a family of --listen-ip"),
            "add a --listen-ip of that family, for example 0.0.0.0 or ::",
        )];
    }
    used.into_iter().map(|ip| returns(options, *ip, listen, is_running)).collect()
}

/// Sends a packet to the port of the first worker.
fn returns(options: &UpOptions, ip: IpAddr, listen: &[IpAddr], is_running: bool) -> Finding {
    let own = listen.iter().find(|own| own.is_ipv4() == ip.is_ipv4()).copied().unwrap_or(ip);
    let target = SocketAddr::new(ip, options.rtc_port);
    let socket = match UdpSocket::bind((own, options.rtc_port)) {
        Ok(socket) => socket,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let who = if is_running { "Leat" } else { "another process" };
            return Finding::bad(
                CHECK,
                Level::Unknown,
                format!("{ip} is not checked: {who} uses UDP port {} of {own}", options.rtc_port),
                "start Leat with --check-announced, or run this while Leat is stopped",
            );
        }
        Err(error) => {
            return Finding::bad(
                CHECK,
                Level::Unknown,
                format!("{ip} is not checked: cannot receive on {own}: {error}"),
                "see the ports above",
            );
        }
    };
    match comes_back(&socket, target) {
        Ok(true) => Finding::ok(CHECK, format!("a packet to {target} comes back")),
        Ok(false) => Finding::bad(
            CHECK,
            Level::Warning,
            format!("a packet to {target} does not come back"),
            format!(
                "check that {ip} is the public address of this machine, and that the firewall lets UDP to port {} in; \
                 some NATs do not loop packets back, then check from another network",
                target.port()
            ),
        ),
        Err(error) => Finding::bad(
            CHECK,
            Level::Warning,
            format!("cannot send a packet to {target}: {error}"),
            format!("check that {ip} is the public address of this machine, and its routes"),
        ),
    }
}

fn comes_back(socket: &UdpSocket, target: SocketAddr) -> io::Result<bool> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| io::Error::other(error.to_string()))?;
    // From a separate port, like a client.
    UdpSocket::bind((any, 0))?.send_to(&token, target)?;
    let deadline = Instant::now() + RETURN_TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        let mut datagram = [0; 64];
        match socket.recv_from(&mut datagram) {
            Ok((len, _)) if datagram[..len] == token => return Ok(true),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}
