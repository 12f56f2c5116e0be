//! Metrics for Prometheus: what the workers of a process report, the page in the format of OpenMetrics 1.0, and
//! a minimal HTTP server for it.
//!
//! Labels contain no user, room or address, because their number is not bounded. This is *not* the statistics
//! page of the ring, which only signaling reads.

#![forbid(unsafe_code)]

mod board;
mod family;
mod http;
pub mod limits;
mod of_loop;

pub use board::{Board, Status};
pub use family::{Kind, Metric, NO_LABELS};
pub use http::{CONTENT_TYPE, Health, Page, serve};
pub use of_loop::of_loop;
pub use prometheus_client::collector::Collector;
pub use prometheus_client::encoding::text::encode;
pub use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
pub use prometheus_client::registry::{Registry, Unit};
