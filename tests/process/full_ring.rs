//! A controller that stops reading until the event ring is full, and then continues: its earlier commands are
//! answered.
//!
//! The controller is a separate process that stops itself by SIGSTOP, like signaling in a debugger or a
//! frozen container. It is this test binary again, with the one test below, which does nothing unless the
//! environment names the engine.

use crate::PATIENCE;
use crate::engine::Engine;
use control::{Command, Event, Request, RequestId, RouterId};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use shm::{Attachment, PushError, attach};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SOCKET: &str = "LEAT_TEST_FULL_RING_SOCKET";

/// Begins the lines for the parent, among those of the test harness.
const MARK: &str = "longest wait in microseconds:";

/// How often the controller stops and continues.
const ROUNDS: usize = 8;

/// The interval of the engine's statistics: its timer would also find commands whose wake-up was lost.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);

/// Attempts, a millisecond apart, after which a full command ring shows that the worker reads no more
/// commands.
const FULL_TRIES: u32 = 100;

#[test]
fn commands_are_answered_without_another_wake_up_when_a_stopped_controller_continues() {
    let mut engine = Engine::start();
    let mut controller = Process::new(std::env::current_exe().unwrap())
        .args(["full_ring::floods_if_the_environment_says_so", "--exact", "--nocapture"])
        .env(SOCKET, &engine.socket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(controller.id() as i32).unwrap();
    let lines = BufReader::new(controller.stdout.take().unwrap()).lines();
    let mut waits = lines
        .map_while(Result::ok)
        .filter_map(|line| Some(Duration::from_micros(line.split_once(MARK)?.1.trim().parse().unwrap())));
    let mut longest: Vec<Duration> = Vec::new();
    for round in 0..ROUNDS {
        await_stop(&mut controller, pid);
        kill_process(pid, Signal::CONT).unwrap();
        longest.push(waits.next().unwrap_or_else(|| panic!("no answer in round {round}: {longest:?}")));
    }
    assert!(controller.wait().unwrap().success());
    longest.sort_unstable();
    eprintln!("longest wait for an answer, round by round: {longest:?}");
    // Not a time limit: without a wake-up for the commands, only that timer leads to an answer, in every
    // round.
    let without_timer = longest.iter().filter(|wait| **wait < STATISTICS_INTERVAL).count();
    assert!(without_timer > ROUNDS / 2, "answered only by the timer of the statistics: {longest:?}");
    assert!(engine.is_running());
}

/// Waits until the controller's process has stopped itself.
fn await_stop(controller: &mut Child, pid: Pid) {
    let deadline = Instant::now() + 6 * PATIENCE;
    loop {
        match waitpid(Some(pid), WaitOptions::UNTRACED | WaitOptions::NOHANG).unwrap() {
            Some((_, status)) if status.stopped() => return,
            Some((_, status)) => panic!("the controller ended: {status:?}"),
            None if Instant::now() > deadline => {
                let _ = controller.kill();
                panic!("the event ring is not filled in time");
            }
            None => sleep(Duration::from_millis(2)),
        }
    }
}

#[test]
fn floods_if_the_environment_says_so() {
    let Ok(socket) = std::env::var(SOCKET) else { return };
    let mut attachment = attach(Path::new(&socket), control::PROTOCOL_VERSION, PATIENCE).unwrap();
    let mut last = 0;
    for _ in 0..ROUNDS {
        last = fill(&mut attachment, last);
        kill_process(getpid(), Signal::STOP).unwrap();
        let longest = read_until_answered(&mut attachment, RequestId(last));
        println!("\n{MARK} {}", longest.as_micros());
    }
}

/// Sends commands repeatedly without reading answers, until the worker reads no more: then both rings are
/// full. Returns the number of the last request.
fn fill(attachment: &mut Attachment, mut last: u64) -> u64 {
    let end = &mut attachment.workers[0];
    let mut record = Vec::new();
    let mut tries = 0;
    while tries < FULL_TRIES {
        let command = Command::CloseRouter { router: RouterId(0xdead) };
        Request { id: RequestId(last + 1), command }.encode(&mut record);
        match end.commands.push(&record) {
            Ok(()) => (last, tries) = (last + 1, 0),
            Err(PushError::Full) => {
                tries += 1;
                sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
        end.peer_doorbell.ring();
    }
    last
}

/// Reads until this request is answered, without any other action that the worker could notice. Returns the
/// longest wait for an event.
fn read_until_answered(attachment: &mut Attachment, request: RequestId) -> Duration {
    let mut record = Vec::new();
    let (mut longest, mut last_at) = (Duration::ZERO, Instant::now());
    loop {
        let popped = attachment.workers[0].events.pop(&mut record).expect("the engine's ring is sound");
        let waited = last_at.elapsed();
        if popped.is_none() {
            assert!(waited < 3 * PATIENCE, "no answer to {request:?}");
            sleep(Duration::from_micros(200));
            continue;
        }
        (longest, last_at) = (longest.max(waited), Instant::now());
        if Event::decode(&record).unwrap().request() == Some(request) {
            return longest;
        }
    }
}
