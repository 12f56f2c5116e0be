//! The estimator, the pacer and the prober alone over an emulated path: bottleneck, queue, loss, feedback.
//!
//! Results are in `bandwidth.txt`. The required values are asserted here.

use crate::golden;
use machine::{Instant, Rng};
use rtcp::twcc::Recorder;
use rtcp::{Compound, Packet, Writer};
use rtp::{Ssrc, TwccSeq};
use sfu::bandwidth::{Bounds, Class, Estimator, Offer, Pacer, Purpose};
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

/// The path from the engine to a subscriber.
struct Path {
    /// Bits per second from these times (in ms) on.
    rates: Vec<(u64, u64)>,
    /// The size of the queue before the bottleneck, as a duration at its rate.
    queue_max: Duration,
    one_way: Duration,
    jitter_micros: u32,
    loss: Loss,
}

#[derive(Clone, Copy)]
enum Loss {
    None,
    Random(f64),
    /// Gilbert and Elliott: the probabilities of the start and the end of a burst.
    Bursts(f64, f64),
}

impl Path {
    fn new(rates: &[(u64, u64)]) -> Self {
        Self {
            rates: rates.to_vec(),
            queue_max: Duration::from_millis(400),
            one_way: Duration::from_millis(25),
            jitter_micros: 500,
            loss: Loss::None,
        }
    }
}

/// A path to a subscriber: the engine's side, the path, and a peer that only records arrivals.
struct Leg {
    path: Path,
    rng: Rng,
    estimator: Estimator,
    pacer: Pacer<usize>,
    recorder: Recorder,
    now_ms: u64,
    busy_until: Instant,
    last_arrival: Instant,
    in_burst: bool,
    in_flight: VecDeque<(Instant, TwccSeq)>,
    feedback: VecDeque<(Instant, Vec<u8>)>,
    wanted_bps: u64,
    /// The maximum rate of the source; below it, the estimate is followed.
    is_paused: bool,
    /// Every 10 ms: the estimate, and the longest wait of a packet at the bottleneck.
    trace: Vec<(u64, Duration)>,
    waited: Duration,
    sent_bytes: u64,
    lost: u64,
    sent: u64,
}

const PACKET: usize = 1200;
const PADDING: usize = 280;

impl Leg {
    fn new(seed: u64, path: Path, wanted_bps: u64) -> Self {
        let estimator = Estimator::new(Bounds::default());
        let now = Instant::from_nanos(3_000_000_000);
        Self {
            path,
            rng: Rng::from_number(seed),
            pacer: Pacer::new(now, estimator.estimate_bps()),
            estimator,
            recorder: Recorder::new(),
            now_ms: 0,
            busy_until: now,
            last_arrival: now,
            in_burst: false,
            in_flight: VecDeque::new(),
            feedback: VecDeque::new(),
            wanted_bps,
            is_paused: false,
            trace: Vec::new(),
            waited: Duration::ZERO,
            sent_bytes: 0,
            lost: 0,
            sent: 0,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(3_000_000_000 + self.now_ms * 1_000_000)
    }

    fn run_for(&mut self, ms: u64) -> &mut Self {
        (0..ms).for_each(|_| self.turn());
        self
    }

    /// One millisecond.
    fn turn(&mut self) {
        let now = self.now();
        self.arrive(now);
        if self.now_ms.is_multiple_of(100) {
            self.estimator.set_allocated(
                now,
                self.estimator.estimate_bps().min(self.wanted_bps),
                self.wanted_bps,
            );
            self.estimator.poll(now);
            self.pacer.set_rate(now, self.estimator.estimate_bps(), 0, self.estimator.is_limit_known());
        }
        // 30 frames a second, as large as the estimate allows.
        if [0, 33, 66].contains(&(self.now_ms % 100)) && !self.is_paused {
            let bps = self.estimator.estimate_bps().min(self.wanted_bps);
            self.frame(now, (bps / 30 / 8) as usize);
        }
        while let Some(size) = self.pacer.pop(now) {
            self.send(now, size, Purpose::Media);
        }
        if self.estimator.next_padding().is_some_and(|at| at <= now) {
            while self.estimator.padding_due(now) > 0 {
                self.send(now, PADDING, Purpose::Padding);
            }
        }
        if self.now_ms.is_multiple_of(10) {
            self.trace.push((self.estimator.estimate_bps(), std::mem::take(&mut self.waited)));
        }
        self.now_ms += 1;
    }

    fn frame(&mut self, now: Instant, len: usize) {
        let packets = len.div_ceil(PACKET).max(1);
        for _ in 0..packets {
            let size = len / packets;
            match self.pacer.offer(now, Class::Video) {
                Offer::Now => self.send(now, size, Purpose::Media),
                Offer::Later => self.pacer.push(now, Class::Video, size, size),
                Offer::Never => {}
            }
        }
    }

    fn send(&mut self, now: Instant, size: usize, purpose: Purpose) {
        let seq = self.estimator.next_seq();
        self.estimator.on_sent(now, size, purpose);
        self.pacer.on_sent(now, size);
        self.sent_bytes += size as u64;
        self.sent += 1;
        if self.loses() {
            self.lost += 1;
            return;
        }
        let rate =
            self.path.rates.iter().rev().find(|(from, _)| *from <= self.now_ms).map_or(0, |(_, rate)| *rate);
        let waiting = self.busy_until.saturating_since(now);
        if waiting > self.path.queue_max {
            self.lost += 1;
            return;
        }
        self.waited = self.waited.max(waiting);
        let serialized = Duration::from_nanos(size as u64 * 8_000_000_000 / rate);
        self.busy_until = self.busy_until.max(now) + serialized;
        let jitter = Duration::from_micros(u64::from(self.rng.below(self.path.jitter_micros.max(1))));
        self.last_arrival = self.last_arrival.max(self.busy_until + self.path.one_way + jitter);
        self.in_flight.push_back((self.last_arrival, seq));
    }

    fn loses(&mut self) -> bool {
        match self.path.loss {
            Loss::None => false,
            Loss::Random(probability) => self.rng.chance(probability),
            Loss::Bursts(begin, end) => {
                self.in_burst = if self.in_burst { !self.rng.chance(end) } else { self.rng.chance(begin) };
                self.in_burst
            }
        }
    }

    /// Packets that have reached the peer, and feedback that has returned.
    fn arrive(&mut self, now: Instant) {
        while let Some((at, seq)) = self.in_flight.pop_front_if(|(at, _)| *at <= now) {
            self.recorder.record(seq, at.since_epoch());
        }
        if self.now_ms.is_multiple_of(100) {
            let mut buffer = [0; 1200];
            while self.recorder.has_unreported() {
                let mut writer = Writer::new(&mut buffer);
                assert!(self.recorder.build(Ssrc(1), Ssrc(2), &mut writer));
                self.feedback.push_back((now + self.path.one_way, writer.as_bytes().to_vec()));
            }
        }
        while let Some((_, bytes)) = self.feedback.pop_front_if(|(at, _)| *at <= now) {
            for packet in Compound::new(&bytes).unwrap().packets() {
                let Packet::Twcc(twcc) = packet else { panic!("the recorder builds {packet:?}") };
                self.estimator.on_feedback(now, &twcc, &mut { usize::MAX });
            }
        }
    }

    /// When, from `from_ms` on, the estimate first satisfies `is`; in ms after `from_ms`.
    fn when(&self, from_ms: u64, is: impl Fn(u64) -> bool) -> Option<u64> {
        let from = from_ms as usize / 10;
        self.trace[from..].iter().position(|(bps, _)| is(*bps)).map(|at| at as u64 * 10)
    }

    fn mean_bps(&self, from_ms: u64, to_ms: u64) -> u64 {
        let span = &self.trace[from_ms as usize / 10..to_ms as usize / 10];
        span.iter().map(|(bps, _)| *bps).sum::<u64>() / span.len() as u64
    }

    /// The given quantile of the waits in the queue.
    fn waited(&self, from_ms: u64, to_ms: u64, share: f64) -> Duration {
        let mut span: Vec<Duration> = self.trace[from_ms as usize / 10..to_ms as usize / 10]
            .iter()
            .map(|(_, waited)| *waited)
            .collect();
        span.retain(|waited| !waited.is_zero());
        span.sort();
        span.get((span.len() as f64 * share) as usize).copied().unwrap_or_default()
    }
}

const MBIT: u64 = 1_000_000;

/// A row for each scenario, in which a change is visible.
#[derive(Default)]
struct Table(String);

impl Table {
    fn row(&mut self, what: &str, value: impl std::fmt::Display, unit: &str) {
        writeln!(self.0, "  {what:<58} {value:>8} {unit}").unwrap();
    }
}

fn step(table: &mut Table, seed: u64) {
    // Three quarters of a minute: full, a third, full.
    let path = Path::new(&[(0, 3 * MBIT), (15_000, MBIT), (30_000, 3 * MBIT)]);
    let mut leg = Leg::new(seed, path, 5 * MBIT);
    leg.run_for(45_000);
    writeln!(table.0, "\n3 → 1 → 3 Mbit/s, 50 ms, seed {seed}").unwrap();
    let ramp = leg.when(0, |bps| bps >= 27 * MBIT / 10).expect("it gets there");
    table.row("first at 90 % of 3 Mbit/s after", ramp, "ms");
    let down = leg.when(15_000, |bps| bps <= MBIT).expect("it decreases");
    table.row("down to 1 Mbit/s after", down, "ms");
    let up = leg.when(30_000, |bps| bps >= 27 * MBIT / 10).expect("it increases");
    table.row("back at 90 % of 3 Mbit/s after", up, "ms");
    let (mean_3, mean_1) = (leg.mean_bps(5_000, 15_000), leg.mean_bps(18_000, 30_000));
    table.row("mean estimate at 3 Mbit/s", mean_3 / 1000, "kbit/s");
    table.row("mean estimate at 1 Mbit/s", mean_1 / 1000, "kbit/s");
    let standing = leg.waited(18_000, 30_000, 0.5);
    table.row("standing queue at 1 Mbit/s (median)", standing.as_millis(), "ms");
    table.row("queue at 1 Mbit/s, 95th of a hundred", leg.waited(18_000, 30_000, 0.95).as_millis(), "ms");
    table.row("queue at 3 Mbit/s, 95th of a hundred", leg.waited(5_000, 15_000, 0.95).as_millis(), "ms");
    table.row("padding of all that was sent", leg.estimator.padding_bytes() * 1000 / leg.sent_bytes, "‰");
    assert!(ramp < 3_000, "seed {seed}: {ramp} ms to ramp up");
    assert!(down < 1_500, "seed {seed}: {down} ms to go down");
    assert!(up < 10_000, "seed {seed}: {up} ms to come back");
    assert!(standing < Duration::from_millis(100), "seed {seed}: {standing:?} of standing queue");
    assert!(mean_3 > 2_100_000 && mean_1 > 700_000, "seed {seed}: {mean_3}, {mean_1}");
}

/// The same path with and without loss: the effect of loss.
fn lossy(table: &mut Table, seed: u64, what: &str, loss: Loss, cost_max_permille: u64) {
    let mean = |loss| {
        let path = Path { loss, ..Path::new(&[(0, 3 * MBIT)]) };
        let mut leg = Leg::new(seed, path, 5 * MBIT);
        leg.run_for(60_000);
        (leg.mean_bps(10_000, 60_000), leg.lost * 1000 / leg.sent)
    };
    let ((clean, _), (with_loss, lost)) = (mean(Loss::None), mean(loss));
    writeln!(table.0, "\n{what}, 3 Mbit/s, 50 ms, seed {seed}").unwrap();
    table.row("packets lost", lost, "‰");
    table.row("mean estimate without loss", clean / 1000, "kbit/s");
    table.row("mean estimate", with_loss / 1000, "kbit/s");
    let cost = clean.saturating_sub(with_loss) * 1000 / clean;
    table.row("cost", cost, "‰");
    assert!(cost < cost_max_permille, "seed {seed}: {what} costs {cost} ‰");
}

fn heavy_loss(table: &mut Table, seed: u64) {
    let path = Path { loss: Loss::Random(0.2), ..Path::new(&[(0, 3 * MBIT)]) };
    let mut leg = Leg::new(seed, path, 5 * MBIT);
    leg.run_for(20_000);
    writeln!(table.0, "\n20 % random loss, 3 Mbit/s, 50 ms, seed {seed}").unwrap();
    let after = leg.mean_bps(15_000, 20_000);
    table.row("mean estimate after 15 s", after / 1000, "kbit/s");
    assert!(after < 600_000, "seed {seed}: heavy loss lowers the rate, not {after}");
}

/// Everything is paused, the path breaks down, and recovers: only probes can detect that.
fn paused(table: &mut Table, seed: u64) {
    let path = Path::new(&[(0, 3 * MBIT), (5_000, 60_000), (10_000, 3 * MBIT)]);
    let mut leg = Leg::new(seed, path, 2 * MBIT);
    leg.run_for(10_000);
    let low = leg.estimator.estimate_bps();
    leg.is_paused = true;
    let (sent_before, padding_before) = (leg.sent_bytes, leg.estimator.padding_bytes());
    leg.run_for(20_000);
    writeln!(table.0, "\n3 Mbit/s, 60 kbit/s, then 3 Mbit/s with everything paused, seed {seed}").unwrap();
    table.row("estimate when everything is paused", low / 1000, "kbit/s");
    let back = leg.when(10_000, |bps| bps >= MBIT).expect("it recovers");
    table.row("above 1 Mbit/s after", back, "ms");
    let probed = leg.estimator.padding_bytes() - padding_before;
    table.row("padding in 20 s", probed / 1000, "kB");
    assert!(low < 200_000, "seed {seed}: {low}");
    assert!(back < 10_000, "seed {seed}: {back} ms to recover from nothing");
    assert_eq!(leg.sent_bytes - sent_before - probed, 0, "seed {seed}: nothing but padding");
    assert!(probed < 200_000, "seed {seed}: {probed} bytes of padding");
}

/// The path carries far more than requested: no unnecessary probing.
fn contented(table: &mut Table, seed: u64) {
    let mut leg = Leg::new(seed, Path::new(&[(0, 20 * MBIT)]), MBIT);
    leg.run_for(10_000);
    let padding = leg.estimator.padding_bytes();
    leg.run_for(50_000);
    writeln!(table.0, "\n1 Mbit/s wanted of 20, 50 ms, seed {seed}").unwrap();
    table.row("estimate after a minute", leg.estimator.estimate_bps() / 1000, "kbit/s");
    table.row("padding in the first 10 s", padding / 1000, "kB");
    table.row("padding in the 50 s after", (leg.estimator.padding_bytes() - padding) / 1000, "kB");
    assert!(leg.estimator.estimate_bps() >= MBIT, "seed {seed}");
    assert_eq!(leg.estimator.padding_bytes(), padding, "seed {seed}: no unnecessary probes");
}

fn jittery(table: &mut Table, seed: u64) {
    let path = Path { jitter_micros: 20_000, ..Path::new(&[(0, 3 * MBIT)]) };
    let mut leg = Leg::new(seed, path, 5 * MBIT);
    leg.run_for(60_000);
    writeln!(table.0, "\n20 ms of jitter, 3 Mbit/s, 50 ms, seed {seed}").unwrap();
    let mean = leg.mean_bps(10_000, 60_000);
    table.row("mean estimate", mean / 1000, "kbit/s");
    assert!(mean > 1_200_000, "seed {seed}: {mean}");
}

/// The path carries nothing for two seconds.
fn blackout(table: &mut Table, seed: u64) {
    let mut leg = Leg::new(seed, Path::new(&[(0, 3 * MBIT)]), 5 * MBIT);
    leg.run_for(10_000);
    leg.path.loss = Loss::Random(1.0);
    leg.run_for(2_000);
    leg.path.loss = Loss::None;
    let dark = leg.estimator.estimate_bps();
    leg.run_for(15_000);
    writeln!(table.0, "\n3 Mbit/s, nothing for 2 s, then 3 Mbit/s, seed {seed}").unwrap();
    table.row("estimate at the end of the gap", dark / 1000, "kbit/s");
    let back = leg.when(12_000, |bps| bps >= 2 * MBIT).expect("it recovers");
    table.row("back above 2 Mbit/s after", back, "ms");
    assert!(dark < 2 * MBIT && back < 10_000, "seed {seed}: {dark}, {back} ms");
}

#[test]
fn the_table_of_paths_matches() {
    let mut table = Table(String::from(
        "# Results of the estimator on emulated paths. Made by tests/sim/estimator.rs; UPDATE_GOLDEN=1 updates it.\n",
    ));
    for seed in [1, 2, 3] {
        step(&mut table, seed);
    }
    lossy(&mut table, 4, "2 % random loss", Loss::Random(0.02), 150);
    lossy(&mut table, 5, "bursts of 5 packets, 2 % of them lost", Loss::Bursts(0.004, 0.2), 150);
    lossy(&mut table, 6, "bursts of 10 packets, 5 % of them lost", Loss::Bursts(0.005, 0.1), 600);
    heavy_loss(&mut table, 7);
    paused(&mut table, 8);
    contented(&mut table, 9);
    jittery(&mut table, 10);
    blackout(&mut table, 11);
    golden::check("bandwidth.txt", &table.0);
}
