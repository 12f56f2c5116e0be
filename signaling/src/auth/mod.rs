//! Who a client is and what it may do: tokens and their keys, revocations, the development key, and
//! credentials for the TURN server.

pub mod dev_key;
pub mod key;
pub mod keyring;
pub mod revocations;
pub mod session;
pub mod token;
pub mod turn;

use std::time::{Duration, SystemTime};

/// The project of keys that are given to the server as options, and of development mode.
pub const DEFAULT_PROJECT: &str = "default";

/// The time since 1970 by the clock of this host: that of tokens.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
