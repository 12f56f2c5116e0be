//! The fields of a line of text for people.

use crate::redact::ClientAddresses;
use std::error::Error;
use std::fmt::{self, Debug};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes the message as it is and the other fields as `name=value`, with names in italics on a terminal.
pub(crate) struct TextFields(pub ClientAddresses);

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = TextLine { writer, addresses: self.0, is_empty: true, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

struct TextLine<'w> {
    writer: Writer<'w>,
    addresses: ClientAddresses,
    is_empty: bool,
    written: fmt::Result,
}

impl TextLine<'_> {
    fn put(&mut self, name: &str, text: &str) -> fmt::Result {
        let space = if self.is_empty { "" } else { " " };
        self.is_empty = false;
        let text = self.addresses.redact(name, text);
        match (name, self.writer.has_ansi_escapes()) {
            ("message", _) => write!(self.writer, "{space}{text}"),
            (_, false) => write!(self.writer, "{space}{name}={text}"),
            (_, true) => write!(self.writer, "{space}\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{text}"),
        }
    }
}

impl Visit for TextLine<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // The crate that passes on events of the crate `log` adds these.
        if field.name().starts_with("log.") {
            return;
        }
        let written = self.put(field.name(), &format!("{value:?}"));
        self.written = self.written.and(written);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", crate::chain(value)));
    }
}
