//! The command lines of both binaries. [`super`] checks how their values combine.

use super::clock_source::ClockSource;
use super::store::{AdminCommand, FileOption, StoreOptions};
use crate::auth::key;
use crate::auth::token;
use crate::auth::turn;
use crate::limits;
use crate::server::cors::AllowedOrigin;
use crate::server::edge::Network;
use bus::{Region, TurnUrl};
use clap::{Args, Parser, Subcommand};
use leat_log::Format;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The default address for HTTP.
pub const HTTP_DEFAULT: &str = "127.0.0.1:7080";

/// The signaling server: rooms, tokens and the object flow over Socket.IO, and the web app.
///
/// Every option --a-b is also the environment variable LEAT_A_B and the key a-b of the file of --config. The
/// command line has precedence over the environment, and the environment over the file.
#[derive(Debug, Parser)]
#[command(name = "leat-signaling", version)]
pub struct SignalingOptions {
    /// Configuration file (TOML) with options that are not given here or in the environment: docs/operations.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The HTTP server.
    #[command(flatten)]
    pub http: HttpOptions,
    /// Limits and origins of clients.
    #[command(flatten)]
    pub edge: EdgeOptions,
    /// The key for tokens.
    #[command(flatten)]
    pub key: KeyOptions,
    /// Codecs, and how clients encode.
    #[command(flatten)]
    pub media: MediaOptions,
    /// The TURN server that is announced to clients.
    #[command(flatten)]
    pub turn: TurnOptions,
    /// Events, and the register of TURN servers.
    #[command(flatten)]
    pub bus: BusOptions,
    /// Size and placement of rooms.
    #[command(flatten)]
    pub rooms: RoomOptions,
    /// Accounts.
    #[command(flatten)]
    pub accounts: AccountOptions,
    /// Sessions and presence.
    #[command(flatten)]
    pub sessions: SessionOptions,
    /// The engine's control socket [default: $XDG_RUNTIME_DIR/leat/control.sock, or
    /// /tmp/leat-UID/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control_socket: Option<PathBuf>,
    /// Address for metrics and health over HTTP: /metrics, /livez and /readyz. Any program that can connect
    /// can read them [default: none]
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
    /// End when the parent process ends
    #[arg(long)]
    pub die_with_parent: bool,
    /// Niceness of the signaling process relative to its parent, 0 to 19, so that media has priority on a
    /// shared core
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u8).range(..=19))]
    pub nice: u8,
    /// Log format [default: text on a terminal, else json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log: Option<Format>,
    /// Show the addresses of clients in the log [default: they are redacted]
    #[arg(long)]
    pub log_addresses: bool,
    /// What is logged: error, warn, info, debug, or directives such as warn,signaling=debug [default: info]
    #[arg(long, value_name = "FILTER", value_parser = leat_log::level)]
    pub log_level: Option<String>,
}

/// The HTTP server.
#[derive(Clone, Debug, Args)]
pub struct HttpOptions {
    /// Address and port for HTTP and Socket.IO. Without a key for tokens, it must be a loopback address
    #[arg(long, value_name = "IP:PORT", default_value = HTTP_DEFAULT)]
    pub http: SocketAddr,
}

/// Limits and origins of clients.
#[derive(Clone, Debug, Args)]
pub struct EdgeOptions {
    /// Address or network of a trusted proxy, for example 10.0.0.0/8; it reports the address of a client by
    /// X-Forwarded-For or PROXY protocol v2. May be given several times
    #[arg(long, value_name = "CIDR")]
    pub trusted_proxy: Vec<Network>,
    /// Maximum number of connections, and of sessions, of one IPv4 address or IPv6 /64; increase it if many
    /// clients share an address
    #[arg(long, value_name = "COUNT", default_value_t = limits::CONNECTIONS_PER_ADDRESS as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_address: u32,
    /// Additional origin whose pages may use this server, for example https://app.example.org; * for all. May
    /// be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<AllowedOrigin>,
}

/// Codecs, and how clients encode.
#[derive(Clone, Debug, Default, Args)]
pub struct MediaOptions {
    /// YAML file with the video codecs of all rooms by priority, the layers of cameras, and stereo and DTX of
    /// Opus [default: built in, see docs/media-config.md]
    #[arg(long, value_name = "FILE")]
    pub media: Option<PathBuf>,
}

/// Size and placement of rooms.
#[derive(Clone, Debug, Args)]
pub struct RoomOptions {
    /// Number of peers of a room above which further peers are placed on other workers of the engine; 0:
    /// always
    #[arg(long, value_name = "PEERS", default_value_t = limits::SPREAD_ABOVE)]
    pub spread_above: usize,
    /// Maximum number of peers of one user in one room; a further one replaces a peer that has lost its
    /// connection, or is refused
    #[arg(long, value_name = "COUNT", default_value_t = limits::PEERS_PER_USER as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub peers_per_user: u32,
    /// Accept clients whose only certificate fingerprint is SHA-1: very old encoders
    #[arg(long)]
    pub allow_sha1_fingerprints: bool,
}

/// Accounts and API keys.
#[derive(Clone, Debug, Args)]
pub struct AccountOptions {
    /// The database of accounts.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Time after which entries of the audit log are deleted: a number and s, m, h or d, for example 400d
    /// [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub audit_retention: Option<Duration>,
    /// Time after which the records of the quality of calls are deleted: a number and s, m, h or d
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30d")]
    pub quality_retention: Duration,
    /// Require a token of every client, also without another key: of a login, or of an API key in the
    /// database
    #[arg(long)]
    pub require_token: bool,
}

/// Events for other processes, the register of TURN servers, and revoked TURN credentials. Without NATS,
/// events stay in this process.
#[derive(Clone, Default, Args)]
pub struct BusOptions {
    /// NATS server: nats://HOST:PORT, or tls://HOST:PORT for TLS. May be given several times for the servers of
    /// a cluster. A password in it is visible in the process list: use the environment variable LEAT_NATS, with
    /// commas between several, or --nats-credentials
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub nats: Vec<String>,
    /// File with the credentials for NATS (.creds)
    #[arg(long, value_name = "PATH", requires = "nats")]
    pub nats_credentials: Option<PathBuf>,
    /// Region of this process: clients get a TURN server of the same region, if one has registered
    #[arg(long, value_name = "NAME")]
    pub region: Option<Region>,
}

impl std::fmt::Debug for BusOptions {
    /// Without the URLs, which may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BusOptions").field("nats", &self.nats.len()).field("region", &self.region).finish()
    }
}

/// Sessions and presence.
#[derive(Clone, Args)]
pub struct SessionOptions {
    /// Address of Redis, which shares sessions and presence with other signaling processes, for example
    /// redis://127.0.0.1:6379/0. A password in it is visible in the process list: use the environment variable
    /// LEAT_REDIS
    /// [default: in memory]
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// Time without activity of a user after which its presence is IDLE: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub idle_after: Duration,
}

impl std::fmt::Debug for SessionOptions {
    /// Without the address, which may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionOptions")
            .field("redis", &self.redis.as_ref().map(|_| "…"))
            .field("idle_after", &self.idle_after)
            .finish()
    }
}

/// The TURN server that is announced to clients; none without URLs or a register.
#[derive(Clone, Default, Args)]
pub struct TurnOptions {
    /// URL of the TURN server, for example turn:192.0.2.1:3478?transport=udp. May be given several times. Servers
    /// that register in NATS need none
    #[arg(long, value_name = "URL")]
    pub turn_url: Vec<String>,
    /// The secret of the TURN server.
    #[command(flatten)]
    pub secret: TurnSecretOptions,
    /// Lifetime of TURN credentials: a number and s, m, h or d. Existing allocations continue after it
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub turn_ttl: Duration,
}

/// The secret that TURN server and signaling share.
#[derive(Clone, Default, Args)]
pub struct TurnSecretOptions {
    /// File whose first line is the shared secret for TURN credentials: the same as --turn-secret-file of
    /// leat-turn, or static-auth-secret of coturn
    #[arg(long, value_name = "PATH", conflicts_with = "turn_secret")]
    pub turn_secret_file: Option<PathBuf>,
    /// The secret itself. Other users of this machine can read it in the process list: prefer
    /// --turn-secret-file or the environment variable LEAT_TURN_SECRET
    #[arg(long, value_name = "TEXT")]
    pub turn_secret: Option<String>,
}

impl std::fmt::Debug for TurnSecretOptions {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnSecretOptions")
            .field("turn_secret_file", &self.turn_secret_file)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TurnOptions {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnOptions")
            .field("turn_url", &self.turn_url)
            .field("turn_ttl", &self.turn_ttl)
            .finish()
    }
}

/// The key that verifies tokens. None: development mode, without tokens, on loopback only.
#[derive(Clone, Default, Args)]
pub struct KeyOptions {
    /// File with the secret for tokens (HS256), at least 32 bytes; white space at its end is ignored
    #[arg(long, value_name = "PATH", group = "token_key")]
    pub secret_file: Option<PathBuf>,
    /// The secret for tokens. Other users of this machine can read it in the process list: prefer
    /// --secret-file or the environment variable LEAT_SECRET
    #[arg(long, value_name = "TEXT", group = "token_key")]
    pub secret: Option<String>,
    /// PEM file with the public key that verifies tokens: Ed25519 (EdDSA), P-256 (ES256) or RSA (RS256)
    #[arg(long, value_name = "PATH", group = "token_key")]
    pub public_key_file: Option<PathBuf>,
    /// Key of tokens with this "kid" in their header: a PEM file with a public key, or a file with a secret.
    /// May be given several times, for example while a key is being replaced
    #[arg(long = "token-key", value_name = "KID=PATH", value_parser = token_key)]
    pub token_keys: Vec<TokenKey>,
    /// Accept only tokens whose "aud" is or contains this text [default: "aud" is not checked]
    #[arg(long, value_name = "TEXT")]
    pub token_audience: Option<String>,
    /// Accept only tokens with this "iss" [default: "iss" is not checked]
    #[arg(long, value_name = "TEXT")]
    pub token_issuer: Option<String>,
}

/// A key for tokens with a `kid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    /// The `kid`.
    pub id: String,
    /// The file of the key.
    pub path: PathBuf,
}

fn token_key(text: &str) -> Result<TokenKey, String> {
    let (id, path) =
        text.split_once('=').ok_or("expected KID=PATH, for example 2026-01=/etc/leat/token.pem")?;
    key::check_id(id).map_err(|error| error.to_string())?;
    Ok(TokenKey { id: id.to_owned(), path: path.into() })
}

impl std::fmt::Debug for KeyOptions {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyOptions")
            .field("secret_file", &self.secret_file)
            .field("secret", &self.secret.as_ref().map(|_| "…"))
            .field("public_key_file", &self.public_key_file)
            .field("token_keys", &self.token_keys)
            .field("token_audience", &self.token_audience)
            .field("token_issuer", &self.token_issuer)
            .finish()
    }
}

/// Leat, a real-time communication platform.
#[derive(Debug, Parser)]
#[command(name = "leat", version)]
pub struct Leat {
    /// The command.
    #[command(subcommand)]
    pub command: LeatCommand,
}

/// The commands of `leat`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, at the start of a process")]
pub enum LeatCommand {
    /// Start the media engine, the signaling server and the TURN server, and restart each when it exits
    Up(UpOptions),
    /// Create a token for a user and a room, and print it
    Token(TokenOptions),
    /// Check this machine for what `leat up` needs with the same options; the exit code is 1 if it cannot run
    Doctor(DoctorOptions),
    /// Check the configuration file, or show the options of `leat up`
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Accounts.
    #[command(flatten)]
    Admin(AdminCommand),
}

/// `leat doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorOptions {
    /// The options of `leat up`.
    #[command(flatten)]
    pub up: UpOptions,
    /// Server that knows the time: ntp://HOST[:PORT], or http://HOST[:PORT]/PATH for the Date of its answer; none:
    /// the clock is not checked
    #[arg(long, value_name = "URL", default_value = "ntp://pool.ntp.org")]
    pub clock: ClockSource,
    /// URL of a TURN server to check with --turn-secret-file, for example turn:192.0.2.1:3478?transport=udp. May be
    /// given several times [default: the server of `leat up`, while that runs]
    #[arg(long, value_name = "URL")]
    pub turn_url: Vec<TurnUrl>,
    /// Print JSON: an array of objects with check, level (ok, unknown, warning, error), message and advice
    #[arg(long)]
    pub json: bool,
}

/// `leat config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file for all programs
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the options that `leat up` has with this file and this environment, without secrets
    Show {
        /// The configuration file.
        #[command(flatten)]
        from: FileOption,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `leat up`.
#[derive(Clone, Debug, Args)]
pub struct UpOptions {
    /// Configuration file (TOML) with options that are not given here or in the environment: docs/operations.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The HTTP server.
    #[command(flatten)]
    pub http: HttpOptions,
    /// Limits and origins of clients.
    #[command(flatten)]
    pub edge: EdgeOptions,
    /// The key for tokens.
    #[command(flatten)]
    pub key: KeyOptions,
    /// Codecs, and how clients encode.
    #[command(flatten)]
    pub media: MediaOptions,
    /// Events, and the register of TURN servers.
    #[command(flatten)]
    pub bus: BusOptions,
    /// Size and placement of rooms.
    #[command(flatten)]
    pub rooms: RoomOptions,
    /// Accounts.
    #[command(flatten)]
    pub accounts: AccountOptions,
    /// Sessions and presence.
    #[command(flatten)]
    pub sessions: SessionOptions,
    /// Address for metrics and health of the engine over HTTP; signaling uses the next port, and the TURN
    /// server the one after that. Any program that can connect can read them [default: none]
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
    /// First UDP port for media; worker N uses this plus N
    #[arg(long, value_name = "PORT", default_value_t = 7000)]
    pub rtc_port: u16,
    /// All workers share the UDP port --rtc-port: one port to open in a firewall
    #[arg(long)]
    pub rtc_shared_port: bool,
    /// First TCP port for media, for clients that cannot use UDP; worker N uses this plus N; 0: no TCP
    /// [default: same as --rtc-port]
    #[arg(long, value_name = "PORT")]
    pub rtc_tcp_port: Option<u16>,
    /// Offer only TCP candidates, to test clients that cannot use UDP
    #[arg(long)]
    pub no_udp_candidates: bool,
    /// Address to receive media on. May be given several times [default: loopback, and the address of this
    /// machine in a private network]
    #[arg(long, value_name = "IP")]
    pub listen_ip: Vec<IpAddr>,
    /// Public address that is announced to clients instead of the --listen-ip of the same family, for a 1:1
    /// NAT. May be given several times. A host name is resolved once, when the engine starts
    #[arg(long, value_name = "IP|NAME")]
    pub announced_ip: Vec<String>,
    /// When the engine starts, send a packet to each announced address and warn if it does not return
    #[arg(long)]
    pub check_announced: bool,
    /// UDP and TCP port of the TURN server, for clients that cannot reach the media ports; 0: no TURN server
    /// [default: 3478, and no TURN server if that is in use]
    #[arg(long, value_name = "PORT")]
    pub turn_port: Option<u16>,
    /// Address from which the TURN server relays, if --listen-ip names all addresses; at most one of each
    /// family [default: the address of this machine on its default route, or --announced-ip if this machine
    /// has it]
    #[arg(long, value_name = "IP")]
    pub relay_ip: Vec<IpAddr>,
    /// TCP port of the TURN server for TLS; needs --turn-certificate
    #[arg(long, value_name = "PORT", default_value_t = 5349)]
    pub turn_tls_port: u16,
    /// PEM file with the certificate of the TURN server; without it there is no TLS
    #[arg(long, value_name = "PATH", requires = "turn_private_key")]
    pub turn_certificate: Option<PathBuf>,
    /// PEM file with the private key of that certificate
    #[arg(long, value_name = "PATH", requires = "turn_certificate")]
    pub turn_private_key: Option<PathBuf>,
    /// The secret of the TURN server [default: a new one at each start].
    #[command(flatten)]
    pub turn_secret: TurnSecretOptions,
    /// Host name of the TURN server, as in its certificate, that is announced to clients [default: its
    /// addresses]
    #[arg(long, value_name = "NAME", value_parser = turn::host)]
    pub turn_host: Option<String>,
    /// Number of engine workers, one thread each [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=126))]
    pub workers: Option<u16>,
    /// Seconds that the engine keeps a room without a signaling process [default: that of leat-engine]
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,
    /// Seconds without an ICE check and without media after which the engine closes the transport of a
    /// client: 10 to 3600, or 0 for never [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = consent_timeout)]
    pub consent_timeout: Option<u16>,
    /// Control socket between engine and signaling [default: $XDG_RUNTIME_DIR/leat/control.sock, or
    /// /tmp/leat-UID/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control_socket: Option<PathBuf>,
    /// Log format [default: text on a terminal, else json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log: Option<Format>,
    /// Show the addresses of clients in the log [default: they are redacted]
    #[arg(long)]
    pub log_addresses: bool,
    /// What is logged: error, warn, info, debug, or directives such as warn,signaling=debug [default: info]
    #[arg(long, value_name = "FILTER", value_parser = leat_log::level)]
    pub log_level: Option<String>,
}

/// `leat token`.
#[derive(Clone, Debug, Args)]
pub struct TokenOptions {
    /// Configuration file (TOML) with options that are not given here or in the environment: docs/operations.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The key for tokens.
    #[command(flatten)]
    pub key: KeyOptions,
    /// The room: 1 to 64 of A-Z a-z 0-9 . _ -, or * for all rooms of the project
    #[arg(long, value_parser = room)]
    pub room: String,
    /// The user id: 1 to 128 characters
    #[arg(long, value_parser = user)]
    pub user: String,
    /// Display name [default: the user id]
    #[arg(long)]
    pub name: Option<String>,
    /// Lifetime: a number and s, m, h or d
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub ttl: Duration,
    /// The user may not publish media
    #[arg(long)]
    pub no_publish: bool,
    /// The user may not subscribe to media
    #[arg(long)]
    pub no_subscribe: bool,
    /// The user may create plain RTP transports, and so have media sent to any address
    #[arg(long)]
    pub plain: bool,
    /// Source that the user may publish, for example microphone. May be given several times [default: all]
    #[arg(long, value_name = "SOURCE", value_parser = source)]
    pub publish_source: Vec<String>,
    /// The user may not send data to the others
    #[arg(long)]
    pub no_data: bool,
    /// The user may not create the room by joining it
    #[arg(long)]
    pub no_create_room: bool,
    /// The user may change its display name and metadata during the call
    #[arg(long)]
    pub metadata: bool,
    /// The user may remove and mute others, change the room's settings and admit clients that wait for it
    #[arg(long)]
    pub admin: bool,
    /// The others are not notified of the user, who may not publish
    #[arg(long)]
    pub hidden: bool,
    /// "kid" of the token: of an API key, or of a secret in --token-key
    #[arg(long, value_name = "KID")]
    pub kid: Option<String>,
}

fn room(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    token::check_room(text).map_err(|wanted| format!("expected {wanted}"))?;
    Ok(text.to_owned())
}

fn source(text: &str) -> Result<String, String> {
    token::check_source(text).map_err(|wanted| format!("expected {wanted}"))?;
    Ok(text.to_owned())
}

fn user(text: &str) -> Result<String, String> {
    token::check_user(text).map_err(|wanted| format!("expected {wanted}"))?;
    Ok(text.to_owned())
}

/// The same rule as in the engine.
fn consent_timeout(text: &str) -> Result<u16, String> {
    let seconds = text.parse().ok().filter(|seconds| matches!(seconds, 0 | 10..=3600));
    seconds.ok_or_else(|| "expected 0, or 10 to 3600 seconds".to_owned())
}

/// Parses "90s", "5m", "1h" or "7d".
fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("expected a number and s, m, h or d, for example 90s or 1h, not {text:?}");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wanted)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wanted()),
    };
    let number: u64 = number.parse().map_err(|_| wanted())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use options::OptionsOf;
    use options::walk::Walk;

    #[test]
    fn command_lines_are_well_formed() {
        SignalingOptions::command().debug_assert();
        let options = SignalingOptions::try_parse_from(["leat-signaling"]).expect("no option is required");
        assert_eq!(options.sessions.idle_after, limits::IDLE_AFTER);
        Leat::command().debug_assert();
    }

    #[test]
    fn every_option_is_set_by_file_environment_and_command_line() {
        let command = SignalingOptions::command();
        let walk = Walk::new(OptionsOf::Signaling, command.clone());
        walk.check_table();
        assert_eq!(walk.set_each(), command.get_arguments().count() - 1, "all but --config");
        let leat = Leat::command();
        let up = leat.find_subcommand("up").expect("leat up").clone();
        let walk = Walk::new(OptionsOf::Up, up.clone());
        walk.check_table();
        assert_eq!(walk.set_each(), up.get_arguments().count() - 1, "all but --config");
        let of_others =
            leat.get_subcommands().filter(|command| !["up", "doctor"].contains(&command.get_name()));
        let counts: Vec<_> = of_others
            .map(|command| {
                let walk = Walk::new(OptionsOf::Commands, command.clone());
                walk.check_table();
                (command.get_name(), walk.set_each())
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        let of_store = ["users", "projects", "keys", "stream-keys", "audit", "quality", "backup", "restore"];
        assert_eq!(counts, [&[("token", 6)][..], &of_store.map(|name| (name, 2))].concat());
    }

    #[test]
    fn duration_needs_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        for wrong in ["", "h", "1", "1w", "-1h", "0s", "1é", "99999999999999999999d", "9999999999999999999d"]
        {
            duration(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn invalid_value_is_reported_with_its_option_and_exit_code_2() {
        let error = SignalingOptions::try_parse_from(["leat-signaling", "--http", "localhost"])
            .expect_err("no address");
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("--http <IP:PORT>") && text.contains("localhost"), "{text}");
    }
}
