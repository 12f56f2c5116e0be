//! The handshake over a real socket: attach, refuse, detach, attach again.

#![allow(clippy::unwrap_used)]

mod socket_path;

use shm::{
    AttachError, BindError, DetachReason, Link, Listener, ListenerEvent, RefusalReason, Versions, WorkerEnd,
    attach,
};
use socket_path::socket_path;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PROTOCOL: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits, as the engine's main thread would, for the listener to become readable.
fn next_event(listener: &mut Listener) -> ListenerEvent {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(event) = listener.poll() {
            return event;
        }
        assert!(Instant::now() < deadline, "no event within {TIMEOUT:?}");
        wait_readable(&*listener, Duration::from_secs(1));
    }
}

/// Whether `fd` became readable in time.
fn wait_readable(fd: impl AsFd, timeout: Duration) -> bool {
    let timeout = rustix::event::Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    let fd = fd.as_fd();
    rustix::event::poll(&mut [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)], Some(&timeout))
        .unwrap()
        > 0
}

/// Attaches from another thread while this one runs the listener.
fn attach_beside(
    path: &Path,
    versions: impl Into<Versions>,
) -> JoinHandle<Result<shm::Attachment, AttachError>> {
    let (path, versions) = (path.to_path_buf(), versions.into());
    std::thread::spawn(move || attach(path, versions, TIMEOUT))
}

fn attached(listener: &mut Listener, path: &Path) -> (Vec<WorkerEnd>, shm::Attachment) {
    let attaching = attach_beside(path, PROTOCOL);
    let ListenerEvent::Attached(ends) = next_event(listener) else { panic!("attached") };
    (ends, attaching.join().unwrap().unwrap())
}

#[test]
fn records_and_rings_pass_both_ways() {
    let path = socket_path("both-ways");
    let mut listener = Listener::bind(&path, 2, PROTOCOL).unwrap();
    let (mut workers, mut controller) = attached(&mut listener, &path);
    assert_eq!(controller.engine_epoch, listener.engine_epoch());
    assert_eq!((workers.len(), controller.workers.len()), (2, 2));
    let mut into = Vec::new();
    for (index, (worker, end)) in workers.iter_mut().zip(&mut controller.workers).enumerate() {
        let command = format!("command for {index}").into_bytes();
        end.commands.push(&command).unwrap();
        assert!(!worker.doorbell.clear(), "the doorbell has not been rung");
        end.peer_doorbell.ring();
        assert!(wait_readable(&worker.doorbell, TIMEOUT) && worker.doorbell.clear());
        assert_eq!(worker.commands.pop(&mut into), Ok(Some(command.len())));
        assert_eq!(into, command);

        let event = format!("event of {index}").into_bytes();
        worker.events.push(&event).unwrap();
        worker.peer_doorbell.ring();
        assert!(wait_readable(&end.doorbell, TIMEOUT) && end.doorbell.clear());
        assert_eq!(end.events.pop(&mut into), Ok(Some(event.len())));
        assert_eq!(into, event);

        worker.stats.write(&[index as u64 + 1]);
        assert_eq!(end.stats.read().unwrap()[0], index as u64 + 1);
    }
}

#[test]
fn the_socket_is_private_and_removed_with_the_listener() {
    let path = socket_path("mode");
    let listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn a_second_engine_at_the_same_path_is_refused() {
    let path = socket_path("second");
    let _first = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let error = Listener::bind(&path, 1, PROTOCOL).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    assert!(error.to_string().contains("another engine is listening on /"), "{error}");
    // Even without the lock file it is refused: an engine answers at the socket.
    std::fs::remove_file(format!("{}.lock", path.display())).unwrap();
    assert!(matches!(Listener::bind(&path, 1, PROTOCOL), Err(BindError::InUse(_))));
}

#[test]
fn the_socket_of_a_dead_engine_is_replaced_and_other_files_are_not() {
    let path = socket_path("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a socket without a listener");
    let listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    drop(listener);
    std::fs::write(&path, "the user's notes").unwrap();
    assert!(matches!(Listener::bind(&path, 1, PROTOCOL), Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"the user's notes");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn more_workers_than_a_message_has_room_for_are_refused_and_the_most_attach() {
    let path = socket_path("workers");
    for workers in [0, shm::limits::WORKERS_MAX + 1] {
        assert!(matches!(Listener::bind(&path, workers, PROTOCOL), Err(BindError::Workers { .. })));
    }
    let mut listener = Listener::bind(&path, shm::limits::WORKERS_MAX, PROTOCOL).unwrap();
    let (mut workers, mut controller) = attached(&mut listener, &path);
    controller.workers.last_mut().unwrap().commands.push(b"last").unwrap();
    let mut into = Vec::new();
    assert_eq!(workers.last_mut().unwrap().commands.pop(&mut into), Ok(Some(4)));
}

#[test]
fn attaching_without_an_engine_reports_it() {
    let path = socket_path("no-engine");
    assert!(matches!(attach(&path, PROTOCOL, TIMEOUT), Err(AttachError::NoEngine(_))));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(attach(&path, PROTOCOL, TIMEOUT), Err(AttachError::NoEngine(_))));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn an_engine_that_does_not_answer_is_reported_after_the_timeout() {
    let path = socket_path("silent");
    let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let before = Instant::now();
    let error = attach(&path, PROTOCOL, Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, AttachError::TimedOut { .. }), "{error}");
    assert!(before.elapsed() < TIMEOUT);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn an_invalid_answer_is_malformed() {
    let path = socket_path("nonsense");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[0xa5; 64]).unwrap();
        stream
    });
    assert!(matches!(attach(&path, PROTOCOL, TIMEOUT), Err(AttachError::Malformed(_))));
    answering.join().unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_protocol_version_two_apart_is_refused_and_both_are_named() {
    let path = socket_path("version");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let attaching = attach_beside(&path, PROTOCOL + 2);
    let ListenerEvent::Refused(for_the_log) = next_event(&mut listener) else { panic!("refused") };
    let Err(AttachError::Refused(refusal)) = attaching.join().unwrap() else { panic!("refused") };
    assert_eq!(refusal, for_the_log);
    assert_eq!(refusal.reason, RefusalReason::ProtocolVersion);
    assert!(refusal.sentence.contains("version 5, this engine 3"), "{refusal}");
    attached(&mut listener, &path);
}

#[test]
fn versions_one_apart_attach_and_each_learns_the_version_of_the_other() {
    let versions = |own| Versions { own, oldest: PROTOCOL };
    for (engine, controller) in [(PROTOCOL, PROTOCOL + 1), (PROTOCOL + 1, PROTOCOL)] {
        let path = socket_path("skew");
        // The engine's statistics page has another size than the controller's version would have.
        let mut listener = Listener::bind(&path, 1, versions(engine)).unwrap().with_stats_slots(1000);
        let attaching = attach_beside(&path, versions(controller));
        let ListenerEvent::Attached(mut ends) = next_event(&mut listener) else { panic!("attached") };
        let attachment = attaching.join().unwrap().unwrap();
        assert_eq!((ends[0].controller_version, attachment.engine_version), (controller, engine));
        ends[0].stats.write(&[7; 1000]);
        assert_eq!(attachment.workers[0].stats.read().unwrap(), [7; 1000]);
    }
}

/// The engine accepts a controller one version newer, which no longer supports the version of the engine.
#[test]
fn a_welcome_of_an_unsupported_version_is_an_error_that_names_both() {
    let path = socket_path("old-engine");
    let mut listener = Listener::bind(&path, 1, Versions { own: 8, oldest: 7 }).unwrap();
    let attaching = attach_beside(&path, Versions { own: 9, oldest: 9 });
    assert!(matches!(next_event(&mut listener), ListenerEvent::Attached(_)));
    let error = attaching.join().unwrap().unwrap_err();
    assert!(matches!(error, AttachError::ProtocolVersion { engine: 8, .. }));
    assert!(error.to_string().contains("version 8, this controller 9 (it accepts 9 to 10)"), "{error}");
}

#[test]
fn a_client_of_another_protocol_is_refused() {
    let path = socket_path("stranger");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let mut stranger = UnixStream::connect(&path).unwrap();
    stranger.write_all(b"GET /metrics HTTP/1.1\r\nHost: engine\r\n\r\n").unwrap();
    let ListenerEvent::Refused(refusal) = next_event(&mut listener) else { panic!("refused") };
    assert_eq!(refusal.reason, RefusalReason::NotAController);
    let mut answer = [0; 8];
    stranger.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"LEATRING");
}

#[test]
fn one_controller_at_a_time_and_the_next_after_it_is_gone() {
    let path = socket_path("busy");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let (mut old_ends, first) = attached(&mut listener, &path);

    let second = attach_beside(&path, PROTOCOL);
    assert!(matches!(next_event(&mut listener), ListenerEvent::Refused(_)));
    let Err(AttachError::Refused(refusal)) = second.join().unwrap() else { panic!("refused") };
    assert_eq!(refusal.reason, RefusalReason::Busy);
    assert!(listener.is_attached());

    drop(first);
    let third = attach_beside(&path, PROTOCOL);
    let ListenerEvent::Detached { why } = next_event(&mut listener) else { panic!("detached") };
    assert_eq!(why, DetachReason::Closed);
    let ListenerEvent::Attached(mut ends) = next_event(&mut listener) else { panic!("attached") };
    let mut third = third.join().unwrap().unwrap();

    // Another region: the new controller never sees what the old ends write.
    old_ends[0].events.push(b"lost").unwrap();
    ends[0].events.push(b"hello again").unwrap();
    let mut into = Vec::new();
    third.workers[0].events.pop(&mut into).unwrap();
    assert_eq!(into, b"hello again");
    assert_eq!(third.workers[0].events.pop(&mut into), Ok(None));
}

#[test]
fn a_restarted_controller_attaches_before_the_engine_notices_the_end_of_the_first() {
    let path = socket_path("restart");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let (_, first) = attached(&mut listener, &path);
    let again = attach_beside(&path, PROTOCOL);
    std::thread::sleep(Duration::from_millis(20));
    drop(first);
    assert!(matches!(next_event(&mut listener), ListenerEvent::Detached { .. }));
    assert!(matches!(next_event(&mut listener), ListenerEvent::Attached(_)));
    again.join().unwrap().unwrap();
}

#[test]
fn a_controller_that_sends_after_the_handshake_is_detached() {
    let path = socket_path("unexpected-data");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let mut socket = UnixStream::connect(&path).unwrap();
    let mut hello = b"LEATRING".to_vec();
    hello.extend(shm::LAYOUT_VERSION.to_le_bytes());
    hello.extend(PROTOCOL.to_le_bytes());
    // In two pieces: a hello need not arrive at once.
    socket.write_all(&hello[..5]).unwrap();
    assert!(listener.poll().is_none());
    socket.write_all(&hello[5..]).unwrap();
    assert!(matches!(next_event(&mut listener), ListenerEvent::Attached(_)));
    socket.write_all(b"?").unwrap();
    let ListenerEvent::Detached { why } = next_event(&mut listener) else { panic!("detached") };
    assert_eq!(why, DetachReason::UnexpectedData);
}

fn closes(link: &Link) -> bool {
    wait_readable(link, TIMEOUT) && link.is_closed()
}

#[test]
fn the_link_closes_at_once_when_the_engine_detaches_or_ends() {
    let path = socket_path("let-go");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let (_, controller) = attached(&mut listener, &path);
    assert!(!controller.link.is_closed());
    assert!(listener.detach());
    assert!(closes(&controller.link));
    assert!(!listener.detach());
    assert!(listener.poll().is_none(), "no event for one's own detach");

    let (ends, controller) = attached(&mut listener, &path);
    drop(listener);
    assert!(closes(&controller.link));
    drop(ends);
    // The region outlives the engine's end of it: reading still works.
    assert!(controller.workers[0].stats.read().is_some());
}

#[test]
fn silent_connections_expire_and_do_not_block_others() {
    let path = socket_path("silent-crowd");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let crowd: Vec<_> = (0..shm::limits::PENDING_MAX)
        .map(|_| {
            let stream = UnixStream::connect(&path).unwrap();
            assert!(listener.poll().is_none());
            stream
        })
        .collect();
    let (_ends, _controller) = attached(&mut listener, &path);
    let ListenerEvent::Refused(refusal) = next_event(&mut listener) else { panic!("refused") };
    assert_eq!(refusal.reason, RefusalReason::TooSlow);
    drop(crowd);
}
