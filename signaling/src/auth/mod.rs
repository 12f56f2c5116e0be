//! Who a client is and what it may do: tokens, the development key, and credentials for the TURN server.

pub mod dev_key;
pub mod token;
pub mod turn;

/// The project of keys that are given to the server as options, and of development mode.
pub const DEFAULT_PROJECT: &str = "default";
