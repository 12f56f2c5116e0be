//! One call of the machine.

use crate::counters::Counters;
use crate::events::EventQueue;
use crate::nonce::Nonces;
use crate::revoked::Revoked;
use crate::settings::Settings;
use crate::throttle::Throttle;
use machine::{Instant, Rng};

/// The state that a stage borrows for one call of the machine, beside the tables.
#[derive(Debug)]
pub(crate) struct Call<'c, T> {
    pub now: Instant,
    pub tx: &'c mut T,
    pub settings: &'c Settings,
    /// Whether the server makes no new allocations.
    pub is_draining: bool,
    pub rng: &'c mut Rng,
    pub nonces: &'c Nonces,
    pub revoked: &'c Revoked,
    pub throttle: &'c mut Throttle,
    pub events: &'c mut EventQueue,
    pub counters: &'c mut Counters,
}
