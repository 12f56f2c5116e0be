//! Both ends over one real region.

use super::*;
use crate::region::Region;

fn ends(workers: u16, index: u16) -> (WorkerEnd, ControllerEnd) {
    let (region, fd) = Region::create(workers, 7).expect("a region");
    let theirs = Region::open(fd, workers, 7).expect("the same region");
    let doorbells = || Doorbells {
        worker: Doorbell::new().expect("an eventfd"),
        controller: Doorbell::new().expect("an eventfd"),
    };
    let worker = WorkerEnd::new(&Arc::new(region), index, doorbells());
    (worker, ControllerEnd::new(&Arc::new(theirs), index, doorbells()))
}

#[test]
fn commands_go_one_way_events_the_other_and_statistics_beside() {
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
