//! A router: the media of one room.

use crate::base::slots::Slot;
use crate::speakers::observer::Speakers;
use control::{AppData, RouterId};
use machine::Instant;

/// What belongs together: a consumer's producer is on the same router.
#[derive(Debug)]
pub struct Router {
    /// Its id.
    pub id: RouterId,
    /// Given back in snapshots.
    pub app_data: AppData,
    /// Its transports.
    pub transports: Vec<Slot>,
    /// Who speaks, if the controller wants to know.
    pub speakers: Option<Box<Speakers>>,
    /// When it is closed unless a controller claims it; `None` while one cares for it.
    pub abandoned_at: Option<Instant>,
}
