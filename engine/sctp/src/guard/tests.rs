use super::*;
use crate::limits::PACKET_LEN_MIN;
use machine::Rng;
use std::collections::BTreeSet;

const PORTS: Ports = Ports { local: 5000, remote: 5000 };

fn guard() -> Guard {
    let init = |tag, tsn| Init {
        tag,
        window: 1 << 20,
        outbound: STREAMS_MAX,
        inbound: STREAMS_MAX,
        tsn,
        has_forward_tsn: true,
    };
    Guard::new(PORTS, &init(1, 100), &init(2, 1000))
}

fn with_chunk<T>(kind: u8, value: &[&[u8]], act: impl FnOnce(&Chunk<'_>) -> T) -> T {
    let packet = Writer::new(PORTS, 1).chunk(kind, 0, value).finish();
    act(&Packet::new(&packet).expect("correct").chunks().next().expect("one"))
}

fn data(guard: &mut Guard, tsn: u32, stream: u16) -> Verdict {
    let value = [&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &[0, 0], &BINARY.to_be_bytes(), b"x"];
    guard.begin_packet(1);
    with_chunk(kind::DATA, &value, |chunk| guard.admit(chunk, false))
}

#[test]
fn received_agrees_with_a_naive_model() {
    let mut rng = Rng::from_number(5);
    for start in [0, 77, u32::MAX - 50] {
        let mut received = Received { cumulative: start, ahead: VecDeque::new() };
        // Distances from the start.
        let (mut known, mut cumulative) = (BTreeSet::new(), 0_u32);
        for _ in 0..3000 {
            let distance = cumulative.saturating_sub(5) + rng.below(40);
            let tsn = start.wrapping_add(distance);
            if rng.chance(0.02) {
                received.forward(tsn);
                cumulative = cumulative.max(distance);
            } else {
                let is_new = distance > cumulative && known.insert(distance);
                assert_eq!(received.is_new(tsn), Some(is_new));
                if is_new {
                    received.insert(tsn);
                }
            }
            while known.contains(&(cumulative + 1)) {
                cumulative += 1;
            }
            assert_eq!(received.cumulative, start.wrapping_add(cumulative));
            assert_eq!(received.has_gap(), known.range(cumulative + 1..).next().is_some());
        }
    }
}

#[test]
fn data_far_ahead_is_withheld() {
    let mut guard = guard();
    assert_eq!(data(&mut guard, 999 + TSN_WINDOW, 0), Verdict::Pass);
    assert_eq!(data(&mut guard, 1000 + TSN_WINDOW, 0), Verdict::Withhold(Discard::DataBeyondLimits));
    assert_eq!(data(&mut guard, 1000, 0), Verdict::Pass);
    assert_eq!(data(&mut guard, 1000 + TSN_WINDOW, 0), Verdict::Pass);
}

#[test]
fn a_full_library_takes_only_what_closes_the_oldest_gap() {
    let mut guard = guard();
    for at in 0..FRAGMENTS_MAX as u32 {
        assert_eq!(data(&mut guard, 1001 + at, 0), Verdict::Pass);
    }
    let next = 1001 + FRAGMENTS_MAX as u32;
    assert_eq!(data(&mut guard, next, 0), Verdict::Withhold(Discard::DataBeyondLimits));
    assert_eq!(data(&mut guard, 1000, 0), Verdict::Pass, "the gap");
    assert_eq!(data(&mut guard, next, 0), Verdict::Fail(Failed::TooLong), "no gap, and no message is read");
    guard.released(FRAGMENTS_MAX + 1);
    assert_eq!(data(&mut guard, next, 0), Verdict::Pass);
}

#[test]
fn data_of_a_closed_channel_is_replaced_by_a_byte_on_the_sink() {
    let mut guard = guard();
    guard.closing(4);
    let Verdict::Replace(Discard::DataOfClosingChannel, replaced) = data(&mut guard, 1000, 4) else {
        panic!("not replaced");
    };
    assert_eq!(replaced, [0, 7, 0, 17, 0, 0, 3, 232, 255, 255, 0, 0, 0, 0, 0, 53, 0, 0, 0, 0]);
    guard.reset_done(4);
    assert_eq!(data(&mut guard, 1001, 4), Verdict::Pass);
}

#[test]
fn a_sack_of_a_library_that_stores_nothing_resets_the_count() {
    let mut guard = guard();
    for at in 0..10 {
        data(&mut guard, 1000 + at, 0);
    }
    let sack = |window: u32| {
        let value = [&1009_u32.to_be_bytes()[..], &window.to_be_bytes(), &[0; 4]].concat();
        Writer::new(PORTS, 2).chunk(kind::SACK, 0, &[&value]).finish()
    };
    guard.on_sent(&sack(RECEIVE_WINDOW as u32 - 1));
    assert_eq!(guard.fragments, 10);
    assert_eq!(guard.window_update(), None, "most of the window is open");
    guard.on_sent(&sack(RECEIVE_WINDOW as u32));
    assert_eq!(guard.fragments, 0);
    guard.on_sent(&sack(1000));
    let update = guard.window_update().expect("the window was closed");
    let packet = Packet::new(&update).expect("correct");
    let chunk = packet.chunks().next().expect("one");
    assert_eq!((packet.tag, chunk.kind, chunk.value), (1, kind::FORWARD_TSN, &1009_u32.to_be_bytes()[..]));
    assert_eq!(guard.window_update(), None, "once");
}

#[test]
fn bytes_that_are_sent_again_do_not_count() {
    let mut guard = guard();
    let packet = |tsns: [u32; 2]| {
        let value = tsns.map(|tsn| [&tsn.to_be_bytes()[..], &[0; 8], b"abc"].concat());
        let writer = Writer::new(PORTS, 2).chunk(kind::DATA, 0, &[&value[0]]);
        writer.chunk(kind::DATA, 0, &[&value[1]]).finish()
    };
    assert_eq!(guard.on_sent(&packet([100, 101])), 6);
    assert_eq!(guard.on_sent(&packet([101, 102])), 3);
    // And so acknowledgements up to there are valid.
    let sack = |cumulative: u32| [&cumulative.to_be_bytes()[..], &[0; 8]].concat();
    let mut admit = |value: &[u8]| with_chunk(kind::SACK, &[value], |chunk| guard.admit(chunk, false));
    assert_eq!(admit(&sack(102)), Verdict::Pass);
    assert_eq!(admit(&sack(103)), Verdict::Withhold(Discard::InvalidAck));
}

#[test]
fn long_packets_are_cut_between_chunks_and_long_sacks_shortened() {
    let mut writer = Writer::new(PORTS, 9);
    for at in 0..40_u8 {
        writer = writer.chunk(kind::DATA, 0, &[&[at; 30]]);
    }
    let long = writer.finish();
    let packets: Vec<_> = fit(long.clone(), PACKET_LEN_MIN).collect();
    assert!(packets.len() == 4 && packets.iter().all(|packet| packet.len() <= PACKET_LEN_MIN));
    let chunks = |packet: &[u8]| -> Vec<Vec<u8>> {
        let packet = Packet::new(packet).expect("correct");
        assert_eq!(packet.tag, 9);
        packet.chunks().map(|chunk| chunk.value.to_vec()).collect()
    };
    assert_eq!(packets.iter().flat_map(|packet| chunks(packet)).collect::<Vec<_>>(), chunks(&long));

    let gaps: Vec<u8> =
        (1..=300_u16).flat_map(|at| [2 * at, 2 * at].map(u16::to_be_bytes).concat()).collect();
    let value = [&[0, 0, 0, 5, 0, 0, 0, 6][..], &300_u16.to_be_bytes(), &[0, 0], &gaps].concat();
    let sack = Writer::new(PORTS, 9).chunk(kind::SACK, 0, &[&value]).finish();
    let [short] = &fit(sack, PACKET_LEN_MIN).collect::<Vec<_>>()[..] else { panic!("one packet") };
    let [short] = &chunks(short)[..] else { panic!("one chunk") };
    let count = usize::from(be16(short, 8).expect("the number of gaps"));
    assert_eq!(short.len(), 12 + 4 * count);
    assert!(short.len() + 16 <= PACKET_LEN_MIN && count > 100);
    assert_eq!((&short[..8], &short[12..]), (&value[..8], &gaps[..4 * count]));
}
