//! Receiving in batches: many datagrams per system call, into one arena.

use crate::clock::ReceiveTimestamps;
use crate::limits::{RECEIVE_BYTES_GRO, RECEIVE_BYTES_PLAIN, RECEIVE_MESSAGES, RECEIVE_STAGGER};
use crate::sys::{self, Incoming};
use crate::udp::sockets::Sockets;
use machine::{Datagram, Instant, LocalId, Path};
use std::io;

/// Counters since the receiver was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveStats {
    /// Datagrams passed to the machine.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that contained them: fewer than datagrams if the kernel joined some.
    pub messages: u64,
    /// `recvmmsg` calls.
    pub syscalls: u64,
    /// Messages dropped because they were longer than a receive buffer.
    pub dropped_truncated: u64,
    /// Messages dropped because their source is no usable address.
    pub dropped_source: u64,
    /// Datagrams the kernel dropped because a socket's buffer was full: this worker was too slow.
    pub dropped_by_kernel: u64,
    /// `recvmmsg` calls that failed, except for an empty socket. A few can each concern one datagram; 1000
    /// per second and socket mean a socket that has stopped working.
    pub errors: u64,
}

/// The receive arena of one worker.
#[derive(Debug)]
pub(crate) struct Receiver {
    arena: Box<[u8]>,
    room: usize,
    incoming: Box<[Incoming]>,
    /// Messages of the next call: preparing for 64 costs more than the packet if one comes at a time.
    ask: usize,
    /// The last overflow count of each socket that is open from the start.
    overflowed: Vec<u32>,
    /// The last overflow count of each socket on demand.
    overflowed_on_demand: Vec<u32>,
    stats: ReceiveStats,
}

/// Whether a socket has more to read after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// It is empty: the next datagram makes it readable again.
    No,
    /// It may have more.
    Maybe,
}

/// A batch that was received from one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    local: LocalId,
    messages: usize,
    asked: usize,
}

impl Received {
    /// Whether the socket may have more.
    pub(crate) fn more(self) -> More {
        if self.messages < self.asked { More::No } else { More::Maybe }
    }
}

/// Messages of one call, at least.
const ASK_MIN: usize = 8;

impl Receiver {
    /// With an arena for the messages of these sockets.
    pub(crate) fn new(sockets: &Sockets) -> Self {
        let room = if sockets.gro() { RECEIVE_BYTES_GRO } else { RECEIVE_BYTES_PLAIN };
        Self {
            arena: vec![0; (room + RECEIVE_STAGGER) * RECEIVE_MESSAGES].into_boxed_slice(),
            room,
            incoming: vec![Incoming::default(); RECEIVE_MESSAGES].into_boxed_slice(),
            ask: ASK_MIN,
            overflowed: vec![0; sockets.len()],
            overflowed_on_demand: Vec::new(),
            stats: ReceiveStats::default(),
        }
    }

    /// Receives one batch from one socket, without waiting. [`hand_over`](Self::hand_over) must follow. An
    /// empty socket is an error of kind [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub(crate) fn receive(&mut self, sockets: &Sockets, local: LocalId) -> io::Result<Received> {
        let asked = self.ask;
        let Some(fd) = sockets.fd(local) else { return Ok(Received { local, messages: 0, asked }) };
        self.stats.syscalls += 1;
        let stride = self.room + RECEIVE_STAGGER;
        let messages = sys::receive(fd, &mut self.arena, stride, self.room, &mut self.incoming[..asked])
            .inspect_err(|error| self.stats.errors += u64::from(error.kind() != io::ErrorKind::WouldBlock))?;
        self.ask = if messages == asked { RECEIVE_MESSAGES } else { (messages * 2).max(ASK_MIN) };
        self.ask = self.ask.min(RECEIVE_MESSAGES);
        Ok(Received { local, messages, asked })
    }

    /// Hands over each datagram of the batch that was received last.
    pub(crate) fn hand_over(
        &mut self,
        Received { local, messages, .. }: Received,
        timestamps: &ReceiveTimestamps,
        now: Instant,
        mut hand_over: impl FnMut(Datagram<'_>),
    ) {
        let stride = self.room + RECEIVE_STAGGER;
        for (incoming, buffer) in self.incoming[..messages].iter().zip(self.arena.chunks_exact_mut(stride)) {
            let ancillary = incoming.ancillary();
            let before = match local.on_demand_index() {
                Some(index) => self.overflowed_on_demand.get_mut(usize::from(index)),
                None => self.overflowed.get_mut(usize::from(local.0)),
            };
            if let (Some(count), Some(before)) = (ancillary.overflowed, before) {
                self.stats.dropped_by_kernel += u64::from(count.wrapping_sub(*before));
                *before = count;
            }
            if incoming.truncated {
                self.stats.dropped_truncated += 1;
                continue;
            }
            let Some(remote) = incoming.source() else {
                self.stats.dropped_source += 1;
                continue;
            };
            let path = Path { local, remote };
            let received_at = timestamps.instant(ancillary.realtime_nanos, now);
            let bytes = &mut buffer[..incoming.len.min(self.room)];
            self.stats.messages += 1;
            self.stats.bytes += bytes.len() as u64;
            let segment = ancillary.segment_bytes.unwrap_or(bytes.len()).max(1);
            if bytes.is_empty() {
                // A datagram may be empty. It has no segments, so it is passed on here.
                self.stats.datagrams += 1;
                hand_over(Datagram { path, received_at, bytes });
                continue;
            }
            for bytes in bytes.chunks_mut(segment) {
                self.stats.datagrams += 1;
                hand_over(Datagram { path, received_at, bytes });
            }
        }
    }

    /// A socket on demand was opened: the kernel counts its losses from zero.
    pub(crate) fn on_opened(&mut self, local: LocalId) {
        let Some(index) = local.on_demand_index().map(usize::from) else { return };
        if index >= self.overflowed_on_demand.len() {
            self.overflowed_on_demand.resize(index + 1, 0);
        }
        self.overflowed_on_demand[index] = 0;
    }

    /// The arena of received datagrams. It is valid until the next batch is received.
    pub(crate) fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// The counters.
    pub(crate) fn stats(&self) -> ReceiveStats {
        self.stats
    }
}
