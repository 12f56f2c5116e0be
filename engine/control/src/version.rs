//! The version of commands, events and the statistics page, and how peers one version apart understand each
//! other.
//!
//! A new version only adds: a command, an event, a field at the end of a record, a counter at the end of its
//! section of the [statistics page](crate::page). The newer side supports the older one. So the newer side
//! reads a missing field as `None` ([`Added`](crate::Added)), and the older side ignores what it does not know:
//! bytes behind the last field and counters are skipped, an unknown event is skipped by the controller, an
//! unknown command is refused by the engine.

/// The version of this crate.
pub const PROTOCOL_VERSION: u32 = 7;

/// The oldest version of a peer that this crate supports. Before version 7 both sides had to have the same
/// one.
pub const OLDEST_VERSION: u32 = 7;

/// The version of this process.
#[cfg(not(feature = "next-protocol"))]
pub fn version() -> u32 {
    PROTOCOL_VERSION
}

/// The version of this process: with [`VARIABLE`](crate::next::VARIABLE) in its environment the next one.
#[cfg(feature = "next-protocol")]
pub fn version() -> u32 {
    PROTOCOL_VERSION + u32::from(crate::next::is_next())
}
