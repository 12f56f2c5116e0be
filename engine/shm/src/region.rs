//! The memory that both processes map: a sealed memfd, accessed as words.
//!
//! All `unsafe` of this crate is here: map, unmap, and view a piece of the mapping as atomic words.

use crate::layout::{header_words, region_bytes};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Without these seals a peer could shrink the region: touching the missing pages would be a `SIGBUS`.
const SIZE_IS_FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// One mapping of a region.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<AtomicU64>,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and lives until `drop`. All access goes
// through shared references to atomics.
unsafe impl Send for Region {}
// SAFETY: as above; `&Region` only returns `&[AtomicU64]`.
unsafe impl Sync for Region {}

impl Region {
    /// A fresh, zeroed region with its header written, and the descriptor to hand over.
    pub(crate) fn create(workers: u16, engine_epoch: u64) -> io::Result<(Self, OwnedFd)> {
        let bytes = region_bytes(workers);
        let fd = memfd_create("leat-ring", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&fd, bytes as u64)?;
        fcntl_add_seals(&fd, SIZE_IS_FIXED | SealFlags::SEAL)?;
        let region = Self::map(&fd, bytes)?;
        for (offset, value) in header_words(workers, engine_epoch) {
            region.words(offset, 1)[0].store(value, Ordering::Relaxed);
        }
        Ok((region, fd))
    }

    /// Maps the region of an engine, if it matches the handshake.
    pub(crate) fn open(fd: OwnedFd, workers: u16, engine_epoch: u64) -> io::Result<Self> {
        let bytes = region_bytes(workers);
        if !fcntl_get_seals(&fd)?.contains(SIZE_IS_FIXED) {
            return Err(io::Error::other("the engine's region is not sealed against shrinking"));
        }
        if u64::try_from(fstat(&fd)?.st_size) != Ok(bytes as u64) {
            return Err(io::Error::other("the engine's region has another size than its layout"));
        }
        let region = Self::map(&fd, bytes)?;
        for (offset, expected) in header_words(workers, engine_epoch) {
            if region.words(offset, 1)[0].load(Ordering::Relaxed) != expected {
                return Err(io::Error::other("the engine's region header contradicts its handshake"));
            }
        }
        Ok(region)
    }

    /// Maps `bytes` of `fd`, which must be at least that long and sealed against shrinking.
    fn map(fd: impl AsFd, bytes: usize) -> io::Result<Self> {
        // SAFETY: a null hint lets the kernel choose an address that nothing else uses; the mapping is
        // shared, and no Rust reference to it exists but those `words` makes.
        let start = unsafe {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            mmap(std::ptr::null_mut(), bytes, access, MapFlags::SHARED, fd, 0)
        }?;
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap returned null"))?;
        Ok(Self { start, bytes })
    }

    /// The `count` words from byte `offset` on. Panics if they are not inside the region: offsets come from
    /// `layout.rs`, never from the peer.
    pub(crate) fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        let end = count.checked_mul(8).and_then(|len| len.checked_add(offset));
        assert!(offset.is_multiple_of(8) && end.is_some_and(|end| end <= self.bytes), "inside the region");
        // SAFETY: the range was just checked to lie inside the mapping, which is page-aligned (so `offset`
        // keeps the words aligned), lives as long as `self`, and cannot lose pages since its size is sealed.
        // Every bit pattern is a valid `AtomicU64`, and no other kind of reference to these bytes exists. The
        // other process may store anything at any time: an aligned 64-bit load then returns some value, which
        // callers do not trust.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset / 8), count) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` mapped; every slice of it borrowed `self` and is gone.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "munmap of our own mapping");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_mappings_see_the_same_words() {
        let (ours, fd) = Region::create(2, 7).expect("a region");
        let theirs = Region::open(fd, 2, 7).expect("the same region");
        ours.words(4096, 1)[0].store(0xa5, Ordering::Relaxed);
        assert_eq!(theirs.words(4096, 1)[0].load(Ordering::Relaxed), 0xa5);
    }

    #[test]
    fn a_region_that_contradicts_the_handshake_is_not_mapped() {
        for (workers, epoch) in [(1, 7), (3, 7), (2, 8)] {
            let (_region, fd) = Region::create(2, 7).expect("a region");
            Region::open(fd, workers, epoch).expect_err("another size or epoch");
        }
        let unsealed = memfd_create("unsealed", MemfdFlags::CLOEXEC).expect("a memfd");
        ftruncate(&unsealed, region_bytes(2) as u64).expect("room");
        Region::open(unsealed, 2, 7).expect_err("an unsealed region could shrink under us");
    }

    #[test]
    fn the_peer_cannot_shrink_or_grow_it() {
        let (_region, fd) = Region::create(1, 1).expect("a region");
        ftruncate(&fd, 4096).expect_err("sealed");
        ftruncate(&fd, 1 << 30).expect_err("sealed");
    }

    #[test]
    #[should_panic(expected = "inside the region")]
    fn a_careless_offset_is_caught() {
        let (region, _fd) = Region::create(1, 1).expect("a region");
        region.words(region_bytes(1) - 8, 2);
    }
}
