use super::*;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

#[path = "../../../tests/harness/schema.rs"]
mod schema;

/// Collects lines instead of writing them.
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0
            .lock()
            .expect("no panic while locked")
            .push(Line::of(event, ClientAddresses::Redacted).to_string());
    }
}

/// The lines that `log` writes, each checked against the schema.
fn logged(log: impl FnOnce()) -> Vec<Value> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(Lines(lines.clone())), log);
    let lines = lines.lock().expect("no panic while locked");
    lines.iter().map(|line| checked(line)).collect()
}

fn checked(line: &str) -> Value {
    assert!(!line.contains('\n'), "{line}");
    let schema = include_str!("../../../tests/vectors/log/schema.json");
    let (schema, object) =
        (serde_json::from_str(schema).expect("JSON"), serde_json::from_str(line).expect("JSON"));
    assert_eq!(schema::check(&schema, &object), Ok(()), "{line}");
    object
}

#[test]
fn every_level_and_type_of_field_makes_a_line_of_the_schema() {
    let io = io::Error::other("it broke");
    let lines = logged(|| {
        tracing::trace!("t");
        tracing::debug!(flag = true, ratio = 0.5, left = -3, list = ?[1, 2], "d");
        tracing::info!(roomId = "a\"b\n", userId = %"u", peerId = 7, "what {}", "happened");
        tracing::warn!(error = %"it broke", "w");
        tracing::error!(error = &io as &(dyn Error + 'static), other = &io as &(dyn Error + 'static), "e");
    });
    let levels: Vec<_> = lines.iter().map(|line| line["level"].as_str().expect("a string")).collect();
    assert_eq!(levels, ["debug", "debug", "info", "warn", "error"]);
    assert_eq!(lines[1]["context"], json!({"flag": true, "ratio": 0.5, "left": -3, "list": "[1, 2]"}));
    assert_eq!(lines[2]["context"], json!({"roomId": "a\"b\n", "userId": "u", "peerId": "7"}));
    assert_eq!(lines[2]["message"], "what happened");
    assert_eq!(lines[2].get("error"), None);
    assert_eq!(lines[3]["error"], json!({"name": "Error", "message": "it broke"}));
    assert_eq!(lines[4]["error"], json!({"name": "Custom", "message": "it broke"}));
    assert_eq!(lines[4]["context"], json!({"other": "it broke"}));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as u64;
    let timestamp = lines[0]["timestamp"].as_u64().expect("a number");
    assert!(timestamp > 1_700_000_000_000 && timestamp <= now, "{timestamp}");
}

#[test]
fn a_line_shows_neither_addresses_of_clients_nor_tokens_in_both_formats() {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let log = || {
        let io = io::Error::other("no answer from 192.0.2.7:443");
        tracing::warn!(
            clientAddress = "192.0.2.7",
            address = "10.0.0.1:7080",
            roomId = "r",
            count = 3,
            error = &io as &(dyn Error + 'static),
            "refused [2001:db8::7]:443: Bearer abc"
        );
    };
    let text = texts.clone();
    let writer = move || Texts(text.clone());
    let layer = |addresses| {
        tracing_subscriber::fmt::layer()
            .fmt_fields(TextFields(addresses))
            .with_ansi(false)
            .with_writer(writer.clone())
    };
    for addresses in [ClientAddresses::Redacted, ClientAddresses::Shown] {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer(addresses)), log);
    }
    let lines = texts.lock().expect("no panic while locked").clone();
    assert!(
        lines[0].ends_with(
            "refused [[redacted]]:443: Bearer [redacted] clientAddress=\"[redacted]\" address=\"10.0.0.1:7080\" \
             roomId=\"r\" count=3 error=no answer from [redacted]\n"
        ),
        "{lines:?}"
    );
    assert!(
        lines[1].ends_with(
            "refused [2001:db8::7]:443: Bearer [redacted] clientAddress=\"192.0.2.7\" address=\"10.0.0.1:7080\" \
             roomId=\"r\" count=3 error=no answer from 192.0.2.7:443\n"
        ),
        "{lines:?}"
    );
    let json = logged(log).remove(0);
    assert_eq!(json["message"], "refused [[redacted]]:443: Bearer [redacted]");
    assert_eq!(
        json["context"],
        json!({"clientAddress": "[redacted]", "address": "10.0.0.1:7080", "roomId": "r", "count": 3})
    );
    assert_eq!(json["error"], json!({"name": "Custom", "message": "no answer from [redacted]"}));
}

/// Collects what is written.
struct Texts(Arc<Mutex<Vec<String>>>);

impl Write for Texts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while locked").push(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stack_belongs_to_its_error() {
    let line = checked(
        &Line::new(Level::ERROR, "m").with_error("Panic", "why").with_stack("at a\nat b").to_string(),
    );
    assert_eq!(line["error"], json!({"name": "Panic", "message": "why", "stack": "at a\nat b"}));
}

#[test]
fn the_format_is_found_among_arguments_that_are_wrong() {
    let format = |text: &str| Format::requested(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
    assert_eq!(format("x --unknown --log json"), Some(Format::Json));
    assert_eq!(format("x --log=text --port"), Some(Format::Text));
    assert_eq!(format("x --log xml --log"), None);
}

#[test]
fn an_error_is_named_by_its_type_or_variant() {
    assert_eq!(line::name_of(&io::Error::from(io::ErrorKind::AddrInUse)), "Kind");
    assert_eq!(line::name_of(&"x".parse::<u8>().expect_err("no number")), "ParseIntError");
    assert_eq!(line::name_of(&*Box::<dyn Error + Send + Sync>::from("only text")), "Error");
}

#[test]
fn a_panic_is_a_line_of_the_schema() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let hook = lines.clone();
    std::panic::set_hook(Box::new(move |info| {
        hook.lock().expect("no panic while locked").push(of_panic(info))
    }));
    std::panic::catch_unwind(|| panic!("no {}", "way")).expect_err("it panics");
    drop(std::panic::take_hook());
    let line = checked(&lines.lock().expect("no panic while locked")[0]);
    assert_eq!((&line["error"]["name"], &line["error"]["message"]), (&json!("Panic"), &json!("no way")));
    assert!(line["message"].as_str().expect("a string").contains("tests.rs"), "{line}");
}

#[test]
fn a_wrong_option_is_reported_on_one_line_with_the_expected_values() {
    #[derive(Debug, clap::Parser)]
    struct Options {
        #[arg(long)]
        format: Format,
    }
    let message_of = |arguments: &[&str]| {
        let error = <Options as clap::Parser>::try_parse_from(arguments).expect_err("wrong").to_string();
        on_one_line(&error)
    };
    assert_eq!(
        message_of(&["x", "--format", "xml"]),
        "invalid value 'xml' for '--format <FORMAT>' [possible values: text, json]"
    );
    assert_eq!(message_of(&["x"]), "the following required arguments were not provided: --format <FORMAT>");
}
