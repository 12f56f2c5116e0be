//! The binary codec: written records can be read again, and malformed records are refused.

#![allow(clippy::unwrap_used)]

mod arbitrary;
mod refused;
mod round_trip;
