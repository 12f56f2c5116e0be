//! Mailboxes between workers: messages from one machine to another, copied once. A message may have a buffer,
//! which is moved.
//!
//! Each worker has a mailbox: a bounded queue of filled envelopes, and a queue of empty ones. A sender takes
//! an empty envelope, fills it, and pushes it to the first queue. The receiver reads it in place and returns
//! it to the second. Workers share only the two queues. Envelopes are allocated when needed, up to a bound;
//! then the mailbox is full.
//!
//! A receiver that is awake polls its mailbox. Before it sleeps, it sets a flag and polls once more; a sender
//! that finds the flag set clears it and wakes the receiver. Flag and queue are sequentially consistent, so
//! at least one of the two sees an envelope that arrives in between.

use crate::limits::{ENVELOPE_BYTES_MAX, MAILBOX_BUFFER_BYTES_MAX, MAILBOX_ENVELOPES_MAX};
use crossbeam_queue::ArrayQueue;
use machine::WorkerId;
use mio::Waker;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Counters since the worker was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailboxStats {
    /// Envelopes sent to other workers.
    pub sent: u64,
    /// Envelopes not sent: the mailbox was full, the worker does not exist, or the message was too long.
    pub dropped: u64,
    /// Envelopes received from other workers.
    pub received: u64,
    /// Number of times another worker was woken.
    pub wakes: u64,
}

/// A message and its sender.
#[derive(Debug)]
pub struct Envelope {
    from: WorkerId,
    len: u16,
    bytes: [u8; ENVELOPE_BYTES_MAX],
    buffer: Option<Box<[u8]>>,
}

const _: () = assert!(ENVELOPE_BYTES_MAX <= u16::MAX as usize && size_of::<Envelope>() == 2 << 10);

impl Envelope {
    /// The sender.
    pub fn from(&self) -> WorkerId {
        self.from
    }

    /// The message.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The message, to be changed in place.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.len)]
    }

    /// Takes the buffer of the message, if it has one.
    pub fn take_buffer(&mut self) -> Option<Box<[u8]>> {
        self.buffer.take()
    }
}

#[derive(Debug)]
struct Mailbox {
    filled: ArrayQueue<Box<Envelope>>,
    empty: ArrayQueue<Box<Envelope>>,
    /// Envelopes that were allocated.
    made: AtomicUsize,
    /// Bytes of the buffers in it.
    buffer_bytes: AtomicUsize,
    is_asleep: AtomicBool,
    /// Set when its worker is created.
    waker: OnceLock<Arc<Waker>>,
}

impl Mailbox {
    fn new() -> Self {
        Self {
            filled: ArrayQueue::new(MAILBOX_ENVELOPES_MAX),
            empty: ArrayQueue::new(MAILBOX_ENVELOPES_MAX),
            made: AtomicUsize::new(0),
            buffer_bytes: AtomicUsize::new(0),
            is_asleep: AtomicBool::new(false),
            waker: OnceLock::new(),
        }
    }

    /// Whether a buffer of this length fits. Senders may exceed the bound by one buffer each, if they ask at the
    /// same time.
    fn has_room(&self, len: usize) -> bool {
        len == 0 || self.buffer_bytes.load(Ordering::Relaxed) + len <= MAILBOX_BUFFER_BYTES_MAX
    }

    /// An empty envelope; a new one while there are fewer than the bound.
    fn empty(&self) -> Option<Box<Envelope>> {
        if let Some(envelope) = self.empty.pop() {
            return Some(envelope);
        }
        let has_room = |made: usize| (made < MAILBOX_ENVELOPES_MAX).then_some(made + 1);
        self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room).ok()?;
        Some(Box::new(Envelope { from: WorkerId(0), len: 0, bytes: [0; ENVELOPE_BYTES_MAX], buffer: None }))
    }
}

/// The mailboxes of all workers, as seen by one of them.
#[derive(Debug, Default)]
pub struct Mailboxes {
    own: WorkerId,
    /// All mailboxes, including this worker's. Empty if there are no other workers.
    mailboxes: Box<[Arc<Mailbox>]>,
    /// Workers that were sent something since they were woken last.
    touched: Vec<WorkerId>,
    stats: MailboxStats,
}

impl Mailboxes {
    /// The mailboxes of this number of workers, in their order. A single worker has none.
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

    /// Sets the waker of this worker.
    pub(crate) fn set_waker(&self, waker: Arc<Waker>) {
        if let Some(mailbox) = self.own() {
            // A worker is created once.
            let _ = mailbox.waker.set(waker);
        }
    }

    /// The counters.
    pub fn stats(&self) -> MailboxStats {
        self.stats
    }

    fn own(&self) -> Option<&Mailbox> {
        self.mailboxes.get(usize::from(self.own.0)).map(|mailbox| &**mailbox)
    }

    /// Copies `head`, followed by `body`, into the mailbox of `worker`. False, and counted, if that is
    /// impossible.
    pub fn send(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.send_with(worker, head, body, None)
    }

    /// Copies `head` into the mailbox of `worker`, and moves `buffer` there. False, and counted, if that is
    /// impossible.
    pub fn send_buffer(&mut self, worker: WorkerId, head: &[u8], buffer: Box<[u8]>) -> bool {
        self.send_with(worker, head, &[], Some(buffer))
    }

    fn send_with(&mut self, worker: WorkerId, head: &[u8], body: &[u8], buffer: Option<Box<[u8]>>) -> bool {
        let (len, buffer_len) = (head.len() + body.len(), buffer.as_ref().map_or(0, |buffer| buffer.len()));
        let mailbox = self.mailboxes.get(usize::from(worker.0)).filter(|_| worker != self.own);
        let mailbox = mailbox.filter(|mailbox| len <= ENVELOPE_BYTES_MAX && mailbox.has_room(buffer_len));
        let envelope = mailbox.and_then(|mailbox| mailbox.empty());
        let (Some(mailbox), Some(mut envelope)) = (mailbox, envelope) else {
            self.stats.dropped += 1;
            return false;
        };
        if let Some(buffer) = buffer {
            mailbox.buffer_bytes.fetch_add(buffer_len, Ordering::Relaxed);
            envelope.buffer = Some(buffer);
        }
        envelope.from = self.own;
        envelope.len = len as u16;
        envelope.bytes[..head.len()].copy_from_slice(head);
        envelope.bytes[head.len()..len].copy_from_slice(body);
        // Never full: its capacity is the bound of envelopes.
        let _ = mailbox.filled.push(envelope);
        self.stats.sent += 1;
        if !self.touched.contains(&worker) {
            self.touched.push(worker);
        }
        true
    }

    /// Wakes the workers that were sent something and sleep.
    pub(crate) fn wake_receivers(&mut self) {
        for worker in self.touched.drain(..) {
            let Some(mailbox) = self.mailboxes.get(usize::from(worker.0)) else { continue };
            if mailbox.is_asleep.swap(false, Ordering::SeqCst)
                && let Some(waker) = mailbox.waker.get()
            {
                self.stats.wakes += 1;
                // This fails only if the poll of that worker no longer exists.
                let _ = waker.wake();
            }
        }
    }

    /// The oldest envelope for this worker. [`recycle`](Self::recycle) must follow.
    pub fn receive(&mut self) -> Option<Box<Envelope>> {
        let mailbox = self.own()?;
        let envelope = mailbox.filled.pop()?;
        if let Some(buffer) = &envelope.buffer {
            mailbox.buffer_bytes.fetch_sub(buffer.len(), Ordering::Relaxed);
        }
        self.stats.received += 1;
        Some(envelope)
    }

    /// Returns an envelope that was read, for the next sender.
    pub fn recycle(&self, mut envelope: Box<Envelope>) {
        envelope.buffer = None;
        if let Some(mailbox) = self.own() {
            // Never full, as above.
            let _ = mailbox.empty.push(envelope);
        }
    }

    /// Whether there is an envelope for this worker.
    pub(crate) fn has_work(&self) -> bool {
        self.own().is_some_and(|mailbox| !mailbox.filled.is_empty())
    }

    /// Whether the worker may sleep. If so, a sender wakes it from now on.
    pub(crate) fn may_sleep(&self) -> bool {
        let Some(mailbox) = self.own() else { return true };
        mailbox.is_asleep.store(true, Ordering::SeqCst);
        mailbox.filled.is_empty()
    }

    /// The worker is awake and polls its mailbox.
    pub(crate) fn set_awake(&self) {
        if let Some(mailbox) = self.own() {
            mailbox.is_asleep.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests;
