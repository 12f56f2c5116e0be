//! The state of the audio observer of one router.

use super::loudest::Loudest;
use crate::base::slots::Slot;
use control::{AudioObserver, ProducerId, Volume};
use machine::Instant;

/// The audio observer of one router.
#[derive(Debug)]
pub struct Speakers {
    /// The controller's settings.
    pub observer: AudioObserver,
    /// Every producer with a level.
    pub voices: Vec<Slot>,
    /// `None`: all are forwarded.
    pub loudest: Option<Loudest<Slot>>,
    /// The speaker.
    pub dominant: Option<Slot>,
    /// A level arrived since the last check.
    pub is_fresh: bool,
    /// The last report.
    pub reported: SpeakersReport,
    /// The time of the last report.
    pub reported_at: Option<Instant>,
    /// The next report; kept for its memory.
    pub next: SpeakersReport,
}

/// The content of an [`Event::Speakers`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SpeakersReport {
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
            reported: SpeakersReport::default(),
            reported_at: None,
            next: SpeakersReport::default(),
        }
    }
}
