use super::*;

fn sender(flow: &Arc<DataFlow>, now: Instant) -> End {
    End::Sender { flow: flow.clone(), sent: 0, begun: None, received: 0, progressed: now }
}

fn receiver(flow: &Arc<DataFlow>, receiver: usize) -> End {
    End::Receiver { flow: flow.clone(), receiver, stream: 4, expected: 0 }
}

fn all(end: &mut End, now: Instant) -> Vec<u64> {
    std::iter::from_fn(|| end.next(now)).map(|message| message.number).collect()
}

#[test]
fn a_sender_waits_for_all_receivers_and_then_for_the_slowest() {
    let flow = Arc::new(DataFlow::new(7, 100, 3, None, 2));
    let now = Instant::now();
    let (mut sender, mut tally) = (sender(&flow, now), Tally::default());
    let mut receivers = [receiver(&flow, 0), receiver(&flow, 1)];
    receivers[0].on(Happened::Connected, &mut tally);
    assert_eq!(all(&mut sender, now), [0; 0], "one is not connected");
    receivers[1].on(Happened::Connected, &mut tally);
    assert_eq!(all(&mut sender, now), [0, 1, 2]);
    let message = |number| Happened::Message(4, Message { producer: 7, number, len: 100 }.write());
    receivers[0].on(message(0), &mut tally);
    assert_eq!(all(&mut sender, now), [0; 0]);
    receivers[1].on(message(0), &mut tally);
    assert_eq!(all(&mut sender, now), [3]);
    assert_eq!((tally.data_delivered, tally.data_lost, tally.data_wrong), (2, 0, 0));
    // If all of them are lost, it continues later.
    assert_eq!(all(&mut sender, now + 2 * STALL_MAX), [4, 5, 6]);
}

#[test]
fn a_rate_limits_a_sender() {
    let flow = Arc::new(DataFlow::new(7, 100, 1_000, Some(1_000.0), 1));
    let now = Instant::now();
    receiver(&flow, 0).on(Happened::Connected, &mut Tally::default());
    let mut sender = sender(&flow, now);
    assert_eq!(all(&mut sender, now).len(), 1);
    assert_eq!(all(&mut sender, now + Duration::from_secs(1)).len(), 10);
}

#[test]
fn missing_repeated_and_changed_messages_are_counted() {
    let flow = Arc::new(DataFlow::new(7, 100, 3, None, 1));
    let (mut receiver, mut tally) = (receiver(&flow, 0), Tally::default());
    let message = |number| Message { producer: 7, number, len: 100 }.write();
    let mut changed = message(4);
    changed[50] ^= 1;
    let other = Message { producer: 8, number: 4, len: 100 }.write();
    let arriving = [(4, message(0)), (4, message(3)), (4, message(3)), (4, changed), (4, other)];
    for (stream, bytes) in arriving.into_iter().chain([(5, message(4))]) {
        receiver.on(Happened::Message(stream, bytes), &mut tally);
    }
    assert_eq!((tally.data_delivered, tally.data_lost, tally.data_wrong), (2, 2, 4));
}
