//! The mapping between the publisher's numbers and a consumer's numbers.
//!
//! A consumer sees one RTP stream without additional gaps: sequence numbers, timestamps and picture numbers
//! continue across pauses, across layers that are not sent, and across a change of source, which is another
//! SSRC or another encoding.
//!
//! Numbers of one source keep their distances, so the number of a late packet is reserved. A packet that is
//! not forwarded gets no number: there the [`Numbering`] ends and the next one begins. Some numberings are
//! stored, because a NACK requests older packets by the numbers they were sent with.

mod history;
mod numbering;

pub use numbering::{Beginning, LeftOut, Numbering};

use crate::base::clock::ticks;
use crate::egress::source::Source;

use crate::limits;
use crate::packet::picture::{LastPicture, PictureOffset};
use history::Past;
use machine::{Instant, Rng};
use rtp::dependency_descriptor::FrameNumber;
use rtp::{Seq, SeqNo};

/// The last sent packet, in our numbers.
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
    /// The current run; `None` before the first packet.
    present: Option<Numbering>,
    /// The run is interrupted: the next packet must be one that [`start`](Self::start) accepts.
    is_paused: bool,
    /// Where the current source started.
    begun: SeqNo,
    /// The newest received number of the current source, forwarded or not.
    head: SeqNo,
    past: Past,
    last: Last,
    /// The picture that was left out last: its other packets belong to the same one.
    picture_left_out: Option<u16>,
    /// The current source started with a frame from before the newest sent one: the offset from the
    /// publisher's timestamp to ours once the timestamps have caught up.
    timestamp_offset_due: Option<u32>,
    /// The frame of the newest packet, if it was left out: missing packets before the next packet of that
    /// frame are left out too.
    frame_left_out: Option<LeftOut>,
}

impl Rewriter {
    /// Numbers start at random (RFC 3550 §5.1), in the lower half so that the first wrap is far (RFC 3711
    /// §3.3.1 begins with a rollover counter of zero).
    pub fn new(rng: &mut Rng, clock_rate_hz: u32) -> Self {
        Self {
            clock_rate_hz,
            present: None,
            is_paused: false,
            begun: SeqNo(0),
            head: SeqNo(0),
            past: Past::default(),
            last: Last {
                seq: SeqNo(u64::from(rng.below(1 << 15))),
                timestamp: rng.next_u32(),
                sent_at: None,
                picture: LastPicture::default(),
                frame: None,
            },
            picture_left_out: None,
            timestamp_offset_due: None,
            frame_left_out: None,
        }
    }

    /// The source of the forwarded packets; `None` while nothing is forwarded.
    pub fn source(&self) -> Option<Source> {
        self.present.filter(|_| !self.is_paused).map(|present| present.source)
    }

    /// The numbering of the forwarded packets, or of those before the pause.
    pub fn latest(&self) -> Option<&Numbering> {
        self.present.as_ref()
    }

    /// When a packet was last sent.
    pub fn last_sent_at(&self) -> Option<Instant> {
        self.last.sent_at
    }

    /// Stops: the next packet must be one that [`start`](Self::start) accepts.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Whether a packet is from before the current source started or was reset.
    pub fn is_of_past(&self, seq: SeqNo) -> bool {
        seq < self.begun
    }

    /// Whether a packet of the current source is older than the newest received one.
    pub fn is_late(&self, seq: SeqNo) -> bool {
        seq <= self.head
    }

    /// Starts to follow a source: its first packet gets the next number after all sent and reserved ones.
    pub fn start(&mut self, now: Instant, source: Source, first: Beginning) {
        let same = self.present.filter(|present| present.source == source);
        let ours = self.next_free();
        // Reserved numbers belong to packets before the newest received one, forwarded or not.
        let latest = if ours > self.last.seq.next() { self.newest() } else { self.last };
        let due = match (same, first.aligned) {
            // After a pause: the same clock.
            (Some(same), _) => {
                first.timestamp.wrapping_add(self.timestamp_offset_due.unwrap_or(same.timestamp_offset))
            }
            (None, Some(aligned)) => aligned,
            // Another clock: ours continues by the elapsed time, by at least one tick.
            (None, None) => {
                let elapsed =
                    self.last.sent_at.map_or(0, |last| ticks(now.saturating_since(last), self.clock_rate_hz));
                self.last.timestamp.wrapping_add(elapsed.max(1))
            }
        };
        let (timestamp, catches_up) = self.timestamp_after(due, latest.timestamp);
        // The same clock may have gone half around in a long pause.
        let timestamp = if same.is_some() && !catches_up { due } else { timestamp };
        self.timestamp_offset_due = catches_up.then(|| due.wrapping_sub(first.timestamp));
        // Late packets need their numbers. At a keyframe, a receiver accepts a jump.
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
            timestamp_offset: timestamp.wrapping_sub(first.timestamp),
            picture,
            frame_offset,
            top: first.top,
        });
        self.is_paused = false;
        (self.begun, self.head) = (first.seq, first.seq);
        self.picture_left_out = None;
        self.frame_left_out = None;
    }

    /// The newest received packet: a packet that was left out has the numbers it would have been sent with.
    fn newest(&self) -> Last {
        let Some((left_out, present)) = self.frame_left_out.zip(self.present) else { return self.last };
        Last {
            timestamp: present.timestamp(left_out.timestamp),
            picture: left_out.picture.map_or(self.last.picture, |numbers| numbers.with(present.picture)),
            frame: left_out.frame.map(|frame| present.frame(frame)).or(self.last.frame),
            ..self.last
        }
    }

    /// The first number that is neither used nor reserved for a late packet.
    fn next_free(&self) -> SeqNo {
        let behind_sent = self.last.seq.next();
        match &self.present {
            Some(present) if self.head >= present.first => behind_sent.max(present.seq(self.head).next()),
            Some(present) => behind_sent.max(present.ours),
            None => behind_sent,
        }
    }

    /// The current run ends with the newest received packet.
    fn end_run(&mut self) {
        if let Some(present) = self.present.filter(|present| self.head >= present.first) {
            self.past.remember(&present, self.head.0 + 1 - present.first.0);
        }
    }

    /// Our number for a forwarded packet, with its numbering: the current one, or for a late packet an older
    /// one. `None` if nothing was forwarded at its place, or too long ago.
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
        self.past.of(source, seq, self.last.seq).map(|numbering| (numbering.seq(seq), numbering))
    }

    /// A packet of the current source is not forwarded. If it is the newest, it gets no number; if it is
    /// late, its reserved number becomes a hole, which is returned with its numbering.
    pub fn leave_out(&mut self, source: Source, seq: SeqNo, left_out: LeftOut) -> Option<(SeqNo, Numbering)> {
        if self.present.is_none_or(|present| present.source != source) || seq <= self.head {
            return self.place(source, seq);
        }
        let mut present = self.present?;
        let is_same_frame = self.frame_left_out.is_some_and(|before| before.is_of_frame_of(&left_out));
        if seq > present.first && !is_same_frame {
            self.past.remember(&present, seq.0 - present.first.0);
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

    /// From this packet on, which is the newest, this is the highest spatial layer. Missing packets before it
    /// still belong to earlier pictures.
    pub fn set_top(&mut self, top: u8, from: SeqNo) {
        let Some(mut present) = self.present.filter(|present| present.top != top) else { return };
        self.cut(&mut present, from);
        present.top = top;
        self.present = Some(present);
    }

    /// Handles a packet that is the newest. If the source started with frames from before the newest sent
    /// one, each frame gets the oldest timestamp that does not go backwards, until the timestamps have caught
    /// up: otherwise a receiver that displays by timestamp would be delayed permanently.
    pub fn catch_up_time(&mut self, timestamp: u32, from: SeqNo) {
        let Some((offset_due, mut present)) = self.timestamp_offset_due.zip(self.present) else { return };
        let newest = self.newest().timestamp;
        // It is unknown to which source the missing numbers belong.
        let is_sure = from == self.head.next();
        if !is_sure || present.timestamp(timestamp) == newest {
            return;
        }
        let (ours, catches_up) = self.timestamp_after(timestamp.wrapping_add(offset_due), newest);
        if !catches_up {
            self.timestamp_offset_due = None;
        }
        self.cut(&mut present, from);
        present.timestamp_offset = ours.wrapping_sub(timestamp);
        self.present = Some(present);
    }

    /// The timestamp of a picture that is due at `due` (our time): that time, or if it has passed, the tick
    /// after `latest`. And whether later pictures can catch up.
    fn timestamp_after(&self, due: u32, latest: u32) -> (u32, bool) {
        let next = latest.wrapping_add(1);
        match next.wrapping_sub(due) {
            0 | 0x8000_0001.. => (due, false),
            behind => (next, behind <= ticks(limits::CATCH_UP_MAX, self.clock_rate_hz)),
        }
    }

    /// Our timestamp for the publisher's of the current source, by its clock. `None` before the first packet.
    pub fn clock(&self, timestamp: u32) -> Option<u32> {
        let present = self.present?;
        Some(timestamp.wrapping_add(self.timestamp_offset_due.unwrap_or(present.timestamp_offset)))
    }

    /// From this packet on, which is the newest, `present` will be another run.
    fn cut(&mut self, present: &mut Numbering, from: SeqNo) {
        if from > present.first {
            self.past.remember(present, from.0 - present.first.0);
            present.ours = present.seq(from);
            present.first = from;
        }
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

    /// Reserves `count` of our numbers directly before packet `from`, which is the newest or the first: for
    /// packets that the publisher did not send. Returns the first one, and the numbering of `from`.
    pub fn make_room(&mut self, from: SeqNo, count: u64) -> Option<(SeqNo, Numbering)> {
        let mut present = self.present?;
        self.cut(&mut present, from);
        let first = present.ours;
        present.ours = SeqNo(first.0 + count);
        self.present = Some(present);
        Some((first, present))
    }

    /// The full number for one of our sequence numbers. `None` if it is newer than all sent ones.
    pub fn sent(&self, ours: Seq) -> Option<SeqNo> {
        let behind = ours.forward_distance(self.last.seq.seq());
        if behind >= 1 << 15 {
            return None;
        }
        self.last.seq.checked_sub(u64::from(behind))
    }

    /// The packet that a NACK requests: the publisher's number for ours, our full number, and the numbering.
    /// `None` if it was not sent, or too long ago.
    pub fn original(&self, ours: Seq) -> Option<(SeqNo, SeqNo, Numbering)> {
        let ours = self.sent(ours)?;
        if let Some(present) = self.present.filter(|present| ours >= present.ours) {
            let original = SeqNo(present.first.0 + (ours.0 - present.ours.0));
            return (original <= self.head).then_some((original, ours, present));
        }
        let numbering = self.past.of_ours(ours)?;
        Some((SeqNo(numbering.first.0 + (ours.0 - numbering.ours.0)), ours, numbering))
    }
}

#[cfg(test)]
mod tests;
