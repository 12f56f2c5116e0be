//! Values and small tables that know nothing of RTP sessions.

pub mod emodel;
pub mod meter;
pub mod quality;
pub mod slots;
pub mod window;
