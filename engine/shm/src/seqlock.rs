//! A page of counters that one side writes and the other reads whole, without stopping the writer.
//!
//! The sequence word is odd while a write is under way and different after it: a reader that saw the same even number
//! before and after its copy has a copy of one moment. Readers are patient only up to a bound; the
//! writer never waits.

use crate::sync::{AtomicU64, Ordering, fence};

/// The words of one page, wherever they live.
pub(crate) trait SharedPage {
    /// Odd while a write is under way.
    fn sequence(&self) -> &AtomicU64;
    /// The counters. Always the same slice.
    fn slots(&self) -> &[AtomicU64];
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct PageWriter<S> {
    shared: S,
    /// Ours; the shared one is a copy for the reader.
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

    /// Replaces the first slots by `values`; what does not fit is left out.
    pub(crate) fn write(&mut self, values: &[u64]) {
        self.shared.sequence().store(self.sequence + 1, Ordering::Relaxed);
        // Whoever sees one of the new values also sees the odd sequence.
        fence(Ordering::Release);
        for (slot, value) in self.shared.slots().iter().zip(values) {
            slot.store(*value, Ordering::Relaxed);
        }
        self.sequence += 2;
        self.shared.sequence().store(self.sequence, Ordering::Release);
    }
}

/// Copies the page into `into` as of one moment; `false` if no attempt met the writer at rest.
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
#[path = "seqlock_tests.rs"]
mod tests;
