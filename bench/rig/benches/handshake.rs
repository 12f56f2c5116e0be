//! The server's cost of one DTLS handshake: CPU time of its calls, and heap of a connected association.
//! `cargo bench -p leat-rig --bench handshake`.
//!
//! The client is this crate's own, in the same thread, and its time does not count. Both certificates are
//! ECDSA on P-256, as browsers' are.

#![allow(clippy::unwrap_used)]

use dtls::{Certificate, Endpoint, Options, Output, Settings, Version};
use machine::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Handshakes in a round; all their associations stay until it ends.
const COUNT: usize = 500;
const ROUNDS: usize = 7;

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn heap() -> u64 {
    runtime::memory::usage().expect("glibc reports").heap
}

/// The datagrams to send.
fn drain(endpoint: &mut Endpoint, buffer: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    loop {
        match endpoint.poll(buffer) {
            Output::Datagram(bytes) => datagrams.push(bytes.to_vec()),
            Output::Idle | Output::Timeout(_) => return datagrams,
            _ => {}
        }
    }
}

/// A whole handshake: the server, and the CPU time of its calls.
fn handshake(settings: &Settings, certificates: &[Certificate; 2]) -> (Endpoint, Duration) {
    let now = Instant::from_nanos(1_000_000_000);
    let [ours, theirs] = certificates;
    let mut buffer = Vec::new();
    let mut client = Endpoint::client(settings, theirs, ours.fingerprint(), now);
    let began = cpu();
    let mut server = Endpoint::server(settings, ours, theirs.fingerprint(), now);
    let mut spent = cpu() - began;
    for _ in 0..10 {
        let flight = drain(&mut client, &mut buffer);
        let began = cpu();
        for datagram in flight {
            server.on_datagram(now, &datagram).unwrap();
        }
        let answer = drain(&mut server, &mut buffer);
        spent += cpu() - began;
        for datagram in answer {
            client.on_datagram(now, &datagram).unwrap();
        }
    }
    assert!(server.is_connected() && client.is_connected());
    (server, spent)
}

fn main() {
    let certificates = [Certificate::generate(), Certificate::generate()];
    for (name, version) in [("DTLS 1.2", Version::Dtls12), ("DTLS 1.3, where offered", Version::Auto)] {
        let settings = Settings::new(Options { version, ..Options::default() });
        drop(handshake(&settings, &certificates));
        let mut rounds: Vec<(Duration, u64)> = (0..ROUNDS)
            .map(|_| {
                let before = heap();
                let (servers, spent): (Vec<Endpoint>, Vec<Duration>) =
                    (0..COUNT).map(|_| handshake(&settings, &certificates)).unzip();
                let bytes = (heap() - before) / COUNT as u64;
                assert!(servers.iter().all(Endpoint::is_connected));
                (spent.iter().sum::<Duration>() / COUNT as u32, bytes)
            })
            .collect();
        rounds.sort();
        let (least, median, most) = (rounds[0].0, rounds[ROUNDS / 2], rounds[ROUNDS - 1].0);
        println!(
            "{name}: {} µs of the server's CPU a handshake ({} to {}), {} bytes of heap an association",
            median.0.as_micros(),
            least.as_micros(),
            most.as_micros(),
            median.1
        );
    }
}
