//! Webhooks: events of rooms are sent to the web servers of an application by signed requests
//! (`docs/webhooks.md`).
//!
//! [`EventIntake`] takes events from the rooms without waiting. A task writes them into the queue in the
//! database, one row for each target. The process that has the lock of the queue delivers: one task for each
//! target, and below it one for each room that has an event which is due. So a target or a room that fails
//! delays no other, and the events of a room stay in order. An event leaves the queue after its target has
//! accepted it, so it is delivered at least once.

#![forbid(unsafe_code)]

mod backoff;
mod client;
mod counts;
mod delivery;
mod intake;
pub mod limits;
mod outage;
mod resolver;
mod secret;
mod settings;
mod target;
mod task;

pub use counts::{WebhookCounts, WebhookMonitor};
pub use intake::EventIntake;
pub use secret::{Secret, SecretError};
pub use settings::{Settings, SettingsError};
pub use target::{Target, TargetError};
pub use task::Webhooks;
