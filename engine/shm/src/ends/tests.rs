//! Both ends over one real region.

use super::*;
use crate::limits::{RECORD_BYTES_MAX, STATS_SLOTS};
use crate::region::Region;

fn ends(workers: u16, index: u16) -> (WorkerEnd, ControllerEnd) {
    let layout = Layout::new(workers, STATS_SLOTS);
    let (region, fd) = Region::create(&layout, 7).expect("a region");
    let (theirs, _) = Region::open(fd, workers, 7, layout.region_bytes() as u64).expect("the same region");
    let doorbells = || Doorbells {
        worker: Doorbell::new().expect("an eventfd"),
        controller: Doorbell::new().expect("an eventfd"),
    };
    let worker = WorkerEnd::new(&Arc::new(region), &layout, index, doorbells(), 3);
    (worker, ControllerEnd::new(&Arc::new(theirs), &layout, index, doorbells()))
}

#[test]
fn commands_events_and_statistics_reach_the_other_end() {
    let (mut worker, mut controller) = ends(3, 1);
    let mut into = Vec::new();
    controller.commands.push(b"open").expect("room");
    worker.events.push(b"opened").expect("room");
    worker.stats.write(&[1, 2, 3]);
    assert_eq!(worker.commands.pop(&mut into), Ok(Some(4)));
    assert_eq!(into, b"open");
    assert_eq!(controller.events.pop(&mut into), Ok(Some(6)));
    assert_eq!(into, b"opened");
    assert_eq!(controller.stats.read().expect("the writer rests")[..4], [1, 2, 3, 0]);
    assert_eq!(worker.commands.pop(&mut into), Ok(None));
}

#[test]
fn the_longest_record_passes_and_one_byte_more_does_not() {
    let (mut worker, mut controller) = ends(1, 0);
    let longest = vec![0x5a; RECORD_BYTES_MAX];
    let mut into = Vec::new();
    for _ in 0..40 {
        controller.commands.push(&longest).expect("room");
        assert_eq!(worker.commands.pop(&mut into), Ok(Some(RECORD_BYTES_MAX)));
        assert_eq!(into, longest);
    }
    let more = vec![0; RECORD_BYTES_MAX + 1];
    assert!(matches!(controller.commands.push(&more), Err(PushError::TooLong { .. })));
}

#[test]
fn the_ends_travel_to_other_threads() {
    fn travels<T: Send>(_: &T) {}
    let (worker, controller) = ends(1, 0);
    travels(&worker);
    travels(&controller);
}

/// Everything that a hostile process can do with its mapping: write any word at any time. Both ends continue
/// to work, stay inside the region and the bounds, and do not panic.
#[test]
fn a_region_with_any_content_causes_an_error_and_no_panic() {
    let mut seed = 0x5EED_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut verdicts = std::collections::HashSet::new();
    for case in 0..300 {
        let (mut worker, mut controller) = ends(1, 0);
        for _ in 0..random() % 40 {
            let _ = controller.commands.push(&vec![1; random() as usize % 3000]);
            let _ = worker.events.push(&vec![2; random() as usize % 3000]);
        }
        let region = &worker.stats.region();
        let words = region.words(4096, (Layout::new(1, STATS_SLOTS).region_bytes() - 4096) / WORD);
        let at = Layout::new(1, STATS_SLOTS).worker(0);
        if case % 3 == 0 {
            for word in words {
                word.store(random(), std::sync::atomic::Ordering::Relaxed);
            }
        }
        for _ in 0..random() % 6 {
            let cursors = [at.commands.head, at.commands.tail, at.events.head, at.events.tail];
            let value =
                [random(), random() % (3 << 20), random() % (1 << 20) / 8 * 8, 0][random() as usize % 4];
            let cursor = region.words(cursors[random() as usize % 4], 1);
            cursor[0].store(value, std::sync::atomic::Ordering::Relaxed);
        }
        for ring in [at.commands, at.events] {
            // A plausible header with any length at the next read position.
            let header = (0x4C45_4154 << 32) | (random() % (128 << 10));
            region.words(ring.data, 1)[0].store(header, std::sync::atomic::Ordering::Relaxed);
        }
        let mut into = Vec::new();
        for _ in 0..2000 {
            for consumer in [&mut worker.commands, &mut controller.events] {
                match consumer.pop(&mut into) {
                    Ok(len) => assert!(len.is_none_or(|len| len == into.len() && len <= RECORD_BYTES_MAX)),
                    Err(corrupt) => drop(verdicts.insert(corrupt.to_string())),
                }
            }
        }
        let _ = worker.events.push(&[3; 5000]);
        let _ = controller.commands.push(&[3; 5000]);
        let _ = (worker.events.wants_doorbell(), worker.commands.may_sleep());
        let _ = controller.stats.read();
        worker.stats.write(&[1; STATS_SLOTS]);
    }
    assert!(verdicts.len() >= 5, "the cases cover too little: {verdicts:?}");
}
