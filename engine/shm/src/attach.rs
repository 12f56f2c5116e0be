//! The controller's side of attaching.

use crate::doorbell::Doorbell;
use crate::ends::{ControllerEnd, Doorbells};
use crate::limits::{FDS_MAX, SENTENCE_BYTES_MAX, VERSION_SKEW_MAX, WORKERS_MAX};
use crate::region::Region;
use crate::versions::Versions;
use crate::wire::{ANSWER_BYTES, Answer, Hello, Refusal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, recv, recvmsg, send, socket_with,
};
use std::borrow::Cow;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Attaching failed.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No engine listens there (yet). Start it, or try again.
    #[error("no engine is listening on {}", .0.display())]
    NoEngine(PathBuf),
    /// The engine refused, with its reason.
    #[error("the engine refused: {0}")]
    Refused(Refusal),
    /// The engine accepted this controller, but its protocol version is not supported here.
    #[error(
        "the engine has protocol version {engine}, this controller {} (it accepts {controller}): install releases whose protocol versions differ by at most {VERSION_SKEW_MAX}",
        .controller.own
    )]
    ProtocolVersion {
        /// The version of the engine.
        engine: u32,
        /// The versions of this controller.
        controller: Versions,
    },
    /// The engine did not answer in time: it is stuck, or its main thread is starved.
    #[error("the engine at {} did not answer within {timeout:?}", path.display())]
    TimedOut {
        /// The socket.
        path: PathBuf,
        /// The timeout.
        timeout: Duration,
    },
    /// The answer is not that of an engine.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// The operating system refused.
    #[error("cannot attach to {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A controller's attachment to an engine. Dropping the [`Link`] detaches.
#[derive(Debug)]
pub struct Attachment {
    /// Drawn at random when the engine started; another number is another engine process, without earlier
    /// objects.
    pub engine_epoch: u64,
    /// The protocol version of the engine.
    pub engine_version: u32,
    /// One end per worker, in the order of the workers.
    pub workers: Vec<ControllerEnd>,
    /// Reports when the engine dies or detaches; must be kept as long as the attachment should last.
    pub link: Link,
}

/// The attach socket after the handshake. It carries no data; it becomes readable (and hung up) when the
/// engine dies or detaches this controller; dropping it detaches from the engine.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    /// Whether the engine is gone or has detached this controller. To be called when the descriptor is
    /// readable.
    pub fn is_closed(&self) -> bool {
        !matches!(recv(&self.0, &mut [0u8; 1], RecvFlags::DONTWAIT), Err(Errno::AGAIN | Errno::INTR))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Attaches to the engine that listens at `path`, as a controller of these protocol versions. Blocks for at
/// most `timeout`; does not wait for an engine to start.
pub fn attach(
    path: impl AsRef<Path>,
    versions: impl Into<Versions>,
    timeout: Duration,
) -> Result<Attachment, AttachError> {
    let (path, versions) = (path.as_ref(), versions.into());
    let attempt = Attempt { path, timeout, deadline: Instant::now() + timeout.min(TIMEOUT_MAX) };
    let socket = attempt.connect()?;
    attempt.send_all(&socket, &Hello::new(versions.own).encode())?;
    let (answer, engine_version, mut fds) = attempt.answer(&socket)?;
    let (workers, engine_epoch, region_bytes) = match answer {
        Answer::Refused(refusal) => return Err(AttachError::Refused(refusal)),
        Answer::Welcome { .. } if !versions.accepts(engine_version) => {
            return Err(AttachError::ProtocolVersion { engine: engine_version, controller: versions });
        }
        Answer::Welcome { workers, engine_epoch, region_bytes } => {
            if !(1..=WORKERS_MAX).contains(&workers) || fds.len() != 1 + 2 * usize::from(workers) {
                return Err(AttachError::Malformed(
                    "the engine's answer has a wrong number of workers or descriptors".into(),
                ));
            }
            (workers, engine_epoch, region_bytes)
        }
    };
    let mut doorbells = fds.split_off(1).into_iter().map(Doorbell::from_fd);
    let region = fds.pop().expect("one descriptor is left of those counted above");
    let (region, layout) =
        Region::open(region, workers, engine_epoch, region_bytes).map_err(|error| attempt.io(error))?;
    let region = Arc::new(region);
    let mut ends = Vec::with_capacity(usize::from(workers));
    while let (Some(worker), Some(controller)) = (doorbells.next(), doorbells.next()) {
        let index = ends.len() as u16;
        ends.push(ControllerEnd::new(&region, &layout, index, Doorbells { worker, controller }));
    }
    Ok(Attachment { engine_epoch, engine_version, workers: ends, link: Link(socket) })
}

/// One attempt to attach, with its deadline.
struct Attempt<'a> {
    path: &'a Path,
    timeout: Duration,
    deadline: Instant,
}

/// Longer than any useful timeout, and short enough that no clock overflows.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Pause before retrying a listener with a full backlog.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

impl Attempt<'_> {
    fn connect(&self) -> Result<OwnedFd, AttachError> {
        let address = SocketAddrUnix::new(self.path).map_err(|errno| self.io(errno))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|errno| self.io(errno))?;
        loop {
            match connect(&socket, &address) {
                Ok(()) => return Ok(socket),
                Err(Errno::AGAIN) => {
                    // The backlog is full, and there is no descriptor to wait on.
                    self.remaining()?;
                    std::thread::sleep(BACKLOG_PAUSE);
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOENT | Errno::CONNREFUSED) => {
                    return Err(AttachError::NoEngine(self.path.to_path_buf()));
                }
                Err(errno) => return Err(self.io(errno)),
            }
        }
    }

    fn send_all(&self, socket: &OwnedFd, mut bytes: &[u8]) -> Result<(), AttachError> {
        while !bytes.is_empty() {
            match send(socket, bytes, SendFlags::NOSIGNAL) {
                Ok(len) => bytes = &bytes[len..],
                Err(Errno::AGAIN) => self.wait(socket, PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                // Refused and closed before the hello was complete: the answer has the reason.
                Err(Errno::PIPE) => return Ok(()),
                Err(errno) => return Err(self.io(errno)),
            }
        }
        Ok(())
    }

    /// Reads one answer and its descriptors.
    fn answer(&self, socket: &OwnedFd) -> Result<(Answer, u32, Vec<OwnedFd>), AttachError> {
        let mut bytes = Vec::with_capacity(ANSWER_BYTES + SENTENCE_BYTES_MAX);
        let mut fds = Vec::new();
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut buffer = [0; ANSWER_BYTES + SENTENCE_BYTES_MAX];
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            match recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags) {
                Ok(received) if received.bytes == 0 => {
                    return Err(AttachError::Malformed(
                        "the engine closed the connection during the handshake".into(),
                    ));
                }
                Ok(received) => {
                    bytes.extend_from_slice(&buffer[..received.bytes]);
                    for message in control.drain() {
                        if let RecvAncillaryMessage::ScmRights(rights) = message {
                            fds.extend(rights);
                        }
                    }
                }
                Err(Errno::AGAIN) => self.wait(socket, PollFlags::IN)?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.io(errno)),
            }
            if let Some((answer, version)) = Answer::decode(&bytes).map_err(AttachError::Malformed)? {
                return Ok((answer, version, fds));
            }
        }
    }

    /// Waits until `socket` is ready or the deadline has passed.
    fn wait(&self, socket: &OwnedFd, flags: PollFlags) -> Result<(), AttachError> {
        let remaining = self.remaining()?;
        let timeout = Timespec {
            tv_sec: i64::try_from(remaining.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(remaining.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(socket, flags)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(self.io(errno)),
        }
    }

    /// The time left; an error if there is none.
    fn remaining(&self) -> Result<Duration, AttachError> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(AttachError::TimedOut { path: self.path.to_path_buf(), timeout: self.timeout });
        }
        Ok(remaining)
    }

    fn io(&self, error: impl Into<io::Error>) -> AttachError {
        AttachError::Io { path: self.path.to_path_buf(), source: error.into() }
    }
}
