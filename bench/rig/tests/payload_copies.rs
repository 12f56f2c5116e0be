//! A message of a data channel is copied once in each worker, and not again for each of its receivers.

use rig::{Call, Counting, Shape};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of a message.
const LEN: u64 = 64 << 10;

/// Bytes that a transport allocates, and frees at once, for each byte that it sends: the chunks and packets of SCTP,
/// and the records of DTLS. Measured: 2.9. Each of them is 1, and so would be another copy.
const PER_SENT_BYTE: f64 = 3.4;

/// The heap of the shards while they forward one message: bytes of all blocks, and of large ones.
fn message_to(subscribers: usize, workers: usize) -> (u64, u64) {
    let shape = Shape { subscribers, payload_len: 100, burst: 1, feedback: false, layers: false };
    let mut call = Call::over(workers, shape);
    call.open_channel();
    let message = |nth: u8| -> Vec<u8> { (0..LEN).map(|at| at as u8 ^ nth).collect() };
    // Congestion windows grow, and tables get their sizes.
    (0..4).for_each(|nth| call.send_message(&message(nth)));
    let before = call.allocated_bytes();
    call.send_message(&message(9));
    let after = call.allocated_bytes();
    (after.0 - before.0, after.1 - before.1)
}

/// `copies`: of its payload, in all workers together.
fn check(counts: [usize; 3], workers: usize, copies: u64) {
    let heap = counts.map(|subscribers| message_to(subscribers, workers));
    for (subscribers, (all, large)) in counts.into_iter().zip(heap) {
        println!("{subscribers} receivers: {all} bytes allocated, {large} in blocks of 16 KiB and more");
        let expected = copies * LEN..(copies + 1) * LEN;
        assert!(expected.contains(&large), "{subscribers} receivers: {large} bytes in large blocks");
    }
    // Nor in pieces: a further receiver costs packets only.
    let per_receiver = (heap[2].0 - heap[1].0) as f64 / (counts[2] - counts[1]) as f64;
    println!("{per_receiver:.0} bytes for a further receiver");
    assert!(per_receiver < PER_SENT_BYTE * LEN as f64, "{per_receiver} bytes for a further receiver");
}

#[test]
fn a_message_is_copied_once_however_many_receive_it() {
    check([1, 10, 50], 1, 1);
}

/// Half of them, and the only one, are at the worker that is not the publisher's.
#[test]
fn a_message_is_copied_once_for_each_worker_however_many_receive_it_there() {
    check([1, 10, 50], 2, 2);
    // The first two receivers are at the two other workers.
    check([2, 10, 50], 3, 3);
    // A worker without a receiver gets no copy.
    let (_, large) = message_to(1, 3);
    assert!((2 * LEN..3 * LEN).contains(&large), "{large} bytes in large blocks");
}
