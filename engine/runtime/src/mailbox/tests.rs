use super::*;

fn pair() -> (Mailboxes, Mailboxes) {
    let mut ends = Mailboxes::between(2).into_iter();
    (ends.next().expect("two"), ends.next().expect("two"))
}

const SECOND: WorkerId = WorkerId(1);

#[test]
fn envelopes_arrive_in_order_with_their_sender() {
    let (mut first, mut second) = pair();
    assert!(first.send(SECOND, b"head", b"body"));
    assert!(first.send(SECOND, b"", &[7; ENVELOPE_BYTES_MAX]));
    let envelope = second.receive().expect("sent");
    assert_eq!((envelope.from(), envelope.bytes()), (WorkerId(0), &b"headbody"[..]));
    second.recycle(envelope);
    assert_eq!(second.receive().expect("sent").bytes(), [7; ENVELOPE_BYTES_MAX]);
    assert!(second.receive().is_none() && first.receive().is_none());
}

#[test]
fn a_full_mailbox_refuses_envelopes_until_one_is_recycled() {
    let (mut first, mut second) = pair();
    for _ in 0..MAILBOX_ENVELOPES_MAX {
        assert!(first.send(SECOND, b"x", b""));
    }
    assert!(!first.send(SECOND, b"x", b""));
    let envelope = second.receive().expect("sent");
    assert!(!first.send(SECOND, b"x", b""), "it is being read");
    second.recycle(envelope);
    assert!(first.send(SECOND, b"x", b""));
    assert_eq!(first.stats().dropped, 2);
}

#[test]
fn a_buffer_is_moved_in_order_and_their_bytes_are_bounded() {
    let (mut first, mut second) = pair();
    let buffer = vec![7; MAILBOX_BUFFER_BYTES_MAX - 1].into_boxed_slice();
    let address = buffer.as_ptr();
    assert!(first.send(SECOND, b"x", b"") && first.send_buffer(SECOND, b"head", buffer));
    assert!(first.send_buffer(SECOND, b"y", Box::from(*b"1")), "exactly as many as fit");
    assert!(!first.send_buffer(SECOND, b"z", Box::from(*b"1")));
    assert!(first.send(SECOND, b"other messages are not affected", b""));
    let mut plain = second.receive().expect("sent");
    assert!(plain.take_buffer().is_none());
    second.recycle(plain);
    let mut with_buffer = second.receive().expect("sent");
    assert_eq!(with_buffer.bytes(), b"head");
    let moved = with_buffer.take_buffer().expect("moved");
    assert_eq!(moved.as_ptr(), address, "it is not copied");
    second.recycle(with_buffer);
    assert!(first.send_buffer(SECOND, b"z", Box::from(*b"1")), "there is room again");
    assert_eq!(first.stats().dropped, 1);
}

#[test]
fn sending_to_oneself_or_to_an_unknown_worker_is_refused() {
    let (mut first, _second) = pair();
    for worker in [WorkerId(0), WorkerId(2), WorkerId(u16::MAX)] {
        assert!(!first.send(worker, b"x", b""));
    }
    assert!(!first.send(SECOND, b"x", &[0; ENVELOPE_BYTES_MAX]));
    assert_eq!(first.stats(), MailboxStats { dropped: 4, ..MailboxStats::default() });
    let mut only = Mailboxes::between(1).remove(0);
    assert!(!only.send(WorkerId(0), b"x", b"") && !only.has_work() && only.may_sleep());
}

#[test]
fn a_sleeping_worker_is_woken_once_and_an_awake_one_is_not() {
    let poll = mio::Poll::new().expect("a poll");
    let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).expect("a waker"));
    let (mut first, mut second) = pair();
    second.set_waker(waker);
    first.send(SECOND, b"x", b"");
    first.wake_receivers();
    assert_eq!(first.stats().wakes, 0, "it is awake");
    assert!(!second.may_sleep(), "there is something to read");
    second.set_awake();
    let envelope = second.receive().expect("sent");
    second.recycle(envelope);
    assert!(second.may_sleep());
    first.send(SECOND, b"x", b"");
    first.send(SECOND, b"y", b"");
    first.wake_receivers();
    first.send(SECOND, b"z", b"");
    first.wake_receivers();
    assert_eq!(first.stats().wakes, 1);
}
