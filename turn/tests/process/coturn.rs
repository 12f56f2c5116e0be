//! coturn's own clients, as packaged by Debian: nothing of ours is on their side.

use crate::PATIENCE;
use crate::server::{Folder, Server, free_ports};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Echoes everything it receives, and ends with the test.
struct Peer {
    process: Child,
    port: u16,
}

impl Peer {
    fn start() -> Self {
        let [port, ..] = free_ports();
        let process = Command::new("turnutils_peer")
            .args(["-L", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("turnutils_peer, which .ci/test installs");
        let deadline = Instant::now() + PATIENCE;
        while UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            assert!(Instant::now() < deadline, "turnutils_peer does not listen");
            sleep(Duration::from_millis(20));
        }
        Self { process, port }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs `turnutils_uclient` with these flags; returns the last lines of its output.
fn uclient(flags: &[&str], peer: &Peer) -> String {
    let output = Command::new("timeout")
        .args(["60", "turnutils_uclient"])
        .args(flags)
        .args(["-e", "127.0.0.1", "-r", &peer.port.to_string(), "-l", "1000", "127.0.0.1"])
        .output()
        .expect("turnutils_uclient, which .ci/test installs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{flags:?}: {}: {text}", output.status);
    text
}

/// At least this number was sent (clients are in pairs, RTP and RTCP), and as many returned.
#[track_caller]
fn assert_no_loss(said: &str, sent_at_least: u64) {
    let (sent, received) = sent_and_received(said);
    assert_eq!(sent, received, "{said}");
    assert!(sent >= sent_at_least, "{said}");
    assert!(said.contains("Total lost packets 0 (0.000000%), total send dropped 0"), "{said}");
}

/// Messages that the client has sent and received, by its last line about them.
fn sent_and_received(said: &str) -> (u64, u64) {
    let totals = said.lines().filter_map(|line| line.split_once("start_mclient: tot_send_msgs=")).next_back();
    let (sent, received) = totals.and_then(|(_, totals)| totals.split_once(", tot_recv_msgs=")).expect(said);
    (sent.parse().unwrap(), received.parse().unwrap())
}

#[test]
fn uclient_loses_nothing_over_udp_with_channels_and_with_indications() {
    let (server, peer) = (Server::start(&["--old-channels"]), Peer::start());
    let port = server.port.to_string();
    for how in [&[][..], &["-s"], &["-g"], &["-c"]] {
        let flags = [how, &["-u", "u", "-w", "p", "-p", &port, "-n", "200", "-m", "5", "-z", "5"]].concat();
        assert_no_loss(&uclient(&flags, &peer), 1000);
    }
    assert!(server.metrics().contains("leat_turn_tx_full_total 0\n"));
}

#[test]
fn uclient_loses_nothing_over_tcp() {
    let (server, peer) = (Server::start(&["--old-channels"]), Peer::start());
    let port = server.port.to_string();
    let flags = ["-t", "-u", "u", "-w", "p", "-p", &port, "-n", "200", "-m", "5", "-z", "5"];
    assert_no_loss(&uclient(&flags, &peer), 1000);
}

/// Peers over TCP (RFC 6062): every client has a connection with every other one, made by one and permitted
/// by the other.
#[test]
fn uclient_loses_nothing_with_peers_over_tcp() {
    let folder = Folder::new();
    folder.make_certificate("localhost");
    let (certificate, key) = (folder.argument("cert.pem"), folder.argument("key.pem"));
    let server = Server::start_in(folder, &["--certificate", &certificate, "--private-key", &key]);
    let peer = Peer::start();
    for (how, port) in [
        (&["-T", "-n", "50", "-z", "5"][..], server.port),
        (&["-T", "-S", "-n", "15", "-z", "100"], server.tls_port),
    ] {
        let port = port.to_string();
        let flags = [how, &["-u", "u", "-w", "p", "-p", &port, "-m", "4"]].concat();
        assert_no_loss(&uclient(&flags, &peer), 60);
    }
    server.await_metric("peer_connections", 0);
    // Each of four clients has one with each other, which both ends join: 12, over TCP and over TLS.
    server.await_metric("peer_connections_made_total", 24);
    server.await_metric("connection_failed_total", 0);
}

/// If two messages arrive at once over TLS, `turnutils_uclient` does not read the second one until another
/// message arrives. On a busy machine that happens, so the server's counters show that nothing was lost: TLS
/// delivers everything that was written.
#[test]
fn uclient_loses_nothing_over_tls() {
    let (folder, peer) = (Folder::new(), Peer::start());
    folder.make_certificate("localhost");
    let (certificate, key) = (folder.argument("cert.pem"), folder.argument("key.pem"));
    let server =
        Server::start_in(folder, &["--old-channels", "--certificate", &certificate, "--private-key", &key]);
    let port = server.tls_port.to_string();
    let flags = ["-t", "-S", "-u", "u", "-w", "p", "-p", &port, "-n", "30", "-m", "1", "-z", "100"];
    let said = uclient(&flags, &peer);
    let (sent, received) = sent_and_received(&said);
    assert!(sent >= 30 && received > 0, "{said}");
    for name in ["to_peers_packets_total", "to_clients_packets_total"] {
        server.await_metric(name, sent);
    }
    server.await_metric("tx_full_total", 0);
}

#[test]
fn uclient_loses_nothing_over_dtls() {
    let (folder, peer) = (Folder::new(), Peer::start());
    folder.make_certificate("localhost");
    let (certificate, key) = (folder.argument("cert.pem"), folder.argument("key.pem"));
    let server =
        Server::start_in(folder, &["--old-channels", "--certificate", &certificate, "--private-key", &key]);
    let port = server.tls_port.to_string();
    let flags = ["-S", "-u", "u", "-w", "p", "-p", &port, "-n", "200", "-m", "4", "-z", "5"];
    assert_no_loss(&uclient(&flags, &peer), 800);
}

#[test]
fn a_credential_of_coturns_format_is_accepted() {
    let folder = Folder::new();
    let secret = folder.write("secret", "north\n");
    let (server, peer) = (Server::start_in(folder, &["--secret-file", &secret]), Peer::start());
    let port = server.port.to_string();
    let flags = ["-s", "-u", "alice", "-W", "north", "-p", &port, "-n", "50", "-m", "2", "-z", "5"];
    assert_no_loss(&uclient(&flags, &peer), 100);
}

#[test]
fn stunclient_gets_its_address() {
    let server = Server::start(&[]);
    let output = Command::new("turnutils_stunclient")
        .args(["-p", &server.port.to_string(), "127.0.0.1"])
        .output()
        .expect("turnutils_stunclient, which .ci/test installs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("UDP reflexive addr: 127.0.0.1:"), "{text}");
}
