//! Events and answers that wait for the controller, oldest first.

use crate::limits;
use control::{Event, RequestId};
use std::collections::VecDeque;

/// Answers are never lost; news is, at the bound, and then says how much.
#[derive(Debug, Default)]
pub struct Events {
    queue: VecDeque<Event>,
    lost: u64,
    /// There is no controller. The next one begins with a snapshot, which has everything that events could report.
    is_unheard: bool,
}

impl Events {
    /// An answer to a request. There are no more of these than requests taken.
    pub fn answer(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    /// Whether an answer to this request waits.
    pub fn has_answered(&self, request: RequestId) -> bool {
        self.queue.iter().any(|event| event.request() == Some(request))
    }

    /// Something that happened by itself.
    pub fn tell(&mut self, event: Event) {
        if self.is_unheard {
            return;
        }
        if self.queue.len() >= limits::EVENTS_MAX {
            self.lost += 1;
        } else {
            self.queue.push_back(event);
        }
    }

    /// The oldest event.
    pub fn pop(&mut self) -> Option<Event> {
        if let Some(event) = self.queue.pop_front() {
            return Some(event);
        }
        let lost = std::mem::take(&mut self.lost);
        (lost > 0).then_some(Event::Overflow { lost })
    }

    /// A controller has sent a request: events are kept from now on.
    pub fn be_heard(&mut self) {
        self.is_unheard = false;
    }

    /// The controller is gone: nothing is told until another one asks for something.
    pub fn fall_silent(&mut self) {
        *self = Self { is_unheard: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{Closed, RouterId};

    #[test]
    fn news_that_nobody_hears_is_not_kept_for_the_next_controller() {
        let mut events = Events::default();
        let news = Event::RouterClosed { router: RouterId(1), closed: Closed::Abandoned };
        events.tell(news.clone());
        events.fall_silent();
        events.tell(news.clone());
        assert_eq!(events.pop(), None);
        events.be_heard();
        events.tell(news.clone());
        assert_eq!(events.pop(), Some(news));
    }

    #[test]
    fn news_beyond_the_bound_is_counted_and_answers_are_kept() {
        let mut events = Events::default();
        let news = Event::RouterClosed { router: RouterId(1), closed: Closed::Abandoned };
        for _ in 0..limits::EVENTS_MAX + 3 {
            events.tell(news.clone());
        }
        let answer = Event::Done { request: RequestId(9) };
        events.answer(answer.clone());
        let told: Vec<Event> = std::iter::from_fn(|| events.pop()).collect();
        assert_eq!(told.len(), limits::EVENTS_MAX + 2);
        assert_eq!(told[limits::EVENTS_MAX], answer);
        assert_eq!(told.last(), Some(&Event::Overflow { lost: 3 }));
    }
}
