//! Which layers of a producer have consumers, and what its publisher was told of that.

use crate::limits;
use control::Kind;
use machine::Instant;

/// How many consumers want each spatial layer of a producer, and what its publisher was told.
#[derive(Debug)]
pub struct LayerDemand {
    counts: Vec<u32>,
    /// What the publisher begins with, untold.
    initial: u8,
    told: u8,
    /// Since when it is known that some of the layers told have no takers any more.
    unwanted_since: Option<Instant>,
}

impl LayerDemand {
    /// Of a producer with `layers` spatial layers, at least one. Its publisher begins with all of them. Audio causes no
    /// events.
    pub fn new(kind: Kind, layers: u8) -> Self {
        let counts = vec![0; usize::from(layers.clamp(1, limits::SPATIAL_LAYERS_MAX))];
        let initial = match kind {
            Kind::Audio => 0,
            Kind::Video => u8::MAX >> (8 - counts.len()),
        };
        Self { counts, initial, told: initial, unwanted_since: None }
    }

    /// The controller may have lost what was reported: reports it again.
    pub fn forget_reported(&mut self) {
        self.told = self.initial;
        self.unwanted_since = None;
    }

    /// How often each layer is wanted.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// How many spatial layers there are.
    pub fn layers(&self) -> u8 {
        self.counts.len() as u8
    }

    /// A consumer wanted the layers of one mask, and now wants those of another.
    pub fn replace(&mut self, old: u8, new: u8) {
        for (layer, count) in self.counts.iter_mut().enumerate() {
            *count = *count + u32::from(new >> layer & 1) - u32::from(old >> layer & 1);
        }
        if self.wanted() == self.told {
            self.unwanted_since = None;
        }
    }

    /// Bit `n`: layer `n` has takers.
    pub fn wanted(&self) -> u8 {
        self.counts.iter().enumerate().fold(0, |mask, (layer, count)| mask | u8::from(*count > 0) << layer)
    }

    /// When [`poll`](Self::poll) wants to be called: at once after a change, which it has to date.
    pub fn next_timeout(&self) -> Option<Instant> {
        let wanted = self.wanted();
        let waiting = self.unwanted_since.filter(|_| wanted & !self.told == 0);
        (wanted != self.told).then(|| waiting.map_or(Instant::EPOCH, |since| since + limits::UNWANTED_AFTER))
    }

    /// What to tell the publisher now, if anything. Layers that have lost their takers go a while after the others have come: until those bring a
    /// keyframe, they are still watched.
    pub fn poll(&mut self, now: Instant) -> Option<u8> {
        let wanted = self.wanted();
        if wanted == self.told {
            return None;
        }
        if wanted & !self.told != 0 {
            self.told |= wanted;
            self.unwanted_since = (self.told != wanted).then_some(now);
            return Some(self.told);
        }
        let since = *self.unwanted_since.get_or_insert(now);
        if now < since + limits::UNWANTED_AFTER {
            return None;
        }
        self.told = wanted;
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
    fn layers_with_takers_are_told_at_once_and_those_without_after_a_while() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 3);
        layer_demand.replace(0, 0b001);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(1_999)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b001), "the publisher began with all three");
        layer_demand.replace(0, 0b111);
        assert_eq!(layer_demand.poll(at(3_000)), Some(0b111));
        layer_demand.replace(0b111, 0);
        assert_eq!(layer_demand.poll(at(4_000)), None);
        layer_demand.replace(0, 0b111);
        assert_eq!(layer_demand.next_timeout(), None, "back in time");
        layer_demand.replace(0b111, 0);
        layer_demand.replace(0b001, 0);
        assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to be dated");
        assert_eq!(layer_demand.poll(at(6_000)), None);
        assert_eq!(layer_demand.next_timeout(), Some(at(8_000)));
        assert_eq!(layer_demand.poll(at(8_000)), Some(0));
        assert_eq!(layer_demand.poll(at(9_000)), None);
    }

    #[test]
    fn a_layer_goes_only_a_while_after_another_has_come_for_it() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 3);
        layer_demand.replace(0, 0b001);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b001));
        layer_demand.replace(0b001, 0b100);
        assert_eq!(
            layer_demand.poll(at(3_000)),
            Some(0b101),
            "the small one is watched until the large one is here"
        );
        assert_eq!(layer_demand.next_timeout(), Some(at(5_000)));
        assert_eq!(layer_demand.poll(at(4_999)), None);
        assert_eq!(layer_demand.poll(at(5_000)), Some(0b100));
        assert_eq!(layer_demand.next_timeout(), None);
    }

    #[test]
    fn who_begins_anew_is_told_again() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 2);
        layer_demand.replace(0, 0b10);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b10));
        layer_demand.forget_reported();
        assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to be dated");
        assert_eq!(layer_demand.poll(at(3_000)), None);
        assert_eq!(layer_demand.poll(at(5_000)), Some(0b10));
        let mut audio = LayerDemand::new(Kind::Audio, 1);
        audio.forget_reported();
        assert_eq!(audio.next_timeout(), None);
    }
}
