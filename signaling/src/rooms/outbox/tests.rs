use super::*;
use crate::proto::{Ack, Signal};
use prost::Message;

#[test]
fn one_signal_is_unchanged_and_several_become_a_batch() {
    let outstanding = Outstanding::default();
    let signal =
        |room: &str| encode(Payload::JoinRoom(proto::JoinRoom { room: room.into(), ..Default::default() }));
    let counted = |room: &str| outstanding.count(signal(room));
    let mut batch = Batch::default();
    assert!(batch.take().is_none());
    batch.push(counted("a"));
    assert_eq!(batch.take().expect("one").as_ref(), signal("a"));
    batch.push(counted("a"));
    batch.push(counted("b"));
    let taken = Signal::decode(batch.take().expect("two").as_ref()).expect("a Signal");
    let signals: Vec<Vec<u8>> = ["a", "b"].map(|room| signal(room).into()).into();
    assert_eq!(taken.payload, Some(Payload::Batch(proto::Batch { signals })));
    assert!(!batch.is_full() && batch.take().is_none());
    batch.push(outstanding.count(vec![0; limits::BATCH_BYTES_MAX].into()));
    assert!(batch.is_full());
}

#[test]
fn message_is_counted_until_its_last_clone_is_dropped() {
    let (outbox, mut queue) = Outbox::new();
    outbox.send(vec![0; 1_000].into());
    let cost = 1_000 + limits::MESSAGE_OVERHEAD;
    assert_eq!(outbox.outstanding().bytes(), cost);
    let bytes = queue.try_recv().expect("queued").into_bytes();
    let copy = bytes.slice(1..2);
    drop(bytes);
    assert_eq!(outbox.outstanding().bytes(), cost);
    drop(copy);
    assert_eq!(outbox.outstanding().bytes(), 0);
}

#[tokio::test]
async fn client_that_is_too_far_behind_loses_its_connection() {
    // By number, and by bytes.
    for signal in [encode(Payload::Ack(Ack {})), vec![0; 64 * 1024].into()] {
        let (outbox, mut queue) = Outbox::new();
        let mut sent = 0;
        while !queue.has_overflowed() {
            outbox.send(signal.clone());
            sent += 1;
            assert!(sent <= limits::OUTBOX_LEN + 1, "the queue is bounded");
            assert!(outbox.outstanding().bytes() <= limits::OUTSTANDING_BYTES_MAX + signal.len());
        }
        while queue.recv().await.is_some() {}
        assert_eq!(outbox.outstanding().bytes(), 0);
    }
    let (outbox, mut queue) = Outbox::new();
    outbox.send(encode(Payload::Ack(Ack {})));
    outbox.end();
    assert!(queue.recv().await.is_some() && queue.recv().await.is_none());
    assert!(!queue.has_overflowed(), "what was queued goes out, and then the connection closes");
}
