//! The result of the allocator for every estimate, as a table.

use crate::golden;
use control::Layers;
use machine::Instant;
use sfu::bandwidth::{Allocator, Demand, Hysteresis, Prefer, Rates};
use std::fmt::Write;

const NONE: [u32; 4] = [0; 4];

/// Three encodings of simulcast with three temporal layers.
const CAMERA: Rates =
    [[75_000, 110_000, 150_000, 0], [250_000, 375_000, 500_000, 0], [750_000, 1_100_000, 1_500_000, 0], NONE];
/// VP9 L3T3: what is sent includes the layers below.
const SVC: Rates =
    [[60_000, 90_000, 120_000, 0], [200_000, 300_000, 400_000, 0], [600_000, 900_000, 1_200_000, 0], NONE];
/// A screen in one layer, and one in three sizes.
const SCREEN: Rates = [[1_200_000, 0, 0, 0], NONE, NONE, NONE];
const SCREEN_SVC: Rates = [[200_000, 400_000, 0, 0], [600_000, 1_200_000, 0, 0], NONE, NONE];

fn demand(rates: Rates, priority: u8) -> Demand {
    Demand {
        priority,
        prefer: Prefer::Motion,
        max: Layers { spatial: 3, temporal: 3 },
        rates,
        layers: None,
        hysteresis: Hysteresis::default(),
    }
}

fn screen(rates: Rates, priority: u8) -> Demand {
    Demand { prefer: Prefer::Detail, ..demand(rates, priority) }
}

/// The demands of a few rooms.
fn rooms() -> Vec<(&'static str, Vec<Demand>)> {
    let thumbnail = Demand { max: Layers { spatial: 0, temporal: 2 }, ..demand(CAMERA, 1) };
    let mut gallery = vec![demand(CAMERA, 100)];
    gallery.extend([demand(CAMERA, 1); 8]);
    vec![
        ("one camera", vec![demand(CAMERA, 1)]),
        ("one camera in SVC", vec![demand(SVC, 1)]),
        ("three cameras alike", vec![demand(CAMERA, 1); 3]),
        ("one on stage, and three more", [vec![demand(CAMERA, 100)], vec![demand(CAMERA, 1); 3]].concat()),
        (
            "a screen in one layer, and two cameras",
            vec![screen(SCREEN, 100), demand(CAMERA, 1), demand(CAMERA, 1)],
        ),
        ("a screen in layers, and two thumbnails", vec![screen(SCREEN_SVC, 100), thumbnail, thumbnail]),
        ("one on stage, and eight more", gallery),
    ]
}

const ESTIMATES_KBPS: [u64; 14] =
    [0, 50, 100, 200, 300, 400, 600, 800, 1_000, 1_500, 2_000, 3_000, 5_000, 20_000];

fn show(layers: Option<Layers>) -> String {
    layers.map_or("-".to_owned(), |layers| format!("S{}T{}", layers.spatial, layers.temporal))
}

#[test]
fn the_table_of_allocations_matches() {
    let mut table = String::from(
        "# What every consumer gets (S spatial, T temporal layer; - nothing) of an estimate in kbit/s, and what that costs.\n\
         # Made by tests/sim/allocation.rs; UPDATE_GOLDEN=1 updates it.\n",
    );
    let mut allocator = Allocator::default();
    for (room, demands) in rooms() {
        writeln!(table, "\n{room}\n{:>8} {:>6}  layers", "estimate", "sent").unwrap();
        for estimate in ESTIMATES_KBPS {
            let mut demands = demands.clone();
            let allocated = allocator.allocate(Instant::EPOCH, estimate * 1000, &mut demands);
            let layers: Vec<String> = demands.iter().map(|demand| show(demand.layers)).collect();
            writeln!(table, "{estimate:>8} {:>6}  {}", allocated.bps / 1000, layers.join(" ")).unwrap();
        }
    }
    golden::check("allocation.txt", &table);
}

/// Up and then down, as an estimate does: the difference is the hysteresis.
#[test]
fn the_table_of_hysteresis_matches() {
    let mut table = String::from(
        "# One camera while the estimate rises and falls by 50 kbit/s in each of many minutes: the estimate at which its layers change.\n\
         # Made by tests/sim/allocation.rs; UPDATE_GOLDEN=1 updates it.\n",
    );
    let mut allocator = Allocator::default();
    let mut demands = [demand(CAMERA, 1)];
    let rising = (0..40).map(|step| (step, "up"));
    let falling = (0..40).rev().map(|step| (step, "down"));
    for (minute, (step, way)) in rising.chain(falling).enumerate() {
        let before = demands[0].layers;
        let now = Instant::from_nanos(minute as u64 * 60_000_000_000);
        allocator.allocate(now, step * 50_000, &mut demands);
        if demands[0].layers != before {
            writeln!(table, "{:>4} {way:<4} {}", step * 50, show(demands[0].layers)).unwrap();
        }
    }
    golden::check("hysteresis.txt", &table);
}
