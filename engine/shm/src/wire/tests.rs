use super::*;

#[test]
fn answers_round_trip_and_every_prefix_is_incomplete() {
    let busy = Refusal::new(RefusalReason::Busy, "another controller is attached".into());
    for answer in [
        Answer::Welcome { workers: 3, engine_epoch: 0x0123_4567_89AB_CDEF, region_bytes: 1 << 33 },
        Answer::Refused(busy),
        Answer::Refused(Refusal::new(RefusalReason::Other(77), String::new())),
    ] {
        let bytes = answer.encode(9);
        assert_eq!(Answer::decode(&bytes), Ok(Some((answer, 9))));
        for len in 0..bytes.len() {
            assert_eq!(Answer::decode(&bytes[..len]), Ok(None), "{len} bytes");
        }
    }
}

#[test]
fn a_hello_is_sixteen_bytes_and_round_trips() {
    let hello = Hello { magic: MAGIC, layout_version: 5, protocol_version: 0xA5A5_0001 };
    assert_eq!(&hello.encode()[..8], b"LEATRING");
    assert_eq!(Hello::decode(&hello.encode()), hello);
}

#[test]
fn an_objection_names_both_versions() {
    let versions = Versions { own: 4, oldest: 3 };
    for accepted in [3, 4, 5] {
        assert_eq!(Hello::new(accepted).objection(versions), None);
    }
    for (refused, text) in [(2, "version 2, this engine 4"), (6, "version 6, this engine 4")] {
        let refusal = Hello::new(refused).objection(versions).expect("too far apart");
        assert_eq!(refusal.reason, RefusalReason::ProtocolVersion);
        assert!(refusal.sentence.contains(text) && refusal.sentence.contains("3 to 5"), "{refusal}");
        assert!(refusal.sentence.len() <= SENTENCE_BYTES_MAX, "{refusal}");
    }
    let other_layout = Hello { layout_version: 77, ..Hello::new(4) };
    let refusal = other_layout.objection(versions).expect("another layout");
    assert_eq!(refusal.reason, RefusalReason::LayoutVersion);
    assert!(refusal.sentence.contains("77"));
}

#[test]
fn a_long_sentence_is_cut_at_a_character() {
    let refusal = Refusal::new(RefusalReason::EngineFault, "é".repeat(SENTENCE_BYTES_MAX));
    let bytes = Answer::Refused(refusal).encode(1);
    let Ok(Some((Answer::Refused(back), _))) = Answer::decode(&bytes) else { panic!("a refusal") };
    assert_eq!(back.sentence, "é".repeat(SENTENCE_BYTES_MAX / 2));
}

#[test]
fn any_bytes_are_an_answer_or_an_error() {
    proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400))| {
        let _ = Answer::decode(&bytes);
        let mut ours = Answer::Welcome { workers: 1, engine_epoch: 1, region_bytes: 1 }.encode(1);
        ours.truncate(8);
        ours.extend(bytes);
        let _ = Answer::decode(&ours);
    });
}
