//! How much may be sent to one peer, when it leaves, and who gets what of it.
//!
//! Send-side congestion control of one transport: [`Estimator`] learns from what was sent ([`history`]) and what the peer says of
//! it, [`Pacer`] lets packets go at that rate, [`Allocator`] shares it among the tracks the peer receives. All of it is
//! arithmetic over arguments: it writes no packet, and knows neither transports nor consumers.
//!
//! The algorithm is Google Congestion Control (draft-ietf-rmcat-gcc-02; Carlucci et al., "Analysis and Design of the Google Congestion
//! Control for WebRTC", MMSys 2016) in the form that browsers run today; `docs/bandwidth.md` says which parts, which
//! constants, and what is left out.

mod acked;
mod aimd;
mod allocator;
mod delay;
mod estimator;
pub mod history;
pub mod limits;
mod loss;
pub(crate) mod oversend;
mod pacer;
mod probe;
pub(crate) mod sender;

pub use allocator::{Allocated, Allocator, Certainty, Demand, LAYERS_MAX, Prefer, Rates, Steadiness};
pub use estimator::{Bounds, Estimator, Purpose};
pub use history::ClusterId;
pub use pacer::{Class, Offer, Pacer};
