//! What the flags mean together, checked before anything starts.

use crate::cli::{Cli, DtlsVersion};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the engine needs to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What each worker listens on and tells its peers.
    pub workers: Vec<WorkerConfig>,
    /// Where signaling attaches.
    pub control_socket: PathBuf,
    /// How long unclaimed rooms live.
    pub grace_period: Duration,
    /// Which DTLS to speak.
    pub dtls: dtls::Version,
}

/// One worker's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// To bind.
    pub listen: Vec<SocketAddr>,
    /// To offer as ICE candidates, the preferred first.
    pub candidates: Vec<SocketAddr>,
}

/// Flags that contradict each other. Each names the flag, the value and what is expected instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// The last worker's port would be beyond 65535.
    #[error(
        "--rtc-port {port} leaves no room for {workers} workers: the last needs port {last}, at most 65535 exists"
    )]
    Ports {
        /// As given.
        port: u16,
        /// As given, or the cores.
        workers: usize,
        /// What would be needed.
        last: usize,
    },
    /// An address can be listened on once; the second time it would seem to be another process's.
    #[error("--listen-ip {0} is given twice: each address once is enough")]
    ListenTwice(IpAddr),
    /// Peers cannot be told to connect to "any address".
    #[error(
        "--listen-ip {0} listens on all addresses, so peers must be told which to use: add --announced-ip with an address of the same family"
    )]
    NothingToAnnounce(IpAddr),
    /// An address that peers cannot reach by itself.
    #[error(
        "--announced-ip {0} is not an address a peer can send to: give a unicast address that is neither unspecified nor link-local"
    )]
    NotAnnounceable(IpAddr),
    /// Announced, but nothing listens there.
    #[error("--announced-ip {0} has no --listen-ip of the same family behind it: add one")]
    NothingBehind(IpAddr),
}

impl TryFrom<&Cli> for Config {
    type Error = BadConfig;

    fn try_from(cli: &Cli) -> Result<Self, BadConfig> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = cli.workers.map_or(cores, usize::from);
        let last = usize::from(cli.rtc_port) + workers - 1;
        if last > usize::from(u16::MAX) {
            return Err(BadConfig::Ports { port: cli.rtc_port, workers, last });
        }
        let listen = if cli.listen_ip.is_empty() { loopback() } else { cli.listen_ip.clone() };
        if let Some((_, ip)) = listen.iter().enumerate().find(|(index, ip)| listen[..*index].contains(ip)) {
            return Err(BadConfig::ListenTwice(*ip));
        }
        let announced = announced(&listen, &cli.announced_ip)?;
        let worker = |port: u16| WorkerConfig {
            listen: listen.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
            candidates: announced.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
        };
        Ok(Self {
            workers: (cli.rtc_port..=last as u16).map(worker).collect(),
            control_socket: cli.control_socket.clone(),
            grace_period: Duration::from_secs(cli.grace_period),
            dtls: match cli.dtls {
                DtlsVersion::Only12 => dtls::Version::Dtls12,
                DtlsVersion::Auto => dtls::Version::Auto,
            },
        })
    }
}

/// The loopback addresses this machine has: containers often have no IPv6.
fn loopback() -> Vec<IpAddr> {
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    both.into_iter().filter(|ip| UdpSocket::bind((*ip, 0)).is_ok()).collect()
}

/// The addresses for candidates: of each family the announced ones, or the listening ones where none is.
fn announced(listen: &[IpAddr], announced: &[IpAddr]) -> Result<Vec<IpAddr>, BadConfig> {
    if let Some(ip) = announced.iter().find(|ip| !is_announceable(ip)) {
        return Err(BadConfig::NotAnnounceable(*ip));
    }
    if let Some(ip) = announced.iter().find(|ip| !listen.iter().any(|listen| same_family(listen, ip))) {
        return Err(BadConfig::NothingBehind(*ip));
    }
    let mut candidates = announced.to_vec();
    for ip in listen.iter().filter(|ip| !announced.iter().any(|announced| same_family(announced, ip))) {
        if ip.is_unspecified() {
            return Err(BadConfig::NothingToAnnounce(*ip));
        }
        // Link-local addresses mean nothing to a peer without a scope; they are listened on but not told.
        if is_announceable(ip) {
            candidates.push(*ip);
        }
    }
    Ok(candidates)
}

fn is_announceable(ip: &IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_unspecified() && !ip.is_multicast() && !is_link_local
}

fn same_family(a: &IpAddr, b: &IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn config(flags: &str) -> Result<Config, BadConfig> {
        let flags = format!("leat-engine --control-socket /run/leat.sock --workers 2 {flags}");
        Config::try_from(&Cli::try_parse_from(flags.split_whitespace()).expect("well-formed flags"))
    }

    fn candidates(flags: &str) -> Result<Vec<String>, BadConfig> {
        Ok(config(flags)?.workers[1].candidates.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_worker_has_its_own_port() {
        let config = config("--rtc-port 5000 --listen-ip 127.0.0.1").expect("sound");
        assert_eq!(config.workers[0].listen, ["127.0.0.1:5000".parse().expect("an address")]);
        assert_eq!(config.workers[1].listen, ["127.0.0.1:5001".parse().expect("an address")]);
    }

    #[test]
    fn the_four_shapes_of_announcing() {
        assert_eq!(
            candidates("--listen-ip 127.0.0.1 --listen-ip ::1").expect("sound"),
            ["127.0.0.1:7001", "[::1]:7001"]
        );
        assert_eq!(candidates("").expect("sound")[0], "127.0.0.1:7001");
        assert_eq!(
            candidates("--listen-ip 10.0.0.5 --announced-ip 203.0.113.7").expect("sound"),
            ["203.0.113.7:7001"]
        );
        assert_eq!(
            candidates("--listen-ip 0.0.0.0 --listen-ip 2001:db8::5 --announced-ip 203.0.113.7")
                .expect("sound"),
            ["203.0.113.7:7001", "[2001:db8::5]:7001"]
        );
        assert_eq!(
            candidates("--listen-ip 10.0.0.5 --announced-ip 203.0.113.7 --announced-ip 10.0.0.5")
                .expect("sound"),
            ["203.0.113.7:7001", "10.0.0.5:7001"]
        );
    }

    #[test]
    fn contradictions_are_named() {
        let text = |flags| config(flags).expect_err("a contradiction").to_string();
        assert!(text("--listen-ip 0.0.0.0").contains("--announced-ip"));
        let twice = "--listen-ip ::1 --listen-ip 127.0.0.1 --listen-ip 127.0.0.1";
        assert!(text(twice).contains("--listen-ip 127.0.0.1 is given twice"));
        assert!(text("--rtc-port 65535").contains("port 65536"));
        assert!(text("--announced-ip 169.254.1.1").contains("169.254.1.1"));
        assert!(text("--listen-ip 127.0.0.1 --announced-ip 2001:db8::1").contains("--listen-ip"));
        assert_eq!(
            candidates("--listen-ip 127.0.0.1 --listen-ip fe80::1").expect("sound"),
            ["127.0.0.1:7001"]
        );
    }
}
