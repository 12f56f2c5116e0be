//! The memory of a transport, and of one more subscriber of a track.

use control::Layers;
use rig::{Call, Counting, Shape};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SHAPE: Shape = Shape { subscribers: 40, payload_len: 1200, burst: 10, feedback: true, layers: false };

/// A second of a call in which all subscribers send feedback.
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

/// Bytes per subscriber for another consumer of these layers, after some seconds of media.
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
fn memory_of_a_subscriber_and_of_one_more_track_is_bounded() {
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
fn memory_of_a_track_with_half_of_its_frames_is_bounded() {
    // Without feedback no consumer is paused; and the first frame, a keyframe, is still cached.
    let begun = || Call::new(Shape { layers: true, feedback: false, ..SHAPE });
    let of_all = per_consumer(&mut begun(), None);
    let of_half = per_consumer(&mut begun(), Some(Layers::default()));
    println!("{of_all} bytes for a consumer of all layers, {of_half} for one of half the frames");
    assert!((1..of_half).contains(&of_all), "{of_all} bytes, of half {of_half}");
    assert!(of_half <= 4 << 10, "{of_half} bytes");
}
