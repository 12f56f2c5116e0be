//! Values and small tables that know nothing of RTP sessions.

pub mod clock;
pub mod emodel;
pub mod meter;
pub mod quality;
pub mod slots;
pub mod traffic;
pub mod window;
