//! Two endpoints and a link between them; the test can lose, delay or swap each datagram.

#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

pub mod keys;

use dtls::{Certificate, CertificateHash, Connected, Endpoint, Failed, Options, Output, Settings, Version};
use machine::{Instant, Rng};
use std::collections::BinaryHeap;
use std::time::Duration;

/// Settings of both ends for this version.
pub fn settings(version: Version) -> Settings {
    Settings::new(Options { version, ..Options::default() })
}

/// One end.
pub struct Side {
    pub endpoint: Endpoint,
    pub connected: Option<Connected>,
    pub received: Vec<Vec<u8>>,
    pub closed: bool,
    pub failed: Option<Failed>,
    pub sent: usize,
}

impl Side {
    fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, connected: None, received: Vec::new(), closed: false, failed: None, sent: 0 }
    }

    /// Polls until there is nothing more; returns the datagrams to send and the next timeout.
    pub fn drain(&mut self) -> (Vec<Vec<u8>>, Option<Instant>) {
        let mut buffer = Vec::new();
        let mut datagrams = Vec::new();
        loop {
            match self.endpoint.poll(&mut buffer) {
                Output::Datagram(bytes) => datagrams.push(bytes.to_vec()),
                Output::Connected(connected) => {
                    assert!(self.connected.replace(connected).is_none(), "connected is reported once");
                }
                Output::ApplicationData(bytes) => self.received.push(bytes.to_vec()),
                Output::Closed => self.closed = true,
                Output::Timeout(at) => return (datagrams, Some(at)),
                Output::Idle => return (datagrams, None),
            }
        }
    }
}

/// A datagram in transit.
#[derive(PartialEq, Eq)]
struct Flying {
    at: Instant,
    number: usize,
    to: usize,
    bytes: Vec<u8>,
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The link's decision about a datagram of this sender: nothing, or datagrams that arrive after a delay.
pub type Link = Box<dyn FnMut(usize, Vec<u8>) -> Vec<(Duration, Vec<u8>)>>;

pub struct World {
    /// Client and server.
    pub sides: [Side; 2],
    pub now: Instant,
    link: Link,
    flying: BinaryHeap<Flying>,
    timers: [Option<Instant>; 2],
    number: usize,
}

/// When a world starts.
pub const START: Instant = Instant::from_nanos(1_000_000_000);

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;

impl World {
    pub fn new(settings: &Settings, link: Link) -> Self {
        let (client, server) = (Certificate::generate(), Certificate::generate());
        let expected = [server.fingerprint(), client.fingerprint()];
        Self::expecting([settings, settings], link, [&client, &server], expected)
    }

    /// With the fingerprint that each side expects.
    pub fn expecting(
        settings: [&Settings; 2],
        link: Link,
        certificates: [&Certificate; 2],
        expected: [impl Into<CertificateHash>; 2],
    ) -> Self {
        let [of_server, of_client] = expected;
        let client = Endpoint::client(settings[0], certificates[0], of_server, START);
        let server = Endpoint::server(settings[1], certificates[1], of_client, START);
        Self::of([client, server], link)
    }

    /// Of these ends, which were made at [`START`].
    pub fn of(ends: [Endpoint; 2], link: Link) -> Self {
        Self {
            sides: ends.map(Side::new),
            now: START,
            link,
            flying: BinaryHeap::new(),
            timers: [None, None],
            number: 0,
        }
    }

    /// Passes a side's datagrams to the link.
    pub fn flush(&mut self, side: usize) {
        let (datagrams, timer) = self.sides[side].drain();
        self.timers[side] = timer;
        for bytes in datagrams {
            self.sides[side].sent += 1;
            for (delay, bytes) in (self.link)(side, bytes) {
                self.flying.push(Flying { at: self.now + delay, number: self.number, to: 1 - side, bytes });
                self.number += 1;
            }
        }
    }

    pub fn both_connected(&self) -> bool {
        self.sides.iter().all(|side| side.connected.is_some())
    }

    pub fn any_failed(&self) -> bool {
        self.sides.iter().any(|side| side.failed.is_some())
    }

    /// Advances time until `done`, until nothing happens any more, or until the limit.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        self.flush(CLIENT);
        self.flush(SERVER);
        while !done(self) {
            let next = self.flying.peek().map(|flying| flying.at).into_iter();
            let Some(next) = next.chain(self.timers.into_iter().flatten()).min() else { return };
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if self.flying.peek().is_some_and(|flying| flying.at <= self.now) {
                let Some(flying) = self.flying.pop() else { return };
                let side = &mut self.sides[flying.to];
                side.failed = side.endpoint.on_datagram(self.now, &flying.bytes).err().or(side.failed);
                self.flush(flying.to);
                continue;
            }
            for side in [CLIENT, SERVER] {
                if self.timers[side].is_some_and(|timer| timer <= self.now) {
                    let it = &mut self.sides[side];
                    it.failed = it.endpoint.on_timeout(self.now).err().or(it.failed);
                    self.flush(side);
                }
            }
        }
    }
}

/// A link that only delays.
pub fn clean() -> Link {
    Box::new(|_, bytes| vec![(DELAY, bytes)])
}

/// The delay of a clean link.
pub const DELAY: Duration = Duration::from_millis(10);

/// A link that loses, reorders and duplicates.
pub fn bad(seed: u64, loss: f64) -> Link {
    let mut rng = Rng::from_number(seed);
    Box::new(move |_, bytes| {
        let copies = usize::from(!rng.chance(loss)) + usize::from(rng.chance(0.1));
        let mut delay = || Duration::from_millis(u64::from(5 + rng.below(60)));
        (0..copies).map(|_| (delay(), bytes.clone())).collect()
    })
}
