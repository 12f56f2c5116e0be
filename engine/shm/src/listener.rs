//! The engine's side of attaching: a Unix socket that hands over one region at a time.
//!
//! Everything is non-blocking and depends on one descriptor, an inner epoll. The engine's main thread can use
//! it in any poll loop and is woken for new connections, hellos, deadlines, and the end of the controller.

use crate::doorbell::Doorbell;
use crate::ends::{Doorbells, WorkerEnd};
use crate::layout::Layout;
use crate::limits::{
    ACCEPTS_PER_POLL, FDS_MAX, HELLO_DEADLINE, PENDING_MAX, RETRY_AFTER, STATS_SLOTS, STATS_SLOTS_MAX,
    WORKERS_MAX,
};
use crate::pending::{Pending, Progress};
use crate::region::Region;
use crate::versions::Versions;
use crate::wire::{Answer, Hello, Refusal, RefusalReason};
use rustix::event::epoll;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, fchmod, flock, lstat, open};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, accept_with, bind, connect, listen, recv, send, sendmsg, socket_with,
};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The socket could not be opened. Each error says what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another engine holds the lock beside the socket.
    #[error("another engine is listening on {}: stop it, or choose another socket path", .0.display())]
    InUse(PathBuf),
    /// A file with that name is not a socket; it is not touched.
    #[error("{} exists and is not a socket: move it away, or choose another socket path", .0.display())]
    NotASocket(PathBuf),
    /// More workers than doorbells fit into one handshake.
    #[error("{workers} workers are too many (at most {WORKERS_MAX}), or none")]
    Workers {
        /// The number.
        workers: u16,
    },
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The failed operation, for the message.
        doing: &'static str,
        /// The socket or its lock.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Why a controller is no longer attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetachReason {
    /// It closed the socket or died.
    #[error("the controller is gone")]
    Closed,
    /// It sent bytes after the handshake, which no correct controller does.
    #[error("the controller sent data on the attach socket after the handshake")]
    UnexpectedData,
}

/// An event at the socket.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenerEvent {
    /// A controller attached: one end per worker, in the order of the workers.
    Attached(Vec<WorkerEnd>),
    /// The controller is gone. Not emitted for [`Listener::detach`].
    Detached {
        /// The reason, for the log.
        why: DetachReason,
    },
    /// A connection was refused; for the log.
    Refused(Refusal),
}

/// The engine's listening socket, and the attached controller.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    /// Locked as long as the listener exists: the kernel releases the lock however the process ends.
    _lock: OwnedFd,
    socket: OwnedFd,
    epoll: OwnedFd,
    timer: OwnedFd,
    pending: Vec<Pending>,
    controller: Option<OwnedFd>,
    layout: Layout,
    versions: Versions,
    engine_epoch: u64,
}

impl Listener {
    /// Listens at `path` (mode 0600, replacing the socket of an engine that has ended) for controllers of
    /// `versions`, and hands out rings for `workers` workers.
    ///
    /// The file `<path>.lock` beside the socket is kept locked: it distinguishes a running engine from a dead
    /// one without a race.
    pub fn bind(
        path: impl AsRef<Path>,
        workers: u16,
        versions: impl Into<Versions>,
    ) -> Result<Self, BindError> {
        if workers == 0 || workers > WORKERS_MAX {
            return Err(BindError::Workers { workers });
        }
        let path = path.as_ref().to_path_buf();
        let lock = lock_beside(&path)?;
        remove_stale(&path)?;
        let failed = |doing| {
            let path = path.clone();
            move |errno: Errno| BindError::Io { doing, path, source: errno.into() }
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(failed("open a socket for"))?;
        // The file gets the mode of the socket that is bound: it never exists with a wider mode.
        fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(failed("set the mode of"))?;
        let address = SocketAddrUnix::new(&path).map_err(failed("listen on"))?;
        bind(&socket, &address).map_err(failed("listen on"))?;
        listen(&socket, PENDING_MAX as i32).map_err(failed("listen on"))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("poll"))?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
            .map_err(failed("make a timer for"))?;
        let mut epoch = [0; 8];
        rustix::rand::getrandom(&mut epoch, rustix::rand::GetRandomFlags::empty())
            .map_err(failed("draw a random epoch for"))?;
        for fd in [socket.as_fd(), timer.as_fd()] {
            epoll::add(&epoll, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)
                .map_err(failed("poll"))?;
        }
        Ok(Self {
            path,
            _lock: lock,
            socket,
            epoll,
            timer,
            pending: Vec::with_capacity(PENDING_MAX),
            controller: None,
            layout: Layout::new(workers, STATS_SLOTS),
            versions: versions.into(),
            engine_epoch: u64::from_le_bytes(epoch),
        })
    }

    /// Gives the statistics page of each worker this number of words, at most [`STATS_SLOTS_MAX`], instead of
    /// [`STATS_SLOTS`].
    pub fn with_stats_slots(mut self, slots: usize) -> Self {
        self.layout.stats_slots = slots.clamp(1, STATS_SLOTS_MAX);
        self
    }

    /// A random number of this engine process: a controller that attaches again recognises the same process
    /// by it.
    pub fn engine_epoch(&self) -> u64 {
        self.engine_epoch
    }

    /// Whether a controller is attached.
    pub fn is_attached(&self) -> bool {
        self.controller.is_some()
    }

    /// The next event. Never blocks; to be called until `None` whenever [`as_fd`](AsFd::as_fd) is readable.
    pub fn poll(&mut self) -> Option<ListenerEvent> {
        let _ = rustix::io::read(&self.timer, &mut [0u8; 8]);
        // First of all, so that a restarted controller can attach although its predecessor's end has not been
        // read yet.
        if let Some(why) = self.controller_end() {
            self.controller = None;
            return Some(ListenerEvent::Detached { why });
        }
        let crowded = self.accept();
        let event = self.poll_pending();
        self.set_timer(crowded);
        event
    }

    /// Ends the attachment, if there is one: a worker found its ring corrupt, or the engine drains. The
    /// controller's [`Link`](crate::Link) closes. The workers' ends remain valid memory until they are
    /// dropped.
    pub fn detach(&mut self) -> bool {
        self.controller.take().is_some()
    }

    /// Why the controller's connection has ended, if it has.
    fn controller_end(&self) -> Option<DetachReason> {
        let controller = self.controller.as_ref()?;
        match recv(controller, &mut [0u8; 1], RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => None,
            Ok((1.., _)) => Some(DetachReason::UnexpectedData),
            Ok((0, _)) | Err(_) => Some(DetachReason::Closed),
        }
    }

    /// Moves new connections to `pending`; returns whether more may be waiting.
    fn accept(&mut self) -> bool {
        for _ in 0..ACCEPTS_PER_POLL {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = match accept_with(&self.socket, flags) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return false,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return true, // out of descriptors or memory: later
            };
            let readable = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
            if epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(0), readable).is_err() {
                return true;
            }
            if self.pending.len() == PENDING_MAX {
                self.pending.remove(0);
            }
            self.pending.push(Pending::new(socket, Instant::now() + HELLO_DEADLINE));
        }
        true
    }

    /// Advances the pending connections until one of them results in an event.
    fn poll_pending(&mut self) -> Option<ListenerEvent> {
        let mut at = 0;
        while at < self.pending.len() {
            match self.pending[at].progress() {
                Progress::Gone => drop(self.pending.remove(at)),
                Progress::Complete(hello) => {
                    // The predecessor may have died since `poll` checked: its end is reported first, the
                    // hello is kept.
                    if let Some(why) = self.controller_end() {
                        self.controller = None;
                        return Some(ListenerEvent::Detached { why });
                    }
                    let socket = self.pending.remove(at).socket;
                    if let Some(event) = self.answer(socket, hello) {
                        return Some(event);
                    }
                }
                Progress::Waiting if self.pending[at].deadline <= Instant::now() => {
                    let socket = self.pending.remove(at).socket;
                    let sentence = format!("no complete hello within {HELLO_DEADLINE:?}");
                    return Some(self.refuse(&socket, Refusal::new(RefusalReason::TooSlow, sentence)));
                }
                Progress::Waiting => at += 1,
            }
        }
        None
    }

    /// Attaches or refuses a controller; `None` if it has closed the connection.
    fn answer(&mut self, socket: OwnedFd, hello: Hello) -> Option<ListenerEvent> {
        if let Some(objection) = hello.objection(self.versions) {
            return Some(self.refuse(&socket, objection));
        }
        if self.controller.is_some() {
            let sentence = "another controller is attached to this engine: stop it first".into();
            return Some(self.refuse(&socket, Refusal::new(RefusalReason::Busy, sentence)));
        }
        match self.welcome(&socket, hello.protocol_version) {
            Ok(Some(ends)) => {
                self.controller = Some(socket);
                Some(ListenerEvent::Attached(ends))
            }
            Ok(None) => None,
            Err(error) => {
                let sentence = format!("the engine could not make a ring region: {error}");
                Some(self.refuse(&socket, Refusal::new(RefusalReason::EngineFault, sentence)))
            }
        }
    }

    /// Makes a region and hands it over. Every attachment gets a new one: data that a dead controller left
    /// half-written is never read. `None` if the controller could not receive it.
    fn welcome(&self, socket: &OwnedFd, controller_version: u32) -> io::Result<Option<Vec<WorkerEnd>>> {
        let (region, region_fd) = Region::create(&self.layout, self.engine_epoch)?;
        let region = Arc::new(region);
        let mut ends = Vec::with_capacity(usize::from(self.layout.workers));
        for index in 0..self.layout.workers {
            let doorbells = Doorbells { worker: Doorbell::new()?, controller: Doorbell::new()? };
            ends.push(WorkerEnd::new(&region, &self.layout, index, doorbells, controller_version));
        }
        let mut fds = vec![region_fd.as_fd()];
        for end in &ends {
            fds.extend([end.doorbell.as_fd(), end.peer_doorbell.as_fd()]);
        }
        let answer = Answer::Welcome {
            workers: self.layout.workers,
            engine_epoch: self.engine_epoch,
            region_bytes: self.layout.region_bytes() as u64,
        };
        let bytes = answer.encode(self.versions.own);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // Nothing was sent on this socket before: if its buffer cannot take these few bytes, the peer is
        // gone.
        let sent = sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, flags);
        Ok((sent == Ok(bytes.len())).then_some(ends))
    }

    /// Sends a refusal, as far as the connection accepts it; it is then closed.
    fn refuse(&self, socket: &OwnedFd, refusal: Refusal) -> ListenerEvent {
        let bytes = Answer::Refused(refusal.clone()).encode(self.versions.own);
        let _ = send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        ListenerEvent::Refused(refusal)
    }

    /// Wakes the caller at the next deadline, or soon if there is more to accept.
    fn set_timer(&self, crowded: bool) {
        let now = Instant::now();
        let deadline =
            self.pending.iter().map(|pending| pending.deadline.saturating_duration_since(now)).min();
        let wait = if crowded { Some(RETRY_AFTER) } else { deadline };
        // Zero would disarm the timer: an expired deadline becomes one nanosecond.
        let value = wait.map_or(Timespec { tv_sec: 0, tv_nsec: 0 }, |wait| Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()).max(1),
        });
        let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: never_again, it_value: value };
        let set = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer);
        debug_assert!(set.is_ok(), "the timer accepts any valid value");
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The path is still ours while the lock is: no other engine has bound it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Takes the lock of a running engine.
fn lock_beside(path: &Path) -> Result<OwnedFd, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = open(&name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| BindError::Io {
        doing: "open the lock file",
        path: name.clone(),
        source: errno.into(),
    })?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::AGAIN) => Err(BindError::InUse(path.to_path_buf())),
        Err(errno) => Err(BindError::Io { doing: "lock", path: name, source: errno.into() }),
    }
}

/// Removes the socket of a dead engine. While the lock is held, no engine can be listening there, unless the
/// lock file of a running one was removed: so the socket is tried too.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed =
        |doing, errno: Errno| BindError::Io { doing, path: path.to_path_buf(), source: errno.into() };
    let found = match lstat(path) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(failed("look at", errno)),
    };
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
        return Err(BindError::NotASocket(path.to_path_buf()));
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|errno| failed("open a socket for", errno))?;
    let address = SocketAddrUnix::new(path).map_err(|errno| failed("listen on", errno))?;
    match connect(&probe, &address) {
        Ok(()) | Err(Errno::AGAIN) => return Err(BindError::InUse(path.to_path_buf())),
        Err(_) => {}
    }
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed("remove the stale socket", errno)),
    }
}
