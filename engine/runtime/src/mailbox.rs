//! From worker to worker: what one machine hands to another, copied once.
//!
//! Each worker has a mailbox: a bounded queue of envelopes, and a second one with those that are empty. A sender takes an empty envelope, fills it,
//! and puts it into the first; the receiver reads it where it lies, and gives it back. So nothing is shared but the two queues. There
//! are as many envelopes as have ever waited at once, up to a bound; then the mailbox is full.
//!
//! A receiver that is at work finds its envelopes by itself. Only one that is about to sleep has to be woken: it says so in a flag, looks once
//! more, and then sleeps; a sender that finds the flag takes it away, and wakes. Flag and queue are sequentially consistent, so that of
//! a envelope that comes meanwhile one of the two knows.

use crate::limits::{ENVELOPE_BYTES_MAX, MAILBOX_ENVELOPES_MAX};
use crossbeam_queue::ArrayQueue;
use machine::WorkerId;
use mio::Waker;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What has been handed over, since the worker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxStats {
    /// Envelopes given to other workers.
    pub sent: u64,
    /// Envelopes not given, because the other worker's mailbox was full, or there is no such worker, or they were too long.
    pub dropped: u64,
    /// Envelopes of other workers taken.
    pub received: u64,
    /// Times that another worker was woken.
    pub wakes: u64,
}

/// Bytes on their way, and who they are from.
#[derive(Debug)]
pub struct Envelope {
    from: WorkerId,
    len: u16,
    bytes: [u8; ENVELOPE_BYTES_MAX],
}

const _: () = assert!(ENVELOPE_BYTES_MAX <= u16::MAX as usize);

impl Envelope {
    /// Who has handed it over.
    pub fn from(&self) -> WorkerId {
        self.from
    }

    /// What.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[derive(Debug)]
struct Mailbox {
    filled: ArrayQueue<Box<Envelope>>,
    empty: ArrayQueue<Box<Envelope>>,
    /// Envelopes that there are.
    made: AtomicUsize,
    is_asleep: AtomicBool,
    /// Set when its worker is made.
    waker: OnceLock<Arc<Waker>>,
}

impl Mailbox {
    fn new() -> Self {
        Self {
            filled: ArrayQueue::new(MAILBOX_ENVELOPES_MAX),
            empty: ArrayQueue::new(MAILBOX_ENVELOPES_MAX),
            made: AtomicUsize::new(0),
            is_asleep: AtomicBool::new(false),
            waker: OnceLock::new(),
        }
    }

    /// One that is empty; the first few times, a new one.
    fn empty(&self) -> Option<Box<Envelope>> {
        if let Some(envelope) = self.empty.pop() {
            return Some(envelope);
        }
        let has_room = |made: usize| (made < MAILBOX_ENVELOPES_MAX).then_some(made + 1);
        self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room).ok()?;
        Some(Box::new(Envelope { from: WorkerId(0), len: 0, bytes: [0; ENVELOPE_BYTES_MAX] }))
    }
}

/// One worker's way to the others, and its own mailbox.
#[derive(Debug, Default)]
pub struct Mailboxes {
    own: WorkerId,
    /// All mailboxes, this worker's among them. Empty where there are no others.
    mailboxes: Box<[Arc<Mailbox>]>,
    /// Whose mailbox has got something since they were woken last.
    touched: Vec<WorkerId>,
    stats: MailboxStats,
}

impl Mailboxes {
    /// The ends of so many workers, in their order. Where there is only one there is nobody to hand anything to.
    pub fn between(workers: usize) -> Vec<Self> {
        let mailboxes: Vec<Arc<Mailbox>> = match workers {
            0 | 1 => Vec::new(),
            several => (0..several).map(|_| Arc::new(Mailbox::new())).collect(),
        };
        let end = |own: usize| Self {
            own: WorkerId(own as u16),
            mailboxes: mailboxes.clone().into_boxed_slice(),
            touched: Vec::with_capacity(workers),
            stats: MailboxStats::default(),
        };
        (0..workers).map(end).collect()
    }

    /// From now on the worker can be woken.
    pub(crate) fn set_waker(&self, waker: Arc<Waker>) {
        if let Some(mailbox) = self.own() {
            // A worker is made once.
            let _ = mailbox.waker.set(waker);
        }
    }

    /// What has been handed over so far.
    pub fn stats(&self) -> MailboxStats {
        self.stats
    }

    fn own(&self) -> Option<&Mailbox> {
        self.mailboxes.get(usize::from(self.own.0)).map(|mailbox| &**mailbox)
    }

    /// Copies `head` and behind it `body` into the mailbox of `worker`. False, and counted, if that cannot be.
    pub fn send(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        let len = head.len() + body.len();
        let mailbox = self.mailboxes.get(usize::from(worker.0)).filter(|_| worker != self.own);
        let envelope = mailbox.filter(|_| len <= ENVELOPE_BYTES_MAX).and_then(|mailbox| mailbox.empty());
        let (Some(mailbox), Some(mut envelope)) = (mailbox, envelope) else {
            self.stats.dropped += 1;
            return false;
        };
        envelope.from = self.own;
        envelope.len = len as u16;
        envelope.bytes[..head.len()].copy_from_slice(head);
        envelope.bytes[head.len()..len].copy_from_slice(body);
        // Never full: there are no more envelopes than places.
        let _ = mailbox.filled.push(envelope);
        self.stats.sent += 1;
        if !self.touched.contains(&worker) {
            self.touched.push(worker);
        }
        true
    }

    /// Wakes those who have got something and sleep.
    pub(crate) fn wake_receivers(&mut self) {
        for worker in self.touched.drain(..) {
            let Some(mailbox) = self.mailboxes.get(usize::from(worker.0)) else { continue };
            if mailbox.is_asleep.swap(false, Ordering::SeqCst)
                && let Some(waker) = mailbox.waker.get()
            {
                self.stats.wakes += 1;
                // Fails only if that worker's poll is gone, and then nobody is there to read.
                let _ = waker.wake();
            }
        }
    }

    /// The oldest envelope for this worker. It is to be [given back](Self::recycle).
    pub fn receive(&mut self) -> Option<Box<Envelope>> {
        let envelope = self.own()?.filled.pop()?;
        self.stats.received += 1;
        Some(envelope)
    }

    /// A envelope that has been read: the next sender may have it.
    pub fn recycle(&self, envelope: Box<Envelope>) {
        if let Some(mailbox) = self.own() {
            // Never full, as above.
            let _ = mailbox.empty.push(envelope);
        }
    }

    /// Whether there is a envelope for this worker.
    pub(crate) fn has_work(&self) -> bool {
        self.own().is_some_and(|mailbox| !mailbox.filled.is_empty())
    }

    /// The worker is about to sleep: whether it may. If so, whoever gives it something from now on wakes it.
    pub(crate) fn may_sleep(&self) -> bool {
        let Some(mailbox) = self.own() else { return true };
        mailbox.is_asleep.store(true, Ordering::SeqCst);
        mailbox.filled.is_empty()
    }

    /// The worker is at work, and looks by itself.
    pub(crate) fn set_awake(&self) {
        if let Some(mailbox) = self.own() {
            mailbox.is_asleep.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Mailboxes, Mailboxes) {
        let mut ends = Mailboxes::between(2).into_iter();
        (ends.next().expect("two"), ends.next().expect("two"))
    }

    const SECOND: WorkerId = WorkerId(1);

    #[test]
    fn what_is_given_comes_in_order_and_says_from_whom() {
        let (mut first, mut second) = pair();
        assert!(first.send(SECOND, b"head", b"body"));
        assert!(first.send(SECOND, b"", &[7; ENVELOPE_BYTES_MAX]));
        let envelope = second.receive().expect("given");
        assert_eq!((envelope.from(), envelope.bytes()), (WorkerId(0), &b"headbody"[..]));
        second.recycle(envelope);
        assert_eq!(second.receive().expect("given").bytes(), [7; ENVELOPE_BYTES_MAX]);
        assert!(second.receive().is_none() && first.receive().is_none());
    }

    #[test]
    fn a_full_mailbox_takes_nothing_until_it_is_read() {
        let (mut first, mut second) = pair();
        for _ in 0..MAILBOX_ENVELOPES_MAX {
            assert!(first.send(SECOND, b"x", b""));
        }
        assert!(!first.send(SECOND, b"x", b""));
        let envelope = second.receive().expect("given");
        assert!(!first.send(SECOND, b"x", b""), "it is being read");
        second.recycle(envelope);
        assert!(first.send(SECOND, b"x", b""));
        assert_eq!(first.stats().dropped, 2);
    }

    #[test]
    fn there_is_nobody_to_give_to_beyond_the_others() {
        let (mut first, _second) = pair();
        for nobody in [WorkerId(0), WorkerId(2), WorkerId(u16::MAX)] {
            assert!(!first.send(nobody, b"x", b""));
        }
        assert!(!first.send(SECOND, b"x", &[0; ENVELOPE_BYTES_MAX]));
        assert_eq!(first.stats(), MailboxStats { dropped: 4, ..MailboxStats::default() });
        let mut only = Mailboxes::between(1).remove(0);
        assert!(!only.send(WorkerId(0), b"x", b"") && !only.has_work() && only.may_sleep());
    }

    #[test]
    fn a_sleeper_is_woken_once_and_one_at_work_not_at_all() {
        let poll = mio::Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(0)).expect("a waker"));
        let (mut first, mut second) = pair();
        second.set_waker(waker);
        first.send(SECOND, b"x", b"");
        first.wake_receivers();
        assert_eq!(first.stats().wakes, 0, "it has not said that it sleeps");
        assert!(!second.may_sleep(), "there is something to read");
        second.set_awake();
        let envelope = second.receive().expect("given");
        second.recycle(envelope);
        assert!(second.may_sleep());
        first.send(SECOND, b"x", b"");
        first.send(SECOND, b"y", b"");
        first.wake_receivers();
        first.send(SECOND, b"z", b"");
        first.wake_receivers();
        assert_eq!(first.stats().wakes, 1);
    }
}
