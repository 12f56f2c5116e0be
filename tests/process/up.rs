//! `leat up` from an operator's view, on hosts that are network namespaces: its requirements of a host, and
//! its start without the TURN server.

use crate::PATIENCE;
use crate::engine::{binary, socket_path};
use crate::network::Namespace;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, Permissions};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// All processes together take longer to start than one of them.
const UP_PATIENCE: Duration = PATIENCE.saturating_mul(6);

/// The README's options for remote clients.
const README: [&str; 6] =
    ["--http", "0.0.0.0:7080", "--listen-ip", "0.0.0.0", "--announced-ip", "203.0.113.7"];

/// A running `leat up`, which ends with the test.
struct Up {
    process: Child,
    folder: PathBuf,
}

impl Up {
    /// With a secret, and without variables of the developer's environment.
    fn start(at: &Namespace, leat: &Path, flags: &[&str]) -> Self {
        let folder = socket_path().with_extension("up");
        fs::create_dir(&folder).unwrap();
        let secret = folder.join("secret");
        fs::write(&secret, "an operator's secret of 32 bytes or more").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let process = at
            .command(leat)
            .args(["up", "--workers", "1", "--log", "text", "--secret-file"])
            .arg(&secret)
            .arg("--control-socket")
            .arg(folder.join("control.sock"))
            .arg("--data-dir")
            .arg(folder.join("data"))
            .args(flags)
            .env_remove("LEAT_SECRET")
            .env_remove("LEAT_TURN_SECRET")
            .env_remove("LEAT_LOG")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn await_log(&mut self, text: &str) {
        let deadline = Instant::now() + UP_PATIENCE;
        while !self.log().contains(text) {
            assert_eq!(self.process.try_wait().unwrap(), None, "leat up ended");
            assert!(Instant::now() < deadline, "nothing of {text:?} in the log");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("output of leat up:\n{}", self.log());
        }
        // Fails if it has ended already. On SIGTERM, it ends its child processes.
        let _ = kill_process(Pid::from_raw(self.process.id().cast_signed()).unwrap(), Signal::TERM);
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The programs, which have to be in one folder.
fn programs() -> PathBuf {
    for name in ["leat-engine", "leat-turn"] {
        binary(name);
    }
    binary("leat")
}

#[test]
fn the_command_of_the_readme_starts_on_a_host_without_a_default_route() {
    let host = Namespace::new();
    let mut up = Up::start(&host, &programs(), &README);
    up.await_log("Leat is up");
    up.await_log("no TURN server: this machine has no address to relay from; name one with --relay-ip");
}

#[test]
fn turn_relays_from_the_given_or_announced_address_without_a_default_route() {
    let host = Namespace::new();
    host.run("ip addr add 11.0.0.1/32 dev lo");
    let mut up = Up::start(&host, &programs(), &[&README[..], &["--relay-ip", "11.0.0.1"]].concat());
    up.await_log("TURN server is up");
    up.await_log("Leat is up");
    drop(up);
    host.run("ip addr add 203.0.113.7/32 dev lo");
    let mut up = Up::start(&host, &programs(), &README);
    up.await_log("TURN server is up");
    up.await_log("Leat is up");
}

#[test]
fn a_default_turn_port_in_use_only_disables_the_turn_server() {
    let host = Namespace::new();
    host.run("ip addr add 203.0.113.7/32 dev lo");
    let _other = host.live(|| UdpSocket::bind("0.0.0.0:3478").unwrap());
    let mut up = Up::start(&host, &programs(), &README);
    up.await_log("Leat is up");
    assert!(up.log().contains("no TURN server: --turn-port 3478: UDP port 3478 on 0.0.0.0 is in use"));
}

#[test]
fn a_turn_server_that_cannot_start_does_not_end_the_platform() {
    let leat = programs();
    // Beside the others, on their file system: a program of this name that fails.
    let folder = leat.with_file_name(format!("up-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for name in ["leat", "leat-engine", "leat-signaling"] {
        let _ = fs::remove_file(folder.join(name));
        fs::hard_link(leat.with_file_name(name), folder.join(name)).unwrap();
    }
    fs::write(folder.join("leat-turn"), "#!/bin/sh\necho 'the TURN server fails' >&2\nexit 1\n").unwrap();
    fs::set_permissions(folder.join("leat-turn"), Permissions::from_mode(0o755)).unwrap();
    let host = Namespace::new();
    host.run("ip addr add 203.0.113.7/32 dev lo");
    let mut up = Up::start(&host, &folder.join("leat"), &README);
    up.await_log("the TURN server fails");
    up.await_log("Leat is up");
    drop(up);
    // Requests for TURN get an error.
    let mut up = Up::start(&host, &folder.join("leat"), &[&README[..], &["--turn-port", "3478"]].concat());
    let deadline = Instant::now() + UP_PATIENCE;
    while up.process.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it continues");
        sleep(Duration::from_millis(20));
    }
    drop(up);
    fs::remove_dir_all(&folder).unwrap();
}

/// A configuration file, which ends with the test.
struct ConfigFile(PathBuf);

impl ConfigFile {
    fn new(text: &str) -> Self {
        let path = socket_path().with_extension("toml");
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        // It is a temporary file.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn the_configuration_file_is_read_by_leat_up_and_by_its_processes() {
    let file = ConfigFile::new(
        "rtc-port = 7100\nturn-port = 3500\nplain-ports = '20000-20099'\nturn-ttl = '2h'\n\
         [turn]\nmetrics = '127.0.0.1:9555'\n[engine]\nmetrics = '127.0.0.1:9556'\n",
    );
    let host = Namespace::new();
    let mut up = Up::start(&host, &programs(), &["--config", file.path(), "--turn-secret", "s"]);
    up.await_log("Leat is up");
    let is_taken = |port: u16| host.live(|| UdpSocket::bind(("127.0.0.1", port)).is_err());
    assert_eq!([7000, 7100, 3478, 3500].map(is_taken), [false, true, false, true]);
    let serves = |port: u16| host.live(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    // From the sections of the file, of which `leat up` reads nothing.
    assert_eq!([9555, 9556].map(serves), [true, true]);
}

#[test]
fn an_error_in_the_file_is_reported_by_the_process_that_reads_the_key() {
    for (text, wanted) in [
        ("http = '127.0.0.1'", "line 1: http: invalid value '127.0.0.1' for '--http <IP:PORT>'"),
        ("\ndtls = '1.1'", "line 2: dtls: invalid value '1.1' for '--dtls <VERSION>'"),
        ("[turn]\nport = 4000", "line 2: port: `leat up` sets this option of leat-turn itself"),
        ("port = 4000", "line 1: port: `leat up` sets this option of leat-turn itself"),
    ] {
        let file = ConfigFile::new(text);
        let folder = socket_path().with_extension("up");
        let host = Namespace::new();
        let output = host
            .command(programs())
            .args(["up", "--log", "text", "--config", file.path(), "--data-dir"])
            .arg(&folder)
            .arg("--control-socket")
            .arg(folder.join("control.sock"))
            .env_remove("LEAT_SECRET")
            .output()
            .unwrap();
        let _ = fs::remove_dir_all(&folder);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(wanted), "{wanted}: {text}");
        assert!(text.contains(file.path()), "{text}");
        assert_eq!(output.status.code(), Some(2), "{text}");
    }
}

#[test]
fn leat_config_checks_the_values_of_all_programs_and_shows_no_secret() {
    let run = |arguments: &[&str]| {
        let output = Command::new(programs())
            .args(arguments)
            .env("LEAT_DATABASE", "postgres://u:hidden@h/d")
            .env_remove("LEAT_SECRET")
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let file =
        ConfigFile::new("http = '127.0.0.1:1'\nsecret = 'hidden'\n[turn]\nuser = ['a:b']\nworkers = 2\n");
    let (code, text) = run(&["config", "check", file.path()]);
    assert_eq!((code, text), (Some(0), format!("{}: 4 options, no error\n", file.path())));
    let (code, text) = run(&["config", "show", "--config", file.path()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("http\t127.0.0.1:1\t{} line 1\n", file.path())), "{text}");
    assert!(text.contains("database\t(secret)\tLEAT_DATABASE\n"), "{text}");
    assert!(text.contains("rtc-port\t7000\tdefault\n") && text.contains("turn-host\t-\tdefault\n"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
    let (_, text) = run(&["config", "show", "--json", "--config", file.path()]);
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    let database = shown.as_array().unwrap().iter().find(|entry| entry["option"] == "database").unwrap();
    assert_eq!(database["values"], serde_json::json!(["(secret)"]));
    assert!(!text.contains("hidden"), "{text}");

    for (text, wanted) in [
        ("[engine]\ndtls = '1.1'", "line 2: dtls: invalid value '1.1'"),
        ("[turn]\nport = 0", "line 2: port: invalid value '0'"),
        ("turn-ttl = 'soon'", "line 1: turn-ttl: invalid value 'soon'"),
        ("http = 1", "line 1: http: invalid value '1'"),
        ("htp = 1", "line 1: \"htp\" is not an option of any program; did you mean http?"),
    ] {
        let file = ConfigFile::new(text);
        let (code, text) = run(&["config", "check", file.path()]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(wanted) && text.contains(file.path()), "{wanted}: {text}");
    }
}
