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
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn consumed_layers_are_reported_at_once_and_unconsumed_ones_after_a_while() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 3);
        layer_demand.replace(0, 0b001);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(1_999)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b001), "the publisher started with all three");
        layer_demand.replace(0, 0b111);
        assert_eq!(layer_demand.poll(at(3_000)), Some(0b111));
        layer_demand.replace(0b111, 0);
        assert_eq!(layer_demand.poll(at(4_000)), None);
        layer_demand.replace(0, 0b111);
        assert_eq!(layer_demand.next_timeout(), None, "consumed again in time");
        layer_demand.replace(0b111, 0);
        layer_demand.replace(0b001, 0);
        assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to record the time");
        assert_eq!(layer_demand.poll(at(6_000)), None);
        assert_eq!(layer_demand.next_timeout(), Some(at(8_000)));
        assert_eq!(layer_demand.poll(at(8_000)), Some(0));
        assert_eq!(layer_demand.poll(at(9_000)), None);
    }

    #[test]
    fn a_layer_is_removed_only_a_while_after_its_replacement() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 3);
        layer_demand.replace(0, 0b001);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b001));
        layer_demand.replace(0b001, 0b100);
        assert_eq!(
            layer_demand.poll(at(3_000)),
            Some(0b101),
            "the small one is in use until the large one has started"
        );
        assert_eq!(layer_demand.next_timeout(), Some(at(5_000)));
        assert_eq!(layer_demand.poll(at(4_999)), None);
        assert_eq!(layer_demand.poll(at(5_000)), Some(0b100));
        assert_eq!(layer_demand.next_timeout(), None);
    }

    #[test]
    fn layers_are_reported_again_after_a_reset() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 2);
        layer_demand.replace(0, 0b10);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b10));
        layer_demand.forget_reported();
        assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to record the time");
        assert_eq!(layer_demand.poll(at(3_000)), None);
        assert_eq!(layer_demand.poll(at(5_000)), Some(0b10));
        let mut audio = LayerDemand::new(Kind::Audio, 1);
        audio.forget_reported();
        assert_eq!(audio.next_timeout(), None);
    }
}
