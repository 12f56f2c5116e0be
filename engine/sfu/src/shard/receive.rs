//! A datagram of RTP or SRTP: decrypts it, finds its producer, and handles the packet.

use crate::base::slots::Slot;
use crate::ingress::stream::{Apart, Continuity};
use crate::limits;
use crate::objects::Objects;
use crate::packet::received::{Received, Role};
use crate::shard::connect::on_keys_used_up;
use crate::shard::demux::{Read, find_source, read_extensions};
use crate::shard::fan_out::{enqueue, forward_pending, skip};
use crate::shard::rearm::rearm_producer;
use crate::shard::speakers::on_audio_level;
use crate::shard::targets::retarget_all;
use crate::shard::turn::Turn;
use crate::transport::{Transport, Twcc};
use control::{Counter, Discard, Stage};
use machine::{Datagram, Instant, Tx};
use rtcp::twcc::Recorder;
use rtp::{Ssrc, TwccSeq, dependency_descriptor};

/// A datagram of RTP from a transport's peer: decrypted once, parsed once, forwarded to all consumers.
pub(super) fn on_rtp(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    datagram: Datagram<'_>,
) -> Result<(), Discard> {
    let now = turn.now;
    turn.handling.of(Stage::Rtp, slot);
    let transport = objects.transports.find_mut(slot).ok_or(Discard::NoValidPair)?;
    let protection = transport.protection.as_mut().ok_or(Discard::MediaBeforeKeys)?;
    let len = datagram.bytes.len();
    let is_open = protection.is_open();
    let plain = match protection.unprotect_rtp(datagram.bytes) {
        Err(Discard::SsrcLimit) => return Err(on_keys_used_up(objects, turn, slot)),
        unprotected => unprotected?,
    };
    if transport.on_authentic(now, datagram.path) {
        turn.timers.hasten(slot, now);
    }
    let rtp = rtp::Packet::new(plain).map_err(|_| Discard::RtpMalformed)?;
    turn.counters.count(Counter::RtpIn);
    transport.traffic.received.count(len);

    let Read { identifiers, carried, twcc_seq, descriptor } = read_extensions(transport, &rtp);
    if let Some(seq) = twcc_seq
        && record_arrival(transport, now, datagram.received_at, seq, rtp.ssrc())
    {
        // Also for a packet without a producer: it has arrived, and the sender's estimator needs its
        // feedback.
        turn.timers.hasten(slot, now + limits::TWCC_INTERVAL);
    }
    let router = transport.router;
    // Earlier packets must be forwarded with their own numbers and structure.
    if transport.sources.find(rtp.ssrc()).is_none() || dependency_descriptor::has_structure(descriptor) {
        forward_pending(objects, turn);
    }
    let transport = objects.transports.find_mut(slot).ok_or(Discard::NoValidPair)?;
    let (source, role) = find_source(now, transport, &mut objects.producers, &rtp, &identifiers)?;
    let received = Received { rtp, role, carried, descriptor, received_at: datagram.received_at };
    let place = (source.producer, usize::from(source.stream));
    if is_open && matches!(role, Role::Media(_)) && !follows_on(objects, turn, router, place, &received) {
        return Ok(());
    }
    accept(objects, turn, router, place, &received)
}

/// A source without SRTP may restart its numbers under the same SSRC (RFC 3550 §A.1): then the stream is
/// reset, and the stored packet comes first. False for a packet that is stored, because only the next one
/// shows whether it is the first after a restart.
fn follows_on(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    router: Slot,
    place: (Slot, usize),
    received: &Received<'_>,
) -> bool {
    let (slot, index) = place;
    let Some(producer) = objects.producers.find_mut(slot) else { return true };
    let (rtp, stream) = (&received.rtp, &mut producer.streams[index]);
    let continuity = stream.continuity(received.received_at, rtp.seq(), rtp.timestamp());
    let kept = match continuity {
        Continuity::Continues => stream.take_apart(),
        Continuity::Apart => {
            if stream.keep_apart(rtp.seq(), received.received_at, rtp.as_bytes()) {
                turn.counters.discard(Discard::RtpTooOld);
            }
            return false;
        }
        Continuity::Restarts => stream.take_apart(),
    };
    let Some(kept) = kept else { return true };
    if continuity == Continuity::Continues {
        // Noise, or from before a restart.
        turn.counters.discard(Discard::RtpTooOld);
        return true;
    }
    // Earlier packets must be forwarded with their own numbers.
    forward_pending(objects, turn);
    let Some(producer) = objects.producers.find_mut(slot) else { return true };
    producer.streams[index].reset();
    producer.on_new_beginning(index);
    let first = reread(objects, place, &kept).ok_or(Discard::RtpTooOld);
    if let Err(discard) = first.and_then(|first| accept(objects, turn, router, place, &first)) {
        turn.counters.discard(discard);
    }
    true
}

/// A stored packet, parsed again.
fn reread<'a>(objects: &Objects, (slot, _): (Slot, usize), kept: &'a Apart) -> Option<Received<'a>> {
    let producer = objects.producers.find(slot)?;
    let transport = objects.transports.find(producer.transport)?;
    let rtp = rtp::Packet::new(&kept.bytes).ok()?;
    let role = producer.role(rtp.pt())?;
    let Read { carried, descriptor, .. } = read_extensions(transport, &rtp);
    Some(Received { rtp, role, carried, descriptor, received_at: kept.received_at })
}

/// A packet whose producer and stream are known: sends it to subscribed workers, and to the consumers here.
#[inline]
pub(super) fn accept(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    router: Slot,
    (slot, stream): (Slot, usize),
    received: &Received<'_>,
) -> Result<(), Discard> {
    let now = turn.now;
    if matches!(received.role, Role::Media(_)) {
        on_audio_level(objects, turn, router, slot, &received.carried);
    }
    let producer = objects.producers.find_mut(slot).ok_or(Discard::RtpUnroutable)?;
    let packet = producer.receive(now, stream, received);
    turn.handling.check_trap();
    // Each worker determines the loudest itself.
    if !producer.subscribers.is_empty() && matches!(packet, Ok(_) | Err(Discard::NotLoudest)) {
        producer.send_to_subscribers(now, stream, received, turn.tx, turn.counters);
    }
    let has_changed_activity = std::mem::take(&mut producer.has_changed_activity);
    let has_wishes = producer.next_timeout().is_some();
    match &packet {
        Ok(packet) => enqueue(objects, turn, slot, stream, packet),
        Err(Discard::ProducerPaused | Discard::NotLoudest) => skip(objects, turn, slot, stream),
        Err(_) => {}
    }
    if has_changed_activity {
        forward_pending(objects, turn);
        retarget_all(objects, turn, slot);
    }
    if has_wishes {
        rearm_producer(objects, turn.timers, slot);
    }
    packet.map(|_| ())
}

/// Records an arrival for transport-wide feedback. True if feedback was not due before.
fn record_arrival(
    transport: &mut Transport,
    now: Instant,
    received_at: Instant,
    seq: TwccSeq,
    media: Ssrc,
) -> bool {
    let twcc =
        transport.twcc.get_or_insert_with(|| Box::new(Twcc { recorder: Recorder::new(), media, due: None }));
    twcc.recorder.record(seq, received_at.since_epoch());
    twcc.media = media;
    let was_idle = twcc.due.is_none();
    if was_idle {
        twcc.due = Some(now + limits::TWCC_INTERVAL);
    }
    was_idle
}
