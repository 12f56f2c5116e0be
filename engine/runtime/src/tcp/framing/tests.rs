//! Streams in any segmentation, and writers that accept any number of bytes.

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

/// The frames of a stream that arrives in pieces of these lengths, and then the rest.
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

/// Accepts the scripted number of bytes at each call (zero: it would block), and everything after the script.
struct ScriptedWriter<'a> {
    accepts: std::slice::Iter<'a, usize>,
    written: Vec<u8>,
}

impl Write for ScriptedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.accepts.next().copied().unwrap_or(usize::MAX);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = room.min(bytes.len());
        self.written.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    /// Like the kernel: across the slices.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A frame whose bytes all depend on its number.
fn numbered(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at * 7) as u8).collect()
}

proptest! {
    #[test]
    fn frames_are_reassembled_for_all_segmentations_of_the_stream(
        lens in vec(prop_oneof![0..40usize, 1_000..=FRAME_BYTES_MAX], 0..20),
        cuts in vec(prop_oneof![1..5usize, 1..3_000usize], 0..200),
    ) {
        let frames: Vec<_> = lens.iter().enumerate().map(|(number, len)| numbered(number, *len)).collect();
        prop_assert_eq!(deframed(framed(&frames), &cuts), Ok(frames));
    }

    /// The reader finds whole frames in order, for all drops and partial writes.
    #[test]
    fn partial_writes_and_drops_keep_frames_whole_and_in_order(
        steps in vec((1..2_000usize, 0..40u64, vec(prop_oneof![Just(0usize), 1..5usize, 1..4_000usize], 0..4)), 1..400),
    ) {
        let mut queue = FrameQueue::default();
        let (mut pushed, mut written, mut now) = (Vec::new(), Vec::new(), 0);
        for (number, (len, millis, accepts)) in steps.iter().enumerate() {
            now += millis;
            let frame = numbered(number, *len);
            queue.push(at(now), &frame);
            pushed.push(frame);
            // Then the reader accepts nothing more.
            let accepts: Vec<usize> = accepts.iter().copied().chain([0]).collect();
            let mut writer = ScriptedWriter { accepts: accepts.iter(), written };
            let _ = queue.write(&mut writer);
            written = writer.written;
            prop_assert!(queue.len() <= QUEUE_BYTES_MAX + LENGTH_BYTES + 2_000);
        }
        let mut writer = ScriptedWriter { accepts: [].iter(), written };
        queue.write(&mut writer).expect("the writer accepts everything");
        prop_assert!(queue.is_empty());
        prop_assert_eq!(queue.len(), 0);

        let read = deframed(writer.written, &[]).expect("whole frames");
        let QueueCounts { sent, dropped_full, dropped_late } = queue.counts();
        prop_assert_eq!(read.len() as u64, sent);
        prop_assert_eq!(sent + dropped_full + dropped_late, pushed.len() as u64, "each is sent or counted");
        let mut rest = pushed.iter();
        for frame in &read {
            prop_assert!(rest.any(|pushed| pushed == frame), "a frame that was not sent, or out of order");
        }
    }
}

#[test]
fn a_length_above_the_bound_is_an_error_at_once() {
    let len = FRAME_BYTES_MAX + 1;
    let announced = (len as u16).to_be_bytes();
    assert_eq!(deframed(announced.to_vec(), &[]), Err(InvalidFrame(len)));
    assert_eq!(deframed(announced.to_vec(), &[1]), Err(InvalidFrame(len)), "also in two pieces");
    assert_eq!(
        deframed(b"GET / HTTP/1.1\r\n\r\n".to_vec(), &[]),
        Err(InvalidFrame(usize::from(u16::from_be_bytes(*b"GE"))))
    );
    let longest = vec![numbered(1, FRAME_BYTES_MAX)];
    assert_eq!(deframed(framed(&longest), &[1, 1, 1]), Ok(longest));
}

#[test]
fn a_full_queue_drops_the_oldest_frames_and_keeps_the_newest() {
    let mut queue = FrameQueue::default();
    let count = QUEUE_BYTES_MAX / 1_000 * 2;
    for number in 0..count {
        queue.push(at(0), &numbered(number, 1_000));
        assert!(queue.len() <= QUEUE_BYTES_MAX);
    }
    let mut writer = ScriptedWriter { accepts: [].iter(), written: Vec::new() };
    queue.write(&mut writer).expect("the writer accepts everything");
    let read = deframed(writer.written, &[]).expect("whole frames");
    assert_eq!(read.last(), Some(&numbered(count - 1, 1_000)));
    assert_eq!(queue.counts().dropped_full, (count - read.len()) as u64);
    assert_eq!(queue.counts().dropped_late, 0);
}

#[test]
fn late_frames_are_dropped_except_a_partly_written_one() {
    let mut queue = FrameQueue::default();
    let frames: Vec<_> = (0..3).map(|number| numbered(number, 100)).collect();
    queue.push(at(0), &frames[0]);
    queue.push(at(0), &frames[1]);
    let mut writer = ScriptedWriter { accepts: [7, 0].iter(), written: Vec::new() };
    queue.write(&mut writer).expect_err("the writer would block");
    let late = QUEUE_AGE_MAX.as_millis() as u64 + 1;
    queue.push(at(late), &frames[2]);
    let mut writer = ScriptedWriter { accepts: [].iter(), written: writer.written };
    queue.write(&mut writer).expect("the writer accepts everything");
    assert_eq!(deframed(writer.written, &[]), Ok(vec![frames[0].clone(), frames[2].clone()]));
    assert_eq!(queue.counts(), QueueCounts { sent: 2, dropped_full: 0, dropped_late: 1 });
}

/// A STUN message or ChannelData with `len` bytes after its header, padded as required on a stream.
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
    fn stun_messages_are_split_by_their_own_length(
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
fn bytes_of_another_protocol_are_an_error_at_once() {
    for first in [0x80, 0xc0, 0xff] {
        assert!(stun_frames(vec![first, 0, 0, 4], &[]).is_err(), "{first:#x}");
    }
    // The longest message is accepted. With its header, a length of 16 bits can exceed the bound.
    let longest = vec![message(1, true, STUN_FRAME_BYTES_MAX - 4)];
    assert!(stun_frames(longest.concat(), &[1, 1, 1, 1]) == Ok(longest));
    assert_eq!(stun_frames(vec![0, 1, 0xff, 0xfc], &[]), Err(InvalidFrame(20 + 0xfffc)));
}

/// A client does not repeat a request over TCP (RFC 8489 §6.2.2), so the response must not be dropped.
#[test]
fn stun_responses_are_not_dropped_for_a_slow_reader() {
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
    let mut writer = ScriptedWriter { accepts: [].iter(), written: Vec::new() };
    queue.write(&mut writer).expect("the writer accepts everything");
    let read = stun_frames(writer.written, &[]).expect("whole frames");
    assert_eq!(read[0], answer);
    assert_eq!(queue.counts().dropped_late, 1);
    assert!(queue.counts().dropped_full > 0);
}
