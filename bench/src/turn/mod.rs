//! TURN servers side by side: many allocations, bursts of packets through each in both directions, and the
//! server's cost of a relayed packet.

mod client;

use crate::cli::{Relay, TurnArguments};
use crate::measure::Account;
use crate::peer::wall_clock;
use crate::report::{self, Bars, Better, Curve, Figure, File, Head, Page, Plot, Scale, Stack};
use crate::servers::{self, Running, Start};
use crate::watch::Watch;
use crate::world::socket::{BUFFER_LEN, CONTROL_LEN, Socket};
use crate::{Place, pin, write};
use anyhow::Context;
use client::{HEADER_LEN, TurnClient};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Checked bytes of a payload: its send time, and its number.
const STAMP_LEN: usize = 16;
/// How long packets in transit may take after the last one was sent.
const GRACE: Duration = Duration::from_millis(500);
/// Bytes of the peer's receive buffer.
const PEER_BUFFER: usize = 8 << 20;

/// `leat-bench turn`: 0 if nothing was lost or damaged.
pub fn run(arguments: &TurnArguments, watch: &Watch) -> anyhow::Result<u8> {
    let place = Place::here();
    pin(arguments.cpu)?;
    let mut rounds: Vec<Round> = Vec::new();
    for round in 1..=arguments.rounds {
        for relay in &arguments.rivals {
            if watch.is_interrupted() {
                break;
            }
            eprintln!("round {round} of {}: {}", arguments.rounds, relay.name());
            match servers::start_relay(*relay, arguments.server_cpu)? {
                Start::Skipped(why) => eprintln!("{} is left out: {why}", relay.name()),
                Start::Running(running) => rounds.push(measure(*relay, &running, arguments)?),
            }
        }
    }
    let about = format!(
        "{} allocations, bursts of {} packets of {} bytes, {} packets a second. Every packet was checked.",
        arguments.allocations, arguments.burst, arguments.payload, arguments.rate
    );
    let head = [
        "server",
        "CPU ns / relayed packet",
        "relayed / s",
        "latency p50 / p99 / p99.9 µs",
        "lost",
        "RSS bytes / allocation",
        "allocations / s",
    ];
    println!("{place}\n{about}\n\n{}", report::table(&head, rounds.iter().map(Round::row)));
    let head = Head::new("turn", about, place, figures(&rounds));
    if let Some(path) = &arguments.json {
        let detail = RelayComparison { rounds: arguments.rounds, results: &rounds };
        write(path, &serde_json::to_string_pretty(&File { head: &head, detail: &detail })?)?;
    }
    if let Some(path) = &arguments.html {
        let versions = rounds.iter().map(|round| (round.server.to_owned(), round.version.clone())).collect();
        let page = Page { head: &head, versions, notes: Vec::new(), plots: plots(&rounds) };
        write(path, &page.html()?)?;
    }
    Ok(u8::from(rounds.iter().any(|round| round.lost + round.payload_errors > 0)))
}

/// The JSON output.
#[derive(Serialize)]
struct RelayComparison<'a> {
    rounds: u32,
    results: &'a [Round],
}

/// One measurement.
#[derive(Debug, Serialize)]
struct Round {
    server: &'static str,
    version: String,
    cpu_ns_per_packet: f64,
    user_ns_per_packet: f64,
    system_ns_per_packet: f64,
    delivered_pps: f64,
    latency_us: [u64; 3],
    lost: u64,
    payload_errors: u64,
    rss_bytes_per_allocation: f64,
    allocations_per_s: f64,
}

impl Round {
    fn row(&self) -> Vec<String> {
        let [p50, p99, p999] = self.latency_us;
        vec![
            format!("{} {}", self.server, self.version),
            format!("{:.0}", self.cpu_ns_per_packet),
            format!("{:.0}", self.delivered_pps),
            format!("{p50} / {p99} / {p999}"),
            self.lost.to_string(),
            format!("{:.0}", self.rss_bytes_per_allocation),
            format!("{:.0}", self.allocations_per_s),
        ]
    }
}

/// Each server, once.
fn servers_of(rounds: &[Round]) -> Vec<&'static str> {
    let mut servers: Vec<&'static str> = Vec::new();
    for round in rounds {
        if !servers.contains(&round.server) {
            servers.push(round.server);
        }
    }
    servers
}

fn figures(rounds: &[Round]) -> Vec<Figure> {
    use Better::{Less, More, Neither};
    type Row = (&'static str, &'static str, Better, fn(&Round) -> f64);
    const ROWS: [Row; 10] = [
        ("cpu_per_packet", "ns", Less, |round| round.cpu_ns_per_packet),
        ("user_per_packet", "ns", Less, |round| round.user_ns_per_packet),
        ("system_per_packet", "ns", Less, |round| round.system_ns_per_packet),
        ("delivered", "packets/s", Neither, |round| round.delivered_pps),
        ("latency_p50", "µs", Less, |round| round.latency_us[0] as f64),
        ("latency_p99", "µs", Less, |round| round.latency_us[1] as f64),
        ("latency_p99.9", "µs", Less, |round| round.latency_us[2] as f64),
        ("lost", "packets", Less, |round| round.lost as f64),
        ("memory_per_allocation", "bytes", Less, |round| round.rss_bytes_per_allocation),
        ("allocations", "1/s", More, |round| round.allocations_per_s),
    ];
    let of_server = |server: &'static str| {
        ROWS.iter().map(move |(name, unit, better, figure)| {
            let values = rounds.iter().filter(|round| round.server == server).map(figure);
            Figure::new(server, (name, unit, *better), values.collect())
        })
    };
    servers_of(rounds).into_iter().flat_map(of_server).collect()
}

fn plots(rounds: &[Round]) -> Vec<Plot> {
    let servers = servers_of(rounds);
    let of = |server: &str, figure: fn(&Round) -> f64| {
        let values = rounds.iter().filter(|round| round.server == server).map(figure);
        report::spread(&values.collect::<Vec<_>>())
    };
    let stack = |server: &&'static str| {
        let [least, _, most] = of(server, |round| round.cpu_ns_per_packet);
        let parts = [
            of(server, |round| round.user_ns_per_packet)[1],
            of(server, |round| round.system_ns_per_packet)[1],
        ];
        Stack { name: (*server).to_owned(), parts: parts.to_vec(), spread: (least, most) }
    };
    let line = |server: &&'static str| {
        type Point = (f64, fn(&Round) -> f64);
        let figures: [Point; 3] = [
            (50.0, |round| round.latency_us[0] as f64),
            (99.0, |round| round.latency_us[1] as f64),
            (99.9, |round| round.latency_us[2] as f64),
        ];
        let points = figures.into_iter().map(|(percentile, figure)| (percentile, of(server, figure)[1]));
        ((*server).to_owned(), points.collect())
    };
    let costs = Bars {
        title: "CPU of a relayed packet",
        unit: "ns",
        parts: vec!["user", "system"],
        stacks: servers.iter().map(stack).collect(),
    };
    let latencies = Curve {
        title: "Latency by percentile",
        x: ("percentile", Scale::Percentile),
        y: ("µs", Scale::Log),
        lines: servers.iter().map(line).collect(),
    };
    vec![Plot::Bars(costs), Plot::Curve(latencies)]
}

fn measure(relay: Relay, running: &Running, arguments: &TurnArguments) -> anyhow::Result<Round> {
    let server: SocketAddr = running.url.parse()?;
    let peer = Socket::open(PEER_BUFFER)?;
    peer.segment(arguments.payload)?;
    let address = peer.address()?;
    let before = Account::of(running.pid());
    let started = Instant::now();
    let open = |_| TurnClient::open(server, address, arguments.burst, arguments.payload);
    let clients = (0..arguments.allocations).map(open).collect::<anyhow::Result<Vec<_>>>();
    let mut clients = clients.context(relay.name())?;
    let allocations_per_s = f64::from(arguments.allocations) / started.elapsed().as_secs_f64();
    let rss = Account::of(running.pid()).rss.saturating_sub(before.rss) as f64;
    for client in &clients {
        client.socket.segment(HEADER_LEN + arguments.payload)?;
    }
    let mut load = RelayLoad::new(peer, arguments);
    // Not measured until tables and caches are warm.
    load.run(&mut clients, Duration::from_secs(1));
    load.tally = RelayTally::default();
    let before = Account::of(running.pid());
    let started = Instant::now();
    load.run(&mut clients, Duration::from_secs(arguments.seconds));
    let seconds = started.elapsed().as_secs_f64();
    let (user, system) = Account::of(running.pid()).since(&before);
    let RelayTally { sent, received, errors, latency } = &load.tally;
    let per_packet = |time: Duration| time.as_nanos() as f64 / (*received).max(1) as f64;
    Ok(Round {
        server: relay.name(),
        version: running.version.clone(),
        cpu_ns_per_packet: per_packet(user + system),
        user_ns_per_packet: per_packet(user),
        system_ns_per_packet: per_packet(system),
        delivered_pps: *received as f64 / seconds,
        latency_us: [0.5, 0.99, 0.999].map(|part| latency.value_at_quantile(part)),
        lost: sent.saturating_sub(*received),
        payload_errors: *errors,
        rss_bytes_per_allocation: rss / f64::from(arguments.allocations),
        allocations_per_s,
    })
}

/// The sent packets and the results.
struct RelayTally {
    sent: u64,
    received: u64,
    errors: u64,
    latency: Histogram<u64>,
}

impl Default for RelayTally {
    fn default() -> Self {
        let latency = Histogram::new_with_bounds(1, 10_000_000, 3).expect("sound bounds");
        Self { sent: 0, received: 0, errors: 0, latency }
    }
}

/// Bursts in both directions through one client after the other.
struct RelayLoad {
    peer: Socket,
    arguments: TurnArguments,
    down: Vec<u8>,
    buffer: Vec<u8>,
    control: Vec<u8>,
    tally: RelayTally,
}

impl RelayLoad {
    fn new(peer: Socket, arguments: &TurnArguments) -> Self {
        Self {
            peer,
            down: vec![0; arguments.burst * arguments.payload],
            arguments: arguments.clone(),
            buffer: vec![0; BUFFER_LEN],
            control: vec![0; CONTROL_LEN],
            tally: RelayTally::default(),
        }
    }

    fn run(&mut self, clients: &mut [TurnClient], time: Duration) {
        let started = Instant::now();
        let between =
            Duration::from_secs_f64(2.0 * self.arguments.burst as f64 / f64::from(self.arguments.rate));
        let mut turns = 0_u32;
        while started.elapsed() < time {
            let index = turns as usize % clients.len();
            let client = &mut clients[index];
            stamp(&mut client.burst, HEADER_LEN, HEADER_LEN + self.arguments.payload);
            if client.socket.send(&client.burst) {
                self.tally.sent += self.arguments.burst as u64;
            }
            stamp(&mut self.down, 0, self.arguments.payload);
            if self.peer.send_to(&self.down, client.relayed) {
                self.tally.sent += self.arguments.burst as u64;
            }
            turns += 1;
            while started.elapsed() < between * turns {
                self.drain_peer();
                // Packets of the earlier clients have arrived.
                let former = turns as usize % 64;
                self.drain(
                    &clients[(index + clients.len() - former.min(clients.len())) % clients.len()].socket,
                );
            }
            self.drain_peer();
            self.drain(&clients[index].socket);
        }
        let end = Instant::now() + GRACE;
        while Instant::now() < end {
            self.drain_peer();
            for client in &*clients {
                self.drain(&client.socket);
            }
            sleep(Duration::from_millis(1));
        }
    }

    fn drain_peer(&mut self) {
        let Self { peer, buffer, control, tally, arguments, .. } = self;
        tally.drain(peer, 0, arguments.payload, (buffer, control));
    }

    fn drain(&mut self, socket: &Socket) {
        let Self { buffer, control, tally, arguments, .. } = self;
        tally.drain(socket, HEADER_LEN, arguments.payload, (buffer, control));
    }
}

impl RelayTally {
    /// Reads all received datagrams, which have this number of bytes before their payload.
    fn drain(&mut self, socket: &Socket, head: usize, len: usize, (buffer, control): (&mut [u8], &mut [u8])) {
        while let Some(received) = socket.receive(buffer, control) {
            for datagram in buffer[..received.len].chunks(received.segment) {
                self.note(datagram.get(head..).unwrap_or_default(), len, received.at);
            }
        }
    }

    fn note(&mut self, payload: &[u8], len: usize, at: u64) {
        self.received += 1;
        let (stamp, check) = (number(payload, 0), number(payload, 8));
        if payload.len() != len || check != !stamp {
            self.errors += 1;
            return;
        }
        self.latency.saturating_record(at.saturating_sub(stamp) / 1_000);
    }
}

/// Writes the send time into each datagram of a burst, and the same inverted.
fn stamp(burst: &mut [u8], at: usize, len: usize) {
    let now = wall_clock();
    for datagram in burst.chunks_exact_mut(len) {
        datagram[at..at + 8].copy_from_slice(&now.to_be_bytes());
        datagram[at + 8..at + STAMP_LEN].copy_from_slice(&(!now).to_be_bytes());
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}
