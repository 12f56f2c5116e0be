//! The rates of a stream's layers: measured, and expected for a path.

use crate::base::meter::Meter;
use crate::limits;
use control::Layers;
use machine::Instant;
use std::time::Duration;

/// Rates of a stream's layers, each without the lower ones, in the order in which they appeared.
#[derive(Debug, Default)]
pub struct LayerRates {
    of: Vec<(Layers, LayerRate)>,
    /// Since when it flows without a silence, and its last packet.
    flowing: Option<(Instant, Instant)>,
}

#[derive(Debug, Default)]
struct LayerRate {
    frames: Meter,
    keyframes: Meter,
    /// The same over a longer window: a burst that a pacer spreads out is not a rate.
    spread: Meter<1_000>,
}

impl LayerRates {
    /// Counts a packet of a layer, of a keyframe or not. Layers beyond [`limits::LAYERS_MEASURED`] count with
    /// the last.
    pub fn count(&mut self, now: Instant, layers: Layers, bytes: usize, is_keyframe: bool) {
        let flowing = self.flowing.filter(|(_, last)| now.saturating_since(*last) < SILENCE_MAX);
        self.flowing = Some((flowing.map_or(now, |(since, _)| since), now));
        let known = self.of.iter().position(|(of, _)| *of == layers);
        if known.is_none() && self.of.len() < limits::LAYERS_MEASURED {
            self.of.push((layers, LayerRate::default()));
        }
        let at = known.unwrap_or(self.of.len() - 1);
        let rate = &mut self.of[at].1;
        if is_keyframe {
            rate.keyframes.count(now, bytes);
            rate.spread.count(now, bytes);
        } else {
            rate.frames.count(now, bytes);
        }
    }

    /// Payload bits of each layer in the last second.
    pub fn each(&self, now: Instant) -> impl Iterator<Item = (Layers, u64)> + '_ {
        self.of.iter().map(move |(layers, rate)| (*layers, rate.bps(now)))
    }

    /// … of all of them.
    pub fn bps(&self, now: Instant) -> u64 {
        self.each(now).map(|(_, bps)| bps).sum()
    }

    /// The rate to expect of the layers up to these, in bits per second; `expected` while they are silent. A
    /// new stream starts with a keyframe, and then its encoder approaches its rate: for a while it may be
    /// anything between the measured and the expected rate.
    pub fn price(&self, now: Instant, upto: Layers, expected: u64) -> Price {
        let counted = |layers: &Layers| layers.spatial <= upto.spatial && layers.temporal <= upto.temporal;
        let counted = || self.of.iter().filter(|(layers, _)| counted(layers)).map(|(_, rate)| rate);
        let measured: u64 = counted().map(|rate| rate.frames.bps(now) + rate.spread.spread_bps(now)).sum();
        if counted().all(|rate| rate.bps(now) == 0) {
            return Price { to_begin: expected, to_go_on: expected };
        }
        let age = self.flowing.map_or(Duration::ZERO, |(since, _)| now.saturating_since(since));
        let unsettled = SETTLED_AFTER.saturating_sub(age).as_secs_f64() / SETTLED_AFTER.as_secs_f64();
        Price {
            to_begin: measured.max((expected as f64 * (2.0 * unsettled).min(1.0)) as u64),
            to_go_on: if age < MEASURED_AFTER { expected.min(measured) } else { measured },
        }
    }
}

/// The rates of layers, in bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// For a consumer that does not get them yet.
    pub to_begin: u64,
    /// For a consumer that gets them.
    pub to_go_on: u64,
}

impl LayerRate {
    fn bps(&self, now: Instant) -> u64 {
        self.frames.bps(now) + self.keyframes.bps(now)
    }
}

/// A shorter flow may be measured too high …
const MEASURED_AFTER: Duration = Duration::from_secs(1);
/// … and one shorter than this too low: an encoder needs as long as its uplink's estimate. In the second half
/// of this time the expected rate decreases.
const SETTLED_AFTER: Duration = Duration::from_secs(12);
/// A longer silence resets the measurement.
const SILENCE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const LOWEST: Layers = Layers { spatial: 0, temporal: 0 };
    const UPPER: Layers = Layers { spatial: 0, temporal: 1 };

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(5_000 + ms)
    }

    /// A keyframe of 20 kB, and then 200 kbit/s in two layers.
    fn flow(until_ms: u64) -> LayerRates {
        let mut rates = LayerRates::default();
        rates.count(at(0), LOWEST, 20_000, true);
        for frame in 1..=until_ms / 40 {
            let layers = if frame % 2 == 0 { LOWEST } else { UPPER };
            rates.count(at(frame * 40), layers, 1_000, false);
        }
        rates
    }

    #[test]
    fn a_new_stream_is_expected_to_reach_its_rate() {
        let rates = flow(80);
        assert!(rates.bps(at(80)) > 1_000_000, "measured: {rates:?}");
        let price = rates.price(at(80), UPPER, 150_000);
        assert_eq!(price, Price { to_begin: 150_000.max(price.to_go_on), to_go_on: price.to_go_on });
        assert!(price.to_go_on <= 150_000, "{price:?}");
        let price = flow(9_000).price(at(9_000), UPPER, 900_000);
        assert_eq!(price.to_begin, 450_000);
        let price = flow(1_600).price(at(1_600), UPPER, 900_000);
        assert_eq!(price.to_begin, 900_000);
        assert!((200_000..240_000).contains(&price.to_go_on), "200 kbit/s, and 20 kB in 8 s: {price:?}");
    }

    #[test]
    fn after_a_while_the_measured_rate_is_used() {
        let (rates, now) = (flow(13_000), at(13_000));
        let price = rates.price(now, UPPER, 900_000);
        assert!((170_000..=200_000).contains(&price.to_begin), "{price:?}");
        assert_eq!(price.to_begin, price.to_go_on);
        assert!(rates.price(now, LOWEST, 900_000).to_go_on < price.to_go_on);
        assert!(rates.bps(now) <= 200_000);
    }

    #[test]
    fn a_silent_stream_has_its_expected_rate() {
        let expected = Price { to_begin: 150_000, to_go_on: 150_000 };
        assert_eq!(LayerRates::default().price(at(0), UPPER, 150_000), expected);
        let mut rates = flow(4_000);
        assert_eq!((rates.price(at(5_200), UPPER, 150_000), rates.bps(at(5_200))), (expected, 0));
        rates.count(at(5_300), LOWEST, 10, false);
        assert_eq!(rates.price(at(5_400), UPPER, 150_000).to_begin, 150_000, "it restarts");
    }
}
