//! Debian's coturn as the relay, with credentials that signaling mints: none of our code is in the relay or in
//! its client.

#![allow(clippy::unwrap_used)]

use signaling::auth::turn::TurnServer;
use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// For effects that follow at once on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{program}, which .ci/test installs: {error}")))
    }

    fn until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so() {
            assert_eq!(self.0.try_wait().unwrap(), None, "it has ended before {what}");
            assert!(Instant::now() < end, "waited in vain for {what}");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that is free for UDP and TCP.
fn free_port(first: u16) -> u16 {
    let is_free = |port: &u16| {
        UdpSocket::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok()
    };
    (first..first + 1_000).find(is_free).expect("a free port")
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// Messages that coturn's client got back from the peer, through the relay.
fn received(turn: &TurnServer, user: &str, at: Duration, port: u16, peer: u16) -> u64 {
    let server = turn.ice_servers(user, at).pop().unwrap();
    let (port, peer) = (port.to_string(), peer.to_string());
    let output = Command::new("timeout")
        .args(["60", "turnutils_uclient", "-u", &server.username, "-w", &server.credential])
        .args([
            "-p",
            &port,
            "-e",
            "127.0.0.1",
            "-r",
            &peer,
            "-n",
            "20",
            "-m",
            "1",
            "-z",
            "5",
            "-l",
            "500",
            "127.0.0.1",
        ])
        .output()
        .expect("turnutils_uclient, which .ci/test installs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let totals = text.lines().filter_map(|line| line.split_once("tot_recv_msgs=")).next_back();
    totals.map_or(0, |(_, count)| count.trim().parse().unwrap_or_else(|_| panic!("{text}")))
}

#[test]
fn coturn_accepts_the_credentials_that_signaling_mints_and_no_others() {
    let folder = Folder(std::env::temp_dir().join(format!("leat-coturn-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let offset = (std::process::id() % 500) as u16 * 4;
    let (port, peer_port) = (free_port(14_000 + offset), free_port(16_500 + offset % 1_000));
    let relay_ports = 21_000 + offset;
    let path = |name: &str| folder.0.join(name).display().to_string();
    let config = format!(
        "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\nmin-port={relay_ports}\nmax-port={}\n\
         realm=leat\nuse-auth-secret\nstatic-auth-secret=north\nallow-loopback-peers\nno-cli\nno-tls\nno-dtls\n\
         log-file={}\npidfile={}\nuserdb={}\nsimple-log\n",
        relay_ports + 100,
        path("log"),
        path("pid"),
        path("db")
    );
    fs::write(folder.0.join("conf"), config).unwrap();
    let mut peer = Running::start("turnutils_peer", &["-L", "127.0.0.1", "-p", &peer_port.to_string()]);
    peer.until("it listens", || UdpSocket::bind(("127.0.0.1", peer_port)).is_err());
    let mut coturn = Running::start("turnserver", &["-c", &path("conf")]);
    coturn.until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());

    let url = format!("turn:127.0.0.1:{port}?transport=udp");
    let turn =
        |secret: &str| TurnServer::new(vec![url.clone()], secret, Duration::from_secs(600)).ok().unwrap();
    // Clients are in pairs, for RTP and RTCP.
    let all = received(&turn("north"), "mill/ada", now(), port, peer_port);
    assert!(all >= 20, "{all} messages");
    assert_eq!(received(&turn("south"), "ada", now(), port, peer_port), 0, "another secret");
    let long_ago = now() - Duration::from_secs(7_200);
    assert_eq!(received(&turn("north"), "ada", long_ago, port, peer_port), 0, "an expired credential");
}
