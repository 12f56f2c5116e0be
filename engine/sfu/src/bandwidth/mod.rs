//! Bandwidth of one peer: estimation, pacing and allocation.
//!
//! Send-side congestion control of one transport: [`Estimator`] uses the sent packets ([`history`]) and the
//! peer's feedback, [`Pacer`] sends packets at the estimated rate, [`Allocator`] distributes it among the
//! peer's tracks. All of it computes from arguments: it writes no packet, and does not depend on transports
//! or consumers.
//!
//! The algorithm is Google Congestion Control (draft-ietf-rmcat-gcc-02; Carlucci et al., "Analysis and Design
//! of the Google Congestion Control for WebRTC", MMSys 2016) in the form that browsers use today;
//! `docs/bandwidth.md` lists the implemented parts, the constants, and the omitted parts.

mod acked;
mod aimd;
mod allocator;
pub(crate) mod data_pace;
mod delay;
mod estimator;
pub mod history;
pub mod limits;
mod loss;
pub(crate) mod oversend;
mod pacer;
mod probe;
pub(crate) mod sender;

pub use allocator::{Allocated, Allocator, Certainty, Demand, Hysteresis, LAYERS_MAX, Prefer, Rates};
pub use estimator::{Bounds, Estimator, Purpose};
pub use history::ClusterId;
pub use pacer::{Class, Offer, Pacer};
