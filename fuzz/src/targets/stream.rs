//! Frames on a byte stream (RFC 4571, RFC 8656 §12.5): arbitrary data on a TCP connection, and our output
//! with a slow reader.

use std::io::{self, Write};
use std::time::Duration;

use machine::Instant;
use runtime::framing::{Deframer, FrameQueue, Framing, InvalidFrame};
use runtime::limits::{FRAME_BYTES_MAX, QUEUE_BYTES_MAX, STUN_FRAME_BYTES_MAX};

use crate::script::Script;

/// The bytes as a script of cuts and a stream to be cut there, compared with a reader that waits for all of
/// it; then as a script of frames and of a writer's capacity, which must result in complete frames.
pub fn frames(data: &[u8]) {
    let mut script = Script::new(data);
    let cuts: Vec<usize> = script.blob().iter().map(|cut| usize::from(*cut) + 1).collect();
    let stream = script.remainder();
    for framing in [Framing::Rfc4571, Framing::Stun] {
        let (whole, end) = in_one_piece(framing, stream);
        assert_eq!(in_pieces(framing, stream, &cuts), (whole, end), "{framing:?}");
    }
    queue(&mut Script::new(data));
}

/// The end of a stream: this number of bytes of an incomplete frame, or a frame that is too long.
type End = Result<usize, InvalidFrame>;

/// A naive model with the whole stream.
fn in_one_piece(framing: Framing, mut stream: &[u8]) -> (Vec<Vec<u8>>, End) {
    let mut frames = Vec::new();
    loop {
        let (head, len, len_max) = match (framing, stream) {
            (Framing::Rfc4571, [high, low, ..]) => {
                (2, usize::from(*high) << 8 | usize::from(*low), FRAME_BYTES_MAX)
            }
            (Framing::Stun, [first, second, _, _, ..]) if *first >= 0x80 => {
                return (frames, Err(InvalidFrame(usize::from(*first) << 8 | usize::from(*second))));
            }
            (Framing::Stun, [first, _, high, low, ..]) => {
                let announced = usize::from(*high) << 8 | usize::from(*low);
                let is_stun = *first < 0x40;
                (
                    0,
                    if is_stun { 20 + announced } else { 4 + announced.div_ceil(4) * 4 },
                    STUN_FRAME_BYTES_MAX,
                )
            }
            _ => return (frames, Ok(stream.len())),
        };
        if len > len_max {
            return (frames, Err(InvalidFrame(len)));
        }
        let Some(frame) = stream.get(head..head + len) else { return (frames, Ok(stream.len())) };
        frames.push(frame.to_vec());
        stream = &stream[head + len..];
    }
}

fn in_pieces(framing: Framing, stream: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, End) {
    let (mut deframer, mut frames) = (Deframer::new(framing), Vec::new());
    let mut stream = stream.to_vec();
    let mut rest = &mut stream[..];
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, others) = rest.split_at_mut(cut.min(rest.len()));
        if let Err(error) = deframer.push(piece, |frame| frames.push(frame.to_vec())) {
            return (frames, Err(error));
        }
        rest = others;
    }
    (frames, Ok(deframer.pending()))
}

/// Accepts this number of bytes, and then no more.
struct Reader {
    room: usize,
    taken: Vec<u8>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.room.min(bytes.len());
        self.room -= taken;
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Each step pushes a frame, advances time, and lets the reader accept some.
fn queue(script: &mut Script<'_>) {
    let (mut queue, mut reader) = (FrameQueue::default(), Reader { room: 0, taken: Vec::new() });
    let mut now = Instant::EPOCH;
    let mut pushed = 0u16;
    while !script.is_over() && pushed < 500 {
        let len = 2 + usize::from(script.u16()) % (FRAME_BYTES_MAX - 1);
        now += Duration::from_millis(u64::from(script.u8()));
        let mut frame = vec![0xa5; len];
        frame[..2].copy_from_slice(&pushed.to_be_bytes());
        pushed += 1;
        queue.push(now, &frame);
        assert!(queue.len() <= QUEUE_BYTES_MAX + 2 + FRAME_BYTES_MAX);
        reader.room = usize::from(script.u16());
        let outcome = queue.write(&mut reader);
        assert_eq!(outcome.is_ok(), queue.is_empty());
    }
    reader.room = usize::MAX;
    queue.write(&mut reader).expect("it accepts everything");
    let (read, end) = in_one_piece(Framing::Rfc4571, &reader.taken);
    assert_eq!(end, Ok(0), "the stream ends with a frame");
    let counts = queue.counts();
    assert_eq!(counts.sent, read.len() as u64);
    assert_eq!(counts.sent + counts.dropped_full + counts.dropped_late, u64::from(pushed));
    let numbers: Vec<_> =
        read.iter().map(|frame| frame.first_chunk().map(|n| u16::from_be_bytes(*n))).collect();
    assert!(numbers.iter().is_sorted() && numbers.iter().all(|number| *number < Some(pushed)));
}
