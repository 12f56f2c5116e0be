//! The time of each peer's next turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// One timer a peer, by its index.
#[derive(Debug, Default)]
pub struct Timers {
    /// Also contains outdated entries: only those that agree with `due` are valid.
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    due: Vec<Option<Instant>>,
}

impl Timers {
    /// Sets a peer's timer, or changes it.
    pub fn set(&mut self, index: usize, at: Instant) {
        if index >= self.due.len() {
            self.due.resize(index + 1, None);
        }
        if self.due[index].replace(at) != Some(at) {
            self.heap.push(Reverse((at, index)));
        }
    }

    /// The earliest time.
    pub fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, index))) = self.heap.peek() {
            if self.due[*index] == Some(*at) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// Removes and returns a peer whose timer is due at `now`.
    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        self.next().filter(|next| *next <= now)?;
        let Reverse((_, index)) = self.heap.pop()?;
        self.due[index] = None;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_expire_in_order_at_their_last_setting() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(0, at(5));
        timers.set(1, at(3));
        timers.set(0, at(9));
        timers.set(2, at(1));
        timers.set(2, at(4));
        assert_eq!(timers.next(), Some(at(3)));
        assert_eq!((timers.pop(at(4)), timers.pop(at(4)), timers.pop(at(4))), (Some(1), Some(2), None));
        assert_eq!((timers.pop(at(9)), timers.next()), (Some(0), None));
    }
}
