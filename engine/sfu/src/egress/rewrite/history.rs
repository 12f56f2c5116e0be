//! Runs that have ended: older packets are requested by the numbers they were sent with.

use super::numbering::Numbering;
use crate::egress::source::Source;
use crate::limits;
use crate::packet::picture::PictureOffset;
use rtp::SeqNo;
use std::collections::VecDeque;

/// The latest runs, the newest last.
#[derive(Debug, Default)]
pub(super) struct Past {
    runs: VecDeque<Run>,
}

/// A [`Numbering`] that has ended. A consumer whose layers are left out has dozens, so it is compact.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: SeqNo,
    /// The lower half of our number for it: all of them are close together.
    ours: u32,
    len: u32,
    timestamp_offset: u32,
    epoch: u32,
    picture: PictureOffset,
    frame_offset: u16,
    stream: u8,
    top: u8,
}

const _: () = assert!(size_of::<Run>() == 32);

impl Past {
    /// A run has ended after `len` packets. At the bound the oldest one is dropped.
    pub(super) fn remember(&mut self, numbering: &Numbering, len: u64) {
        if self.runs.len() == limits::NUMBERINGS_REMEMBERED {
            self.runs.pop_front();
        } else if self.runs.len() == self.runs.capacity() {
            // Few consumers have any, and a consumer that has some soon has the maximum.
            self.runs.reserve_exact(limits::NUMBERINGS_REMEMBERED - self.runs.len());
        }
        self.runs.push_back(Run {
            first: numbering.first,
            ours: numbering.ours.0 as u32,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            timestamp_offset: numbering.timestamp_offset,
            epoch: numbering.source.epoch,
            picture: numbering.picture,
            frame_offset: numbering.frame_offset,
            stream: numbering.source.stream,
            top: numbering.top,
        });
    }

    /// The run of a publisher's number. `latest`: one of our sequence numbers, near all stored ones.
    pub(super) fn of(&self, source: Source, seq: SeqNo, latest: SeqNo) -> Option<Numbering> {
        let is_of = |run: &&Run| {
            run.source() == source && seq >= run.first && seq.0 - run.first.0 < u64::from(run.len)
        };
        self.runs.iter().rev().find(is_of).map(|run| run.numbering(latest))
    }

    /// The run of one of our sequence numbers, which is near all stored ones.
    pub(super) fn of_ours(&self, ours: SeqNo) -> Option<Numbering> {
        let is_of = |run: &&Run| (ours.0 as u32).wrapping_sub(run.ours) < run.len;
        self.runs.iter().rev().find(is_of).map(|run| run.numbering(ours))
    }
}

impl Run {
    fn source(&self) -> Source {
        Source { stream: self.stream, epoch: self.epoch }
    }

    fn numbering(&self, near: SeqNo) -> Numbering {
        let distance = (near.0 as u32).wrapping_sub(self.ours) as i32;
        Numbering {
            source: self.source(),
            first: self.first,
            ours: SeqNo(near.0.wrapping_add_signed(-i64::from(distance))),
            timestamp_offset: self.timestamp_offset,
            picture: self.picture,
            frame_offset: self.frame_offset,
            top: self.top,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbering(first: u64, ours: u64) -> Numbering {
        Numbering {
            source: Source { stream: 2, epoch: 70_000 },
            first: SeqNo(first),
            ours: SeqNo(ours),
            timestamp_offset: 5,
            picture: PictureOffset { picture_id: 3, tl0picidx: 4 },
            frame_offset: 6,
            top: 1,
        }
    }

    #[test]
    fn a_run_is_found_by_either_number_across_the_wrap_of_the_lower_half() {
        let mut past = Past::default();
        let before = numbering(1 << 40, (1 << 32) - 10);
        let behind = numbering((1 << 40) + 40, (1 << 32) + 10);
        past.remember(&before, 20);
        past.remember(&behind, 5);
        let latest = SeqNo((1 << 32) + 14);
        for (index, run, len) in [(0, before, 20), (1, behind, 5)] {
            for offset in [0, len - 1] {
                let seq = SeqNo(run.first.0 + offset);
                assert_eq!(past.of(run.source, seq, latest), Some(run), "run {index}");
                assert_eq!(past.of_ours(SeqNo(run.ours.0 + offset)), Some(run), "run {index}");
            }
        }
        assert_eq!(past.of(before.source, SeqNo(before.first.0 + 20), latest), None, "it was not forwarded");
        assert_eq!(past.of(Source { stream: 1, ..before.source }, before.first, latest), None);
        assert_eq!(past.of_ours(SeqNo(behind.ours.0 + 5)), None);
    }

    #[test]
    fn the_oldest_run_is_dropped_at_the_bound() {
        let mut past = Past::default();
        let bound = limits::NUMBERINGS_REMEMBERED as u64;
        (0..=bound).for_each(|run| past.remember(&numbering(10 * run, 5 * run), 5));
        assert_eq!(past.of_ours(SeqNo(4)), None);
        assert!(past.of_ours(SeqNo(5)).is_some() && past.of_ours(SeqNo(5 * bound)).is_some());
        assert_eq!(past.runs.capacity(), limits::NUMBERINGS_REMEMBERED);
    }
}
