use super::*;
use proptest::prelude::*;

#[test]
fn newer_is_the_shorter_distance_forward() {
    assert!(Seq(1).is_newer_than(Seq(0)));
    assert!(Seq(0).is_newer_than(Seq(65535)));
    assert!(!Seq(65535).is_newer_than(Seq(0)));
    assert!(!Seq(7).is_newer_than(Seq(7)));
    assert!(Seq(32767).is_newer_than(Seq(0)));
    assert!(!Seq(32768).is_newer_than(Seq(0)) && !Seq(0).is_newer_than(Seq(32768)));
    assert_eq!(Seq(65535).forward_distance(Seq(2)), 3);
    assert_eq!(Seq(2).forward_distance(Seq(65535)), 65533);
    assert!(TwccSeq(3).is_newer_than(TwccSeq(65530)));
}

#[test]
fn a_stream_starts_one_wrap_up_so_that_late_packets_have_a_number() {
    let mut extender = SeqExtender::new();
    assert_eq!(extender.extend(Seq(2)), SeqNo(65538));
    assert_eq!(extender.extend(Seq(65535)), SeqNo(65535), "left before the first, arrived after it");
    assert_eq!(extender.highest(), Some(SeqNo(65538)));
    assert_eq!(extender.extend(Seq(3)), SeqNo(65539));
}

#[test]
fn the_furthest_step_back_stays_above_zero() {
    let mut extender = SeqExtender::new();
    extender.extend(Seq(0));
    assert_eq!(extender.peek(Seq(32768)), SeqNo(32768));
}

#[test]
fn peeking_does_not_change_the_state() {
    let mut extender = SeqExtender::new();
    extender.extend(Seq(100));
    assert_eq!(extender.peek(Seq(30000)), SeqNo(95536));
    assert_eq!(extender.highest(), Some(SeqNo(65636)));
}

#[test]
fn the_number_splits_into_rollovers_and_sequence() {
    let no = SeqNo((7 << 16) | 0xfffe);
    assert_eq!((no.seq(), no.roc()), (Seq(0xfffe), 7));
    assert_eq!((no + 2).seq(), Seq(0));
    assert_eq!((no + 2).roc(), 8);
    assert_eq!(SeqNo(u64::MAX).roc(), u32::MAX);
    assert_eq!(no.checked_sub(no.0 + 1), None);
    assert_eq!(no.next().distance_from(no), Some(1));
    assert_eq!(no.distance_from(no.next()), None);
}

proptest! {
    /// A naive model: a sender counts in 64 bits; every number within half a circle of the newest is
    /// recognised.
    #[test]
    fn extends_as_the_sender_counted(
        first in any::<u16>(),
        steps in prop::collection::vec(-32768i64..32768, 0..200),
    ) {
        let mut extender = SeqExtender::new();
        let mut newest = 65536 + u64::from(first);
        prop_assert_eq!(extender.extend(Seq(first)), SeqNo(newest));
        for step in steps {
            let sent = newest.wrapping_add_signed(step);
            prop_assert_eq!(extender.peek(Seq(sent as u16)), SeqNo(sent));
            prop_assert_eq!(extender.extend(Seq(sent as u16)), SeqNo(sent));
            newest = newest.max(sent);
            prop_assert_eq!(extender.highest(), Some(SeqNo(newest)));
        }
    }

    #[test]
    fn newer_and_distance_agree(a in any::<u16>(), b in any::<u16>()) {
        let (a, b) = (Seq(a), Seq(b));
        let ahead = b.forward_distance(a);
        prop_assert_eq!(a.is_newer_than(b), (1..32768).contains(&ahead));
        prop_assert_eq!(b.wrapping_add(ahead), a);
        prop_assert_eq!(a.wrapping_sub(ahead), b);
    }
}
