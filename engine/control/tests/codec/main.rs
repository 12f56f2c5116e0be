//! The binary codec: what is written is read again, and what nobody would write is refused.

#![allow(clippy::unwrap_used)]

mod arbitrary;
mod refused;
mod round_trip;
