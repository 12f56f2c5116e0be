//! Stages borrow the state they need (decision 22). If they could reach the shard, each could change everything.

use crate::source::contains_path;

/// The files that may name the shard, in the folder of the SFU's sources.
const ENTRIES: &[&str] = &["lib.rs", "containment.rs", "shard/mod.rs"];

/// The files that may implement `Machine`.
const MACHINES: &[&str] = &["containment.rs", "shard/mod.rs"];

/// The rules that a file of the SFU breaks, one sentence each. `code` is without comments, literals and tests.
pub fn violations(file: &str, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !ENTRIES.contains(&file) && contains_path(code, "Shard") {
        found.push(format!("{file} names Shard"));
    }
    if fields(code).is_some_and(|fields| contains_path(fields, "pub")) {
        found.push(format!("{file}: Shard has an open field"));
    }
    if !MACHINES.contains(&file) && contains_path(code, "Machine for") {
        found.push(format!("{file} implements Machine"));
    }
    if code.contains(".insert_with(") && !file.starts_with("objects/") && file != "base/slots.rs" {
        found.push(format!("{file} adds an object outside of objects/"));
    }
    found
}

/// Whether the struct is defined here.
pub fn defines(code: &str) -> bool {
    fields(code).is_some()
}

fn fields(code: &str) -> Option<&str> {
    let (_, rest) = code.split_once("struct Shard {")?;
    rest.split_once('}').map(|(fields, _)| fields)
}
