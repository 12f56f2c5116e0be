//! The received indices of a stream (RFC 3711 §3.3.2).

use crate::Discard;
use crate::limits::REPLAY_WINDOW;

const WORDS: usize = (REPLAY_WINDOW / 64) as usize;
const _: () = assert!(REPLAY_WINDOW.is_power_of_two() && REPLAY_WINDOW >= 64);

/// The highest index accepted and one bit for each of the last [`REPLAY_WINDOW`].
///
/// The index has bit `index % REPLAY_WINDOW`: advancing clears the bits in between, nothing is shifted.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    highest: u64,
    seen: [u64; WORDS],
}

impl Window {
    /// A window whose first accepted index is `index`. Every earlier index inside the window is accepted too,
    /// once.
    pub(crate) fn new(index: u64) -> Self {
        let mut window = Self { highest: index, seen: [0; WORDS] };
        window.mark(index);
        window
    }

    /// A window in which every index up to `highest` counts as received, and then `index`, which is higher.
    pub(crate) fn behind(highest: u64, index: u64) -> Self {
        let mut window = Self { highest, seen: [u64::MAX; WORDS] };
        window.accept(index);
        window
    }

    /// The highest index accepted.
    pub(crate) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet with this index would be accepted. Changes nothing.
    pub(crate) fn check(&self, index: u64) -> Result<(), Discard> {
        if index > self.highest {
            return Ok(());
        }
        if self.highest - index >= REPLAY_WINDOW {
            return Err(Discard::TooOld);
        }
        let (word, bit) = place(index);
        if self.seen[word] & bit != 0 { Err(Discard::Replayed) } else { Ok(()) }
    }

    /// Records an index that has been checked, and whose packet is authentic.
    pub(crate) fn accept(&mut self, index: u64) {
        if index > self.highest {
            self.advance(index);
        }
        self.mark(index);
    }

    fn advance(&mut self, index: u64) {
        if index - self.highest >= REPLAY_WINDOW {
            self.seen = [0; WORDS];
        } else {
            for passed in self.highest + 1..index {
                self.unmark(passed);
            }
            self.unmark(index);
        }
        self.highest = index;
    }

    fn mark(&mut self, index: u64) {
        let (word, bit) = place(index);
        self.seen[word] |= bit;
    }

    fn unmark(&mut self, index: u64) {
        let (word, bit) = place(index);
        self.seen[word] &= !bit;
    }
}

fn place(index: u64) -> (usize, u64) {
    let bit = index % REPLAY_WINDOW;
    ((bit / 64) as usize, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A model that stores every index.
    #[derive(Default)]
    struct Twin(BTreeSet<u64>);

    impl Twin {
        fn check(&self, index: u64) -> Result<(), Discard> {
            let highest = *self.0.last().expect("the first one is stored");
            if self.0.contains(&index) && index + REPLAY_WINDOW > highest {
                return Err(Discard::Replayed);
            }
            if index + REPLAY_WINDOW <= highest { Err(Discard::TooOld) } else { Ok(()) }
        }
    }

    proptest! {
        /// Steps of every size around the window's, back and forth.
        #[test]
        fn the_window_agrees_with_a_model_that_stores_every_index(
            first in 0..5000_u64,
            steps in prop::collection::vec(prop_oneof![-3..3_i64, -70..70_i64, -1030..1030_i64, -9000..9000_i64], 1..400),
        ) {
            let mut window = Window::new(first);
            let mut twin = Twin([first].into());
            let mut index = first;
            for step in steps {
                index = index.saturating_add_signed(step);
                let verdict = window.check(index);
                prop_assert_eq!(verdict, twin.check(index), "index {}", index);
                if verdict.is_ok() {
                    window.accept(index);
                    twin.0.insert(index);
                }
                prop_assert_eq!(window.highest(), *twin.0.last().expect("not empty"));
            }
        }
    }
}
