//! The heap of the process: how much of it is in use, how much is resident, and how the difference goes back to the system.
//!
//! An allocator keeps freed memory for the next allocation. Rounds of joining and leaving leave it in pieces between what is still in use, so that
//! a process without peers seems to need as much as at its busiest moment. This module sets glibc's allocator up so that large blocks go
//! back at once, and has it give the rest back when asked. With another C library it does nothing, and says so.

use crate::limits::LARGE_BLOCK_BYTES;
use crate::sys;
use std::fs;

/// Bytes of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// In blocks that have been allocated and not freed.
    pub heap: u64,
    /// In physical memory: the heap, what the allocator keeps of freed blocks, code, stacks, and shared memory.
    pub resident: u64,
}

/// As it is now. `None` where the C library does not tell. Takes the allocator's locks in turn, so it is for a thread that nobody waits for.
pub fn usage() -> Option<Usage> {
    Some(Usage { heap: sys::heap_bytes()?, resident: resident_bytes()? })
}

/// Has large blocks mapped one by one from now on, whatever has been freed before: each goes back to the system when it is freed. By default
/// glibc maps them only until the first is freed, and from then on cuts them from its arenas, where they leave holes. To be called before the
/// first thread is started.
pub fn map_large_blocks() {
    sys::set_mmap_threshold(LARGE_BLOCK_BYTES);
}

/// Gives all whole pages that are free back to the system. Takes the allocator's locks in turn: an allocation elsewhere waits for it for
/// some milliseconds.
pub fn release() {
    sys::release_free_pages();
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    /// Many blocks below the threshold, of which every other is freed first, as peers leave.
    #[test]
    fn freed_blocks_are_not_resident_after_a_release() {
        const BLOCK: usize = 48 << 10;
        const COUNT: usize = 2_000;
        let before = usage().expect("glibc tells");
        let mut blocks: Vec<Vec<u8>> = (0..COUNT).map(|_| vec![1; BLOCK]).collect();
        let used = usage().expect("glibc tells");
        let bytes = (COUNT * BLOCK) as u64;
        assert!(used.heap >= before.heap + bytes, "{before:?} {used:?}");
        assert!(used.resident >= before.resident + bytes * 9 / 10, "{before:?} {used:?}");
        let mut index = 0;
        blocks.retain(|_| {
            index += 1;
            index % 50 == 0
        });
        release();
        let after = usage().expect("glibc tells");
        assert!(after.heap < used.heap - bytes * 9 / 10, "{used:?} {after:?}");
        assert!(after.resident < used.resident - bytes * 8 / 10, "{used:?} {after:?}");
        assert_eq!(blocks.len(), COUNT / 50);
    }
}
