//! The basis of benches and allocation tests: a call through a [`Shard`](sfu::Shard) without a network, a
//! sink for its datagrams, and an allocator that counts.
//!
//! Peers connect by real ICE and DTLS, in virtual time; media is encrypted and decrypted by the published
//! SRTP implementation, so a fast wrong answer is detected. This is *not* the load generator, which is
//! independent of the engine: nothing here opens a socket, so the cost of the kernel is not in these numbers.

// All `unsafe` is in the counting allocator in `counting.rs`.
#![deny(unsafe_code)]

mod call;
mod counting;
mod messages;
mod sink;
mod spread;

pub use call::{Call, Shape};
pub use counting::{Counting, allocated_bytes, allocations, held_bytes, large_bytes};
pub use sink::Sink;
pub use spread::Spread;

use std::time::Duration;

/// CPU time of this thread: independent of other programs on a busy machine, as far as caches allow.
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
