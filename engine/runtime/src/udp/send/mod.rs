//! The send batch: a machine writes datagrams into slots, and a flush sends them with few system calls.
//!
//! Slots are claimed in any order across flows. A flush processes one flow after the other: consecutive
//! datagrams of one path and one length (the last may be shorter) become one run. The kernel gathers a run
//! from its slots (and a forwarded body from the receive arena) without a copy here, and the kernel or the
//! network card splits it into datagrams (UDP GSO). All runs of a socket leave by `sendmmsg`. Datagrams for
//! TCP connections are passed to the caller of the flush.

use crate::limits::{
    DATAGRAM_BYTES_MAX, FLOWS_MAX, RUN_BYTES_MAX, RUN_SEGMENTS_MAX, SEND_ARENA_BYTES, SEND_SLOTS,
    SOCKETS_MAX, WOULD_BLOCK_TRIES,
};
use crate::sys::{self, Piece, Run};
use crate::udp::sockets::Sockets;
use machine::{Flow, LocalId, Path};
use std::io;
use std::ops::Range;

/// Counters since the batch was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendStats {
    /// Datagrams that the kernel accepted.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// `sendmmsg` calls.
    pub syscalls: u64,
    /// Messages that the kernel accepted: runs of several datagrams, and single datagrams.
    pub runs: u64,
    /// Those of them with more than one datagram.
    pub gso_runs: u64,
    /// Runs that the kernel refused for their destination, sent as single datagrams.
    pub split_runs: u64,
    /// Datagrams refused because the batch was full, or because no batch could hold them.
    pub dropped_full: u64,
    /// Datagrams dropped because the socket's send buffer was full.
    pub dropped_wouldblock: u64,
    /// Datagrams dropped because the kernel cannot send to their destination.
    pub errors: u64,
}

/// Slots for one batch of datagrams, in one arena.
#[derive(Debug)]
pub(crate) struct SendBatch {
    arena: Box<[u8]>,
    /// Bytes of the arena that are claimed.
    used: usize,
    slots: Vec<Slot>,
    slots_max: usize,
    /// The slots of each flow, as a list. It grows when a flow is first used, not per packet.
    flows: Vec<List>,
    /// Flows with slots, in the order of their first slot.
    touched: Vec<u32>,
    /// One bit for each socket that is open from the start: a slot leaves by it.
    locals: u32,
    /// Flows and the sockets on demand that their slots leave by, some twice. Each such socket serves one
    /// flow.
    on_demand: Vec<(u32, LocalId)>,
    /// Whether the last slot can still be cancelled.
    can_cancel: bool,
    /// Whether the body of a slot is in the receive arena. The batch can then only be flushed together with
    /// that arena.
    has_received: bool,
    gso: bool,
    plan: Plan,
    stats: SendStats,
}

/// What a flush of one socket sends. It is kept for its capacity.
#[derive(Debug, Default)]
struct Plan {
    pieces: Vec<Piece>,
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    path: Path,
    flow: u32,
    offset: u32,
    /// Bytes in the send arena.
    len: u32,
    /// The rest of the datagram, in the receive arena.
    received: Option<ReceivedRange>,
    next: u32,
    /// The previous slot of the flow, for `cancel`.
    previous: u32,
}

/// A part of the receive arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedRange {
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

impl Slot {
    /// Bytes of the datagram.
    fn bytes(&self) -> u32 {
        self.len + self.received.map_or(0, |body| body.len)
    }

    /// The parts that the kernel gathers it from.
    fn pieces(&self) -> impl Iterator<Item = Piece> + Clone {
        let body =
            self.received.map(|ReceivedRange { offset, len }| Piece { is_received: true, offset, len });
        let own = Piece { is_received: false, offset: self.offset, len: self.len };
        // A datagram without a head is only its body; an empty datagram is one empty piece.
        let own = Some(own).filter(|own| own.len > 0 || body.is_none());
        own.into_iter().chain(body)
    }
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;
const EMPTY: List = List { first: NONE, last: NONE };

/// The bit of all other socket numbers: TCP listeners, sockets on demand, and numbers without a socket.
const NO_SOCKET: u16 = 31;
const _: () = assert!(SOCKETS_MAX <= NO_SOCKET as usize);

/// Slots start on cache lines: the cipher writes whole ones.
const SLOT_ALIGN: usize = 64;

impl SendBatch {
    /// A batch of the default size for these sockets.
    pub(crate) fn new(sockets: &Sockets) -> Self {
        Self::with_capacity(sockets.gso(), SEND_ARENA_BYTES, SEND_SLOTS)
    }

    /// A batch of `arena_bytes` and `slots_max` datagrams. It makes runs only if `gso`.
    pub(crate) fn with_capacity(gso: bool, arena_bytes: usize, slots_max: usize) -> Self {
        let arena_bytes = arena_bytes.min(u32::MAX as usize / 2);
        let slots_max = slots_max.min(NONE as usize);
        Self {
            arena: vec![0; arena_bytes].into_boxed_slice(),
            used: 0,
            slots: Vec::with_capacity(slots_max),
            slots_max,
            flows: Vec::new(),
            touched: Vec::with_capacity(slots_max),
            locals: 0,
            on_demand: Vec::new(),
            can_cancel: false,
            has_received: false,
            gso,
            plan: Plan { pieces: Vec::with_capacity(slots_max), runs: Vec::with_capacity(slots_max) },
            stats: SendStats::default(),
        }
    }

    /// The counters.
    pub(crate) fn stats(&self) -> SendStats {
        self.stats
    }

    /// Bytes of the arena that are claimed.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Whether a datagram can only be flushed together with the receive arena.
    pub(crate) fn has_received(&self) -> bool {
        self.has_received
    }

    /// Counts a datagram that no batch can hold.
    pub(crate) fn count_dropped(&mut self) {
        self.stats.dropped_full += 1;
    }

    /// Whether a datagram of `len` bytes fits beside those that wait.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.slots.len() < self.slots_max && len <= self.arena.len() - self.used
    }

    /// See [`machine::Tx::slot`].
    pub(crate) fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        let index = flow.0 as usize;
        if !self.has_room(len) || len > DATAGRAM_BYTES_MAX || index >= FLOWS_MAX {
            self.stats.dropped_full += 1;
            return None;
        }
        if index >= self.flows.len() {
            self.flows.resize((index + 1).next_power_of_two(), EMPTY);
        }
        let at = self.slots.len() as u32;
        let list = &mut self.flows[index];
        let previous = list.last;
        let is_noted = self.slots.get(previous as usize).is_some_and(|slot| slot.path.local == path.local);
        match self.slots.get_mut(previous as usize) {
            Some(previous) => previous.next = at,
            None => {
                list.first = at;
                self.touched.push(flow.0);
            }
        }
        list.last = at;
        let offset = self.used;
        let (offset, len) = (offset as u32, len as u32);
        let slot = Slot { path, flow: flow.0, offset, len, received: None, next: NONE, previous };
        self.slots.push(slot);
        self.locals |= 1 << path.local.0.min(NO_SOCKET);
        if path.local.on_demand_index().is_some() && !is_noted {
            self.on_demand.push((flow.0, path.local));
        }
        self.can_cancel = true;
        let (offset, len) = (offset as usize, len as usize);
        self.used = (offset + len).next_multiple_of(SLOT_ALIGN).min(self.arena.len());
        Some(&mut self.arena[offset..offset + len])
    }

    /// See [`machine::Tx::cancel`].
    pub(crate) fn cancel(&mut self) {
        if !self.can_cancel {
            return;
        }
        self.can_cancel = false;
        let Some(slot) = self.slots.pop() else { return };
        self.used = slot.offset as usize;
        let list = &mut self.flows[slot.flow as usize];
        match self.slots.get_mut(slot.previous as usize) {
            Some(previous) => {
                previous.next = NONE;
                list.last = slot.previous;
            }
            None => {
                // The slot was the first of its flow and the last of the batch, so its flow was touched last.
                *list = EMPTY;
                self.touched.pop();
            }
        }
    }

    /// Sends every datagram that waits, and clears the batch: a datagram that the socket does not accept is
    /// dropped and counted. `received` is the receive arena that [forwarded](Self::add_received) datagrams
    /// lie in. Each datagram for a TCP connection is passed to `queue`.
    pub(crate) fn flush(&mut self, sockets: &Sockets, received: &[u8], queue: impl FnMut(Path, &[u8])) {
        if self.slots.is_empty() {
            self.on_demand.clear();
            return;
        }
        let mut plan = std::mem::take(&mut self.plan);
        for (local, fd) in sockets.iter() {
            if self.locals & 1 << local.0 != 0 {
                self.plan_socket(local, &mut plan);
                self.transmit(&mut plan, |arena, pieces, runs| {
                    sys::send(fd, (arena, received), pieces, runs)
                });
            }
        }
        self.flush_on_demand(sockets, &mut plan, received);
        let known = (1u32 << sockets.len()) - 1;
        if self.locals & !known != 0 {
            self.queue_frames(sockets, queue);
        }
        self.plan = plan;
        self.clear();
    }

    /// Sends by the sockets on demand. There can be many, each for few slots.
    fn flush_on_demand(&mut self, sockets: &Sockets, plan: &mut Plan, received: &[u8]) {
        let mut pairs = std::mem::take(&mut self.on_demand);
        pairs.sort_unstable();
        pairs.dedup();
        for (flow, local) in pairs.drain(..) {
            if let Some(fd) = sockets.fd(local) {
                plan.pieces.clear();
                plan.runs.clear();
                self.plan_flow(flow, local, plan);
                self.transmit(plan, |arena, pieces, runs| sys::send(fd, (arena, received), pieces, runs));
            }
        }
        self.on_demand = pairs;
    }

    /// Passes on the datagrams for TCP connections, flow by flow, and counts those whose socket does not
    /// exist.
    fn queue_frames(&mut self, sockets: &Sockets, mut queue: impl FnMut(Path, &[u8])) {
        for flow in &self.touched {
            let mut at = self.flows[*flow as usize].first;
            while let Some(slot) = self.slots.get(at as usize) {
                at = slot.next;
                if slot.path.local.is_tcp() {
                    queue(slot.path, &self.arena[slot.offset as usize..][..slot.len as usize]);
                } else if sockets.fd(slot.path.local).is_none() {
                    self.stats.errors += 1;
                }
            }
        }
    }

    fn clear(&mut self) {
        for flow in self.touched.drain(..) {
            self.flows[flow as usize] = EMPTY;
        }
        self.slots.clear();
        self.used = 0;
        self.locals = 0;
        self.can_cancel = false;
        self.has_received = false;
    }

    /// Makes runs of all slots that leave by `local`, flow by flow.
    fn plan_socket(&self, local: LocalId, plan: &mut Plan) {
        plan.pieces.clear();
        plan.runs.clear();
        for flow in &self.touched {
            self.plan_flow(*flow, local, plan);
        }
    }

    /// Makes runs of the slots of one flow that leave by `local`.
    fn plan_flow(&self, flow: u32, local: LocalId, plan: &mut Plan) {
        let segments_max = if self.gso { RUN_SEGMENTS_MAX as u32 } else { 1 };
        let mut open: Option<(Path, Run)> = None;
        let mut at = self.flows[flow as usize].first;
        while let Some(slot) = self.slots.get(at as usize) {
            at = slot.next;
            if slot.path.local != local {
                continue;
            }
            let (bytes, pieces) = (slot.bytes(), slot.pieces());
            let pieces_each = pieces.clone().count() as u32;
            if let Some((path, run)) = &mut open
                && *path == slot.path
                && run.count < segments_max
                && run.pieces_each == pieces_each
                && bytes <= u32::from(run.segment)
                && bytes > 0
                // All segments before must have the full length: only the last one may be shorter.
                && run.bytes == u32::from(run.segment) * run.count
                && run.bytes + bytes <= RUN_BYTES_MAX as u32
            {
                run.count += 1;
                run.bytes += bytes;
            } else {
                let run = Run {
                    target: slot.path.remote,
                    first: plan.pieces.len() as u32,
                    count: 1,
                    pieces_each,
                    segment: bytes as u16,
                    bytes,
                };
                plan.runs.extend(open.replace((slot.path, run)).map(|(_, run)| run));
            }
            plan.pieces.extend(pieces);
        }
        plan.runs.extend(open.map(|(_, run)| run));
    }

    /// Continues the slot claimed last with this part of the receive arena.
    pub(crate) fn add_received(&mut self, body: ReceivedRange) {
        if let Some(slot) = self.slots.last_mut() {
            slot.received = Some(body);
            self.has_received = true;
        }
    }

    /// Sends the planned runs in order. `send` returns how many of the given runs were sent. A run that fails
    /// is dropped; the others are sent.
    fn transmit(
        &mut self,
        plan: &mut Plan,
        mut send: impl FnMut(&[u8], &[Piece], &[Run]) -> io::Result<usize>,
    ) {
        let mut tries = WOULD_BLOCK_TRIES;
        let mut at = 0;
        while at < plan.runs.len() {
            self.stats.syscalls += 1;
            let error = match send(&self.arena, &plan.pieces, &plan.runs[at..]) {
                Ok(sent @ 1..) => {
                    for run in &plan.runs[at..at + sent] {
                        self.count_sent(run);
                    }
                    at += sent;
                    continue;
                }
                Ok(0) => 0,
                Err(error) => error.raw_os_error().unwrap_or(0),
            };
            let run = plan.runs[at];
            match error {
                libc::EINTR => continue,
                libc::EAGAIN | libc::ENOBUFS => {
                    self.stats.dropped_wouldblock += u64::from(run.count);
                    tries -= 1;
                    if tries == 0 {
                        let rest = &plan.runs[at + 1..];
                        self.stats.dropped_wouldblock +=
                            rest.iter().map(|run| u64::from(run.count)).sum::<u64>();
                        return;
                    }
                }
                // The network device has no checksum offload, which GSO requires. This holds for the whole
                // host.
                libc::EIO if run.count > 1 => {
                    tracing::warn!(
                        "the network device does not support UDP GSO: every datagram is sent separately from now on"
                    );
                    self.gso = false;
                    let all = plan.runs.len();
                    split(&mut plan.runs, at..all);
                    continue;
                }
                // This destination cannot receive runs (its path MTU is below our datagrams, or its port is
                // 0). Other destinations keep theirs: otherwise one peer could slow down all others.
                libc::EINVAL | libc::EMSGSIZE if run.count > 1 => {
                    self.stats.split_runs += 1;
                    split(&mut plan.runs, at..at + 1);
                    continue;
                }
                // For example: unreachable, forbidden by a firewall, port 0.
                _ => self.stats.errors += u64::from(run.count),
            }
            at += 1;
        }
    }

    fn count_sent(&mut self, run: &Run) {
        self.stats.runs += 1;
        self.stats.gso_runs += u64::from(run.count > 1);
        self.stats.datagrams += u64::from(run.count);
        self.stats.bytes += u64::from(run.bytes);
    }
}

/// Replaces some runs with their single datagrams.
fn split(runs: &mut Vec<Run>, which: Range<usize>) {
    let behind = runs.split_off(which.end);
    let runs_to_split = runs.split_off(which.start);
    for run in runs_to_split {
        let segment = u32::from(run.segment);
        runs.extend((0..run.count).map(|index| {
            let bytes = segment.min(run.bytes - index * segment);
            Run { first: run.first + index * run.pieces_each, count: 1, bytes, ..run }
        }));
    }
    runs.extend(behind);
}

#[cfg(test)]
mod tests;
