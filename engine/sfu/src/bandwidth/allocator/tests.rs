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
        hysteresis: Hysteresis::default(),
    }
}

fn layers(spatial: u8, temporal: u8) -> Option<Layers> {
    Some(Layers { spatial, temporal })
}

fn allocate(now: Instant, budget: u64, demands: &mut [Demand]) -> Allocated {
    Allocator::default().allocate(now, budget, demands)
}

#[test]
fn all_tracks_get_a_layer_before_any_is_improved() {
    let mut demands = [camera(1), camera(200), camera(1)];
    allocate(at(0), 250_000, &mut demands);
    assert!(demands.iter().all(|demand| demand.layers == layers(0, 0)), "{demands:?}");
    let mut demands = [camera(1), camera(200), camera(1)];
    allocate(at(0), 1_000_000, &mut demands);
    assert_eq!(demands.map(|demand| demand.layers), [layers(0, 2), layers(1, 2), layers(0, 2)]);
}

#[test]
fn below_the_minimum_the_lowest_priority_is_paused() {
    let mut demands = [camera(1), camera(200), camera(100)];
    let allocated = allocate(at(0), 180_000, &mut demands);
    assert_eq!(demands.map(|demand| demand.layers), [None, layers(0, 0), layers(0, 0)]);
    assert_eq!(allocated, Allocated { bps: 150_000, wanted_bps: 4_500_000 });
}

#[test]
fn a_screen_gets_resolution_first_and_a_camera_frame_rate() {
    let mut demands = [Demand { prefer: Prefer::Detail, ..camera(1) }];
    allocate(at(0), 900_000, &mut demands);
    assert_eq!(demands[0].layers, layers(2, 0));
    let mut demands = [camera(1)];
    allocate(at(0), 400_000, &mut demands);
    assert_eq!(demands[0].layers, layers(0, 2));
}

#[test]
fn a_track_that_does_not_fit_does_not_block_the_others() {
    let mut screen = camera(255);
    screen.rates = [[2_000_000, 0, 0, 0], [0; 4], [0; 4], [0; 4]];
    let mut demands = [screen, camera(1)];
    allocate(at(0), 800_000, &mut demands);
    assert_eq!(demands.map(|demand| demand.layers), [None, layers(1, 2)]);
}

#[test]
fn layers_stay_within_preferred_and_available_ones() {
    let mut demands = [Demand { max: Layers { spatial: 1, temporal: 1 }, ..camera(1) }, camera(1)];
    demands[1].rates[2] = [0; 4];
    allocate(at(0), 9_000_000, &mut demands);
    assert_eq!(demands.map(|demand| demand.layers), [layers(1, 1), layers(1, 2)]);
    let mut silent = [Demand { rates: [[0; 4]; 4], ..camera(1) }];
    assert_eq!(allocate(at(0), 0, &mut silent).bps, 0);
    assert_eq!(silent[0].layers, layers(0, 0), "waits for its first packet");
}

#[test]
fn a_step_up_needs_headroom_and_a_step_down_does_not_wait() {
    let mut demands = [camera(1)];
    allocate(at(0), 520_000, &mut demands);
    assert_eq!(demands[0].layers, layers(1, 1), "500 kbit/s would fit, without headroom");
    allocate(at(1), 560_000, &mut demands);
    assert_eq!(demands[0].layers, layers(1, 2));
    allocate(at(2), 510_000, &mut demands);
    assert_eq!(demands[0].layers, layers(1, 2), "still fits");
    allocate(at(3), 490_000, &mut demands);
    assert_eq!(demands[0].layers, layers(1, 1));
}

#[test]
fn after_a_step_down_the_resolution_rises_once_in_ten_seconds() {
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
fn a_track_that_made_room_for_a_new_one_steps_up_at_once() {
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
    assert_ne!(demands[0].layers, layers(1, 2), "but the rate does not rise at once");
}

#[test]
fn with_the_initial_estimate_all_get_the_lowest_layer_and_none_is_paused() {
    let mut demands = [camera(1), Demand { layers: layers(1, 1), ..camera(1) }];
    let allocated = Allocator::default().allocate_of(at(0), 3_000_000, Certainty::Guess, &mut demands);
    assert_eq!(demands.map(|demand| demand.layers), [layers(0, 2), layers(1, 1)]);
    assert_eq!(allocated.wanted_bps, 3_000_000, "more is requested than allocated");
}

#[test]
fn no_track_is_paused_while_the_estimate_is_rising() {
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
fn a_lower_preference_is_not_a_step_down() {
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
        Demand { priority, prefer, max, rates, layers, hysteresis: Hysteresis::default() }
    }
}

/// The rate of each demand with this budget.
fn costs(budget: u64, demands: &[Demand]) -> Vec<u32> {
    let mut demands = demands.to_vec();
    let lists: Vec<LevelList> = demands.iter().map(LevelList::of).collect();
    let allocated = allocate(at(0), budget, &mut demands);
    let costs: Vec<u32> =
        demands.iter().zip(&lists).map(|(demand, list)| list.cost(list.levels(demand.layers))).collect();
    assert_eq!(allocated.bps, costs.iter().map(|cost| u64::from(*cost)).sum::<u64>());
    costs
}

/// The possible rate of each demand with this budget, independent of its present layers.
fn affordable(budget: u64, demands: &[Demand]) -> Vec<u32> {
    let mut allocator = Allocator::default();
    allocator.allocate(at(0), budget, &mut demands.to_vec());
    let lists = allocator.lists.iter();
    lists.zip(&allocator.ceiling).map(|(list, levels)| list.cost(*levels)).collect()
}

proptest! {
    #[test]
    fn the_budget_is_never_exceeded(budget in 0_u64..10_000_000, demands in prop::collection::vec(any_demand(), 0..12)) {
        prop_assert!(costs(budget, &demands).iter().map(|cost| u64::from(*cost)).sum::<u64>() <= budget);
    }

    #[test]
    fn a_higher_budget_takes_only_for_a_higher_priority_or_a_paused_track(
        budget in 0_u64..5_000_000,
        more in 0_u64..5_000_000,
        demands in prop::collection::vec(any_demand(), 0..12),
    ) {
        let (less, more) = (affordable(budget, &demands), affordable(budget + more, &demands));
        for (loser, demand) in demands.iter().enumerate().filter(|(at, _)| more[*at] < less[*at]) {
            let is_paid_for = demands.iter().enumerate().any(|(gainer, other)| {
                more[gainer] > less[gainer] && (other.priority > demand.priority || less[gainer] == 0)
            });
            prop_assert!(is_paid_for, "{loser} loses without a reason: {less:?} {more:?}");
        }
    }

    #[test]
    fn among_sent_tracks_of_one_priority_a_higher_budget_is_more_for_each(
        above_floor in 0_u64..5_000_000,
        more in 0_u64..5_000_000,
        mut demands in prop::collection::vec(any_demand(), 1..12),
    ) {
        demands.iter_mut().for_each(|demand| demand.priority = 7);
        let all_lowest: u64 = demands.iter().map(|demand| u64::from(LevelList::of(demand).cost(1))).sum();
        let budget = all_lowest * 10 / 9 + 1 + above_floor;
        let (less, more) = (costs(budget, &demands), costs(budget + more, &demands));
        prop_assert!(less.iter().zip(&more).all(|(less, more)| less <= more), "{less:?} {more:?}");
    }

    #[test]
    fn allocation_converges(budget in 0_u64..10_000_000, mut demands in prop::collection::vec(any_demand(), 0..12)) {
        // A track that has just started is allocated before those without layers, which may allow a
        // further step.
        for _ in 0..8 {
            allocate(at(0), budget, &mut demands);
        }
        let settled = demands.clone();
        allocate(at(100), budget, &mut demands);
        prop_assert_eq!(demands, settled);
    }
}
