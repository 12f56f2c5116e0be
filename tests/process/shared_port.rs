//! One UDP port for eight workers, in every way of steering that this machine permits.

use crate::PATIENCE;
use crate::call::{
    CONSUMER, Call, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, consume, create_router, produce,
};
use crate::engine::{Engine, command, run_to_end, socket_path};
use crate::monitoring::Monitoring;
use crate::pipes::{demand_of, join_at};
use control::Command;
use std::time::{Duration, Instant};

const WORKERS: usize = 8;
const PACKETS: u16 = 100;

/// The sum of a counter with this result over all workers.
fn sum(page: &str, result: &str) -> u64 {
    let label = format!("result=\"{result}\"");
    let lines = page
        .lines()
        .filter(|line| line.starts_with("leat_engine_udp_steered_total{") && line.contains(&label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// A call at each worker. Returns the metrics after it, once they are complete.
fn calls_at_each_worker(steering: &str) -> String {
    let monitoring = Monitoring::new();
    let address = monitoring.0.to_string();
    let engine = Engine::start_with(&[
        "--workers",
        "8",
        "--rtc-shared-port",
        "--rtc-tcp-port",
        "0",
        "--udp-steering",
        steering,
        "--metrics",
        &address,
    ]);
    let mut controller = engine.attach();
    let mut calls: Vec<Call> = (0..WORKERS)
        .map(|worker| {
            let at = (worker, engine.port);
            demand_of(&mut controller, worker, create_router(ROUTER));
            let mut publisher = join_at(at, &mut controller, PUBLISHING);
            let mut subscriber = join_at(at, &mut controller, SUBSCRIBING);
            demand_of(&mut controller, worker, Command::Produce(produce(PUBLISHING, PRODUCER)));
            demand_of(&mut controller, worker, Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
            publisher.connect();
            subscriber.connect();
            Call::of(publisher, subscriber)
        })
        .collect();
    for call in &mut calls {
        call.publish(PACKETS);
    }
    // Checks and packets of both directions.
    let least = u64::from(PACKETS) * WORKERS as u64;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = monitoring.get("/metrics");
        if sum(&page, "own") + sum(&page, "received") >= least
            && sum(&page, "received") == sum(&page, "handed_over")
        {
            return page;
        }
        assert!(Instant::now() < deadline, "{page}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn datagrams_reach_the_worker_of_their_transport_at_a_shared_port() {
    let page = calls_at_each_worker("auto");
    let (own, handed_over) = (sum(&page, "own"), sum(&page, "handed_over"));
    if page.contains("leat_engine_udp_steering{mode=\"ebpf\"} 1\n") {
        // A check or a handshake may arrive before its claim.
        assert!(own * 100 >= (own + handed_over) * 95, "{own} of {}", own + handed_over);
    } else {
        // The process may not load an extended program.
        assert!(page.contains("leat_engine_udp_steering{mode=\"cbpf\"} 1\n"), "{page}");
        assert!(handed_over > 0);
    }
    assert_eq!(sum(&page, "dropped"), 0);
}

#[test]
fn datagrams_are_handed_over_where_the_kernel_does_not_know_the_worker() {
    for steering in ["cbpf", "hash"] {
        let page = calls_at_each_worker(steering);
        assert!(page.contains(&format!("leat_engine_udp_steering{{mode=\"{steering}\"}} 1\n")), "{page}");
        assert!(sum(&page, "handed_over") > 0, "{page}");
        assert_eq!(sum(&page, "dropped"), 0);
    }
}

#[test]
fn a_shared_port_that_another_engine_has_is_in_use() {
    let options = ["--workers", "2", "--rtc-shared-port", "--rtc-tcp-port", "0"];
    let engine = Engine::start_with(&options);
    let socket = socket_path();
    let mut second = command(engine.port, &socket);
    let (code, log) = run_to_end(second.args(options));
    assert_ne!(code, Some(0));
    assert!(log.contains("in use"), "{log}");
}
