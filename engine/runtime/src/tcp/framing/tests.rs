//! Connections cut anywhere, and writers that take what they like.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

fn at(millis: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(millis)
}

fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
    let with_length = |frame: &Vec<u8>| [&(frame.len() as u16).to_be_bytes()[..], frame].concat();
    frames.iter().flat_map(with_length).collect()
}

/// What comes out when a stream arrives in these pieces, and then the rest.
fn deframed(mut stream: Vec<u8>, cuts: &[usize]) -> Result<Vec<Vec<u8>>, InvalidFrame> {
    let mut frames = Vec::new();
    let mut deframer = Deframer::default();
    let mut rest = &mut stream[..];
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, others) = rest.split_at_mut(cut.min(rest.len()));
        deframer.push(piece, |frame| frames.push(frame.to_vec()))?;
        assert!(deframer.pending() < LENGTH_BYTES + FRAME_BYTES_MAX);
        rest = others;
    }
    assert_eq!(deframer.pending(), 0, "the stream ends with a frame");
    Ok(frames)
}

/// Takes so many bytes at each call, and nothing where zero stands; after the list it takes all.
struct Choosy<'a> {
    appetite: std::slice::Iter<'a, usize>,
    taken: Vec<u8>,
}

impl Write for Choosy<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.appetite.next().copied().unwrap_or(usize::MAX);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = room.min(bytes.len());
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// As the kernel does: across the slices.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A frame that tells which it is, in all of its bytes.
fn numbered(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at * 7) as u8).collect()
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
        lens in vec(prop_oneof![0..40usize, 1_000..=FRAME_BYTES_MAX], 0..20),
        cuts in vec(prop_oneof![1..5usize, 1..3_000usize], 0..200),
    ) {
        let frames: Vec<_> = lens.iter().enumerate().map(|(number, len)| numbered(number, *len)).collect();
        prop_assert_eq!(deframed(framed(&frames), &cuts), Ok(frames));
    }

    /// The reader finds whole frames in their order, whatever was dropped and however little the writer took at a time.
    #[test]
    fn partial_writes_and_drops_never_lose_the_place(
        steps in vec((1..2_000usize, 0..40u64, vec(prop_oneof![Just(0usize), 1..5usize, 1..4_000usize], 0..4)), 1..400),
    ) {
        let mut queue = FrameQueue::default();
        let (mut pushed, mut taken, mut now) = (Vec::new(), Vec::new(), 0);
        for (number, (len, millis, appetite)) in steps.iter().enumerate() {
            now += millis;
            let frame = numbered(number, *len);
            queue.push(at(now), &frame);
            pushed.push(frame);
            // A reader that takes nothing more this time.
            let appetite: Vec<usize> = appetite.iter().copied().chain([0]).collect();
            let mut writer = Choosy { appetite: appetite.iter(), taken };
            let _ = queue.write(&mut writer);
            taken = writer.taken;
            prop_assert!(queue.len() <= QUEUE_BYTES_MAX + LENGTH_BYTES + 2_000);
        }
        let mut writer = Choosy { appetite: [].iter(), taken };
        queue.write(&mut writer).expect("it takes everything");
        prop_assert!(queue.is_empty());
        prop_assert_eq!(queue.len(), 0);

        let read = deframed(writer.taken, &[]).expect("the stream is sound");
        let QueueCounts { sent, dropped_full, dropped_late } = queue.counts();
        prop_assert_eq!(read.len() as u64, sent);
        prop_assert_eq!(sent + dropped_full + dropped_late, pushed.len() as u64, "each is sent or counted");
        let mut rest = pushed.iter();
        for frame in &read {
            prop_assert!(rest.any(|pushed| pushed == frame), "a frame nobody sent, or out of order");
        }
    }
}

#[test]
fn a_length_beyond_the_bound_is_an_error_at_once() {
    let len = FRAME_BYTES_MAX + 1;
    let announced = (len as u16).to_be_bytes();
    assert_eq!(deframed(announced.to_vec(), &[]), Err(InvalidFrame(len)));
    assert_eq!(deframed(announced.to_vec(), &[1]), Err(InvalidFrame(len)), "also when it comes in two");
    assert_eq!(
        deframed(b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[]),
        Err(InvalidFrame(usize::from(u16::from_be_bytes(*b"GE"))))
    );
    let longest = vec![numbered(1, FRAME_BYTES_MAX)];
    assert_eq!(deframed(framed(&longest), &[1, 1, 1]), Ok(longest));
}

#[test]
fn what_waits_is_bounded_in_bytes_and_the_newest_stays() {
    let mut queue = FrameQueue::default();
    let count = QUEUE_BYTES_MAX / 1_000 * 2;
    for number in 0..count {
        queue.push(at(0), &numbered(number, 1_000));
        assert!(queue.len() <= QUEUE_BYTES_MAX);
    }
    let mut writer = Choosy { appetite: [].iter(), taken: Vec::new() };
    queue.write(&mut writer).expect("it takes everything");
    let read = deframed(writer.taken, &[]).expect("sound");
    assert_eq!(read.last(), Some(&numbered(count - 1, 1_000)));
    assert_eq!(queue.counts().dropped_full, (count - read.len()) as u64);
    assert_eq!(queue.counts().dropped_late, 0);
}

#[test]
fn what_waits_is_bounded_in_age_but_what_has_begun_is_finished() {
    let mut queue = FrameQueue::default();
    let frames: Vec<_> = (0..3).map(|number| numbered(number, 100)).collect();
    queue.push(at(0), &frames[0]);
    queue.push(at(0), &frames[1]);
    let mut writer = Choosy { appetite: [7, 0].iter(), taken: Vec::new() };
    queue.write(&mut writer).expect_err("it would block");
    let late = QUEUE_AGE_MAX.as_millis() as u64 + 1;
    queue.push(at(late), &frames[2]);
    let mut writer = Choosy { appetite: [].iter(), taken: writer.taken };
    queue.write(&mut writer).expect("it takes everything");
    assert_eq!(deframed(writer.taken, &[]), Ok(vec![frames[0].clone(), frames[2].clone()]));
    assert_eq!(queue.counts(), QueueCounts { sent: 2, dropped_full: 0, dropped_late: 1 });
}

/// A STUN message or ChannelData of so many bytes behind its header, filled up as a stream wants it.
fn message(number: usize, is_channel: bool, len: usize) -> Vec<u8> {
    let (kind, header, announced) =
        if is_channel { (0x4001u16, 4, len) } else { (0x0017, 20, len.next_multiple_of(4)) };
    let mut bytes = numbered(number, header + len.next_multiple_of(4));
    bytes[..2].copy_from_slice(&kind.to_be_bytes());
    bytes[2..4].copy_from_slice(&(announced as u16).to_be_bytes());
    bytes
}

fn stun_frames(mut stream: Vec<u8>, cuts: &[usize]) -> Result<Vec<Vec<u8>>, InvalidFrame> {
    let (mut frames, mut deframer) = (Vec::new(), Deframer::new(Framing::Stun));
    let mut rest = &mut stream[..];
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, others) = rest.split_at_mut(cut.min(rest.len()));
        deframer.push(piece, |frame| frames.push(frame.to_vec()))?;
        assert!(deframer.pending() < STUN_FRAME_BYTES_MAX);
        rest = others;
    }
    Ok(frames)
}

proptest! {
    #[test]
    fn messages_of_stun_say_their_length_themselves(
        messages in vec((any::<bool>(), prop_oneof![0..40usize, 0..5_000usize]), 0..20),
        cuts in vec(prop_oneof![1..5usize, 1..3_000usize], 0..200),
    ) {
        let messages: Vec<Vec<u8>> = messages
            .iter()
            .enumerate()
            .map(|(number, (is_channel, len))| message(number, *is_channel, *len))
            .collect();
        prop_assert_eq!(stun_frames(messages.concat(), &cuts), Ok(messages));
    }
}

#[test]
fn what_begins_like_neither_stun_nor_channel_data_is_an_error_at_once() {
    for first in [0x80, 0xc0, 0xff] {
        assert!(stun_frames(vec![first, 0, 0, 4], &[]).is_err(), "{first:#x}");
    }
    // Sixteen bits of length and a header are more than sixteen bits can say.
    let longest = vec![message(1, true, STUN_FRAME_BYTES_MAX - 4)];
    assert!(stun_frames(longest.concat(), &[1, 1, 1, 1]) == Ok(longest));
    assert_eq!(stun_frames(vec![0, 1, 0xff, 0xfc], &[]), Err(InvalidFrame(20 + 0xfffc)));
}

/// A client does not ask again over TCP (RFC 8489 §6.2.2), so that an answer to it must not be dropped.
#[test]
fn answers_of_stun_are_not_dropped_however_slow_the_reader_is() {
    let mut queue = FrameQueue::new(Framing::Stun);
    let mut answer = message(7, false, 40);
    answer[..2].copy_from_slice(&0x0103u16.to_be_bytes());
    queue.push(at(0), &message(1, true, 1_000));
    queue.push(at(0), &answer);
    let late = QUEUE_AGE_MAX.as_millis() as u64 + 1;
    for number in 0..QUEUE_BYTES_MAX / 500 {
        queue.push(at(late), &message(number, true, 1_000));
        assert!(queue.len() <= QUEUE_BYTES_MAX);
    }
    let mut writer = Choosy { appetite: [].iter(), taken: Vec::new() };
    queue.write(&mut writer).expect("it takes everything");
    let read = stun_frames(writer.taken, &[]).expect("sound");
    assert_eq!(read[0], answer);
    assert_eq!(queue.counts().dropped_late, 1);
    assert!(queue.counts().dropped_full > 0);
}
