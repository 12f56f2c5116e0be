//! DTLS with OpenSSL's unmodified client, with certificates of the usual types.

use crate::program::TextFile;
use dtls::{Certificate, Connected, Endpoint, Failed, Fingerprint, Options, Output, Settings};
use machine::Instant;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Types of keys, with the names of `openssl req`.
const KEYS: [(&str, &[&str]); 5] = [
    ("RSA-2048", &["-newkey", "rsa:2048"]),
    ("RSA-4096", &["-newkey", "rsa:4096"]),
    ("Ed25519", &["-newkey", "ed25519"]),
    ("P-256", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]),
    ("P-384", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"]),
];

/// A self-signed certificate and its key in one file, and the certificate's fingerprint.
fn make_certificate(name: &str, key: &[&str]) -> (TextFile, Fingerprint) {
    let pem = TextFile::new(&format!("{name}.pem"), "");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=client"])
        .args(key)
        .args(["-keyout", path(&pem), "-out", path(&pem)])
        .output()
        .expect("openssl, which .ci/test installs");
    assert!(made.status.success(), "{made:?}");
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in", path(&pem)])
        .output()
        .expect("openssl, which .ci/test installs");
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (_, fingerprint) = shown.trim().split_once('=').unwrap();
    (pem, fingerprint.parse().unwrap())
}

fn path(file: &TextFile) -> &str {
    file.0.to_str().unwrap()
}

/// The result of a handshake: on our side, and the program's output.
struct Outcome {
    result: Result<Connected, Failed>,
    printed: String,
}

/// `openssl s_client` against one of our endpoints.
fn handshake(pem: &TextFile, expected: Fingerprint) -> Outcome {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut client = Command::new("openssl")
        .args(["s_client", "-dtls1_2", "-connect", &socket.local_addr().unwrap().to_string()])
        .args(["-cert", path(pem), "-key", path(pem), "-use_srtp", "SRTP_AEAD_AES_128_GCM"])
        .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "56"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl, which .ci/test installs");

    let start = std::time::Instant::now();
    let now = || Instant::EPOCH + start.elapsed();
    let settings = Settings::new(Options::default());
    let mut endpoint = Endpoint::server(&settings, &Certificate::generate(), expected, now());
    let (mut buffer, mut datagram) = (Vec::new(), [0; 2048]);
    let mut to = None;
    let mut result = None;
    while result.is_none() && start.elapsed() < crate::PATIENCE {
        let mut step = Ok(());
        if let Ok((len, from)) = socket.recv_from(&mut datagram) {
            to = Some(from);
            step = endpoint.on_datagram(now(), &datagram[..len]);
        }
        loop {
            match endpoint.poll(&mut buffer) {
                Output::Datagram(bytes) => drop(socket.send_to(bytes, to.unwrap()).unwrap()),
                Output::Connected(connected) => result = Some(Ok(connected)),
                Output::Timeout(at) if at <= now() => step = step.and(endpoint.on_timeout(now())),
                Output::Timeout(_) | Output::Idle => break,
                _ => {}
            }
        }
        if let Err(failed) = step {
            while let Output::Datagram(bytes) = endpoint.poll(&mut buffer) {
                socket.send_to(bytes, to.unwrap()).unwrap();
            }
            result = Some(Err(failed));
        }
    }
    // The end of its input ends the program.
    drop(client.stdin.take());
    let output = client.wait_with_output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    Outcome {
        result: result.expect("the handshake ends"),
        printed: String::from_utf8_lossy(&printed).into_owned(),
    }
}

#[test]
fn openssl_connects_with_a_certificate_of_every_accepted_kind() {
    for (name, key) in KEYS {
        let (pem, fingerprint) = make_certificate(name, key);
        let Outcome { result, printed } = handshake(&pem, fingerprint);
        let connected = result.unwrap_or_else(|failed| panic!("{name}: {failed}\n{printed}"));
        let material = printed.lines().find_map(|line| line.trim().strip_prefix("Keying material: "));
        let material = material.unwrap_or_else(|| panic!("{name}: no keys\n{printed}"));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let ours = hex(connected.inbound.key()) + &hex(connected.outbound.key());
        assert!(material.starts_with(&ours), "{name}: both ends have the same keys");
        assert!(printed.contains("SRTP Extension negotiated, profile=SRTP_AEAD_AES_128_GCM"), "{name}");
    }
}

#[test]
fn openssl_gets_an_alert_for_a_wrong_certificate() {
    for (name, key) in KEYS {
        let (pem, _) = make_certificate(&format!("wrong-{name}"), key);
        let Outcome { result, printed } = handshake(&pem, Fingerprint([0x5a; 32]));
        assert_eq!(result.err(), Some(Failed::FingerprintMismatch), "{name}");
        assert!(printed.contains("alert bad certificate"), "{name}: {printed}");
    }
}
