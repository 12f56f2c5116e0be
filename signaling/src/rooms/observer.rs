//! The way of events from the rooms to the bus. Nothing here waits: the bus drops and counts what it cannot send.

use super::room_key::RoomKey;
use bus::{Bus, Event, What};
use std::time::SystemTime;

/// Publishes events; without a bus, none.
#[derive(Debug, Default)]
pub(super) struct Observer {
    bus: Option<Bus>,
}

impl Observer {
    pub(super) fn new(bus: Bus) -> Self {
        Self { bus: Some(bus) }
    }

    /// `what` is called only if there is a bus.
    pub(super) fn publish(&self, room: &RoomKey, what: impl FnOnce() -> What) {
        let Some(bus) = &self.bus else { return };
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        bus.publish_event(&Event::new(&room.project, &room.name, time, what()));
    }
}
