//! DTLS with OpenSSL's unmodified client and server, with certificates of the usual types.

use crate::program::TextFile;
use dtls::{
    Certificate, CertificateHash, Connected, Endpoint, Failed, Fingerprint, Options, Output, Settings,
};
use machine::Instant;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
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
    let pem = make_pem(name, key);
    let fingerprint = fingerprint_of(&pem, "sha256").parse().unwrap();
    (pem, fingerprint)
}

/// A self-signed certificate and its key in one file.
fn make_pem(name: &str, key: &[&str]) -> TextFile {
    let pem = TextFile::new(&format!("{name}.pem"), "");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=client"])
        .args(key)
        .args(["-keyout", path(&pem), "-out", path(&pem)])
        .output()
        .expect("openssl, which .ci/test installs");
    assert!(made.status.success(), "{made:?}");
    pem
}

/// The fingerprint of a certificate, as in `a=fingerprint`.
fn fingerprint_of(pem: &TextFile, hash: &str) -> String {
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", &format!("-{hash}"), "-in", path(pem)])
        .output()
        .expect("openssl, which .ci/test installs");
    let shown = String::from_utf8(shown.stdout).unwrap();
    shown.trim().split_once('=').unwrap().1.to_owned()
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
fn handshake(pem: &TextFile, expected: impl Into<CertificateHash>) -> Outcome {
    handshake_with(pem, expected, "SRTP_AEAD_AES_128_GCM")
}

/// The same with a client that accepts this SRTP profile only.
fn handshake_with(pem: &TextFile, expected: impl Into<CertificateHash>, profile: &str) -> Outcome {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut client = Command::new("openssl")
        .args(["s_client", "-dtls1_2", "-connect", &socket.local_addr().unwrap().to_string()])
        .args(["-cert", path(pem), "-key", path(pem), "-use_srtp", profile])
        .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", MATERIAL_LEN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl, which .ci/test installs");

    let settings = Settings::new(Options::default());
    let endpoint = Endpoint::server(&settings, &Certificate::generate(), expected, now());
    let result = drive(endpoint, &socket, None);
    // The end of its input ends the program.
    drop(client.stdin.take());
    Outcome { result, printed: printed(client) }
}

/// `openssl s_server` with one of our endpoints as the client. It requests a cookie, and reads the first
/// ClientHello only if that is one datagram.
fn handshake_as_client(pem: &TextFile, expected: impl Into<CertificateHash>) -> Outcome {
    let mut server = Command::new("openssl")
        .args(["s_server", "-dtls1_2", "-listen", "-accept", "127.0.0.1:0", "-Verify", "1"])
        .args(["-cert", path(pem), "-key", path(pem), "-use_srtp", "SRTP_AEAD_AES_128_GCM"])
        .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", MATERIAL_LEN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl, which .ci/test installs");
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ACCEPT") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "{}", printed(server));
    }
    let address: SocketAddr = line.trim().strip_prefix("ACCEPT ").unwrap().parse().unwrap();

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let settings = Settings::new(Options::default());
    let own = Certificate::generate();
    let mut endpoint = Endpoint::client_with_short_hello(&settings, &own, expected, now());
    let result = drive_to(&mut endpoint, &socket, Some(address));
    // It prints the keys before the data of the client, and ends with the association.
    if result.is_ok() {
        endpoint.send(now(), b"the client's data\n").unwrap();
        flush(&mut endpoint, &socket, address);
        line.clear();
    }
    let mut text = String::new();
    while result.is_ok() && !text.contains("the client's data") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "{text}{}", printed(server));
        text += &line;
    }
    let _ = endpoint.close(now());
    flush(&mut endpoint, &socket, address);
    drop(server.stdin.take());
    // It would wait for the next client.
    let _ = server.kill();
    output.read_to_string(&mut text).unwrap();
    Outcome { result, printed: text + &printed(server) }
}

/// The length of the exported keys and salts: for every profile at least as long as needed.
const MATERIAL_LEN: &str = "60";

/// The output of a program that ends.
fn printed(program: Child) -> String {
    let output = program.wait_with_output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The keys in the output of a program.
fn keys_of(name: &str, printed: &str) -> String {
    let material = printed.lines().find_map(|line| line.trim().strip_prefix("Keying material: "));
    material.unwrap_or_else(|| panic!("{name}: no keys\n{printed}")).to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn now() -> Instant {
    crate::caller::now()
}

/// Runs an endpoint until its handshake ends, with the sender of the first datagram or with this address.
fn drive(mut endpoint: Endpoint, socket: &UdpSocket, to: Option<SocketAddr>) -> Result<Connected, Failed> {
    drive_to(&mut endpoint, socket, to)
}

fn flush(endpoint: &mut Endpoint, socket: &UdpSocket, to: SocketAddr) {
    let mut buffer = Vec::new();
    while let Output::Datagram(bytes) = endpoint.poll(&mut buffer) {
        socket.send_to(bytes, to).unwrap();
    }
}

fn drive_to(
    endpoint: &mut Endpoint,
    socket: &UdpSocket,
    mut to: Option<SocketAddr>,
) -> Result<Connected, Failed> {
    let (mut buffer, mut datagram) = (Vec::new(), [0; 2048]);
    let mut result = None;
    let start = std::time::Instant::now();
    while result.is_none() && start.elapsed() < crate::PATIENCE {
        let mut step = Ok(());
        loop {
            match endpoint.poll(&mut buffer) {
                Output::Datagram(bytes) => drop(socket.send_to(bytes, to.unwrap()).unwrap()),
                Output::Connected(connected) => result = Some(Ok(connected)),
                Output::Timeout(at) if at <= now() => step = step.and(endpoint.on_timeout(now())),
                Output::Timeout(_) | Output::Idle => break,
                _ => {}
            }
        }
        if result.is_none()
            && let Ok((len, from)) = socket.recv_from(&mut datagram)
        {
            to = Some(from);
            step = step.and(endpoint.on_datagram(now(), &datagram[..len]));
        }
        if let Err(failed) = step {
            flush(endpoint, socket, to.unwrap());
            result = Some(Err(failed));
        }
    }
    result.expect("the handshake ends")
}

#[test]
fn openssl_connects_with_a_certificate_of_every_accepted_kind() {
    for (name, key) in KEYS {
        let (pem, fingerprint) = make_certificate(name, key);
        let Outcome { result, printed } = handshake(&pem, fingerprint);
        let connected = result.unwrap_or_else(|failed| panic!("{name}: {failed}\n{printed}"));
        let ours = hex(connected.inbound.key()) + &hex(connected.outbound.key());
        assert!(keys_of(name, &printed).starts_with(&ours), "{name}: both ends have the same keys");
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

/// `a=setup:passive`: the engine is the client, whose keys are the first ones.
#[test]
fn openssl_accepts_our_client_with_a_certificate_of_every_accepted_kind() {
    // OpenSSL's servers support Ed25519 in TLS 1.2, and not in DTLS 1.2.
    for (name, key) in KEYS.into_iter().filter(|(name, _)| *name != "Ed25519") {
        let (pem, fingerprint) = make_certificate(&format!("server-{name}"), key);
        let Outcome { result, printed } = handshake_as_client(&pem, fingerprint);
        let connected = result.unwrap_or_else(|failed| panic!("{name}: {failed}\n{printed}"));
        let ours = hex(connected.outbound.key()) + &hex(connected.inbound.key());
        assert!(keys_of(name, &printed).starts_with(&ours), "{name}: both ends have the same keys");
        let (pem, _) = make_certificate(&format!("wrong-server-{name}"), key);
        let Outcome { result, .. } = handshake_as_client(&pem, fingerprint);
        assert_eq!(result.err(), Some(Failed::FingerprintMismatch), "{name}");
    }
}

#[test]
fn fingerprints_of_every_hash_function_are_those_of_openssl() {
    let pem = make_pem("hashes", KEYS[3].1);
    fn read<const N: usize>(pem: &TextFile, hash: &str) -> [u8; N] {
        let text = fingerprint_of(pem, hash);
        let bytes = text.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap());
        bytes.collect::<Vec<_>>().try_into().unwrap()
    }
    for expected in [
        CertificateHash::Sha1(read(&pem, "sha1")),
        CertificateHash::Sha224(read(&pem, "sha224")),
        CertificateHash::Sha256(read(&pem, "sha256")),
        CertificateHash::Sha384(read(&pem, "sha384")),
        CertificateHash::Sha512(read(&pem, "sha512")),
    ] {
        let Outcome { result, printed } = handshake(&pem, expected);
        assert!(result.is_ok(), "{expected:?}: {printed}");
        let Outcome { result, printed } = handshake_as_client(&pem, expected);
        assert!(result.is_ok(), "{expected:?}: {printed}");
    }
}

/// Some clients have no AEAD profiles.
#[test]
fn openssl_connects_with_sha1_80_as_its_only_profile() {
    let (pem, fingerprint) = make_certificate("sha1-80", KEYS[3].1);
    let Outcome { result, printed } = handshake_with(&pem, fingerprint, "SRTP_AES128_CM_SHA1_80");
    let connected = result.unwrap_or_else(|failed| panic!("{failed}\n{printed}"));
    assert_eq!(connected.profile, srtp::Profile::AesCm128HmacSha1_80);
    let ours = hex(connected.inbound.key()) + &hex(connected.outbound.key());
    assert!(keys_of("SHA1_80", &printed).starts_with(&ours), "both ends have the same keys");
}
