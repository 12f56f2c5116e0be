//! Measurements: media and cost.

mod account;
mod report;
mod series;
mod tally;

pub use account::{Account, Family, thread_time};
pub use report::{DataReport, Joins, Latency, Report, ServerCost, percentiles};
pub use series::{Moment, Series};
pub use tally::Tally;
