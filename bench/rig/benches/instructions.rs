//! Runs a part of the packet path a number of times, for callgrind to count: `make bench-icount`. The
//! difference between two counts is the cost of the turns between them, without start and preparation.

mod parts_list;

use parts_list::PARTS;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(name), Some(turns)) = (arguments.next(), arguments.next()) else {
        for part in PARTS {
            println!("{}", part.name);
        }
        return;
    };
    let part = PARTS
        .iter()
        .find(|part| part.name == name)
        .expect("one of the names that are printed without arguments");
    let turns: u32 = turns.parse().expect("a number of turns");
    let mut turn = (part.prepare)();
    for _ in 0..turns {
        turn();
    }
}
