//! Timers for many owners, without a scan over all of them.

use crate::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One pending deadline per owner, owners being dense indices.
///
/// A binary heap with lazy deletion: re-arming an owner leaves the old entry in the heap, which is skipped
/// when it reaches the top. Moving a deadline to a later time costs nothing until then, so a machine may
/// re-arm on every packet.
#[derive(Debug, Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    /// Per owner: its deadline, and its earliest entry in the heap.
    armed: Vec<Armed>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Armed {
    wanted: Option<Instant>,
    queued: Option<Instant>,
}

impl Deadlines {
    /// Sets (or with `None` clears) the deadline of `owner`, replacing the one it had.
    pub fn set(&mut self, owner: u32, deadline: Option<Instant>) {
        let index = owner as usize;
        if index >= self.armed.len() {
            self.armed.resize(index + 1, Armed::default());
        }
        let armed = &mut self.armed[index];
        armed.wanted = deadline;
        if let Some(deadline) = deadline
            && armed.queued.is_none_or(|queued| deadline < queued)
        {
            armed.queued = Some(deadline);
            self.heap.push(Reverse((deadline, owner)));
        }
    }

    /// Moves the deadline of `owner` to `deadline` if it is later or unset.
    pub fn hasten(&mut self, owner: u32, deadline: Instant) {
        let wanted = self.armed.get(owner as usize).and_then(|armed| armed.wanted);
        if wanted.is_none_or(|wanted| deadline < wanted) {
            self.set(owner, Some(deadline));
        }
    }

    /// The earliest instant at which [`pop`](Self::pop) may return an owner. May be early (if an owner has
    /// been re-armed), never late.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Takes one owner whose deadline is at or before `now`; it is then unarmed.
    pub fn pop(&mut self, now: Instant) -> Option<u32> {
        while let Some(&Reverse((queued, owner))) = self.heap.peek() {
            if queued > now {
                return None;
            }
            self.heap.pop();
            let armed = &mut self.armed[owner as usize];
            if armed.queued != Some(queued) {
                continue; // superseded by an earlier entry, which has been popped
            }
            armed.queued = None;
            match armed.wanted {
                Some(wanted) if wanted <= now => {
                    armed.wanted = None;
                    return Some(owner);
                }
                Some(wanted) => {
                    armed.queued = Some(wanted);
                    self.heap.push(Reverse((wanted, owner)));
                }
                None => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn a_later_deadline_replaces_an_earlier_one() {
        let mut deadlines = Deadlines::default();
        deadlines.set(3, Some(at(10)));
        deadlines.set(3, Some(at(20)));
        assert_eq!(deadlines.pop(at(15)), None);
        assert_eq!(deadlines.pop(at(20)), Some(3));
        assert_eq!(deadlines.pop(at(99)), None);
    }

    #[test]
    fn agrees_with_a_naive_model() {
        let mut rng = Rng::from_number(11);
        let mut deadlines = Deadlines::default();
        let mut naive = [None::<Instant>; 8];
        let mut now = 0;
        for _ in 0..20_000 {
            let owner = rng.below(8);
            match rng.below(4) {
                0 => {
                    deadlines.set(owner, None);
                    naive[owner as usize] = None;
                }
                1 | 2 => {
                    let deadline = at(now + u64::from(rng.below(50)));
                    deadlines.set(owner, Some(deadline));
                    naive[owner as usize] = Some(deadline);
                }
                _ => {
                    now += u64::from(rng.below(20));
                    let mut due: Vec<u32> = std::iter::from_fn(|| deadlines.pop(at(now))).collect();
                    due.sort_unstable();
                    let expected: Vec<u32> =
                        (0..8).filter(|&i| naive[i as usize].is_some_and(|d| d <= at(now))).collect();
                    assert_eq!(due, expected);
                    for owner in due {
                        naive[owner as usize] = None;
                    }
                    assert!(naive.iter().flatten().all(|d| deadlines.next().is_some_and(|next| next <= *d)));
                }
            }
        }
    }
}
