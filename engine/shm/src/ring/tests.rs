//! The ring against a naive model, against a hostile peer, and (under `--cfg loom`) against every
//! interleaving.

use super::*;
use std::sync::Arc;

/// A ring in plain memory, of any small size.
#[derive(Clone, Debug)]
struct Plain(Arc<PlainWords>);

#[derive(Debug)]
struct PlainWords {
    head: AtomicU64,
    tail: AtomicU64,
    awake: AtomicU64,
    words: Vec<AtomicU64>,
}

impl Plain {
    fn new(words: usize) -> Self {
        let words = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(PlainWords {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            awake: AtomicU64::new(0),
            words,
        }))
    }
}

impl Shared for Plain {
    fn head(&self) -> &AtomicU64 {
        &self.0.head
    }
    fn tail(&self) -> &AtomicU64 {
        &self.0.tail
    }
    fn awake(&self) -> &AtomicU64 {
        &self.0.awake
    }
    fn words(&self) -> &[AtomicU64] {
        &self.0.words
    }
    #[cfg(loom)]
    fn copy_word(&self, at: usize) -> u64 {
        // SAFETY: loom panics if any store is not ordered before or after this load, which is the point.
        unsafe { self.0.words[at].unsync_load() }
    }
}

#[cfg(not(loom))]
mod alone {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const RECORD_MAX: usize = 40;

    fn pair(words: usize) -> (Plain, Writer<Plain>, Reader<Plain>) {
        let ring = Plain::new(words);
        (ring.clone(), Writer::new(ring.clone(), RECORD_MAX), Reader::new(ring, RECORD_MAX))
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (_, mut writer, mut reader) = pair(16);
        let mut into = vec![0xa5; 3];
        assert_eq!(reader.pop(&mut into), Ok(None));
        assert_eq!(into, [0xa5; 3], "an empty ring does not change the buffer");
        for len in 0..=RECORD_MAX {
            let record: Vec<u8> = (0..len as u8).map(|i| i ^ 0xa5).collect();
            writer.push(&record).expect("room");
            assert_eq!(reader.pop(&mut into), Ok(Some(len)));
            assert_eq!(into, record);
        }
    }

    #[test]
    fn a_full_ring_refuses_until_there_is_room() {
        let (_, mut writer, mut reader) = pair(8);
        writer.push(&[1; 24]).expect("half of it");
        writer.push(&[2; 24]).expect("the other half");
        assert_eq!(writer.push(&[]), Err(PushError::Full));
        assert_eq!(writer.has_room(0), Ok(false));
        let mut into = Vec::new();
        assert_eq!(reader.pop(&mut into), Ok(Some(24)));
        assert_eq!(writer.push(&[3; 24]), Ok(()));
        assert_eq!(writer.push(&[]), Err(PushError::Full));
    }

    #[test]
    fn a_record_beyond_the_bound_is_refused_before_it_is_written() {
        let (ring, mut writer, _) = pair(16);
        let refused = writer.push(&[0; RECORD_MAX + 1]);
        assert_eq!(refused, Err(PushError::TooLong { len: RECORD_MAX + 1, max: RECORD_MAX }));
        assert_eq!(ring.head().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_last_word_is_padded_with_zeros() {
        let (ring, mut writer, _) = pair(8);
        for word in ring.words() {
            word.store(u64::from_le_bytes([0xa5; 8]), Ordering::Relaxed);
        }
        writer.push(&[0xff]).expect("room");
        assert_eq!(ring.words()[1].load(Ordering::Relaxed), 0xff);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<u8>),
        Pop,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let record = prop::collection::vec(any::<u8>(), 0..RECORD_MAX + 4);
        prop::collection::vec(prop_oneof![record.prop_map(Step::Push), Just(Step::Pop)], 0..200)
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_model(steps in steps(), words in prop::sample::select(vec![8, 16, 32])) {
            let (_, mut writer, mut reader) = pair(words);
            let mut naive: VecDeque<Vec<u8>> = VecDeque::new();
            let mut into = Vec::new();
            for step in steps {
                match step {
                    Step::Push(record) => {
                        let used: u64 = naive.iter().map(|record| framed(record.len())).sum();
                        let expected = if record.len() > RECORD_MAX {
                            Err(PushError::TooLong { len: record.len(), max: RECORD_MAX })
                        } else if used + framed(record.len()) > (words * WORD) as u64 {
                            Err(PushError::Full)
                        } else {
                            Ok(())
                        };
                        prop_assert_eq!(writer.push(&record), expected);
                        if expected.is_ok() {
                            naive.push_back(record);
                        }
                    }
                    Step::Pop => {
                        let expected = naive.pop_front();
                        prop_assert_eq!(reader.pop(&mut into), Ok(expected.as_ref().map(Vec::len)));
                        if let Some(record) = expected {
                            prop_assert_eq!(&into, &record);
                        }
                    }
                }
                prop_assert_eq!(reader.may_sleep(), Ok(naive.is_empty()));
            }
        }

        /// The peer writes anything anywhere between our steps. The result is always bounded: a record no
        /// longer than the bound, or an error, and after an error always the same error.
        #[test]
        fn a_hostile_peer_can_only_cause_wrong_bytes_or_an_error(
            steps in steps(),
            lies in prop::collection::vec((0..12usize, prop_oneof![any::<u64>(), 0..256u64]), 0..200),
            tagged in any::<bool>(),
        ) {
            let (ring, mut writer, mut reader) = pair(8);
            let mut lies = lies.into_iter();
            let mut into = Vec::new();
            let mut verdict = None;
            for step in steps {
                if let Some((at, value)) = lies.next() {
                    match at {
                        0..=7 if tagged => ring.words()[at].store(TAG << 32 | value & 0xff, Ordering::Relaxed),
                        0..=7 => ring.words()[at].store(value, Ordering::Relaxed),
                        8 | 9 => ring.head().store(value, Ordering::Relaxed),
                        10 => ring.tail().store(value, Ordering::Relaxed),
                        _ => ring.awake().store(value, Ordering::Relaxed),
                    }
                }
                match step {
                    Step::Push(record) => drop(writer.push(&record)),
                    Step::Pop => match reader.pop(&mut into) {
                        Ok(Some(len)) => prop_assert!(len == into.len() && len <= RECORD_MAX),
                        Ok(None) => prop_assert!(verdict.is_none()),
                        Err(corrupt) => prop_assert_eq!(*verdict.get_or_insert(corrupt), corrupt),
                    },
                }
                writer.wants_doorbell();
                if let Err(corrupt) = reader.may_sleep() {
                    prop_assert_eq!(*verdict.get_or_insert(corrupt), corrupt);
                }
            }
        }
    }

    #[test]
    fn each_impossible_state_has_its_error() {
        let lie = |tell: fn(&Plain)| {
            let (ring, mut writer, mut reader) = pair(8);
            writer.push(&[7; 8]).expect("room");
            let mut into = Vec::new();
            assert_eq!(reader.pop(&mut into), Ok(Some(8)));
            writer.push(&[8; 8]).expect("room");
            tell(&ring);
            let first = reader.pop(&mut into);
            assert_eq!(reader.pop(&mut into), first, "the error stays");
            first
        };
        assert_eq!(lie(|ring| ring.head().store(33, Ordering::Relaxed)), Err(Corrupt::CursorMisaligned));
        assert_eq!(lie(|ring| ring.head().store(8, Ordering::Relaxed)), Err(Corrupt::CursorBackwards));
        assert_eq!(lie(|ring| ring.head().store(16 + 72, Ordering::Relaxed)), Err(Corrupt::CursorBeyondRing));
        assert_eq!(
            lie(|ring| ring.head().store(u64::MAX - 7, Ordering::Relaxed)),
            Err(Corrupt::CursorBeyondRing)
        );
        assert_eq!(lie(|ring| ring.words()[2].store(8, Ordering::Relaxed)), Err(Corrupt::NoRecord));
        let too_long = |ring: &Plain| ring.words()[2].store(TAG << 32 | 0xffff_ffff, Ordering::Relaxed);
        assert_eq!(lie(too_long), Err(Corrupt::RecordTooLong));
        let beyond = |ring: &Plain| ring.words()[2].store(TAG << 32 | 9, Ordering::Relaxed);
        assert_eq!(lie(beyond), Err(Corrupt::RecordBeyondCursor));
    }

    #[test]
    fn the_writer_checks_the_readers_cursor() {
        for (tail, corrupt) in [
            (12, Corrupt::CursorMisaligned),
            (8, Corrupt::CursorBackwards),
            (104, Corrupt::CursorBeyondRing),
            (u64::MAX - 7, Corrupt::CursorBeyondRing),
        ] {
            let (ring, mut writer, mut reader) = pair(8);
            let mut into = Vec::new();
            writer.push(&[1; 24]).expect("room");
            writer.push(&[2; 24]).expect("room");
            reader.pop(&mut into).expect("correct so far");
            writer.push(&[3; 24]).expect("room, after a read of the reader's cursor");
            ring.tail().store(tail, Ordering::Relaxed);
            assert_eq!(writer.push(&[4; 24]), Err(PushError::Corrupt(corrupt)));
            ring.tail().store(64, Ordering::Relaxed);
            assert_eq!(writer.push(&[4; 24]), Err(PushError::Corrupt(corrupt)), "the error stays");
        }
    }

    #[test]
    fn the_doorbell_is_skipped_only_while_the_reader_is_awake() {
        let (_, mut writer, mut reader) = pair(8);
        assert!(writer.wants_doorbell(), "a reader that never stays awake is always rung");
        reader.stay_awake();
        assert!(!writer.wants_doorbell());
        writer.push(&[1]).expect("room");
        assert_eq!(reader.may_sleep(), Ok(false), "there is a record to read first");
        assert!(writer.wants_doorbell());
        reader.pop(&mut Vec::new()).expect("a record");
        assert_eq!(reader.may_sleep(), Ok(true));
    }

    #[test]
    fn two_threads_pass_a_hundred_thousand_records_through_a_small_ring() {
        let (_, mut writer, mut reader) = pair(64);
        let mut feed = 1u64;
        let mut next = move || {
            feed = feed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((feed >> 33) as usize % (RECORD_MAX + 1), (feed >> 40) as u8)
        };
        let mut expected = next;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..100_000 {
                    let (len, byte) = next();
                    while writer.push(&[byte; RECORD_MAX][..len]).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
            let mut into = Vec::new();
            for _ in 0..100_000 {
                while reader.pop(&mut into).expect("a correct peer").is_none() {
                    std::thread::yield_now();
                }
                let (len, byte) = expected();
                assert_eq!(into, &[byte; RECORD_MAX][..len]);
            }
        });
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test -p leat-shm --lib --release`
#[cfg(loom)]
mod under_loom {
    use super::*;
    use loom::thread;

    /// A ring of four words fits two records of one word: the third push needs the reader's cursor, and
    /// wraps.
    #[test]
    fn records_arrive_whole_and_in_order_over_the_wrap() {
        loom::model(|| {
            let ring = Plain::new(4);
            let mut writer = Writer::new(ring.clone(), 8);
            let mut reader = Reader::new(ring, 8);
            let pushing = thread::spawn(move || {
                let mut pushed = 0;
                for value in 1..=3u64 {
                    if writer.push(&(value * 0x0101_0101_0101_0101).to_le_bytes()) == Ok(()) {
                        pushed += 1;
                    } else {
                        break;
                    }
                }
                pushed
            });
            let mut into = Vec::new();
            let mut popped = 0;
            for _ in 0..2 {
                if reader.pop(&mut into) != Ok(None) {
                    popped += 1;
                    assert_eq!(into, (popped * 0x0101_0101_0101_0101u64).to_le_bytes());
                }
            }
            let pushed = pushing.join().unwrap();
            assert!(pushed >= 2);
            while reader.pop(&mut into) != Ok(None) {
                popped += 1;
                assert_eq!(into, (popped * 0x0101_0101_0101_0101u64).to_le_bytes());
            }
            assert_eq!(popped, pushed);
        });
    }

    /// Either the reader's last check sees the record, or the writer sees that it must ring.
    #[test]
    fn no_record_is_missed_by_a_sleeping_reader() {
        loom::model(|| {
            let ring = Plain::new(4);
            let mut writer = Writer::new(ring.clone(), 8);
            let mut reader = Reader::new(ring, 8);
            reader.stay_awake();
            let pushing = thread::spawn(move || {
                writer.push(&[1]).unwrap();
                writer.wants_doorbell()
            });
            let asleep = reader.may_sleep().unwrap();
            let rung = pushing.join().unwrap();
            assert!(rung || !asleep, "asleep, not rung, and a record in the ring");
        });
    }
}
