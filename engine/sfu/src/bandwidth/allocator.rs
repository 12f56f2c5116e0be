//! Who gets what of an estimate: the layers that each track of one transport is sent in.
//!
//! A picture for everyone goes before a better picture for anyone; among improvements, the higher priority goes first, and tracks of one
//! priority improve in turns. The order of the steps does not depend on the estimate, which says only how far down the list they go:
//! so a higher estimate gives more, and takes from nobody but for the sake of a higher priority, or of somebody who had nothing.
//!
//! It is a function of its arguments. What it remembers of a track from one call to the next lies with the track ([`Steadiness`]).

use super::limits;
use control::Layers;
use machine::Instant;
use std::ops::RangeInclusive;

/// Spatial layers of a track, and temporal layers of each.
pub const LAYERS_MAX: usize = 4;

/// What the layers of a track cost, in bits a second: `[spatial][temporal]` is everything that is sent to a receiver of these layers. 0 where
/// there is no such layer at present.
pub type Rates = [[u32; LAYERS_MAX]; LAYERS_MAX];

/// What a better picture means for a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// More frames before a larger picture: a camera.
    #[default]
    Motion,
    /// A larger picture before more frames: a screen.
    Detail,
}

/// One track that the peer receives, and what it is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Beside the others, 1 the least, 255 the most.
    pub priority: u8,
    /// What kind of picture it is.
    pub prefer: Prefer,
    /// Layers to send at most.
    pub max: Layers,
    /// What they cost.
    pub rates: Rates,
    /// What is sent now, and after the call what is to be sent; `None`: nothing, for lack of bandwidth.
    pub layers: Option<Layers>,
    /// When that was changed, and which way.
    pub steadiness: Steadiness,
}

/// When a track's layers were changed for the sake of bandwidth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steadiness {
    lowered_at: Option<Instant>,
    raised_at: Option<Instant>,
}

/// What one call gave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Bits a second of all layers chosen.
    pub bps: u64,
    /// Of all layers wanted, were there bandwidth.
    pub wanted_bps: u64,
}

/// How well the budget is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is where every estimate starts: everybody is seen as small as can be, nobody larger than now, and nobody who is seen already goes dark.
    Guess,
    /// All that was tried so far was carried, and more is being tried: nobody who is seen already goes dark.
    Rising,
    /// It is the path's, as far as that has been looked at.
    Known,
}

/// The working space of [`allocate`](Self::allocate): one for all transports of a shard. Grows to the largest call, and then no more.
#[derive(Debug, Default)]
pub struct Allocator {
    ladders: Vec<Ladder>,
    /// Demands in the order in which they are served.
    order: Vec<u16>,
    /// Per demand, how many rungs it gets: of the whole estimate, and of what leaves headroom.
    ceiling: Vec<u8>,
    floor: Vec<u8>,
}

impl Allocator {
    /// Chooses the layers of every demand, of `budget_bps` in all.
    pub fn allocate(&mut self, now: Instant, budget_bps: u64, demands: &mut [Demand]) -> Allocated {
        self.allocate_of(now, budget_bps, Certainty::Known, demands)
    }

    /// The same of a budget of which more or less is known.
    pub fn allocate_of(
        &mut self,
        now: Instant,
        budget_bps: u64,
        certainty: Certainty,
        demands: &mut [Demand],
    ) -> Allocated {
        let len = demands.len().min(limits::DEMANDS_MAX);
        let (demands, beyond) = demands.split_at_mut(len);
        beyond.iter_mut().for_each(|demand| demand.layers = None);
        self.ladders.clear();
        self.ladders.extend(demands.iter().map(Ladder::of));
        self.sort(demands);
        let (ladders, order) = (&self.ladders, &self.order);
        share(budget_bps, budget_bps, demands, ladders, order, &mut self.ceiling);
        share(budget_bps, with_headroom(budget_bps), demands, ladders, order, &mut self.floor);
        let sent = demands
            .iter()
            .zip(ladders)
            .map(|(demand, ladder)| u64::from(ladder.cost(ladder.rungs(demand.layers))));
        // Who makes room for somebody else has not tried the path's patience.
        let is_short = sent.sum::<u64>() > budget_bps;
        let mut allocated = Allocated::default();
        for (index, demand) in demands.iter_mut().enumerate() {
            let ladder = &self.ladders[index];
            let rungs = ladder.rungs(demand.layers);
            let (mut floor, mut ceiling) = (self.floor[index], self.ceiling[index]);
            if certainty == Certainty::Guess {
                floor = floor.min(rungs.max(ladder.top_of_same_size(1)));
            }
            if certainty != Certainty::Known {
                ceiling = ceiling.max(rungs.min(1));
            }
            let rungs = demand.steadiness.choose(now, ladder, rungs, floor..=ceiling, is_short);
            demand.layers = ladder.layers(rungs);
            allocated.bps += u64::from(ladder.cost(rungs));
            allocated.wanted_bps += u64::from(ladder.cost(ladder.len));
        }
        allocated
    }

    /// By priority; within one those first that are seen now, so that nobody goes dark because a rate has swung; and then the cheapest, so
    /// that the most are seen.
    fn sort(&mut self, demands: &[Demand]) {
        self.order.clear();
        self.order.extend(0..demands.len() as u16);
        let ladders = &self.ladders;
        self.order.sort_unstable_by_key(|&index| {
            let at = usize::from(index);
            let demand = &demands[at];
            (u8::MAX - demand.priority, demand.layers.is_none(), ladders[at].cost(1), index)
        });
    }
}

/// How many rungs each demand gets of `budget_bps`, when improvements stay within `improve_bps`.
fn share(
    budget_bps: u64,
    improve_bps: u64,
    demands: &[Demand],
    ladders: &[Ladder],
    order: &[u16],
    rungs: &mut Vec<u8>,
) {
    rungs.clear();
    rungs.resize(demands.len(), 0);
    let mut left = budget_bps;
    let priority = |index: &u16| demands[usize::from(*index)].priority;
    for index in order.iter().map(|index| usize::from(*index)) {
        let cost = u64::from(ladders[index].cost(1));
        // One whose lowest layer is too much stands in nobody's way. To begin takes headroom, to go on does not.
        let begins = demands[index].layers.is_none();
        let reserve = if begins { budget_bps - with_headroom(budget_bps) } else { 0 };
        if cost + reserve <= left {
            left -= cost;
            rungs[index] = 1;
        }
    }
    left = left.saturating_sub(budget_bps - improve_bps);
    for class in order.chunk_by(|a, b| priority(a) == priority(b)) {
        improve(class, ladders, rungs, &mut left);
    }
}

/// One rung for each in turns, until one does not fit: what the next would leave over stays as headroom.
fn improve(class: &[u16], ladders: &[Ladder], rungs: &mut [u8], left: &mut u64) {
    loop {
        let mut has_improved = false;
        for index in class.iter().map(|index| usize::from(*index)) {
            let ladder = &ladders[index];
            let rung = rungs[index];
            if rung == 0 || rung >= ladder.len {
                continue;
            }
            let step = u64::from(ladder.cost(rung + 1) - ladder.cost(rung));
            if step > *left {
                return;
            }
            *left -= step;
            rungs[index] = rung + 1;
            has_improved = true;
        }
        if !has_improved {
            return;
        }
    }
}

impl Steadiness {
    /// Between what leaves headroom and what fits at all, everything stays as it is; and after a step down because the path `is_short`
    /// it takes time to go up.
    fn choose(
        &mut self,
        now: Instant,
        ladder: &Ladder,
        current: u8,
        fits: RangeInclusive<u8>,
        is_short: bool,
    ) -> u8 {
        let (floor, ceiling) = (*fits.start().min(fits.end()), *fits.end());
        if current > ceiling {
            if is_short {
                self.lowered_at = Some(now);
            }
            return ceiling;
        }
        if current >= floor {
            return current;
        }
        let rungs = match self.lowered_at.map(|at| (at, now.saturating_since(at))) {
            None => floor,
            Some((_, passed)) if passed >= limits::HOLD_TIME => floor,
            Some((_, passed)) if passed < limits::RAISE_WAIT => current,
            Some((at, _)) => {
                let is_first = self.raised_at.is_none_or(|raised| raised < at);
                let next = if is_first { current + 1 } else { current };
                // More frames of the same picture cost no keyframe.
                ladder.top_of_same_size(next).min(floor).max(next)
            }
        };
        if rungs > current {
            self.raised_at = Some(now);
        }
        rungs
    }
}

/// The choices for one track, from the cheapest to the best; each costs more than the one before.
#[derive(Clone, Copy, Debug)]
struct Ladder {
    rungs: [Rung; RUNGS_MAX],
    len: u8,
}

#[derive(Clone, Copy, Debug)]
struct Rung {
    layers: Layers,
    cost_bps: u32,
}

const LOWEST: Rung = Rung { layers: Layers { spatial: 0, temporal: 0 }, cost_bps: 0 };
const RUNGS_MAX: usize = LAYERS_MAX * LAYERS_MAX;

impl Ladder {
    fn of(demand: &Demand) -> Self {
        let mut ladder = Self { rungs: [LOWEST; RUNGS_MAX], len: 0 };
        let rate = |spatial: usize, temporal: usize| demand.rates[spatial][temporal];
        let spatials = 0..=usize::from(demand.max.spatial).min(LAYERS_MAX - 1);
        let temporal_max = usize::from(demand.max.temporal).min(LAYERS_MAX - 1);
        match demand.prefer {
            Prefer::Motion => {
                for spatial in spatials {
                    // A larger picture at a quarter of the frames is no improvement.
                    let from = usize::from(spatial > 0 && temporal_max > 0 && rate(spatial, 1) > 0);
                    (from..=temporal_max)
                        .for_each(|temporal| ladder.add(spatial, temporal, rate(spatial, temporal)));
                }
            }
            Prefer::Detail => {
                spatials.clone().for_each(|spatial| ladder.add(spatial, 0, rate(spatial, 0)));
                let top = spatials.rev().find(|spatial| rate(*spatial, 0) > 0).unwrap_or(0);
                (1..=temporal_max).for_each(|temporal| ladder.add(top, temporal, rate(top, temporal)));
            }
        }
        if ladder.len == 0 {
            // Nothing is sent at present, so it costs nothing to wait for the first packet.
            ladder.len = 1;
        }
        ladder
    }

    /// A better rung. Those before it that cost clearly more are no choice any more; of those that cost about as much, the rate may only have
    /// swung.
    fn add(&mut self, spatial: usize, temporal: usize, cost_bps: u32) {
        if cost_bps == 0 {
            return;
        }
        let last = |ladder: &Self| ladder.cost(ladder.len);
        while last(self) > cost_bps.saturating_add(cost_bps / 4) {
            self.len -= 1;
        }
        let cost_bps = cost_bps.max(last(self).saturating_add(1));
        let layers = Layers { spatial: spatial as u8, temporal: temporal as u8 };
        self.rungs[usize::from(self.len)] = Rung { layers, cost_bps };
        self.len += 1;
    }

    /// The cost of so many rungs.
    fn cost(&self, rungs: u8) -> u32 {
        rungs.checked_sub(1).map_or(0, |top| self.rungs[usize::from(top)].cost_bps)
    }

    /// The layers at the top of so many rungs.
    fn layers(&self, rungs: u8) -> Option<Layers> {
        let top = rungs.checked_sub(1)?;
        Some(self.rungs[usize::from(top)].layers)
    }

    /// Up to how many rungs the picture has the size that it has at so many.
    fn top_of_same_size(&self, rungs: u8) -> u8 {
        let Some(layers) = self.layers(rungs) else { return rungs };
        let climbed = &self.rungs[..usize::from(self.len)];
        climbed
            .iter()
            .rposition(|rung| rung.layers.spatial == layers.spatial)
            .map_or(rungs, |top| top as u8 + 1)
    }

    /// How many rungs these layers are; of layers that are no choice, the ones below.
    fn rungs(&self, layers: Option<Layers>) -> u8 {
        let Some(layers) = layers else { return 0 };
        let climbed = &self.rungs[..usize::from(self.len)];
        let rungs = climbed.iter().rposition(|rung| rung.layers <= layers).map_or(1, |top| top + 1);
        rungs as u8
    }
}

/// A step up leaves a tenth of the estimate free: rates swing, and the estimate is one.
fn with_headroom(budget_bps: u64) -> u64 {
    budget_bps - budget_bps / 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    const TOP: Layers = Layers { spatial: 2, temporal: 2 };

    /// Three encodings of simulcast, each with three temporal layers.
    fn camera(priority: u8) -> Demand {
        let encoding = |bps: u32| [bps / 2, bps * 3 / 4, bps, 0];
        Demand {
            priority,
            prefer: Prefer::Motion,
            max: TOP,
            rates: [encoding(150_000), encoding(500_000), encoding(1_500_000), [0; 4]],
            layers: None,
            steadiness: Steadiness::default(),
        }
    }

    fn layers(spatial: u8, temporal: u8) -> Option<Layers> {
        Some(Layers { spatial, temporal })
    }

    fn allocate(now: Instant, budget: u64, demands: &mut [Demand]) -> Allocated {
        Allocator::default().allocate(now, budget, demands)
    }

    #[test]
    fn everyone_is_seen_before_anyone_is_seen_better() {
        let mut demands = [camera(1), camera(200), camera(1)];
        allocate(at(0), 250_000, &mut demands);
        assert!(demands.iter().all(|demand| demand.layers == layers(0, 0)), "{demands:?}");
        let mut demands = [camera(1), camera(200), camera(1)];
        allocate(at(0), 1_000_000, &mut demands);
        assert_eq!(demands.map(|demand| demand.layers), [layers(0, 2), layers(1, 2), layers(0, 2)]);
    }

    #[test]
    fn below_the_floor_the_least_important_goes_dark() {
        let mut demands = [camera(1), camera(200), camera(100)];
        let allocated = allocate(at(0), 180_000, &mut demands);
        assert_eq!(demands.map(|demand| demand.layers), [None, layers(0, 0), layers(0, 0)]);
        assert_eq!(allocated, Allocated { bps: 150_000, wanted_bps: 4_500_000 });
    }

    #[test]
    fn a_screen_grows_before_it_moves_and_a_camera_moves_before_it_grows() {
        let mut demands = [Demand { prefer: Prefer::Detail, ..camera(1) }];
        allocate(at(0), 900_000, &mut demands);
        assert_eq!(demands[0].layers, layers(2, 0));
        let mut demands = [camera(1)];
        allocate(at(0), 400_000, &mut demands);
        assert_eq!(demands[0].layers, layers(0, 2));
    }

    #[test]
    fn one_that_is_too_large_for_the_path_stands_in_nobodys_way() {
        let mut screen = camera(255);
        screen.rates = [[2_000_000, 0, 0, 0], [0; 4], [0; 4], [0; 4]];
        let mut demands = [screen, camera(1)];
        allocate(at(0), 800_000, &mut demands);
        assert_eq!(demands.map(|demand| demand.layers), [None, layers(1, 2)]);
    }

    #[test]
    fn layers_stay_within_what_is_asked_for_and_what_is_there() {
        let mut demands = [Demand { max: Layers { spatial: 1, temporal: 1 }, ..camera(1) }, camera(1)];
        demands[1].rates[2] = [0; 4];
        allocate(at(0), 9_000_000, &mut demands);
        assert_eq!(demands.map(|demand| demand.layers), [layers(1, 1), layers(1, 2)]);
        let mut silent = [Demand { rates: [[0; 4]; 4], ..camera(1) }];
        assert_eq!(allocate(at(0), 0, &mut silent).bps, 0);
        assert_eq!(silent[0].layers, layers(0, 0), "its first packet is waited for");
    }

    #[test]
    fn a_step_up_needs_headroom_and_a_step_down_does_not_wait() {
        let mut demands = [camera(1)];
        allocate(at(0), 520_000, &mut demands);
        assert_eq!(demands[0].layers, layers(1, 1), "500 kbit/s would fit, without headroom");
        allocate(at(1), 560_000, &mut demands);
        assert_eq!(demands[0].layers, layers(1, 2));
        allocate(at(2), 510_000, &mut demands);
        assert_eq!(demands[0].layers, layers(1, 2), "it still fits");
        allocate(at(3), 490_000, &mut demands);
        assert_eq!(demands[0].layers, layers(1, 1));
    }

    #[test]
    fn after_a_step_down_the_picture_grows_once_in_ten_seconds() {
        let mut demands = [camera(1)];
        allocate(at(0), 3_000_000, &mut demands);
        assert_eq!(demands[0].layers, layers(2, 2));
        allocate(at(1_000), 300_000, &mut demands);
        assert_eq!(demands[0].layers, layers(0, 2));
        let mut steps = Vec::new();
        for ms in (1_100..12_000).step_by(100) {
            let before = demands[0].layers;
            allocate(at(ms), 3_000_000, &mut demands);
            if demands[0].layers != before {
                steps.push((ms, demands[0].layers));
            }
        }
        assert_eq!(steps, [(3_000, layers(1, 2)), (11_000, layers(2, 2))]);
    }

    #[test]
    fn who_made_room_for_a_newcomer_steps_up_as_soon_as_there_is_more() {
        let mut demands = vec![camera(1)];
        allocate(at(0), 600_000, &mut demands);
        assert_eq!(demands[0].layers, layers(1, 2));
        demands.push(camera(1));
        allocate(at(100), 600_000, &mut demands);
        assert_eq!([demands[0].layers, demands[1].layers], [layers(1, 1), layers(0, 2)]);
        allocate(at(200), 1_200_000, &mut demands);
        assert_eq!([demands[0].layers, demands[1].layers], [layers(1, 2), layers(1, 2)]);
        allocate(at(300), 600_000, &mut demands);
        allocate(at(400), 1_200_000, &mut demands);
        assert_ne!(demands[0].layers, layers(1, 2), "but the path is not tried at once");
    }

    #[test]
    fn of_a_guess_everybody_gets_the_smallest_picture_and_nobody_loses() {
        let mut demands = [camera(1), Demand { layers: layers(1, 1), ..camera(1) }];
        let allocated = Allocator::default().allocate_of(at(0), 3_000_000, Certainty::Guess, &mut demands);
        assert_eq!(demands.map(|demand| demand.layers), [layers(0, 2), layers(1, 1)]);
        assert_eq!(allocated.wanted_bps, 3_000_000, "there is something to look for");
    }

    #[test]
    fn nobody_who_is_seen_goes_dark_while_more_is_being_found() {
        let seen = || [Demand { layers: layers(0, 0), ..camera(1) }];
        for (certainty, left) in
            [(Certainty::Guess, layers(0, 0)), (Certainty::Rising, layers(0, 0)), (Certainty::Known, None)]
        {
            let mut demands = seen();
            Allocator::default().allocate_of(at(0), 10_000, certainty, &mut demands);
            assert_eq!(demands[0].layers, left, "{certainty:?}");
        }
        let mut in_the_dark = [camera(1)];
        Allocator::default().allocate_of(at(0), 10_000, Certainty::Rising, &mut in_the_dark);
        assert_eq!(in_the_dark[0].layers, None);
    }

    #[test]
    fn less_by_wish_is_no_step_down() {
        let mut demands = [camera(1)];
        allocate(at(0), 3_000_000, &mut demands);
        demands[0].max = Layers { spatial: 0, temporal: 0 };
        allocate(at(1), 3_000_000, &mut demands);
        assert_eq!(demands[0].layers, layers(0, 0));
        demands[0].max = TOP;
        allocate(at(2), 3_000_000, &mut demands);
        assert_eq!(demands[0].layers, layers(2, 2));
    }

    prop_compose! {
        fn any_demand()(
            priority in 1_u8..4,
            is_screen: bool,
            max in (0_u8..4, 0_u8..4),
            rates in proptest::array::uniform4(proptest::array::uniform4(
                prop_oneof![Just(0_u32), 10_000_u32..2_000_000]
            )),
            layers in proptest::option::of((0_u8..4, 0_u8..4)),
        ) -> Demand {
            let layers = layers.map(|(spatial, temporal)| Layers { spatial, temporal });
            let prefer = if is_screen { Prefer::Detail } else { Prefer::Motion };
            let max = Layers { spatial: max.0, temporal: max.1 };
            Demand { priority, prefer, max, rates, layers, steadiness: Steadiness::default() }
        }
    }

    /// What each demand is sent at, of this budget.
    fn costs(budget: u64, demands: &[Demand]) -> Vec<u32> {
        let mut demands = demands.to_vec();
        let ladders: Vec<Ladder> = demands.iter().map(Ladder::of).collect();
        let allocated = allocate(at(0), budget, &mut demands);
        let costs: Vec<u32> = demands
            .iter()
            .zip(&ladders)
            .map(|(demand, ladder)| ladder.cost(ladder.rungs(demand.layers)))
            .collect();
        assert_eq!(allocated.bps, costs.iter().map(|cost| u64::from(*cost)).sum::<u64>());
        costs
    }

    /// What each demand could be sent at, of this budget, whatever is sent now.
    fn affordable(budget: u64, demands: &[Demand]) -> Vec<u32> {
        let mut allocator = Allocator::default();
        allocator.allocate(at(0), budget, &mut demands.to_vec());
        let ladders = allocator.ladders.iter();
        ladders.zip(&allocator.ceiling).map(|(ladder, rungs)| ladder.cost(*rungs)).collect()
    }

    proptest! {
        #[test]
        fn never_more_than_the_budget(budget in 0_u64..10_000_000, demands in prop::collection::vec(any_demand(), 0..12)) {
            prop_assert!(costs(budget, &demands).iter().map(|cost| u64::from(*cost)).sum::<u64>() <= budget);
        }

        #[test]
        fn more_takes_only_for_a_higher_priority_or_for_one_in_the_dark(
            budget in 0_u64..5_000_000,
            more in 0_u64..5_000_000,
            demands in prop::collection::vec(any_demand(), 0..12),
        ) {
            let (less, more) = (affordable(budget, &demands), affordable(budget + more, &demands));
            for (loser, demand) in demands.iter().enumerate().filter(|(at, _)| more[*at] < less[*at]) {
                let is_paid_for = demands.iter().enumerate().any(|(gainer, other)| {
                    more[gainer] > less[gainer] && (other.priority > demand.priority || less[gainer] == 0)
                });
                prop_assert!(is_paid_for, "{loser} loses for nothing: {less:?} {more:?}");
            }
        }

        #[test]
        fn among_equals_who_are_all_seen_more_is_more_for_each(
            above_floor in 0_u64..5_000_000,
            more in 0_u64..5_000_000,
            mut demands in prop::collection::vec(any_demand(), 1..12),
        ) {
            demands.iter_mut().for_each(|demand| demand.priority = 7);
            let all_lowest: u64 = demands.iter().map(|demand| u64::from(Ladder::of(demand).cost(1))).sum();
            let budget = all_lowest * 10 / 9 + 1 + above_floor;
            let (less, more) = (costs(budget, &demands), costs(budget + more, &demands));
            prop_assert!(less.iter().zip(&more).all(|(less, more)| less <= more), "{less:?} {more:?}");
        }

        #[test]
        fn it_settles(budget in 0_u64..10_000_000, mut demands in prop::collection::vec(any_demand(), 0..12)) {
            // Who has just come into the light is served before those in the dark, which may let somebody take a step more.
            for _ in 0..8 {
                allocate(at(0), budget, &mut demands);
            }
            let settled = demands.clone();
            allocate(at(100), budget, &mut demands);
            prop_assert_eq!(demands, settled);
        }
    }
}
