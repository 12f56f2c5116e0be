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
