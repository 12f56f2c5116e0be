//! Metrics and health of the engine over HTTP.

use crate::PATIENCE;
use crate::call::Call;
use crate::engine::Engine;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The address for metrics of one engine.
pub struct Monitoring(pub SocketAddr);

impl Monitoring {
    /// A free port on loopback.
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self(listener.local_addr().unwrap())
    }

    /// The answer to `GET path`, with its head.
    pub fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(self.0).unwrap();
        connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until the answer contains all of these: workers publish once a second.
    #[track_caller]
    pub fn await_answer(&self, path: &str, parts: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(path);
            if parts.iter().all(|part| answer.contains(part)) {
                return;
            }
            assert!(Instant::now() < deadline, "{parts:?} are not in {answer}");
            sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn metrics_and_health_are_served_with_and_without_a_controller() {
    let monitoring = Monitoring::new();
    let engine = Engine::start_with(&["--workers", "2", "--metrics", &monitoring.0.to_string()]);
    monitoring.await_answer("/livez", &["HTTP/1.1 200 OK\r\n", "workers: ok\n"]);
    monitoring.await_answer("/readyz", &["HTTP/1.1 503 ", "\nworkers: ok\nsignaling: not attached"]);

    let mut controller = engine.attach();
    monitoring.await_answer("/readyz", &["HTTP/1.1 200 OK\r\n", "\nworkers: ok\nsignaling: ok\n"]);
    let mut call = Call::connect(&engine, &mut controller);
    call.publish(50);
    let of_call = [
        "leat_engine_transports{worker=\"0\"} 2\n",
        "leat_engine_transports{worker=\"1\"} 0\n",
        "leat_engine_rtp_in_total{worker=\"0\"} 50\n",
        "leat_engine_rtp_out_total{worker=\"0\"} 50\n",
        "leat_engine_attached 1\n",
    ];
    monitoring.await_answer("/metrics", &of_call);
    // One sample a batch of datagrams, which arrive one by one or together.
    let forwarding = |worker: u8| {
        let page = monitoring.get("/metrics");
        let of = |name: &str| {
            let name = format!("leat_engine_forwarding_latency_seconds_{name}worker=\"{worker}\"}} ");
            let value = page.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok());
            value.unwrap_or_else(|| panic!("no {name:?} in {page}"))
        };
        (of("count{"), of("sum{"), of("bucket{le=\"+Inf\","))
    };
    let (count, sum, in_buckets) = forwarding(0);
    assert!((1.0..=1_000.0).contains(&count) && sum > 0.0, "{count} in {sum} s");
    assert_eq!(count, in_buckets, "the last bucket has all");
    assert_eq!(forwarding(1), (0.0, 0.0, 0.0), "no peer is on it");
    assert!(
        monitoring.get("/metrics").contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0")
    );

    drop(controller);
    monitoring.await_answer("/readyz", &["HTTP/1.1 503 ", "signaling: not attached"]);
    call.publish(50);
    monitoring.await_answer(
        "/metrics",
        &["leat_engine_rtp_out_total{worker=\"0\"} 100\n", "leat_engine_attached 0\n"],
    );
    assert!(monitoring.get("/else").starts_with("HTTP/1.1 404 "));
}

#[test]
fn address_for_metrics_that_is_in_use_ends_the_start_with_a_reason() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = other.local_addr().unwrap().to_string();
    let socket = crate::engine::socket_path();
    let mut command = crate::engine::command(crate::engine::free_ports(), &socket);
    let (code, log) = crate::engine::run_to_end(command.args(["--workers", "1", "--metrics", &address]));
    assert_ne!(code, Some(0));
    assert!(log.contains(&format!("--metrics {address}: cannot listen there")), "{log}");
}
