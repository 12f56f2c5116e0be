//! The heap of the process: how much is in use, how much is resident, and how free memory is returned to the
//! system.
//!
//! An allocator keeps freed memory for later allocations. When many peers join and leave, free memory is
//! fragmented between blocks in use, so a process without peers can hold as much memory as at its peak. This
//! module configures glibc's allocator so that it returns large blocks at once, and can make it return the
//! rest. With another C library the functions have no effect, and [`usage`] returns `None`.

use crate::limits::LARGE_BLOCK_BYTES;
use crate::sys;
use std::fs;

/// Memory of this process, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Blocks that are allocated and not freed.
    pub heap: u64,
    /// Physical memory: the heap, free blocks that the allocator keeps, code, stacks, and shared memory.
    pub resident: u64,
}

/// The current usage. `None` if the C library does not report it. It takes the locks of the allocator one
/// after the other, so call it on a thread that is not time-critical.
pub fn usage() -> Option<Usage> {
    Some(Usage { heap: sys::heap_bytes()?, resident: resident_bytes()? })
}

/// Makes the allocator map each large block separately, so that it returns to the system when it is freed. By
/// default glibc does so only until the first such block is freed; later ones come from its arenas and leave
/// holes there. Call this before the first thread starts.
pub fn map_large_blocks() {
    sys::set_mmap_threshold(LARGE_BLOCK_BYTES);
}

/// Returns all free whole pages to the system. It takes the locks of the allocator one after the other: an
/// allocation in another thread can wait some milliseconds.
pub fn release() {
    sys::release_free_pages();
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
