//! The way of events from the rooms to the bus and to webhooks. Nothing here waits: both drop and count what they
//! cannot take.

use super::room_key::RoomKey;
use bus::{Bus, Event, What};
use std::time::SystemTime;
use webhooks::EventIntake;

/// Publishes events; without a bus and webhooks, none.
#[derive(Debug, Default)]
pub(super) struct Observer {
    pub(super) bus: Option<Bus>,
    pub(super) webhooks: Option<EventIntake>,
}

impl Observer {
    /// `what` is called only if there is a reader.
    pub(super) fn publish(&self, room: &RoomKey, what: impl FnOnce() -> What) {
        if self.bus.is_none() && self.webhooks.is_none() {
            return;
        }
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let event = Event::new(&room.project, &room.name, time, what());
        self.bus.iter().for_each(|bus| bus.publish_event(&event));
        self.webhooks.iter().for_each(|webhooks| webhooks.put(&event));
    }
}
