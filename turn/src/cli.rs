//! The options, typed. [`config`](crate::config) checks their combination.

use bus::{Region, TurnUrl};
use clap::Parser;
use host::PortRange;
use leat_log::Format;
use relay::Allowed;
use relay::limits::{EXCESS_BYTES_PER_SECOND, EXCESS_BYTES_PER_SECOND_MIN};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Leat's TURN server (RFC 8656): relays for clients that cannot reach their peers directly.
///
/// Every option --a-b is also the environment variable LEAT_A_B and the key a-b of the file of --config. The
/// command line has precedence over the environment, and the environment over the file. SIGHUP reads the file,
/// the secrets and the certificate again; SIGTERM drains, and a second SIGTERM stops the server.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true)]
pub struct Cli {
    /// Configuration file (TOML) with options that are not given here or in the environment: docs/operations.md.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address to listen on, IPv4 or IPv6; may be repeated. Default: 127.0.0.1, and ::1 where the machine has
    /// it.
    #[arg(long, value_name = "IP")]
    pub listen_ip: Vec<IpAddr>,

    /// UDP and TCP port of the first worker; worker i listens on this plus i.
    #[arg(long, value_name = "PORT", default_value_t = 3478, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// TCP port for TLS and UDP port for DTLS of the first worker; worker i listens on this plus i. Needs
    /// --certificate. Use 443 for clients behind strict firewalls.
    #[arg(long, value_name = "PORT", default_value_t = 5349, value_parser = clap::value_parser!(u16).range(1..))]
    pub tls_port: u16,

    /// Certificate chain, PEM, the server's certificate first. Without it there is no TLS.
    #[arg(long, value_name = "PATH")]
    pub certificate: Option<PathBuf>,

    /// The certificate's private key, PEM.
    #[arg(long, value_name = "PATH")]
    pub private_key: Option<PathBuf>,

    /// Address of the relay sockets, at most one per family. Default: the first --listen-ip of each family.
    #[arg(long, value_name = "IP")]
    pub relay_ip: Vec<IpAddr>,

    /// Public address to announce to clients instead of --relay-ip (for 1:1 NAT); at most one per family.
    #[arg(long, value_name = "IP")]
    pub announced_ip: Vec<IpAddr>,

    /// Relay ports, UDP and TCP, one for each allocation and address family, divided evenly among the
    /// workers.
    #[arg(long, value_name = "FIRST-LAST", default_value = "49152-65535")]
    pub relay_ports: PortRange,

    /// Worker threads.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=126))]
    pub workers: u16,

    /// Realm of the users: at most 127 bytes. Every challenge contains it, so keep it short.
    #[arg(long, value_name = "NAME", default_value = "leat")]
    pub realm: String,

    /// File with the secret for time-limited credentials, one line. A second line is a secret that is valid
    /// too, to replace one by the other. The same as coturn's `static-auth-secret`.
    #[arg(long, visible_alias = "secret-file", value_name = "PATH", conflicts_with = "turn_secret")]
    pub turn_secret_file: Option<PathBuf>,

    /// The secret itself. All users of this host can read the command line: use --turn-secret-file or the
    /// environment variable LEAT_TURN_SECRET.
    #[arg(long, value_name = "TEXT")]
    pub turn_secret: Option<String>,

    /// A user with a fixed password; may be repeated. All users of this host can read the command line: use
    /// the file.
    #[arg(long, value_name = "NAME:PASSWORD")]
    pub user: Vec<UserPassword>,

    /// A peer that clients may reach although its address is private: the engine's address. ADDRESS[/BITS] or
    /// ADDRESS:FIRST[-LAST], IPv6 with ports in brackets; may be repeated.
    #[arg(long, value_name = "PEERS")]
    pub allow_peer: Vec<Allowed>,

    /// Let clients reach only the peers of --allow-peer, over UDP only (without RFC 6062): for a server that
    /// relays to one media server.
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub allowed_peers_only: bool,

    /// Accept channel numbers up to 0x7FFF (RFC 5766), for clients older than RFC 8656, such as coturn's
    /// turnutils_uclient.
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub old_channels: bool,

    /// Redirect clients to this server (RFC 8489 §10).
    #[arg(long, value_name = "IP:PORT")]
    pub alternate_server: Option<SocketAddr>,

    /// Maximum of allocations of one user.
    #[arg(long, value_name = "COUNT", default_value_t = 24)]
    pub allocations_per_user: u32,

    /// Maximum of relay ports of one user, including reserved ones.
    #[arg(long, value_name = "COUNT", default_value_t = 48)]
    pub ports_per_user: u32,

    /// Maximum of TCP connections with peers (RFC 6062) of one user.
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    pub connections_per_user: u32,

    /// Maximum of allocations from one IPv4 address or IPv6 /64.
    #[arg(long, value_name = "COUNT", default_value_t = 2048)]
    pub allocations_per_address: u32,

    /// Maximum of allocations of all users together. Default: 8192 per worker, the most that one worker can
    /// have.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_032_192))]
    pub allocations: Option<u32>,

    /// Maximum of payload of one allocation in each direction, in bits per second. 0: no limit.
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub bits_per_second_per_allocation: u64,

    /// Maximum of payload of all allocations, both directions together, in bits per second. 0: no limit.
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub bits_per_second: u64,

    /// Maximum lifetime of an allocation without a refresh, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(600..=3600))]
    pub lifetime_max: u64,

    /// Bytes per second that one IPv4 address or IPv6 /64 receives over UDP before it has authenticated, in
    /// excess of the bytes that it sent; the burst is twice as much. A challenge is about 24 bytes longer
    /// than the first request of a browser. Raise it if more than a thousand clients behind one address
    /// connect in the same second; the cost is more traffic towards forged source addresses.
    #[arg(long, value_name = "BYTES", default_value_t = EXCESS_BYTES_PER_SECOND, value_parser = clap::value_parser!(u32).range(i64::from(EXCESS_BYTES_PER_SECOND_MIN)..))]
    pub excess_bytes_per_second: u32,

    /// Address for Prometheus metrics over HTTP: GET /metrics. Without it there are none.
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,

    /// NATS server, nats://HOST:PORT, or tls://HOST:PORT for TLS; may be repeated for the servers of a
    /// cluster. The server reads revoked credentials from it, and registers there if --announce is given.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub nats: Vec<String>,

    /// File with the credentials for NATS (.creds).
    #[arg(long, value_name = "PATH")]
    pub nats_credentials: Option<PathBuf>,

    /// Region of this server: signaling prefers servers of its own region.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub region: Region,

    /// URL of this server for clients, such as turn:turn.example.org:3478?transport=udp, which the server
    /// registers in NATS; may be repeated. Needs --nats and --turn-secret-file.
    #[arg(long, value_name = "URL")]
    pub announce: Vec<TurnUrl>,

    /// Seconds that SIGTERM waits for existing allocations to end, while no new ones are created.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub drain_deadline: u64,

    /// End when the parent process ends.
    #[arg(long)]
    pub die_with_parent: bool,

    /// Format of the log on standard error. Default: text.
    #[arg(long, value_name = "FORM")]
    pub log: Option<Format>,

    /// Show the addresses of clients in the log. Without it, they are redacted.
    #[arg(long)]
    pub log_addresses: bool,

    /// What is logged: error, warn, info, debug, or directives such as warn,relay=debug. Default: info.
    #[arg(long, value_name = "FILTER", value_parser = leat_log::level)]
    pub log_level: Option<String>,
}

/// A value of `--user`.
#[derive(Clone, PartialEq, Eq)]
pub struct UserPassword {
    /// The part before the first colon.
    pub name: String,
    /// The part after it.
    pub password: String,
}

impl std::fmt::Debug for UserPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:_", self.name)
    }
}

impl FromStr for UserPassword {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                Ok(Self { name: name.to_owned(), password: password.to_owned() })
            }
            _ => Err("a user is a name and a password, such as alice:wonderland"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use options::OptionsOf;
    use options::walk::Walk;

    #[test]
    fn every_option_is_set_by_file_environment_and_command_line() {
        let walk = Walk::new(OptionsOf::Turn, Cli::command());
        walk.check_table();
        assert_eq!(walk.set_each(), Cli::command().get_arguments().count() - 1, "all but --config");
    }
}
