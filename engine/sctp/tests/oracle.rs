//! Against dcsctp, the implementation of Chrome: an independent one, with the handshake begun by either side or
//! by both, DCEP written by hand, and a link that loses, repeats and reorders packets.

use bytes::Bytes;
use machine::{Instant, Rng};
use oracle_sctp::api as oracle;
use oracle_sctp::api::{DcSctpSocket, SocketEvent, SocketTime};
use sctp::{Association, Channel, Discard, Event, Kind, Limit, Reliability, Role, Settings, StreamId};
use std::collections::BTreeMap;
use std::time::Duration;

struct Pair {
    ours: Association,
    theirs: Box<dyn DcSctpSocket>,
    now: Instant,
    rng: Rng,
    loss: f64,
    jitter_us: u32,
    /// To them, or to us.
    in_flight: BTreeMap<(Instant, u64), (bool, Vec<u8>)>,
    count: u64,
    events: Vec<Event>,
    /// Stream, protocol, payload.
    received: Vec<(u16, u32, Vec<u8>)>,
    /// Streams that we have reset, that they have reset, and those of the latter that are complete.
    resets: Vec<u16>,
    their_resets: Vec<u16>,
    reset_done: Vec<u16>,
    is_connected: bool,
    aborted: Option<String>,
}

impl Pair {
    /// `they_begin`: their INIT crosses ours.
    fn new(seed: u64, role: Role, they_begin: bool, loss: f64) -> Self {
        fn options() -> oracle::Options {
            oracle::Options { max_message_size: 256 * 1024, ..oracle::Options::default() }
        }
        let mut rng = Rng::from_number(seed);
        let now = Instant::from_nanos(1_000_000_000);
        let mut pair = Self {
            ours: Association::new(now, Settings::new(role), rng.fork()),
            theirs: oracle_sctp::new_socket("oracle", &options()),
            now,
            rng,
            loss,
            jitter_us: if loss > 0.0 { 5000 } else { 0 },
            in_flight: BTreeMap::new(),
            count: 0,
            events: Vec::new(),
            received: Vec::new(),
            resets: Vec::new(),
            their_resets: Vec::new(),
            reset_done: Vec::new(),
            is_connected: false,
            aborted: None,
        };
        pair.theirs.advance_time(pair.their_now());
        if they_begin {
            pair.theirs.connect();
        }
        pair.run_until(|pair| pair.is_connected && pair.ours.is_connected());
        pair
    }

    fn their_now(&self) -> SocketTime {
        SocketTime::zero() + self.now.since_epoch()
    }

    fn run_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(3600);
        self.poll();
        while !is_done(self) {
            assert!(
                self.step(end),
                "nothing happens at {:?}: {:?}, {:?}, resets {:?} {:?}, received {:?}",
                self.now,
                self.events,
                self.aborted,
                self.resets,
                self.reset_done,
                self.received
            );
        }
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.poll();
        while self.step(end) {}
        self.now = end;
    }

    fn step(&mut self, end: Instant) -> bool {
        let packet = self.in_flight.keys().next().map(|(at, _)| *at);
        let theirs = self.theirs.poll_timeout();
        let theirs =
            (theirs != SocketTime::infinite_future()).then(|| Instant::EPOCH + (theirs - SocketTime::zero()));
        let next = [packet, theirs, self.ours.poll_timeout()].into_iter().flatten().min();
        let Some(at) = next.filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        self.theirs.advance_time(self.their_now());
        if packet.is_some_and(|packet| packet <= self.now)
            && let Some((_, (to_us, bytes))) = self.in_flight.pop_first()
        {
            match to_us {
                true => self.ours.handle_packet(self.now, &bytes),
                false => self.theirs.handle_input(&bytes),
            }
        }
        if self.ours.poll_timeout().is_some_and(|at| at <= self.now) {
            self.ours.handle_timeout(self.now);
        }
        self.poll();
        true
    }

    fn poll(&mut self) {
        while let Some(event) = self.ours.poll_event() {
            self.events.push(event);
        }
        while let Some(packet) = self.ours.poll_transmit(self.now) {
            self.transmit(false, packet.to_vec());
        }
        while let Some(event) = self.theirs.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => self.transmit(true, packet),
                SocketEvent::OnConnected() => self.is_connected = true,
                SocketEvent::OnIncomingStreamReset(streams) => {
                    // As a browser does (RFC 8831 §6.7), which resets a channel once.
                    let is_open = |stream: &oracle::StreamId| !self.their_resets.contains(&stream.0);
                    let open: Vec<_> = streams.iter().copied().filter(is_open).collect();
                    self.they_reset(&open);
                    self.resets.extend(streams.iter().map(|stream| stream.0));
                }
                SocketEvent::OnStreamsResetPerformed(streams) => {
                    self.reset_done.extend(streams.iter().map(|stream| stream.0));
                }
                SocketEvent::OnAborted(kind, reason) => self.aborted = Some(format!("{kind:?} {reason}")),
                SocketEvent::OnError(kind, reason) => self.aborted = Some(format!("{kind:?} {reason}")),
                _ => {}
            }
        }
        while let Some(message) = self.theirs.get_next_message() {
            self.received.push((message.stream_id.0, message.ppid.0, message.payload));
        }
    }

    fn transmit(&mut self, to_us: bool, packet: Vec<u8>) {
        let copies = 1 + u32::from(self.loss > 0.0 && self.rng.chance(0.02));
        for _ in 0..copies {
            let jitter = Duration::from_micros(self.rng.below(self.jitter_us + 1).into());
            if !self.rng.chance(self.loss) {
                self.count += 1;
                let at = self.now + Duration::from_millis(10) + jitter;
                self.in_flight.insert((at, self.count), (to_us, packet.clone()));
            }
        }
    }

    fn they_send(&mut self, stream: u16, protocol: u32, payload: &[u8], options: &oracle::SendOptions) {
        let message =
            oracle::Message::new(oracle::StreamId(stream), oracle::PpId(protocol), payload.to_vec());
        self.theirs.send(message, options).expect("accepted");
    }

    fn they_reset(&mut self, streams: &[oracle::StreamId]) {
        if !streams.is_empty() {
            self.theirs.reset_streams(streams).expect("possible");
            self.their_resets.extend(streams.iter().map(|stream| stream.0));
        }
    }

    fn our_messages(&self) -> Vec<Bytes> {
        let payload = |event: &Event| match event {
            Event::Message { payload, .. } => Some(payload.clone()),
            _ => None,
        };
        self.events.iter().filter_map(payload).collect()
    }
}

const DCEP: u32 = 50;
const STRING: u32 = 51;
const BINARY: u32 = 53;
const STRING_EMPTY: u32 = 56;
const ACK: &[u8] = &[2];

fn data(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + seed) as u8).collect()
}

/// We begin, they begin, or both do.
#[test]
fn handshakes_of_every_order_complete() {
    for seed in 0..10 {
        for (role, they_begin) in [(Role::Client, false), (Role::Server, true), (Role::Client, true)] {
            let loss = if seed == 0 { 0.0 } else { 0.2 };
            let pair = Pair::new(seed, role, they_begin, loss);
            assert_eq!(pair.aborted, None);
        }
    }
}

#[test]
fn our_channel_opens_there_and_both_directions_carry_messages_of_every_length() {
    for loss in [0.0, 0.03] {
        let mut pair = Pair::new(1, Role::Client, true, loss);
        let reliability = Reliability { is_unordered: true, limit: Limit::Reliable };
        let channel = Channel { reliability, ..Channel::reliable("abc") };
        let stream = pair.ours.open(channel).expect("opened");
        pair.run_until(|pair| !pair.received.is_empty());
        let open = [&[3, 0x80, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0][..], b"abc"].concat();
        assert_eq!(pair.received, [(0, DCEP, open)]);
        pair.they_send(0, DCEP, ACK, &oracle::SendOptions::default());
        pair.received.clear();
        let lengths = [1, 1150, 1200, 30_000, 256 * 1024];
        for (seed, len) in lengths.into_iter().enumerate() {
            let payload = Bytes::from(data(len, seed));
            pair.ours.send(pair.now, stream, Kind::Binary, payload).expect("room");
            pair.they_send(0, STRING, &data(len, seed), &oracle::SendOptions::default());
        }
        pair.ours.send(pair.now, stream, Kind::String, Bytes::new()).expect("room");
        pair.they_send(0, STRING_EMPTY, &[0], &oracle::SendOptions::default());
        let count = lengths.len() + 1;
        pair.run_until(|pair| pair.received.len() == count && pair.our_messages().len() == count);
        for (seed, len) in lengths.into_iter().enumerate() {
            assert!(pair.received.contains(&(0, BINARY, data(len, seed))), "to them: {len}, loss {loss}");
            let to_us = Event::Message { stream, kind: Kind::String, payload: data(len, seed).into() };
            assert!(pair.events.contains(&to_us), "to us: {len}, loss {loss}");
        }
        assert!(pair.received.contains(&(0, STRING_EMPTY, vec![0])));
        assert_eq!(pair.our_messages().last(), Some(&Bytes::new()));
        assert_eq!(pair.aborted, None);
    }
}

#[test]
fn their_channel_opens_here() {
    let mut pair = Pair::new(2, Role::Server, true, 0.0);
    let open = [&[3, 2, 2, 0, 0, 0, 1, 0, 0, 1, 0, 2][..], b"xyz"].concat();
    pair.they_send(4, DCEP, &open, &oracle::SendOptions::default());
    pair.they_send(4, STRING, b"at once", &oracle::SendOptions::default());
    pair.run_until(|pair| !pair.received.is_empty() && pair.our_messages().len() == 1);
    let channel = Channel {
        label: "x".to_owned(),
        protocol: "yz".to_owned(),
        reliability: Reliability { is_unordered: false, limit: Limit::LifetimeMs(256) },
        priority: 512,
    };
    assert!(pair.events.contains(&Event::Opened { stream: StreamId(4), channel }));
    assert_eq!(pair.received, [(4, DCEP, ACK.to_vec())]);
}

/// Ten times: each side opens and closes, with messages before.
#[test]
fn streams_are_reset_by_either_side_and_used_again() {
    for loss in [0.0, 0.1] {
        let mut pair = Pair::new(3, Role::Client, true, loss);
        for round in 0..10 {
            let stream = pair.ours.open(Channel::reliable("r")).expect("free again");
            assert_eq!(stream, StreamId(0));
            pair.run_until(|pair| pair.received.iter().any(|(_, protocol, _)| *protocol == DCEP));
            pair.they_send(0, DCEP, ACK, &oracle::SendOptions::default());
            pair.they_send(0, STRING, b"theirs", &oracle::SendOptions::default());
            pair.run_until(|pair| pair.our_messages().len() == 1);
            if round % 2 == 0 {
                pair.ours.send(pair.now, stream, Kind::String, Bytes::from_static(b"ours")).expect("open");
                pair.ours.close(stream);
            } else {
                pair.they_reset(&[oracle::StreamId(0)]);
            }
            pair.run_until(|pair| pair.events.contains(&Event::Closed { stream }));
            pair.run_until(|pair| pair.resets.contains(&0) && pair.reset_done.contains(&0));
            if round % 2 == 0 {
                assert!(pair.received.contains(&(0, STRING, b"ours".to_vec())));
            }
            assert_eq!(pair.aborted, None, "round {round}");
            pair.events.clear();
            pair.received.clear();
            pair.resets.clear();
            pair.their_resets.clear();
            pair.reset_done.clear();
        }
    }
}

/// With partial reliability in both directions; what is reliable arrives.
#[test]
fn abandoned_messages_delay_no_others() {
    for seed in 0..5 {
        let mut pair = Pair::new(seed, Role::Client, true, 0.05);
        let limited = Reliability { is_unordered: true, limit: Limit::Retransmissions(0) };
        let channels = [Reliability::default(), limited].map(|reliability| {
            pair.ours.open(Channel { reliability, ..Channel::reliable("") }).expect("opened")
        });
        pair.run_until(|pair| pair.received.len() == 2);
        for id in [0, 2] {
            pair.they_send(id, DCEP, ACK, &oracle::SendOptions::default());
        }
        pair.run_for(Duration::from_secs(3));
        pair.received.clear();
        let unreliable = oracle::SendOptions {
            unordered: true,
            max_retransmissions: Some(0),
            ..oracle::SendOptions::default()
        };
        for round in 0..100 {
            let payload = data(3000, round);
            for stream in channels {
                pair.ours.send(pair.now, stream, Kind::Binary, payload.clone().into()).expect("room");
            }
            pair.they_send(0, BINARY, &payload, &oracle::SendOptions::default());
            pair.they_send(2, BINARY, &payload, &unreliable);
            pair.run_for(Duration::from_millis(50));
        }
        pair.run_for(Duration::from_secs(60));
        let theirs = |id: u16| pair.received.iter().filter(|it| it.0 == id).count();
        let ours = |id: u16| {
            let is_of = |it: &&Event| matches!(it, Event::Message { stream, .. } if stream.0 == id);
            pair.events.iter().filter(is_of).count()
        };
        assert_eq!((theirs(0), ours(0)), (100, 100), "seed {seed}");
        assert!((20..100).contains(&theirs(2)), "seed {seed}: {} of 100 at them", theirs(2));
        assert!((20..100).contains(&ours(2)), "seed {seed}: {} of 100 at us", ours(2));
        assert_eq!((pair.aborted.as_deref(), pair.ours.failed()), (None, None), "seed {seed}");
        let lost: u64 = [Discard::Malformed, Discard::Unsupported, Discard::InvalidAck]
            .map(|discard| pair.ours.discarded(discard))
            .iter()
            .sum();
        assert_eq!(lost, 0, "all that they send is understood");
    }
}
