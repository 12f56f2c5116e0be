//! Congestion control does not allocate once a call is warm: numbers, feedback, probes, the pacer and the
//! allocation of bandwidth.

use control::Counter;
use rig::{Call, Counting, Shape};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SHAPE: Shape = Shape { subscribers: 20, payload_len: 1200, burst: 10, feedback: true, layers: false };

/// Frames in a second.
const FRAMES: usize = 30;

/// One second of a call in which every subscriber sends feedback ten times; half of it like a bounded path.
fn second(call: &mut Call) {
    call.renew_consent();
    for frame in 0..FRAMES {
        let mut batch = call.frame();
        call.forward(&mut batch);
        call.check();
        if frame % 3 == 2 {
            call.send_arrivals();
        }
    }
    call.send_publisher_report();
}

#[test]
fn a_warm_call_with_feedback_allocates_nothing() {
    let mut call = Call::new(SHAPE);
    for _ in 0..10 {
        second(&mut call);
    }
    let (warm, allocations) = (call.counters().clone(), call.allocations());
    for _ in 0..5 {
        second(&mut call);
    }
    let counters = call.counters().clone();
    let gained = |counter| counters.value(counter) - warm.value(counter);
    assert_eq!(
        gained(Counter::RtpOut),
        (5 * FRAMES * SHAPE.burst * SHAPE.subscribers) as u64,
        "{counters:?}"
    );
    assert!(gained(Counter::RtcpIn) >= (5 * 10 * SHAPE.subscribers) as u64, "{counters:?}");
    assert!(counters.value(Counter::PaddingBytesOut) > 0, "it was probed for: {counters:?}");
    // 1,200 bytes and headers, ten times in a frame.
    let estimate = call.estimate_bps().expect("an estimate");
    assert!(estimate > 3_000_000, "{estimate}");
    assert_eq!(counters.value(Counter::TwccUnmatched), 0, "{counters:?}");
    assert_eq!(call.allocations() - allocations, 0, "in {} forwarded packets", gained(Counter::RtpOut));
}
