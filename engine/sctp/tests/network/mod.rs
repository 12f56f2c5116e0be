//! Two associations, a link between them and a clock, all virtual. Each test uses a part of it.
#![allow(dead_code)]

use bytes::Bytes;
use machine::{Instant, Rng};
use sctp::{Association, Event, Role, Settings};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the link does with a packet.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub delay: Duration,
    /// Packets that arrive up to this much later, and so out of order.
    pub jitter: Duration,
    pub loss: f64,
    pub duplication: f64,
}

impl Weather {
    pub const FAIR: Self =
        Self { delay: Duration::from_millis(10), jitter: Duration::ZERO, loss: 0.0, duplication: 0.0 };

    pub const ROUGH: Self = Self {
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(8),
        loss: 0.05,
        duplication: 0.02,
    };
}

pub const A: usize = 0;
pub const B: usize = 1;

/// A is the DTLS client.
pub struct Network {
    pub ends: [Association; 2],
    /// Polled events.
    pub events: [Vec<Event>; 2],
    /// Ends that do not poll events.
    pub is_deaf: [bool; 2],
    /// Bytes of the longest packet so far, and their number.
    pub longest: usize,
    pub sent: [u64; 2],
    pub weather: Weather,
    pub now: Instant,
    rng: Rng,
    in_flight: BTreeMap<(Instant, u64), (usize, Bytes)>,
    count: u64,
}

impl Network {
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self::with_settings(seed, weather, [Role::Client, Role::Server].map(Settings::new))
    }

    pub fn with_settings(seed: u64, weather: Weather, settings: [Settings; 2]) -> Self {
        let mut rng = Rng::from_number(seed);
        let now = Instant::from_nanos(1_000_000_000_000);
        let ends = settings.map(|settings| Association::new(now, settings, rng.fork()));
        Self {
            ends,
            events: [Vec::new(), Vec::new()],
            is_deaf: [false; 2],
            longest: 0,
            sent: [0; 2],
            weather,
            now,
            rng,
            in_flight: BTreeMap::new(),
            count: 0,
        }
    }

    /// Two ends with an established association.
    pub fn connected(seed: u64, weather: Weather) -> Self {
        let mut network = Self::new(seed, weather);
        network.run_until(|it| it.ends.iter().all(Association::is_connected));
        network
    }

    /// Runs until `is_done`, and panics after two hours of virtual time.
    pub fn run_until(&mut self, mut is_done: impl FnMut(&Self) -> bool) {
        let end = self.now + Duration::from_secs(7200);
        self.poll();
        while !is_done(self) {
            assert!(self.step(end), "nothing more happens at {:?}; events {:?}", self.now, self.events);
        }
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.poll();
        while self.step(end) {}
        self.now = end;
        self.poll();
    }

    /// The next packet or timer. False if there is none before `end`.
    pub fn step(&mut self, end: Instant) -> bool {
        let packet = self.in_flight.keys().next().map(|(at, _)| *at);
        let timers = self.ends.iter().filter_map(Association::poll_timeout);
        let Some(at) = timers.chain(packet).min().filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        if packet.is_some_and(|packet| packet <= self.now)
            && let Some((_, (to, bytes))) = self.in_flight.pop_first()
        {
            self.ends[to].handle_packet(self.now, &bytes);
        }
        for end in &mut self.ends {
            if end.poll_timeout().is_some_and(|at| at <= self.now) {
                end.handle_timeout(self.now);
            }
        }
        self.poll();
        true
    }

    /// Polls everything that the ends have.
    pub fn poll(&mut self) {
        for from in [A, B] {
            if !self.is_deaf[from] {
                while let Some(event) = self.ends[from].poll_event() {
                    self.events[from].push(event);
                }
            }
            while let Some(packet) = self.ends[from].poll_transmit(self.now) {
                self.send(1 - from, packet);
            }
        }
    }

    fn send(&mut self, to: usize, packet: Bytes) {
        self.longest = self.longest.max(packet.len());
        self.sent[1 - to] += 1;
        let copies = 1 + u32::from(self.rng.chance(self.weather.duplication));
        for _ in 0..copies {
            let jitter = self.rng.below(self.weather.jitter.as_micros() as u32 + 1);
            let at = self.now + self.weather.delay + Duration::from_micros(jitter.into());
            if !self.rng.chance(self.weather.loss) {
                self.count += 1;
                self.in_flight.insert((at, self.count), (to, packet.clone()));
            }
        }
    }

    /// The payloads of the messages that an end has received on a stream.
    pub fn messages(&self, end: usize, on: sctp::StreamId) -> Vec<Bytes> {
        let of_stream = |event: &Event| match event {
            Event::Message { stream, payload, .. } if *stream == on => Some(payload.clone()),
            _ => None,
        };
        self.events[end].iter().filter_map(of_stream).collect()
    }

    pub fn message_count(&self, end: usize) -> usize {
        self.events[end].iter().filter(|event| matches!(event, Event::Message { .. })).count()
    }

    pub fn has(&self, end: usize, event: &Event) -> bool {
        self.events[end].contains(event)
    }
}
