//! Which channel sends its next message (RFC 8831 §6.4): weighted fair queuing by start times.

use std::collections::BTreeSet;

/// Virtual time of one byte at priority 1.
const SCALE: u64 = 1 << 16;

/// The channels that have messages to send. Each begins its next message at a virtual time, and the earliest
/// is sent first; a message takes time in proportion to its length, and inversely to its channel's priority.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    now: u64,
    waiting: BTreeSet<(u64, u16)>,
}

impl Schedule {
    /// A channel has messages now. `next` is when its last message ended.
    pub(crate) fn insert(&mut self, channel: u16, next: &mut u64) {
        *next = self.now.max(*next);
        self.waiting.insert((*next, channel));
    }

    /// A channel has none any more.
    pub(crate) fn remove(&mut self, channel: u16, next: u64) {
        self.waiting.remove(&(next, channel));
    }

    /// Takes the channel that sends now.
    pub(crate) fn take(&mut self) -> Option<u16> {
        let (start, channel) = self.waiting.pop_first()?;
        self.now = start;
        Some(channel)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// When a message that begins at `start` ends.
pub(crate) fn end(start: u64, len: usize, priority: u16) -> u64 {
    start.saturating_add((len as u64 * SCALE / u64::from(priority.max(1))).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of messages of each channel among `count`, if all always have one to send.
    fn shares<const N: usize>(channels: [(u16, usize); N], count: usize) -> [usize; N] {
        let (mut schedule, mut next, mut sent) = (Schedule::default(), [0; N], [0; N]);
        (0..N).for_each(|at| schedule.insert(at as u16, &mut next[at]));
        for _ in 0..count {
            let at = usize::from(schedule.take().expect("all wait"));
            let (priority, len) = channels[at];
            sent[at] += 1;
            next[at] = end(next[at], len, priority);
            schedule.insert(at as u16, &mut next[at]);
        }
        sent
    }

    #[test]
    fn channels_send_bytes_in_proportion_to_their_priorities() {
        assert_eq!(shares([(128, 100), (256, 100), (512, 100), (1024, 100)], 1500), [100, 200, 400, 800]);
        // Four times as long, and so a quarter as often.
        assert_eq!(shares([(256, 1000), (256, 4000)], 500), [400, 100]);
    }

    #[test]
    fn a_channel_that_was_idle_has_no_credit() {
        let (mut schedule, mut busy, mut idle) = (Schedule::default(), 0, 0);
        schedule.insert(0, &mut busy);
        for _ in 0..100 {
            schedule.take();
            busy = end(busy, 1000, 256);
            schedule.insert(0, &mut busy);
        }
        schedule.insert(1, &mut idle);
        let order: Vec<_> = std::iter::repeat_with(|| {
            let channel = schedule.take().expect("both wait");
            let next = if channel == 0 { &mut busy } else { &mut idle };
            *next = end(*next, 1000, 256);
            schedule.insert(channel, next);
            channel
        })
        .take(6)
        .collect();
        assert_eq!(order.iter().filter(|channel| **channel == 0).count(), 3, "{order:?}");
    }
}
