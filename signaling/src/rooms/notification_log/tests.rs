use super::*;
use crate::proto::{PeerLeft, Signal, signal::Payload};
use crate::protocol::encode;
use prost::Message;

fn notification(peer: usize) -> Bytes {
    encode(Payload::PeerLeft(PeerLeft { peer_id: peer.to_string() }))
}

fn read(signals: &[Bytes]) -> Vec<(u64, String)> {
    let read = |signal: &Bytes| {
        let Signal { notification, payload, .. } = Signal::decode(signal.as_ref()).expect("a Signal");
        match payload {
            Some(Payload::PeerLeft(left)) => (notification, left.peer_id),
            other => panic!("{other:?}"),
        }
    };
    signals.iter().map(read).collect()
}

/// The notifications after a number of the log with the id 7.
fn after(log: &NotificationLog, number: u64) -> Option<Vec<Bytes>> {
    log.after(&NotificationPosition { log: 7, number })
}

#[test]
fn missed_notifications_come_in_order_with_their_numbers() {
    let mut log = NotificationLog::new(7);
    let sent: Vec<_> = (1..=5).map(|peer| log.push(notification(peer))).collect();
    assert_eq!(read(&sent)[4], (5, "5".into()));
    assert_eq!(after(&log, 2).map(|missed| read(&missed)), Some(read(&sent[2..])));
    assert_eq!((after(&log, 5), log.position().number), (Some(Vec::new()), 5));
    assert_eq!(after(&log, 6), None, "a number that was never given");
    assert_eq!(after(&log, u64::MAX), None);
    assert_eq!(log.after(&NotificationPosition { log: 8, number: 5 }), None, "of a former process");
}

#[test]
fn kept_bytes_are_bounded() {
    let mut log = NotificationLog::new(7);
    let long = Bytes::from(vec![0; limits::REPLAY_BYTES_MAX / 10]);
    for _ in 0..limits::NOTIFICATIONS_KEPT {
        log.push(long.clone());
    }
    let bytes: usize = log.kept.iter().map(|kept| kept.len() + limits::MESSAGE_OVERHEAD).sum();
    assert_eq!(log.kept_bytes, bytes);
    assert!((limits::REPLAY_BYTES_MAX / 2..=limits::REPLAY_BYTES_MAX).contains(&bytes), "{bytes}");
    log.forget();
    assert_eq!(log.kept_bytes, 0);
}

#[test]
fn a_client_that_missed_more_than_is_kept_needs_a_snapshot() {
    let mut log = NotificationLog::new(7);
    (0..limits::NOTIFICATIONS_KEPT + 1).for_each(|peer| _ = log.push(notification(peer)));
    assert_eq!(after(&log, 0), None);
    assert_eq!(after(&log, 1).map(|missed| missed.len()), Some(limits::NOTIFICATIONS_KEPT));
    let last = log.position().number;
    log.forget();
    assert_eq!(after(&log, last - 1), None);
    assert_eq!(after(&log, last), Some(Vec::new()));
}

#[test]
fn notifications_that_do_not_fit_into_the_queue_need_a_snapshot() {
    let mut log = NotificationLog::new(7);
    let long = encode(Payload::PeerLeft(PeerLeft { peer_id: "x".repeat(limits::REPLAY_BYTES_MAX / 3) }));
    (0..4).for_each(|_| _ = log.push(long.clone()));
    assert_eq!(after(&log, 0), None);
    assert_eq!(after(&log, 2).map(|missed| missed.len()), Some(2));
}
