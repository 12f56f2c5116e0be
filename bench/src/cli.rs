//! The command line, typed. Its combinations are checked where they are used.

use crate::media::{Codec, MESSAGE_HEAD_LEN, Pacing};
use crate::peer::MESSAGE_LEN_MAX;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Puts load on media servers, and measures their cost
#[derive(Debug, Parser)]
#[command(name = "leat-bench", version)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Puts load on a running server
    Load(LoadArguments),
    /// Starts several servers in turn, puts the same load on each, and reports side by side
    Compare(CompareArguments),
    /// Starts several TURN servers in turn, and sends bursts through many allocations of each
    Turn(TurnArguments),
    /// Compares two files of results, and ends with 1 if a figure is worse beyond the noise
    Diff(DiffArguments),
    /// Starts several signaling servers in turn; many clients join rooms and change their presence
    Signaling(SignalingArguments),
}

/// `leat-bench diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArguments {
    /// Results of an earlier run, written with --json by load, compare or turn
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// Results of a later run of the same command
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Percent of a figure that are noise at least; the spread of the rounds counts if it is larger
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0, value_parser = percent)]
    pub noise: f64,
}

/// A signaling server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Front {
    /// This project's
    Leat,
    /// Node.js with socket.io and its Redis adapter: bench/rivals/socketio
    #[value(name = "socketio")]
    SocketIo,
}

impl Front {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leat => "leat",
            Self::SocketIo => "socketio",
        }
    }
}

/// `leat-bench signaling`.
#[derive(Clone, Debug, Args)]
pub struct SignalingArguments {
    /// Servers to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "leat,socketio")]
    pub rivals: Vec<Front>,
    /// Measurements of each server, alternately
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Clients, over all rooms
    #[arg(long, value_name = "COUNT", default_value = "5000", value_parser = count(1, 20_000))]
    pub clients: usize,
    /// Rooms; each has an equal share of the clients
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = count(1, 10_000))]
    pub rooms: usize,
    /// Clients that start to join per second
    #[arg(long, value_name = "RATE", default_value_t = 500.0, value_parser = positive)]
    pub joins: f64,
    /// Changes of presence per second, over all clients
    #[arg(long, value_name = "RATE", default_value_t = 100.0, value_parser = positive)]
    pub changes: f64,
    /// Duration of the changes, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u64,
    /// Core of the server
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub server_cpu: usize,
    /// Core of the load generator
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub cpu: usize,
    /// Write the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
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
    /// Servers to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "leat,coturn")]
    pub rivals: Vec<Relay>,
    /// Measurements of each server, alternately
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
    /// Packets per second, both directions together
    #[arg(long, value_name = "PACKETS", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// Duration of the measurement, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub seconds: u64,
    /// Core of the server
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub server_cpu: usize,
    /// Core of the load generator
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub cpu: usize,
    /// Write the comparison to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the comparison to this file as a page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A server with a driver.
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

    /// Its default address.
    pub fn default_url(self) -> &'static str {
        match self {
            Self::Leat => "ws://127.0.0.1:7080",
            Self::Mediasoup => "tcp://127.0.0.1:4443",
            Self::Janus => "ws://127.0.0.1:8188",
        }
    }
}

/// The senders and receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// One camera to many [1 publisher, 200 subscribers]
    Livestream,
    /// All peers send camera and microphone and receive all others' [10 publishers, 10 subscribers]
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
    /// Server
    #[arg(long, value_enum, default_value = "leat")]
    pub server: Server,
    /// Its address [default: its usual port on this machine]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Process to account for, with its children, during the measurement
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
    /// Servers; the first one is the reference
    #[arg(long, value_enum, value_delimiter = ',', default_value = "leat,mediasoup,janus")]
    pub rivals: Vec<Server>,
    /// Measurements of each server, alternately
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Core of the server
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub server_cpu: usize,
    /// The load.
    #[command(flatten)]
    pub load: Load,
    /// Further numbers of subscribers to measure, for the curves of CPU and loss against subscribers: for example
    /// subscribers=50,100,200,400. A server that loses more than 1 % is not measured with more
    #[arg(long, value_name = "subscribers=COUNT,…")]
    pub sweep: Option<Sweep>,
    /// Write the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results to this file as a page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// A value of `--sweep`: numbers of subscribers, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep(pub Vec<u32>);

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.strip_prefix("subscribers=").unwrap_or(text);
        let counts: Result<Vec<u32>, _> = numbers.split(',').map(str::parse).collect();
        let mut counts = counts.ok().filter(|counts| counts.iter().all(|count| (1..=60_000).contains(count)));
        counts.iter_mut().for_each(|counts| {
            counts.sort_unstable();
            counts.dedup();
        });
        counts.map(Self).ok_or_else(|| "expected subscribers=COUNT,COUNT,…, each from 1 to 60000".to_owned())
    }
}

/// A load, for any server.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Senders and receivers
    #[arg(long, value_enum, default_value = "livestream")]
    pub shape: Shape,
    /// Sending peers in each room [default: by shape]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub publishers: Option<u32>,
    /// Receiving peers, over all rooms [default: by shape]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub subscribers: Option<u32>,
    /// Rooms; each has its own publishers, and an equal share of the subscribers
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rooms: u32,
    /// Codec of the synthetic video
    #[arg(long, value_enum, default_value = "vp8")]
    pub codec: Codec,
    /// Bit rate of a camera's payload, kbit/s; with --simulcast, of the largest picture
    #[arg(long, value_name = "KBITS", default_value_t = 2500, value_parser = clap::value_parser!(u32).range(30..=50_000))]
    pub bitrate: u32,
    /// Frames per second of a camera
    #[arg(long, value_name = "RATE", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub fps: u32,
    /// Cameras send three sizes, the lower ones with a sixteenth and a quarter of the bit rate
    #[arg(long)]
    pub simulcast: bool,
    /// A microphone with each camera: 40 kbit/s, 50 packets per second; always in a meeting
    #[arg(long)]
    pub audio: bool,
    /// Bytes of a message: the first publisher of each room also sends messages on a reliable data channel, which all
    /// subscribers of the room receive [default: no messages]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(MESSAGE_HEAD_LEN as i64..=MESSAGE_LEN_MAX.into()))]
    pub data: Option<u32>,
    /// Bytes of messages that may be on their way to the slowest subscriber of a room, at least one message
    #[arg(long, value_name = "BYTES", default_value_t = 192 * 1024)]
    pub data_window: u32,
    /// Megabytes of messages that each publisher sends per second [default: as many as its window allows]
    #[arg(long, value_name = "MBYTES", value_parser = positive)]
    pub data_rate: Option<f64>,
    /// Whether the packets of a frame are sent at once or spread over the time until the next frame
    #[arg(long, value_enum, default_value = "burst")]
    pub pacing: Pacing,
    /// Peers that start to join per second
    #[arg(long, value_name = "RATE", default_value_t = 100.0, value_parser = positive)]
    pub ramp: f64,
    /// Time between the last join and the measurement, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = not_negative)]
    pub warm_up: f64,
    /// Duration of the measurement, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = positive)]
    pub duration: f64,
    /// Part of the media that subscribers drop to simulate loss, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub loss: f64,
    /// One packet in this number is decrypted and compared with the sent one; all are counted
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub sample: u64,
    /// Receive every datagram separately (no UDP GRO), as from a network card without it
    #[arg(long)]
    pub no_gro: bool,
    /// Core of the load generator [default: any; for compare 1, if there are two]
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

fn count(least: u64, most: u64) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u64).range(least..=most).map(|count| count as usize)
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
    fn the_definitions_are_valid() {
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
    fn the_shape_sets_the_default_numbers() {
        let sizes = |arguments: &[&str]| (load(arguments).publishers(), load(arguments).subscribers());
        assert_eq!(sizes(&[]), (1, 200));
        assert_eq!(sizes(&["--shape", "meeting"]), (10, 10));
        assert_eq!(sizes(&["--shape", "meeting", "--publishers", "4", "--rooms", "3"]), (4, 12));
        assert_eq!(sizes(&["--shape", "audio", "--subscribers", "50"]), (10, 50));
    }

    #[test]
    fn a_sweep_is_a_list_of_subscribers_in_ascending_order() {
        let expected = Ok(Sweep(vec![50, 100, 400]));
        assert_eq!("subscribers=100,50,400,50".parse(), expected);
        assert_eq!("50,100,400".parse(), expected);
        for malformed in ["", "subscribers=", "publishers=1", "1,,2", "0", "60001"] {
            let error = malformed.parse::<Sweep>().unwrap_err();
            assert!(error.contains("expected subscribers=COUNT"), "{malformed}: {error}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_valid_range() {
        for (option, value) in [("--loss", "100"), ("--ramp", "0"), ("--duration", "x"), ("--sample", "0")] {
            let error = Cli::try_parse_from(["leat-bench", "load", option, value]).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains(value), "{error}");
        }
    }
}
