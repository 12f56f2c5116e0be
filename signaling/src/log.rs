//! Logs: one JSON object a line — `timestamp`, `level`, `context`, `message`, `error` — or plain text for a terminal.

use serde_json::{Map, Value};
use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl Format {
    /// Text on a terminal, else JSON.
    pub fn for_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }

    /// As `--log` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Starts logging to standard error. The environment variable `LEAT_LOG` chooses what is logged; by default all of ours from info on, and warnings of others.
pub fn start(format: Format) {
    let filter = EnvFilter::try_from_env("LEAT_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,signaling=info,leat=info"));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, in a test, changes nothing.
    let _ = match format {
        Format::Json => registry.with(Json).try_init(),
        Format::Text => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .with_target(false)
                    .with_ansi(io::stderr().is_terminal())
                    .with_writer(io::stderr),
            )
            .try_init(),
    };
}

/// Writes each event as one JSON object.
struct Json;

impl<S: Subscriber> Layer<S> for Json {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut timestamp = String::new();
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let mut line = line(timestamp, *event.metadata().level(), |fields| event.record(fields));
        line.push('\n');
        // Nobody is left to tell that the log is gone.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// One line, without its end.
fn line(timestamp: String, level: Level, record: impl FnOnce(&mut Fields)) -> String {
    let mut fields = Fields::default();
    record(&mut fields);
    let mut object = Map::new();
    object.insert("timestamp".into(), timestamp.into());
    object.insert("level".into(), level.as_str().to_ascii_lowercase().into());
    object.insert("context".into(), Value::Object(fields.context));
    object.insert("message".into(), fields.message.into());
    object.insert("error".into(), fields.error.map_or(Value::Null, Value::String));
    Value::Object(object).to_string()
}

/// The fields of one event, sorted into places.
#[derive(Default)]
struct Fields {
    context: Map<String, Value>,
    message: String,
    error: Option<String>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        match field.name() {
            "message" => self.message = text(value),
            "error" => self.error = Some(text(value)),
            name => _ = self.context.insert(name.into(), value),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.put(field, text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::failure::chain(value).into());
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Collects lines instead of writing them.
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let line =
                line("2026-11-22T00:00:00Z".into(), *event.metadata().level(), |fields| event.record(fields));
            self.0.lock().expect("no panic while held").push(line);
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_the_fixed_keys() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Lines(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(roomId = "a\"b\n", userId = %"u", peerId = 7, error = %"it broke", "what {}", "happened");
        });
        let line = lines.lock().expect("no panic while held").pop().expect("one line");
        assert!(!line.contains('\n'));
        let object: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(object["timestamp"], "2026-11-22T00:00:00Z");
        assert_eq!(object["level"], "warn");
        assert_eq!(object["message"], "what happened");
        assert_eq!(object["error"], "it broke");
        assert_eq!(object["context"]["roomId"], "a\"b\n");
        assert_eq!(object["context"]["userId"], "u");
        assert_eq!(object["context"]["peerId"], 7);
    }
}
