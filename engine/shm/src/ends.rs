//! The ends of the rings on both sides: ring, doorbell and statistics of one worker.

use crate::doorbell::Doorbell;
use crate::layout::{Layout, RingAt};
use crate::limits::STATS_READ_TRIES;
use crate::region::Region;
use crate::ring::{Corrupt, PushError, Reader, Shared, WORD, Writer};
use crate::seqlock::{PageWriter, SharedPage, read_page};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// One ring inside a region.
#[derive(Debug)]
struct RegionRing {
    region: Arc<Region>,
    at: RingAt,
}

impl Shared for RegionRing {
    fn head(&self) -> &AtomicU64 {
        &self.region.words(self.at.head, 1)[0]
    }

    fn tail(&self) -> &AtomicU64 {
        &self.region.words(self.at.tail, 1)[0]
    }

    fn awake(&self) -> &AtomicU64 {
        &self.region.words(self.at.awake, 1)[0]
    }

    fn words(&self) -> &[AtomicU64] {
        self.region.words(self.at.data, self.at.data_bytes / WORD)
    }
}

/// The statistics page of one worker inside a region.
#[derive(Debug)]
struct RegionPage {
    region: Arc<Region>,
    sequence: usize,
    slots: usize,
    slots_len: usize,
}

impl RegionPage {
    fn new(region: &Arc<Region>, layout: &Layout, index: u16) -> Self {
        let at = layout.worker(index);
        let (sequence, slots) = (at.stats_sequence, at.stats_slots);
        Self { region: region.clone(), sequence, slots, slots_len: layout.stats_slots }
    }
}

impl SharedPage for RegionPage {
    fn sequence(&self) -> &AtomicU64 {
        &self.region.words(self.sequence, 1)[0]
    }

    fn slots(&self) -> &[AtomicU64] {
        self.region.words(self.slots, self.slots_len)
    }
}

/// The writing end of a ring.
#[derive(Debug)]
pub struct Producer(Writer<RegionRing>);

impl Producer {
    /// Appends one record (at most [`RECORD_BYTES_MAX`](crate::limits::RECORD_BYTES_MAX) bytes) and publishes
    /// it. Never waits. Ring the peer's doorbell afterwards, once for any number of records.
    pub fn push(&mut self, record: &[u8]) -> Result<(), PushError> {
        self.0.push(record)
    }

    /// Whether a record of `len` bytes would fit now.
    pub fn has_room(&mut self, len: usize) -> Result<bool, Corrupt> {
        self.0.has_room(len)
    }

    /// Whether the peer may be asleep. If so, ring its doorbell; otherwise the system call is not needed.
    pub fn wants_doorbell(&self) -> bool {
        self.0.wants_doorbell()
    }
}

/// The reading end of a ring.
#[derive(Debug)]
pub struct Consumer(Reader<RegionRing>);

impl Consumer {
    /// Copies the oldest record into `into`, replacing what is there, and returns its length. `None` when the
    /// ring is empty; `into` is then untouched. After [`Corrupt`] the ring stays corrupt: detach.
    pub fn pop(&mut self, into: &mut Vec<u8>) -> Result<Option<usize>, Corrupt> {
        self.0.pop(into)
    }

    /// Informs the producer that this side polls for now and need not be rung. Optional: a consumer that never
    /// calls it is always rung. [`may_sleep`](Self::may_sleep) ends it.
    pub fn stay_awake(&mut self) {
        self.0.stay_awake();
    }

    /// To be called before waiting for the doorbell if [`stay_awake`](Self::stay_awake) is used: requests the
    /// doorbell, and returns whether the ring is empty. On `false` there is a record to pop first.
    pub fn may_sleep(&mut self) -> Result<bool, Corrupt> {
        self.0.may_sleep()
    }
}

/// The worker's side of its statistics page.
#[derive(Debug)]
pub struct StatsWriter(PageWriter<RegionPage>);

impl StatsWriter {
    /// Replaces the first `values.len()` counters atomically for a reader; those beyond the page are
    /// left out. Never waits.
    pub fn write(&mut self, values: &[u64]) {
        self.0.write(values);
    }

    /// The underlying region, for tests that act as a hostile peer.
    #[cfg(test)]
    fn region(&self) -> Arc<Region> {
        self.0.shared().region.clone()
    }
}

/// The controller's side of a worker's statistics page.
#[derive(Debug)]
pub struct StatsReader(RegionPage);

impl StatsReader {
    /// The counters of one moment. `None` if every attempt met a write (or the worker died during one).
    pub fn read(&self) -> Option<Vec<u64>> {
        let mut values = vec![0; self.0.slots_len];
        read_page(&self.0, &mut values, STATS_READ_TRIES).then_some(values)
    }
}

/// One worker's part of an attachment. `Send`: it is moved to the worker's thread.
#[derive(Debug)]
pub struct WorkerEnd {
    /// The controller's commands.
    pub commands: Consumer,
    /// The worker's events.
    pub events: Producer,
    /// Readable when the controller has pushed a command: the worker waits on it.
    pub doorbell: Doorbell,
    /// To be rung after events were pushed.
    pub peer_doorbell: Doorbell,
    /// This worker's counters.
    pub stats: StatsWriter,
    /// The protocol version of the controller.
    pub controller_version: u32,
}

/// The controller's part for one worker.
#[derive(Debug)]
pub struct ControllerEnd {
    /// Commands to the worker.
    pub commands: Producer,
    /// Events of the worker.
    pub events: Consumer,
    /// Readable when the worker has pushed an event: the controller waits on it.
    pub doorbell: Doorbell,
    /// To be rung after commands were pushed.
    pub peer_doorbell: Doorbell,
    /// The worker's counters.
    pub stats: StatsReader,
}

/// The doorbells of one worker, named after the side that waits on them.
#[derive(Debug)]
pub(crate) struct Doorbells {
    pub(crate) worker: Doorbell,
    pub(crate) controller: Doorbell,
}

impl WorkerEnd {
    /// The end of worker `index`. To be made once for each region.
    pub(crate) fn new(
        region: &Arc<Region>,
        layout: &Layout,
        index: u16,
        doorbells: Doorbells,
        controller_version: u32,
    ) -> Self {
        let at = layout.worker(index);
        let ring = |at| RegionRing { region: region.clone(), at };
        Self {
            commands: Consumer(Reader::new(ring(at.commands), layout.record_bytes_max)),
            events: Producer(Writer::new(ring(at.events), layout.record_bytes_max)),
            doorbell: doorbells.worker,
            peer_doorbell: doorbells.controller,
            stats: StatsWriter(PageWriter::new(RegionPage::new(region, layout, index))),
            controller_version,
        }
    }
}

impl ControllerEnd {
    /// The end opposite to worker `index`. To be made once for each region.
    pub(crate) fn new(region: &Arc<Region>, layout: &Layout, index: u16, doorbells: Doorbells) -> Self {
        let at = layout.worker(index);
        let ring = |at| RegionRing { region: region.clone(), at };
        Self {
            commands: Producer(Writer::new(ring(at.commands), layout.record_bytes_max)),
            events: Consumer(Reader::new(ring(at.events), layout.record_bytes_max)),
            doorbell: doorbells.controller,
            peer_doorbell: doorbells.worker,
            stats: StatsReader(RegionPage::new(region, layout, index)),
        }
    }
}

#[cfg(test)]
mod tests;
