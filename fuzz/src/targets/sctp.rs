//! SCTP: the packets of a peer that keeps to no protocol, and a pair of associations whose packets are lost,
//! repeated, reordered and changed. Checksums are correct, because a peer computes them for any content.

use std::time::Duration;

use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc};
use machine::{Instant, Rng};
use sctp::limits::{EVENT_BYTES_MAX, MESSAGE_LEN_MAX, RECEIVE_WINDOW, SEND_BUFFER_MAX};
use sctp::{Association, Channel, Event, Kind, Limit, Reliability, Role, Settings, StreamId};

use crate::script::Script;

const CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What an association may hold, whatever its peer does.
const MEMORY_MAX: usize = EVENT_BYTES_MAX + RECEIVE_WINDOW + SEND_BUFFER_MAX + 2 * MESSAGE_LEN_MAX;

/// The TSN with which the hostile peer begins, and the number of its first reset.
const FIRST_TSN: u32 = 0xffff_fff0;

fn start() -> Instant {
    Instant::from_nanos(1_000_000_000)
}

/// Writes the correct checksum.
fn seal(packet: &mut [u8]) {
    if packet.len() >= 12 {
        packet[8..12].fill(0);
        let checksum = CHECKSUM.checksum(packet).to_le_bytes();
        packet[8..12].copy_from_slice(&checksum);
    }
}

fn packet(tag: u32, chunks: &[u8]) -> Vec<u8> {
    let mut packet = [&[0x13, 0x88, 0x13, 0x88][..], &tag.to_be_bytes(), &[0; 4], chunks].concat();
    seal(&mut packet);
    packet
}

fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((value.len() as u16 + 4).to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// An association with a hostile peer.
struct SctpTarget {
    association: Association,
    tag: u32,
    now: Instant,
    replies: Vec<Bytes>,
}

impl SctpTarget {
    fn established() -> Self {
        let association = Association::new(start(), Settings::new(Role::Server), Rng::from_number(1));
        let mut target = Self { association, tag: 0, now: start(), replies: Vec::new() };
        let mut init = vec![0, 0, 0, 7, 0, 16, 0, 0, 4, 0, 4, 0];
        init.extend(FIRST_TSN.to_be_bytes());
        init.extend([0xc0, 0, 0, 4, 0x80, 8, 0, 6, 130, 192, 0, 0]);
        target.receive(&packet(0, &chunk(1, 0, &init)));
        let ack = target.replies.pop().expect("an INIT ACK");
        target.tag = u32::from_be_bytes(*ack[16..].first_chunk().expect("a tag"));
        // The cookie is in the parameter behind the fixed part.
        target.receive(&packet(target.tag, &chunk(10, 0, &ack[36..68])));
        assert!(target.association.is_connected());
        target
    }

    fn receive(&mut self, packet: &[u8]) {
        self.association.handle_packet(self.now, packet);
        self.poll();
    }

    fn poll(&mut self) {
        while self.association.poll_event().is_some() {}
        self.replies.clear();
        while let Some(packet) = self.association.poll_transmit(self.now) {
            self.replies.push(packet);
        }
        assert!(self.association.memory() <= MEMORY_MAX);
    }
}

/// A script: packets of chunks, with TSNs near the expected ones; raw packets; messages and time of our side.
pub fn sctp(data: &[u8]) {
    let mut script = Script::new(data);
    let mut target = SctpTarget::established();
    let mut tsn = FIRST_TSN;
    while !script.is_over() {
        match script.u8() % 8 {
            0 => {
                let bytes = packet(target.tag, script.blob());
                target.receive(&bytes);
            }
            1 => {
                let mut bytes = script.blob().to_vec();
                if script.bool() {
                    seal(&mut bytes);
                }
                target.receive(&bytes);
            }
            2 => {
                let _ = target.association.open(Channel::reliable("ours"));
                let payload = Bytes::from(vec![0; script.u16().into()]);
                let _ =
                    target.association.send(target.now, StreamId(script.u8().into()), Kind::Binary, payload);
                target.poll();
            }
            3 => {
                target.now += Duration::from_millis(script.u16().into());
                if target.association.poll_timeout().is_some_and(|at| at <= target.now) {
                    target.association.handle_timeout(target.now);
                }
                target.poll();
            }
            4 => {
                target.association.close(StreamId(script.u8().into()));
                target.poll();
            }
            _ => {
                let count = script.u8() % 8 + 1;
                let chunks: Vec<u8> = (0..count).flat_map(|_| any_chunk(&mut script, &mut tsn)).collect();
                target.receive(&packet(target.tag, &chunks));
            }
        }
    }
}

fn any_chunk(script: &mut Script<'_>, tsn: &mut u32) -> Vec<u8> {
    match script.u8() % 8 {
        0..=2 => {
            let flags = script.u8() & 7;
            let at = tsn.wrapping_add(u32::from(script.u8() % 16)).wrapping_sub(4);
            if script.bool() {
                *tsn = at.wrapping_add(1);
            }
            let (stream, number, protocol) = (script.u8() % 8, script.u8(), 48 + script.u8() % 16);
            let header = [&at.to_be_bytes()[..], &[0, stream, 0, number, 0, 0, 0, protocol]].concat();
            chunk(0, flags, &[&header, script.blob()].concat())
        }
        3 => {
            let value = [&script.u32().to_be_bytes()[..], &[0, 16, 0, 0, 0, 1, 0, 0], &script.array::<4>()];
            chunk(3, 0, &value.concat())
        }
        4 => {
            let at = tsn.wrapping_add(script.u8().into());
            chunk(192, 0, &[&at.to_be_bytes()[..], script.blob()].concat())
        }
        5 => {
            let number = FIRST_TSN.wrapping_add(u32::from(script.u8() % 4));
            let last = tsn.wrapping_add(u32::from(script.u8() % 8)).wrapping_sub(4);
            let mut reset = vec![0, 13, 0, 18];
            for word in [number, script.u32(), last] {
                reset.extend(word.to_be_bytes());
            }
            reset.extend([0, script.u8() % 8]);
            chunk(130, 0, &reset)
        }
        _ => chunk(script.u8(), script.u8(), script.blob()),
    }
}

/// The packets of a pair in flight: to which end, and the packet.
type InFlight = Vec<(usize, Vec<u8>)>;

/// A script of what both ends and their network do. If no packet was changed, everything reliable arrives.
pub fn sctp_pair(data: &[u8]) {
    let mut script = Script::new(data);
    let mut rng = Rng::from_number(2);
    let mut now = start();
    let mut ends =
        [Role::Client, Role::Server].map(|role| Association::new(now, Settings::new(role), rng.fork()));
    let mut in_flight = InFlight::new();
    let (mut sent, mut arrived) = ([0; 2], [0; 2]);
    let mut is_changed = false;
    let reliable = StreamId(8);
    for end in &mut ends {
        end.open_negotiated(reliable, Channel::reliable("")).expect("the first");
    }
    run(&mut ends, &mut now, &mut in_flight, &mut arrived, 20);
    while !script.is_over() {
        let end = usize::from(script.u8() & 1);
        let at = usize::from(script.u8());
        match script.u8() % 9 {
            0 => {
                let limit =
                    script.choice(&[Limit::Reliable, Limit::Retransmissions(1), Limit::LifetimeMs(50)]);
                let reliability = Reliability { is_unordered: script.bool(), limit };
                let _ = ends[end].open(Channel { reliability, ..Channel::reliable("x") });
            }
            1 => ends[end].close(StreamId(at as u16 % 8)),
            2 => {
                let payload = Bytes::from(vec![0; script.u16().into()]);
                let _ = ends[end].send(now, StreamId(at as u16 % 8), Kind::Binary, payload);
            }
            3 => {
                let payload = Bytes::from(vec![0; script.u16().into()]);
                sent[end] += usize::from(ends[end].send(now, reliable, Kind::Binary, payload).is_ok());
            }
            4 if at < in_flight.len() => drop(in_flight.remove(at)),
            5 if at < in_flight.len() => in_flight.push(in_flight[at].clone()),
            6 if !in_flight.is_empty() => in_flight.rotate_left(1),
            7 if at < in_flight.len() => {
                let place = usize::from(script.u16());
                let (_, packet) = &mut in_flight[at];
                // Not the verification tag, otherwise nothing would be read.
                let place = 12 + place % (packet.len() - 12);
                packet[place] ^= script.u8();
                seal(packet);
                is_changed = true;
            }
            _ => run(&mut ends, &mut now, &mut in_flight, &mut arrived, 2),
        }
        collect(&mut ends, now, &mut in_flight, &mut arrived);
    }
    if !is_changed {
        // Everything is retransmitted after some timeouts.
        run(&mut ends, &mut now, &mut in_flight, &mut arrived, 2000);
        assert!(ends.iter().all(|end| end.failed().is_none()), "{:?}", ends[0].failed());
        assert_eq!([arrived[1], arrived[0]], sent, "reliable messages");
    }
}

/// Polls everything.
fn collect(ends: &mut [Association; 2], now: Instant, in_flight: &mut InFlight, arrived: &mut [usize; 2]) {
    for (at, end) in ends.iter_mut().enumerate() {
        while let Some(event) = end.poll_event() {
            arrived[at] += usize::from(matches!(event, Event::Message { stream: StreamId(8), .. }));
        }
        in_flight.extend(std::iter::from_fn(|| end.poll_transmit(now)).map(|it| (1 - at, it.to_vec())));
        assert!(end.memory() <= MEMORY_MAX);
    }
}

/// Delivers what is in flight, up to `steps` times; when nothing is, the next timer expires.
fn run(
    ends: &mut [Association; 2],
    now: &mut Instant,
    in_flight: &mut InFlight,
    arrived: &mut [usize; 2],
    steps: usize,
) {
    for _ in 0..steps {
        collect(ends, *now, in_flight, arrived);
        if in_flight.is_empty() {
            let Some(at) = ends.iter().filter_map(Association::poll_timeout).min() else { break };
            *now = at.max(*now);
        }
        for (to, packet) in in_flight.drain(..) {
            ends[to].handle_packet(*now, &packet);
        }
        for end in ends.iter_mut() {
            if end.poll_timeout().is_some_and(|at| at <= *now) {
                end.handle_timeout(*now);
            }
        }
    }
    collect(ends, *now, in_flight, arrived);
}
