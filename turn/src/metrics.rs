//! Metrics for Prometheus, in its text format, over a minimal HTTP: one request per connection, one
//! connection at a time.
//!
//! Labels contain no user, room or address: their number is not bounded.

use crate::control::{self, Board};
use crate::limits::{METRICS_REQUEST_BYTES_MAX, METRICS_TIMEOUT};
use relay::Counter;
use runtime::Report;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Serves until the process ends, on a separate thread. An error if the address cannot be bound.
pub fn serve(address: SocketAddr, boards: Vec<Board>) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for connection in listener.incoming().flatten() {
            // The client is gone or slow; Prometheus fetches again.
            let _ = answer(connection, &boards);
        }
    })?;
    Ok(())
}

fn answer(connection: TcpStream, boards: &[Board]) -> io::Result<()> {
    let mut connection = TimeLimited { connection, until: Instant::now() + METRICS_TIMEOUT };
    let mut request = Vec::new();
    let mut buffer = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let len = connection.read(&mut buffer)?;
        if len == 0 || request.len() + len > METRICS_REQUEST_BYTES_MAX {
            return respond(&mut connection, "400 Bad Request", "expected GET /metrics\n");
        }
        request.extend_from_slice(&buffer[..len]);
    }
    if request.starts_with(b"GET /metrics ") {
        respond(&mut connection, "200 OK", &page(boards))
    } else {
        respond(&mut connection, "404 Not Found", "use /metrics\n")
    }
}

/// A connection with one time limit for all reads and writes together.
struct TimeLimited {
    connection: TcpStream,
    until: Instant,
}

impl TimeLimited {
    fn rest(&self) -> io::Result<Option<Duration>> {
        let rest = self.until.saturating_duration_since(Instant::now());
        if rest.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(rest)) }
    }
}

impl Read for TimeLimited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.set_read_timeout(self.rest()?)?;
        self.connection.read(buffer)
    }
}

impl Write for TimeLimited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.set_write_timeout(self.rest()?)?;
        self.connection.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.flush()
    }
}

fn respond(connection: &mut impl Write, status: &str, body: &str) -> io::Result<()> {
    let len = body.len();
    write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// A metric of the loop and its sockets: name, help text, and its value in a report.
type OfLoop = (&'static str, &'static str, fn(&Report) -> u64);

const OF_LOOP: &[OfLoop] = &[
    ("udp_receive_calls", "Calls of recvmmsg.", |report| report.received.syscalls),
    ("udp_received", "Datagrams received over UDP.", |report| report.received.datagrams),
    (
        "udp_receive_dropped",
        "Datagrams that the kernel dropped because a socket's buffer was full.",
        |report| report.received.dropped_by_kernel,
    ),
    ("udp_send_calls", "Calls of sendmmsg.", |report| report.sent.syscalls),
    ("udp_sent", "Datagrams sent over UDP.", |report| report.sent.datagrams),
    ("udp_send_runs", "Messages passed to sendmmsg: fewer than datagrams, because of GSO.", |report| {
        report.sent.runs
    }),
    ("udp_send_dropped", "Datagrams dropped because a socket's buffer was full.", |report| {
        report.sent.dropped_wouldblock + report.sent.dropped_full
    }),
    ("tcp_accepted", "TCP connections accepted.", |report| report.connections.accepted),
    ("tcp_refused", "TCP connections closed at once, because the limit was reached.", |report| {
        report.connections.refused
    }),
    ("tcp_malformed", "TCP connections closed because they carried neither TURN nor TLS.", |report| {
        report.connections.closed_malformed
    }),
    ("tcp_unproven", "TCP connections closed because they had no allocation in time.", |report| {
        report.connections.closed_unproven
    }),
    ("tcp_frames_dropped", "Datagrams dropped because a client over TCP was too slow.", |report| {
        report.connections.queued.dropped_full + report.connections.queued.dropped_late
    }),
    ("busy_microseconds", "Time not spent waiting, of all workers.", |report| {
        report.turns.busy.as_micros() as u64
    }),
];

/// Gauges: their values also go down.
const LEVELS: &[Counter] = &[Counter::Allocations, Counter::Sockets, Counter::PeerConnections];

fn page(boards: &[Board]) -> String {
    let mut sum = relay::Counters::default();
    let mut reports = Vec::new();
    for status in boards.iter().map(control::read) {
        sum.merge(&status.counters);
        reports.extend(status.report);
    }
    let mut page = String::new();
    let mut put = |name: &str, help: &str, is_level: bool, value: u64| {
        let (kind, suffix) = if is_level { ("gauge", "") } else { ("counter", "_total") };
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "# HELP leat_turn_{name}{suffix} {help}\n# TYPE leat_turn_{name}{suffix} {kind}\nleat_turn_{name}{suffix} {value}\n"
        );
    };
    for counter in Counter::ALL {
        put(counter.name(), counter.help(), LEVELS.contains(counter), sum.value(*counter));
    }
    for (name, help, value) in OF_LOOP {
        put(name, help, false, reports.iter().map(value).sum());
    }
    let open = reports.iter().map(|report| report.connections.open).sum();
    put("tcp_connections", "Open TCP connections.", true, open);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_metric_has_a_unique_name_a_help_and_a_type() {
        let page = page(&[Board::default(), Board::default()]);
        let (help, rest): (Vec<&str>, Vec<&str>) = page.lines().partition(|line| line.starts_with("# HELP "));
        let (types, values): (Vec<&str>, Vec<&str>) =
            rest.into_iter().partition(|line| line.starts_with("# TYPE "));
        let names: HashSet<&str> = values.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!((help.len(), types.len(), names.len()), (values.len(), values.len(), values.len()));
        assert!(
            page.contains("\nleat_turn_allocations 0\n") && page.contains("\nleat_turn_challenges_total 0\n")
        );
        assert!(!page.contains('{'), "there are no labels");
    }
}
