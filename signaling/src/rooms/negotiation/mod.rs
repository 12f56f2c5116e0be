//! Clients that speak SDP: the negotiation of one `RTCPeerConnection`, of an encoder (WHIP) or of a player (WHEP).
//!
//! Such a client has one transport for both directions. Its sections become producers and consumers through the
//! same requests that other clients send. A task for each client compares what it plays with what is in its room,
//! whenever it is notified of a change.

mod accept;
mod apply;
mod data;
mod fill;
mod follow;
mod playable;
mod resource;
mod survive;

pub use accept::Accepted;
pub use resource::{
    IfMatch, Patched, PlayedMedia, PlayerStatus, Resource, ResourceName, Visitor, WantedLayers,
};
