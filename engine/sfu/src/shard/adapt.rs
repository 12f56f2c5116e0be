//! The send side of a transport: releases paced packets, fills probes with padding, and ten times a second
//! allocates the estimate to the consumers.

use crate::bandwidth::limits::DATA_SHARE_MIN;
use crate::bandwidth::oversend::oversend;
use crate::bandwidth::sender::{Bitrates, SendSide};
use crate::bandwidth::{Certainty, Demand, LAYERS_MAX, Prefer, Rates};
use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::egress::layer_budget::LayerBudget;
use crate::egress::writer::Egress;
use crate::ingress::producer::Producer;
use crate::limits;
use crate::objects::Objects;
use crate::shard::targets::wake;
use crate::shard::turn::{AllocationScratch, Turn};
use crate::transport::Transport;
use control::{ContentHint, Discard, Kind, Layers};
use machine::{Instant, Tx, meter};
use rtcp::{Remb, Twcc};

/// The controller has set bit rates.
pub(super) fn set_bitrates(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    bitrates: Bitrates,
) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    transport.bitrates = bitrates;
    if let Some(side) = transport.send_side.as_deref_mut() {
        side.estimator.set_bounds(bitrates.outgoing);
        side.adapt_at = now;
        turn.timers.hasten(slot, now);
    }
}

/// Transport-wide feedback from a peer.
pub(super) fn on_twcc(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    twcc: &Twcc<'_>,
    budget: &mut usize,
) -> Result<(), Discard> {
    let now = turn.now;
    let transport = objects.transports.find_mut(slot).ok_or(Discard::RtcpUnknownSsrc)?;
    let side = transport.send_side.as_deref_mut().ok_or(Discard::RtcpUnknownSsrc)?;
    side.estimator.on_feedback(now, twcc, budget);
    on_estimate(objects, turn, slot);
    Ok(())
}

/// A peer's own estimate (REMB).
pub(super) fn on_remb(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, remb: &Remb<'_>) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    if transport.consumers.is_empty() {
        return;
    }
    let bounds = transport.bitrates.outgoing;
    let side = transport.send_side.get_or_insert_with(|| Box::new(SendSide::new(now, bounds)));
    side.estimator.on_remb(now, remb.bitrate_bps());
    on_estimate(objects, turn, slot);
}

/// The estimate may have changed. A lower one is allocated at once, a higher one at the next interval.
fn on_estimate(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(side) =
        objects.transports.find_mut(slot).and_then(|transport| transport.send_side.as_deref_mut())
    else {
        return;
    };
    if side.estimator.estimate_bps() < side.allocated_bps() {
        side.adapt_at = now;
        turn.timers.hasten(slot, now);
    }
}

/// The send side's part of a transport's timer.
pub(super) fn drive_send_side(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    release_waiting(objects, turn, slot);
    adapt(objects, turn, slot);
    fill_probe(objects, turn, slot);
}

/// Writes the packets that the pacer releases.
fn release_waiting(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    for _ in 0..limits::RELEASED_PER_TIMEOUT {
        let Some(transport) = objects.transports.find_mut(slot) else { return };
        let Some(waiting) = transport.send_side.as_deref_mut().and_then(|side| side.pacer.pop(now)) else {
            return;
        };
        let consumer = transport.consumer(waiting.ssrc);
        let Some(consumer) = consumer.and_then(|consumer| objects.consumers.find_mut(consumer)) else {
            continue;
        };
        let Some(producer) = objects.producers.find(consumer.producer) else { continue };
        if consumer.is_sending()
            && let Some(out) = &mut Egress::of(transport, now, turn.tx, turn.counters)
        {
            consumer.release(waiting, producer, out);
        }
    }
    let transport = objects.transports.find_mut(slot);
    if let Some(side) = transport.and_then(|transport| transport.send_side.as_deref_mut()) {
        side.pacer.resume_at(now + limits::TIMEOUT_PAUSE);
    }
}

/// Sends the padding that a probe needs now.
fn fill_probe(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let Some(side) = transport.send_side.as_deref_mut() else { return };
    if side.estimator.padding_due(now) == 0 {
        return;
    }
    side.on_padding(now);
    let able = transport
        .consumers
        .iter()
        .find(|(_, consumer)| objects.consumers.find(*consumer).is_some_and(Consumer::can_pad));
    let Some(consumer) = able.and_then(|(_, consumer)| objects.consumers.find_mut(*consumer)) else {
        return;
    };
    let Some(out) = &mut Egress::of(transport, now, turn.tx, turn.counters) else { return };
    for _ in 0..crate::bandwidth::limits::PADDING_PACKETS_MAX {
        if !out.padding_due() || !consumer.pad(out) {
            break;
        }
    }
}

/// Allocates the estimate to the consumers, if it is time.
fn adapt(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find(slot) else { return };
    if transport.send_side.as_ref().is_none_or(|side| side.adapt_at > now) {
        return;
    }
    let can_send = transport.send_path().is_some();
    // A track starts with a keyframe: while one waits, no other track starts.
    let may_begin = side_is_calm(transport);
    let mut sharing = std::mem::take(&mut turn.scratch.allocation);
    let shared = share(objects, turn, slot, &mut sharing);
    let mut has_begun = false;
    for (consumer, demand) in sharing.consumers.iter().zip(&sharing.demands) {
        has_begun |= allow(objects, turn, *consumer, demand, shared.is_blind(), may_begin && !has_begun);
    }
    turn.scratch.allocation = sharing;
    let Some(side) =
        objects.transports.find_mut(slot).and_then(|transport| transport.send_side.as_deref_mut())
    else {
        return;
    };
    side.count(turn.counters);
    side.on_allocated(now, shared.allocated_bps);
    let wanted_bps = if shared.can_pad && can_send { shared.wanted_bps } else { 0 };
    side.estimator.set_allocated(now, shared.allocated_bps, wanted_bps);
    side.estimator.poll(now);
    let is_idle = shared.wanted_bps == 0 && side.pacer.is_empty();
    let interval = if is_idle { limits::ADAPT_INTERVAL_IDLE } else { limits::ADAPT_INTERVAL };
    side.adapt_at = now + interval;
}

/// Collects the demands of a transport's consumers, and distributes the estimate among them.
fn share(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    sharing: &mut AllocationScratch,
) -> Shared {
    let now = turn.now;
    sharing.demands.clear();
    sharing.consumers.clear();
    let mut shared = Shared::default();
    let Some(transport) = objects.transports.find(slot) else { return shared };
    let Some(side) = transport.send_side.as_deref() else { return shared };
    shared.has_feedback = side.estimator.has_feedback();
    shared.is_from_peer = side.estimator.is_from_peer();
    // Audio has no layers: its rate is subtracted.
    let audio_bps = side.audio_bps(now);
    for (_, slot) in &transport.consumers {
        meter::charge(1, 4_000);
        let Some(consumer) = objects.consumers.find(*slot) else { continue };
        shared.can_pad |= consumer.can_pad();
        let Some(producer) = objects.producers.find(consumer.producer) else { continue };
        if consumer.paused || producer.paused {
            continue;
        }
        match producer.kind() {
            Kind::Audio => {}
            Kind::Video => {
                sharing.demands.push(demand(now, consumer, producer));
                sharing.consumers.push(*slot);
            }
        }
    }
    // Data that waits has a share too.
    let pace = transport.data.as_ref().and_then(|data| data.pace.as_deref());
    let is_busy = pace.is_some_and(|pace| pace.is_busy(now));
    let data_bps = if is_busy { side.estimator.estimate_bps() / DATA_SHARE_MIN } else { 0 };
    let budget_bps = side.estimator.estimate_bps().saturating_sub(audio_bps + data_bps);
    let AllocationScratch { allocator, demands, .. } = sharing;
    // A low resolution arrives soonest, and the capacity of the path is measured a moment later.
    let certainty = side.estimator.certainty(now);
    let allocated = allocator.allocate_of(now, budget_bps, certainty, demands);
    let over_bps = if certainty == Certainty::Known {
        let cap_bps = transport.bitrates.outgoing.max_bps.saturating_sub(audio_bps + allocated.bps);
        oversend(budget_bps.saturating_sub(allocated.bps), cap_bps, demands)
    } else {
        0
    };
    shared.allocated_bps = allocated.bps + over_bps + audio_bps;
    shared.wanted_bps = allocated.wanted_bps + audio_bps;
    shared
}

/// Applies the allocation to a consumer. True if it starts now.
fn allow(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    demand: &Demand,
    is_blind: bool,
    may_begin: bool,
) -> bool {
    let Some(consumer) = objects.consumers.find_mut(slot) else { return false };
    let allowance = match demand.layers {
        Some(layers) => LayerBudget::UpTo(layers),
        None if is_blind => LayerBudget::UpTo(Layers::default()),
        None => LayerBudget::Nothing,
    };
    let begins = consumer.layer_budget == LayerBudget::Nothing && allowance != LayerBudget::Nothing;
    if begins && !may_begin {
        return false;
    }
    consumer.hysteresis = if is_blind { Default::default() } else { demand.hysteresis };
    if std::mem::replace(&mut consumer.layer_budget, allowance) != allowance {
        wake(objects, turn, slot);
    }
    begins
}

fn side_is_calm(transport: &Transport) -> bool {
    transport.send_side.as_ref().is_some_and(|side| side.pacer.len() <= limits::BEGIN_QUEUE_LEN)
}

/// The result of one allocation.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    allocated_bps: u64,
    wanted_bps: u64,
    /// Some consumer has a stream for padding.
    can_pad: bool,
    /// The peer has sent feedback.
    has_feedback: bool,
    /// The estimate is the peer's own.
    is_from_peer: bool,
}

impl Shared {
    /// The capacity of the path is unknown and cannot be measured: then no consumer is paused because of the
    /// estimate.
    fn is_blind(&self) -> bool {
        !self.has_feedback || !(self.can_pad || self.is_from_peer)
    }
}

fn demand(now: Instant, consumer: &Consumer, producer: &Producer) -> Demand {
    let layers = match consumer.layer_budget {
        LayerBudget::UpTo(layers) => Some(layers),
        // `Everything` is a new consumer, without a limit so far.
        LayerBudget::Everything | LayerBudget::Nothing => None,
    };
    Demand {
        priority: consumer.priority,
        prefer: match producer.content_hint {
            ContentHint::Motion => Prefer::Motion,
            ContentHint::Detail => Prefer::Detail,
        },
        max: consumer.target_layers(producer),
        rates: rates(now, producer, layers),
        layers,
        hysteresis: consumer.hysteresis,
    }
}

/// The rates of a producer's layers for a consumer that gets `current`. A silent encoding was switched off
/// because no consumer needed it, or has not started: its expected rate is used, otherwise it would never be
/// requested again.
fn rates(now: Instant, producer: &Producer, current: Option<Layers>) -> Rates {
    let mut rates = Rates::default();
    let is_simulcast = producer.streams.len() > 1;
    let spatials = usize::from(producer.spatial_layers()).min(LAYERS_MAX);
    let temporals = usize::from(producer.temporal_layers()).min(LAYERS_MAX);
    for (spatial, of_spatial) in rates.iter_mut().enumerate().take(spatials) {
        for (temporal, rate) in of_spatial.iter_mut().enumerate().take(temporals) {
            let (index, inside) = if is_simulcast { (spatial, u8::MAX) } else { (0, spatial as u8) };
            let upto = Layers { spatial: inside, temporal: temporal as u8 };
            let expected = expected(producer, index, spatial);
            let price = producer.streams[index].rates.price(now, upto, expected);
            let layers = Layers { spatial: spatial as u8, temporal: temporal as u8 };
            let is_sent = current.is_some_and(|current| layers <= current);
            let bps = if is_sent { price.to_go_on } else { price.to_begin };
            // Headers and tags are a twentieth of full packets.
            *rate = u32::try_from(bps + bps / 20).unwrap_or(u32::MAX);
        }
    }
    rates
}

/// The announced rate of an encoding is that of all its layers together.
fn expected(producer: &Producer, index: usize, spatial: usize) -> u64 {
    let announced = producer.spec.encodings.get(index).and_then(|encoding| encoding.max_bitrate_bps);
    let usual = |spatial: usize| limits::EXPECTED_BPS[spatial.min(LAYERS_MAX - 1)];
    match announced.map(u64::from) {
        Some(all) if producer.streams.len() == 1 => {
            all * usual(spatial) / usual(usize::from(producer.spatial_layers()).saturating_sub(1))
        }
        Some(all) => all,
        None => usual(spatial),
    }
}
