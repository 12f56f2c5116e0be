//! Keeps this process attached to the engine, and turns its event rings into answers and news.
//!
//! A thread of its own, in `poll(2)` on the link and the doorbells. When the rooms is slow to take the news, the thread waits for it; then
//! the rings fill, and the engine says that it left news out.

use super::{CommandRing, Engine};
use crate::limits;
use crate::media_node::{AskError, NodeEvent, Worker};
use control::{Event, RequestId, SnapshotItem};
use leat_log::chain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use shm::{Attachment, Consumer, ControllerEnd, Corrupt, Doorbell, Link, Versions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// Why an attachment ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the engine closed the control socket: it died, or let go of this process")]
    Closed,
    #[error("worker {0}'s event ring is corrupt")]
    Corrupt(Worker, #[source] Corrupt),
    #[error("worker {0} sent a record that is none")]
    Undecodable(Worker, #[source] control::DecodeError),
    #[error("worker {0} could not be asked for a snapshot")]
    Snapshot(Worker, #[source] AskError),
    #[error("worker {0}'s snapshot has no end")]
    EndlessSnapshot(Worker),
    #[error("waiting for the engine failed")]
    Io(#[from] io::Error),
    #[error("nobody listens to the news any more")]
    ReceiverDropped,
}

/// How often to look whether anybody still listens.
const LISTENER_CHECK: Duration = Duration::from_secs(1);

/// Starts the thread that attaches to the engine at `path`, again and again, until nobody listens to the news.
pub fn start(
    engine: Engine,
    path: PathBuf,
    news: mpsc::Sender<NodeEvent>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("engine-link".into()).spawn(move || run(&engine, &path, &news))
}

fn run(engine: &Engine, path: &Path, news: &mpsc::Sender<NodeEvent>) {
    let mut pause = limits::ATTACH_PAUSE_MIN;
    let mut last_complaint = String::new();
    while !news.is_closed() {
        let versions = Versions { own: control::version(), oldest: control::OLDEST_VERSION };
        match shm::attach(path, versions, limits::ATTACH_TIMEOUT) {
            Ok(attachment) => {
                last_complaint.clear();
                let error = match serve(engine, attachment, news) {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                engine.detach();
                let reason = chain(&error);
                if matches!(error, LinkError::ReceiverDropped)
                    || news.blocking_send(NodeEvent::Lost { reason }).is_err()
                {
                    return;
                }
                pause = limits::ATTACH_PAUSE_MIN;
            }
            Err(error) => {
                // Once for each kind of trouble, not twice a second.
                let complaint = chain(&error);
                if complaint != last_complaint {
                    tracing::info!(error = %complaint, "not attached to an engine; trying on");
                    last_complaint = complaint;
                }
            }
        }
        thread::sleep(pause);
        pause = (pause * 2).min(limits::ATTACH_PAUSE_MAX);
    }
}

enum Never {}

/// Serves one attachment until it ends.
fn serve(
    engine: &Engine,
    attachment: Attachment,
    news: &mpsc::Sender<NodeEvent>,
) -> Result<Never, LinkError> {
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
        let (engine, news) = (engine.clone(), news.clone());
        readers.push(EventReader {
            engine,
            news,
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
    news.blocking_send(attached).map_err(|_| LinkError::ReceiverDropped)?;
    for reader in &mut readers {
        reader.ask_for_snapshot()?;
    }
    loop {
        wait(&link, &readers)?;
        if news.is_closed() {
            return Err(LinkError::ReceiverDropped);
        }
        for reader in &mut readers {
            // First the doorbell, then the ring: whatever is pushed after that rings again.
            if reader.doorbell.clear() {
                reader.read()?;
            }
        }
        // Last, so that what the engine still said is heard.
        if link.is_closed() {
            return Err(LinkError::Closed);
        }
    }
}

/// Waits until a doorbell rings or the link closes, or for [`LISTENER_CHECK`].
fn wait(link: &Link, readers: &[EventReader]) -> Result<(), LinkError> {
    let mut fds: Vec<_> = readers.iter().map(|reader| PollFd::new(&reader.doorbell, PollFlags::IN)).collect();
    fds.push(PollFd::new(link, PollFlags::IN));
    let timeout = Timespec { tv_sec: LISTENER_CHECK.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(LinkError::Io(errno.into())),
    }
}

/// Reads one worker's event ring.
struct EventReader {
    engine: Engine,
    news: mpsc::Sender<NodeEvent>,
    worker: Worker,
    events: Consumer,
    doorbell: Doorbell,
    snapshot: Option<PendingSnapshot>,
    /// NodeEvent was lost while a snapshot was on its way; another is needed.
    overflowed: bool,
    engine_version: u32,
    /// Events of a newer engine that this version does not know.
    unknown_events: u64,
}

/// A snapshot that is arriving, and what else the worker said meanwhile: the rooms hears that after it.
struct PendingSnapshot {
    request: RequestId,
    items: Vec<SnapshotItem>,
    backlog: Vec<Event>,
}

impl EventReader {
    /// Takes all that is in the ring.
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
                        return Err(LinkError::EndlessSnapshot(self.worker));
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
                    "the engine had more news than its ring holds; asking for a snapshot"
                );
                if self.snapshot.is_some() {
                    self.overflowed = true;
                    return Ok(());
                }
                self.ask_for_snapshot()
            }
            event => match event.request() {
                Some(request) => {
                    self.engine.answer(request, event);
                    Ok(())
                }
                None => self.on_news(event),
            },
        }
    }

    fn on_news(&mut self, event: Event) -> Result<(), LinkError> {
        if let Some(snapshot) = &mut self.snapshot {
            if snapshot.backlog.len() >= limits::SNAPSHOT_BACKLOG_MAX {
                return Err(LinkError::EndlessSnapshot(self.worker));
            }
            snapshot.backlog.push(event);
            return Ok(());
        }
        self.send(NodeEvent::Event { worker: self.worker, event })
    }

    fn on_snapshot_end(&mut self, request: RequestId) -> Result<(), LinkError> {
        // Takes it off the table of open requests.
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
        if std::mem::take(&mut self.overflowed) { self.ask_for_snapshot() } else { Ok(()) }
    }

    fn ask_for_snapshot(&mut self) -> Result<(), LinkError> {
        let request =
            self.engine.snapshot(self.worker).map_err(|error| LinkError::Snapshot(self.worker, error))?;
        self.snapshot = Some(PendingSnapshot { request, items: Vec::new(), backlog: Vec::new() });
        Ok(())
    }

    fn send(&self, news: NodeEvent) -> Result<(), LinkError> {
        self.news.blocking_send(news).map_err(|_| LinkError::ReceiverDropped)
    }
}
