//! The cost of a second worker: one publisher, real SRTP, no kernel and no threads, all on one worker and
//! spread over two.
//!
//! `cargo bench -p leat-rig --bench spread` prints a record in the form of `bench/record/`. Each round ends
//! with the last frame decrypted for every subscriber, and the counts must match the shape.

use rig::{Counting, Spread, thread_time};
use std::time::Duration;

// Not through the library of leat-bench, which links OpenSSL: the measured code links BoringSSL, whose
// functions have the same names.
#[allow(dead_code)]
#[path = "../../src/place.rs"]
mod place;
use place::Place;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BURST: usize = 10;
const FRAMES: usize = 100;
const ROUNDS: usize = 30;
const WARM_UP_ROUNDS: usize = 3;
const PAYLOAD_LEN: usize = 1200;
const SUBSCRIBERS: [usize; 4] = [2, 10, 50, 200];

fn main() {
    println!("# A room over two workers, without the kernel\n");
    println!("{}\n", Place::here());
    println!("Command: `cargo bench -p leat-rig --bench spread`\n");
    println!(
        "1 publisher, bursts of {BURST} packets of {PAYLOAD_LEN} bytes, {ROUNDS} rounds of {} packets, which alternate; timers included. CPU ns, medians. The hop is \
         the additional cost of a packet that crosses, with its second reception and cache.\n",
        FRAMES * BURST
    );
    println!(
        "| subscribers | per forwarded packet on one worker | over two | efficiency | the hop, per packet that crosses | allocations |"
    );
    println!("|---|---|---|---|---|---|");
    SUBSCRIBERS.into_iter().for_each(measure);
}

fn measure(subscribers: usize) {
    let mut one = Spread::new(1, 0, subscribers, PAYLOAD_LEN, BURST);
    let mut two = Spread::new(2, 0, subscribers, PAYLOAD_LEN, BURST);
    let (mut of_one, mut of_two) = (Vec::new(), Vec::new());
    let mut allocations = 0;
    for number in 0..WARM_UP_ROUNDS + ROUNDS {
        let before = (two.allocations(), two.crossed());
        // Alternately, so that a change of the machine's speed affects both.
        let (first, second) = (round(&mut one, subscribers), round(&mut two, subscribers));
        assert_eq!(two.crossed() - before.1, (FRAMES * BURST) as u64, "every packet crosses once");
        if number >= WARM_UP_ROUNDS {
            of_one.push(first);
            of_two.push(second);
            allocations += two.allocations() - before.0;
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64
    };
    let (one, two) = (median(&mut of_one), median(&mut of_two));
    let packets = (FRAMES * BURST) as f64;
    println!(
        "| {subscribers} | {:.0} | {:.0} | {:.3} | {:.0} | {allocations} |",
        one / packets / subscribers as f64,
        two / packets / subscribers as f64,
        one / two,
        (two - one) / packets,
    );
}

fn round(spread: &mut Spread, subscribers: usize) -> Duration {
    let (forwarded, mut cpu) = (spread.forwarded(), Duration::ZERO);
    for _ in 0..FRAMES {
        let begun = thread_time();
        spread.turn();
        cpu += thread_time() - begun;
    }
    let expected = (FRAMES * BURST * subscribers) as u64;
    assert_eq!(spread.forwarded() - forwarded, expected, "every packet goes to every subscriber");
    assert_eq!(spread.check(), (BURST * subscribers) as u64, "the last frame is there, whole");
    cpu
}
