//! Sending: [`Io`] owns everything that a datagram can leave by, and [`Outbox`] is the [`Tx`] that a machine
//! is called with.

use crate::limits::{DATAGRAM_BYTES_MAX, FORWARD_BYTES_MIN, SEND_FLOW_BYTES};
use crate::mailbox::Mailboxes;
use crate::sys;
use crate::tcp::connections::Connections;
use crate::udp::send::{ReceivedRange, SendBatch};
use crate::udp::sockets::Sockets;
use machine::{Flow, Instant, Path, Tx, WorkerId};
use std::ops::Range;

/// The ways out of a worker: its UDP sockets with the batch that is sent by them, its TCP connections, and
/// the mailboxes of the other workers.
#[derive(Debug)]
pub struct Io {
    pub(crate) sockets: Sockets,
    pub(crate) connections: Connections,
    pub(crate) batch: SendBatch,
    pub(crate) mailboxes: Mailboxes,
}

impl Io {
    /// Sends by these sockets; there are no TCP connections and no other workers.
    pub fn new(sockets: Sockets) -> Self {
        let batch = SendBatch::new(&sockets);
        Self { sockets, connections: Connections::none(), batch, mailboxes: Mailboxes::default() }
    }

    /// A [`Tx`] that writes into the batch. A full batch is flushed, so that no datagram is lost to its size.
    pub fn tx(&mut self, now: Instant) -> Outbox<'_> {
        Outbox { io: self, now, received: 0..0 }
    }

    /// The same while datagrams are handed over from a receive arena at these addresses.
    /// [`flush_received`](Self::flush_received) must follow, with that arena.
    pub(crate) fn tx_receiving(&mut self, now: Instant, arena: &[u8]) -> Outbox<'_> {
        let addresses = arena.as_ptr_range();
        Outbox { io: self, now, received: addresses.start.addr()..addresses.end.addr() }
    }

    /// Sends everything that waits, and wakes the workers that have something in their mailboxes.
    pub fn flush(&mut self, now: Instant) {
        self.flush_received(now, &[]);
    }

    /// The same, with the receive arena that [forwarded](Tx::forward) datagrams lie in.
    pub(crate) fn flush_received(&mut self, now: Instant, received: &[u8]) {
        let Self { sockets, connections, batch, mailboxes } = self;
        mailboxes.wake_receivers();
        // The datagrams of one connection are adjacent: it is looked up once.
        let mut known: Option<(Path, Option<u32>)> = None;
        batch.flush(sockets, received, |path, frame| {
            let (_, connection) = match known {
                Some(known) if known.0 == path => known,
                _ => *known.insert((path, connections.find(path))),
            };
            connections.queue(now, connection, frame);
        });
        connections.write_queued(now);
    }
}

/// The [`Tx`] of an [`Io`].
#[derive(Debug)]
pub struct Outbox<'a> {
    io: &'a mut Io,
    now: Instant,
    /// Addresses of the receive arena that datagrams are handed over from. They are compared, and never
    /// dereferenced.
    received: Range<usize>,
}

impl Outbox<'_> {
    /// Where in the receive arena these bytes lie, if they do.
    fn range_in_arena(&self, body: &[u8]) -> Option<ReceivedRange> {
        let start = body.as_ptr().addr();
        let offset = start.checked_sub(self.received.start)?;
        (start + body.len() <= self.received.end)
            .then_some(ReceivedRange { offset: offset as u32, len: body.len() as u32 })
    }
}

impl Tx for Outbox<'_> {
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        // With a forwarded datagram the batch cannot be flushed before the receive arena is available: it is
        // full.
        if !self.io.batch.has_room(len) && !self.io.batch.has_received() {
            self.io.flush(self.now);
        }
        self.io.batch.slot(flow, path, len)
    }

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        let in_place =
            self.range_in_arena(body).filter(|_| body.len() >= FORWARD_BYTES_MIN && !path.local.is_tcp());
        let copied = if in_place.is_some() { 0 } else { body.len() };
        if head.len() + body.len() > DATAGRAM_BYTES_MAX {
            self.io.batch.count_dropped();
            return false;
        }
        let Some(slot) = self.slot(flow, path, head.len() + copied) else { return false };
        let (front, back) = slot.split_at_mut(head.len());
        front.copy_from_slice(head);
        back.copy_from_slice(&body[..copied]);
        if let Some(range) = in_place {
            self.io.batch.add_received(range);
        }
        true
    }

    fn prefetch<T: ?Sized>(&self, soon: &T) {
        sys::prefetch(soon);
    }

    fn end_of_flow(&mut self) {
        if self.io.batch.used() >= SEND_FLOW_BYTES && !self.io.batch.has_received() {
            self.io.flush(self.now);
        }
    }

    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.io.mailboxes.send(worker, head, body)
    }

    fn hand_off_buffer(&mut self, worker: WorkerId, head: &[u8], body: Box<[u8]>) -> bool {
        self.io.mailboxes.send_buffer(worker, head, body)
    }

    fn cancel(&mut self) {
        self.io.batch.cancel();
    }
}

#[cfg(test)]
mod tests;
