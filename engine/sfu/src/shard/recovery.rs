//! After a panic: the objects that were being handled are closed.

use crate::base::slots::Slot;
use crate::limits;
use crate::objects::Objects;
use crate::shard::close::{close_router, close_transport};
use crate::shard::news::News;
use crate::shard::pending::PendingPacket;
use crate::shard::turn::Turn;
use control::{Closed, Command, Event, Refusal, RequestId, Text, TransportId};
use machine::Tx;

/// Closes the objects that were being handled during a panic. Returns the transports.
pub(super) fn close_after_panic(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>) -> Vec<TransportId> {
    restore_taken(turn.pending);
    let transports: Vec<_> = turn.handling.transports().collect();
    let mut closed = Vec::new();
    for slot in transports {
        let id = objects.transports.find(slot).map(|transport| transport.id);
        close_transport(objects, turn, slot, Closed::Fault);
        closed.extend(id);
    }
    if let Some(router) = turn.handling.router() {
        close_router(objects, turn, router, Closed::Fault);
    }
    closed
}

/// Answers a command that ended in a panic, unless it has been answered or still will be.
pub(super) fn answer_after_panic(objects: &Objects, news: &mut News, request: RequestId) {
    if news.has_answer(request) || objects.plain_sockets.is_opening(request) {
        return;
    }
    let text = Text::new("the engine panicked while it carried out this command; see its log");
    news.answer(Event::Refused { request: Some(request), refusal: Refusal::Fault, text });
}

/// Ends all work in progress when a shard is replaced: each request gets its answer, each router is reported
/// as closed.
pub(super) fn end_all(objects: &mut Objects, news: &mut News) {
    for request in objects.plain_sockets.close_all() {
        let text = Text::new("the worker's state was replaced after a panic");
        news.answer(Event::Refused { request: Some(request), refusal: Refusal::Fault, text });
    }
    for snapshot in std::mem::take(&mut news.snapshots) {
        news.answer(Event::SnapshotEnd { request: snapshot.request() });
    }
    for walk in std::mem::take(&mut news.walks) {
        news.answer(Event::StatsEnd { request: walk.request() });
    }
    for router in objects.router_ids.keys() {
        news.notify(Event::RouterClosed { router: *router, closed: Closed::Fault });
    }
}

/// A stage that takes the pending packets out loses them with a panic. This allocates a new list.
fn restore_taken(pending: &mut Vec<PendingPacket>) {
    if pending.capacity() < limits::PENDING_PACKETS_MAX {
        pending.reserve(limits::PENDING_PACKETS_MAX);
    }
}

/// The slot of a command's transport.
pub(super) fn transport_of(objects: &Objects, command: &Command) -> Option<Slot> {
    let of_producer = |id| Some(objects.producers.find(*objects.producer_ids.get(id)?)?.transport);
    let of_consumer = |id| Some(objects.consumers.find(*objects.consumer_ids.get(id)?)?.transport);
    match command {
        Command::CreateTransport(create) => objects.transport_ids.get(&create.transport).copied(),
        Command::CreatePlainTransport(create) => objects.transport_ids.get(&create.transport).copied(),
        Command::CreatePipe(create) => objects.transport_ids.get(&create.transport).copied(),
        Command::ConnectPlainTransport(connect) => objects.transport_ids.get(&connect.transport).copied(),
        Command::Produce(produce) => objects.transport_ids.get(&produce.transport).copied(),
        Command::Consume(consume) => objects.transport_ids.get(&consume.transport).copied(),
        Command::ProduceData(produce) => objects.transport_ids.get(&produce.transport).copied(),
        Command::ConsumeData(consume) => objects.transport_ids.get(&consume.transport).copied(),
        Command::AcceptData(accept) => objects.transport_ids.get(&accept.transport).copied(),
        Command::CloseDataProducer { producer } => {
            Some(objects.data_producers.find(*objects.data_producer_ids.get(producer)?)?.transport)
        }
        Command::CloseDataConsumer { consumer } => {
            Some(objects.data_consumers.find(*objects.data_consumer_ids.get(consumer)?)?.transport)
        }
        Command::ConnectTransport { transport, .. }
        | Command::ConnectTransportAs { transport, .. }
        | Command::RestartIce { transport }
        | Command::CloseTransport { transport }
        | Command::CloseDataChannel { transport, .. }
        | Command::SetAppData { transport, .. }
        | Command::SetBitrates { transport, .. } => objects.transport_ids.get(transport).copied(),
        Command::PauseProducer { producer }
        | Command::ResumeProducer { producer }
        | Command::CloseProducer { producer }
        | Command::SetContentHint { producer, .. } => of_producer(producer),
        Command::PauseConsumer { consumer }
        | Command::ResumeConsumer { consumer }
        | Command::CloseConsumer { consumer }
        | Command::RequestKeyframe { consumer }
        | Command::SetPreferredLayers { consumer, .. }
        | Command::SetPriority { consumer, .. }
        | Command::SetPlayoutDelay { consumer, .. }
        | Command::SetIgnoreDtx { consumer, .. } => of_consumer(consumer),
        // Read-only commands, and those of a whole router.
        Command::Stats { .. }
        | Command::Snapshot
        | Command::InjectPanic { .. }
        | Command::CreateRouter { .. }
        | Command::CloseRouter { .. }
        | Command::ClaimRouter { .. }
        | Command::ObserveAudio { .. } => None,
    }
}

/// The slot of a command's router, if it affects the whole router.
pub(super) fn router_of_command(objects: &Objects, command: &Command) -> Option<Slot> {
    match command {
        Command::CloseRouter { router }
        | Command::ClaimRouter { router }
        | Command::ObserveAudio { router, .. } => objects.router_ids.get(router).copied(),
        _ => None,
    }
}
