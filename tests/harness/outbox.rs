//! The send batch of a machine under test: stores everything that is written, and can be full.

use machine::{Flow, Path, Rng, Tx, WorkerId};
use std::ops::Range;

/// Refusals in one call after which a machine obviously retries endlessly: more than any call has to send.
const REFUSED_IN_A_ROW_MAX: u32 = 100_000;

/// A message for another worker.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandedOff {
    /// All of it, or what is before the buffer.
    pub bytes: Vec<u8>,
    /// What is moved.
    pub buffer: Option<Box<[u8]>>,
}

/// Collects the datagrams of one turn. Slots start as `0xa5`, so that an unwritten byte is visible.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    datagrams: Vec<(Flow, Path, Range<usize>)>,
    /// The probability that a slot is refused, as if the batch was full.
    refusal: Option<(Rng, f64)>,
    refused: u64,
    refused_in_a_row: u32,
    handed: Vec<(WorkerId, HandedOff)>,
    /// The probability that a message is lost, as if the other worker's mailbox was full.
    hand_off_refusal: Option<(Rng, f64)>,
}

impl Outbox {
    /// Never full.
    pub fn new() -> Self {
        Self {
            bytes: Vec::new(),
            datagrams: Vec::new(),
            refusal: None,
            refused: 0,
            refused_in_a_row: 0,
            handed: Vec::new(),
            hand_off_refusal: None,
        }
    }

    /// From now on, refuses slots with this probability.
    pub fn refuse(&mut self, rng: Rng, probability: f64) {
        self.refusal = Some((rng, probability));
    }

    /// From now on, loses messages to other workers with this probability.
    pub fn refuse_hand_offs(&mut self, rng: Rng, probability: f64) {
        self.hand_off_refusal = Some((rng, probability));
    }

    /// Takes the messages to other workers, in order.
    pub fn drain_handed(&mut self) -> Vec<(WorkerId, HandedOff)> {
        std::mem::take(&mut self.handed)
    }

    fn hand(&mut self, worker: WorkerId, bytes: Vec<u8>, buffer: Option<Box<[u8]>>) -> bool {
        if let Some((rng, probability)) = &mut self.hand_off_refusal
            && rng.chance(*probability)
        {
            return false;
        }
        self.handed.push((worker, HandedOff { bytes, buffer }));
        true
    }

    /// How many slots were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes the written datagrams, in order.
    pub fn drain(&mut self) -> Vec<(Path, Vec<u8>)> {
        self.drain_flows().into_iter().map(|(_, path, bytes)| (path, bytes)).collect()
    }

    /// The same, with their flows.
    pub fn drain_flows(&mut self) -> Vec<(Flow, Path, Vec<u8>)> {
        self.refused_in_a_row = 0;
        let datagrams = self.datagrams.drain(..);
        let taken = datagrams.map(|(flow, path, range)| (flow, path, self.bytes[range].to_vec())).collect();
        self.bytes.clear();
        taken
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Tx for Outbox {
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        if let Some((rng, probability)) = &mut self.refusal
            && rng.chance(*probability)
        {
            self.refused += 1;
            self.refused_in_a_row += 1;
            assert!(self.refused_in_a_row < REFUSED_IN_A_ROW_MAX, "a full batch is retried endlessly");
            return None;
        }
        self.refused_in_a_row = 0;
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0xa5);
        self.datagrams.push((flow, path, start..start + len));
        Some(&mut self.bytes[start..])
    }

    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.hand(worker, [head, body].concat(), None)
    }

    fn hand_off_buffer(&mut self, worker: WorkerId, head: &[u8], body: Box<[u8]>) -> bool {
        self.hand(worker, head.to_vec(), Some(body))
    }

    fn cancel(&mut self) {
        if let Some((_, _, range)) = self.datagrams.pop() {
            self.bytes.truncate(range.start);
        }
    }

    fn prefetch<T: ?Sized>(&self, _soon: &T) {}

    fn end_of_flow(&mut self) {}

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        machine::forward_by_copy(self, flow, path, head, body)
    }
}
