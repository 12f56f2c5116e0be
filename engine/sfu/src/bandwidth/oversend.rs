//! A screen that slightly exceeds the estimate is sent anyway: estimates are not exact, and late frames of
//! text are better than none. At most one per transport, in its lowest layer, and by at most
//! [`limits::OVERSEND_BPS_MAX`].

use crate::bandwidth::{Demand, Prefer};
use crate::limits;
use control::Layers;

/// Gives the most important screen without layers its lowest layer, if it fits: `left_bps` is the rest of the
/// estimate, and `cap_bps` the rest of the controller's limit. Returns the rate in excess of the allocation.
pub fn oversend(left_bps: u64, cap_bps: u64, demands: &mut [Demand]) -> u64 {
    let room_bps = (left_bps + limits::OVERSEND_BPS_MAX).min(cap_bps);
    let dark = demands.iter_mut().filter(|demand| demand.prefer == Prefer::Detail && demand.layers.is_none());
    let Some(screen) = dark.max_by_key(|demand| demand.priority) else { return 0 };
    let Some((layers, cost_bps)) = cheapest(screen).filter(|(_, cost_bps)| *cost_bps <= room_bps) else {
        return 0;
    };
    screen.layers = Some(layers);
    cost_bps
}

fn cheapest(demand: &Demand) -> Option<(Layers, u64)> {
    let sizes = demand.rates.iter().zip(0..=demand.max.spatial);
    let of_size = |(rates, spatial): (&[u32; _], u8)| {
        (rates[0] > 0).then(|| (Layers { spatial, temporal: 0 }, u64::from(rates[0])))
    };
    sizes.filter_map(of_size).min_by_key(|(_, cost_bps)| *cost_bps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bandwidth::{Hysteresis, Rates};

    const TOO_MUCH: u64 = 10_000_000;

    fn screen(priority: u8, lowest_bps: u32) -> Demand {
        let mut rates = Rates::default();
        rates[1] = [lowest_bps, 2 * lowest_bps, 0, 0];
        rates[2] = [4 * lowest_bps, 0, 0, 0];
        Demand {
            priority,
            prefer: Prefer::Detail,
            max: Layers { spatial: 2, temporal: 2 },
            rates,
            layers: None,
            hysteresis: Hysteresis::default(),
        }
    }

    #[test]
    fn the_most_important_screen_gets_its_cheapest_layer() {
        let mut demands = [screen(1, 300_000), screen(9, 400_000), screen(9, 10_000_000)];
        demands[2].priority = 3;
        assert_eq!(oversend(0, TOO_MUCH, &mut demands), 400_000);
        let layers = demands.map(|demand| demand.layers);
        assert_eq!(layers, [None, Some(Layers { spatial: 1, temporal: 0 }), None]);
    }

    #[test]
    fn the_bounds_of_engine_and_controller_are_kept() {
        assert_eq!(oversend(100_000, TOO_MUCH, &mut [screen(1, 600_000)]), 600_000);
        assert_eq!(oversend(100_000, TOO_MUCH, &mut [screen(1, 600_001)]), 0);
        assert_eq!(oversend(100_000, 599_999, &mut [screen(1, 600_000)]), 0);
    }

    #[test]
    fn cameras_and_screens_with_layers_are_not_oversent() {
        let camera = Demand { prefer: Prefer::Motion, ..screen(1, 100_000) };
        let seen = Demand { layers: Some(Layers::default()), ..screen(1, 100_000) };
        let silent = Demand { rates: Rates::default(), ..screen(1, 1) };
        assert_eq!(oversend(0, TOO_MUCH, &mut [camera, seen, silent]), 0);
        assert_eq!(oversend(0, TOO_MUCH, &mut []), 0);
    }
}
