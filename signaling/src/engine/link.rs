//! Keeps this process attached to the engine, and turns the records of its event rings into answers and
//! [`NodeEvent`]s.
//!
//! Runs in its own thread, in `poll(2)` on the link and the doorbells. If the rooms are slow to take the
//! events, the thread waits; then the rings fill, and the engine reports an overflow.

use super::{CommandRing, Engine};
use crate::limits;
use crate::media_node::{AskError, NodeEvent, Worker};
use control::{Event, RequestId, SnapshotItem};
use leat_log::chain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use shm::{Attachment, Consumer, ControllerEnd, Corrupt, Doorbell, Link, Versions};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// Why an attachment ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the engine closed the control socket: it has exited, or detached this process")]
    Closed,
    #[error("worker {0}'s event ring is corrupt")]
    Corrupt(Worker, #[source] Corrupt),
    #[error("worker {0} sent an undecodable record")]
    Undecodable(Worker, #[source] control::DecodeError),
    #[error("requesting a snapshot of worker {0} failed")]
    Snapshot(Worker, #[source] AskError),
    #[error("the snapshot of worker {0} exceeds its limit")]
    SnapshotTooLong(Worker),
    #[error("waiting for the engine failed")]
    Io(#[from] io::Error),
    #[error("the event receiver was dropped")]
    ReceiverDropped,
}

/// Interval of the checks whether the event receiver still exists.
const RECEIVER_CHECK: Duration = Duration::from_secs(1);

/// Starts the thread that attaches to the engine at `path`, and again after each loss, until the event
/// receiver is dropped.
pub fn start(
    engine: Engine,
    path: PathBuf,
    sender: mpsc::Sender<NodeEvent>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("engine-link".into()).spawn(move || run(&engine, &path, &sender))
}

fn run(engine: &Engine, path: &Path, sender: &mpsc::Sender<NodeEvent>) {
    let mut pause = limits::ATTACH_PAUSE_MIN;
    let mut last_message = String::new();
    while !sender.is_closed() {
        let versions = Versions { own: control::version(), oldest: control::OLDEST_VERSION };
        match shm::attach(path, versions, limits::ATTACH_TIMEOUT) {
            Ok(attachment) => {
                last_message.clear();
                let error = match serve(engine, attachment, sender) {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                engine.detach();
                let reason = chain(&error);
                if matches!(error, LinkError::ReceiverDropped)
                    || sender.blocking_send(NodeEvent::Lost { reason }).is_err()
                {
                    return;
                }
                pause = limits::ATTACH_PAUSE_MIN;
            }
            Err(error) => {
                // A repeated error is logged once.
                let message = chain(&error);
                if message != last_message {
                    tracing::info!(error = %message, "cannot attach to the engine; retrying");
                    last_message = message;
                }
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(limits::ATTACH_PAUSE_MAX);
    }
}

/// Runs one attachment until it ends.
fn serve(
    engine: &Engine,
    attachment: Attachment,
    sender: &mpsc::Sender<NodeEvent>,
) -> Result<Infallible, LinkError> {
    let Attachment { engine_epoch, engine_version, workers, link } = attachment;
    tracing::info!(
        engine = engine_version,
        signaling = control::version(),
        "attached to an engine; protocol versions"
    );
    let mut rings = Vec::with_capacity(workers.len());
    let mut readers = Vec::with_capacity(workers.len());
    for (worker, end) in workers.into_iter().enumerate() {
        let ControllerEnd { commands, events, doorbell, peer_doorbell, stats: _ } = end;
        rings.push(CommandRing { commands, doorbell: peer_doorbell });
        let (engine, sender) = (engine.clone(), sender.clone());
        readers.push(EventReader {
            engine,
            sender,
            worker,
            events,
            doorbell,
            snapshot: None,
            overflowed: false,
            engine_version,
            unknown_events: 0,
        });
    }
    engine.attach(rings);
    let attached = NodeEvent::Attached { epoch: engine_epoch, workers: readers.len() };
    sender.blocking_send(attached).map_err(|_| LinkError::ReceiverDropped)?;
    for reader in &mut readers {
        reader.request_snapshot()?;
    }
    loop {
        wait(&link, &readers)?;
        if sender.is_closed() {
            return Err(LinkError::ReceiverDropped);
        }
        for reader in &mut readers {
            // Clear the doorbell before reading the ring: a record that is pushed later rings it again.
            if reader.doorbell.clear() {
                reader.read()?;
            }
        }
        // After reading, so that the last events of the engine are handled.
        if link.is_closed() {
            return Err(LinkError::Closed);
        }
    }
}

/// Waits until a doorbell rings or the link closes, or for [`RECEIVER_CHECK`].
fn wait(link: &Link, readers: &[EventReader]) -> Result<(), LinkError> {
    let mut fds: Vec<_> = readers.iter().map(|reader| PollFd::new(&reader.doorbell, PollFlags::IN)).collect();
    fds.push(PollFd::new(link, PollFlags::IN));
    let timeout = Timespec { tv_sec: RECEIVER_CHECK.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(LinkError::Io(errno.into())),
    }
}

/// Reads the event ring of one worker.
struct EventReader {
    engine: Engine,
    sender: mpsc::Sender<NodeEvent>,
    worker: Worker,
    events: Consumer,
    doorbell: Doorbell,
    snapshot: Option<PendingSnapshot>,
    /// Events were lost while a snapshot was arriving; another one is needed.
    overflowed: bool,
    engine_version: u32,
    /// Events of a newer engine that this version does not know.
    unknown_events: u64,
}

/// A snapshot that is arriving, and the events since its request, which are delivered after it.
struct PendingSnapshot {
    request: RequestId,
    items: Vec<SnapshotItem>,
    backlog: Vec<Event>,
}

impl EventReader {
    /// Reads all records of the ring.
    fn read(&mut self) -> Result<(), LinkError> {
        let mut record = Vec::new();
        while self
            .events
            .pop(&mut record)
            .map_err(|corrupt| LinkError::Corrupt(self.worker, corrupt))?
            .is_some()
        {
            let event = Event::decode_from(&record, self.engine_version)
                .map_err(|error| LinkError::Undecodable(self.worker, error))?;
            match event {
                Some(event) => self.on_event(event)?,
                None => self.on_unknown_event(),
            }
        }
        Ok(())
    }

    /// Counts and skips an event of a newer engine; the log names the counts 1, 2, 4, 8, …
    fn on_unknown_event(&mut self) {
        self.unknown_events += 1;
        if self.unknown_events.is_power_of_two() {
            tracing::warn!(
                worker = self.worker,
                skipped = self.unknown_events,
                engine = self.engine_version,
                signaling = control::version(),
                "skipped events that only a newer protocol version has"
            );
        }
    }

    fn on_event(&mut self, event: Event) -> Result<(), LinkError> {
        match event {
            Event::Snapshot { request, item } => match &mut self.snapshot {
                Some(snapshot) if snapshot.request == request => {
                    snapshot.items.push(item);
                    if snapshot.items.len() > limits::SNAPSHOT_ITEMS_MAX {
                        return Err(LinkError::SnapshotTooLong(self.worker));
                    }
                    Ok(())
                }
                _ => Ok(()),
            },
            Event::SnapshotEnd { request } => self.on_snapshot_end(request),
            Event::Overflow { lost } => {
                tracing::warn!(
                    worker = self.worker,
                    lost,
                    "the event ring of the engine overflowed; requesting a snapshot"
                );
                if self.snapshot.is_some() {
                    self.overflowed = true;
                    return Ok(());
                }
                self.request_snapshot()
            }
            event => match event.request() {
                Some(request) => {
                    self.engine.answer(request, event);
                    Ok(())
                }
                None => self.deliver_after_snapshot(event),
            },
        }
    }

    fn deliver_after_snapshot(&mut self, event: Event) -> Result<(), LinkError> {
        if let Some(snapshot) = &mut self.snapshot {
            if snapshot.backlog.len() >= limits::SNAPSHOT_BACKLOG_MAX {
                return Err(LinkError::SnapshotTooLong(self.worker));
            }
            snapshot.backlog.push(event);
            return Ok(());
        }
        self.send(NodeEvent::Event { worker: self.worker, event })
    }

    fn on_snapshot_end(&mut self, request: RequestId) -> Result<(), LinkError> {
        // Removes it from the table of open requests.
        self.engine.answer(request, Event::SnapshotEnd { request });
        let Some(PendingSnapshot { items, backlog, .. }) =
            self.snapshot.take_if(|snapshot| snapshot.request == request)
        else {
            return Ok(());
        };
        self.send(NodeEvent::Snapshot { worker: self.worker, request, items })?;
        for event in backlog {
            self.send(NodeEvent::Event { worker: self.worker, event })?;
        }
        if std::mem::take(&mut self.overflowed) { self.request_snapshot() } else { Ok(()) }
    }

    fn request_snapshot(&mut self) -> Result<(), LinkError> {
        let request =
            self.engine.snapshot(self.worker).map_err(|error| LinkError::Snapshot(self.worker, error))?;
        self.snapshot = Some(PendingSnapshot { request, items: Vec::new(), backlog: Vec::new() });
        Ok(())
    }

    fn send(&self, event: NodeEvent) -> Result<(), LinkError> {
        self.sender.blocking_send(event).map_err(|_| LinkError::ReceiverDropped)
    }
}
