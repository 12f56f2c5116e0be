//! The log of every binary, on standard error: one JSON object per line, or plain text for a terminal. This
//! includes fatal errors, wrong options and panics.
//!
//! A JSON line has the keys `timestamp`, `level`, `context`, `message` and, for a failure, `error`; the
//! schema is `tests/vectors/log/schema.json`. An event of [`tracing`] becomes a line, its fields become the
//! context, and a field named `error` becomes the error. [`redact`] is what a line does not show.

#![forbid(unsafe_code)]

mod line;
pub mod redact;
mod text;

use clap::error::ErrorKind;
use line::Line;
use redact::ClientAddresses;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use text::TextFields;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// The exit code for a wrong option. clap uses the same.
pub const EXIT_USAGE: u8 = 2;

impl Format {
    /// Text on a terminal, otherwise JSON.
    pub fn for_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }

    /// The value of `--log`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// The value of `--log` among arguments that cannot be parsed as a whole. The last one applies.
    pub fn requested(arguments: &[OsString]) -> Option<Self> {
        let named = Self::from_name;
        let texts: Vec<&str> =
            arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
        let joined = texts.iter().filter_map(|text| named(text.strip_prefix("--log=")?)).next_back();
        let mut apart = texts.windows(2).filter(|pair| pair[0] == "--log").filter_map(|pair| named(pair[1]));
        apart.next_back().or(joined)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Checks a value of `--log-level`: directives of [`EnvFilter`].
pub fn level(text: &str) -> Result<String, String> {
    let expected = "expected error, warn, info, debug, or directives such as warn,signaling=debug";
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| format!("{error}: {expected}"))
}

/// Starts logging. `level` selects what is logged, without it the environment variable `LEAT_LOG`, unless that
/// is a format, and without both `default`.
pub fn start(format: Format, level: Option<&str>, default: &str, addresses: ClientAddresses) {
    let variable = std::env::var("LEAT_LOG").ok();
    let is_filter = |text: &&String| !text.is_empty() && Format::from_name(text).is_none();
    let chosen = level.or(variable.as_ref().filter(is_filter).map(String::as_str));
    let filter =
        chosen.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, in a test, has no effect.
    let _ = match format {
        Format::Json => {
            std::panic::set_hook(Box::new(|info| write(&of_panic(info))));
            registry.with(Json(addresses)).try_init()
        }
        Format::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .fmt_fields(TextFields(addresses))
                    .with_target(false)
                    .with_ansi(io::stderr().is_terminal())
                    .with_writer(io::stderr),
            )
            .try_init(),
    };
}

/// Parses the command line. Help and version go to standard output; for a wrong option, the last line of the
/// log reports the error, in the format that the arguments select, or else in `default`. The error is the
/// exit code.
pub fn command_line<C: clap::Parser>(
    program: &str,
    arguments: &[OsString],
    default: Format,
) -> Result<C, ExitCode> {
    let error = match C::try_parse_from(arguments) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let format = Format::requested(arguments).unwrap_or(default);
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) || format == Format::Text {
        // Standard output may be closed.
        let _ = error.print();
        return Err(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE)));
    }
    let line = Line::new(Level::ERROR, &format!("{program}: wrong options"));
    write(&line.with_error("Usage", &on_one_line(&error.to_string())).to_string());
    Err(ExitCode::from(EXIT_USAGE))
}

/// clap's message, without usage and hints.
fn on_one_line(text: &str) -> String {
    let is_behind = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more information");
    let lines = text.lines().map(str::trim).take_while(|line| !is_behind(line));
    let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    text.trim_start_matches("error: ").to_owned()
}

/// Logs why the process ends. Returns the exit code.
pub fn fatal(format: Format, program: &str, error: &dyn Error, code: u8) -> ExitCode {
    match format {
        Format::Text => write(&redact::without_secrets(&format!("{program}: {}", chain(error)))),
        Format::Json => {
            let line = Line::new(Level::ERROR, &format!("{program}: {error}"));
            write(&line.with_error(&line::name_of(error), &chain(error)).to_string());
        }
    }
    ExitCode::from(code)
}

/// An error and its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Writes each event as one JSON object.
struct Json(ClientAddresses);

impl<S: Subscriber> Layer<S> for Json {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        write(&Line::of(event, self.0).to_string());
    }
}

fn of_panic(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(|| "an unknown location".to_owned(), ToString::to_string);
    let why = info.payload_as_str().unwrap_or("a panic without a message");
    let line = Line::new(Level::ERROR, &format!("panicked at {place}")).with_error("Panic", why);
    let trace = Backtrace::capture();
    match trace.status() {
        BacktraceStatus::Captured => line.with_stack(&trace.to_string()),
        _ => line,
    }
    .to_string()
}

/// Writes a whole line at once, because other threads and processes write to the same stream.
fn write(line: &str) {
    // There is no other place to report a failure.
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests;
