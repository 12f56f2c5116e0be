//! From a receive batch to the send batch: for each consumer, all packets of its producer.
//!
//! A frame arrives as a burst of about ten packets. If each was forwarded alone, each would walk over all
//! consumers, whose state (numbers, pacer, history) is out of the cache when the next one arrives. So a
//! packet waits, as a reference into its producer's cache, until the end of its batch; then each consumer is
//! fetched once and gets all of them, which also makes one run for the send batch.
//!
//! Only a packet that is the newest of its stream waits. A late one is forwarded at once, after the waiting
//! ones: so every cached packet that is not newer than
//! [`Stream::forwarded_up_to`](crate::ingress::stream::Stream::forwarded_up_to) has been forwarded, and no
//! consumer gets a packet twice.

use crate::base::slots::{Slot, Slots};
use crate::egress::consumer::Consumer;
use crate::egress::writer::Egress;
use crate::ingress::producer::Producer;
use crate::limits;
use crate::objects::Objects;
use crate::packet::frame::Frame;
use crate::packet::media_packet::{Carried, Marker, MediaPacket};
use crate::shard::pending::PendingPacket;
use crate::shard::rearm::rearm_producer;
use crate::shard::turn::Turn;
use crate::transport::Transport;
use control::{Codec, Event, Kind};
use machine::{Instant, Tx, meter};
use rtp::SeqNo;

/// The forwarding of a packet to the consumers of its producer.
#[derive(Clone, Copy, Debug)]
struct Outgoing<'a> {
    stream: usize,
    packet: MediaPacket<'a>,
}

impl Outgoing<'_> {
    const NONE: Self = Self {
        stream: 0,
        packet: MediaPacket {
            seq: SeqNo(0),
            timestamp: 0,
            marker: Marker::NONE,
            codec: Codec::Opus,
            starts_keyframe: false,
            frame: Frame::Opaque,
            picture: None,
            carried: Carried::NONE,
            descriptor: &[],
            payload: &[],
            padded: &[],
        },
    };
}

impl PendingPacket {
    fn outgoing<'a>(&self, producer: &'a Producer) -> Option<Outgoing<'a>> {
        let stream = usize::from(self.stream);
        let cached = producer.streams.get(stream)?.cache.packet(self.packet.seq)?;
        let packet: MediaPacket<'a> = self.packet;
        let packet = MediaPacket {
            descriptor: cached.descriptor,
            payload: cached.payload,
            padded: cached.padded,
            ..packet
        };
        Some(Outgoing { stream, packet })
    }
}

/// Handles a packet that has just been received: it is forwarded at the end of the batch, or at once if it
/// cannot wait.
#[inline]
pub(super) fn enqueue(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    stream: usize,
    packet: &MediaPacket<'_>,
) {
    let now = turn.now;
    let Some(producer) = objects.producers.find(slot) else { return };
    let of_stream = &producer.streams[stream];
    let can_wait = of_stream.highest() == Some(packet.seq);
    // The oldest waiting packet must not be replaced in the cache.
    let first =
        turn.pending.iter().find(|pending| pending.producer == slot && usize::from(pending.stream) == stream);
    let is_far = first
        .is_some_and(|first| packet.seq.0.saturating_sub(first.packet.seq.0) >= of_stream.cache.len() as u64);
    if !can_wait || is_far || turn.pending.len() == limits::PENDING_PACKETS_MAX {
        forward_pending(objects, turn);
    }
    let Some(producer) = objects.producers.find_mut(slot) else { return };
    let is_kept = producer.streams[stream].cache.insert(packet);
    if can_wait && is_kept {
        let number = turn.pending.len() as u8;
        let (stream, len) = (stream as u8, packet.payload.len() as u16);
        let since = turn.pending.first().map_or(now, |first| first.since);
        let packet = packet.without_bytes();
        turn.pending.push(PendingPacket { producer: slot, stream, number, since, len, packet });
        return;
    }
    forward_pending(objects, turn);
    let Some(producer) = objects.producers.find(slot) else { return };
    let packets = &[Outgoing { stream, packet: *packet }];
    let Objects { consumers, transports, .. } = objects;
    let missed = fan_out(packets, producer, consumers, transports, turn);
    let newest = can_wait.then_some((stream, packet.seq));
    after_fan_out(objects, turn, slot, newest.into_iter(), missed);
}

/// Until when the rest of a frame is awaited: at most as long as forwarding it together saves.
pub(super) fn rest_of_frame_until(objects: &Objects, pending: &[PendingPacket]) -> Option<Instant> {
    let PendingPacket { producer, stream, packet, since, .. } = pending.last()?;
    let producer = objects.producers.find(*producer)?;
    let comes_at_once = producer.streams[usize::from(*stream)].comes_in_bursts();
    let wait = limits::GATHER_PER_CONSUMER * producer.consumers.len() as u32;
    let is_worth_it = wait >= limits::GATHER_MIN && comes_at_once && !packet.marker.is_set();
    is_worth_it.then(|| *since + wait.min(limits::GATHER_MAX))
}

/// A packet of this stream was received and is not forwarded. Later ones do not continue those before.
pub(super) fn skip(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, stream: usize) {
    forward_pending(objects, turn);
    if let Some(producer) = objects.producers.find_mut(slot) {
        producer.streams[stream].on_skipped();
    }
}

/// Forwards all pending packets. The producer with the fewest comes first, so that audio and small frames do
/// not wait for a keyframe.
pub(super) fn forward_pending(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>) {
    if turn.pending.is_empty() {
        return;
    }
    let mut pending = std::mem::take(turn.pending);
    for together in by_producer(&mut pending).flat_map(|pending| pending.chunks(limits::FAN_OUT_PACKETS_MAX))
    {
        forward_group(objects, turn, together[0].producer, together);
    }
    pending.clear();
    *turn.pending = pending;
}

fn forward_group(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    together: &[PendingPacket],
) {
    let Some(producer) = objects.producers.find_mut(slot) else { return };
    pad_to_equal_length(together, producer);
    let producer = &*producer;
    let mut packets = [Outgoing::NONE; limits::FAN_OUT_PACKETS_MAX];
    let mut count = 0;
    for packet in together.iter().filter_map(|pending| pending.outgoing(producer)) {
        packets[count] = packet;
        count += 1;
    }
    let packets = &packets[..count];
    let Objects { consumers, transports, .. } = objects;
    let missed = fan_out(packets, producer, consumers, transports, turn);
    let given = together.iter().map(|pending| (usize::from(pending.stream), pending.packet.seq));
    after_fan_out(objects, turn, slot, given, missed);
}

/// After these packets have been forwarded: in these streams a consumer needs a keyframe.
fn after_fan_out(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    given: impl Iterator<Item = (usize, SeqNo)>,
    Missed(missed): Missed,
) {
    let Some(producer) = objects.producers.find_mut(slot) else { return };
    for (stream, seq) in given {
        producer.streams[stream].on_forwarded(seq);
    }
    if missed == 0 {
        return;
    }
    for (index, stream) in producer.streams.iter_mut().enumerate() {
        if missed & 1 << index != 0 {
            stream.keyframes.want();
        }
    }
    rearm_producer(objects, turn.timers, slot);
}

/// The pending packets per producer, in order; the producer with the fewest comes first.
fn by_producer(pending: &mut [PendingPacket]) -> impl Iterator<Item = &[PendingPacket]> {
    pending.sort_unstable_by_key(|pending| (pending.producer, pending.number));
    let mut groups = [&[][..]; limits::PENDING_PACKETS_MAX];
    let mut count = 0;
    for group in pending.chunk_by(|one, other| one.producer == other.producer) {
        groups[count] = group;
        count += 1;
    }
    groups[..count].sort_unstable_by_key(|group| (group.len(), group[0].producer));
    groups.into_iter().take(count)
}

/// Pads consecutive video packets to the length of the longest, if they differ by little: packets of one
/// length make one run of the send batch, which costs the kernel little more than one packet. The last packet
/// of a run may be shorter.
fn pad_to_equal_length(together: &[PendingPacket], producer: &mut Producer) {
    if producer.kind() != Kind::Video {
        return;
    }
    let mut rest = together;
    while !rest.is_empty() {
        let (count, most) = run_of(rest.iter().map(|pending| (pending.stream, pending.len)));
        let (run, behind) = rest.split_at(count);
        for pending in &run[..count - 1] {
            let stream = &mut producer.streams[usize::from(pending.stream)];
            stream.cache.pad(pending.packet.seq, (most - pending.len) as u8);
        }
        rest = behind;
    }
}

/// The number of packets, at least one, of the same stream and of similar length, and the length of the
/// longest.
fn run_of(mut packets: impl Iterator<Item = (u8, u16)>) -> (usize, u16) {
    let Some((of_stream, len)) = packets.next() else { return (0, 0) };
    let (mut count, mut least, mut most) = (1, len, len);
    for (stream, len) in packets {
        let (shorter, longer) = (least.min(len), most.max(len));
        // Empty packets are not sent.
        if stream != of_stream || shorter == 0 || longer - shorter > limits::EQUAL_LENGTH_PADDING_MAX {
            break;
        }
        (count, least, most) = (count + 1, shorter, longer);
    }
    (count, most)
}

/// Bit `n`: some consumer cannot get to the layers it wants without a keyframe of stream `n`.
#[derive(Clone, Copy, Debug, Default)]
struct Missed(u8);

const _: () = assert!(limits::ENCODINGS_MAX <= 8);

/// Prefetches the state of the next consumers: about forty cache lines each, not used since the last frame. A
/// pointer can only be followed when it is in the cache, so each step handles the next consumer.
fn look_ahead(rest: &[Slot], consumers: &Slots<Consumer>, transports: &Slots<Transport>, tx: &impl Tx) {
    let transport_of = |ahead: usize| {
        let consumer = consumers.find(*rest.get(ahead)?)?;
        Some(consumer.transport)
    };
    if let Some(place) = rest.get(4).and_then(|slot| consumers.place(*slot)) {
        tx.prefetch(place);
    }
    if let Some(place) = transport_of(3).and_then(|slot| transports.place(slot)) {
        tx.prefetch(place);
    }
    let side_of = |ahead| transports.find(transport_of(ahead)?)?.send_side.as_deref();
    if let Some(side) = side_of(2) {
        side.prefetch(tx);
    }
    if let Some(side) = side_of(1) {
        tx.prefetch(side.estimator.next_entries());
    }
}

/// Writes packets for every consumer of their producer.
fn fan_out(
    packets: &[Outgoing<'_>],
    producer: &Producer,
    consumers: &mut Slots<Consumer>,
    transports: &mut Slots<Transport>,
    turn: &mut Turn<'_, impl Tx>,
) -> Missed {
    let Turn { now, tx, timers, news, counters, handling, .. } = turn;
    let mut missed = 0;
    let is_layered = producer.is_layered();
    for (index, slot) in producer.consumers.iter().enumerate() {
        meter::charge(1 + packets.len(), 300);
        look_ahead(&producer.consumers[index..], consumers, transports, *tx);
        let Some(consumer) = consumers.find_mut(*slot).filter(|consumer| !consumer.paused) else { continue };
        let Some(transport) = transports.find_mut(consumer.transport) else { continue };
        let Some(out) = &mut Egress::of(transport, *now, *tx, counters) else { continue };
        handling.forward(producer.transport, consumer.transport);
        for Outgoing { stream, packet } in packets {
            missed |= u8::from(consumer.forward(packet, producer, *stream, out)) << stream;
        }
        handling.check_forward_trap();
        out.tx.end_of_flow();
        if let Some(at) = transport.send_side.as_ref().and_then(|side| side.pacer.next_timeout()) {
            timers.hasten(consumer.transport, at);
        }
        if is_layered && let Some(layers) = consumer.take_changed_layers(producer) {
            news.notify(Event::LayersChanged { consumer: consumer.spec.consumer, layers });
        }
    }
    handling.end_forward();
    Missed(missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_with_the_fewest_packets_come_first_in_order() {
        let producers = [7, 3, 3, 7, 5, 3, 7];
        let pending = producers.iter().enumerate().map(|(number, producer)| PendingPacket {
            producer: Slot::from_bits(*producer),
            stream: 0,
            number: number as u8,
            since: Instant::EPOCH,
            len: 0,
            packet: Outgoing::NONE.packet,
        });
        let mut pending: Vec<PendingPacket> = pending.collect();
        let groups = by_producer(&mut pending)
            .map(|group| group.iter().map(|pending| pending.number).collect::<Vec<_>>());
        assert_eq!(groups.collect::<Vec<_>>(), [vec![4], vec![1, 2, 5], vec![0, 3, 6]]);
        assert_eq!(by_producer(&mut []).count(), 0);
    }

    #[test]
    fn run_has_one_stream_and_similar_length() {
        let run_of = |lens: &[(u8, u16)]| super::run_of(lens.iter().copied());
        assert_eq!(run_of(&[(0, 1200), (0, 1199), (0, 1200), (0, 1199)]), (4, 1200));
        assert_eq!(run_of(&[(0, 1192), (0, 1200), (0, 1191)]), (2, 1200), "the third would need nine bytes");
        assert_eq!(run_of(&[(0, 1200), (1, 1200)]), (1, 1200));
        assert_eq!(run_of(&[(0, 3), (0, 0), (0, 3)]), (1, 3));
        assert_eq!(run_of(&[(0, 0), (0, 0)]), (1, 0));
        assert_eq!(run_of(&[]), (0, 0));
    }
}
