//! Events between processes, the register of TURN servers, and revocations: in process or over NATS.
//!
//! [`Bus`] moves bytes by subject and keeps small entries that expire. The rest is built on it once, so that
//! both implementations behave the same: [`Event`] is what happens in rooms, [`TurnRegister`] is the TURN
//! servers and their load, [`Revocations`] are the TURN credentials that are not valid although they have not
//! expired.
//!
//! A caller never waits for the bus: what cannot be sent is dropped and counted, except revocations, which are
//! kept until they are stored or have expired.

#![forbid(unsafe_code)]

mod event;
mod in_process;
pub mod limits;
mod message;
mod nats;
mod revocations;
mod subject;
mod transport;
mod turn_register;
mod turn_url;

pub use event::{CallQuality, Event, Participant, Track, What};
pub use message::{BusError, Counts, Message, Subscription};
pub use nats::NatsOptions;
pub use revocations::{Revocation, Revocations, follow_revocations};
pub use subject::{matches, token};
pub use transport::Bus;
pub use turn_register::{
    Region, ServerState, TurnRegister, TurnReport, follow_turn_servers, report_turn_server,
};
pub use turn_url::{TurnUrl, url_host};
