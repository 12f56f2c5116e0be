//! A send batch that discards datagrams, and keeps messages for other shards.

use machine::{Flow, Path, Tx, WorkerId};
use std::ops::Range;

/// Bytes of the arena, as in the runtime's send batch: a larger one would not fit the cache, a smaller one
/// would stay in it longer than in production.
const ARENA_BYTES: usize = 4 << 20;

/// Datagrams of the arena, as the runtime has it.
const SLOTS: usize = 8 << 10;

/// Slots start on cache lines, as the runtime's do.
const SLOT_ALIGN: usize = 64;

/// Collects datagrams in one arena, and counts them. When it is full it starts again, as the runtime does
/// after a flush, so that the machine never waits; the last datagrams can be read back.
#[derive(Debug)]
pub struct Sink {
    arena: Box<[u8]>,
    used: usize,
    slots: Vec<(Path, Range<usize>)>,
    datagrams: u64,
    bytes: u64,
    handed: Vec<HandedOff>,
}

/// A message for another shard.
#[derive(Debug)]
pub(crate) struct HandedOff {
    pub(crate) to: WorkerId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) buffer: Option<Box<[u8]>>,
}

impl Sink {
    /// Allocates all memory it needs.
    pub fn new() -> Self {
        Self {
            arena: vec![0xa5; ARENA_BYTES].into_boxed_slice(),
            used: 0,
            slots: Vec::with_capacity(SLOTS),
            datagrams: 0,
            bytes: 0,
            handed: Vec::new(),
        }
    }

    /// Datagrams collected since the sink was created.
    pub fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Starts again: the batch counts as sent.
    pub fn flush(&mut self) {
        self.used = 0;
        self.slots.clear();
    }

    /// Messages for other shards since the last call, oldest first.
    pub(crate) fn take_handed(&mut self) -> Vec<HandedOff> {
        std::mem::take(&mut self.handed)
    }

    /// Datagrams since the last flush, oldest first.
    pub fn written(&self) -> impl Iterator<Item = (Path, &[u8])> {
        self.slots.iter().map(|(path, range)| (*path, &self.arena[range.clone()]))
    }
}

impl Default for Sink {
    fn default() -> Self {
        Self::new()
    }
}

impl Tx for Sink {
    fn slot(&mut self, _flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        if self.used + len > ARENA_BYTES || self.slots.len() == SLOTS {
            self.flush();
        }
        let range = self.used..self.used + len;
        self.used = range.end.next_multiple_of(SLOT_ALIGN);
        self.slots.push((path, range.clone()));
        self.datagrams += 1;
        self.bytes += len as u64;
        self.arena.get_mut(range)
    }

    fn cancel(&mut self) {
        if let Some((_, range)) = self.slots.pop() {
            self.used = range.start;
            self.datagrams -= 1;
            self.bytes -= range.len() as u64;
        }
    }

    fn prefetch<T: ?Sized>(&self, _soon: &T) {}

    fn end_of_flow(&mut self) {}

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        machine::forward_by_copy(self, flow, path, head, body)
    }

    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.handed.push(HandedOff { to: worker, bytes: [head, body].concat(), buffer: None });
        true
    }

    fn hand_off_buffer(&mut self, worker: WorkerId, head: &[u8], body: Box<[u8]>) -> bool {
        self.handed.push(HandedOff { to: worker, bytes: head.to_vec(), buffer: Some(body) });
        true
    }
}
