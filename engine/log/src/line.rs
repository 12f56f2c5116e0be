//! One line of the log.

use crate::redact::{ClientAddresses, without_secrets};
use serde_json::{Map, Value};
use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::time::SystemTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// Keys of the context that are strings in every line, whatever type an event gives them.
const IDS: [&str; 3] = ["roomId", "userId", "peerId"];

/// The name of an error whose type is unknown.
const UNNAMED: &str = "Error";

pub(crate) struct Line {
    level: Level,
    message: String,
    context: Map<String, Value>,
    error: Option<Map<String, Value>>,
    addresses: ClientAddresses,
}

impl Line {
    /// A line about the process itself, which has no client: addresses are shown.
    pub(crate) fn new(level: Level, message: &str) -> Self {
        let message = without_secrets(message).into_owned();
        Self { level, message, context: Map::new(), error: None, addresses: ClientAddresses::Shown }
    }

    pub(crate) fn of(event: &Event<'_>, addresses: ClientAddresses) -> Self {
        let mut line = Self { addresses, ..Self::new(*event.metadata().level(), "") };
        event.record(&mut line);
        line
    }

    pub(crate) fn with_error(mut self, name: &str, message: &str) -> Self {
        self.put_error(name, message);
        self
    }

    pub(crate) fn with_stack(mut self, stack: &str) -> Self {
        if let Some(error) = &mut self.error {
            error.insert("stack".into(), stack.into());
        }
        self
    }

    fn put(&mut self, field: &Field, value: Value) {
        let value = match value {
            Value::String(text) => self.addresses.redact(field.name(), &text).into_owned().into(),
            other => other,
        };
        match field.name() {
            "message" => self.message = text(value),
            "error" => {
                let message = text(value);
                self.put_error(UNNAMED, &message);
            }
            name if IDS.contains(&name) => _ = self.context.insert(name.into(), text(value).into()),
            name => _ = self.context.insert(name.into(), value),
        }
    }

    fn put_error(&mut self, name: &str, message: &str) {
        let message = &*self.addresses.redact("error", message);
        let error = [("name", name), ("message", message)];
        self.error = Some(error.into_iter().map(|(key, text)| (key.into(), text.into())).collect());
    }
}

/// As JSON, without its end.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
        let level = match self.level {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        let mut object = Map::new();
        object.insert("timestamp".into(), timestamp.into());
        object.insert("level".into(), level.into());
        object.insert("context".into(), Value::Object(self.context.clone()));
        object.insert("message".into(), self.message.clone().into());
        if let Some(error) = &self.error {
            object.insert("error".into(), Value::Object(error.clone()));
        }
        write!(f, "{}", Value::Object(object))
    }
}

impl Visit for Line {
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

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match field.name() {
            "error" => self.put_error(&name_of(value), &crate::chain(value)),
            _ => self.put(field, crate::chain(value).into()),
        }
    }
}

/// The name of an error's type or variant, which is how a derived `Debug` begins.
pub(crate) fn name_of(error: &dyn Error) -> String {
    let debug = format!("{error:?}");
    let is_of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let name: String = debug.chars().take_while(is_of_name).collect();
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase());
    if is_name { name } else { UNNAMED.to_owned() }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
