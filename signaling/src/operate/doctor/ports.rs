//! Whether the ports of Leat can be bound.

use super::finding::{Finding, Level};
use crate::config::cli::UpOptions;
use crate::supervisor::listen_ips;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const CHECK: &str = "ports";

/// Limit for the answer of a server on this machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether Leat serves at this address.
pub(super) fn is_running(http: SocketAddr) -> bool {
    let ip = match http.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(ip, http.port()), ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    ask().is_ok_and(|answer| answer.contains("\"engine\":"))
}

/// A port of Leat, and the option that chooses it.
struct Port {
    option: &'static str,
    protocol: Protocol,
    address: SocketAddr,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Udp,
    Tcp,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

pub(super) fn check(options: &UpOptions, is_running: bool) -> Vec<Finding> {
    let all = all(options);
    let mut findings: Vec<Finding> = all.iter().filter_map(|port| bad(port, is_running)).collect();
    if findings.is_empty() {
        let state = if is_running { "Leat runs here and has its ports" } else { "all ports are free" };
        findings.push(Finding::ok(CHECK, format!("{state} ({} checked)", all.len())));
    }
    findings
}

fn all(options: &UpOptions) -> Vec<Port> {
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16);
    let workers = options.workers.unwrap_or_else(cores);
    let at = |option, protocol, ip, port| Port { option, protocol, address: SocketAddr::new(ip, port) };
    let mut ports = vec![at("--http", Protocol::Tcp, options.http.http.ip(), options.http.http.port())];
    let tcp_port = options.rtc_tcp_port.unwrap_or(options.rtc_port);
    let is_own = |worker: u16| worker == 0 || !options.rtc_shared_port;
    let turn_port = options.turn_port.unwrap_or(3478);
    for ip in listen_ips(options) {
        for worker in 0..workers {
            let plus = |port: u16| port.saturating_add(worker);
            if is_own(worker) {
                ports.push(at("--rtc-port", Protocol::Udp, ip, plus(options.rtc_port)));
            }
            if tcp_port != 0 {
                ports.push(at("--rtc-tcp-port", Protocol::Tcp, ip, plus(tcp_port)));
            }
        }
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            if turn_port != 0 {
                ports.push(at("--turn-port", protocol, ip, turn_port));
            }
            if turn_port != 0 && options.turn_certificate.is_some() {
                ports.push(at("--turn-tls-port", protocol, ip, options.turn_tls_port));
            }
        }
    }
    for number in 0..3 {
        let metrics = options.metrics.iter();
        ports.extend(metrics.map(|address| {
            at("--metrics", Protocol::Tcp, address.ip(), address.port().saturating_add(number))
        }));
    }
    ports
}

fn bad(port: &Port, is_running: bool) -> Option<Finding> {
    let Port { option, protocol, address } = *port;
    let bound = match protocol {
        Protocol::Udp => UdpSocket::bind(address).map(drop),
        Protocol::Tcp => TcpListener::bind(address).map(drop),
    };
    let error = bound.err().filter(|error| !(is_running && error.kind() == ErrorKind::AddrInUse))?;
    let what = format!("{option}: {} port {} on {}", protocol.name(), address.port(), address.ip());
    Some(match error.kind() {
        ErrorKind::AddrInUse => Finding::bad(
            CHECK,
            Level::Error,
            format!("{what} is in use by another process"),
            format!("stop that process (ss -lnp shows it), or choose another port with {option}"),
        ),
        ErrorKind::AddrNotAvailable => Finding::bad(
            CHECK,
            Level::Error,
            format!("{what}: this machine does not have the address"),
            "give an address of this machine (ip addr shows them), and a public one with --announced-ip",
        ),
        ErrorKind::PermissionDenied => Finding::bad(
            CHECK,
            Level::Error,
            format!("{what}: this user may not use ports below 1024"),
            "choose a port from 1024, or give the process the capability CAP_NET_BIND_SERVICE",
        ),
        _ => Finding::bad(CHECK, Level::Error, format!("{what}: {error}"), "choose another address or port"),
    })
}
