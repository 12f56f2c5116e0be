//! `leat up` from an operator's view, on hosts that are network namespaces: its requirements of a host, and
//! its start without the TURN server.

use crate::PATIENCE;
use crate::engine::{binary, socket_path};
use crate::network::Namespace;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, Permissions};
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
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
