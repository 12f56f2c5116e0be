//! How a consumer's numbers follow from the publisher's, and back again.
//!
//! A consumer sees one RTP stream without gaps of our making: sequence numbers, timestamps and picture numbers continue across
//! pauses, across layers that it is not sent, and across a change of source, be it another SSRC or another encoding.
//!
//! Numbers of one source keep their distances, so a packet that comes late has its number waiting for it. A packet that is
//! not forwarded takes none: there the [`Numbering`] ends and the next begins. Some numberings are remembered, because a NACK
//! asks for packets of the past by the numbers they had then.

use crate::limits;
use crate::picture::{LastPicture, PictureNumbers, PictureOffset};
use crate::stream::ticks;
use machine::{Instant, Rng};
use rtp::dependency_descriptor::FrameNumber;
use rtp::{Seq, SeqNo};
use std::collections::VecDeque;

/// One life of one stream of the producer: its index, and how often its SSRC has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Index among the producer's streams.
    pub stream: u8,
    /// [`Stream::epoch`](crate::stream::Stream::epoch).
    pub epoch: u32,
}

/// How the numbers of a run of packets are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// Whose packets.
    pub source: Source,
    /// The publisher's first number of the run.
    first: SeqNo,
    /// Ours for it.
    ours: SeqNo,
    /// Ours minus the publisher's, modulo 2³².
    timestamp_offset: u32,
    /// Ours minus the publisher's.
    pub picture: PictureOffset,
    /// Ours minus the publisher's, of the frame number in the dependency descriptor.
    frame_offset: u16,
    /// The highest spatial layer that was forwarded in the run: with its end ends the picture.
    pub top: u8,
}

/// What a source begins with.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Its first packet that is forwarded.
    pub seq: SeqNo,
    /// That packet's timestamp.
    pub timestamp: u32,
    /// Our timestamp for it, if the clocks of this source and the last one are known; else the time that passed counts.
    pub aligned: Option<u32>,
    /// Its picture's numbers.
    pub picture: Option<PictureNumbers>,
    /// Its frame's number.
    pub frame: Option<FrameNumber>,
    /// The highest spatial layer that will be forwarded.
    pub top: u8,
}

/// What was sent last, in our numbers.
#[derive(Clone, Copy, Debug)]
struct Last {
    seq: SeqNo,
    timestamp: u32,
    sent_at: Option<Instant>,
    picture: LastPicture,
    frame: Option<FrameNumber>,
}

/// The numbering of one consumer.
#[derive(Debug)]
pub struct Rewriter {
    clock_rate_hz: u32,
    /// The present run; `None` before the first packet.
    present: Option<Numbering>,
    /// The run is interrupted: the next packet has to be one that [`start`](Self::start) may begin with.
    is_paused: bool,
    /// Where the present source began.
    begun: SeqNo,
    /// The publisher's newest number of the present source that was seen, whether it was forwarded or not.
    head: SeqNo,
    /// Ended runs with their lengths, the newest last.
    past: VecDeque<(Numbering, u64)>,
    last: Last,
    /// The picture that was left out last: its other packets are of the same one.
    picture_left_out: Option<u16>,
    /// The frame of the newest packet, if it was left out: what is missing before the next of that frame is left out too.
    frame_left_out: Option<LeftOut>,
}

/// What a packet that is not forwarded says of its frame, in the publisher's numbers.
#[derive(Clone, Copy, Debug)]
pub struct LeftOut {
    /// Its timestamp.
    pub timestamp: u32,
    /// Its spatial layer.
    pub spatial: u8,
    /// Its picture's numbers.
    pub picture: Option<PictureNumbers>,
    /// Picture ids close up over it: VP8's do. VP9 counts pictures that are left out: its group of pictures tells which they are.
    pub closes_up: bool,
    /// Its frame's number.
    pub frame: Option<FrameNumber>,
}

impl LeftOut {
    fn is_of_frame_of(&self, other: &Self) -> bool {
        (self.timestamp, self.spatial) == (other.timestamp, other.spatial)
    }
}

impl Numbering {
    /// Our number for the publisher's, of which it is sure that it belongs to the run.
    fn seq(&self, seq: SeqNo) -> SeqNo {
        SeqNo(self.ours.0 + (seq.0 - self.first.0))
    }

    /// Our timestamp for the publisher's.
    pub fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp_offset)
    }

    /// Our frame number for the publisher's.
    pub fn frame(&self, frame: FrameNumber) -> FrameNumber {
        FrameNumber(frame.0.wrapping_add(self.frame_offset))
    }

    /// Whether frame numbers change at all.
    pub fn changes_frames(&self) -> bool {
        self.frame_offset != 0
    }
}

impl Rewriter {
    /// Numbers start at random (RFC 3550 §5.1), in the lower half so that the first wrap is far (RFC 3711 §3.3.1 begins
    /// with a rollover counter of zero).
    pub fn new(rng: &mut Rng, clock_rate_hz: u32) -> Self {
        Self {
            clock_rate_hz,
            present: None,
            is_paused: false,
            begun: SeqNo(0),
            head: SeqNo(0),
            past: VecDeque::new(),
            last: Last {
                seq: SeqNo(u64::from(rng.below(1 << 15))),
                timestamp: rng.next_u32(),
                sent_at: None,
                picture: LastPicture::default(),
                frame: None,
            },
            picture_left_out: None,
            frame_left_out: None,
        }
    }

    /// Whose packets are being forwarded; `None` while nothing is.
    pub fn source(&self) -> Option<Source> {
        self.present.filter(|_| !self.is_paused).map(|present| present.source)
    }

    /// The numbering of what is being forwarded, or was before the pause.
    pub fn latest(&self) -> Option<&Numbering> {
        self.present.as_ref()
    }

    /// When a packet was sent last.
    pub fn last_sent_at(&self) -> Option<Instant> {
        self.last.sent_at
    }

    /// Stops: the next packet has to be one that [`start`](Self::start) may begin with.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Whether a packet is from before the present source began, or began anew.
    pub fn is_of_past(&self, seq: SeqNo) -> bool {
        seq < self.begun
    }

    /// Whether a packet of the present source is older than the newest seen.
    pub fn is_late(&self, seq: SeqNo) -> bool {
        seq <= self.head
    }

    /// Begins to follow a source: its first packet will be numbered right behind all that was sent or may still come.
    pub fn start(&mut self, now: Instant, source: Source, first: Beginning) {
        let same = self.present.filter(|present| present.source == source);
        let ours = self.next_free();
        // What waits is at most as new as the newest that was seen, forwarded or not.
        let latest = if ours > self.last.seq.next() { self.newest() } else { self.last };
        let timestamp_offset = match (same, first.aligned) {
            // After a pause: the same clock.
            (Some(same), _) => same.timestamp_offset,
            (None, Some(aligned)) => {
                // Of two frames taken at the same moment, the second has to be told from the first.
                let ahead = aligned.wrapping_sub(latest.timestamp);
                let ours =
                    if (1..1 << 31).contains(&ahead) { aligned } else { latest.timestamp.wrapping_add(1) };
                ours.wrapping_sub(first.timestamp)
            }
            (None, None) => {
                // Another clock: continue ours by the time that passed, by one tick at least.
                let elapsed =
                    self.last.sent_at.map_or(0, |last| ticks(now.saturating_since(last), self.clock_rate_hz));
                let ours = self.last.timestamp.wrapping_add(elapsed);
                let ahead = ours.wrapping_sub(latest.timestamp);
                let ours =
                    if (1..1 << 31).contains(&ahead) { ours } else { latest.timestamp.wrapping_add(1) };
                ours.wrapping_sub(first.timestamp)
            }
        };
        // What comes late needs its numbers. At a keyframe, a receiver does not mind a jump.
        let picture = first.picture.map_or_else(PictureOffset::default, |numbers| {
            PictureOffset::continuing(self.last.picture, latest.picture, &numbers)
        });
        let frame_offset = match (self.last.frame, latest.frame, first.frame) {
            (Some(last), Some(latest), Some(first)) => {
                let room = latest.0.wrapping_sub(last.0).min(limits::LATE_FRAMES_MAX);
                last.0.wrapping_add(1 + room).wrapping_sub(first.0)
            }
            _ => 0,
        };
        self.end_run();
        self.present = Some(Numbering {
            source,
            first: first.seq,
            ours,
            timestamp_offset,
            picture,
            frame_offset,
            top: first.top,
        });
        self.is_paused = false;
        (self.begun, self.head) = (first.seq, first.seq);
        self.picture_left_out = None;
        self.frame_left_out = None;
    }

    /// The newest that was seen: what was left out has the numbers it would have been sent with.
    fn newest(&self) -> Last {
        let Some((left_out, present)) = self.frame_left_out.zip(self.present) else { return self.last };
        Last {
            timestamp: present.timestamp(left_out.timestamp),
            picture: left_out.picture.map_or(self.last.picture, |numbers| numbers.with(present.picture)),
            frame: left_out.frame.map(|frame| present.frame(frame)).or(self.last.frame),
            ..self.last
        }
    }

    /// The first number that neither was given out nor waits for a late packet.
    fn next_free(&self) -> SeqNo {
        let behind_sent = self.last.seq.next();
        match &self.present {
            Some(present) if self.head >= present.first => behind_sent.max(present.seq(self.head).next()),
            Some(present) => behind_sent.max(present.ours),
            None => behind_sent,
        }
    }

    /// The present run ends with the newest packet seen.
    fn end_run(&mut self) {
        if let Some(present) = self.present.filter(|present| self.head >= present.first) {
            self.remember(present, self.head.0 + 1 - present.first.0);
        }
    }

    fn remember(&mut self, numbering: Numbering, len: u64) {
        if self.past.len() == limits::NUMBERINGS_REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back((numbering, len));
    }

    /// Our number for a packet that is forwarded, with the numbering it belongs to: the present one, or for a late packet one of
    /// the past. `None` if it lies where nothing was forwarded, or too far back.
    pub fn place(&mut self, source: Source, seq: SeqNo) -> Option<(SeqNo, Numbering)> {
        if let Some(present) = self.present
            && present.source == source
            && seq >= present.first
        {
            if !self.is_paused && seq > self.head {
                self.head = seq;
                self.frame_left_out = None;
            }
            return (!self.is_paused || seq <= self.head).then(|| (present.seq(seq), present));
        }
        let of_past = self.past.iter().rev().find(|(numbering, len)| {
            numbering.source == source && seq >= numbering.first && seq.0 - numbering.first.0 < *len
        });
        of_past.map(|(numbering, _)| (numbering.seq(seq), *numbering))
    }

    /// A packet of the present source is not forwarded. One that is the newest takes no number; one that comes late leaves a hole
    /// where its number waited, which is given back with the numbering it has.
    pub fn leave_out(&mut self, source: Source, seq: SeqNo, left_out: LeftOut) -> Option<(SeqNo, Numbering)> {
        if self.present.is_none_or(|present| present.source != source) || seq <= self.head {
            return self.place(source, seq);
        }
        let mut present = self.present?;
        let is_same_frame = self.frame_left_out.is_some_and(|before| before.is_of_frame_of(&left_out));
        if seq > present.first && !is_same_frame {
            self.remember(present, seq.0 - present.first.0);
            present.ours = present.seq(seq);
        }
        present.first = seq.next();
        let picture = left_out.picture.filter(|_| left_out.closes_up).and_then(|numbers| numbers.picture_id);
        if picture.is_some() && picture != self.picture_left_out {
            present.picture.picture_id = present.picture.picture_id.wrapping_sub(1) & 0x7fff;
            self.picture_left_out = picture;
        }
        self.present = Some(present);
        self.head = seq;
        self.frame_left_out = Some(left_out);
        None
    }

    /// From this packet on, which is the newest, this is the highest spatial layer. What is missing before it still belongs to
    /// the pictures before.
    pub fn set_top(&mut self, top: u8, from: SeqNo) {
        let Some(mut present) = self.present.filter(|present| present.top != top) else { return };
        if from > present.first {
            self.remember(present, from.0 - present.first.0);
            present.ours = present.seq(from);
            present.first = from;
        }
        present.top = top;
        self.present = Some(present);
    }

    /// A packet with these numbers (ours) has been sent.
    pub fn on_sent(
        &mut self,
        now: Instant,
        seq: SeqNo,
        timestamp: u32,
        picture: Option<LastPicture>,
        frame: Option<FrameNumber>,
    ) {
        if seq > self.last.seq || self.last.sent_at.is_none() {
            self.last.seq = seq;
            self.last.timestamp = timestamp;
            self.last.picture = picture.unwrap_or(self.last.picture);
            self.last.frame = frame.or(self.last.frame);
        }
        self.last.sent_at = Some(now);
    }

    /// What a NACK asks for: the publisher's number for ours, ours in full, and the numbering. `None` if we did not send it, or too
    /// long ago.
    pub fn original(&self, ours: Seq) -> Option<(SeqNo, SeqNo, Numbering)> {
        let behind = ours.forward_distance(self.last.seq.seq());
        if behind >= 1 << 15 {
            return None; // newer than all we sent
        }
        let ours = self.last.seq.checked_sub(u64::from(behind))?;
        if let Some(present) = self.present.filter(|present| ours >= present.ours) {
            let original = SeqNo(present.first.0 + (ours.0 - present.ours.0));
            return (original <= self.head).then_some((original, ours, present));
        }
        let (numbering, _) =
            self.past.iter().rev().find(|(past, len)| ours >= past.ours && ours.0 - past.ours.0 < *len)?;
        Some((SeqNo(numbering.first.0 + (ours.0 - numbering.ours.0)), ours, *numbering))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    const FIRST: Source = Source { stream: 0, epoch: 0 };
    const SECOND: Source = Source { stream: 1, epoch: 0 };

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(ms)
    }

    fn beginning(seq: u64, timestamp: u32) -> Beginning {
        Beginning { seq: SeqNo(seq), timestamp, aligned: None, picture: None, frame: None, top: 0 }
    }

    fn left_out(timestamp: u32, spatial: u8) -> LeftOut {
        LeftOut { timestamp, spatial, picture: None, closes_up: false, frame: None }
    }

    fn send(rewriter: &mut Rewriter, source: Source, now: Instant, seq: u64, timestamp: u32) -> (u64, u32) {
        let (ours, numbering) = rewriter.place(source, SeqNo(seq)).expect("after the start");
        let timestamp = numbering.timestamp(timestamp);
        rewriter.on_sent(now, ours, timestamp, None, None);
        (ours.0, timestamp)
    }

    #[test]
    fn numbers_continue_across_a_pause_and_another_source() {
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        rewriter.start(at(0), FIRST, beginning(70_000, 1_000));
        let (seq, timestamp) = send(&mut rewriter, FIRST, at(0), 70_000, 1_000);
        assert!(seq <= 1 << 15);
        rewriter.pause();
        assert_eq!(rewriter.source(), None);
        assert_eq!(rewriter.place(FIRST, SeqNo(70_001)), None, "paused");
        rewriter.start(at(1_000), FIRST, beginning(70_100, 91_000));
        assert_eq!(
            send(&mut rewriter, FIRST, at(1_000), 70_100, 91_000),
            (seq + 1, timestamp.wrapping_add(90_000))
        );
        rewriter.start(at(2_000), SECOND, beginning(66_000, 5));
        assert_eq!(
            send(&mut rewriter, SECOND, at(2_000), 66_000, 5),
            (seq + 2, timestamp.wrapping_add(180_000))
        );
    }

    #[test]
    fn where_clocks_are_known_timestamps_follow_them_and_never_stand_still() {
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        rewriter.start(at(0), FIRST, beginning(10, 1_000));
        let (_, timestamp) = send(&mut rewriter, FIRST, at(0), 10, 1_000);
        let aligned = Some(timestamp.wrapping_add(2_970));
        rewriter.start(at(90), SECOND, Beginning { aligned, ..beginning(500, 77) });
        assert_eq!(send(&mut rewriter, SECOND, at(90), 500, 77).1, timestamp.wrapping_add(2_970));
        // The same moment, taken again by another encoding.
        rewriter.start(at(91), FIRST, Beginning { aligned, ..beginning(12, 3_970) });
        assert_eq!(send(&mut rewriter, FIRST, at(91), 12, 3_970).1, timestamp.wrapping_add(2_971));
    }

    #[test]
    fn a_nack_finds_its_way_back_and_only_to_what_was_sent() {
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        assert_eq!(rewriter.original(Seq(5)), None);
        rewriter.start(at(0), FIRST, beginning(70_000, 0));
        let (first, _) = send(&mut rewriter, FIRST, at(0), 70_000, 0);
        for seq in 70_001..140_000 {
            send(&mut rewriter, FIRST, at(0), seq, 0);
        }
        let original = |rewriter: &Rewriter, ours: u64| {
            rewriter.original(SeqNo(ours).seq()).map(|(seq, ours, _)| (seq.0, ours.0))
        };
        let newest = first + 69_999;
        assert_eq!(original(&rewriter, newest), Some((139_999, newest)));
        assert_eq!(original(&rewriter, newest - 300), Some((139_699, newest - 300)));
        assert_eq!(original(&rewriter, newest + 1), None);
        assert_eq!(rewriter.place(FIRST, SeqNo(69_999)), None, "before the start");
        // Also of a source that was left.
        rewriter.start(at(1), SECOND, beginning(500, 0));
        send(&mut rewriter, SECOND, at(1), 500, 0);
        assert_eq!(original(&rewriter, newest - 300), Some((139_699, newest - 300)));
    }

    #[test]
    fn what_is_left_out_takes_no_number_and_a_late_one_keeps_its_own() {
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        rewriter.start(at(0), FIRST, beginning(100, 0));
        let (first, _) = send(&mut rewriter, FIRST, at(0), 100, 0);
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(101), left_out(5, 0)), None);
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(102), left_out(5, 0)), None);
        assert_eq!(send(&mut rewriter, FIRST, at(0), 103, 0).0, first + 1);
        // 104 is missing when 105 is left out: its number waits.
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(105), left_out(6, 0)), None);
        assert_eq!(send(&mut rewriter, FIRST, at(0), 106, 0).0, first + 3);
        assert_eq!(send(&mut rewriter, FIRST, at(0), 104, 0).0, first + 2);
        // 107 is missing, and turns out to be one that is not forwarded: a hole.
        assert_eq!(send(&mut rewriter, FIRST, at(0), 108, 0).0, first + 5);
        assert_eq!(
            rewriter.leave_out(FIRST, SeqNo(107), left_out(7, 0)).map(|(ours, _)| ours.0),
            Some(first + 4)
        );
        // What is missing between two of one frame that is left out belongs to it.
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(109), left_out(8, 0)), None);
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(111), left_out(8, 0)), None);
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(110), left_out(8, 0)), None);
        assert_eq!(send(&mut rewriter, FIRST, at(0), 112, 0).0, first + 6);
        // Between two spatial layers that are left out may be one that is not.
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(113), left_out(9, 0)), None);
        assert_eq!(rewriter.leave_out(FIRST, SeqNo(115), left_out(9, 2)), None);
        assert_eq!(send(&mut rewriter, FIRST, at(0), 116, 0).0, first + 8);
        assert_eq!(send(&mut rewriter, FIRST, at(0), 114, 0).0, first + 7);
    }

    #[test]
    fn picture_numbers_close_up_over_what_is_left_out() {
        use control::Codec;
        let read = |picture: u8| PictureNumbers::read(Codec::Vp8, &[0x90, 0xc0, picture, 7]).expect("whole");
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        rewriter.start(at(0), FIRST, Beginning { picture: Some(read(20)), ..beginning(100, 0) });
        rewriter.place(FIRST, SeqNo(100)).expect("the start");
        for (seq, timestamp, picture) in [(101, 1, 21), (102, 1, 21), (103, 2, 22)] {
            let left_out =
                LeftOut { picture: Some(read(picture)), closes_up: true, ..left_out(timestamp, 0) };
            rewriter.leave_out(FIRST, SeqNo(seq), left_out);
        }
        let (_, numbering) = rewriter.place(FIRST, SeqNo(104)).expect("forwarded");
        assert_eq!(read(23).picture_id_with(numbering.picture), Some(21));
    }

    /// The publisher's frames and pictures 20, 23 and 26: the middle one is missing, the last is left out, and both may come before
    /// another stream begins, which has numbers of its own.
    #[test]
    fn what_may_come_late_keeps_its_numbers_across_a_change_of_source() {
        use control::Codec;
        for (codec, late_id) in [(Codec::Vp8, 21), (Codec::Vp9, 23)] {
            let read = |picture: u8, tl0picidx: u8| {
                let payload: &[u8] = match codec {
                    Codec::Vp8 => &[0x90, 0xc0, picture, tl0picidx],
                    _ => &[0xa8, picture, 0x00, tl0picidx],
                };
                PictureNumbers::read(codec, payload).expect("whole")
            };
            let numbers = |picture_id, tl0picidx| LastPicture {
                picture_id: Some(picture_id),
                tl0picidx: Some(tl0picidx),
            };
            let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
            let first =
                Beginning { picture: Some(read(20, 7)), frame: Some(FrameNumber(20)), ..beginning(100, 0) };
            rewriter.start(at(0), FIRST, first);
            let (ours, _) = rewriter.place(FIRST, SeqNo(100)).expect("the start");
            rewriter.on_sent(at(0), ours, 0, Some(numbers(20, 7)), Some(FrameNumber(20)));
            // VP8 numbers pictures one by one.
            let newest = if codec == Codec::Vp8 { read(22, 8) } else { read(26, 8) };
            let left_out = LeftOut {
                picture: Some(newest),
                closes_up: codec == Codec::Vp8,
                frame: Some(FrameNumber(26)),
                ..left_out(6_000, 0)
            };
            rewriter.leave_out(FIRST, SeqNo(102), left_out);
            rewriter.start(at(0), SECOND, Beginning { seq: SeqNo(500), ..first });
            let (begins, numbering) = rewriter.place(SECOND, SeqNo(500)).expect("the start");
            let (late, of_past) = rewriter.place(FIRST, SeqNo(101)).expect("its number waits");
            assert_eq!((late, begins), (ours.next(), ours.next().next()));
            let missing = if codec == Codec::Vp8 { read(21, 8) } else { read(23, 8) };
            assert_eq!(missing.with(of_past.picture), numbers(late_id, 8));
            assert_eq!(of_past.frame(FrameNumber(23)), FrameNumber(23));
            let newest_id = if codec == Codec::Vp8 { late_id } else { 26 };
            assert_eq!(read(20, 7).with(numbering.picture), numbers(newest_id + 1, 9), "{codec:?}");
            assert_eq!(numbering.frame(FrameNumber(20)), FrameNumber(27));
        }
    }

    /// Every number is given to one packet, whatever is late, left out or paused, and finds its way back.
    #[test]
    fn no_number_is_given_twice() {
        for seed in 0..200 {
            let mut rng = Rng::from_number(seed);
            let mut rewriter = Rewriter::new(&mut rng, 90_000);
            let mut given = BTreeMap::new();
            let mut next = [1_000u64, 5_000];
            let mut missing: Vec<(Source, u64)> = Vec::new();
            let mut source = FIRST;
            rewriter.start(at(0), source, beginning(next[0], 0));
            for step in 0..400 {
                let (from, seq) = if !missing.is_empty() && rng.chance(0.2) {
                    missing.swap_remove(rng.below(missing.len() as u32) as usize)
                } else {
                    let seq = &mut next[usize::from(source.stream)];
                    *seq += 1;
                    if rng.chance(0.15) {
                        missing.push((source, *seq - 1));
                        *seq += 1;
                    }
                    (source, *seq - 1)
                };
                if rng.chance(0.05) {
                    source = if source == FIRST { SECOND } else { FIRST };
                    let first = next[usize::from(source.stream)];
                    rewriter.start(at(step), source, beginning(first, 0));
                }
                if rng.chance(0.02) {
                    rewriter.set_top(rng.below(3) as u8, SeqNo(next[usize::from(source.stream)]));
                }
                let placed = if rng.chance(0.4) {
                    rewriter.leave_out(from, SeqNo(seq), left_out(seq as u32 / 3, 0))
                } else {
                    rewriter.place(from, SeqNo(seq))
                };
                let Some((ours, _)) = placed else { continue };
                rewriter.on_sent(at(step), ours, 0, None, None);
                let before = given.insert(ours, (from.stream, seq));
                assert_eq!(before, None, "seed {seed}, step {step}: {ours:?} is given twice");
                let back =
                    rewriter.original(ours.seq()).map(|(seq, _, numbering)| (numbering.source.stream, seq.0));
                assert_eq!(back, Some((from.stream, seq)), "seed {seed}, step {step}");
            }
        }
    }
}
