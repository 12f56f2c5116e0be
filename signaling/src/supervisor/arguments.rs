//! Command lines of the engine, signaling and the TURN server, made from that of `leat up`.

use crate::config::{cli, default_listen_ips, own_address};
use anyhow::bail;
use leat_log::Format;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;

pub(super) fn engine_arguments(
    options: &cli::UpOptions,
    control_socket: &Path,
    format: Format,
) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    push("--rtc-port", options.rtc_port.to_string().into());
    push("--control-socket", control_socket.into());
    push("--log", format.name().into());
    options.log_level.iter().for_each(|level| push("--log-level", level.into()));
    metrics(options, 0).into_iter().for_each(|address| push("--metrics", address));
    listen_ips(options).iter().for_each(|ip| push("--listen-ip", ip.to_string().into()));
    options.announced_ip.iter().for_each(|host| push("--announced-ip", host.into()));
    if let Some(workers) = options.workers {
        push("--workers", workers.to_string().into());
    }
    if let Some(seconds) = options.grace_period {
        push("--grace-period", seconds.to_string().into());
    }
    if let Some(seconds) = options.consent_timeout {
        push("--consent-timeout", seconds.to_string().into());
    }
    if let Some(port) = options.rtc_tcp_port {
        push("--rtc-tcp-port", port.to_string().into());
    }
    if options.rtc_shared_port {
        arguments.push("--rtc-shared-port".into());
    }
    if options.no_udp_candidates {
        arguments.push("--no-udp-candidates".into());
    }
    if options.check_announced {
        arguments.push("--check-announced".into());
    }
    if options.log_addresses {
        arguments.push("--log-addresses".into());
    }
    arguments.push("--die-with-parent".into());
    arguments
}

/// The address for metrics of the process with this number.
fn metrics(options: &cli::UpOptions, number: u16) -> Option<OsString> {
    let address = options.metrics?;
    Some(SocketAddr::new(address.ip(), address.port().saturating_add(number)).to_string().into())
}

/// Addresses on which the engine receives media.
pub(crate) fn listen_ips(options: &cli::UpOptions) -> Vec<IpAddr> {
    if options.listen_ip.is_empty() { default_listen_ips() } else { options.listen_ip.clone() }
}

/// Addresses that are announced to clients, of the families that are listened on. A name without an address
/// is refused by the engine.
fn announced_ips(options: &cli::UpOptions) -> Vec<IpAddr> {
    let found = |host: &String| (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
    let ips = options.announced_ip.iter().flat_map(found).map(|address| address.ip());
    of_families(&listen_ips(options), ips)
}

/// The addresses of a family that is listened on, each once: a name may have addresses of both families.
fn of_families(listen_ips: &[IpAddr], ips: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut kept = Vec::new();
    for ip in ips.filter(|ip| listen_ips.iter().any(|listen| listen.is_ipv4() == ip.is_ipv4())) {
        if !kept.contains(&ip) {
            kept.push(ip);
        }
    }
    kept
}

/// Addresses of the TURN server, of each family with an address to relay from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TurnAddresses {
    port: u16,
    listen_ips: Vec<IpAddr>,
    /// Only if it differs from the listening address.
    relay_ips: Vec<IpAddr>,
    announced_ips: Vec<IpAddr>,
}

/// Where the TURN server runs. `None`, with a line in the log, if it cannot run for a reason that is not an
/// option of the operator: without it, calls work for all clients that reach the media ports.
pub(super) fn turn_addresses(options: &cli::UpOptions) -> anyhow::Result<Option<TurnAddresses>> {
    let port = options.turn_port.unwrap_or(TURN_PORT_DEFAULT);
    if port == 0 {
        return Ok(None);
    }
    let is_here = |ip: IpAddr| std::net::UdpSocket::bind((ip, 0)).is_ok();
    let (listen_ips, announced_ips) = (listen_ips(options), announced_ips(options));
    let addresses =
        TurnAddresses { port, ..plan_turn(options, &listen_ips, &announced_ips, own_address, is_here) };
    if addresses.listen_ips.is_empty() {
        tracing::warn!("no TURN server: this machine has no address to relay from; name one with --relay-ip");
        return Ok(None);
    }
    match check_turn_ports(options, &addresses) {
        Err(error) if !has_turn_option(options) => {
            tracing::warn!("no TURN server: {error}");
            Ok(None)
        }
        checked => checked.map(|()| Some(addresses)),
    }
}

/// Whether the operator has configured the TURN server.
pub(super) fn has_turn_option(options: &cli::UpOptions) -> bool {
    let is_given =
        [options.turn_port.is_some(), options.turn_certificate.is_some(), options.turn_host.is_some()];
    is_given.contains(&true) || !options.relay_ip.is_empty()
}

fn plan_turn(
    options: &cli::UpOptions,
    listen_ips: &[IpAddr],
    announced_ips: &[IpAddr],
    own_address: impl Fn(bool) -> Option<IpAddr>,
    is_here: impl Fn(IpAddr) -> bool,
) -> TurnAddresses {
    let mut addresses = TurnAddresses::default();
    for is_ipv6 in [false, true] {
        let of_family = |ip: &&IpAddr| ip.is_ipv6() == is_ipv6;
        let listen = listen_ips.iter().filter(of_family).copied();
        let announced = || announced_ips.iter().filter(of_family).copied();
        let given = options.relay_ip.iter().find(of_family).copied();
        // A server that listens on all addresses relays from one of them.
        let chosen = || own_address(is_ipv6).or_else(|| announced().find(|ip| is_here(*ip)));
        let relay = match listen.clone().any(|ip| ip.is_unspecified()) {
            true => given.or_else(chosen),
            false => given,
        };
        if relay.is_some() || listen.clone().any(|ip| !ip.is_unspecified()) {
            addresses.listen_ips.extend(listen.filter(|ip| relay.is_some() || !ip.is_unspecified()));
            addresses.relay_ips.extend(relay);
            addresses.announced_ips.extend(announced());
        }
    }
    addresses
}

/// The TURN server listens on the addresses of the engine, and relays only to the engine.
pub(super) fn turn_arguments(
    options: &cli::UpOptions,
    addresses: &TurnAddresses,
    format: Format,
) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    push("--port", addresses.port.to_string().into());
    push("--log", format.name().into());
    options.log_level.iter().for_each(|level| push("--log-level", level.into()));
    metrics(options, 2).into_iter().for_each(|address| push("--metrics", address));
    addresses.listen_ips.iter().for_each(|ip| push("--listen-ip", ip.to_string().into()));
    addresses.relay_ips.iter().for_each(|ip| push("--relay-ip", ip.to_string().into()));
    if let (Some(certificate), Some(key)) = (&options.turn_certificate, &options.turn_private_key) {
        push("--tls-port", options.turn_tls_port.to_string().into());
        push("--certificate", certificate.into());
        push("--private-key", key.into());
    }
    for is_ipv6 in [false, true] {
        let announced = addresses.announced_ips.iter().find(|ip| ip.is_ipv6() == is_ipv6);
        announced.into_iter().for_each(|ip| push("--announced-ip", ip.to_string().into()));
    }
    let secret_file = options.turn_secret.turn_secret_file.as_ref();
    secret_file.into_iter().for_each(|path| push("--turn-secret-file", path.into()));
    // The same default as in the engine.
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16);
    let ports = if options.rtc_shared_port { 1 } else { options.workers.unwrap_or_else(cores) };
    let last = options.rtc_port.saturating_add(ports - 1);
    let engine = [listen_ips(options), announced_ips(options)].concat();
    for ip in engine.iter().filter(|ip| !ip.is_unspecified()) {
        let first = SocketAddr::new(*ip, options.rtc_port);
        push("--allow-peer", format!("{first}-{last}").into());
    }
    arguments.push("--allowed-peers-only".into());
    if options.log_addresses {
        arguments.push("--log-addresses".into());
    }
    arguments.push("--die-with-parent".into());
    arguments
}

/// Checks the ports here, because the TURN server would name its own options, which the operator did not
/// give.
fn check_turn_ports(options: &cli::UpOptions, addresses: &TurnAddresses) -> anyhow::Result<()> {
    let taken = |option: &str, protocol: &str, address: SocketAddr, bound: io::Result<()>| match bound {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "{option} {port}: {protocol} port {port} on {ip} is in use by another process: stop it, choose another port, or start \
             no TURN server with --turn-port 0",
            port = address.port(),
            ip = address.ip()
        ),
        // All other errors are reported by the server.
        _ => Ok(()),
    };
    let has_tls = options.turn_certificate.is_some();
    let ports = [("--turn-port", addresses.port), ("--turn-tls-port", options.turn_tls_port)];
    for (option, port) in ports.into_iter().take(1 + usize::from(has_tls)) {
        for ip in &addresses.listen_ips {
            let address = SocketAddr::new(*ip, port);
            taken(option, "UDP", address, std::net::UdpSocket::bind(address).map(drop))?;
            taken(option, "TCP", address, std::net::TcpListener::bind(address).map(drop))?;
        }
    }
    Ok(())
}

/// URLs of the TURN server: with its name, or with the addresses that are announced for the engine. Loopback
/// addresses only if there are no others.
fn turn_urls(options: &cli::UpOptions, addresses: &TurnAddresses) -> Vec<String> {
    let TurnAddresses { listen_ips, announced_ips, .. } = addresses;
    let is_missing =
        |ip: &&IpAddr| !announced_ips.iter().any(|announced| announced.is_ipv4() == ip.is_ipv4());
    let all: Vec<IpAddr> =
        announced_ips.iter().chain(listen_ips.iter().filter(is_missing)).copied().collect();
    let remote: Vec<IpAddr> = all.iter().copied().filter(|ip| !ip.is_loopback()).collect();
    let hosts: Vec<String> = match &options.turn_host {
        Some(name) => vec![name.clone()],
        None => {
            let ips = if remote.is_empty() { all } else { remote };
            ips.iter().take(TURN_HOSTS_MAX).map(|ip| turn_host(*ip)).collect()
        }
    };
    let (port, tls_port) = (addresses.port, options.turn_tls_port);
    let urls = |host: &String| {
        let plain = ["udp", "tcp"].map(|transport| format!("turn:{host}:{port}?transport={transport}"));
        let secure =
            options.turn_certificate.as_ref().map(|_| format!("turns:{host}:{tls_port}?transport=tcp"));
        plain.into_iter().chain(secure)
    };
    hosts.iter().flat_map(urls).collect()
}

fn turn_host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

pub(super) fn signaling_arguments(
    options: &cli::UpOptions,
    turn: Option<&TurnAddresses>,
    control_socket: &Path,
    format: Format,
) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |option: &str, value: OsString| arguments.extend([option.into(), value]);
    push("--http", options.http.http.to_string().into());
    push("--control-socket", control_socket.into());
    push("--log", format.name().into());
    options.log_level.iter().for_each(|level| push("--log-level", level.into()));
    metrics(options, 1).into_iter().for_each(|address| push("--metrics", address));
    if let Some(path) = &options.key.secret_file {
        push("--secret-file", path.into());
    }
    if let Some(path) = &options.key.public_key_file {
        push("--public-key-file", path.into());
    }
    for cli::TokenKey { id, path } in &options.key.token_keys {
        let mut value = OsString::from(format!("{id}="));
        value.push(path);
        push("--token-key", value);
    }
    if let Some(audience) = &options.key.token_audience {
        push("--token-audience", audience.into());
    }
    if let Some(issuer) = &options.key.token_issuer {
        push("--token-issuer", issuer.into());
    }
    if let Some(path) = &options.media.media {
        push("--media", path.into());
    }
    if let Some(dir) = &options.accounts.store.data_dir {
        push("--data-dir", dir.into());
    }
    if let Some(retention) = options.accounts.audit_retention {
        push("--audit-retention", format!("{}s", retention.as_secs()).into());
    }
    push("--quality-retention", format!("{}s", options.accounts.quality_retention.as_secs()).into());
    if let Some(region) = &options.bus.region {
        push("--region", region.to_string().into());
    }
    push("--spread-above", options.rooms.spread_above.to_string().into());
    push("--peers-per-user", options.rooms.peers_per_user.to_string().into());
    push("--idle-after", format!("{}s", options.sessions.idle_after.as_secs()).into());
    push("--connections-per-address", options.edge.connections_per_address.to_string().into());
    options.edge.trusted_proxy.iter().for_each(|it| push("--trusted-proxy", it.to_string().into()));
    options.edge.allow_origin.iter().for_each(|it| push("--allow-origin", it.to_string().into()));
    let secret_file = options.turn_secret.turn_secret_file.as_ref().filter(|_| turn.is_some());
    secret_file.into_iter().for_each(|path| push("--turn-secret-file", path.into()));
    for url in turn.into_iter().flat_map(|addresses| turn_urls(options, addresses)) {
        push("--turn-url", url.into());
    }
    if options.accounts.require_token {
        arguments.push("--require-token".into());
    }
    if options.rooms.allow_sha1_fingerprints {
        arguments.push("--allow-sha1-fingerprints".into());
    }
    if options.log_addresses {
        arguments.push("--log-addresses".into());
    }
    arguments.push("--die-with-parent".into());
    arguments
}

/// The registered port (RFC 8656 §18).
const TURN_PORT_DEFAULT: u16 = 3478;

/// Addresses of the TURN server that are announced to clients: one of each family.
const TURN_HOSTS_MAX: usize = 2;

#[cfg(test)]
mod tests;
