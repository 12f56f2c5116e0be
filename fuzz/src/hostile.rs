//! A controller that implements the attach protocol by hand and keeps the region's memory as a file that it
//! can write anywhere: everything a hostile process can do with its mapping, without `unsafe` here.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use shm::{Listener, ListenerEvent, WorkerEnd};

/// The offsets of one ring's words in the region; bytes. Layout version 1, one worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingAt {
    pub(crate) head: u64,
    pub(crate) tail: u64,
    pub(crate) awake: u64,
    pub(crate) data: u64,
}

const fn ring(at: u64) -> RingAt {
    RingAt { head: at, tail: at + 128, awake: at + 256, data: at + 384 }
}

/// Written by the controller and read by the worker.
pub(crate) const COMMANDS: RingAt = ring(4096);
/// Written by the worker and read by the controller.
pub(crate) const EVENTS: RingAt = ring(COMMANDS.data + shm::limits::COMMAND_RING_BYTES as u64);
/// The statistics page, which begins with its sequence.
pub(crate) const STATS: u64 = EVENTS.data + shm::limits::EVENT_RING_BYTES as u64;
/// Everything, up to a whole page.
pub(crate) const REGION_BYTES: u64 =
    (STATS + 128 + 8 * shm::limits::STATS_SLOTS as u64).next_multiple_of(4096);
const _: () = assert!(shm::LAYOUT_VERSION == 1, "the offsets above are of layout 1");

/// Tag of a record header, in its upper half.
pub(crate) const RECORD_TAG: u64 = 0x4c45_4154 << 32;

const PROTOCOL: u32 = 1;

/// An engine's worker and a hostile process.
pub(crate) struct Pair {
    pub(crate) worker: WorkerEnd,
    pub(crate) memory: File,
    /// Closes the connection when dropped, so that the next one can attach.
    _link: UnixStream,
}

struct Engine {
    listener: Listener,
    path: PathBuf,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path.with_extension("lock"));
    }
}

thread_local! {
    /// One per thread: a new socket for every input would be most of the work.
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

fn with_engine<T>(act: impl FnOnce(&mut Engine) -> T) -> T {
    ENGINE.with_borrow_mut(|engine| {
        act(engine.get_or_insert_with(|| {
            let name = format!("leat-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
            let path = std::env::temp_dir().join(name.replace(['(', ')'], "-"));
            Engine { listener: Listener::bind(&path, 1, PROTOCOL).expect("a socket"), path }
        }))
    })
}

/// Sends any `hello`, and closes the connection: the engine may refuse, and continues to listen.
pub(crate) fn knock(hello: &[u8]) {
    with_engine(|engine| {
        let mut stream = UnixStream::connect(&engine.path).expect("the engine listens");
        // The engine may have closed the connection after reading enough.
        let _ = stream.write_all(hello);
        let _ = stream.shutdown(Shutdown::Write);
        for _ in 0..4 {
            let _ = engine.listener.poll();
        }
    });
    // A correct controller can attach afterwards.
    drop(attach());
}

/// Attaches.
pub(crate) fn attach() -> Pair {
    with_engine(|engine| {
        let mut stream = UnixStream::connect(&engine.path).expect("the engine listens");
        let mut hello = b"LEATRING".to_vec();
        hello.extend_from_slice(&shm::LAYOUT_VERSION.to_le_bytes());
        hello.extend_from_slice(&PROTOCOL.to_le_bytes());
        stream.write_all(&hello).expect("the engine reads");
        let worker = loop {
            // The end of the previous one is reported first.
            if let Some(ListenerEvent::Attached(ends)) = engine.listener.poll() {
                break ends.into_iter().next().expect("one worker");
            }
        };
        let memory = File::from(region_of(&stream));
        Pair { worker, memory, _link: stream }
    })
}

/// Takes the region from the welcome: the first of its descriptors.
fn region_of(stream: &UnixStream) -> OwnedFd {
    let mut bytes = [0; 512];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty())
        .expect("the welcome");
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    fds.flatten().next().expect("the region")
}

impl Pair {
    /// Writes one word anywhere.
    pub(crate) fn poke(&self, at: u64, word: u64) {
        self.memory.write_all_at(&word.to_le_bytes(), at.min(REGION_BYTES - 8)).expect("inside the region");
    }

    /// Reads one word.
    pub(crate) fn peek(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, at).expect("inside the region");
        u64::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offsets must be those of the crate under test, otherwise the target would write to unused memory.
    #[test]
    fn the_offsets_are_where_the_ring_is() {
        let mut pair = attach();
        pair.worker.events.push(b"12345678").expect("room");
        assert_eq!(pair.peek(EVENTS.head), 16);
        assert_eq!(pair.peek(EVENTS.data), RECORD_TAG | 8);
        assert_eq!(pair.peek(EVENTS.data + 8), u64::from_le_bytes(*b"12345678"));
        pair.poke(COMMANDS.data, RECORD_TAG | 8);
        pair.poke(COMMANDS.data + 8, 7);
        pair.poke(COMMANDS.head, 16);
        let mut into = Vec::new();
        assert_eq!(pair.worker.commands.pop(&mut into), Ok(Some(8)));
        assert_eq!(into, 7u64.to_le_bytes());
        assert_eq!(pair.peek(COMMANDS.tail), 16);
        pair.worker.commands.stay_awake();
        assert_ne!(pair.peek(COMMANDS.awake), 0);
        pair.worker.stats.write(&[5]);
        assert_eq!((pair.peek(STATS) % 2, pair.peek(STATS + 128)), (0, 5));
        assert_eq!(pair.memory.metadata().expect("a file").len(), REGION_BYTES);
    }
}
