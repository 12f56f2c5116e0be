//! Whether the clock is right: tokens and TURN credentials contain times.

use super::finding::{Finding, Level};
use crate::config::LEEWAY;
use crate::config::clock_source::ClockSource;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

const CHECK: &str = "clock";

/// Limit for the answer of a server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// A difference that does no harm yet and shows that no service sets the clock.
const WARNING: f64 = 2.0;

/// Seconds between 1900, from which NTP counts (RFC 5905 §6), and 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// Time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

pub(super) fn check(source: &ClockSource) -> Finding {
    let measured = match source {
        ClockSource::None => return unchecked("--clock none".to_owned()),
        ClockSource::Ntp(host, port) => ntp(host, *port),
        ClockSource::Http(host, port, path) => http(host, *port, path),
    };
    let offset = match measured {
        Ok(offset) => offset,
        Err(error) => return unchecked(format!("{source}: {error}")),
    };
    let (by, leeway) = (offset.abs(), LEEWAY.as_secs_f64());
    let message = format!("the clock differs from {source} by {by:.1} s");
    let advice = "let a service set the clock: systemd-timesyncd, chrony or ntpd";
    if by > leeway {
        let message = format!("{message}: tokens of other machines are refused (limit {leeway} s)");
        Finding::bad(CHECK, Level::Error, message, advice)
    } else if by > WARNING {
        Finding::bad(CHECK, Level::Warning, message, advice)
    } else {
        Finding::ok(CHECK, message)
    }
}

fn unchecked(why: String) -> Finding {
    let message = format!("the clock cannot be checked ({why})");
    let advice = "give --clock with a server that this machine reaches, or compare the clock by hand";
    Finding::bad(CHECK, Level::Unknown, message, advice)
}

fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut found = (host, port).to_socket_addrs()?;
    found.next().ok_or_else(|| io::Error::other("the name has no address"))
}

/// Seconds by which the clock is ahead, by SNTP (RFC 4330 §5).
fn ntp(host: &str, port: u16) -> io::Result<f64> {
    let server = resolve(host, port)?;
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut request = [0; 48];
    // Version 4, mode 3 (client). The time of transmission is returned, and is a random number: it is not the
    // server's business.
    request[0] = 0b0010_0011;
    getrandom::fill(&mut request[40..]).map_err(|error| io::Error::other(error.to_string()))?;
    let (start, sent) = (Instant::now(), now().as_secs_f64());
    socket.send(&request)?;
    let mut answer = [0; 128];
    let len = socket.recv(&mut answer)?;
    let middle = sent + start.elapsed().as_secs_f64() / 2.0;
    let is_answer = len >= 48 && answer[0] & 0b111 == 4 && answer[24..32] == request[40..];
    if !is_answer || answer[1] == 0 {
        return Err(io::Error::other("no valid answer of an NTP server"));
    }
    let word = |at: usize| u32::from_be_bytes([answer[at], answer[at + 1], answer[at + 2], answer[at + 3]]);
    // The times of the receipt and of the answer are the same for this purpose. The era of 1900 ends in 2036.
    let (seconds, fraction) = (u64::from(word(40)), f64::from(word(44)) / 4_294_967_296.0);
    let seconds = if seconds < NTP_EPOCH { seconds + (1 << 32) } else { seconds };
    Ok(middle - ((seconds - NTP_EPOCH) as f64 + fraction))
}

/// Seconds by which the clock is ahead of the `Date` of an answer, which has no fraction.
fn http(host: &str, port: u16, path: &str) -> io::Result<f64> {
    let mut stream = TcpStream::connect_timeout(&resolve(host, port)?, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let name = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let (start, sent) = (Instant::now(), now().as_secs_f64());
    write!(stream, "HEAD {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(16 << 10).read_to_end(&mut answer)?;
    let middle = sent + start.elapsed().as_secs_f64() / 2.0;
    let answer = String::from_utf8_lossy(&answer);
    let dates = answer.lines().filter_map(|line| line.split_once(':'));
    let date =
        dates.filter(|(name, _)| name.eq_ignore_ascii_case("date")).map(|(_, date)| date.trim()).next();
    let date = date.ok_or_else(|| io::Error::other("the answer has no Date"))?;
    let date =
        httpdate::parse_http_date(date).map_err(|_| io::Error::other("the Date of the answer is invalid"))?;
    let date = date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // The date is that of the begin of its second.
    Ok(middle - (date + 0.5))
}
