//! The table of options. Each option `--a-b` is also the environment variable `LEAT_A_B` and the key `a-b` of
//! the configuration file.

use crate::program::OptionsOf;
use OptionsOf::{Commands, Engine, Signaling, Turn, Up};

/// One option, with the same name and the same meaning in each of its programs.
#[derive(Debug)]
pub struct Row {
    /// The option, without dashes in front: the key of the file.
    pub name: &'static str,
    /// The programs that have it.
    pub programs: &'static [OptionsOf],
    /// How many values it has.
    pub kind: Kind,
    /// What its value looks like, as in the help.
    pub form: &'static str,
    /// Whether its value is not shown to people.
    pub is_secret: bool,
    /// Three different valid values; none of a [`Kind::Flag`]. The first is the example of the documentation.
    pub examples: [&'static str; 3],
}

/// How many values an option has, and how the file writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None: `true` or `false` in the environment and in the file.
    Flag,
    /// One text.
    Text,
    /// One integer, which the file writes without quotes.
    Number,
    /// Several texts: with commas between them in the environment, a list in the file.
    List,
}

impl Row {
    /// The environment variable.
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// Whether this program has it.
    pub fn is_of(&self, program: OptionsOf) -> bool {
        self.programs.contains(&program)
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }
}

/// The environment variable of an option.
fn variable(name: &str) -> String {
    format!("LEAT_{}", name.replace('-', "_").to_uppercase())
}

/// The option with this name.
pub fn row(name: &str) -> Option<&'static Row> {
    OPTIONS.iter().find(|row| row.name == name)
}

const fn option(
    name: &'static str,
    kind: Kind,
    form: &'static str,
    programs: &'static [OptionsOf],
    examples: [&'static str; 3],
) -> Row {
    Row { name, programs, kind, form, is_secret: false, examples }
}

const fn flag(name: &'static str, programs: &'static [OptionsOf]) -> Row {
    option(name, Kind::Flag, "true|false", programs, ["true", "false", "true"])
}

const fn text(
    name: &'static str,
    form: &'static str,
    programs: &'static [OptionsOf],
    examples: [&'static str; 3],
) -> Row {
    option(name, Kind::Text, form, programs, examples)
}

const fn number(
    name: &'static str,
    form: &'static str,
    programs: &'static [OptionsOf],
    examples: [&'static str; 3],
) -> Row {
    option(name, Kind::Number, form, programs, examples)
}

const fn list(
    name: &'static str,
    form: &'static str,
    programs: &'static [OptionsOf],
    examples: [&'static str; 3],
) -> Row {
    option(name, Kind::List, form, programs, examples)
}

/// Options of the three servers and of `leat up`.
const ALL: &[OptionsOf] = &[Up, Signaling, Engine, Turn];
const UP_SIGNALING: &[OptionsOf] = &[Up, Signaling];
const UP_ENGINE: &[OptionsOf] = &[Up, Engine];
const WITH_KEYS: &[OptionsOf] = &[Up, Signaling, Commands];
const WITH_BUS: &[OptionsOf] = &[Up, Signaling, Turn];
const WITH_MEDIA: &[OptionsOf] = &[Up, Engine, Turn];

/// Every option that can be set in three ways, in alphabetical order.
///
/// Not in it are `--help`, `--version`, and what one command of `leat` does, such as the room of a token.
pub const OPTIONS: &[Row] = &[
    number("allocations", "COUNT", &[Turn], ["4096", "100", "200"]),
    number("allocations-per-address", "COUNT", &[Turn], ["2048", "100", "200"]),
    number("allocations-per-user", "COUNT", &[Turn], ["24", "10", "20"]),
    flag("allow-injected-panics", &[Engine]),
    list(
        "allow-origin",
        "ORIGIN",
        UP_SIGNALING,
        ["https://app.example.org", "https://a.example", "https://b.example"],
    ),
    list("allow-peer", "PEERS", &[Turn], ["10.0.0.7:7000-7007", "10.0.0.8", "10.1.0.0/16"]),
    flag("allow-sha1-fingerprints", UP_SIGNALING),
    flag("allowed-peers-only", &[Turn]),
    text(
        "alternate-server",
        "IP:PORT",
        &[Turn],
        ["198.51.100.8:3478", "198.51.100.9:3478", "198.51.100.10:3478"],
    ),
    list(
        "announce",
        "URL",
        &[Turn],
        ["turn:turn.example.org:3478?transport=udp", "turn:a.example:3478", "turn:b.example:3478"],
    ),
    list("announced-ip", "IP|NAME", WITH_MEDIA, ["203.0.113.7", "203.0.113.8", "203.0.113.9"]),
    text("audit-retention", "TIME", UP_SIGNALING, ["400d", "30d", "7d"]),
    number("bits-per-second", "BITS", &[Turn], ["1000000000", "1000", "2000"]),
    number("bits-per-second-per-allocation", "BITS", &[Turn], ["5000000", "1000", "2000"]),
    text("certificate", "PATH", &[Turn], ["/etc/leat/turn.pem", "/a.pem", "/b.pem"]),
    flag("check-announced", UP_ENGINE),
    text(
        "config",
        "FILE",
        &[Up, Signaling, Engine, Turn, Commands],
        ["/etc/leat/leat.toml", "/a.toml", "/b.toml"],
    ),
    number("connections-per-address", "COUNT", UP_SIGNALING, ["200", "10", "20"]),
    number("connections-per-user", "COUNT", &[Turn], ["64", "10", "20"]),
    number("consent-timeout", "SECONDS", UP_ENGINE, ["30", "10", "20"]),
    text(
        "control-socket",
        "PATH",
        &[Up, Signaling, Engine],
        ["/run/leat/control.sock", "/a.sock", "/b.sock"],
    ),
    text("data-dir", "DIR", WITH_KEYS, ["/var/lib/leat", "/a", "/b"]),
    text(
        "database",
        "URL",
        WITH_KEYS,
        ["postgres://leat:PASSWORD@127.0.0.1/leat", "postgres://a/a", "postgres://b/b"],
    )
    .secret(),
    flag("die-with-parent", &[Signaling, Engine, Turn]),
    number("drain-deadline", "SECONDS", &[Turn], ["600", "10", "20"]),
    text("dtls", "VERSION", &[Engine], ["auto", "1.2", "auto"]),
    number("excess-bytes-per-second", "BYTES", &[Turn], ["65536", "70000", "80000"]),
    number("grace-period", "SECONDS", UP_ENGINE, ["60", "10", "20"]),
    text("http", "IP:PORT", UP_SIGNALING, ["127.0.0.1:7080", "127.0.0.1:7081", "127.0.0.1:7082"]),
    text("idle-after", "TIME", UP_SIGNALING, ["5m", "1m", "2m"]),
    number("lifetime-max", "SECONDS", &[Turn], ["3600", "600", "700"]),
    list("listen-ip", "IP", WITH_MEDIA, ["0.0.0.0", "127.0.0.1", "127.0.0.2"]),
    text("log", "FORMAT", ALL, ["json", "text", "json"]),
    flag("log-addresses", ALL),
    text("log-level", "FILTER", ALL, ["info", "debug", "warn"]),
    text("media", "FILE", UP_SIGNALING, ["/etc/leat/media.yml", "/a.yml", "/b.yml"]),
    text("metrics", "IP:PORT", ALL, ["127.0.0.1:9470", "127.0.0.1:9471", "127.0.0.1:9472"]),
    list(
        "nats",
        "URL",
        WITH_BUS,
        ["nats://127.0.0.1:4222", "nats://127.0.0.2:4222", "nats://127.0.0.3:4222"],
    )
    .secret(),
    text("nats-credentials", "PATH", WITH_BUS, ["/etc/leat/nats.creds", "/a.creds", "/b.creds"]),
    number("nice", "NUMBER", &[Signaling], ["10", "1", "2"]),
    flag("no-udp-candidates", UP_ENGINE),
    flag("old-channels", &[Turn]),
    number("peers-per-user", "COUNT", UP_SIGNALING, ["10", "1", "2"]),
    text("plain-ports", "FIRST-LAST", &[Engine], ["10000-11999", "20000-20099", "30000-30099"]),
    number("port", "PORT", &[Turn], ["3478", "3479", "3480"]),
    number("ports-per-user", "COUNT", &[Turn], ["48", "10", "20"]),
    text("private-key", "PATH", &[Turn], ["/etc/leat/turn.key", "/a.key", "/b.key"]),
    text("public-key-file", "PATH", WITH_KEYS, ["/etc/leat/token.pem", "/a.pem", "/b.pem"]),
    text("quality-retention", "TIME", UP_SIGNALING, ["30d", "1d", "2d"]),
    text("realm", "NAME", &[Turn], ["leat", "a.example", "b.example"]),
    text(
        "redis",
        "URL",
        UP_SIGNALING,
        ["redis://127.0.0.1:6379/0", "redis://127.0.0.2:6379", "redis://127.0.0.3:6379"],
    )
    .secret(),
    text("region", "NAME", WITH_BUS, ["eu", "us", "ap"]),
    list("relay-ip", "IP", &[Up, Turn], ["203.0.113.7", "203.0.113.8", "203.0.113.9"]),
    text("relay-ports", "FIRST-LAST", &[Turn], ["49152-65535", "50000-50099", "60000-60099"]),
    flag("require-token", UP_SIGNALING),
    number("rtc-port", "PORT", UP_ENGINE, ["7000", "7100", "7200"]),
    flag("rtc-shared-port", UP_ENGINE),
    number("rtc-tcp-port", "PORT", UP_ENGINE, ["7000", "7100", "7200"]),
    text("secret", "TEXT", WITH_KEYS, ["AT-LEAST-32-RANDOM-CHARACTERS…", "one", "two"]).secret(),
    text("secret-file", "PATH", WITH_KEYS, ["/etc/leat/secret", "/a", "/b"]),
    number("spread-above", "PEERS", UP_SIGNALING, ["50", "1", "2"]),
    number("tls-port", "PORT", &[Turn], ["5349", "5350", "5351"]),
    text("token-audience", "TEXT", WITH_KEYS, ["leat", "a", "b"]),
    text("token-issuer", "TEXT", WITH_KEYS, ["https://app.example.org", "a", "b"]),
    list("token-key", "KID=PATH", WITH_KEYS, ["2026-01=/etc/leat/token.pem", "a=/a", "b=/b"]),
    list("trusted-proxy", "CIDR", UP_SIGNALING, ["10.0.0.0/8", "10.0.0.1", "fd00::/8"]),
    text("turn-certificate", "PATH", &[Up], ["/etc/leat/turn.pem", "/a.pem", "/b.pem"]),
    text("turn-host", "NAME", &[Up], ["turn.example.org", "a.example", "b.example"]),
    number("turn-port", "PORT", &[Up], ["3478", "3479", "3480"]),
    text("turn-private-key", "PATH", &[Up], ["/etc/leat/turn.key", "/a.key", "/b.key"]),
    text("turn-secret", "TEXT", WITH_BUS, ["A-RANDOM-TEXT", "one", "two"]).secret(),
    text("turn-secret-file", "PATH", WITH_BUS, ["/etc/leat/turn.secret", "/a", "/b"]),
    number("turn-tls-port", "PORT", &[Up], ["5349", "5350", "5351"]),
    text("turn-ttl", "TIME", &[Signaling], ["1h", "1m", "2m"]),
    list(
        "turn-url",
        "URL",
        &[Signaling],
        ["turn:192.0.2.1:3478?transport=udp", "turn:a.example:3478", "turn:b.example:3478"],
    ),
    text("udp-steering", "HOW", &[Engine], ["auto", "ebpf", "hash"]),
    list("user", "NAME:PASSWORD", &[Turn], ["alice:PASSWORD", "bob:one", "carol:two"]).secret(),
    number("workers", "COUNT", WITH_MEDIA, ["4", "1", "2"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_sorted_and_have_different_variables() {
        for pair in OPTIONS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
        assert_eq!(row("listen-ip").map(Row::variable).as_deref(), Some("LEAT_LISTEN_IP"));
        assert!(row("listen-ips").is_none());
    }

    #[test]
    fn examples_of_precedence_differ() {
        for row in OPTIONS {
            let [first, second, third] = row.examples;
            assert!(first != second && second != third, "{}", row.name);
        }
    }
}
