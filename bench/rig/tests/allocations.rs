//! The packet path allocates nothing once a call is warm: not for media, not for retransmissions in either
//! direction, not for reports, feedback and keyframe requests.

use control::{Counter, Discard};
use rig::{Call, Counting, Shape, Spread};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SHAPE: Shape = Shape { subscribers: 40, payload_len: 1200, burst: 10, feedback: false, layers: false };

/// Frames in a second, and so between the peers' reports.
const FRAMES: usize = 30;

/// One second of a call with everything in it: each frame loses a packet on its way to the engine, which
/// requests it and gets it; each subscriber reports, misses two packets, and needs a keyframe.
fn second(call: &mut Call) {
    call.renew_consent();
    let mut lost = None;
    for _ in 0..FRAMES {
        let first = call.made();
        let mut batch = call.frame();
        batch.remove(4);
        batch.extend(lost.replace(first + 4).map(|number| call.retransmission(number)));
        call.forward(&mut batch);
    }
    let (_, last) = call.check();
    call.send_publisher_report();
    call.send_subscriber_feedback(&last);
    let (repairs, _) = call.check();
    assert_eq!(repairs, 2 * SHAPE.subscribers as u64, "every subscriber gets its missing packets");
}

#[test]
fn a_warm_call_allocates_nothing() {
    let mut call = Call::new(SHAPE);
    for _ in 0..3 {
        second(&mut call);
    }
    let (warm, allocations) = (call.counters().clone(), call.allocations());
    assert!(allocations > 0, "joining allocates, so the allocator counts");
    for _ in 0..3 {
        second(&mut call);
    }
    let counters = call.counters().clone();
    let gained = |counter| counters.value(counter) - warm.value(counter);
    assert!(gained(Counter::RtpOut) >= 10_000, "{counters:?}");
    for counter in [
        Counter::RtxOut,
        Counter::RtcpIn,
        Counter::RtcpOut,
        Counter::NacksIn,
        Counter::NacksOut,
        Counter::KeyframeRequestsIn,
        Counter::KeyframeRequestsOut,
    ] {
        assert!(gained(counter) > 0, "{} did not rise, so its path was not tried", counter.name());
    }
    assert_eq!(counters.discarded(Discard::SrtpUnauthenticated), 0);
    assert_eq!(call.allocations() - allocations, 0, "in {} forwarded packets", gained(Counter::RtpOut));
}

#[test]
fn a_warm_room_over_two_workers_allocates_nothing() {
    let mut spread = Spread::new(2, 0, 10, 1200, 10);
    for _ in 0..3 * FRAMES {
        spread.turn();
    }
    let (allocations, crossed) = (spread.allocations(), spread.crossed());
    assert!(allocations > 0, "the first envelopes are allocated, so the allocator counts");
    for _ in 0..3 * FRAMES {
        spread.turn();
    }
    assert_eq!(spread.check(), 100, "all subscribers get the last frame");
    assert_eq!(spread.crossed() - crossed, 30 * FRAMES as u64);
    assert_eq!(spread.allocations() - allocations, 0);
}
