//! Distributes an estimate: selects the layers in which each track of one transport is sent.
//!
//! First every track gets its lowest layer, then tracks are improved; among improvements, the higher priority
//! goes first, and tracks of the same priority improve in turns. The order of the steps does not depend on
//! the estimate, which only determines how many of them are taken: so a higher estimate gives more, and takes
//! from a track only for a higher priority, or for a track without any layer.
//!
//! It is a function of its arguments. The state of a track between two calls is stored with the track
//! ([`Hysteresis`]).

use super::limits;
use control::Layers;
use machine::Instant;
use std::ops::RangeInclusive;

/// Spatial layers of a track, and temporal layers of each.
pub const LAYERS_MAX: usize = 4;

/// The rates of a track's layers, in bits per second: `[spatial][temporal]` is the total for a receiver of
/// these layers. 0 if the layer does not exist at present.
pub type Rates = [[u32; LAYERS_MAX]; LAYERS_MAX];

/// How to improve a track's picture first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Frame rate before resolution: a camera.
    #[default]
    Motion,
    /// Resolution before frame rate: a screen.
    Detail,
}

/// One track that the peer receives, and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Priority, 1 the lowest, 255 the highest.
    pub priority: u8,
    /// How to improve the picture first.
    pub prefer: Prefer,
    /// The highest layers to send.
    pub max: Layers,
    /// Their rates.
    pub rates: Rates,
    /// The layers sent now, and after the call the layers to send; `None`: no layer, because bandwidth is too
    /// low.
    pub layers: Option<Layers>,
    /// The time and direction of the last change.
    pub hysteresis: Hysteresis,
}

/// When a track's layers were last changed because of bandwidth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hysteresis {
    lowered_at: Option<Instant>,
    raised_at: Option<Instant>,
}

/// The result of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Bits per second of all selected layers.
    pub bps: u64,
    /// Bits per second of all requested layers, without a bandwidth limit.
    pub wanted_bps: u64,
}

/// How reliable the budget is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The initial value of every estimate: all tracks get their lowest layer, none gets more than now, and
    /// none that is sent is paused.
    Guess,
    /// All probes so far succeeded, and probing continues: no track that is sent is paused.
    Rising,
    /// The measured capacity of the path, as far as it has been probed.
    Known,
}

/// The working memory of [`allocate`](Self::allocate), shared by all transports of a shard. Grows to the size
/// of the largest call.
#[derive(Debug, Default)]
pub struct Allocator {
    lists: Vec<LevelList>,
    /// Demands in the order of allocation.
    order: Vec<u16>,
    /// Per demand, the number of levels it gets: of the whole estimate, and of the estimate less headroom.
    ceiling: Vec<u8>,
    floor: Vec<u8>,
}

impl Allocator {
    /// Selects the layers of every demand, within `budget_bps` in total.
    pub fn allocate(&mut self, now: Instant, budget_bps: u64, demands: &mut [Demand]) -> Allocated {
        self.allocate_of(now, budget_bps, Certainty::Known, demands)
    }

    /// The same with the certainty of the budget.
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
        self.lists.clear();
        self.lists.extend(demands.iter().map(LevelList::of));
        self.sort(demands);
        let (lists, order) = (&self.lists, &self.order);
        distribute(budget_bps, budget_bps, demands, lists, order, &mut self.ceiling);
        distribute(budget_bps, with_headroom(budget_bps), demands, lists, order, &mut self.floor);
        let sent =
            demands.iter().zip(lists).map(|(demand, list)| u64::from(list.cost(list.levels(demand.layers))));
        // A track that makes room for another one has not overloaded the path.
        let is_short = sent.sum::<u64>() > budget_bps;
        let mut allocated = Allocated::default();
        for (index, demand) in demands.iter_mut().enumerate() {
            let list = &self.lists[index];
            let levels = list.levels(demand.layers);
            let (mut floor, mut ceiling) = (self.floor[index], self.ceiling[index]);
            if certainty == Certainty::Guess {
                floor = floor.min(levels.max(list.top_of_same_size(1)));
            }
            if certainty != Certainty::Known {
                ceiling = ceiling.max(levels.min(1));
            }
            let levels = demand.hysteresis.choose(now, list, levels, floor..=ceiling, is_short);
            demand.layers = list.layers(levels);
            allocated.bps += u64::from(list.cost(levels));
            allocated.wanted_bps += u64::from(list.cost(list.len));
        }
        allocated
    }

    /// By priority; within one priority first the tracks that are sent now, so that none is paused because a
    /// rate has varied; then the lowest rate, so that as many as possible are sent.
    fn sort(&mut self, demands: &[Demand]) {
        self.order.clear();
        self.order.extend(0..demands.len() as u16);
        let lists = &self.lists;
        self.order.sort_unstable_by_key(|&index| {
            let at = usize::from(index);
            let demand = &demands[at];
            (u8::MAX - demand.priority, demand.layers.is_none(), lists[at].cost(1), index)
        });
    }
}

/// The number of levels of `budget_bps` for each demand, with improvements within `improve_bps`.
fn distribute(
    budget_bps: u64,
    improve_bps: u64,
    demands: &[Demand],
    lists: &[LevelList],
    order: &[u16],
    levels: &mut Vec<u8>,
) {
    levels.clear();
    levels.resize(demands.len(), 0);
    let mut left = budget_bps;
    let priority = |index: &u16| demands[usize::from(*index)].priority;
    for index in order.iter().map(|index| usize::from(*index)) {
        let cost = u64::from(lists[index].cost(1));
        // A track whose lowest layer does not fit does not block the others. Starting needs headroom,
        // continuing does not.
        let begins = demands[index].layers.is_none();
        let reserve = if begins { budget_bps - with_headroom(budget_bps) } else { 0 };
        if cost + reserve <= left {
            left -= cost;
            levels[index] = 1;
        }
    }
    left = left.saturating_sub(budget_bps - improve_bps);
    for class in order.chunk_by(|a, b| priority(a) == priority(b)) {
        improve(class, lists, levels, &mut left);
    }
}

/// One level for each in turns, until one does not fit: the rest stays as headroom.
fn improve(class: &[u16], lists: &[LevelList], levels: &mut [u8], left: &mut u64) {
    loop {
        let mut has_improved = false;
        for index in class.iter().map(|index| usize::from(*index)) {
            let list = &lists[index];
            let level = levels[index];
            if level == 0 || level >= list.len {
                continue;
            }
            let step = u64::from(list.cost(level + 1) - list.cost(level));
            if step > *left {
                return;
            }
            *left -= step;
            levels[index] = level + 1;
            has_improved = true;
        }
        if !has_improved {
            return;
        }
    }
}

impl Hysteresis {
    /// Between the level that leaves headroom and the one that just fits, nothing changes; after a decrease
    /// because the path `is_short`, an increase waits.
    fn choose(
        &mut self,
        now: Instant,
        list: &LevelList,
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
        let levels = match self.lowered_at.map(|at| (at, now.saturating_since(at))) {
            None => floor,
            Some((_, passed)) if passed >= limits::HOLD_TIME => floor,
            Some((_, passed)) if passed < limits::RAISE_WAIT => current,
            Some((at, _)) => {
                let is_first = self.raised_at.is_none_or(|raised| raised < at);
                let next = if is_first { current + 1 } else { current };
                // A higher frame rate at the same resolution needs no keyframe.
                list.top_of_same_size(next).min(floor).max(next)
            }
        };
        if levels > current {
            self.raised_at = Some(now);
        }
        levels
    }
}

/// The possible levels of one track, from the lowest rate to the highest; each costs more than the previous
/// one.
#[derive(Clone, Copy, Debug)]
struct LevelList {
    levels: [Rung; RUNGS_MAX],
    len: u8,
}

#[derive(Clone, Copy, Debug)]
struct Rung {
    layers: Layers,
    cost_bps: u32,
}

const LOWEST: Rung = Rung { layers: Layers { spatial: 0, temporal: 0 }, cost_bps: 0 };
const RUNGS_MAX: usize = LAYERS_MAX * LAYERS_MAX;

impl LevelList {
    fn of(demand: &Demand) -> Self {
        let mut list = Self { levels: [LOWEST; RUNGS_MAX], len: 0 };
        let rate = |spatial: usize, temporal: usize| demand.rates[spatial][temporal];
        let spatials = 0..=usize::from(demand.max.spatial).min(LAYERS_MAX - 1);
        let temporal_max = usize::from(demand.max.temporal).min(LAYERS_MAX - 1);
        match demand.prefer {
            Prefer::Motion => {
                for spatial in spatials {
                    // A higher resolution at a quarter of the frame rate is not an improvement.
                    let from = usize::from(spatial > 0 && temporal_max > 0 && rate(spatial, 1) > 0);
                    (from..=temporal_max)
                        .for_each(|temporal| list.add(spatial, temporal, rate(spatial, temporal)));
                }
            }
            Prefer::Detail => {
                spatials.clone().for_each(|spatial| list.add(spatial, 0, rate(spatial, 0)));
                let top = spatials.rev().find(|spatial| rate(*spatial, 0) > 0).unwrap_or(0);
                (1..=temporal_max).for_each(|temporal| list.add(top, temporal, rate(top, temporal)));
            }
        }
        if list.len == 0 {
            // Nothing is sent at present, so waiting for the first packet costs nothing.
            list.len = 1;
        }
        list
    }

    /// Adds a better level. Earlier ones that cost clearly more are removed; one with a similar rate may only
    /// vary.
    fn add(&mut self, spatial: usize, temporal: usize, cost_bps: u32) {
        if cost_bps == 0 {
            return;
        }
        let last = |list: &Self| list.cost(list.len);
        while last(self) > cost_bps.saturating_add(cost_bps / 4) {
            self.len -= 1;
        }
        let cost_bps = cost_bps.max(last(self).saturating_add(1));
        let layers = Layers { spatial: spatial as u8, temporal: temporal as u8 };
        self.levels[usize::from(self.len)] = Rung { layers, cost_bps };
        self.len += 1;
    }

    /// The rate of a level.
    fn cost(&self, levels: u8) -> u32 {
        levels.checked_sub(1).map_or(0, |top| self.levels[usize::from(top)].cost_bps)
    }

    /// The layers of a level.
    fn layers(&self, levels: u8) -> Option<Layers> {
        let top = levels.checked_sub(1)?;
        Some(self.levels[usize::from(top)].layers)
    }

    /// The highest level with the same resolution as this one.
    fn top_of_same_size(&self, levels: u8) -> u8 {
        let Some(layers) = self.layers(levels) else { return levels };
        let climbed = &self.levels[..usize::from(self.len)];
        climbed
            .iter()
            .rposition(|level| level.layers.spatial == layers.spatial)
            .map_or(levels, |top| top as u8 + 1)
    }

    /// The level of these layers; if they are not in the list, the next lower one.
    fn levels(&self, layers: Option<Layers>) -> u8 {
        let Some(layers) = layers else { return 0 };
        let climbed = &self.levels[..usize::from(self.len)];
        let levels = climbed.iter().rposition(|level| level.layers <= layers).map_or(1, |top| top + 1);
        levels as u8
    }
}

/// An increase keeps a tenth of the estimate free: rates vary, and the estimate is not exact.
fn with_headroom(budget_bps: u64) -> u64 {
    budget_bps - budget_bps / 10
}

#[cfg(test)]
mod tests;
