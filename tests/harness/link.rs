//! One direction of the path between a peer and the engine: its effect on datagrams.

use machine::{Instant, Rng};
use std::time::Duration;
use stun::Demux;

/// The length of a DTLS datagram on a link of limited rate, independent of its real length: signatures differ
/// by a byte or two from run to run, and the time of later datagrams must not.
const HANDSHAKE_LEN: usize = 1200;

/// How long a packet waits at most for those that overtake it.
const OVERTAKING_TIME_MAX: Duration = Duration::from_millis(60);

/// Maximum duration of a loss burst: with few datagrams, its end would be far away.
const BURST_TIME_MAX: Duration = Duration::from_millis(500);

/// One direction. Perfect, and without delay, by default.
#[derive(Debug)]
pub struct Link {
    rng: Rng,
    loss: f64,
    burst: Option<Burst>,
    delay: Duration,
    jitter: Duration,
    duplicate: f64,
    reorder: Option<Reorder>,
    rate: Option<Rate>,
    /// No datagram arrives before one sent earlier, unless it is reordered.
    last_arrival: Instant,
    held: Vec<Held>,
    carried: u64,
    lost: u64,
}

/// Loss in bursts, with the two states of Gilbert and Elliott: in the bad one, everything is lost.
#[derive(Clone, Copy, Debug)]
struct Burst {
    /// The probability that a datagram in the good state starts a burst.
    begin: f64,
    /// The probability that a datagram in the bad state ends it.
    end: f64,
    /// Since when it is in the bad state.
    bad_since: Option<Instant>,
}

/// Media packets that are overtaken by later ones.
#[derive(Clone, Copy, Debug)]
struct Reorder {
    probability: f64,
    by: usize,
}

/// A bottleneck with a queue, which drops datagrams that do not fit.
#[derive(Clone, Copy, Debug)]
struct Rate {
    bytes_per_second: u64,
    queue_len_max: usize,
    busy_until: Instant,
}

/// A delayed packet that others overtake.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// How many still have to overtake it.
    to_pass: usize,
    until: Instant,
}

impl Link {
    /// A perfect link. Random events on it are drawn from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self {
            rng,
            loss: 0.0,
            burst: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            duplicate: 0.0,
            reorder: None,
            rate: None,
            last_arrival: Instant::EPOCH,
            held: Vec::new(),
            carried: 0,
            lost: 0,
        }
    }

    /// Datagrams received by it.
    pub fn carried(&self) -> u64 {
        self.carried
    }

    /// Datagrams it has lost, for any reason.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// A datagram enters at `now`; every copy that leaves is added to `arrivals` with its time.
    pub fn carry(&mut self, now: Instant, bytes: Vec<u8>, arrivals: &mut Vec<(Instant, Vec<u8>)>) {
        self.carried += 1;
        let is_media = matches!(stun::demux(&bytes), Demux::Rtp | Demux::TurnChannel);
        let Some(departure) = (!self.loses(now)).then(|| self.queue(now, &bytes)).flatten() else {
            self.lost += 1;
            return;
        };
        // One at a time: of two delayed together, the second would add to the first one's gap.
        let may_hold = is_media && self.held.is_empty();
        let overtaken = self.reorder.filter(|reorder| may_hold && self.rng.chance(reorder.probability));
        if let Some(reorder) = overtaken {
            let until = departure + OVERTAKING_TIME_MAX;
            self.held.push(Held { bytes, to_pass: reorder.by, until });
            return;
        }
        let arrival = self.arrival(departure);
        if self.rng.chance(self.duplicate) {
            arrivals.push((arrival, bytes.clone()));
        }
        arrivals.push((arrival, bytes));
        if is_media {
            self.let_pass(arrival, arrivals);
        }
    }

    /// When [`release`](Self::release) next has a packet.
    pub fn next_release(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    /// Releases packets that have been delayed long enough.
    pub fn release(&mut self, now: Instant, arrivals: &mut Vec<(Instant, Vec<u8>)>) {
        let due: Vec<Held> = self.held.extract_if(.., |held| held.until <= now).collect();
        for held in due {
            let arrival = self.arrival(now);
            arrivals.push((arrival, held.bytes));
        }
    }

    /// A media packet arrives and overtakes the delayed ones; those it was the last to overtake follow it.
    fn let_pass(&mut self, arrival: Instant, arrivals: &mut Vec<(Instant, Vec<u8>)>) {
        for held in &mut self.held {
            held.to_pass -= 1;
        }
        let passed = self.held.extract_if(.., |held| held.to_pass == 0);
        arrivals.extend(passed.map(|held| (arrival, held.bytes)));
    }

    fn loses(&mut self, now: Instant) -> bool {
        let in_burst = self.burst.as_mut().is_some_and(|burst| {
            let is_over = burst.bad_since.is_some_and(|since| now.saturating_since(since) > BURST_TIME_MAX);
            burst.bad_since = match burst.bad_since.filter(|_| !is_over) {
                Some(since) => (!self.rng.chance(burst.end)).then_some(since),
                None => self.rng.chance(burst.begin).then_some(now),
            };
            burst.bad_since.is_some()
        });
        in_burst || self.rng.chance(self.loss)
    }

    /// When the datagram has passed the bottleneck; `None` if its queue is full.
    fn queue(&mut self, now: Instant, bytes: &[u8]) -> Option<Instant> {
        let Some(rate) = &mut self.rate else { return Some(now) };
        let len = if stun::demux(bytes) == Demux::Dtls { HANDSHAKE_LEN } else { bytes.len() };
        let waiting = rate.busy_until.saturating_since(now).as_nanos() as u64;
        let queued = waiting * rate.bytes_per_second / 1_000_000_000;
        if queued as usize + len > rate.queue_len_max {
            return None;
        }
        let busy = Duration::from_nanos(len as u64 * 1_000_000_000 / rate.bytes_per_second);
        rate.busy_until = rate.busy_until.max(now) + busy;
        Some(rate.busy_until)
    }

    fn arrival(&mut self, departure: Instant) -> Instant {
        let jitter = self.jitter.mul_f64(f64::from(self.rng.below(1 << 20)) / f64::from(1 << 20));
        self.last_arrival = self.last_arrival.max(departure + self.delay + jitter);
        self.last_arrival
    }
}

/// Changes one direction of a path, or both alike: `world.link(alice).loss(0.05).delay(25 * MS)`.
#[derive(Debug)]
pub struct LinkEdit<'a> {
    pub(crate) links: Vec<&'a mut Link>,
}

impl LinkEdit<'_> {
    /// Each datagram is lost with this probability.
    pub fn loss(self, probability: f64) -> Self {
        self.each(|link| link.loss = probability)
    }

    /// In addition, loss bursts start with this probability at each datagram, and last `len` datagrams on
    /// average.
    pub fn bursts(self, probability: f64, len: f64) -> Self {
        self.each(|link| link.burst = Some(Burst { begin: probability, end: 1.0 / len, bad_since: None }))
    }

    /// The one-way delay.
    pub fn delay(self, delay: Duration) -> Self {
        self.each(|link| link.delay = delay)
    }

    /// Up to this additional delay, at random; the order stays.
    pub fn jitter(self, jitter: Duration) -> Self {
        self.each(|link| link.jitter = jitter)
    }

    /// Each datagram is duplicated with this probability.
    pub fn duplicate(self, probability: f64) -> Self {
        self.each(|link| link.duplicate = probability)
    }

    /// With this probability a media packet is overtaken by the `by` media packets sent after it.
    pub fn reorder(self, probability: f64, by: usize) -> Self {
        self.each(|link| link.reorder = Some(Reorder { probability, by }))
    }

    /// A bottleneck with a queue of `queue_len_max` bytes.
    pub fn rate(self, bits_per_second: u64, queue_len_max: usize) -> Self {
        let bytes_per_second = bits_per_second / 8;
        self.each(|link| {
            link.rate = Some(Rate { bytes_per_second, queue_len_max, busy_until: Instant::EPOCH });
        })
    }

    /// Perfect again, and without delay.
    pub fn heal(self) -> Self {
        self.each(|link| {
            let healed = Link::new(link.rng.fork());
            let old = std::mem::replace(link, healed);
            (link.last_arrival, link.held) = (old.last_arrival, old.held);
            (link.carried, link.lost) = (old.carried, old.lost);
        })
    }

    fn each(mut self, change: impl Fn(&mut Link)) -> Self {
        self.links.iter_mut().for_each(|link| change(link));
        self
    }
}
