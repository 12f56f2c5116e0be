//! A page of counters that one side writes and the other reads consistently, without stopping the writer.
//!
//! The sequence word is odd during a write and different after it: a reader that saw the same even number
//! before and after its copy has a consistent copy. Readers retry up to a bound; the writer never waits.

use crate::sync::{AtomicU64, Ordering, fence};

/// The words of one page, in any memory.
pub(crate) trait SharedPage {
    /// Odd during a write.
    fn sequence(&self) -> &AtomicU64;
    /// The counters. Always the same slice.
    fn slots(&self) -> &[AtomicU64];
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct PageWriter<S> {
    shared: S,
    /// This side's sequence; the shared one is a copy for the reader.
    sequence: u64,
}

impl<S: SharedPage> PageWriter<S> {
    /// The writer of a fresh page. At most one may exist.
    pub(crate) fn new(shared: S) -> Self {
        Self { shared, sequence: 0 }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &S {
        &self.shared
    }

    /// Replaces the first slots by `values`; values beyond the page are left out.
    pub(crate) fn write(&mut self, values: &[u64]) {
        self.shared.sequence().store(self.sequence + 1, Ordering::Relaxed);
        // A reader that sees one of the new values also sees the odd sequence.
        fence(Ordering::Release);
        for (slot, value) in self.shared.slots().iter().zip(values) {
            slot.store(*value, Ordering::Relaxed);
        }
        self.sequence += 2;
        self.shared.sequence().store(self.sequence, Ordering::Release);
    }
}

/// Copies the page into `into` consistently; `false` if every attempt met a write.
pub(crate) fn read_page<S: SharedPage>(shared: &S, into: &mut [u64], tries: usize) -> bool {
    for _ in 0..tries {
        let before = shared.sequence().load(Ordering::Acquire);
        if before & 1 == 0 {
            for (value, slot) in into.iter_mut().zip(shared.slots()) {
                *value = slot.load(Ordering::Relaxed);
            }
            // If any load above saw a newer value, the load below sees the newer sequence.
            fence(Ordering::Acquire);
            if shared.sequence().load(Ordering::Relaxed) == before {
                return true;
            }
        }
        std::hint::spin_loop();
    }
    false
}

#[cfg(test)]
mod tests;
