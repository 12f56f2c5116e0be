//! What a transport keeps, and what one more subscriber of a track adds to it.

use control::Layers;
use rig::{Call, Counting, Shape};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SHAPE: Shape = Shape { subscribers: 40, payload_len: 1200, burst: 10, feedback: true, layers: false };

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

fn warm(shape: Shape) -> Call {
    let mut call = Call::new(shape);
    (0..3).for_each(|_| second(&mut call));
    call
}

/// Bytes that each subscriber takes for another consumer of these layers, once media has flowed for some seconds.
fn per_consumer(call: &mut Call, layers: Option<Layers>) -> i64 {
    const MORE: u32 = 4;
    let before = call.held_bytes();
    call.consume_more(MORE, layers);
    for _ in 0..4 {
        call.renew_consent();
        for _ in 0..30 {
            let mut batch = call.frame();
            call.forward(&mut batch);
        }
    }
    (call.held_bytes() - before) / (SHAPE.subscribers as i64 * i64::from(MORE))
}

#[test]
fn a_subscriber_and_one_more_track_of_it_cost_so_much_and_no_more() {
    let (few, many) = (warm(SHAPE), warm(Shape { subscribers: 2 * SHAPE.subscribers, ..SHAPE }));
    let per_subscriber = (many.held_bytes() - few.held_bytes()) / SHAPE.subscribers as i64;
    drop(many);
    let mut call = few;
    let per_consumer = per_consumer(&mut call, None);
    println!("{per_subscriber} bytes a subscriber, {per_consumer} bytes a consumer more");
    assert!((1..=64 << 10).contains(&per_subscriber), "{per_subscriber} bytes a subscriber");
    assert!((1..=4 << 10).contains(&per_consumer), "{per_consumer} bytes for one consumer more");
}

#[test]
fn a_track_of_which_every_other_frame_is_left_out_costs_no_more_than_it_may() {
    // Without feedback nobody is cut off; and the first frame, a keyframe, is still at hand.
    let begun = || Call::new(Shape { layers: true, feedback: false, ..SHAPE });
    let of_all = per_consumer(&mut begun(), None);
    let of_half = per_consumer(&mut begun(), Some(Layers::default()));
    println!("{of_all} bytes for a consumer of all layers, {of_half} for one of half the frames");
    assert!((1..of_half).contains(&of_all), "{of_all} bytes, of half {of_half}");
    assert!(of_half <= 4 << 10, "{of_half} bytes");
}
