//! Open requests: who waits for which answer.

use crate::limits;
use control::{Event, RequestId};
use std::collections::HashMap;
use tokio::sync::oneshot;

/// The requests of one attachment. Numbers rise, so that of two requests the later has the greater.
#[derive(Debug, Default)]
pub(super) struct RequestTable {
    last: u64,
    open: HashMap<RequestId, oneshot::Sender<Event>>,
}

impl RequestTable {
    /// A new request; `None` when too many are open.
    pub(super) fn open(&mut self) -> Option<(RequestId, oneshot::Receiver<Event>)> {
        if self.open.len() >= limits::REQUESTS_MAX {
            return None;
        }
        self.last += 1;
        let id = RequestId(self.last);
        let (sender, receiver) = oneshot::channel();
        self.open.insert(id, sender);
        Some((id, receiver))
    }

    /// Hands an answer to whoever waits for it. An answer nobody waits for is dropped: it came too late.
    pub(super) fn answer(&mut self, id: RequestId, event: Event) {
        if let Some(waiting) = self.open.remove(&id) {
            // The receiver may be gone: it did not care, or its client left.
            let _ = waiting.send(event);
        }
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&mut self, id: RequestId) {
        self.open.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_the_one_who_asked() {
        let mut table = RequestTable::default();
        let (first, mut first_answer) = table.open().expect("room");
        let (second, mut second_answer) = table.open().expect("room");
        assert!(second > first);
        table.answer(second, Event::Done { request: second });
        assert_eq!(second_answer.try_recv(), Ok(Event::Done { request: second }));
        assert!(first_answer.try_recv().is_err());
    }

    #[test]
    fn late_unknown_and_doubled_answers_are_dropped() {
        let mut table = RequestTable::default();
        let (id, answer) = table.open().expect("room");
        table.forget(id);
        drop(answer);
        for _ in 0..2 {
            table.answer(id, Event::Done { request: id });
        }
        table.answer(RequestId(u64::MAX), Event::Done { request: RequestId(u64::MAX) });
        assert!(table.open.is_empty());
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = RequestTable::default();
        let _answers: Vec<_> = (0..limits::REQUESTS_MAX).map(|_| table.open().expect("room")).collect();
        assert!(table.open().is_none());
    }
}
