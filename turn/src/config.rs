//! The combination of the options, checked before anything starts.

use crate::bus_thread::BusSettings;
use crate::cli::Cli;
use crate::wall_clock::SystemClock;
use bus::{BusError, NatsOptions};
use clap::{CommandFactory, Parser};
use host::{BadPorts, GivenTwice, check_once, check_ports, loopback, port_shares, same_family};
use options::{OptionsError, OptionsOf};
use relay::limits::ALLOCATIONS_MAX;
use relay::{BadCredentials, Credentials, Policy, Quotas, Settings};
use runtime::PortPool;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Everything the server needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The addresses of each worker.
    pub workers: Vec<WorkerConfig>,
    /// Users and limits. The addresses of the interfaces are still missing.
    pub settings: Settings,
    /// Certificate and private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The address for metrics.
    pub metrics: Option<SocketAddr>,
    /// The connection to NATS.
    pub bus: Option<BusSettings>,
    /// How long SIGTERM waits for the last allocation.
    pub drain_deadline: Duration,
}

/// One worker's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// UDP and TCP addresses.
    pub listen: Vec<SocketAddr>,
    /// TLS and DTLS addresses.
    pub listen_tls: Vec<SocketAddr>,
    /// Addresses and ports of relay sockets.
    pub relay: PortPool,
}

/// Options that contradict each other or name something that does not exist. Each error says what is
/// expected.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The options themselves.
    #[error("{0}")]
    Options(String),
    /// The configuration file or the environment cannot be used.
    #[error(transparent)]
    Sources(#[from] OptionsError),
    /// The file of secrets cannot be read.
    #[error("--turn-secret-file {}: cannot read it", .path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A wrong secret or user.
    #[error(transparent)]
    Credentials(#[from] BadCredentials),
    /// A certificate without its key, or a key without its certificate.
    #[error("{given} needs {missing} too")]
    HalfCertificate {
        /// The option that is given.
        given: &'static str,
        /// The option that is missing.
        missing: &'static str,
    },
    /// No client could use the server.
    #[error("no credentials configured: pass --turn-secret-file (or LEAT_TURN_SECRET), or --user")]
    NoCredentials,
    /// The realm is sent with every challenge.
    #[error("--realm has {0} bytes: expected 1 to {max}", max = relay::limits::REALM_LEN_MAX)]
    Realm(usize),
    /// A listening address that is given twice.
    #[error(transparent)]
    Twice(#[from] GivenTwice),
    /// Ports that are too few for the workers.
    #[error(transparent)]
    Ports(#[from] BadPorts),
    /// Peers cannot send to an unspecified address.
    #[error(
        "{option} {ip} is not an address a peer can send to: give --relay-ip with an address of this host, and --announced-ip if the host is behind a NAT"
    )]
    NotReachable {
        /// The option.
        option: &'static str,
        /// As given.
        ip: IpAddr,
    },
    /// The protocol allows one address per family.
    #[error("{option} has two addresses of the family of {ip}: at most one of each family is possible")]
    OneOfEach {
        /// The option.
        option: &'static str,
        /// The second address.
        ip: IpAddr,
    },
    /// An announced address without a relay address of its family.
    #[error("--announced-ip {0} needs a --relay-ip of the same family: add one")]
    NoRelayAddress(IpAddr),
    /// Clients could reach no peer.
    #[error(
        "--allowed-peers-only without --allow-peer leaves no peer that clients may reach: add --allow-peer"
    )]
    NoPeers,
    /// NATS cannot be used.
    #[error("--nats")]
    Nats(#[from] BusError),
    /// The server cannot be registered.
    #[error("--announce needs {0} too")]
    CannotAnnounce(&'static str),
    /// A browser tries each URL.
    #[error("{0} times --announce: at most {max} are possible", max = bus::limits::TURN_URLS_MAX)]
    TooManyUrls(usize),
    /// More exceptions than the server checks.
    #[error("{0} times --allow-peer: at most {max} are possible; use networks instead of addresses", max = relay::limits::ALLOWED_MAX)]
    TooManyAllowed(usize),
}

impl Config {
    /// Reads the command line, the environment and the configuration file.
    pub fn read(arguments: &[OsString]) -> Result<Self, BadConfig> {
        let resolved =
            options::resolve(OptionsOf::Turn, &Cli::command(), arguments, 1, &options::environment)?;
        let cli = Cli::try_parse_from(resolved.arguments);
        Self::of(&cli.map_err(|error| BadConfig::Options(error.to_string()))?)
    }

    fn of(cli: &Cli) -> Result<Self, BadConfig> {
        let listen = if cli.listen_ip.is_empty() { loopback() } else { cli.listen_ip.clone() };
        check_once("--listen-ip", &listen)?;
        let workers = usize::from(cli.workers);
        check_ports("--port", cli.port, workers)?;
        check_ports("--tls-port", cli.tls_port, workers)?;
        let relay_ips = relay_ips(&listen, &cli.relay_ip)?;
        one_of_each("--announced-ip", &cli.announced_ip)?;
        if let Some(ip) = cli.announced_ip.iter().find(|ip| !relay_ips.iter().any(|own| same_family(own, ip)))
        {
            return Err(BadConfig::NoRelayAddress(*ip));
        }
        let certificate = certificate(cli)?;
        let at = |port: u16| listen.iter().map(move |ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        let shares = port_shares("--relay-ports", cli.relay_ports, workers)?;
        let workers = (0..cli.workers).zip(shares).map(|(index, ports)| WorkerConfig {
            listen: at(cli.port + index),
            listen_tls: if certificate.is_some() { at(cli.tls_port + index) } else { Vec::new() },
            relay: PortPool { ips: relay_ips.clone(), ports },
        });
        let bus = bus_settings(cli)?;
        // No client reaches the bus through the relay.
        let of_bus = bus.iter().flat_map(|bus| bus.nats.ips());
        let own = [&listen, &relay_ips, &cli.announced_ip].into_iter().flatten().copied().chain(of_bus);
        let settings = settings(cli, own.collect(), &relay_ips)?;
        if bus.as_ref().is_some_and(|bus| !bus.urls.is_empty())
            && settings.credentials.secret_ids().is_empty()
        {
            return Err(BadConfig::CannotAnnounce("--turn-secret-file"));
        }
        Ok(Self {
            workers: workers.collect(),
            settings,
            bus,
            certificate,
            metrics: cli.metrics,
            drain_deadline: Duration::from_secs(cli.drain_deadline),
        })
    }
}

fn settings(cli: &Cli, own: Vec<IpAddr>, relay_ips: &[IpAddr]) -> Result<Settings, BadConfig> {
    if cli.allow_peer.len() > relay::limits::ALLOWED_MAX {
        return Err(BadConfig::TooManyAllowed(cli.allow_peer.len()));
    }
    if cli.allowed_peers_only && cli.allow_peer.is_empty() {
        return Err(BadConfig::NoPeers);
    }
    Ok(Settings {
        credentials: credentials(cli)?,
        policy: Policy {
            allowed: cli.allow_peer.clone(),
            allowed_only: cli.allowed_peers_only,
            own,
            ..Policy::default()
        },
        quotas: Quotas {
            allocations_per_user: cli.allocations_per_user,
            ports_per_user: cli.ports_per_user,
            connections_per_user: cli.connections_per_user,
            allocations_per_address: cli.allocations_per_address,
            allocations: cli.allocations.unwrap_or(ALLOCATIONS_MAX as u32 * u32::from(cli.workers)),
            bits_per_second_per_allocation: cli.bits_per_second_per_allocation,
            bits_per_second: cli.bits_per_second,
        },
        lifetime_max: Duration::from_secs(cli.lifetime_max),
        excess_bytes_per_second: cli.excess_bytes_per_second,
        old_channels: cli.old_channels,
        alternate_server: cli.alternate_server,
        announced: cli.announced_ip.clone(),
        families: [false, true].map(|is_ipv6| relay_ips.iter().any(|ip| ip.is_ipv6() == is_ipv6)),
        // Clients need no TCP peers to reach a media server.
        tcp_peers: !cli.allowed_peers_only,
        wall_clock: Arc::new(SystemClock),
    })
}

/// The connection to NATS, if there is one.
fn bus_settings(cli: &Cli) -> Result<Option<BusSettings>, BadConfig> {
    if cli.announce.len() > bus::limits::TURN_URLS_MAX {
        return Err(BadConfig::TooManyUrls(cli.announce.len()));
    }
    if cli.nats.is_empty() {
        return if cli.announce.is_empty() { Ok(None) } else { Err(BadConfig::CannotAnnounce("--nats")) };
    }
    let (servers, credentials) = (cli.nats.clone(), cli.nats_credentials.clone());
    let nats = NatsOptions { servers, credentials, name: "leat-turn".to_owned() };
    nats.check()?;
    Ok(Some(BusSettings { nats, region: cli.region.clone(), urls: cli.announce.clone() }))
}

/// Certificate and key, or neither: each may be given on the command line or in the file.
fn certificate(cli: &Cli) -> Result<Option<(PathBuf, PathBuf)>, BadConfig> {
    let half = |given, missing| Err(BadConfig::HalfCertificate { given, missing });
    match (&cli.certificate, &cli.private_key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate.clone(), key.clone()))),
        (None, None) => Ok(None),
        (Some(_), None) => half("--certificate", "--private-key"),
        (None, Some(_)) => half("--private-key", "--certificate"),
    }
}

fn credentials(cli: &Cli) -> Result<Credentials, BadConfig> {
    let realm = relay::prepare("--realm", &cli.realm)?;
    if !(1..=relay::limits::REALM_LEN_MAX).contains(&realm.len()) {
        return Err(BadConfig::Realm(realm.len()));
    }
    let mut credentials = Credentials::new(&realm);
    for user in &cli.user {
        credentials = credentials.user(&user.name, &user.password)?;
    }
    // A file of options is secret if it contains passwords.
    let config = cli.config.as_ref().filter(|_| !cli.user.is_empty());
    let files = [
        ("--config", config),
        ("--turn-secret-file", cli.turn_secret_file.as_ref()),
        ("--private-key", cli.private_key.as_ref()),
    ];
    files.into_iter().for_each(|(option, path)| path.into_iter().for_each(|path| warn_if_open(option, path)));
    let secrets = match &cli.turn_secret_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| BadConfig::SecretFile { path: path.clone(), source })?,
        None => cli.turn_secret.clone().unwrap_or_default(),
    };
    for secret in secrets.lines().map(str::trim).filter(|secret| !secret.is_empty()) {
        credentials = credentials.secret(secret.as_bytes())?;
    }
    if credentials.is_empty() { Err(BadConfig::NoCredentials) } else { Ok(credentials) }
}

/// Warns of a file with a secret that other users of this host can read or replace.
fn warn_if_open(option: &str, path: &Path) {
    // A file without metadata cannot be read either; that is a separate error.
    let Ok(mode) = std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777) else {
        return;
    };
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = %format_args!("{mode:04o}"),
            "{option}: this file contains a key or passwords, and users other than its owner can access it; run chmod 600 on it"
        );
    }
}

/// Of each family the given address, or the first listening address.
fn relay_ips(listen: &[IpAddr], given: &[IpAddr]) -> Result<Vec<IpAddr>, BadConfig> {
    one_of_each("--relay-ip", given)?;
    let reachable = |option, ip: &IpAddr| {
        let is_reachable = !ip.is_unspecified() && !ip.is_multicast();
        if is_reachable { Ok(*ip) } else { Err(BadConfig::NotReachable { option, ip: *ip }) }
    };
    let mut ips = given.iter().map(|ip| reachable("--relay-ip", ip)).collect::<Result<Vec<_>, _>>()?;
    for ip in listen {
        if !ips.iter().any(|own| same_family(own, ip)) {
            ips.push(reachable("--listen-ip", ip)?);
        }
    }
    Ok(ips)
}

fn one_of_each(option: &'static str, ips: &[IpAddr]) -> Result<(), BadConfig> {
    let second = |(index, ip): (usize, &IpAddr)| {
        ips[..index].iter().any(|first| same_family(first, ip)).then_some(*ip)
    };
    match ips.iter().enumerate().find_map(second) {
        Some(ip) => Err(BadConfig::OneOfEach { option, ip }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
