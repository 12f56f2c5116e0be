//! `leat doctor` and the TURN server: an allocation at a real one, and at one that is wrong or away.

use crate::engine::{binary, socket_path};
use crate::network::Namespace;
use crate::relayed::{TURN_PORT, TurnServer};
use serde_json::Value;
use std::net::UdpSocket;

/// The finding about a TURN server at this URL: level and message.
fn finding(host: &Namespace, url: &str, secret: &str) -> (String, String) {
    let folder = socket_path().with_extension("doctor");
    let output = host
        .command(binary("leat"))
        .args(["doctor", "--json", "--clock", "none", "--turn-url", url])
        .args(["--http", "127.0.0.1:0", "--rtc-port", "0", "--workers", "1", "--data-dir"])
        .arg(&folder)
        .env("LEAT_TURN_SECRET", secret)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let findings: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut of_turn = findings.iter().filter(|finding| finding["check"] == "turn");
    let finding = of_turn.next().expect("a finding");
    assert_eq!(of_turn.next(), None);
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("advice").is_empty(), text("level") == "ok", "{finding}");
    (text("level"), text("message"))
}

#[test]
fn a_turn_server_must_grant_an_allocation() {
    let host = Namespace::new();
    host.run("ip addr add 203.0.113.7/32 dev lo");
    let server = TurnServer::start_with(
        &host,
        &["--listen-ip", "203.0.113.7", "--turn-secret", "right", "--allow-peer", "127.0.0.1"],
    );
    for transport in ["udp", "tcp"] {
        let url = format!("turn:203.0.113.7:{TURN_PORT}?transport={transport}");
        let (level, message) = finding(&host, &url, "right");
        assert!(
            level == "ok" && message.starts_with(&format!("{url} relays from 203.0.113.7:")),
            "{message}"
        );
        let (level, message) = finding(&host, &url, "wrong");
        assert!(level == "error" && message.contains("refuses an allocation: 401"), "{level} {message}");
    }
    drop(server);
    let url = format!("turn:203.0.113.7:{TURN_PORT}?transport=udp");
    let (level, message) = finding(&host, &url, "right");
    assert!(level == "error" && message.contains("does not answer"), "{level} {message}");
    // Something else on that port.
    let answers = host.live(|| {
        let socket = UdpSocket::bind(("203.0.113.7", TURN_PORT)).unwrap();
        socket.set_read_timeout(Some(crate::PATIENCE)).unwrap();
        socket
    });
    let other = std::thread::spawn(move || {
        let mut request = [0; 2048];
        let (_, peer) = answers.recv_from(&mut request).unwrap();
        answers.send_to(b"not STUN", peer).unwrap();
    });
    assert_eq!(finding(&host, &url, "right").0, "error");
    other.join().unwrap();
    let (level, message) = finding(&host, "turns:203.0.113.7:5349?transport=tcp", "right");
    assert!(level == "unknown" && message.contains("over TLS"), "{level} {message}");
}
