use super::*;
use std::time::Duration;

fn rooms(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_room_runs_once_at_a_time_and_the_one_that_waits_longest_is_first() {
    let (mut lanes, now) = (Lanes::default(), Instant::now());
    let second = Duration::from_secs(1);
    lanes.merge(rooms(&["b"]), now);
    lanes.merge(rooms(&["a", "b"]), now + second);
    assert_eq!(lanes.start_next(now), Some("b".to_owned()));
    assert_eq!((lanes.start_next(now), lanes.next_due()), (None, Some(now + second)));
    assert_eq!(lanes.start_next(now + second), Some("a".to_owned()));
    assert_eq!((lanes.start_next(now + second), lanes.next_due()), (None, None));
    lanes.end("b", Round::More, now + second, 0);
    assert_eq!(lanes.start_next(now + second), Some("b".to_owned()));
}

#[tokio::test]
async fn an_event_that_arrives_during_a_delivery_is_not_forgotten() {
    let (mut lanes, now) = (Lanes::default(), Instant::now());
    lanes.merge(rooms(&["a"]), now);
    assert!(lanes.start_next(now).is_some());
    lanes.merge(rooms(&["a"]), now);
    lanes.end("a", Round::Drained, now, 0);
    assert_eq!(lanes.start_next(now), Some("a".to_owned()), "the queue was read during the delivery");
    lanes.end("a", Round::Drained, now, 0);
    assert_eq!(
        (lanes.start_next(now), lanes.next_due()),
        (None, None),
        "nothing is kept of a room without events"
    );
}

#[tokio::test]
async fn a_room_that_fails_waits_longer_each_time_and_delays_no_other() {
    let (mut lanes, now) = (Lanes::default(), Instant::now());
    lanes.merge(rooms(&["a", "b"]), now);
    let mut due = now;
    for failures in 1..=12 {
        assert_eq!(lanes.start_next(due), Some("a".to_owned()));
        lanes.end("a", Round::Failed { after_success: false }, due, u32::MAX);
        let next = due + pause(failures, u32::MAX);
        assert_eq!(lanes.0["a"].due, next);
        assert_eq!(lanes.start_next(due), (failures == 1).then(|| "b".to_owned()), "the other one is due");
        due = next;
    }
    assert!(lanes.start_next(due).is_some());
    lanes.end("a", Round::Failed { after_success: true }, due, u32::MAX);
    assert_eq!(lanes.0["a"].due, due + pause(1, u32::MAX), "an event of it was delivered");
    // It was dropped from the queue meanwhile.
    lanes.merge(rooms(&["b"]), due);
    assert_eq!(lanes.next_due(), None, "only b is left, which runs");
}
