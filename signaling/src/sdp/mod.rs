//! Session descriptions of clients without an SDK: what a section of their offers means as parameters of ORTC, and
//! what this server writes into its own descriptions.
//!
//! The reading and writing of the text is in the crate [`sdp`]; this module connects it with [`crate::ortc`].
//! It has no state and does not wait; the rooms have the state of each negotiation.

mod data;
mod formats;
mod kind;
mod offer;
mod play;
mod publish;
mod simulcast;
mod template;
mod transport;

pub use data::{DataParameters, data, has_data, local_data};
pub use kind::kind;
pub use offer::{CheckedOffer, check_offer, parse};
pub use play::{Playing, play};
pub use publish::{Publishing, publish};
pub use template::template;
pub use transport::{local_transport, peer_dtls};

#[cfg(test)]
mod tests;
