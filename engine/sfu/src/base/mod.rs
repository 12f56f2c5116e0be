//! Values and small tables without dependencies on RTP sessions.

pub mod clock;
pub mod emodel;
pub mod meter;
pub mod quality;
pub mod slots;
pub mod traffic;
pub mod window;
