//! A faulty or hostile controller: anything it writes into the shared memory ends its attachment, but neither
//! the engine nor a call.

use crate::PATIENCE;
use crate::call::Call;
use crate::engine::Engine;
use machine::Rng;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// An attachment created by hand: the shared memory as a file, to write anything into it.
#[derive(Debug)]
struct Vandal {
    socket: UnixStream,
    region: File,
    /// Of the one worker: the doorbell it waits on.
    doorbell: File,
    len: u64,
}

impl Vandal {
    fn attach(path: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Refused until the previous one is completely gone.
            if let Some(vandal) = Self::try_attach(path) {
                return vandal;
            }
            assert!(Instant::now() < deadline, "not attached within {PATIENCE:?}");
            sleep(Duration::from_millis(5));
        }
    }

    fn try_attach(path: &Path) -> Option<Self> {
        let mut socket = UnixStream::connect(path).unwrap();
        let mut hello = b"LEATRING".to_vec();
        hello.extend(shm::LAYOUT_VERSION.to_le_bytes());
        hello.extend(control::PROTOCOL_VERSION.to_le_bytes());
        socket.write_all(&hello).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut answer = [0; 64];
        recvmsg(&socket, &mut [IoSliceMut::new(&mut answer)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let descriptors = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let mut descriptors: Vec<OwnedFd> = descriptors.flatten().collect();
        if descriptors.is_empty() {
            return None;
        }
        let [region, doorbell, _own]: [OwnedFd; 3] =
            std::mem::take(&mut descriptors).try_into().expect("a region and two doorbells");
        let region = File::from(region);
        let len = region.metadata().unwrap().len();
        Some(Self { socket, region, doorbell: File::from(doorbell), len })
    }

    /// Writes into the shared memory.
    fn write(&self, at: u64, bytes: &[u8]) {
        self.region.write_all_at(bytes, at).unwrap();
    }

    fn ring(&self) {
        (&self.doorbell).write_all(&1_u64.to_ne_bytes()).unwrap();
    }

    /// Whether the engine detaches it.
    fn is_detached_within(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).unwrap();
        matches!(self.socket.read(&mut [0]), Ok(0))
    }
}

/// The offsets of the first worker's rings: the writer's cursor, the reader's, then the data
/// (`docs/ring.md`).
const WRITTEN: u64 = 4096;
const DATA: u64 = WRITTEN + 3 * 128;
const EVENTS_READ: u64 = DATA + shm::limits::COMMAND_RING_BYTES as u64 + 128;

/// The header word of a record with this number of bytes.
const fn header(len: u64) -> u64 {
    0x4c45_4154 << 32 | len
}

#[test]
fn impossible_cursors_and_records_end_the_attachment_and_no_call() {
    let mut engine = Engine::start_with(&["--workers", "1", "--grace-period", "60"]);
    let mut call = Call::connect(&engine, &mut engine.attach());
    call.publish(5);

    // The words to write, and the text in the engine's log.
    let impossible: [(&[(u64, u64)], &str); 7] = [
        (&[(WRITTEN, 1 << 40)], "claims more bytes than the ring holds"),
        (&[(WRITTEN, u64::MAX - 7)], "claims more bytes than the ring holds"),
        (&[(WRITTEN, 3)], "not aligned"),
        (&[(DATA, header(0)), (DATA + 8, header(0)), (WRITTEN, 16), (WRITTEN, 8)], "went backwards"),
        (&[(DATA, u64::MAX), (WRITTEN, 64)], "does not start with a record header"),
        (&[(DATA, header(1 << 20)), (WRITTEN, 1 << 20)], "a record exceeds the maximum length"),
        (&[(DATA, header(64)), (WRITTEN, 16)], "more bytes than have been written"),
    ];
    for (number, (writes, said)) in impossible.into_iter().enumerate() {
        let mut vandal = Vandal::attach(&engine.socket);
        for (at, word) in writes {
            vandal.write(*at, &word.to_le_bytes());
            vandal.ring();
            // Time to read it: of two values of one word, the engine must see both.
            sleep(Duration::from_millis(20));
        }
        assert!(vandal.is_detached_within(PATIENCE), "{writes:?} is taken for a ring");
        let log = engine.log();
        let corrupt: Vec<&str> = log.lines().filter(|line| line.contains("corrupt")).collect();
        assert_eq!(corrupt.len(), number + 1, "one line for each: {log}");
        assert!(corrupt[number].contains(said), "{writes:?}: {}", corrupt[number]);
        call.publish(1);
    }
    assert_untouched(&mut engine);
}

#[test]
fn an_impossible_read_cursor_ends_the_attachment_when_the_engine_needs_it() {
    let mut engine = Engine::start_with(&["--workers", "1", "--grace-period", "60"]);
    let mut call = Call::connect(&engine, &mut engine.attach());
    let mut vandal = Vandal::attach(&engine.socket);
    vandal.write(EVENTS_READ, &3_u64.to_le_bytes());
    // Each of these empty records is answered; all answers together exceed the event ring.
    let records = header(0).to_le_bytes().repeat(1 << 14);
    vandal.write(DATA, &records);
    vandal.write(WRITTEN, &(records.len() as u64).to_le_bytes());
    vandal.ring();
    assert!(vandal.is_detached_within(PATIENCE));
    assert!(engine.log().contains("not aligned"), "{}", engine.log());
    call.publish(5);
    let log = engine.log();
    assert_eq!(log.matches("corrupt").count(), 1, "one line, although more events were pending: {log}");
    assert_untouched(&mut engine);
}

/// The engine runs, and the call of two is its only state.
fn assert_untouched(engine: &mut Engine) {
    let snapshot = engine.attach().snapshot();
    assert_eq!(snapshot.len(), 5, "{snapshot:?}");
    assert!(engine.is_running());
}

#[test]
fn noise_in_the_whole_region_does_not_affect_the_engine_and_its_calls() {
    let mut engine = Engine::start_with(&["--workers", "1", "--grace-period", "60"]);
    let mut call = Call::connect(&engine, &mut engine.attach());
    for seed in 0..16 {
        let mut rng = Rng::from_number(seed);
        let mut vandal = Vandal::attach(&engine.socket);
        let mut noise = vec![0; vandal.len as usize];
        match seed {
            0 => noise.fill(0xff),
            1 => noise.fill(0),
            _ => rng.fill(&mut noise),
        }
        if seed % 2 == 0 {
            vandal.write(0, &noise);
            vandal.ring();
        } else {
            // Repeatedly while the engine reads, each time at another place.
            for _ in 0..200 {
                let at = u64::from(rng.below(vandal.len as u32 - 4096));
                vandal.write(at, &noise[at as usize..at as usize + 64]);
                vandal.write(WRITTEN, &u64::from(rng.below(1 << 12) & !7).to_le_bytes());
                vandal.write(EVENTS_READ, &u64::from(rng.below(1 << 12) & !7).to_le_bytes());
                vandal.ring();
            }
        }
        // Noise may look like an empty ring; then the engine has no reason to detach.
        vandal.is_detached_within(Duration::from_millis(50));
        assert!(engine.is_running(), "seed {seed}");
        call.publish(1);
    }
    // The room was not claimed, but noise may have been a command: the remaining objects all belong to it.
    let mut controller = engine.attach();
    controller.snapshot();
    controller.demand(crate::call::create_router(control::RouterId(99)));
}
