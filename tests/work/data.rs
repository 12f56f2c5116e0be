//! Rows for data channels: packets of SCTP in DTLS at the bounds of an association, and the timer calls in which
//! messages are delivered and sent.

use crate::Row;
use crate::commands::{consume_data, produce_data};
use crate::names;
use crate::raw::{BEGIN, END, FIRST_TSN, chunk, cookie_echo, data, init, packet};
use crate::stage::Stage;
use control::{Counter, TransportId};
use dtls::{Certificate, Options, Settings};
use leat_tests::Client;
use machine::{Path, Rng};
use sctp::limits::{DATA_CHUNKS_MAX, FRAGMENTS_MAX, IN_FLIGHT_MAX, MESSAGE_LEN_MAX};
use sfu::limits::{self, WORK_PER_CALL, WORK_PER_SCTP_PACKET};
use std::time::Duration;
use stun::Demux;

/// Bytes of a DATA chunk's payload in a full packet.
const FRAGMENT_LEN: usize = 1160;

/// Bytes for the chunks of a packet: a datagram less the headers of DTLS and SCTP.
const CHUNKS_LEN: usize = limits::DATAGRAM_LEN_MAX - 60;

/// The kind of a message of bytes.
const BINARY: u32 = 53;

fn row(case: &'static str, run: impl FnOnce(&mut Stage) + 'static) -> Row {
    Row::new(names::of_protocol(&Demux::Dtls), case, move || run(&mut Stage::new()))
}

pub fn rows() -> Vec<Row> {
    vec![
        row("SCTP: as many messages as fit, beside as many behind a gap as are held", |stage| {
            let (mut alice, missing) = beside_a_gap(stage, FRAGMENTS_MAX - DATA_CHUNKS_MAX);
            // Those that are still held, those that are refused, and the one that delivers all.
            for _ in 0..2 {
                let chunks: Vec<_> = (0..DATA_CHUNKS_MAX).map(|_| alice.message(b"x")).collect();
                alice.measure(stage, &chunks);
            }
            alice.measure(stage, &[missing]);
            let counters = stage.shard.counters();
            assert_eq!(counters.value(Counter::DataIn), FRAGMENTS_MAX as u64 + 1, "{counters:?}");
        })
        .allowed(
            WORK_PER_CALL + WORK_PER_SCTP_PACKET,
            "the library compares each chunk with those that it holds",
        ),
        row("SCTP: a FORWARD TSN of as many streams as fit, over as many messages as are held", |stage| {
            let (mut alice, _) = beside_a_gap(stage, FRAGMENTS_MAX);
            let mut value = (alice.tsn - 1).to_be_bytes().to_vec();
            for stream in 0..(CHUNKS_LEN - 8) as u16 / 4 {
                value.extend(stream.to_be_bytes());
                value.extend([0xff, 0xff]);
            }
            alice.measure(stage, &[chunk(192, 0, &value)]);
        })
        .allowed(WORK_PER_CALL + WORK_PER_SCTP_PACKET, "all messages that are held become complete"),
        row("SCTP: a SACK of as many gaps as fit, again and again", |stage| {
            let (mut bob, acknowledged) = with_packets_in_flight(stage);
            let in_flight = bob.newest.wrapping_sub(acknowledged);
            assert!(in_flight >= IN_FLIGHT_MAX, "{in_flight} packets are in flight");
            // Every other packet is missing.
            let gaps: Vec<u8> = (1..(in_flight as u16).min(2 * (CHUNKS_LEN as u16 - 16) / 4) / 2)
                .flat_map(|nth| [(2 * nth).to_be_bytes(); 2].concat())
                .collect();
            for _ in 0..4 {
                bob.measure(stage, &[sack(acknowledged, &gaps)]);
            }
            bob.measure(stage, &[sack(bob.newest, &[])]);
        })
        .allowed(
            WORK_PER_CALL + WORK_PER_SCTP_PACKET,
            "the library looks at each chunk in flight for each gap",
        ),
        row("SCTP: a RE-CONFIG that resets as many streams as fit", |stage| {
            let mut alice = DataPeer::new(stage);
            let streams = (CHUNKS_LEN - 20) / 2;
            for stream in 0..streams as u64 {
                stage.demand(produce_data(alice.transport, stream));
            }
            stage.settle();
            let mut request = [0, 13].to_vec();
            request.extend((16 + 2 * streams as u16).to_be_bytes());
            for word in [FIRST_TSN, 0, alice.tsn - 1] {
                request.extend(word.to_be_bytes());
            }
            request.extend((0..streams as u16).flat_map(u16::to_be_bytes));
            stage.tx.take();
            alice.measure(stage, &[chunk(130, 0, &request)]);
            // The engine resets its direction of the streams, and closes the channels when that is confirmed.
            for _ in 0..streams {
                let requests: Vec<[u8; 4]> =
                    alice.receive(stage).iter().filter_map(|it| reset_request(it)).collect();
                let Some(number) = requests.last() else { break };
                let response = [&[0, 16, 0, 12], &number[..], &[0, 0, 0, 1]].concat();
                alice.measure(stage, &[chunk(130, 0, &response)]);
            }
            let left = stage.shard.counters().value(Counter::DataProducers);
            assert_eq!(left, 0, "all are closed: {:?}", stage.shard.counters());
        })
        .of((CHUNKS_LEN - 20) / 2),
        row("SCTP: chunks that ask for answers, as many as fit", |stage| {
            let mut alice = DataPeer::new(stage);
            let heartbeats = vec![chunk(4, 0, &[0, 1, 0, 4]); CHUNKS_LEN / 8];
            alice.measure(stage, &heartbeats);
            alice.measure(stage, &[init()]);
        }),
        Row::new("timers", "a message of the longest kind for as many consumers as there may be", || {
            let stage = &mut Stage::new();
            let mut alice = DataPeer::new(stage);
            stage.demand(produce_data(alice.transport, 0));
            let half = limits::DATA_CONSUMERS_PER_PRODUCER_MAX as u64 / 2;
            for part in 0..2 {
                let bob = DataPeer::new(stage);
                for nth in 0..half {
                    stage.demand(consume_data(bob.transport, part * half + nth));
                }
            }
            stage.settle();
            // The first one fills the send buffers; the second one finds them full.
            for _ in 0..2 {
                let mut fragments = alice.long_message();
                let last = fragments.pop().expect("a message has fragments");
                fragments.into_iter().for_each(|fragment| alice.send(stage, &[fragment]));
                alice.measure(stage, &[last]);
            }
            let counters = stage.shard.counters();
            let offered = counters.value(Counter::DataOut) + counters.value(Counter::DataLost);
            assert_eq!(offered, 4 * half, "each message was offered to each consumer");
        })
        .of(limits::DATA_CONSUMERS_PER_PRODUCER_MAX),
    ]
}

/// A peer whose messages are held because one before them is missing, and that message.
fn beside_a_gap(stage: &mut Stage, held: usize) -> (DataPeer, Vec<u8>) {
    let mut alice = DataPeer::new(stage);
    stage.demand(produce_data(alice.transport, 0));
    let missing = alice.message(b"missing");
    for _ in 0..held / 32 {
        let chunks: Vec<_> = (0..32).map(|_| alice.message(b"x")).collect();
        alice.send(stage, &chunks);
    }
    (alice, missing)
}

/// A consumer that has acknowledged everything up to the returned number, and has much more on its way.
fn with_packets_in_flight(stage: &mut Stage) -> (DataPeer, u32) {
    let (mut alice, mut bob) = (DataPeer::new(stage), DataPeer::new(stage));
    stage.demand(produce_data(alice.transport, 0));
    stage.demand(consume_data(bob.transport, 0));
    stage.tx.take();
    for _ in 0..7 {
        alice.long_message().into_iter().for_each(|fragment| alice.send(stage, &[fragment]));
    }
    bob.receive(stage);
    let mut acknowledged = bob.newest - 1;
    for _ in 0..20 {
        // The congestion window grows by a packet with each acknowledgement.
        for tsn in acknowledged + 1..=bob.newest {
            bob.send(stage, &[sack(tsn, &[])]);
            acknowledged = tsn;
        }
        bob.receive(stage);
        if bob.newest - acknowledged >= IN_FLIGHT_MAX {
            return (bob, acknowledged);
        }
    }
    panic!("the congestion window does not grow: {:?}", stage.shard.counters());
}

/// The number of a request to reset streams, if the packet begins with one.
fn reset_request(packet: &[u8]) -> Option<[u8; 4]> {
    let is_request = packet[12] == 130 && packet[16..18] == [0, 13];
    is_request.then(|| *packet[20..].first_chunk().expect("four bytes"))
}

fn sack(cumulative: u32, gaps: &[u8]) -> Vec<u8> {
    let count = (gaps.len() as u16 / 4).to_be_bytes();
    chunk(3, 0, &[&cumulative.to_be_bytes()[..], &[0, 16, 0, 0], &count, &[0, 0], gaps].concat())
}

/// A peer with an established association that writes its packets itself.
struct DataPeer {
    client: Client,
    path: Path,
    transport: TransportId,
    tag: u32,
    /// The next one.
    tsn: u32,
    /// The number of its next message.
    number: u16,
    /// The newest TSN of the engine.
    newest: u32,
}

impl DataPeer {
    fn new(stage: &mut Stage) -> Self {
        let certificate = Certificate::generate();
        let (transport, ice, path) = stage.webrtc_of(certificate.fingerprint().0);
        let (engine, dtls) = (stage.certificate.fingerprint(), Settings::new(Options::default()));
        let client = Client::new(stage.now, &ice, engine, certificate, dtls, Rng::from_number(transport.0));
        let (tsn, number) = (FIRST_TSN, 0);
        let mut peer = Self { client, path, transport, tag: 0, tsn, number, newest: 0 };
        stage.tx.take();
        while !peer.client.is_acknowledged() {
            for bytes in peer.client.poll(stage.now).expect("nothing goes wrong") {
                stage.feed(path, &bytes);
            }
            stage.settle();
            peer.receive(stage);
            stage.pass(Duration::from_millis(5));
        }
        peer.send(stage, &[init()]);
        let replies = peer.receive(stage);
        let init_ack = replies.iter().find(|packet| packet[12] == 2).expect("an INIT ACK");
        let (tag, echo) = cookie_echo(init_ack);
        peer.tag = tag;
        peer.send(stage, &[echo]);
        stage.tx.forget();
        peer
    }

    /// A message in one fragment on stream 0.
    fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        self.fragment(BEGIN | END, payload, 1)
    }

    /// The fragments of the longest message.
    fn long_message(&mut self) -> Vec<Vec<u8>> {
        let count = MESSAGE_LEN_MAX.div_ceil(FRAGMENT_LEN);
        let fragments = (0..count).map(|nth| {
            let flags = if nth == 0 { BEGIN } else { 0 } | if nth == count - 1 { END } else { 0 };
            let len = FRAGMENT_LEN.min(MESSAGE_LEN_MAX - nth * FRAGMENT_LEN);
            self.fragment(flags, &[0x5a; FRAGMENT_LEN][..len], u16::from(nth == count - 1))
        });
        fragments.collect()
    }

    /// `ends`: 1 for the last fragment of a message.
    fn fragment(&mut self, flags: u8, payload: &[u8], ends: u16) -> Vec<u8> {
        let chunk = data(flags, self.tsn, 0, self.number, BINARY, payload);
        (self.tsn, self.number) = (self.tsn.wrapping_add(1), self.number.wrapping_add(ends));
        chunk
    }

    fn datagrams(&mut self, stage: &Stage, chunks: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let is_init = chunks.iter().any(|chunk| chunk[0] == 1);
        let tag = if is_init { 0 } else { self.tag };
        self.client.protect_data(stage.now, &packet(tag, chunks))
    }

    fn send(&mut self, stage: &mut Stage, chunks: &[Vec<u8>]) {
        for datagram in self.datagrams(stage, chunks) {
            stage.feed(self.path, &datagram);
        }
        stage.settle();
    }

    /// Sends a packet, measured with the timers after it.
    fn measure(&mut self, stage: &mut Stage, chunks: &[Vec<u8>]) {
        for datagram in self.datagrams(stage, chunks) {
            assert!(datagram.len() <= limits::DATAGRAM_LEN_MAX, "{} bytes", datagram.len());
            stage.measure_datagram_and_timers(self.path, &datagram);
        }
    }

    /// Handles what the engine has sent to this peer since the last call of any peer; returns packets of SCTP.
    fn receive(&mut self, stage: &mut Stage) -> Vec<Vec<u8>> {
        for (path, bytes) in stage.tx.take() {
            if path.remote == self.path.remote {
                self.client.on_datagram(stage.now, &bytes).expect("the engine's datagrams are valid");
            }
        }
        let packets = self.client.take_data();
        // The first chunk with data is enough: the engine sends a long message in packets of one.
        for packet in packets.iter().filter(|packet| packet[12] == 0) {
            let tsn = u32::from_be_bytes(*packet[16..].first_chunk().expect("four bytes"));
            self.newest = self.newest.max(tsn);
        }
        packets
    }
}
