//! What benches and allocation tests run on: a call through a [`Shard`](sfu::Shard) without a network, a sink for what it
//! sends, and an allocator that counts.
//!
//! Peers connect by real ICE and DTLS, in virtual time; media is encrypted and decrypted by the published SRTP
//! implementation, so a fast answer that is wrong is found out. This is *not* the load generator, which knows nothing of the
//! engine: nothing here opens a socket, so what the kernel costs is not in these numbers.

// The counting allocator in `counting.rs` is all the `unsafe` there is.
#![deny(unsafe_code)]

mod call;
mod counting;
mod sink;
mod spread;

pub use call::{Call, Shape};
pub use counting::{Counting, allocations, held_bytes};
pub use sink::Sink;
pub use spread::Spread;

use std::time::Duration;

/// CPU time of this thread: what the other programs of a busy machine do is not in it, as far as caches allow.
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
