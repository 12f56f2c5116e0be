//! The signal protocol, apart from what its messages mean.

pub mod bounds;
