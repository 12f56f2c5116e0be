//! Who a client is and what it may do: tokens and their keys, revocations, the development key, and
//! credentials for the TURN server.

pub mod dev_key;
pub mod key;
pub mod keyring;
pub mod revocations;
pub mod session;
pub mod token;
pub mod turn;

/// The project of keys that are given to the server as options, and of development mode.
pub const DEFAULT_PROJECT: &str = "default";
