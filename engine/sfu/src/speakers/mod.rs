//! Who speaks in a router: told to the controller, and if it wishes, only the loudest are forwarded.
//!
//! What a packet costs is in [`voice`]; who has the floor is decided in [`dominant`] by the clock; who is
//! forwarded is decided in [`loudest`] with the packets themselves. Nothing here looks into sound: only at the
//! levels in the packets' headers (RFC 6464), which are there for end-to-end encrypted sound too. A producer without
//! levels is neither told of nor ranked, and always forwarded.

pub mod dominant;
pub mod loudest;
pub mod observer;
pub mod voice;
