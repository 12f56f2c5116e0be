//! The memory that both processes map: a sealed memfd, accessed as words.
//!
//! All `unsafe` of this crate is here: map, unmap, and view a piece of the mapping as atomic words.

use crate::layout::{Layout, PAGE};
use crate::limits::{RECORD_BYTES_MAX, RING_BYTES_MAX, STATS_SLOTS_MAX};
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
    pub(crate) fn create(layout: &Layout, engine_epoch: u64) -> io::Result<(Self, OwnedFd)> {
        let bytes = layout.region_bytes();
        let fd = memfd_create("leat-ring", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&fd, bytes as u64)?;
        fcntl_add_seals(&fd, SIZE_IS_FIXED | SealFlags::SEAL)?;
        let region = Self::map(&fd, bytes)?;
        for (offset, value) in layout.header_words(engine_epoch) {
            region.words(offset, 1)[0].store(value, Ordering::Relaxed);
        }
        Ok((region, fd))
    }

    /// Maps the region of an engine, of which the handshake named the size, if size and header agree with the
    /// handshake and the sizes in the header are within the bounds.
    pub(crate) fn open(
        fd: OwnedFd,
        workers: u16,
        engine_epoch: u64,
        region_bytes: u64,
    ) -> io::Result<(Self, Layout)> {
        if !fcntl_get_seals(&fd)?.contains(SIZE_IS_FIXED) {
            return Err(io::Error::other("the engine's region is not sealed against shrinking"));
        }
        let bytes = usize::try_from(region_bytes).unwrap_or(usize::MAX);
        let max = Layout {
            workers,
            command_ring_bytes: RING_BYTES_MAX,
            event_ring_bytes: RING_BYTES_MAX,
            record_bytes_max: RECORD_BYTES_MAX,
            stats_slots: STATS_SLOTS_MAX,
        };
        let is_plausible = (PAGE..=max.region_bytes()).contains(&bytes);
        if !is_plausible || u64::try_from(fstat(&fd)?.st_size) != Ok(region_bytes) {
            return Err(io::Error::other("the engine's region has another size than its handshake names"));
        }
        let region = Self::map(&fd, bytes)?;
        let word = |offset| region.words(offset, 1)[0].load(Ordering::Relaxed);
        match Layout::read(workers, engine_epoch, word) {
            Some(layout) if layout.region_bytes() == bytes => Ok((region, layout)),
            _ => Err(io::Error::other("the engine's region header contradicts its handshake")),
        }
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
    use crate::limits::STATS_SLOTS;

    /// Two workers.
    fn layout() -> Layout {
        Layout::new(2, STATS_SLOTS)
    }

    fn open(fd: OwnedFd, workers: u16, epoch: u64) -> io::Result<(Region, Layout)> {
        Region::open(fd, workers, epoch, layout().region_bytes() as u64)
    }

    #[test]
    fn both_mappings_see_the_same_words() {
        let (ours, fd) = Region::create(&layout(), 7).expect("a region");
        let (theirs, found) = open(fd, 2, 7).expect("the same region");
        assert_eq!(found, layout());
        ours.words(4096, 1)[0].store(0xa5, Ordering::Relaxed);
        assert_eq!(theirs.words(4096, 1)[0].load(Ordering::Relaxed), 0xa5);
    }

    #[test]
    fn a_region_of_other_sizes_is_mapped_as_its_header_describes() {
        let other = Layout { command_ring_bytes: 8192, record_bytes_max: 1000, stats_slots: 777, ..layout() };
        let (_region, fd) = Region::create(&other, 7).expect("a region");
        let opened = Region::open(fd, 2, 7, other.region_bytes() as u64);
        assert_eq!(opened.expect("sizes within the bounds").1, other);
    }

    #[test]
    fn a_region_that_contradicts_the_handshake_is_not_mapped() {
        for (workers, epoch) in [(1, 7), (3, 7), (2, 8)] {
            let (_region, fd) = Region::create(&layout(), 7).expect("a region");
            open(fd, workers, epoch).expect_err("another number of workers or another epoch");
        }
        let bytes = layout().region_bytes() as u64;
        for announced in [0, 4096, bytes - 4096, bytes + 4096, u64::MAX] {
            let (_region, fd) = Region::create(&layout(), 7).expect("a region");
            Region::open(fd, 2, 7, announced).expect_err("another size");
        }
        let unsealed = memfd_create("unsealed", MemfdFlags::CLOEXEC).expect("a memfd");
        ftruncate(&unsealed, bytes).expect("room");
        open(unsealed, 2, 7).expect_err("an unsealed region could shrink under us");
    }

    #[test]
    fn the_peer_cannot_shrink_or_grow_it() {
        let (_region, fd) = Region::create(&layout(), 1).expect("a region");
        ftruncate(&fd, 4096).expect_err("sealed");
        ftruncate(&fd, 1 << 30).expect_err("sealed");
    }

    #[test]
    #[should_panic(expected = "inside the region")]
    fn a_careless_offset_is_caught() {
        let (region, _fd) = Region::create(&layout(), 1).expect("a region");
        region.words(layout().region_bytes() - 8, 2);
    }
}
