//! The heap of the process. This is the only test of its process, because the numbers are those of the process.

#![allow(clippy::unwrap_used)]
#![cfg(target_env = "gnu")]

use runtime::memory::{release, usage};

/// Many blocks below the threshold, of which every fiftieth stays, as when most peers leave.
#[test]
fn freed_blocks_are_not_resident_after_a_release() {
    const BLOCK: usize = 48 << 10;
    const COUNT: usize = 2_000;
    let before = usage().unwrap();
    let mut blocks: Vec<Vec<u8>> = (0..COUNT).map(|_| vec![1; BLOCK]).collect();
    let used = usage().unwrap();
    let bytes = (COUNT * BLOCK) as u64;
    assert!(used.heap >= before.heap + bytes, "{before:?} {used:?}");
    assert!(used.resident >= before.resident + bytes * 9 / 10, "{before:?} {used:?}");
    let mut index = 0;
    blocks.retain(|_| {
        index += 1;
        index % 50 == 0
    });
    release();
    let after = usage().unwrap();
    assert!(after.heap < used.heap - bytes * 9 / 10, "{used:?} {after:?}");
    assert!(after.resident < used.resident - bytes * 8 / 10, "{used:?} {after:?}");
    assert_eq!(blocks.len(), COUNT / 50);
}
