//! The logs of every program: each line matches `tests/vectors/log/schema.json`, including the last line of a
//! failed process.

use crate::PATIENCE;
use crate::engine::{binary, free_ports, socket_path};
use leat_tests::schema;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The log of a program, line by line, each checked against the schema.
fn lines(log: &str) -> Vec<Value> {
    let schema = serde_json::from_str(include_str!("../vectors/log/schema.json")).unwrap();
    let line = |line: &str| {
        let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        schema::check(&schema, &value).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        value
    };
    log.lines().map(line).collect()
}

fn program(name: &'static str, arguments: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.args(arguments.split_whitespace()).stdin(Stdio::null());
    command.env_remove("LEAT_SECRET").env_remove("LEAT_TURN_SECRET").env("LEAT_LOG", "debug");
    command
}

/// Runs a program that fails: its exit code and its last line.
fn failure(mut command: Command) -> (Option<i32>, Value) {
    let output = command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), lines(&log).pop().unwrap_or_else(|| panic!("{command:?} logs nothing")))
}

#[track_caller]
fn assert_fails(command: Command, code: i32, wanted: &str) {
    let shown = format!("{command:?}");
    let (found, line) = failure(command);
    assert_eq!(found, Some(code), "{shown}: {line}");
    assert_eq!(line["level"], "error", "{shown}: {line}");
    let message = line["error"]["message"].as_str().unwrap_or_else(|| panic!("{shown}: {line}"));
    assert!(message.contains(wanted), "{shown}: {line}");
}

#[test]
fn a_fatal_error_is_a_line_of_the_schema_in_every_program() {
    let port = free_ports();
    let (udp, tcp) =
        (UdpSocket::bind(("127.0.0.1", port)).unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (taken_udp, taken_tcp) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let socket = socket_path().display().to_string();
    let engine = format!("--control-socket {socket} --log json --workers 1");
    let cases = [
        ("leat-engine", format!("{engine} --nonsense"), 2, "--nonsense"),
        ("leat-engine", format!("{engine} --listen-ip 0.0.0.0"), 2, "--announced-ip"),
        ("leat-engine", format!("{engine} --rtc-port {port}"), 1, "in use"),
        ("leat-turn", "--log json --nonsense".into(), 2, "--nonsense"),
        ("leat-turn", "--log json".into(), 2, "--turn-secret-file"),
        (
            "leat-turn",
            format!("--log=json --user u:p --listen-ip 127.0.0.1 --port {}", taken_udp.port()),
            1,
            "in use",
        ),
        ("leat-signaling", "--log json --nonsense".into(), 2, "--nonsense"),
        ("leat-signaling", "--log json --secret short".into(), 2, "at least 32"),
        ("leat-signaling", format!("--log json --http {taken_tcp}"), 1, "in use"),
        ("leat", "up --log json --nonsense".into(), 2, "--nonsense"),
        ("leat", "up --log json --http 0.0.0.0:7080".into(), 2, "--secret-file"),
        ("leat", format!("up --log json --http {taken_tcp}"), 1, "in use"),
    ];
    for (name, arguments, code, wanted) in cases {
        assert_fails(program(name, &arguments), code, wanted);
    }
    for (name, arguments) in [("leat-engine", engine.as_str()), ("leat-turn", "--log json --user u:p")] {
        let mut command = program(name, arguments);
        // No process has that number.
        command.arg("--die-with-parent").env("LEAT_PARENT", "0");
        assert_fails(command, 1, "--die-with-parent");
    }
    let _ = std::fs::remove_file(format!("{socket}.lock"));
}

/// A file that is gone when dropped.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leat-logs-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn leat_turn_uses_the_log_format_of_its_file_even_if_the_rest_is_wrong() {
    for (name, rest, wanted) in [("syntax", "port 4000", "line 2"), ("no-user", "", "--turn-secret-file")] {
        let file = TempFile::new(name, &format!("log = 'json'\n{rest}\n"));
        let config = format!("--config {}", file.0.display());
        assert_fails(program("leat-turn", &config), 2, wanted);
        // The command line has precedence.
        let text = program("leat-turn", &format!("{config} --log text")).output().unwrap();
        let text = String::from_utf8(text.stderr).unwrap();
        assert!(text.starts_with("leat-turn: ") && text.contains(wanted), "{text}");
    }
}

/// A running program. Dropped, it is killed.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Sends it SIGTERM; returns its log.
    fn end(mut self) -> Vec<Value> {
        kill_process(Pid::from_raw(self.0.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.0.wait().unwrap().success(), "{log}");
        lines(&log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has(lines: &[Value], message: &str) -> bool {
    lines.iter().any(|line| line["message"].as_str().unwrap().contains(message))
}

#[test]
fn every_line_of_an_engine_from_start_to_end_is_of_the_schema() {
    let (port, socket) = (free_ports(), socket_path());
    let arguments = format!("--log json --workers 1 --rtc-port {port} --control-socket {}", socket.display());
    let engine = Running::start(program("leat-engine", &arguments));
    let deadline = Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(Instant::now() < deadline, "the engine does not listen");
        sleep(Duration::from_millis(5));
    }
    let lines = engine.end();
    assert!(has(&lines, "engine is up") && has(&lines, "engine is stopping"), "{lines:?}");
    let up = lines.iter().find(|line| line["message"] == "engine is up").unwrap();
    assert_eq!(up["context"]["rtc_port"], port, "{up}");
}

#[test]
fn every_line_of_leat_up_and_its_three_processes_is_of_the_schema() {
    let (port, socket) = (free_ports(), socket_path());
    let http = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let arguments = format!(
        "up --log json --workers 1 --listen-ip 127.0.0.1 --http {http} --rtc-port {port} --turn-port {} --control-socket {}",
        port + 1,
        socket.display()
    );
    let mut up = Running::start(program("leat", &arguments));
    let mut said = String::new();
    BufReader::new(up.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("Leat is up"), "{said}");
    let lines = up.end();
    for message in
        ["started", "listening", "engine is up", "TURN server is up", "received a termination signal"]
    {
        assert!(has(&lines, message), "missing in the log: {message:?}: {lines:?}");
    }
}
