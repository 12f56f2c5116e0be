//! What went to each transport and what came from it, whatever it was.
//!
//! Counted where it leaves, around the send batch: so nothing is missed that anybody sends, and nobody who sends has to
//! think of it.

use machine::{Flow, Path, Tx, WorkerId};

/// Datagrams and bytes, one entry for each transport by its slot's index, which is its flow.
#[derive(Debug, Default)]
pub struct Traffic {
    entries: Vec<Amount>,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Datagrams.
    pub packets: u64,
    /// Their UDP payload bytes.
    pub bytes: u64,
}

impl Traffic {
    /// A new transport has this index: it starts from nothing.
    pub fn begin(&mut self, index: u32) {
        let index = index as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, Amount::default());
        }
        self.entries[index] = Amount::default();
    }

    /// One datagram more.
    pub fn count(&mut self, index: u32, len: usize) {
        if let Some(amount) = self.entries.get_mut(index as usize) {
            amount.packets += 1;
            amount.bytes += len as u64;
        }
    }

    /// So far.
    pub fn of(&self, index: u32) -> Amount {
        self.entries.get(index as usize).copied().unwrap_or_default()
    }

    fn uncount(&mut self, index: u32, len: usize) {
        if let Some(amount) = self.entries.get_mut(index as usize) {
            amount.packets -= 1;
            amount.bytes -= len as u64;
        }
    }
}

/// A send batch, with a count kept of what is written into it.
#[derive(Debug)]
pub struct Counted<'a, T> {
    tx: &'a mut T,
    sent: &'a mut Traffic,
    /// The slot claimed last.
    last: Option<(Flow, usize)>,
}

impl<'a, T: Tx> Counted<'a, T> {
    /// Around `tx`.
    pub fn new(tx: &'a mut T, sent: &'a mut Traffic) -> Self {
        Self { tx, sent, last: None }
    }
}

impl<T: Tx> Tx for Counted<'_, T> {
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        let slot = self.tx.slot(flow, path, len)?;
        self.sent.count(flow.0, len);
        self.last = Some((flow, len));
        Some(slot)
    }

    fn prefetch<S: ?Sized>(&self, soon: &S) {
        self.tx.prefetch(soon);
    }

    fn end_of_flow(&mut self) {
        self.tx.end_of_flow();
    }

    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.tx.hand_off(worker, head, body)
    }

    fn cancel(&mut self) {
        self.tx.cancel();
        if let Some((flow, len)) = self.last.take() {
            self.sent.uncount(flow.0, len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::LocalId;

    /// A batch of one slot.
    struct One(Option<Vec<u8>>);

    impl Tx for One {
        fn slot(&mut self, _: Flow, _: Path, len: usize) -> Option<&mut [u8]> {
            if self.0.is_some() {
                return None;
            }
            Some(self.0.insert(vec![0xa5; len]))
        }

        fn cancel(&mut self) {
            self.0 = None;
        }
    }

    #[test]
    fn only_what_really_goes_is_counted() {
        let path = Path { local: LocalId(0), remote: ([192, 0, 2, 7], 9).into() };
        let (mut batch, mut sent) = (One(None), Traffic::default());
        sent.begin(3);
        let mut tx = Counted::new(&mut batch, &mut sent);
        assert!(tx.slot(Flow(3), path, 100).is_some());
        tx.cancel();
        assert!(tx.slot(Flow(3), path, 40).is_some());
        assert!(tx.slot(Flow(3), path, 50).is_none(), "the batch is full");
        assert_eq!(sent.of(3), Amount { packets: 1, bytes: 40 });
        assert_eq!((sent.of(2), sent.of(77)), (Amount::default(), Amount::default()));
        sent.begin(3);
        assert_eq!(sent.of(3), Amount::default());
    }
}
