//! The send batch of a machine under test: keeps what is written, and can be full.

use machine::{Flow, Path, Rng, Tx};
use std::ops::Range;

/// Collects the datagrams of one turn. Slots start as `0xa5`, so that a byte nobody wrote shows.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    datagrams: Vec<(Path, Range<usize>)>,
    /// Chance that a slot is refused, as if the batch were full.
    refusal: Option<(Rng, f64)>,
    refused: u64,
}

impl Outbox {
    /// Never full.
    pub fn new() -> Self {
        Self { bytes: Vec::new(), datagrams: Vec::new(), refusal: None, refused: 0 }
    }

    /// From now on, refuses slots with this probability.
    pub fn refuse(&mut self, rng: Rng, probability: f64) {
        self.refusal = Some((rng, probability));
    }

    /// How many slots were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes out what was written, in order.
    pub fn drain(&mut self) -> Vec<(Path, Vec<u8>)> {
        let taken =
            self.datagrams.drain(..).map(|(path, range)| (path, self.bytes[range].to_vec())).collect();
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
    fn slot(&mut self, _flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        if let Some((rng, probability)) = &mut self.refusal
            && rng.chance(*probability)
        {
            self.refused += 1;
            return None;
        }
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0xa5);
        self.datagrams.push((path, start..start + len));
        Some(&mut self.bytes[start..])
    }

    fn cancel(&mut self) {
        if let Some((_, range)) = self.datagrams.pop() {
            self.bytes.truncate(range.start);
        }
    }
}
