//! A global allocator that counts.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting. A bench or test that needs [`allocations`] makes it its
/// `#[global_allocator]`. Allocations of C code by `malloc` are not counted.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    /// Constant and without a destructor, so that reading it allocates nothing and works until the thread's
    /// very end.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<i64> = const { Cell::new(0) };
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
    static LARGE: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has allocated or reallocated so far.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Bytes that this thread has allocated and not freed so far; negative if it frees memory of other threads.
pub fn held_bytes() -> i64 {
    HELD.get()
}

/// Blocks from this length on are counted as large: more than a datagram, or than a table of one transport.
const LARGE_LEN: usize = 16 << 10;

/// Bytes that this thread has allocated so far, whether freed or not.
pub fn allocated_bytes() -> u64 {
    ALLOCATED.get()
}

/// Of these, the bytes of blocks of at least 16 KiB.
pub fn large_bytes() -> u64 {
    LARGE.get()
}

fn count(taken: usize, given_back: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + u64::from(taken > 0));
    HELD.set(HELD.get() + taken as i64 - given_back as i64);
    ALLOCATED.set(ALLOCATED.get() + taken as u64);
    LARGE.set(LARGE.get() + if taken >= LARGE_LEN { taken as u64 } else { 0 });
}

// SAFETY: every method calls `System` with the same arguments, whose contract is the same; counting touches
// no memory except two cells of this thread, and does not unwind before 2⁶⁴ allocations.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract, which is `System`'s.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: `block` came from `System` by way of this allocator; the rest is the caller's.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: `block` came from `System` by way of this allocator; the rest is the caller's.
        unsafe { System.dealloc(block, layout) }
    }
}
