//! Packets of a peer that keeps to no protocol: no panic, bounded memory, bounded time.

mod network;
mod raw;

use bytes::Bytes;
use machine::{Instant, Rng};
use network::{A, B, Network, Weather};
use proptest::prelude::*;
use raw::{BEGIN, END, FIRST_TSN, UNORDERED, chunk, cookie_echo, data, init, packet, seal};
use sctp::limits::{EVENT_BYTES_MAX, FRAGMENTS_MAX, MESSAGE_LEN_MAX, RECEIVE_WINDOW, SEND_BUFFER_MAX};
use sctp::{
    Association, Channel, Discard, Event, Failed, Kind, Limit, Reliability, Role, Settings, StreamId,
};
use std::time::Duration;

const MEMORY_MAX: usize = EVENT_BYTES_MAX + RECEIVE_WINDOW + SEND_BUFFER_MAX + 2 * MESSAGE_LEN_MAX;

/// A hostile peer with an established association.
struct Hostile {
    target: Association,
    tag: u32,
    tsn: u32,
    now: Instant,
    events: Vec<Event>,
    replies: Vec<Bytes>,
}

impl Hostile {
    fn new(seed: u64) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let target = Association::new(now, Settings::new(Role::Server), Rng::from_number(seed));
        let events = Vec::new();
        let mut peer = Self { target, tag: 0, tsn: FIRST_TSN, now, events, replies: Vec::new() };
        peer.send(&[init()]);
        let (tag, echo) = cookie_echo(&peer.replies.pop().expect("an INIT ACK"));
        peer.tag = tag;
        peer.send(&[echo]);
        assert!(peer.target.is_connected());
        peer
    }

    fn send(&mut self, chunks: &[Vec<u8>]) {
        let packet = packet(self.tag, chunks);
        self.target.handle_packet(self.now, &packet);
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(event) = self.target.poll_event() {
            self.events.push(event);
        }
        while let Some(packet) = self.target.poll_transmit(self.now) {
            self.replies.push(packet);
        }
        assert!(self.target.memory() <= MEMORY_MAX);
    }

    fn next_tsn(&mut self) -> u32 {
        self.tsn = self.tsn.wrapping_add(1);
        self.tsn.wrapping_sub(1)
    }

    fn open(&mut self, stream: u16) {
        let tsn = self.next_tsn();
        let open = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        self.send(&[data(BEGIN | END, tsn, stream, 0, 50, &open)]);
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        if self.target.poll_timeout().is_some_and(|at| at <= self.now) {
            self.target.handle_timeout(self.now);
        }
        self.poll();
    }
}

#[test]
fn a_hand_written_peer_is_understood() {
    let mut peer = Hostile::new(1);
    peer.open(0);
    let tsn = peer.next_tsn();
    peer.send(&[data(BEGIN | END, tsn, 0, 1, 51, b"hi")]);
    let (stream, payload) = (StreamId(0), Bytes::from_static(b"hi"));
    assert_eq!(peer.events.last(), Some(&Event::Message { stream, kind: Kind::String, payload }));
}

/// Fragments of one byte: the window has space for a million.
#[test]
fn a_message_of_tiny_fragments_ends_the_association() {
    let mut peer = Hostile::new(2);
    peer.open(0);
    let mut flags = BEGIN;
    for _ in 0..200 {
        let mut fragments = Vec::new();
        for _ in 0..60 {
            let tsn = peer.next_tsn();
            fragments.push(data(flags, tsn, 0, 1, 53, b"x"));
            flags = 0;
        }
        peer.send(&fragments);
    }
    assert_eq!(peer.events.last(), Some(&Event::Failed(Failed::TooLong)));
}

/// All behind a gap that is never filled: they count as lost beyond the bound.
#[test]
fn chunks_behind_a_gap_are_bounded() {
    let mut peer = Hostile::new(3);
    peer.open(0);
    peer.next_tsn();
    for number in 0..20_000_u32 {
        let tsn = peer.next_tsn();
        peer.send(&[data(BEGIN | END, tsn, 0, (number + 2) as u16, 53, b"x")]);
    }
    assert_eq!(peer.target.failed(), None);
    assert!(peer.target.discarded(Discard::DataBeyondLimits) > 15_000);
}

#[test]
fn messages_on_all_streams_without_a_channel_are_dropped() {
    let mut peer = Hostile::new(4);
    for stream in (0..u16::MAX).step_by(3) {
        let tsn = peer.next_tsn();
        peer.send(&[data(BEGIN | END, tsn, stream, 0, 51, b"x")]);
    }
    assert!(peer.target.discarded(Discard::MessageWithoutChannel) > 300);
    assert!(peer.target.discarded(Discard::InvalidStream) > 20_000);
    assert_eq!(peer.events, [Event::Connected]);
    // Everything is acknowledged.
    let sack = peer.replies.iter().rev().find(|packet| packet[12] == 3).expect("a SACK");
    assert_eq!(sack[16..20], (peer.tsn - 2).to_be_bytes());
    peer.open(4);
    assert!(matches!(peer.events[..], [Event::Connected, Event::Opened { .. }]));
}

/// Streams are opened and reset as fast as possible, without an answer to our resets.
#[test]
fn resets_without_end_are_bounded() {
    let mut peer = Hostile::new(5);
    for round in 0..5000_u32 {
        peer.open((round % 512) as u16 * 2);
        let last = peer.tsn.wrapping_sub(1);
        let mut reset = vec![0, 13, 0, 16];
        for word in [1000 + round, 0, last] {
            reset.extend(word.to_be_bytes());
        }
        peer.send(&[chunk(130, 0, &reset)]);
    }
    let opened = peer.events.iter().filter(|event| matches!(event, Event::Opened { .. })).count();
    assert!(opened <= 512, "each id once: its reset is not complete");
    assert!(peer.target.discarded(Discard::DataOfClosingChannel) > 0);
}

/// Data above the boundary of a reset that cannot be performed, which the library would store and sort.
#[test]
fn data_behind_a_pending_reset_is_not_stored() {
    let mut peer = Hostile::new(6);
    peer.open(0);
    let mut reset = vec![0, 13, 0, 18];
    for word in [1000, 0, peer.tsn + 1] {
        reset.extend(word.to_be_bytes());
    }
    reset.extend([0, 0]);
    peer.send(&[chunk(130, 0, &reset)]);
    peer.next_tsn();
    peer.next_tsn();
    for _ in 0..1000 {
        let tsn = peer.next_tsn();
        peer.send(&[data(BEGIN | END | UNORDERED, tsn, 0, 0, 53, b"x")]);
    }
    assert_eq!(peer.target.discarded(Discard::DataOfClosingChannel), 1000);
}

#[test]
fn acknowledgements_of_what_was_not_sent_are_discarded() {
    let mut peer = Hostile::new(7);
    peer.open(0);
    for (cumulative, gap) in [(u32::MAX, [0, 0]), (0x7fff_ffff, [0, 0])] {
        let sack = [&cumulative.to_be_bytes()[..], &[0, 16, 0, 0], &[0, 1, 0, 0], &[0, 1], &gap].concat();
        peer.send(&[chunk(3, 0, &sack)]);
    }
    assert!(peer.target.discarded(Discard::InvalidAck) >= 1);
    assert_eq!(peer.target.failed(), None);
}

#[test]
fn an_error_chunk_an_unknown_chunk_and_a_late_init_have_no_effect() {
    let mut peer = Hostile::new(8);
    peer.send(&[chunk(9, 0, &[0, 6, 0, 4])]);
    peer.send(&[chunk(0xbf, 0, b"abc")]);
    let tag = std::mem::take(&mut peer.tag);
    let init =
        [&7_u32.to_be_bytes()[..], &0x10_0000_u32.to_be_bytes(), &[4, 0, 4, 0], &1000_u32.to_be_bytes()];
    peer.send(&[chunk(1, 0, &init.concat())]);
    peer.tag = tag;
    let discarded = [Discard::PeerError, Discard::Unsupported, Discard::UnexpectedHandshake];
    assert_eq!(discarded.map(|discard| peer.target.discarded(discard)), [1; 3]);
    // The same beside data.
    let tsn = peer.next_tsn();
    let open = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    peer.send(&[chunk(9, 0, &[0, 6, 0, 4]), data(BEGIN | END, tsn, 0, 0, 50, &open)]);
    assert!(matches!(peer.events[..], [Event::Connected, Event::Opened { .. }]));
}

/// Chunks inside a chunk whose end the library finds by other means than its length.
#[test]
fn chunks_hidden_in_other_chunks_have_no_effect() {
    let mut peer = Hostile::new(11);
    peer.open(0);
    let before = peer.target.discarded(Discard::DataBeyondLimits);
    for round in 0..200_u32 {
        let hidden: Vec<u8> =
            (0..20).flat_map(|at| data(0, peer.tsn.wrapping_add(round * 20 + at), 0, 0, 53, b"x")).collect();
        let info = [0, 1, 0, 4];
        let response = [[0_u8, 16, 0, 12].as_slice(), &[0; 8]].concat();
        peer.send(&[chunk(4, 0, &[&info[..], &hidden].concat())]);
        peer.send(&[chunk(8, 0, &hidden)]);
        peer.send(&[chunk(14, 0, &hidden)]);
        peer.send(&[chunk(130, 0, &[&response[..], &hidden].concat())]);
    }
    assert_eq!(peer.target.discarded(Discard::DataBeyondLimits), before);
    assert!(!peer.events.iter().any(|event| matches!(event, Event::Message { .. })));
    // The association works: the next message in order arrives.
    let tsn = peer.next_tsn();
    peer.send(&[data(BEGIN | END, tsn, 0, 1, 53, b"alive")]);
    assert!(matches!(peer.events.last(), Some(Event::Message { .. })), "{:?}", peer.events.last());
}

/// A packet of requests gets one answer.
#[test]
fn requests_for_answers_are_bounded() {
    let mut peer = Hostile::new(12);
    peer.open(0);
    let heartbeats: Vec<_> = (0..100_u8).map(|at| chunk(4, 0, &[0, 1, 0, 5, at, 0, 0, 0])).collect();
    for _ in 0..50 {
        peer.send(&heartbeats);
    }
    assert!(peer.target.discarded(Discard::ReplyBeyondLimits) >= 50 * 99);
    assert_eq!(peer.target.failed(), None);
}

/// Packets at the bounds: as many chunks as fit, with the library full of messages behind a gap. What the library
/// does for a chunk grows with the number of those that it holds, so this number is the bound of the work.
#[test]
fn packets_of_many_chunks_behind_a_gap_are_bounded() {
    let mut peer = Hostile::new(9);
    peer.open(0);
    peer.next_tsn();
    let (rounds, per_packet) = (100_u32, 60_u32);
    for round in 0..rounds {
        let chunks: Vec<_> = (0..per_packet)
            .map(|at| {
                let tsn = peer.next_tsn();
                data(BEGIN | END, tsn, 0, (round * per_packet + at + 2) as u16, 53, b"x")
            })
            .collect();
        peer.send(&chunks);
    }
    let refused = peer.target.discarded(Discard::DataBeyondLimits);
    assert!(refused >= u64::from(rounds * per_packet) - FRAGMENTS_MAX as u64, "{refused}");
    assert_eq!(peer.target.failed(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any chunks of an established peer, and time that passes.
    #[test]
    fn any_chunks_are_survived(
        seed: u64,
        packets in proptest::collection::vec(
            proptest::collection::vec(
                (0_u8..16, any::<u8>(), 0_u8..8, 0_u32..40, proptest::collection::vec(any::<u8>(), 0..40)), 1..8,
            ),
            1..60,
        ),
    ) {
        let kinds = [0, 0, 0, 0, 3, 3, 4, 6, 7, 9, 10, 130, 130, 192, 194, 255];
        let mut peer = Hostile::new(seed);
        peer.open(0);
        let _ = peer.target.open(Channel::reliable("ours"));
        for packet in packets {
            let chunks = packet.into_iter().map(|(kind, flags, stream, ahead, bytes)| {
                let kind = kinds[usize::from(kind)];
                match kind {
                    0 => data(flags & 7, peer.tsn.wrapping_add(ahead), stream.into(), ahead as u16, 50 + ahead % 8, &bytes),
                    3 | 192 => chunk(kind, 0, &[&1000_u32.wrapping_add(ahead).to_be_bytes()[..], &bytes].concat()),
                    130 => {
                        let mut reset = vec![0, 13, 0, 18];
                        for word in [1000 + ahead % 3, ahead, 1000 + ahead] {
                            reset.extend(word.to_be_bytes());
                        }
                        reset.extend([0, stream]);
                        chunk(kind, 0, &reset)
                    }
                    // An ABORT ends everything too early.
                    6 if ahead > 0 => chunk(4, 0, &bytes),
                    _ => chunk(kind, flags, &bytes),
                }
            }).collect::<Vec<_>>();
            peer.send(&chunks);
            let _ = peer.target.send(peer.now, StreamId(0), Kind::Binary, Bytes::from_static(&[0; 3000]));
            peer.advance(Duration::from_millis(300));
        }
    }

    /// A pair whose packets are changed on the way, with correct checksums: as a hostile peer sends them.
    #[test]
    fn changed_packets_are_survived(seed: u64, changes in 1_u32..6) {
        let mut rng = Rng::from_number(seed);
        let now = Instant::from_nanos(5_000_000_000);
        let mut ends = [Role::Client, Role::Server]
            .map(|role| Association::new(now, Settings::new(role), rng.fork()));
        let limits = [Limit::Reliable, Limit::Retransmissions(0), Limit::LifetimeMs(100)];
        let streams = limits.map(|limit| {
            let reliability = Reliability { is_unordered: rng.chance(0.5), limit };
            ends[A].open(Channel { reliability, ..Channel::reliable("x") }).expect("opened")
        });
        let mut now = now;
        for round in 0..150_u32 {
            for end in [A, B] {
                for stream in streams {
                    let payload = Bytes::from(vec![0; rng.below(6000) as usize]);
                    let _ = ends[end].send(now, stream, Kind::Binary, payload);
                }
                if rng.chance(0.02) {
                    ends[end].close(streams[rng.below(3) as usize]);
                }
                while ends[end].poll_event().is_some() {}
                let packets: Vec<_> = std::iter::from_fn(|| ends[end].poll_transmit(now)).collect();
                for packet in packets {
                    let mut packet = packet.to_vec();
                    if round > 10 && rng.chance(0.3) {
                        for _ in 0..rng.below(changes) + 1 {
                            // Not the verification tag, otherwise nothing would be read.
                            let at = 12 + rng.below(packet.len() as u32 - 12) as usize;
                            packet[at.min(12 + rng.below(24) as usize)] = rng.next_u32() as u8;
                        }
                        seal(&mut packet);
                    }
                    ends[1 - end].handle_packet(now, &packet);
                    prop_assert!(ends[1 - end].memory() <= MEMORY_MAX);
                }
                if ends[end].poll_timeout().is_some_and(|at| at <= now) {
                    ends[end].handle_timeout(now);
                }
            }
            now += Duration::from_millis(20);
        }
    }

    #[test]
    fn any_bytes_are_survived(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..20)) {
        let mut network = Network::connected(1, Weather::FAIR);
        for mut packet in packets {
            network.ends[B].handle_packet(network.now, &packet);
            seal(&mut packet);
            network.ends[B].handle_packet(network.now, &packet);
        }
        let stream = network.ends[A].open(Channel::reliable("")).expect("opened");
        network.run_until(|it| it.events[B].iter().any(|event| matches!(event, Event::Opened { stream: it, .. } if *it == stream)));
    }
}
