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
