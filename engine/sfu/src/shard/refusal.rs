//! Why a request is refused, and the objects that a request names.

use crate::base::slots::Slot;
use crate::objects::Objects;
use control::{ConsumerId, ProducerId, Refusal, RouterId, TransportId};

/// Why a request is refused, for programs and for people.
pub(crate) type Refused = (Refusal, String);

pub(crate) fn check_limit(count: usize, max: usize, what: &str) -> Result<(), Refused> {
    if count < max {
        Ok(())
    } else {
        Err((Refusal::Limit, format!("there are {max} {what}, which is the bound")))
    }
}

/// Compares with an earlier command of the same id: an identical one gets the same answer, another one is
/// refused.
pub(crate) fn same_or_exists(is_same: bool, what: std::fmt::Arguments<'_>) -> Result<(), Refused> {
    if is_same { Ok(()) } else { Err((Refusal::Exists, format!("{what} exists, with other parameters"))) }
}

pub(crate) fn not_found(what: std::fmt::Arguments<'_>) -> Refused {
    (Refusal::NotFound, format!("{what} does not exist on this worker"))
}

pub(crate) fn invalid(text: String) -> Refused {
    (Refusal::Invalid, text)
}

/// The slot of a router.
pub(super) fn router_slot(objects: &Objects, id: RouterId) -> Result<Slot, Refused> {
    objects.router_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("router {id}")))
}

/// The slot of a transport.
pub(super) fn transport_slot(objects: &Objects, id: TransportId) -> Result<Slot, Refused> {
    objects.transport_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("transport {id}")))
}

/// The slot of a producer.
pub(super) fn producer_slot(objects: &Objects, id: ProducerId) -> Result<Slot, Refused> {
    objects.producer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("producer {id}")))
}

/// A producer whose origin is this worker.
pub(super) fn own_producer_slot(objects: &Objects, id: ProducerId) -> Result<Slot, Refused> {
    let slot = producer_slot(objects, id)?;
    match objects.producers.find(slot).is_some_and(|producer| producer.pipe_source.is_some()) {
        true => Err(invalid(format!("producer {id} belongs to another worker: send the command there"))),
        false => Ok(slot),
    }
}

/// The slot of a consumer.
pub(super) fn consumer_slot(objects: &Objects, id: ConsumerId) -> Result<Slot, Refused> {
    objects.consumer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("consumer {id}")))
}
