//! What the options mean together, checked before anything starts.

use crate::cli::Cli;
use crate::config_file::{self, BadFile};
use crate::wall_clock::SystemClock;
use clap::Parser;
use host::{BadPorts, GivenTwice, check_once, check_ports, loopback, port_shares, same_family};
use leat_log::Format;
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
    /// What each worker listens on.
    pub workers: Vec<WorkerConfig>,
    /// Who may have what. The addresses of interfaces are yet to be filled in.
    pub settings: Settings,
    /// Certificate and private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Where metrics are fetched.
    pub metrics: Option<SocketAddr>,
    /// How long to wait for the last allocation.
    pub drain_deadline: Duration,
}

/// One worker's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Over TLS.
    pub listen_tls: Vec<SocketAddr>,
    /// Of relay sockets.
    pub relay: PortPool,
}

/// Options that contradict each other or name what is not there. Each says what is expected instead.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The options themselves.
    #[error("{0}")]
    Options(String),
    /// The file of options.
    #[error("--config {}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: BadFile,
    },
    /// The file of secrets.
    #[error("--secret-file {}: cannot read it", .path.display())]
    SecretFile {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// What is in it, or a user.
    #[error(transparent)]
    Credentials(#[from] BadCredentials),
    /// A certificate without its key, or a key without its certificate.
    #[error("{given} needs {missing} too, here or in the file of --config")]
    HalfCertificate {
        /// The option that is there.
        given: &'static str,
        /// The option that is not.
        missing: &'static str,
    },
    /// No client could use the server.
    #[error("no credentials configured: pass --secret-file (or LEAT_TURN_SECRET), or --user")]
    Nobody,
    /// The realm is sent with every challenge.
    #[error("--realm has {0} bytes: expected 1 to {max}", max = relay::limits::REALM_LEN_MAX)]
    Realm(usize),
    /// A listening address that is there already.
    #[error(transparent)]
    Twice(#[from] GivenTwice),
    /// Ports that are too few for the workers.
    #[error(transparent)]
    Ports(#[from] BadPorts),
    /// Peers cannot send to "any address".
    #[error(
        "{option} {ip} is not an address a peer can send to: give --relay-ip with an address of this host, and --announced-ip if a NAT stands before it"
    )]
    NotReachable {
        /// Which.
        option: &'static str,
        /// As given.
        ip: IpAddr,
    },
    /// One of each family is what the protocol has room for.
    #[error("{option} has two addresses of the family of {ip}: at most one of each family is possible")]
    OneOfEach {
        /// Which.
        option: &'static str,
        /// The second.
        ip: IpAddr,
    },
    /// Announced, but nothing relays there.
    #[error("--announced-ip {0} has no --relay-ip of the same family behind it: add one")]
    NothingBehind(IpAddr),
    /// No peer could be reached.
    #[error(
        "--allowed-peers-only without --allow-peer leaves no peer that clients may reach: add --allow-peer"
    )]
    NoPeers,
    /// More exceptions than are looked at.
    #[error("{0} times --allow-peer: at most {max} are possible; name networks instead of addresses", max = relay::limits::ALLOWED_MAX)]
    TooManyAllowed(usize),
}

impl Config {
    /// How to log, whether or not the options make sense otherwise: as the command line asks, or else the file that it names.
    pub fn log(cli: &Cli) -> Format {
        let in_file = || config_file::log(cli.config.as_deref()?);
        cli.log.or_else(in_file).unwrap_or(Format::Text)
    }

    /// Reads the command line, and the file that it names.
    pub fn read(arguments: &[OsString]) -> Result<Self, BadConfig> {
        let parse = |arguments: &[OsString]| {
            Cli::try_parse_from(arguments).map_err(|error| BadConfig::Options(error.to_string()))
        };
        let Some(path) = parse(arguments)?.config else { return Self::of(&parse(arguments)?) };
        let from_file = config_file::arguments(&path).map_err(|source| BadConfig::File { path, source })?;
        let (program, rest) = arguments.split_at(arguments.len().min(1));
        // The later counts more.
        Self::of(&parse(&[program, &from_file, rest].concat())?)
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
            return Err(BadConfig::NothingBehind(*ip));
        }
        let certificate = certificate(cli)?;
        let at = |port: u16| listen.iter().map(move |ip| SocketAddr::new(*ip, port)).collect::<Vec<_>>();
        let shares = port_shares("--relay-ports", cli.relay_ports, workers)?;
        let workers = (0..cli.workers).zip(shares).map(|(index, ports)| WorkerConfig {
            listen: at(cli.port + index),
            listen_tls: if certificate.is_some() { at(cli.tls_port + index) } else { Vec::new() },
            relay: PortPool { ips: relay_ips.clone(), ports },
        });
        let own = [&listen, &relay_ips, &cli.announced_ip].into_iter().flatten().copied();
        Ok(Self {
            workers: workers.collect(),
            settings: settings(cli, own.collect(), &relay_ips)?,
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
        // Clients do not need them to reach a media server.
        tcp_peers: !cli.allowed_peers_only,
        wall_clock: Arc::new(SystemClock),
    })
}

/// Both, or neither: each may be given here or in the file.
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
    // A file of options is secret if passwords are among them.
    let config = cli.config.as_ref().filter(|_| !cli.user.is_empty());
    let files = [
        ("--config", config),
        ("--secret-file", cli.secret_file.as_ref()),
        ("--private-key", cli.private_key.as_ref()),
    ];
    files.into_iter().for_each(|(option, path)| path.into_iter().for_each(|path| warn_if_open(option, path)));
    let secrets = match &cli.secret_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| BadConfig::SecretFile { path: path.clone(), source })?,
        None => std::env::var("LEAT_TURN_SECRET").unwrap_or_default(),
    };
    for secret in secrets.lines().map(str::trim).filter(|secret| !secret.is_empty()) {
        credentials = credentials.secret(secret.as_bytes())?;
    }
    if credentials.is_empty() { Err(BadConfig::Nobody) } else { Ok(credentials) }
}

/// Warns of a file with a secret that other users of this machine can read or replace.
fn warn_if_open(option: &str, path: &Path) {
    // One that cannot be looked at is not read either, and that is an error of its own.
    let Ok(mode) = std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777) else {
        return;
    };
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = %format_args!("{mode:04o}"),
            "{option}: others than its owner have access to this file, which holds a key or passwords; run chmod 600 on it"
        );
    }
}

/// Of each family the address given, or the first that is listened on.
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
mod tests {
    use super::*;

    fn config(options: &str) -> Result<Config, BadConfig> {
        let arguments = format!("leat-turn --user a:b {options}");
        Config::read(&arguments.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn each_worker_has_its_own_ports() {
        let config =
            config("--workers 2 --listen-ip 127.0.0.1 --port 4000 --relay-ports 5001-5010").expect("sound");
        let [first, second] = &config.workers[..] else { panic!("two workers") };
        assert_eq!(first.listen, ["127.0.0.1:4000".parse().expect("an address")]);
        assert_eq!(second.listen, ["127.0.0.1:4001".parse().expect("an address")]);
        assert_eq!((first.relay.ports.clone(), second.relay.ports.clone()), (5002..=5005, 5006..=5009));
        assert!(first.listen_tls.is_empty(), "there is no certificate");
        assert_eq!(config.settings.families, [true, false]);
        assert_eq!(config.settings.policy.own, ["127.0.0.1".parse::<IpAddr>().expect("an address"); 2]);
    }

    #[test]
    fn what_makes_no_sense_is_told_with_what_is_expected() {
        for (options, wanted) in [
            (
                "--listen-ip 0.0.0.0",
                "--listen-ip 0.0.0.0 is not an address a peer can send to: give --relay-ip",
            ),
            ("--listen-ip 127.0.0.1 --listen-ip 127.0.0.1", "--listen-ip 127.0.0.1 is given twice"),
            (
                "--relay-ip 127.0.0.1 --relay-ip 127.0.0.2",
                "--relay-ip has two addresses of the family of 127.0.0.2",
            ),
            ("--listen-ip 127.0.0.1 --announced-ip 2001:db8::1", "no --relay-ip of the same family"),
            ("--workers 3 --port 65534", "the last needs port 65536"),
            ("--workers 2 --relay-ports 5000-5002", "too few for 2 workers"),
            ("--allowed-peers-only", "add --allow-peer"),
            ("--certificate x.pem", "--certificate needs --private-key too"),
            ("--private-key x.pem", "--private-key needs --certificate too"),
            ("--secret-file /nowhere", "--secret-file /nowhere: cannot read it"),
            ("--config /nowhere", "--config /nowhere"),
            ("--relay-ports 9", "a range is two ports"),
            ("--user ab", "a user is a name and a password"),
            ("--lifetime-max 10", "10 is not in 600..=3600"),
        ] {
            let error = leat_log::chain(&config(options).expect_err(options));
            assert!(error.contains(wanted), "{options}: {error}");
        }
        let nobody = Config::read(&["leat-turn".into()]).expect_err("nobody").to_string();
        assert!(nobody.contains("no credentials configured"), "{nobody}");
    }
}
