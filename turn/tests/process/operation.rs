//! The operator's view: options, files, signals, metrics, logs.

use crate::client::Client;
use crate::server::{Folder, Server, command};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use stun::{Message, Method};

#[test]
fn help_lists_every_option_with_its_unit_and_default() {
    let output = command().arg("--help").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for wanted in [
        "--port <PORT>",
        "[default: 3478]",
        "--relay-ports <FIRST-LAST>",
        "--bits-per-second <BITS>",
        "SIGHUP",
    ] {
        assert!(text.contains(wanted), "no {wanted} in {text}");
    }
}

#[test]
fn an_invalid_option_causes_exit_code_2_and_a_hint() {
    let folder = Folder::new();
    let file = folder.write("turn.toml", "realm = 'leat'\nallow-peer = 'nowhere'\n");
    for (flags, wanted) in [
        (&["--port", "0"][..], "--port <PORT>"),
        (&["--listen-ip", "127.0.0.1"], "no credentials configured"),
        (&["--user", "u:p", "--allowed-peers-only"], "add --allow-peer"),
        (&["--user", "a\u{7}:p"], "RFC 8265"),
        (&["--user", "u:p", "--realm", "a\u{7}"], "--realm has a character that RFC 8265 does not allow"),
        (
            &["--config", &file],
            "turn.toml line 2: allow-peer: invalid value 'nowhere' for '--allow-peer <PEERS>'",
        ),
        (&["--user", "u:p", "--listen-ip", "0.0.0.0"], "give --relay-ip"),
    ] {
        let output = command().args(flags).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn a_server_for_allowed_peers_only_relays_to_those_and_not_over_tcp() {
    let server = Server::start(&["--allowed-peers-only"]);
    let mut client = Client::new(server.port, "u", "p");
    client.allocate().unwrap();
    let mut permit = |peer: &str| {
        let peer = peer.parse().unwrap();
        let answer = client.ask(Method::CREATE_PERMISSION, |writer| _ = writer.xor_peer_address(peer));
        Message::new(&answer).unwrap().error_code().map_or(0, |(code, _)| code)
    };
    assert_eq!([permit("127.0.0.1:9"), permit("8.8.8.8:9"), permit("127.0.0.2:9")], [0, 403, 403]);
    assert_eq!(Client::over_tcp(server.port, "u", "p").allocate_for(stun::TCP), Err(442));
}

#[test]
fn a_port_in_use_causes_exit_code_1_and_is_reported() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output =
        command().args(["--user", "u:p", "--listen-ip", "127.0.0.1", "--port", &port]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("UDP port {port} on 127.0.0.1 is in use")), "{text}");
}

#[test]
fn sighup_reloads_users_and_certificate_and_an_error_changes_nothing() {
    let folder = Folder::new();
    let config = folder.write("turn.toml", "user = 'alice:one'\n");
    folder.make_certificate("first");
    let (certificate, key) = (folder.argument("cert.pem"), folder.argument("key.pem"));
    let flags = ["--config", &config, "--certificate", &certificate, "--private-key", &key];
    let mut server = Server::start_in(folder, &flags);
    let mut alice = Client::new(server.port, "alice", "one");
    alice.allocate().unwrap();
    assert_eq!(name_in_certificate(server.tls_port), "first");

    server.folder().write("turn.toml", "user = 'alice'\n");
    server.signal(Signal::HUP);
    server.await_log("reload failed");
    assert_eq!(alice.refresh(600), 0);

    server.folder().make_certificate("second");
    server.folder().write("turn.toml", "user = 'bob:two'\n");
    server.signal(Signal::HUP);
    server.await_log("have been reloaded");
    Client::new(server.port, "bob", "two").allocate().unwrap();
    assert_eq!(alice.refresh(600), 401, "her allocation is revoked");
    assert_eq!(Client::new(server.port, "alice", "one").allocate(), Err(401));
    assert_eq!(name_in_certificate(server.tls_port), "second");
}

#[test]
fn sighup_accepts_another_type_of_key_and_a_chain_over_tls_and_dtls() {
    let folder = Folder::new();
    folder.make_certificate("first");
    let (certificate, key) = (folder.argument("cert.pem"), folder.argument("key.pem"));
    let mut server =
        Server::start_in(folder, &["--user", "u:p", "--certificate", &certificate, "--private-key", &key]);
    for protocol in ["-tls1_3", "-dtls1_2"] {
        assert_eq!(names_in_chain(server.tls_port, protocol), ["first"], "{protocol}");
    }
    server.folder().make_rsa_chain("second");
    server.signal(Signal::HUP);
    server.await_log("have been reloaded");
    for protocol in ["-tls1_3", "-tls1_2", "-dtls1_2"] {
        assert_eq!(names_in_chain(server.tls_port, protocol), ["second", "issuer"], "{protocol}");
    }
}

#[test]
fn the_certificate_may_be_an_option_and_its_key_in_the_file() {
    let folder = Folder::new();
    folder.make_certificate("here");
    let (certificate, key) = (folder.argument("cert.pem"), folder.argument("key.pem"));
    let config = folder.write("turn.toml", &format!("private-key = '{key}'\nuser = 'u:p'\n"));
    let server = Server::start_in(folder, &["--config", &config, "--certificate", &certificate]);
    assert_eq!(name_in_certificate(server.tls_port), "here");
    for option in ["--certificate", "--private-key"] {
        let output = command().args(["--user", "u:p", option, &certificate]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(&format!("{option} needs --")), "{text}");
    }
}

#[test]
fn sighup_reloads_the_drain_deadline_and_keeps_the_sockets() {
    let folder = Folder::new();
    let config = folder.write("turn.toml", "drain-deadline = 600\nuser = 'u:p'\n");
    let mut server = Server::start_in(folder, &["--config", &config]);
    let mut client = Client::new(server.port, "u", "p");
    client.allocate().unwrap();
    server.await_metric("allocations", 1);
    server.folder().write("turn.toml", "drain-deadline = 0\nworkers = 2\nuser = 'u:p'\n");
    server.signal(Signal::HUP);
    server.await_log("have been reloaded");
    server.await_log("restart to change them");
    assert_eq!(client.refresh(600), 0, "the allocation stays");
    server.signal(Signal::TERM);
    assert!(server.wait().success(), "it waits for no allocation");
}

#[test]
fn a_slow_metrics_request_does_not_block_others() {
    let server = Server::start(&[]);
    let mut slow = TcpStream::connect(("127.0.0.1", server.metrics_port)).unwrap();
    let trickle = std::thread::spawn(move || {
        // As long as the server allows it, and not longer than a minute.
        for _ in 0..300 {
            if slow.write_all(b"x").is_err() {
                return true;
            }
            sleep(Duration::from_millis(200));
        }
        false
    });
    let mut other = TcpStream::connect(("127.0.0.1", server.metrics_port)).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    other.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    other.read_to_string(&mut page).expect("an answer while the first request is incomplete");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(trickle.join().unwrap(), "the slow one is cut off");
}

/// The name of the certificate there.
fn name_in_certificate(port: u16) -> String {
    names_in_chain(port, "-tls1_3").first().cloned().unwrap_or_default()
}

/// The names of all certificates that the server sends to OpenSSL's client, the first one's first.
fn names_in_chain(port: u16, protocol: &str) -> Vec<String> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-verify_quiet", "-showcerts", protocol])
        .stdin(Stdio::null())
        .output()
        .expect("openssl, which .ci/test installs");
    let text = String::from_utf8_lossy(&output.stdout);
    // " 0 s:CN = first"
    let subjects = text.lines().filter_map(|line| line.split_once(" s:").map(|(_, subject)| subject));
    subjects
        .map(|subject| subject.trim_start_matches("CN").trim_start_matches([' ', '=']).to_owned())
        .collect()
}

#[test]
fn sigterm_drains_until_the_last_allocation_or_the_deadline() {
    let mut server = Server::start(&["--drain-deadline", "600"]);
    let mut client = Client::new(server.port, "u", "p");
    client.allocate().unwrap();
    server.await_metric("allocations", 1);
    server.signal(Signal::TERM);
    server.await_log("draining");
    sleep(Duration::from_millis(500));
    assert!(server.is_running());
    assert_eq!(Client::new(server.port, "u", "p").allocate(), Err(403));
    assert_eq!(client.refresh(600), 0, "the existing allocation stays");
    assert_eq!(client.refresh(0), 0);
    assert!(server.wait().success());

    let mut server = Server::start(&["--drain-deadline", "1"]);
    let mut client = Client::new(server.port, "u", "p");
    client.allocate().unwrap();
    server.await_metric("allocations", 1);
    let asked = Instant::now();
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    assert!(asked.elapsed() >= Duration::from_secs(1), "the deadline is waited for");
}

#[test]
fn metrics_count_and_logs_are_json() {
    let mut server = Server::start(&["--log", "json"]);
    let mut client = Client::new(server.port, "u", "p");
    client.allocate().unwrap();
    server.await_metric("allocations", 1);
    server.await_metric("relay_sockets", 1);
    server.await_metric("challenges_total", 1);
    client.refresh(0);
    server.await_metric("allocations", 0);
    server.await_metric("relay_sockets", 0);
    server.await_log("allocation ended");
    for line in server.log().lines() {
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    }
}

/// A connection without data, or with another protocol, is closed.
#[test]
fn connections_without_an_allocation_are_closed() {
    let server = Server::start(&[]);
    let mut stranger = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut other = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    other.write_all(b"\xffGET / HTTP/1.1\r\n\r\n").unwrap();
    server.await_metric("tcp_malformed_total", 1);
    server.await_metric("tcp_unproven_total", 1);
    server.await_metric("tcp_connections", 0);
    let _ = stranger.write_all(b"x");
}

/// A user's quota is for all workers together; and so are the server's limits.
#[test]
fn quotas_and_metrics_are_for_all_workers_together() {
    let flags = [
        "--workers",
        "2",
        "--allocations-per-user",
        "2",
        "--allocations",
        "3",
        "--user",
        "v:p",
        "--user",
        "w:p",
    ];
    let server = Server::start(&flags);
    let workers = [server.port, server.port + 1];
    let mut held = workers.map(|port| {
        let mut client = Client::new(port, "u", "p");
        client.allocate().unwrap();
        client
    });
    for port in workers {
        assert_eq!(Client::new(port, "u", "p").allocate(), Err(486), "one on each worker are two");
    }
    let mut other = Client::new(workers[1], "v", "p");
    other.allocate().unwrap();
    for port in workers {
        assert_eq!(Client::new(port, "w", "p").allocate(), Err(486), "three are all there may be");
    }
    server.await_metric("allocations", 3);
    server.await_metric("allocations_created_total", 3);
    server.await_metric("quota_reached_total", 4);
    assert_eq!(held[0].refresh(0), 0);
    Client::new(workers[1], "u", "p")
        .allocate()
        .expect("a port released by one worker can be used by another");
}
