//! The combination of the flags, checked before anything starts.

use crate::cli::{Cli, DtlsVersion, Host, UdpSteering};
use crate::limits;
use control::Candidate;
use host::{BadPorts, GivenTwice, check_once, check_ports, loopback, port_shares, same_family};
use machine::WorkerId;
use runtime::{PortPool, Steering};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Everything the engine needs to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The addresses of each worker.
    pub workers: Vec<WorkerConfig>,
    /// Set if all workers have the same UDP addresses.
    pub shared_port: Option<SharedPort>,
    /// The socket at which signaling attaches.
    pub control_socket: PathBuf,
    /// How long rooms continue without a controller.
    pub grace_period: Duration,
    /// How long a silent peer keeps its transport; `None`: forever.
    pub consent_timeout: Option<Duration>,
    /// The DTLS version.
    pub dtls: dtls::Version,
    /// The address for metrics.
    pub metrics: Option<SocketAddr>,
    /// Whether a controller may make workers panic; for tests.
    pub allow_injected_panics: bool,
    /// Announced addresses that are not listening addresses, to be checked at the start; empty without the
    /// flag.
    pub to_check: Vec<IpAddr>,
}

/// How the workers share their UDP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedPort {
    /// How the kernel chooses a worker; `None`: the best way that it permits.
    pub steering: Option<Steering>,
}

/// One worker's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// UDP addresses to bind.
    pub listen: Vec<SocketAddr>,
    /// TCP addresses to bind; may be empty.
    pub listen_tcp: Vec<SocketAddr>,
    /// ICE candidates to offer, the preferred first, UDP before TCP.
    pub candidates: Vec<Candidate>,
    /// The addresses and ports of plain transports.
    pub plain: PortPool,
    /// The addresses that plain transports announce, the preferred first.
    pub plain_ips: Vec<IpAddr>,
}

/// Flags that contradict each other. Each names the flag, the value and what is expected instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Ports that are too few for the workers.
    #[error(transparent)]
    Ports(#[from] BadPorts),
    /// A listening address that is given twice.
    #[error(transparent)]
    ListenTwice(#[from] GivenTwice),
    /// Peers cannot connect to an unspecified address.
    #[error(
        "--listen-ip {0} listens on all addresses, so no candidate address is known: add --announced-ip with an address of the same family"
    )]
    NothingToAnnounce(IpAddr),
    /// An address that peers cannot send to.
    #[error(
        "--announced-ip {0} is not an address a peer can send to: give a unicast address that is neither unspecified nor link-local"
    )]
    NotAnnounceable(IpAddr),
    /// More addresses than a peer can check in time.
    #[error("{0} addresses to announce: at most {max} are possible; give fewer --announced-ip or --listen-ip", max = limits::ADDRESSES_MAX)]
    TooManyAddresses(usize),
    /// More workers than can share a port.
    #[error("--rtc-shared-port is for at most {max} workers, but there are {0}: give --workers", max = WorkerId::SHARING_MAX)]
    TooManyToShare(usize),
    /// Neither UDP nor TCP is offered.
    #[error(
        "--no-udp-candidates and --rtc-tcp-port 0 disable both UDP and TCP candidates: remove one of them"
    )]
    NoWayIn,
    /// A host name that cannot be resolved.
    #[error(
        "--announced-ip {name} cannot be resolved: {why}; give an address, or a name in DNS or the hosts file"
    )]
    Unresolved {
        /// As given.
        name: String,
        /// The resolver's error.
        why: String,
    },
    /// A host name without an address of a listening family.
    #[error("--announced-ip {0} has no address of a family that --listen-ip has")]
    NoneOfFamily(String),
    /// Announced, but there is no listening address of its family.
    #[error("--announced-ip {0} needs a --listen-ip of the same family: add one")]
    NotListening(IpAddr),
}

impl TryFrom<&Cli> for Config {
    type Error = BadConfig;

    fn try_from(cli: &Cli) -> Result<Self, BadConfig> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = cli.workers.map_or(cores, usize::from);
        let shared_port = cli.rtc_shared_port.then(|| SharedPort { steering: steering(cli.udp_steering) });
        check_ports("--rtc-port", cli.rtc_port, if shared_port.is_some() { 1 } else { workers })?;
        if shared_port.is_some() && workers > usize::from(WorkerId::SHARING_MAX) {
            return Err(BadConfig::TooManyToShare(workers));
        }
        let tcp_port = Some(cli.rtc_tcp_port.unwrap_or(cli.rtc_port)).filter(|port| *port != 0);
        check_ports("--rtc-tcp-port", tcp_port.unwrap_or_default(), workers)?;
        if cli.no_udp_candidates && tcp_port.is_none() {
            return Err(BadConfig::NoWayIn);
        }
        let listen = if cli.listen_ip.is_empty() { loopback() } else { cli.listen_ip.clone() };
        check_once("--listen-ip", &listen)?;
        let announced = announced(&listen, &resolve(&listen, &cli.announced_ip)?)?;
        let is_elsewhere = |ip: &&IpAddr| cli.check_announced && !listen.contains(ip);
        let to_check = announced.iter().filter(is_elsewhere).copied().collect();
        let at = |ips: &[IpAddr], port: Option<u16>| -> Vec<SocketAddr> {
            port.map_or_else(Vec::new, |port| ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
        };
        let shares = port_shares("--plain-ports", cli.plain_ports, workers)?;
        // Addresses that can be announced, and unspecified ones, which stand for announced addresses.
        let plain_listen = listen.iter().copied().filter(|ip| is_announceable(ip) || ip.is_unspecified());
        let plain_listen: Vec<IpAddr> = plain_listen.collect();
        let worker = |(index, ports): (u16, RangeInclusive<u16>)| {
            let udp_port = if shared_port.is_some() { cli.rtc_port } else { cli.rtc_port + index };
            let (udp, tcp) = (Some(udp_port), tcp_port.map(|port| port + index));
            let offered = udp.filter(|_| !cli.no_udp_candidates);
            let of_udp = at(&announced, offered).into_iter().map(Candidate::udp);
            let of_tcp = at(&announced, tcp).into_iter().map(Candidate::tcp);
            WorkerConfig {
                listen: at(&listen, udp),
                listen_tcp: at(&listen, tcp),
                candidates: of_udp.chain(of_tcp).collect(),
                plain: PortPool { ips: plain_listen.clone(), ports },
                plain_ips: announced.clone(),
            }
        };
        Ok(Self {
            workers: (0..workers as u16).zip(shares).map(worker).collect(),
            shared_port,
            control_socket: cli.control_socket.clone(),
            grace_period: Duration::from_secs(cli.grace_period),
            consent_timeout: (cli.consent_timeout != 0).then(|| Duration::from_secs(cli.consent_timeout)),
            dtls: match cli.dtls {
                DtlsVersion::Only12 => dtls::Version::Dtls12,
                DtlsVersion::Auto => dtls::Version::Auto,
            },
            metrics: cli.metrics,
            allow_injected_panics: cli.allow_injected_panics,
            to_check,
        })
    }
}

fn steering(option: UdpSteering) -> Option<Steering> {
    match option {
        UdpSteering::Auto => None,
        UdpSteering::Ebpf => Some(Steering::Extended),
        UdpSteering::Cbpf => Some(Steering::Classic),
        UdpSteering::Hash => Some(Steering::Hash),
    }
}

/// The addresses of the names, in their order. Uses the system's resolver, which may take seconds.
fn resolve(listen: &[IpAddr], hosts: &[Host]) -> Result<Vec<IpAddr>, BadConfig> {
    let mut ips = Vec::new();
    for host in hosts {
        let name = match host {
            Host::Ip(ip) => {
                ips.push(*ip);
                continue;
            }
            Host::Name(name) => name,
        };
        let found = (name.as_str(), 0)
            .to_socket_addrs()
            .map_err(|error| BadConfig::Unresolved { name: name.clone(), why: error.to_string() })?;
        let usable =
            found.map(|address| address.ip()).filter(|ip| listen.iter().any(|own| same_family(own, ip)));
        let known = ips.len();
        for ip in usable {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        if ips.len() == known {
            return Err(BadConfig::NoneOfFamily(name.clone()));
        }
    }
    Ok(ips)
}

/// The addresses for candidates: per family the announced ones, or the listening ones if none is announced.
fn announced(listen: &[IpAddr], announced: &[IpAddr]) -> Result<Vec<IpAddr>, BadConfig> {
    if let Some(ip) = announced.iter().find(|ip| !is_announceable(ip)) {
        return Err(BadConfig::NotAnnounceable(*ip));
    }
    if let Some(ip) = announced.iter().find(|ip| !listen.iter().any(|listen| same_family(listen, ip))) {
        return Err(BadConfig::NotListening(*ip));
    }
    let mut candidates = announced.to_vec();
    for ip in listen.iter().filter(|ip| !announced.iter().any(|announced| same_family(announced, ip))) {
        if ip.is_unspecified() {
            return Err(BadConfig::NothingToAnnounce(*ip));
        }
        // Link-local addresses need a scope; they are listened on but not announced.
        if is_announceable(ip) {
            candidates.push(*ip);
        }
    }
    if candidates.len() > limits::ADDRESSES_MAX {
        return Err(BadConfig::TooManyAddresses(candidates.len()));
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

#[cfg(test)]
mod tests;
