//! The command line, typed. What its parts mean together is decided where they are used.

use crate::media::{Codec, Pacing};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Puts load on media servers, and measures what it costs them.
#[derive(Debug, Parser)]
#[command(name = "leat-bench", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `leat-bench` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Puts load on a server that runs already
    Load(LoadArguments),
    /// Starts several servers in turn, puts the same load on each, and reports side by side
    Compare(CompareArguments),
    /// Starts several TURN servers in turn, and sends bursts through many allocations of each
    Turn(TurnArguments),
}

/// A TURN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Relay {
    /// This project's
    Leat,
    /// coturn, Debian's
    Coturn,
}

impl Relay {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leat => "leat",
            Self::Coturn => "coturn",
        }
    }
}

/// `leat-bench turn`.
#[derive(Clone, Debug, Args)]
pub struct TurnArguments {
    /// Which servers
    #[arg(long, value_enum, value_delimiter = ',', default_value = "leat,coturn")]
    pub rivals: Vec<Relay>,
    /// How often each is measured, in turn
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Allocations, each with one channel
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub allocations: u32,
    /// Packets in a burst, one burst in each direction at a time
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub burst: usize,
    /// Bytes of a payload, at least 16
    #[arg(long, value_name = "BYTES", default_value_t = 1_200)]
    pub payload: usize,
    /// Packets sent a second, both directions together
    #[arg(long, value_name = "PACKETS", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// How long to measure, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub seconds: u64,
    /// Core for the server
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub server_cpu: usize,
    /// Core for the load
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub cpu: usize,
    /// Write the comparison to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A server that there is a driver for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Server {
    /// This project's, by Socket.IO
    Leat,
    /// mediasoup, by the server in bench/rivals/mediasoup
    Mediasoup,
    /// Janus with its videoroom plugin, by WebSocket
    Janus,
}

impl Server {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leat => "leat",
            Self::Mediasoup => "mediasoup",
            Self::Janus => "janus",
        }
    }

    /// Where it is by default.
    pub fn default_url(self) -> &'static str {
        match self {
            Self::Leat => "ws://127.0.0.1:7080",
            Self::Mediasoup => "tcp://127.0.0.1:4443",
            Self::Janus => "ws://127.0.0.1:8188",
        }
    }
}

/// Who sends what to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// One camera to many [1 publisher, 200 subscribers]
    Livestream,
    /// Everybody sends camera and microphone and gets everybody else's [10 publishers, 10 subscribers]
    Meeting,
    /// Microphones to many listeners [10 publishers, 300 subscribers]
    Audio,
}

impl Shape {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Livestream => "livestream",
            Self::Meeting => "meeting",
            Self::Audio => "audio",
        }
    }
}

/// `leat-bench load`.
#[derive(Clone, Debug, Args)]
pub struct LoadArguments {
    /// Which server
    #[arg(long, value_enum, default_value = "leat")]
    pub server: Server,
    /// Where it is [default: its usual port on this machine]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Process to account for, with its children, while media flows
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// The load.
    #[command(flatten)]
    pub load: Load,
    /// Write the report to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report to this file as a page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `leat-bench compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArguments {
    /// Which servers; the first is what the others are held against
    #[arg(long, value_enum, value_delimiter = ',', default_value = "leat,mediasoup,janus")]
    pub rivals: Vec<Server>,
    /// How often each is measured, in turn
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Core for the server
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub server_cpu: usize,
    /// The load.
    #[command(flatten)]
    pub load: Load,
    /// Numbers of subscribers to measure once more, for the plot of CPU against subscribers
    #[arg(long, value_name = "COUNT,…", value_delimiter = ',')]
    pub sweep: Vec<u32>,
    /// Write the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results to this file as a page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A load, whatever the server.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Who sends what to whom
    #[arg(long, value_enum, default_value = "livestream")]
    pub shape: Shape,
    /// Peers that send, in each room [default: by shape]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub publishers: Option<u32>,
    /// Peers that receive, over all rooms [default: by shape]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub subscribers: Option<u32>,
    /// Rooms; each has its own publishers, and an even share of the subscribers
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rooms: u32,
    /// Codec that video pretends to be of
    #[arg(long, value_enum, default_value = "vp8")]
    pub codec: Codec,
    /// Bit rate of a camera's payload, kbit/s; with --simulcast, of the largest picture
    #[arg(long, value_name = "KBITS", default_value_t = 2500, value_parser = clap::value_parser!(u32).range(30..=50_000))]
    pub bitrate: u32,
    /// Frames of a camera a second
    #[arg(long, value_name = "RATE", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub fps: u32,
    /// Cameras send three sizes, with a sixteenth and a quarter of the bit rate below the largest
    #[arg(long)]
    pub simulcast: bool,
    /// A microphone beside each camera: 40 kbit/s, 50 packets a second; a meeting always has them
    #[arg(long)]
    pub audio: bool,
    /// Whether the packets of a frame leave at once or spread over the time until the next
    #[arg(long, value_enum, default_value = "burst")]
    pub pacing: Pacing,
    /// Peers that begin to join in a second
    #[arg(long, value_name = "RATE", default_value_t = 100.0, value_parser = positive)]
    pub ramp: f64,
    /// Time between the last join and the measurement, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = not_negative)]
    pub warm_up: f64,
    /// Time to measure, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive)]
    pub duration: f64,
    /// Part of the media that subscribers throw away as if it were lost on the way, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub loss: f64,
    /// One packet in so many is decrypted and compared with what was sent; all are counted
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub sample: u64,
    /// Take every datagram from the kernel by itself (no UDP GRO), as a network card without that would bring them
    #[arg(long)]
    pub no_gro: bool,
    /// Core for the generator [default: any; of compare 1, where there are two]
    #[arg(long, value_name = "CORE")]
    pub cpu: Option<usize>,
}

impl Load {
    /// Publishers of a room.
    pub fn publishers(&self) -> usize {
        let default = if self.shape == Shape::Livestream { 1 } else { 10 };
        self.publishers.unwrap_or(default) as usize
    }

    /// Subscribers of all rooms.
    pub fn subscribers(&self) -> usize {
        match (self.subscribers, self.shape) {
            (Some(subscribers), _) => subscribers as usize,
            (None, Shape::Livestream) => 200,
            (None, Shape::Meeting) => self.publishers() * self.rooms as usize,
            (None, Shape::Audio) => 300,
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |number| number > 0.0)
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, "a number, 0 or above", |number| number >= 0.0)
}

fn percent(text: &str) -> Result<f64, String> {
    number(text, "a percentage from 0 to below 100", |number| (0.0..100.0).contains(&number))
}

fn number(text: &str, wanted: &str, is_good: impl Fn(f64) -> bool) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| is_good(*number))
        .ok_or_else(|| format!("expected {wanted}, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    fn load(arguments: &[&str]) -> Load {
        let line = ["leat-bench", "load"].iter().chain(arguments);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Load(arguments) => arguments.load,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_shape_says_how_many_unless_told() {
        let sizes = |arguments: &[&str]| (load(arguments).publishers(), load(arguments).subscribers());
        assert_eq!(sizes(&[]), (1, 200));
        assert_eq!(sizes(&["--shape", "meeting"]), (10, 10));
        assert_eq!(sizes(&["--shape", "meeting", "--publishers", "4", "--rooms", "3"]), (4, 12));
        assert_eq!(sizes(&["--shape", "audio", "--subscribers", "50"]), (10, 50));
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_what_is_wanted() {
        for (option, value) in [("--loss", "100"), ("--ramp", "0"), ("--duration", "x"), ("--sample", "0")] {
            let error = Cli::try_parse_from(["leat-bench", "load", option, value]).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains(value), "{error}");
        }
    }
}
