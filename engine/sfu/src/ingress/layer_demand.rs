//! The consumed layers of a producer, and what was reported of them to its publisher.

use crate::limits;
use control::Kind;
use machine::Instant;

/// The number of consumers of each spatial layer of a producer, and the reported layers.
#[derive(Debug)]
pub struct LayerDemand {
    counts: Vec<u32>,
    /// The layers that the publisher sends without a report.
    initial: u8,
    reported: u8,
    /// Since when some of the reported layers have no consumers.
    unwanted_since: Option<Instant>,
}

impl LayerDemand {
    /// Of a producer with `layers` spatial layers, at least one. Its publisher starts with all of them. Audio
    /// causes no events.
    pub fn new(kind: Kind, layers: u8) -> Self {
        let counts = vec![0; usize::from(layers.clamp(1, limits::SPATIAL_LAYERS_MAX))];
        let initial = match kind {
            Kind::Audio => 0,
            Kind::Video => u8::MAX >> (8 - counts.len()),
        };
        Self { counts, initial, reported: initial, unwanted_since: None }
    }

    /// The controller may have lost the report: reports again.
    pub fn forget_reported(&mut self) {
        self.reported = self.initial;
        self.unwanted_since = None;
    }

    /// The number of consumers of each layer.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The number of spatial layers.
    pub fn layers(&self) -> u8 {
        self.counts.len() as u8
    }

    /// A consumer's mask of layers has changed.
    pub fn replace(&mut self, old: u8, new: u8) {
        for (layer, count) in self.counts.iter_mut().enumerate() {
            *count = *count + u32::from(new >> layer & 1) - u32::from(old >> layer & 1);
        }
        if self.wanted() == self.reported {
            self.unwanted_since = None;
        }
    }

    /// Bit `n`: layer `n` has consumers.
    pub fn wanted(&self) -> u8 {
        self.counts.iter().enumerate().fold(0, |mask, (layer, count)| mask | u8::from(*count > 0) << layer)
    }

    /// When to call [`poll`](Self::poll): at once after a change, to record its time.
    pub fn next_timeout(&self) -> Option<Instant> {
        let wanted = self.wanted();
        let waiting = self.unwanted_since.filter(|_| wanted & !self.reported == 0);
        (wanted != self.reported)
            .then(|| waiting.map_or(Instant::EPOCH, |since| since + limits::UNWANTED_AFTER))
    }

    /// The layers to report to the publisher now, if they have changed. Layers without consumers are removed
    /// a while after others were added: they are still in use until those have a keyframe.
    pub fn poll(&mut self, now: Instant) -> Option<u8> {
        let wanted = self.wanted();
        if wanted == self.reported {
            return None;
        }
        if wanted & !self.reported != 0 {
            self.reported |= wanted;
            self.unwanted_since = (self.reported != wanted).then_some(now);
            return Some(self.reported);
        }
        let since = *self.unwanted_since.get_or_insert(now);
        if now < since + limits::UNWANTED_AFTER {
            return None;
        }
        self.reported = wanted;
        self.unwanted_since = None;
        Some(wanted)
    }
}

#[cfg(test)]
mod tests;
