//! `leat up` from an operator's view: the configuration of its processes, and its behaviour when one of them
//! cannot be started.

use crate::PATIENCE;
use crate::engine::{binary, free_ports};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PROGRAMS: [&str; 4] = ["leat", "leat-engine", "leat-signaling", "leat-turn"];
const SECRET: &str = "a secret that is meant for signaling alone";

/// `leat up` in a separate folder, so that a program can be removed. Dropped, all of it is removed.
struct Up {
    process: Child,
    folder: PathBuf,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        static LAST: AtomicU16 = AtomicU16::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        // Beside the programs: links do not cross file systems.
        let folder = binary("leat").with_file_name(format!("up-{}-{number}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        for program in PROGRAMS {
            fs::hard_link(binary(program), folder.join(program)).unwrap();
        }
        let (port, http) = (free_ports(), TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let mut command = Command::new(folder.join("leat"));
        command.arg("up");
        if !arguments.contains(&"--turn-port") {
            command.args(["--turn-port", &(port + 1).to_string()]);
        }
        let process = command
            .args(["--log", "json", "--workers", "1", "--listen-ip", "127.0.0.1"])
            .args(["--http", &http.to_string(), "--rtc-port", &port.to_string()])
            .arg("--control-socket")
            .arg(folder.join("control/socket"))
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args(arguments)
            .env("LEAT_SECRET", SECRET)
            .env("LEAT_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let up = Self { process, folder };
        for message in ["listening", "engine is up", "media is ready"] {
            up.await_log(message, 1);
        }
        up
    }

    fn log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.folder.join("log")).unwrap();
        // The last line may be incomplete.
        log.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
    }

    fn count(&self, message: &str) -> usize {
        self.log().iter().filter(|line| line["message"].as_str().unwrap().contains(message)).count()
    }

    /// Waits until this has been logged this number of times.
    fn await_log(&self, message: &str, times: usize) {
        await_until(&format!("{message:?} is logged: {:#?}", self.log()), || self.count(message) >= times);
    }

    /// The process of this name that runs now.
    fn pid_of(&self, name: &str) -> Option<u32> {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let program = self.folder.join(name);
        pids.into_iter().find(|pid| is_running(*pid, &program))
    }

    fn await_pid(&self, name: &str) -> u32 {
        await_until(&format!("{name} runs"), || self.pid_of(name).is_some());
        self.pid_of(name).unwrap()
    }

    fn signal(&self, pid: u32, signal: Signal) {
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    }

    fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

/// Whether the process runs this program, also if the program has been renamed.
fn is_running(pid: u32, program: &Path) -> bool {
    let Ok(link) = fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    link == program
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(self.process.id(), Signal::TERM);
        }
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{:#?}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn await_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_process_that_cannot_be_restarted_is_retried_while_the_others_run() {
    let mut up = Up::start(&[]);
    let others = ["leat-engine", "leat-signaling"].map(|name| up.await_pid(name));
    let turn = up.await_pid("leat-turn");
    // As during the upgrade of a package.
    let (there, away) = (up.folder.join("leat-turn"), up.folder.join("away"));
    fs::rename(&there, &away).unwrap();
    up.signal(turn, Signal::KILL);
    up.await_log("could not be started again", 3);
    assert!(up.is_running(), "leat up has ended");
    let pauses: Vec<u64> = up
        .log()
        .iter()
        .filter(|line| line["message"].as_str().unwrap().contains("could not be started again"))
        .map(|line| line["context"]["pause_ms"].as_u64().unwrap())
        .collect();
    assert_eq!(pauses[..3], [100, 200, 400], "it backs off");
    fs::rename(&away, &there).unwrap();
    assert_ne!(up.await_pid("leat-turn"), turn);
    assert_eq!(["leat-engine", "leat-signaling"].map(|name| up.pid_of(name).unwrap()), others);
}

#[test]
fn sighup_reaches_the_turn_server_and_ends_nothing() {
    let mut up = Up::start(&[]);
    let names = ["leat-engine", "leat-signaling", "leat-turn"];
    up.await_log("TURN server is up", 1);
    let before = names.map(|name| up.await_pid(name));
    up.signal(up.process.id(), Signal::HUP);
    up.await_log("options, secrets and certificate have been reloaded", 1);
    assert!(up.is_running(), "leat up has ended");
    assert_eq!(names.map(|name| up.pid_of(name).unwrap()), before);
}

#[test]
fn sighup_without_a_turn_server_is_ignored() {
    let mut up = Up::start(&["--turn-port", "0"]);
    let names = ["leat-engine", "leat-signaling"];
    let before = names.map(|name| up.await_pid(name));
    up.signal(up.process.id(), Signal::HUP);
    up.await_log("SIGHUP", 1);
    assert!(up.is_running(), "leat up has ended");
    assert_eq!(names.map(|name| up.pid_of(name).unwrap()), before);
}

#[test]
fn the_secret_for_tokens_reaches_signaling_and_no_other_process() {
    let up = Up::start(&[]);
    let environment = |name: &str| {
        let environment = fs::read(format!("/proc/{}/environ", up.await_pid(name))).unwrap();
        String::from_utf8(environment).unwrap()
    };
    assert!(environment("leat-signaling").contains(SECRET));
    for name in ["leat-engine", "leat-turn"] {
        let environment = environment(name);
        assert!(!environment.contains(SECRET) && !environment.contains("LEAT_SECRET"), "{name}");
    }
    let of_turn = |name: &str| environment(name).contains("LEAT_TURN_SECRET=");
    assert_eq!(["leat-engine", "leat-signaling", "leat-turn"].map(of_turn), [false, true, true]);
}
