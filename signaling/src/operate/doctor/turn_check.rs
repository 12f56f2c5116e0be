//! Whether the TURN server grants an allocation (RFC 8656 §7), with a credential as clients get it.

use super::clock;
use super::finding::{Finding, Level};
use crate::auth::turn::TurnServer;
use crate::config::cli::{DoctorOptions, UpOptions};
use crate::supervisor::listen_ips;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;
use stun::attribute::{NONCE, REALM};
use stun::{Class, HEADER_LEN, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

const CHECK: &str = "turn";

/// Limit for an answer; over UDP a request is sent [`ATTEMPTS`] times.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 3;

/// Lifetime of the credential.
const LIFETIME: Duration = Duration::from_secs(60);

/// The port of a TURN server (RFC 8656 §18).
const PORT: u16 = 3478;

pub(super) fn check(options: &DoctorOptions, is_running: bool) -> Vec<Finding> {
    let up = &options.up;
    let urls: Vec<String> = match options.turn_url.is_empty() {
        false => options.turn_url.iter().map(ToString::to_string).collect(),
        true if up.turn_port == Some(0) => return vec![Finding::ok(CHECK, "no TURN server is configured")],
        true if is_running => vec![own_url(up)],
        true => {
            let message = "not checked: leat up does not run, and there is no --turn-url";
            let advice = "run this again while Leat runs, or give --turn-url";
            return vec![Finding::bad(CHECK, Level::Unknown, message, advice)];
        }
    };
    let secret = match (&up.turn_secret.turn_secret_file, &up.turn_secret.turn_secret) {
        (Some(path), _) => {
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
        }
        (None, Some(secret)) => Ok(secret.clone()),
        (None, None) => {
            let message = "not checked: leat up has made a secret that only its processes know";
            let advice = "give --turn-secret-file to leat up and to this command";
            return vec![Finding::bad(CHECK, Level::Unknown, message, advice)];
        }
    };
    let server = secret.and_then(|secret| {
        TurnServer::new(urls.clone(), &secret, LIFETIME).map_err(|error| error.to_string())
    });
    let server = match server {
        Ok(server) => server,
        Err(error) => return vec![Finding::bad(CHECK, Level::Error, error, "correct --turn-secret-file")],
    };
    let now = clock::now();
    let servers = server.ice_servers("doctor", now);
    let credential = servers.first().map(|server| (server.username.as_str(), server.credential.as_str()));
    let (user, password) = credential.unwrap_or_default();
    urls.iter().map(|url| of_url(url, user, password)).collect()
}

/// The server of `leat up`, as this machine reaches it.
fn own_url(options: &UpOptions) -> String {
    let ip = match listen_ips(options).first() {
        Some(IpAddr::V4(ip)) if !ip.is_unspecified() => IpAddr::V4(*ip),
        Some(IpAddr::V6(ip)) if !ip.is_unspecified() => IpAddr::V6(*ip),
        Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    format!("turn:{}?transport=udp", SocketAddr::new(ip, options.turn_port.unwrap_or(PORT)))
}

fn of_url(url: &str, user: &str, password: &str) -> Finding {
    let (place, transport) = url.split_once("?transport=").unwrap_or((url, "udp"));
    let Some(place) = place.strip_prefix("turn:") else {
        let message = format!("{url} is not checked: an allocation over TLS is not possible from here");
        let advice = "open /check in a browser, which tries TURN over TLS";
        return Finding::bad(CHECK, Level::Unknown, message, advice);
    };
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let address = if has_port { place.to_owned() } else { format!("{place}:{PORT}") };
    let allocated = address.to_socket_addrs().and_then(|mut found| {
        let server = found.next().ok_or_else(|| io::Error::other("the name has no address"))?;
        let mut wire = if transport == "tcp" { Wire::tcp(server)? } else { Wire::udp(server)? };
        allocate(&mut wire, user, password)
    });
    match allocated {
        Ok(Allocated::Granted(relayed)) => Finding::ok(CHECK, format!("{url} relays from {relayed}")),
        Ok(Allocated::Refused(code, reason)) => {
            let advice = match code {
                401 | 441 => "give the TURN server and Leat the same secret, and set the clocks of both",
                486 | 508 => "raise the limits of the TURN server (leat-turn --help), or add a server",
                300 => "use the server to which this one refers",
                _ => "see the log of the TURN server",
            };
            let message = format!("{url} refuses an allocation: {code} {reason}");
            Finding::bad(CHECK, Level::Error, message, advice)
        }
        Err(error) => Finding::bad(
            CHECK,
            Level::Error,
            format!("{url} does not answer: {error}"),
            "start the TURN server, and open its port for UDP and TCP in the firewall",
        ),
    }
}

/// The result of a request for an allocation.
enum Allocated {
    Granted(SocketAddr),
    Refused(u16, String),
}

fn allocate(wire: &mut Wire, user: &str, password: &str) -> io::Result<Allocated> {
    let transport = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::UDP);
    let challenge = ask(wire, Method::ALLOCATE, None, transport)?;
    let challenge = message(&challenge)?;
    match challenge.error_code() {
        Some((401, _)) => {}
        Some((code, reason)) => return Ok(Allocated::Refused(code, reason.to_owned())),
        None => return Err(io::Error::other("the server does not ask for a credential")),
    }
    let part =
        |kind| challenge.attribute(kind).ok_or_else(|| io::Error::other("no realm or nonce in the answer"));
    let known = Known { user, password, realm: part(REALM)?, nonce: part(NONCE)? };
    let answer = ask(wire, Method::ALLOCATE, Some(&known), transport)?;
    let answer = message(&answer)?;
    if let Some((code, reason)) = answer.error_code() {
        return Ok(Allocated::Refused(code, reason.to_owned()));
    }
    let relayed = answer.xor_relayed_addresses().next().flatten();
    let relayed = relayed.ok_or_else(|| io::Error::other("no relayed address in the answer"))?;
    // The server frees the port at once. Without an answer it does so later.
    let _ = ask(wire, Method::REFRESH, Some(&known), |writer| _ = writer.lifetime(0));
    Ok(Allocated::Granted(relayed))
}

fn message(bytes: &[u8]) -> io::Result<Message<'_>> {
    Message::new(bytes).map_err(|_| io::Error::other("the answer is not a STUN message"))
}

/// What a client knows after a challenge.
struct Known<'a> {
    user: &'a str,
    password: &'a str,
    realm: &'a [u8],
    nonce: &'a [u8],
}

fn ask(
    wire: &mut Wire,
    method: Method,
    known: Option<&Known<'_>>,
    fill: impl FnOnce(&mut Writer<'_>),
) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::other("realm or nonce of the server is too long");
    let mut id = TransactionId([0; 12]);
    getrandom::fill(&mut id.0).map_err(|error| io::Error::other(error.to_string()))?;
    let mut buffer = [0; 2048];
    let mut writer = Writer::new(&mut buffer, Class::Request, method, id).ok_or_else(too_long)?;
    fill(&mut writer);
    if let Some(&Known { user, password, realm, nonce }) = known {
        let parts = [user.as_bytes(), realm, password.as_bytes()];
        let key = Key::long_term(PasswordAlgorithm::Md5, parts, Integrity::Sha1);
        writer.username(user.as_bytes()).realm(realm).nonce(nonce).integrity(&key);
    }
    let len = writer.finish().ok_or_else(too_long)?;
    wire.ask(&buffer[..len], id)
}

/// How a server is reached.
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Wire {
    fn udp(server: SocketAddr) -> io::Result<Self> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self::Udp(socket))
    }

    fn tcp(server: SocketAddr) -> io::Result<Self> {
        let timeout = ANSWER_TIMEOUT * ATTEMPTS as u32;
        let stream = TcpStream::connect_timeout(&server, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        Ok(Self::Tcp(stream))
    }

    /// The answer to a request.
    fn ask(&mut self, request: &[u8], id: TransactionId) -> io::Result<Vec<u8>> {
        let is_answer =
            |bytes: &[u8]| Message::new(bytes).is_ok_and(|message| message.transaction_id() == id);
        match self {
            Self::Udp(socket) => {
                let mut last = io::Error::from(io::ErrorKind::TimedOut);
                for _ in 0..ATTEMPTS {
                    let mut answer = vec![0; 2048];
                    match socket.send(request).and_then(|_| socket.recv(&mut answer)) {
                        Ok(len) if is_answer(&answer[..len]) => {
                            answer.truncate(len);
                            return Ok(answer);
                        }
                        Ok(_) => {}
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Self::Tcp(stream) => {
                stream.write_all(request)?;
                let mut answer = vec![0; HEADER_LEN];
                stream.read_exact(&mut answer)?;
                answer.resize(HEADER_LEN + usize::from(u16::from_be_bytes([answer[2], answer[3]])), 0);
                stream.read_exact(&mut answer[HEADER_LEN..])?;
                if is_answer(&answer) { Ok(answer) } else { Err(io::Error::other("another answer")) }
            }
        }
    }
}
