//! A minimal HTTP/1.1 server: one request per connection, one connection at a time, on a thread of its own. A
//! client that is slow delays neither media nor the control of the process.

use crate::limits::{REQUEST_BYTES_MAX, REQUEST_TIMEOUT};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The media type of the page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The state of one part that the process depends on: its name, and what is wrong with it.
pub type Health = (&'static str, Result<(), String>);

/// What the server shows.
pub struct Page {
    /// `GET /metrics`.
    pub registry: Registry,
    /// `GET /livez`: whether the process works. A process for which it fails should be started again.
    pub live: Box<dyn Fn() -> Vec<Health> + Send>,
    /// `GET /readyz`: whether the process can do its work now, with each dependency apart.
    pub ready: Box<dyn Fn() -> Vec<Health> + Send>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// Serves until the process ends.
///
/// # Errors
///
/// If the address cannot be bound, or the thread cannot be started.
pub fn serve(address: SocketAddr, page: Page) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for connection in listener.incoming().flatten() {
            // The client is gone or slow; Prometheus fetches again.
            let _ = answer(connection, &page);
        }
    })?;
    Ok(())
}

fn answer(connection: TcpStream, page: &Page) -> io::Result<()> {
    let mut connection = TimeLimited { connection, until: Instant::now() + REQUEST_TIMEOUT };
    let mut request = Vec::new();
    let mut buffer = [0; 512];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let len = connection.read(&mut buffer)?;
        if len == 0 || request.len() + len > REQUEST_BYTES_MAX {
            return respond(&mut connection, "400 Bad Request", PLAIN, "expected GET /metrics\n");
        }
        request.extend_from_slice(&buffer[..len]);
    }
    let path = request.strip_prefix(b"GET ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
    match path {
        Some(b"/metrics") => {
            let mut text = String::new();
            text::encode(&mut text, &page.registry).map_err(io::Error::other)?;
            respond(&mut connection, "200 OK", CONTENT_TYPE, &text)
        }
        Some(b"/livez") => respond_health(&mut connection, &(page.live)()),
        Some(b"/readyz") => respond_health(&mut connection, &(page.ready)()),
        _ => respond(&mut connection, "404 Not Found", PLAIN, "use /metrics, /livez or /readyz\n"),
    }
}

/// One line for each part: its name, and `ok` or what is wrong.
fn respond_health(connection: &mut impl Write, parts: &[Health]) -> io::Result<()> {
    let line = |(name, state): &Health| match state {
        Ok(()) => format!("{name}: ok\n"),
        Err(why) => format!("{name}: {why}\n"),
    };
    let is_ok = parts.iter().all(|(_, state)| state.is_ok());
    let status = if is_ok { "200 OK" } else { "503 Service Unavailable" };
    respond(connection, status, PLAIN, &parts.iter().map(line).collect::<String>())
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn respond(connection: &mut impl Write, status: &str, content_type: &str, body: &str) -> io::Result<()> {
    let len = body.len();
    write!(
        connection,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
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
