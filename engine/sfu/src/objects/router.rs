//! A router: the media of one room.

use crate::base::slots::Slot;
use crate::speakers::observer::Speakers;
use control::{AppData, RouterId};
use machine::Instant;

/// A group of transports: a consumer's producer must be on the same router.
#[derive(Debug)]
pub struct Router {
    /// Its id.
    pub id: RouterId,
    /// Returned in snapshots.
    pub app_data: AppData,
    /// Its transports.
    pub transports: Vec<Slot>,
    /// The audio observer, if the controller has enabled it.
    pub speakers: Option<Box<Speakers>>,
    /// When it is closed unless a controller claims it; `None` with a controller.
    pub abandoned_at: Option<Instant>,
}
