//! The targets, by what they read.

mod agent;
mod bandwidth;
mod crypto;
mod dependency;
mod feedback;
mod http;
mod layers;
mod media;
mod ring;
mod sctp;
mod sdp;
mod shard;
mod stream;
mod turn;

pub use self::sctp::{sctp, sctp_pair};
pub use self::sdp::{sdp, sdp_fragment};
pub use agent::stun;
pub use bandwidth::{allocator, estimator};
pub use crypto::{dtls_records, srtp};
pub use dependency::{dependency_descriptor, dependency_stream};
pub use feedback::{rtcp, twcc};
pub use http::http;
pub use layers::layers;
pub use media::{payloads, red, rtp, rtx, vp8};
pub use ring::{ring_memory, ring_records};
pub use shard::shard;
pub use stream::frames;
pub use turn::turn;
