//! Two real processes, one of which is killed during its work.
//!
//! The other process is this test binary again; an environment variable selects its part.

#![allow(clippy::unwrap_used)]

mod socket_path;

use shm::{DetachReason, Listener, ListenerEvent, WorkerEnd, attach};
use socket_path::socket_path;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROTOCOL: u32 = 1;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Names the socket for the other process.
const SOCKET: &str = "LEAT_SHM_TEST_SOCKET";

/// This binary again, running only the test `part`.
fn spawn(part: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", part, "--nocapture"])
        .env(SOCKET, path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a process we started, however the test ends.
struct Doomed(Child);

impl Drop for Doomed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_readable(fd: impl AsFd, timeout: Duration) {
    let timeout = rustix::event::Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    let fd = fd.as_fd();
    rustix::event::poll(&mut [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)], Some(&timeout))
        .unwrap();
}

fn next_event(listener: &mut Listener) -> ListenerEvent {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(event) = listener.poll() {
            return event;
        }
        assert!(Instant::now() < deadline, "no event within {TIMEOUT:?}");
        wait_readable(&*listener, Duration::from_millis(100));
    }
}

/// The record number `number`: its number, and a length and content derived from it.
fn record(number: u64) -> Vec<u8> {
    let len = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as usize;
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + len, number as u8);
    bytes
}

/// Part of the other process: a controller that sends commands as fast as it can, endlessly.
#[test]
fn part_of_a_controller_that_never_stops() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    let mut attachment = attach(path, PROTOCOL, TIMEOUT).unwrap();
    let end = &mut attachment.workers[0];
    for number in 0.. {
        while end.commands.push(&record(number)).is_err() {
            assert!(!attachment.link.is_closed());
            std::thread::yield_now();
        }
        if end.commands.wants_doorbell() {
            end.peer_doorbell.ring();
        }
    }
}

/// Part of the other process: an engine that echoes each command.
#[test]
fn part_of_an_engine_that_echoes() {
    let Some(path) = std::env::var_os(SOCKET) else { return };
    let mut listener = Listener::bind(path, 1, PROTOCOL).unwrap();
    let ListenerEvent::Attached(mut ends) = next_event(&mut listener) else { panic!("attached") };
    let WorkerEnd { commands, events, doorbell, peer_doorbell, stats } = &mut ends[0];
    let mut into = Vec::new();
    let mut count = 0;
    loop {
        wait_readable(&*doorbell, TIMEOUT);
        doorbell.clear();
        while commands.pop(&mut into).unwrap().is_some() {
            count += 1;
            stats.write(&[count]);
            events.push(&into).unwrap();
        }
        peer_doorbell.ring();
    }
}

#[test]
fn a_controller_killed_while_writing_leaves_complete_records_and_can_be_replaced() {
    let path = socket_path("killed-controller");
    let mut listener = Listener::bind(&path, 1, PROTOCOL).unwrap();
    let mut into = Vec::new();
    for life in 0..5u64 {
        let mut controller = Doomed(spawn("part_of_a_controller_that_never_stops", &path));
        let ListenerEvent::Attached(mut ends) = next_event(&mut listener) else { panic!("attached") };
        let WorkerEnd { commands, doorbell, .. } = &mut ends[0];
        let mut number = 0;
        while number < 2000 * (life + 1) {
            commands.stay_awake();
            while commands.pop(&mut into).unwrap().is_some() {
                assert_eq!(into, record(number));
                number += 1;
            }
            if commands.may_sleep().unwrap() {
                wait_readable(&*doorbell, TIMEOUT);
                doorbell.clear();
            }
        }
        controller.0.kill().unwrap();
        let ListenerEvent::Detached { why } = next_event(&mut listener) else { panic!("detached") };
        assert_eq!(why, DetachReason::Closed);
        // What it had published is complete; a record that was being written is not visible.
        while commands.pop(&mut into).unwrap().is_some() {
            assert_eq!(into, record(number));
            number += 1;
        }
    }
}

#[test]
fn a_killed_engine_is_noticed_at_once_and_its_socket_is_reused() {
    let path = socket_path("killed-engine");
    let mut epochs = Vec::new();
    for _ in 0..2 {
        let mut engine = Doomed(spawn("part_of_an_engine_that_echoes", &path));
        let deadline = Instant::now() + TIMEOUT;
        let mut attachment = loop {
            match attach(&path, PROTOCOL, TIMEOUT) {
                Ok(attachment) => break attachment,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        epochs.push(attachment.engine_epoch);
        let mut into = Vec::new();
        for number in 0..100 {
            let end = &mut attachment.workers[0];
            end.commands.push(&record(number)).unwrap();
            end.peer_doorbell.ring();
            while end.events.pop(&mut into).unwrap().is_none() {
                wait_readable(&end.doorbell, TIMEOUT);
                end.doorbell.clear();
            }
            assert_eq!(into, record(number));
        }
        assert_eq!(attachment.workers[0].stats.read().unwrap()[0], 100);
        assert!(!attachment.link.is_closed());
        let killed = Instant::now();
        engine.0.kill().unwrap();
        wait_readable(&attachment.link, TIMEOUT);
        assert!(attachment.link.is_closed());
        assert!(killed.elapsed() < TIMEOUT, "the closed link was not noticed in time");
        // The region can still be read.
        assert_eq!(attachment.workers[0].stats.read().unwrap()[0], 100);
        engine.0.wait().unwrap();
    }
    assert_ne!(epochs[0], epochs[1], "another engine has another epoch");
}
