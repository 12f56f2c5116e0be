//! The parts of the packet path one by one, by criterion: `cargo bench -p leat-rig --bench parts`. Each
//! checks its results before the measurement; `forward` measures all of them together.

mod parts_list;

use criterion::Criterion;
use parts_list::PARTS;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for part in PARTS {
        let mut turn = (part.prepare)();
        criterion.bench_function(part.name, |bencher| bencher.iter(&mut turn));
    }
    criterion.final_summary();
}
