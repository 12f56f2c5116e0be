//! Moves the deadlines of transports forward after their state has changed.

use crate::base::slots::Slot;
use crate::limits;
use crate::objects::Objects;
use crate::shard::config::Config;
use crate::shard::timers::Timers;
use crate::shard::turn::Turn;
use crate::transport::Transport;
use crate::transport::pipe::Pipe;
use machine::{Instant, Tx, meter};

/// Moves the transport's deadline forward to the next due work.
pub(super) fn rearm(objects: &Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    if let Some(deadline) = transport_deadline(objects, turn.config, turn.now, slot) {
        turn.timers.hasten(slot, deadline);
    }
}

/// The same for the requests of one producer to its publisher or its origin: only its own state is checked.
pub(super) fn rearm_producer(objects: &Objects, timers: &mut Timers, slot: Slot) {
    let Some(producer) = objects.producers.find(slot) else { return };
    let Some(deadline) = producer.next_timeout() else { return };
    if objects.transports.find(producer.transport).is_some_and(Transport::can_ask) {
        timers.hasten(producer.transport, deadline);
    }
}

/// The same for packets that wait to be sent to a transport's peer.
pub(super) fn rearm_send_side(objects: &Objects, timers: &mut Timers, slot: Slot) {
    let side = objects.transports.find(slot).and_then(|transport| transport.send_side.as_deref());
    if let Some(deadline) = side.and_then(|side| side.next_timeout()) {
        timers.hasten(slot, deadline);
    }
}

/// When the transport next has work.
pub(super) fn transport_deadline(
    objects: &Objects,
    config: &Config,
    now: Instant,
    slot: Slot,
) -> Option<Instant> {
    let transport = objects.transports.find(slot)?;
    let own = [
        transport.report_due.map(at_tick),
        transport.twcc.as_ref().and_then(|twcc| twcc.due),
        transport.send_side.as_ref().map(|side| at_tick(side.adapt_at)),
        transport.send_side.as_ref().and_then(|side| side.next_timeout()),
        transport.data.as_ref().and_then(|data| data.next_timeout(now)),
        transport.webrtc().and_then(|webrtc| webrtc.next_timeout(now, config.consent_timeout)),
    ];
    // A transport that cannot send makes no requests; its deadline is set again when it can.
    let asking = if transport.can_ask() { &transport.producers[..] } else { &[] };
    let of_producers = asking.iter().filter_map(|slot| objects.producers.find(*slot)?.next_timeout());
    meter::charge(asking.len(), 60);
    let of_data = transport.pipe().and_then(|pipe| data_deadline(objects, now, pipe));
    own.into_iter().flatten().chain(of_producers).chain(of_data).min()
}

/// When the data producers of a pipe next have work.
fn data_deadline(objects: &Objects, now: Instant, pipe: &Pipe) -> Option<Instant> {
    if pipe.has_data() {
        return Some(now);
    }
    meter::charge(pipe.data_producers.len(), 60);
    let producers = pipe.data_producers.iter().filter_map(|slot| objects.data_producers.find(*slot));
    producers.filter_map(|producer| producer.next_subscription()).min()
}

/// Rounds the time of work that may be a little late: it is done together for several transports, because a
/// wake-up costs more than the work.
fn at_tick(due: Instant) -> Instant {
    let tick = limits::TICK.as_nanos() as u64;
    due.as_nanos().checked_next_multiple_of(tick).map_or(due, Instant::from_nanos)
}
