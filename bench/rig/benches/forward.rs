//! The engine's own cost of one forwarded packet: one publisher, 200 subscribers, real SRTP, no kernel.
//!
//! `cargo bench -p leat-rig` prints a record in the form of `bench/record/`. A round is 100 frames of 10
//! packets, each frame one receive batch, with all due timers (reports, feedback). After each round the last
//! frame is decrypted for every subscriber and compared with the published one, and the counts must match the
//! shape: a fast wrong answer ends the bench.

use control::Counter;
use rig::{Call, Counting, Shape, thread_time};
use std::time::{Duration, Instant};

// Not through the library of leat-bench, which links OpenSSL: the measured code links BoringSSL, whose
// functions have the same names.
#[allow(dead_code)]
#[path = "../../src/place.rs"]
mod place;
use place::Place;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SUBSCRIBERS: usize = 200;
const BURST: usize = 10;
const FRAMES: usize = 100;
const ROUNDS: usize = 30;
/// Before the measurement: caches, branch predictors, and tables that grow once.
const WARM_UP_ROUNDS: usize = 3;

/// Video, and packets so short that the cipher hardly counts: the difference is the cost of the bytes.
const PAYLOAD_LENS: [usize; 2] = [1200, 100];

/// One round's figures.
#[derive(Clone, Copy, Debug)]
struct Round {
    forwarded: u64,
    cpu: Duration,
    wall: Duration,
    allocations: u64,
}

fn main() {
    println!("# Forwarding, without the kernel\n");
    println!("{}\n", Place::here());
    println!("Command: `cargo bench -p leat-rig --bench forward`\n");
    println!(
        "1 publisher, {SUBSCRIBERS} subscribers, bursts of {BURST} packets, {ROUNDS} rounds of {} packets; timers included.\n",
        FRAMES * BURST
    );
    println!(
        "| RTP payload, bytes | SRTP | CPU ns per forwarded packet: median | least | most | wall, median | allocations per packet | checked |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for payload_len in PAYLOAD_LENS {
        measure(payload_len);
    }
}

fn measure(payload_len: usize) {
    let mut call = Call::new(Shape {
        subscribers: SUBSCRIBERS,
        payload_len,
        burst: BURST,
        feedback: false,
        layers: false,
    });
    for _ in 0..WARM_UP_ROUNDS {
        round(&mut call);
    }
    let mut checked = 0;
    let rounds: Vec<Round> = (0..ROUNDS)
        .map(|_| {
            let round = round(&mut call);
            checked += check(&mut call, &round);
            round
        })
        .collect();

    let per_packet = |time: fn(&Round) -> Duration| {
        let mut figures: Vec<f64> =
            rounds.iter().map(|round| time(round).as_nanos() as f64 / round.forwarded as f64).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let (cpu, wall) = (per_packet(|round| round.cpu), per_packet(|round| round.wall));
    let forwarded: u64 = rounds.iter().map(|round| round.forwarded).sum();
    let allocations: u64 = rounds.iter().map(|round| round.allocations).sum();
    println!(
        "| {payload_len} | {:?} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {checked} of {forwarded} |",
        call.profile(),
        cpu[cpu.len() / 2],
        cpu[0],
        cpu[cpu.len() - 1],
        wall[wall.len() / 2],
        allocations as f64 / forwarded as f64,
    );
}

fn round(call: &mut Call) -> Round {
    call.renew_consent();
    let mut frames: Vec<_> = (0..FRAMES).map(|_| call.frame()).collect();
    let (forwarded, allocations) = (call.forwarded(), call.allocations());
    let (cpu, wall) = (thread_time(), Instant::now());
    for frame in &mut frames {
        call.forward(frame);
    }
    let (cpu, wall) = (thread_time() - cpu, wall.elapsed());
    Round {
        forwarded: call.forwarded() - forwarded,
        cpu,
        wall,
        allocations: call.allocations() - allocations,
    }
}

/// Decrypts the round's last frame for all subscribers; returns the number of packets.
fn check(call: &mut Call, round: &Round) -> u64 {
    assert_eq!(
        round.forwarded,
        (FRAMES * BURST * SUBSCRIBERS) as u64,
        "every packet goes to every subscriber"
    );
    let (checked, _) = call.check();
    assert_eq!(checked, (BURST * SUBSCRIBERS) as u64, "the last frame is in the sink, whole");
    let counters = call.counters();
    assert_eq!(counters.value(Counter::TxFull), 0);
    assert_eq!(counters.value(Counter::NacksOut), 0, "nothing was lost");
    checked
}
