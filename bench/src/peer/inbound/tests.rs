use super::*;

fn inbound() -> Inbound {
    Inbound::new(Incoming {
        track: 0x10,
        ssrc: 7,
        rtx_ssrc: None,
        transport_cc_id: None,
        nack: true,
        is_video: true,
    })
}

fn take(inbound: &mut Inbound, seq: u16) -> Order {
    let seq = inbound.extend(seq, false);
    inbound.take(seq)
}

#[test]
fn order_is_detected_across_the_wrap() {
    let mut inbound = inbound();
    let orders = [65_534, 0, 65_535, 0, 1, 65_534].map(|seq| take(&mut inbound, seq));
    use Order::{Again, Late, Next};
    assert_eq!(orders, [Next, Next, Late, Again, Next, Again]);
    assert_eq!(inbound.received, 4);
}

#[test]
fn packets_older_than_the_window_are_not_new() {
    let mut inbound = inbound();
    take(&mut inbound, 10);
    take(&mut inbound, 2000);
    assert_eq!(take(&mut inbound, 11), Order::Again);
    assert_eq!(take(&mut inbound, 1500), Order::Late);
}

#[test]
fn gaps_are_requested_until_they_are_filled_or_given_up() {
    let mut inbound = inbound();
    for seq in [10, 13] {
        take(&mut inbound, seq);
    }
    assert_eq!(inbound.wanted(false), [11, 12]);
    assert_eq!(inbound.wanted(false), [0; 0]);
    take(&mut inbound, 11);
    for _ in 1..ASKED_MAX {
        assert_eq!(inbound.wanted(true), [12]);
    }
    assert_eq!(inbound.wanted(true), [0; 0], "given up");
}

#[test]
fn loss_is_counted_by_the_publishers_numbers() {
    let (mut inbound, mut tally) = (inbound(), Tally::default());
    let stamp = |number| Stamp { track: 0x10, number, sent_at: 0 };
    // The server's numbers have no gap where the sender's have one.
    for (seq, number) in [(1, 100), (2, 101), (3, 105)] {
        take(&mut inbound, seq);
        assert!(inbound.read(&stamp(number), &mut tally));
    }
    inbound.close_span(&mut tally);
    assert_eq!((tally.expected, tally.lost), (5, 3));
    assert!(!inbound.read(&Stamp { track: 0x20, ..stamp(1) }, &mut tally), "another's");
}

#[test]
fn reports_contain_the_loss_since_the_last() {
    let mut inbound = inbound();
    assert_eq!(inbound.report(0), None);
    for seq in [0, 1, 2, 4] {
        take(&mut inbound, seq);
    }
    inbound.on_sender_report(9, 1_000_000);
    let block = inbound.report(1_500_000).unwrap();
    assert_eq!((block.fraction_lost, block.lost, block.last_sr, block.delay), (51, 1, 9, 32_768));
    take(&mut inbound, 5);
    assert_eq!(inbound.report(1_500_000).unwrap().fraction_lost, 0);
}
