//! The received sequence numbers of a stream: distinguishes a duplicate from a late packet.

use rtp::SeqNo;

/// Sequence numbers stored behind the newest. More than the retransmission cache, so that a packet that was
/// requested again and arrives twice is recognised.
const WINDOW: u64 = 1024;

/// A bitmap over the newest [`WINDOW`] sequence numbers.
#[derive(Clone, Debug)]
pub struct SequenceWindow {
    bits: [u64; (WINDOW / 64) as usize],
    highest: Option<SeqNo>,
}

/// The result for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// Not received before.
    New,
    /// Received before.
    Duplicate,
    /// Older than the window.
    TooOld,
}

impl SequenceWindow {
    /// Without received packets.
    pub fn new() -> Self {
        Self { bits: [0; (WINDOW / 64) as usize], highest: None }
    }

    /// Marks `seq` as received; returns whether it was before.
    pub fn insert(&mut self, seq: SeqNo) -> Novelty {
        let highest = *self.highest.get_or_insert(seq);
        if seq > highest {
            if seq.0 - highest.0 >= WINDOW {
                self.bits.fill(0);
            } else {
                (highest.0 + 1..seq.0).for_each(|skipped| self.clear(skipped));
                self.clear(seq.0);
            }
            self.highest = Some(seq);
        } else if highest.0 - seq.0 >= WINDOW {
            return Novelty::TooOld;
        }
        let (word, bit) = position(seq.0);
        if self.bits[word] & bit != 0 {
            return Novelty::Duplicate;
        }
        self.bits[word] |= bit;
        Novelty::New
    }

    fn clear(&mut self, seq: u64) {
        let (word, bit) = position(seq);
        self.bits[word] &= !bit;
    }
}

fn position(seq: u64) -> (usize, u64) {
    (((seq % WINDOW) / 64) as usize, 1 << (seq % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::Rng;
    use std::collections::HashSet;

    #[test]
    fn agrees_with_a_set() {
        let mut rng = Rng::from_number(5);
        let (mut seen, mut set, mut highest) = (SequenceWindow::new(), HashSet::new(), 10_000u64);
        assert_eq!(seen.insert(SeqNo(highest)), Novelty::New);
        set.insert(highest);
        for _ in 0..50_000 {
            let seq = match rng.below(20) {
                0 => highest + u64::from(rng.below(1500)),
                _ => (highest + 4).saturating_sub(u64::from(rng.below(1200))),
            };
            let expected = if seq + WINDOW <= highest {
                Novelty::TooOld
            } else if set.insert(seq) {
                Novelty::New
            } else {
                Novelty::Duplicate
            };
            highest = highest.max(seq);
            assert_eq!(seen.insert(SeqNo(seq)), expected, "{seq} with {highest}");
        }
    }
}
