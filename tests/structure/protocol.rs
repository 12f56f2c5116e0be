//! The protocol of the ring: signaling sends every command and reads every field of what the engine reports.
//!
//! A command without a sender and a field without a reader cost code, tests and bytes. [`LATER`] lists those
//! that have a use which is not built yet. The counters of the statistics page are not looked at.

use crate::source;
use std::collections::{BTreeMap, BTreeSet};

/// Commands and fields that signaling does not use yet, and what will use them. An entry that is in use is an
/// error.
pub const LATER: &[(&str, &str)] = &[
    ("Command::RequestKeyframe", "a keyframe at the request of an application"),
    ("Command::SetBitrates.min_outgoing_bps", "a bound that an operator sets for a transport"),
    ("Event::StatsEnd", "statistics of a room and of a worker"),
    ("StatsOf::Router", "statistics of a room"),
    ("StatsOf::Worker", "statistics of a worker"),
    ("SnapshotItem::Consumer.paused", "lists of objects after a restart of signaling"),
    ("SnapshotItem::PlainTransport.address", "lists of objects after a restart of signaling"),
    ("SnapshotItem::PlainTransport.rtcp_address", "lists of objects after a restart of signaling"),
    ("SnapshotItem::PlainTransport.rtcp_remote", "lists of objects after a restart of signaling"),
];

/// Commands that only tests send.
pub const FOR_TESTS: &[&str] = &["Command::InjectPanic"];

/// Fields that connect an answer with its request: the ring's reader uses them for every event at once.
const OF_ANSWERS: &[&str] =
    &["request", "IceRestarted.transport", "PlainTransportCreated.transport", "TransportCreated.transport"];

/// The variants of an enum and the names of their fields.
pub type Variants = BTreeMap<String, BTreeSet<String>>;

/// Reads `pub enum NAME { … }` from the source of the protocol.
pub fn variants(name: &str, text: &str) -> Variants {
    let code = source::code_only(text);
    let start = code.find(&format!("pub enum {name} {{")).map(|at| at + code[at..].find('{').unwrap_or(0));
    let Some(start) = start else { return Variants::new() };
    let mut found = Variants::new();
    for (variant, fields) in items(&code[start + 1..]) {
        let names = fields.iter().filter_map(|field| field.split_once(':')).map(|(name, _)| name.trim());
        found.insert(variant, names.map(str::to_owned).collect());
    }
    found
}

/// The variants of an enum that `sources` never name, and their fields without a value: each `Command` needs
/// a sender.
pub fn unsent(name: &str, variants: &Variants, sources: &[String]) -> BTreeSet<String> {
    unused(name, variants, sources, "None")
}

/// The variants of an enum that `sources` never name, and their fields that no pattern binds: each `Event`
/// needs a reader.
pub fn unread(name: &str, variants: &Variants, sources: &[String]) -> BTreeSet<String> {
    unused(name, variants, sources, "_")
}

fn unused(name: &str, variants: &Variants, sources: &[String], nothing: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (variant, fields) in variants {
        let path = format!("{name}::{variant}");
        if !sources.iter().any(|code| source::contains_path(code, &path)) {
            found.insert(path);
            continue;
        }
        let used: BTreeSet<String> = sources.iter().flat_map(|code| used(code, &path, nothing)).collect();
        let unused = fields.difference(&used).filter(|field| {
            !OF_ANSWERS.contains(&field.as_str())
                && !OF_ANSWERS.contains(&format!("{variant}.{field}").as_str())
        });
        found.extend(unused.map(|field| format!("{path}.{field}")));
    }
    found
}

/// The fields that follow a path in braces, without those whose value or pattern is `nothing`.
fn used(code: &str, path: &str, nothing: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(path) {
        let rest = code[at + path.len()..].trim_start();
        let Some(list) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { continue };
        for field in list.0.split(',').map(str::trim) {
            let (name, value) = field.split_once(':').unwrap_or((field, field));
            if value.trim() != nothing {
                found.push(name.trim().to_owned());
            }
        }
    }
    found
}

/// The variants up to the closing brace of their enum, each with the text of its fields.
fn items(body: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    let (mut depth, mut word) = (0, String::new());
    for c in body.chars() {
        match c {
            '{' | '(' => {
                if depth == 0 {
                    found.push((std::mem::take(&mut word).trim().to_owned(), vec![String::new()]));
                }
                depth += 1;
            }
            '}' | ')' if depth == 0 => break,
            '}' | ')' => depth -= 1,
            ',' if depth == 0 => {
                let word = std::mem::take(&mut word).trim().to_owned();
                found.extend((!word.is_empty()).then_some((word, Vec::new())));
            }
            ',' if depth == 1 => {
                if let Some((_, fields)) = found.last_mut() {
                    fields.push(String::new());
                }
            }
            c if depth == 0 => word.push(c),
            c => {
                if let Some(field) = found.last_mut().and_then(|(_, fields)| fields.last_mut()) {
                    field.push(c);
                }
            }
        }
    }
    found
}
