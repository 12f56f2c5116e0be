//! The other end of the ring, in place of signaling.

use crate::PATIENCE;
use control::page::{Section, section};
use control::{Command, Counters, Event, Request, RequestId, SnapshotItem};
use shm::{AttachError, Attachment, Versions, attach};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The worker's TCP connections on the statistics page: open ones, accepted ones, reasons for closing, and
/// counts of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    pub open: u64,
    pub accepted: u64,
    pub refused: u64,
    pub unproven: u64,
    pub malformed: u64,
    pub idle: u64,
    pub by_peer: u64,
    pub sent: u64,
    pub dropped: u64,
}

/// An attached controller. Dropping it detaches.
#[derive(Debug)]
pub struct Controller {
    attachment: Attachment,
    last_request: u64,
    record: Vec<u8>,
    /// Notifications, oldest first.
    notifications: Vec<Event>,
}

impl Controller {
    /// Attaches, which must succeed: the place of a previous controller may be free only after a moment.
    pub fn attach(socket: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_attach(socket, control::version()) {
                Ok(controller) => return controller,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Tries to attach once.
    pub fn try_attach(socket: &Path, protocol_version: u32) -> Result<Self, AttachError> {
        let versions = Versions { own: protocol_version, oldest: control::OLDEST_VERSION };
        let attachment = attach(socket, versions, PATIENCE)?;
        Ok(Self { attachment, last_request: 0, record: Vec::new(), notifications: Vec::new() })
    }

    /// The protocol version of the engine.
    pub fn engine_version(&self) -> u32 {
        self.attachment.engine_version
    }

    /// Workers of the engine.
    pub fn workers(&self) -> usize {
        self.attachment.workers.len()
    }

    /// Whether the engine has detached this controller, or ended.
    pub fn is_detached(&self) -> bool {
        self.attachment.link.is_closed()
    }

    /// Sends a command to the first worker; returns the answer.
    pub fn request(&mut self, command: Command) -> Event {
        self.request_of(0, command)
    }

    /// Sends a command to a worker; returns the answer.
    pub fn request_of(&mut self, worker: usize, command: Command) -> Event {
        let id = self.send(worker, command);
        self.answer_of(worker, Some(id))
    }

    /// Sends a command that must succeed.
    pub fn demand(&mut self, command: Command) {
        let answer = self.request(command);
        assert!(matches!(answer, Event::Done { .. }), "{answer:?}");
    }

    /// Pushes a record with any content to the first worker.
    pub fn push(&mut self, record: &[u8]) {
        self.push_to(0, record);
    }

    /// The next answer (or refusal) to request `id`; earlier events are kept as notifications.
    pub fn answer(&mut self, id: Option<RequestId>) -> Event {
        self.answer_of(0, id)
    }

    /// All objects of the first worker.
    pub fn snapshot(&mut self) -> Vec<SnapshotItem> {
        self.snapshot_of(0)
    }

    /// All objects of a worker.
    pub fn snapshot_of(&mut self, worker: usize) -> Vec<SnapshotItem> {
        let id = self.send(worker, Command::Snapshot);
        let mut items = Vec::new();
        loop {
            match self.answer_of(worker, Some(id)) {
                Event::Snapshot { item, .. } => items.push(item),
                Event::SnapshotEnd { .. } => return items,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for such a notification, and drops earlier ones.
    pub fn await_notification(&mut self, patience: Duration, is_it: impl Fn(&Event) -> bool) -> Event {
        self.await_notification_within(0, patience, is_it)
    }

    /// The same of a worker.
    pub fn await_notification_of(&mut self, worker: usize, is_it: impl Fn(&Event) -> bool) -> Event {
        self.await_notification_within(worker, PATIENCE, is_it)
    }

    fn await_notification_within(
        &mut self,
        worker: usize,
        patience: Duration,
        is_it: impl Fn(&Event) -> bool,
    ) -> Event {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(at) = self.notifications.iter().position(&is_it) {
                return self.notifications.drain(..=at).next_back().expect("it was found there");
            }
            match self.pop(worker) {
                Some(event) => self.notifications.push(event),
                None => assert!(
                    Instant::now() < deadline,
                    "no notification within {patience:?}; {:?}",
                    self.notifications
                ),
            }
        }
    }

    /// All notifications so far.
    pub fn notifications(&mut self) -> &[Event] {
        while let Some(event) = self.pop(0) {
            self.notifications.push(event);
        }
        &self.notifications
    }

    /// Waits until the first worker's counters match.
    pub fn await_counters(&mut self, is_so: impl Fn(&Counters) -> bool) -> Counters {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A worker publishes its statistics at most once a second, at the end of a turn; this causes a
            // turn.
            self.snapshot();
            let slots = self.attachment.workers[0].stats.read().expect("writes are short");
            let counters = Counters::from_page(&slots);
            if is_so(&counters) {
                return counters;
            }
            assert!(Instant::now() < deadline, "the counters stay {counters:?}");
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the statistics of the first worker's TCP connections match.
    pub fn await_streams(&mut self, is_so: impl Fn(&Streams) -> bool) -> Streams {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.snapshot();
            let slots = self.attachment.workers[0].stats.read().expect("writes are short");
            let of_streams = section(&slots, Section::Connections).first_chunk().expect("13 counters");
            let [open, accepted, refused, unproven, malformed, idle, by_peer, _, _, sent, full, late, _] =
                *of_streams;
            let dropped = full + late;
            let streams =
                Streams { open, accepted, refused, unproven, malformed, idle, by_peer, sent, dropped };
            if is_so(&streams) {
                return streams;
            }
            assert!(Instant::now() < deadline, "the connections stay {streams:?}");
            sleep(Duration::from_millis(50));
        }
    }

    fn send(&mut self, worker: usize, command: Command) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        let mut record = Vec::new();
        Request { id, command }.encode(&mut record);
        self.push_to(worker, &record);
        id
    }

    fn push_to(&mut self, worker: usize, record: &[u8]) {
        let end = &mut self.attachment.workers[worker];
        end.commands.push(record).expect("the ring has room");
        end.peer_doorbell.ring();
    }

    fn answer_of(&mut self, worker: usize, id: Option<RequestId>) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.pop(worker) {
                Some(event @ Event::Refused { request, .. }) if request == id => return event,
                Some(event) if id.is_some() && event.request() == id => return event,
                Some(event) => self.notifications.push(event),
                None => assert!(Instant::now() < deadline, "no answer to {id:?} within {PATIENCE:?}"),
            }
        }
    }

    /// The next event; waits a millisecond for it.
    fn pop(&mut self, worker: usize) -> Option<Event> {
        let end = &mut self.attachment.workers[worker];
        if end.events.pop(&mut self.record).expect("the engine's ring is sound").is_none() {
            sleep(Duration::from_millis(1));
            end.events.pop(&mut self.record).expect("the engine's ring is sound")?;
        }
        let event = Event::decode_from(&self.record, self.attachment.engine_version);
        Some(event.expect("the engine's records are sound").expect("an event that this version knows"))
    }
}
