//! What a transport keeps, and what one more subscriber of a track adds to it.

use rig::{Call, Counting, Shape};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SHAPE: Shape = Shape { subscribers: 40, payload_len: 1200, burst: 10, feedback: true };

/// A second of a call in which everybody tells what arrived.
fn second(call: &mut Call) {
    call.renew_consent();
    for frame in 0..30 {
        let mut batch = call.frame();
        call.forward(&mut batch);
        call.check();
        if frame % 3 == 2 {
            call.send_arrivals();
        }
    }
}

fn warm(subscribers: usize) -> Call {
    let mut call = Call::new(Shape { subscribers, ..SHAPE });
    (0..3).for_each(|_| second(&mut call));
    call
}

#[test]
fn a_subscriber_and_one_more_track_of_it_cost_so_much_and_no_more() {
    let (few, many) = (warm(SHAPE.subscribers), warm(2 * SHAPE.subscribers));
    let per_subscriber = (many.held_bytes() - few.held_bytes()) / SHAPE.subscribers as i64;
    drop(many);
    let mut call = few;
    let before = call.held_bytes();
    const MORE: u32 = 4;
    call.consume_more(MORE);
    for _ in 0..30 {
        let mut batch = call.frame();
        call.forward(&mut batch);
    }
    let per_consumer = (call.held_bytes() - before) / (SHAPE.subscribers as i64 * i64::from(MORE));
    println!("{per_subscriber} bytes a subscriber, {per_consumer} bytes a consumer more");
    assert!((1..=64 << 10).contains(&per_subscriber), "{per_subscriber} bytes a subscriber");
    assert!((1..=4 << 10).contains(&per_consumer), "{per_consumer} bytes for one consumer more");
}
