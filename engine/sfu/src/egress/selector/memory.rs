//! The stored decisions about a layered stream. Many consumers have them at once, so they are compact.

use super::verdict::Verdict;
use crate::egress::source::Source;
use crate::packet::media_packet::MediaPacket;
use control::Layers;
use rtp::SeqNo;
use rtp::dependency_descriptor::mandatory;
use std::num::NonZeroU8;

/// Decisions, and the settings they were based on.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) recent: Recent,
    pub(super) history: History,
}

const _: () = assert!(size_of::<Memory>() <= 1304);

/// The settings that determine the decision about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InForce {
    pub(super) layers: Layers,
    /// The decode target, if the stream has a dependency descriptor.
    pub(super) target: Option<Target>,
}

/// The index of a decode target: less than 32 (AV1 RTP specification, A.8.3.1). Stored plus one, so that
/// `None` needs no space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target(NonZeroU8);

impl Target {
    pub(super) fn new(index: usize) -> Self {
        Self(u8::try_from(index).map_or(NonZeroU8::MAX, |index| NonZeroU8::MIN.saturating_add(index)))
    }

    pub(super) fn get(self) -> usize {
        usize::from(self.0.get() - 1)
    }
}

/// A change of settings, and its position in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    from: SeqNo,
    epoch: u32,
    stream: u8,
    // Not stored as `InForce`: that would make a change half as large again.
    layers: Layers,
    target: Option<Target>,
}

impl Change {
    pub(super) fn new(source: Source, from: SeqNo, in_force: InForce) -> Self {
        let InForce { layers, target } = in_force;
        Self { from, epoch: source.epoch, stream: source.stream, layers, target }
    }
}

pub(super) fn in_force_at(change: Option<Change>, source: Source, seq: SeqNo) -> Option<InForce> {
    let is_of = |change: &Change| (change.stream, change.epoch) == (source.stream, source.epoch);
    let change = change.filter(|change| is_of(change) && change.from <= seq)?;
    Some(InForce { layers: change.layers, target: change.target })
}

/// The recent settings.
#[derive(Debug)]
pub(super) struct History {
    changes: [Change; History::LEN],
    /// Number of recorded changes.
    count: usize,
}

impl Default for History {
    fn default() -> Self {
        let none = Change { from: SeqNo(0), epoch: 0, stream: 0, layers: Layers::default(), target: None };
        Self { changes: [none; Self::LEN], count: 0 }
    }
}

impl History {
    /// Stored changes: frame by frame up through all layers and down again, several times, within the time of
    /// a retransmission.
    const LEN: usize = 32;

    pub(super) fn note(&mut self, change: Change) {
        self.changes[self.count % Self::LEN] = change;
        self.count += 1;
    }

    pub(super) fn at(&self, source: Source, seq: SeqNo) -> Option<InForce> {
        let latest = (self.count.saturating_sub(Self::LEN)..self.count).rev();
        latest
            .map(|count| self.changes[count % Self::LEN])
            .find_map(|change| in_force_at(Some(change), source, seq))
    }
}

/// Decisions about the latest frames, for their later packets: a frame arrives within a few milliseconds, a
/// retransmission of its packets within some round trips.
#[derive(Debug)]
pub(super) struct Recent {
    frames: [FrameName; Recent::LEN],
    /// Bit `n`: the frame at `n` is forwarded.
    forwarded: u64,
    /// Number of recorded frames.
    count: usize,
}

/// A key shared by all packets of a frame, and by no other recent frame of the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameName {
    epoch: u32,
    /// The frame's number in the dependency descriptor, or its timestamp.
    place: u32,
    stream: u8,
    /// With a timestamp, its spatial layer.
    spatial: u8,
}

impl FrameName {
    /// The key is a frame number.
    const NUMBERED: u8 = u8::MAX;

    pub(super) fn of(packet: &MediaPacket<'_>, source: Source) -> Self {
        let (place, spatial) = match mandatory(packet.descriptor) {
            Some(fields) => (fields.frame_number.0.into(), Self::NUMBERED),
            None => (packet.timestamp, packet.frame.layer().0),
        };
        Self { epoch: source.epoch, place, stream: source.stream, spatial }
    }
}

impl Default for Recent {
    fn default() -> Self {
        let none = FrameName { epoch: 0, place: 0, stream: 0, spatial: 0 };
        Self { frames: [none; Self::LEN], forwarded: 0, count: 0 }
    }
}

impl Recent {
    const LEN: usize = u64::BITS as usize;

    pub(super) fn find(&self, name: FrameName) -> Option<Verdict> {
        // The newest first: it is almost always the one.
        let mut latest =
            (self.count.saturating_sub(Self::LEN)..self.count).rev().map(|count| count % Self::LEN);
        let at = latest.find(|at| self.frames[*at] == name)?;
        Some(if self.forwarded >> at & 1 == 1 { Verdict::Forward } else { Verdict::LeaveOut })
    }

    pub(super) fn note(&mut self, name: FrameName, verdict: Verdict) {
        let at = self.count % Self::LEN;
        self.frames[at] = name;
        self.forwarded = self.forwarded & !(1 << at) | u64::from(verdict == Verdict::Forward) << at;
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(stream: u8, epoch: u32) -> Source {
        Source { stream, epoch }
    }

    #[test]
    fn the_latest_frames_are_found_by_all_of_their_keys() {
        let name = |place| FrameName { epoch: 1, place, stream: 0, spatial: 0 };
        let mut recent = Recent::default();
        assert_eq!(recent.find(FrameName { epoch: 0, place: 0, stream: 0, spatial: 0 }), None);
        let verdict = |place| if place % 3 == 0 { Verdict::Forward } else { Verdict::LeaveOut };
        (0..100).for_each(|place| recent.note(name(place), verdict(place)));
        for place in 0..100 {
            let expected = (place >= 36).then(|| verdict(place));
            assert_eq!(recent.find(name(place)), expected, "{place}");
        }
        assert_eq!(recent.find(FrameName { epoch: 2, ..name(99) }), None);
        assert_eq!(recent.find(FrameName { stream: 1, ..name(99) }), None);
        assert_eq!(recent.find(FrameName { spatial: FrameName::NUMBERED, ..name(99) }), None);
    }

    #[test]
    fn settings_are_known_from_each_of_the_latest_changes_on() {
        let in_force = |index: u64| InForce {
            layers: Layers { spatial: (index % 3) as u8, temporal: (index % 5) as u8 },
            target: index.is_multiple_of(2).then(|| Target::new(index as usize)),
        };
        let mut history = History::default();
        assert_eq!(history.at(source(0, 0), SeqNo(9)), None);
        for index in 0..40 {
            history.note(Change::new(source(1, 7), SeqNo(10 * index), in_force(index)));
        }
        for index in 8..40 {
            assert_eq!(history.at(source(1, 7), SeqNo(10 * index + 9)), Some(in_force(index)), "{index}");
        }
        assert_eq!(history.at(source(1, 7), SeqNo(79)), None, "that is not stored any more");
        assert_eq!(history.at(source(1, 8), SeqNo(399)), None);
        assert_eq!(history.at(source(0, 7), SeqNo(399)), None);
    }

    #[test]
    fn a_target_returns_its_index() {
        for index in 0..32 {
            assert_eq!(Target::new(index).get(), index);
        }
    }
}
