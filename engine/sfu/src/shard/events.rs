//! Events and answers that wait for the controller, oldest first.

use crate::limits;
use control::{Event, RequestId};
use std::collections::VecDeque;

/// Answers are never lost; notifications are dropped at the bound, and an event reports their number.
#[derive(Debug, Default)]
pub struct Events {
    queue: VecDeque<Event>,
    lost: u64,
    /// There is no controller. The next one starts with a snapshot, which replaces all earlier events.
    has_no_controller: bool,
}

impl Events {
    /// Adds an answer. There are no more of these than requests read.
    pub fn answer(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    /// Whether an answer to this request is in the queue.
    pub fn has_answered(&self, request: RequestId) -> bool {
        self.queue.iter().any(|event| event.request() == Some(request))
    }

    /// Adds a notification.
    pub fn notify(&mut self, event: Event) {
        if self.has_no_controller {
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

    /// A controller has sent a request: events are stored from now on.
    pub fn on_request(&mut self) {
        self.has_no_controller = false;
    }

    /// The controller is gone: events are dropped until another one sends a request.
    pub fn on_controller_lost(&mut self) {
        *self = Self { has_no_controller: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{Closed, RouterId};

    #[test]
    fn notifications_without_a_controller_are_not_kept_for_the_next() {
        let mut events = Events::default();
        let news = Event::RouterClosed { router: RouterId(1), closed: Closed::Abandoned };
        events.notify(news.clone());
        events.on_controller_lost();
        events.notify(news.clone());
        assert_eq!(events.pop(), None);
        events.on_request();
        events.notify(news.clone());
        assert_eq!(events.pop(), Some(news));
    }

    #[test]
    fn notifications_beyond_the_bound_are_counted_and_answers_are_kept() {
        let mut events = Events::default();
        let news = Event::RouterClosed { router: RouterId(1), closed: Closed::Abandoned };
        for _ in 0..limits::EVENTS_MAX + 3 {
            events.notify(news.clone());
        }
        let answer = Event::Done { request: RequestId(9) };
        events.answer(answer.clone());
        let popped: Vec<Event> = std::iter::from_fn(|| events.pop()).collect();
        assert_eq!(popped.len(), limits::EVENTS_MAX + 2);
        assert_eq!(popped[limits::EVENTS_MAX], answer);
        assert_eq!(popped.last(), Some(&Event::Overflow { lost: 3 }));
    }
}
