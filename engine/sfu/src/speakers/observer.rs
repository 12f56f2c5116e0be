//! The state of the audio observer of one router.

use super::loudest::Loudest;
use crate::base::slots::Slot;
use control::{AudioObserver, ProducerId, Volume};
use machine::Instant;

/// The audio observer of one router.
#[derive(Debug)]
pub struct Speakers {
    /// What the controller wants to know.
    pub observer: AudioObserver,
    /// Every producer with a level.
    pub voices: Vec<Slot>,
    /// `None`: all are forwarded.
    pub loudest: Option<Loudest<Slot>>,
    /// The speaker.
    pub dominant: Option<Slot>,
    /// A level came since the last look.
    pub is_fresh: bool,
    /// The last report.
    pub announced: Announcement,
    /// When that was.
    pub announced_at: Option<Instant>,
    /// What there is to tell, kept for its memory.
    pub next: Announcement,
}

/// The content of an [`Event::Speakers`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// The speaker.
    pub dominant: Option<ProducerId>,
    /// The loudest first.
    pub volumes: Vec<Volume>,
}

impl Speakers {
    /// An observer that has seen no level yet.
    pub fn new(observer: AudioObserver) -> Self {
        Self {
            observer,
            voices: Vec::new(),
            loudest: observer.loudest_forwarded.map(Loudest::new),
            dominant: None,
            is_fresh: false,
            announced: Announcement::default(),
            announced_at: None,
            next: Announcement::default(),
        }
    }
}
