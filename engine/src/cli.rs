//! The flags, typed. [`config`](crate::config) checks their combination.

use clap::{Parser, ValueEnum};
use host::PortRange;
use leat_log::Format;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Leat's media plane: forwards RTP between peers. Controlled by leat-signaling over a shared-memory ring.
///
/// Every option --a-b is also the environment variable LEAT_A_B and the key a-b of the file of --config. The
/// command line has precedence over the environment, and the environment over the file.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// Configuration file (TOML) with options that are not given here or in the environment: docs/operations.md.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Worker threads, each pinned to a core with its own UDP port. Default: one per core.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=126))]
    pub workers: Option<u16>,

    /// UDP port of the first worker; worker i listens on this plus i.
    #[arg(long, value_name = "PORT", default_value_t = 7000, value_parser = clap::value_parser!(u16).range(1..))]
    pub rtc_port: u16,

    /// All workers share the UDP port --rtc-port instead: one port to open in a firewall. At most 64 workers. TCP
    /// ports stay separate.
    #[arg(long)]
    pub rtc_shared_port: bool,

    /// How the kernel chooses the worker of a datagram at a shared port. auto: the first one of the list that it
    /// permits. ebpf (needs CAP_BPF) knows the worker of each peer; with cbpf and hash, workers hand over datagrams
    /// to each other.
    #[arg(long, value_name = "HOW", default_value = "auto", requires = "rtc_shared_port")]
    pub udp_steering: UdpSteering,

    /// TCP port of the first worker, for peers whose UDP is blocked (RFC 6544); worker i listens on this plus
    /// i. 0: no TCP. Default: as --rtc-port.
    #[arg(long, value_name = "PORT")]
    pub rtc_tcp_port: Option<u16>,

    /// Offer TCP candidates only. For tests of blocked UDP: the engine still listens on UDP.
    #[arg(long)]
    pub no_udp_candidates: bool,

    /// Address to listen on, IPv4 or IPv6; may be repeated. Default: 127.0.0.1, and ::1 where the machine has
    /// it.
    #[arg(long, value_name = "IP")]
    pub listen_ip: Vec<IpAddr>,

    /// Public address to advertise in ICE candidates (for 1:1 NAT), instead of the listening addresses of its
    /// family. Required with an unspecified --listen-ip. May be repeated, the preferred first; add the
    /// listening address to advertise it too. A host name is resolved once, at the start, to its addresses of
    /// every family that --listen-ip has.
    #[arg(long, value_name = "IP|NAME")]
    pub announced_ip: Vec<Host>,

    /// At the start, send a packet to each announced address and warn if it does not come back. Needs a NAT
    /// with hairpinning; without it, the warning is meaningless.
    #[arg(long)]
    pub check_announced: bool,

    /// UDP ports for plain RTP transports (ffmpeg, GStreamer), divided evenly among the workers. A transport
    /// uses one port, or an even port and the next one if RTCP has a separate port.
    #[arg(long, value_name = "FIRST-LAST", default_value = "10000-11999")]
    pub plain_ports: PortRange,

    /// Unix socket at which signaling attaches. A process that can connect to it controls the engine; its
    /// mode is 0600.
    #[arg(long, value_name = "PATH")]
    pub control_socket: PathBuf,

    /// Seconds for which rooms continue after signaling is gone, unless signaling returns and claims them.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub grace_period: u64,

    /// Seconds without an ICE check and without authentic media after which a transport is closed: 10 to
    /// 3600, or 0 for never. With 0, only signaling closes the transports of clients that disappear.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = consent_timeout)]
    pub consent_timeout: u64,

    /// DTLS version. auto uses 1.3 if the client offers it, otherwise 1.2. Both select AES-GCM for media if
    /// it is offered.
    #[arg(long, value_name = "VERSION", default_value = "auto")]
    pub dtls: DtlsVersion,

    /// Address for metrics and health over HTTP: GET /metrics (OpenMetrics), /livez, /readyz. Without it there
    /// are none. Any program that can connect can read them: give an address that only the monitoring can reach.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,

    /// For tests: accept the command that makes a worker panic in a transport. Refused without this.
    #[arg(long, hide = true)]
    pub allow_injected_panics: bool,

    /// End when the parent process does.
    #[arg(long)]
    pub die_with_parent: bool,

    /// Form of the log on standard error.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub log: Format,

    /// Show the addresses of clients in the log. Without it, they are redacted.
    #[arg(long)]
    pub log_addresses: bool,

    /// What is logged: error, warn, info, debug, or directives such as warn,sfu=debug. Default: info.
    #[arg(long, value_name = "FILTER", value_parser = leat_log::level)]
    pub log_level: Option<String>,
}

/// Parses `--consent-timeout`. A shorter value would close the transports of browsers between two of their
/// checks.
fn consent_timeout(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| matches!(seconds, 0 | 10..=3600));
    seconds.ok_or_else(|| "expected 0, or 10 to 3600 seconds".to_owned())
}

/// A value of `--announced-ip`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name in DNS or the hosts file (RFC 1123 §2.1).
    Name(String),
}

impl FromStr for Host {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // Four numbers are a mistyped address, never a name.
        let is_number =
            text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if text.len() <= 253 && !is_number && text.split('.').all(is_label) {
            return Ok(Self::Name(text.to_owned()));
        }
        Err("neither an IP address nor a host name")
    }
}

/// A value of `--udp-steering`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UdpSteering {
    /// The best one.
    Auto,
    /// An extended BPF program.
    Ebpf,
    /// A classic BPF program.
    Cbpf,
    /// The kernel's hash of the addresses.
    Hash,
}

/// A value of `--dtls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtlsVersion {
    /// DTLS 1.2 only.
    #[value(name = "1.2")]
    Only12,
    /// The newest version that the peer offers.
    Auto,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use options::OptionsOf;
    use options::walk::Walk;

    #[test]
    fn every_option_is_set_by_file_environment_and_command_line() {
        let walk = Walk::new(OptionsOf::Engine, Cli::command());
        walk.check_table();
        assert_eq!(walk.set_each(), Cli::command().get_arguments().count() - 1, "all but --config");
    }
}
