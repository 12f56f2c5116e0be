//! Command lines of both binaries, typed. What the values mean together is `config.rs`'s business.

use crate::auth::token;
use crate::auth::turn;
use crate::limits;
use crate::server::cors::AllowedOrigin;
use crate::server::edge::Network;
use clap::{Args, Parser, Subcommand};
use leat_log::Format;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Where clients connect, unless told otherwise.
pub const HTTP_DEFAULT: &str = "127.0.0.1:7080";

/// The signaling server: rooms, tokens and the object flow over Socket.IO, and the web app.
#[derive(Debug, Parser)]
#[command(name = "leat-signaling", version)]
pub struct SignalingOptions {
    /// Where clients connect.
    #[command(flatten)]
    pub http: HttpOptions,
    /// Who may connect.
    #[command(flatten)]
    pub edge: EdgeOptions,
    /// The key for tokens.
    #[command(flatten)]
    pub key: KeyOptions,
    /// What clients may send, and how.
    #[command(flatten)]
    pub media: MediaOptions,
    /// The TURN server that clients are told of.
    #[command(flatten)]
    pub turn: TurnOptions,
    /// Where rooms go.
    #[command(flatten)]
    pub rooms: RoomOptions,
    /// The engine's control socket [default: $XDG_RUNTIME_DIR/leat/control.sock, or /tmp/leat-UID/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control_socket: Option<PathBuf>,
    /// Ends with the process that started it
    #[arg(long)]
    pub die_with_parent: bool,
    /// How far to step back where the media engine is on the same cores, from 0 (not at all) to 19: added to the niceness it is started with
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u8).range(..=19))]
    pub nice: u8,
    /// How to log [default: text on a terminal, else json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log: Option<Format>,
}

/// Where clients connect.
#[derive(Clone, Debug, Args)]
pub struct HttpOptions {
    /// Address and port for HTTP and Socket.IO. Without a key for tokens, only a loopback address is taken
    #[arg(long, value_name = "IP:PORT", default_value = HTTP_DEFAULT)]
    pub http: SocketAddr,
}

/// Who may connect, and as whom.
#[derive(Clone, Debug, Args)]
pub struct EdgeOptions {
    /// A proxy that is believed when it tells a client's address, by X-Forwarded-For or PROXY protocol v2: an address or a network such as
    /// 10.0.0.0/8; may be given several times
    #[arg(long, value_name = "CIDR")]
    pub trusted_proxy: Vec<Network>,
    /// Connections of one IPv4 address or IPv6 /64, and sessions; raise it where many clients share one address
    #[arg(long, value_name = "COUNT", default_value_t = limits::CONNECTIONS_PER_ADDRESS as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_per_address: u32,
    /// Origin whose pages may use this server, beside its own, such as https://app.example.org; * for all; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub allow_origin: Vec<AllowedOrigin>,
}

/// What clients may send, and how.
#[derive(Clone, Debug, Default, Args)]
pub struct MediaOptions {
    /// YAML file with the video codecs of every room by priority, the layers of a camera, and Opus's stereo and DTX [default: built in, see
    /// docs/media-config.md]
    #[arg(long, value_name = "FILE")]
    pub media: Option<PathBuf>,
}

/// Where rooms go.
#[derive(Clone, Debug, Args)]
pub struct RoomOptions {
    /// Peers of a room beyond which more of them go to other workers of the engine; 0: from the first on
    #[arg(long, value_name = "PEERS", default_value_t = limits::SPREAD_ABOVE)]
    pub spread_above: usize,
    /// Peers of one user in one room; one more takes the place of one that has lost its connection, or is refused
    #[arg(long, value_name = "COUNT", default_value_t = limits::PEERS_PER_USER as u32, value_parser = clap::value_parser!(u32).range(1..))]
    pub peers_per_user: u32,
}

/// The TURN server that clients are told of; none unless URLs are given.
#[derive(Clone, Default, Args)]
pub struct TurnOptions {
    /// Where clients find the TURN server, for example turn:192.0.2.1:3478?transport=udp; may be given several times
    #[arg(long, value_name = "URL")]
    pub turn_url: Vec<String>,
    /// File whose first line is the secret that the TURN server's credentials are made with: leat-turn's --secret-file, coturn's
    /// static-auth-secret
    #[arg(long, value_name = "PATH", group = "turn_key")]
    pub turn_secret_file: Option<PathBuf>,
    /// The secret itself, by the environment alone
    #[arg(skip = std::env::var("LEAT_TURN_SECRET").ok())]
    pub turn_secret: Option<String>,
    /// How long such a credential is good; what was allocated with it lives on: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub turn_ttl: Duration,
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

/// By what the environment gives the secret that tokens are signed with.
pub const SECRET_VARIABLE: &str = "LEAT_SECRET";

/// The key that tokens are checked with. None: development mode, everybody is let in, on loopback only.
#[derive(Clone, Default, Args)]
pub struct KeyOptions {
    /// File with the secret that tokens are signed with (HS256), at least 32 bytes; white space at its end does not count
    #[arg(long, value_name = "PATH", group = "token_key")]
    pub secret_file: Option<PathBuf>,
    /// The secret itself; others on this machine may see it in the process list, so prefer --secret-file
    /// or the environment variable LEAT_SECRET
    #[arg(long, value_name = "TEXT", group = "token_key")]
    pub secret: Option<String>,
    /// The secret by the environment
    #[arg(skip = std::env::var(SECRET_VARIABLE).ok())]
    pub secret_of_environment: Option<String>,
    /// PEM file with the public key that tokens are checked with: Ed25519 (EdDSA) or RSA (RS256)
    #[arg(long, value_name = "PATH", group = "token_key")]
    pub public_key_file: Option<PathBuf>,
}

impl std::fmt::Debug for KeyOptions {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyOptions")
            .field("secret_file", &self.secret_file)
            .field("secret", &self.secret.as_ref().map(|_| "…"))
            .field("secret_of_environment", &self.secret_of_environment.as_ref().map(|_| "…"))
            .field("public_key_file", &self.public_key_file)
            .finish()
    }
}

/// Leat, a real-time communication platform.
#[derive(Debug, Parser)]
#[command(name = "leat", version)]
pub struct Leat {
    /// What to do.
    #[command(subcommand)]
    pub command: LeatCommand,
}

/// What `leat` can do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, at the start of a process")]
pub enum LeatCommand {
    /// Starts the media engine, the signaling server and the TURN server, and starts each again when it dies
    Up(UpOptions),
    /// Makes a token that lets a user into a room, and prints it
    Token(TokenOptions),
}

/// `leat up`.
#[derive(Clone, Debug, Args)]
pub struct UpOptions {
    /// Where clients connect.
    #[command(flatten)]
    pub http: HttpOptions,
    /// Who may connect.
    #[command(flatten)]
    pub edge: EdgeOptions,
    /// The key for tokens.
    #[command(flatten)]
    pub key: KeyOptions,
    /// What clients may send, and how.
    #[command(flatten)]
    pub media: MediaOptions,
    /// Where rooms go.
    #[command(flatten)]
    pub rooms: RoomOptions,
    /// First UDP port for media; worker N has this plus N
    #[arg(long, value_name = "PORT", default_value_t = 7000)]
    pub rtc_port: u16,
    /// First TCP port for media, for clients whose UDP is blocked; worker N has this plus N; 0: no TCP [default: as --rtc-port]
    #[arg(long, value_name = "PORT")]
    pub rtc_tcp_port: Option<u16>,
    /// Offer clients TCP only, for tests of what a blocked UDP does
    #[arg(long)]
    pub no_udp_candidates: bool,
    /// Address to take media on; may be given several times [default: loopback, and this machine's address in a private network]
    #[arg(long, value_name = "IP")]
    pub listen_ip: Vec<IpAddr>,
    /// Address that clients are told instead of the --listen-ip of the same family: the public side of a 1:1 NAT; may be given several times. A
    /// host name is resolved once, when the engine starts
    #[arg(long, value_name = "IP|NAME")]
    pub announced_ip: Vec<String>,
    /// When the engine starts, send a packet to each announced address and warn if it does not come back
    #[arg(long)]
    pub check_announced: bool,
    /// UDP and TCP port of the TURN server, for clients that cannot reach the media ports; 0: no TURN server [default: 3478, and no TURN
    /// server where that is in use]
    #[arg(long, value_name = "PORT")]
    pub turn_port: Option<u16>,
    /// Address that the TURN server relays from, where --listen-ip names all addresses; one of each family at most [default: this machine's
    /// address towards its default route, or --announced-ip where this machine has it]
    #[arg(long, value_name = "IP")]
    pub relay_ip: Vec<IpAddr>,
    /// TCP port of the TURN server for TLS; wants --turn-certificate
    #[arg(long, value_name = "PORT", default_value_t = 5349)]
    pub turn_tls_port: u16,
    /// The TURN server's certificate, PEM; without it there is no TLS
    #[arg(long, value_name = "PATH", requires = "turn_private_key")]
    pub turn_certificate: Option<PathBuf>,
    /// That certificate's private key, PEM
    #[arg(long, value_name = "PATH", requires = "turn_certificate")]
    pub turn_private_key: Option<PathBuf>,
    /// The name that clients are told of the TURN server, as in its certificate [default: its addresses]
    #[arg(long, value_name = "NAME", value_parser = turn::host)]
    pub turn_host: Option<String>,
    /// Engine workers, one thread each [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=126))]
    pub workers: Option<u16>,
    /// How long the engine keeps a room that no signaling process claims, in seconds [default: the engine's own]
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,
    /// Seconds without an ICE check and without media after which the engine takes a client to be gone: 10 to 3600, or 0 for never
    /// [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = consent_timeout)]
    pub consent_timeout: Option<u16>,
    /// The control socket between the two [default: $XDG_RUNTIME_DIR/leat/control.sock, or /tmp/leat-UID/control.sock]
    #[arg(long, value_name = "PATH")]
    pub control_socket: Option<PathBuf>,
    /// How to log [default: text on a terminal, else json]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log: Option<Format>,
}

/// `leat token`.
#[derive(Clone, Debug, Args)]
pub struct TokenOptions {
    /// The key for tokens.
    #[command(flatten)]
    pub key: KeyOptions,
    /// The room it is for: 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(long, value_parser = room)]
    pub room: String,
    /// The user's id: 1 to 128 characters
    #[arg(long, value_parser = user)]
    pub user: String,
    /// What others see [default: the user's id]
    #[arg(long)]
    pub name: Option<String>,
    /// How long it lasts: a number and s, m, h or d
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub ttl: Duration,
    /// The user may not send media
    #[arg(long)]
    pub no_publish: bool,
    /// The user may not receive media
    #[arg(long)]
    pub no_subscribe: bool,
    /// The user may have plain RTP transports, and so have media sent to any address
    #[arg(long)]
    pub plain: bool,
}

fn room(text: &str) -> Result<String, String> {
    token::check_room(text).map_err(|wanted| format!("expected {wanted}"))?;
    Ok(text.to_owned())
}

fn user(text: &str) -> Result<String, String> {
    token::check_user(text).map_err(|wanted| format!("expected {wanted}"))?;
    Ok(text.to_owned())
}

/// As the engine reads it.
fn consent_timeout(text: &str) -> Result<u16, String> {
    let seconds = text.parse().ok().filter(|seconds| matches!(seconds, 0 | 10..=3600));
    seconds.ok_or_else(|| "expected 0, or 10 to 3600 seconds".to_owned())
}

/// Reads "90s", "5m", "1h" or "7d".
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

    #[test]
    fn the_definitions_are_sound() {
        SignalingOptions::command().debug_assert();
        Leat::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
        for wrong in ["", "h", "1", "1w", "-1h", "0s", "1é", "99999999999999999999d", "9999999999999999999d"]
        {
            duration(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn a_wrong_value_is_told_with_its_name_and_costs_exit_code_2() {
        let error = SignalingOptions::try_parse_from(["leat-signaling", "--http", "localhost"])
            .expect_err("no address");
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("--http <IP:PORT>") && text.contains("localhost"), "{text}");
    }
}
