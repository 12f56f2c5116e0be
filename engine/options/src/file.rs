//! The configuration file, in TOML: keys at the top for every program that has them, and a section for one
//! program, such as `[turn]`, whose keys take precedence.

use crate::OptionsError;
use crate::limits::FILE_BYTES_MAX;
use crate::program::OptionsOf;
use crate::table::{Kind, OPTIONS, Row, row};
use leat_log::Format;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A configuration file whose keys exist and whose values have the right type.
#[derive(Clone)]
pub struct ConfigFile {
    path: PathBuf,
    entries: Vec<Entry>,
}

/// One key with its values.
#[derive(Clone)]
pub struct Entry {
    /// The option.
    pub row: &'static Row,
    /// The section; `None` at the top.
    pub section: Option<OptionsOf>,
    /// Counted from 1.
    pub line: usize,
    /// `true` or `false` for a flag.
    pub values: Vec<String>,
}

impl ConfigFile {
    /// Reads a file of at most [`FILE_BYTES_MAX`] bytes.
    pub fn read(path: &Path) -> Result<Self, OptionsError> {
        let unreadable = |source| OptionsError::Unreadable { path: path.to_path_buf(), source };
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(OptionsError::TooLong { path: path.to_path_buf() });
        }
        Self::parse(path, &text)
    }

    /// Parses the text of this file.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, OptionsError> {
        let reader = Reader { path, text };
        let table = DeTable::parse(text).map_err(|error| reader.syntax(&error))?;
        let mut entries = Vec::new();
        for (key, value) in table.get_ref() {
            let name: &str = key.get_ref();
            match (OptionsOf::of_section(name), value.get_ref()) {
                (Some(program), DeValue::Table(keys)) => {
                    for (key, value) in keys {
                        entries.push(reader.entry(Some(program), key.get_ref(), key.span(), value)?);
                    }
                }
                _ => entries.push(reader.entry(None, name, key.span(), value)?),
            }
        }
        Ok(Self { path: path.to_path_buf(), entries })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What this program reads for this option. A child of `leat up` does not read keys at the top that `leat up`
    /// has, because `leat up` passes them on in its own way.
    pub fn find(&self, row: &Row, program: OptionsOf, is_child: bool) -> Option<&Entry> {
        let of = |section: Option<OptionsOf>| {
            self.entries.iter().find(move |entry| entry.section == section && entry.row.name == row.name)
        };
        let is_for_parent = is_child && row.is_of(OptionsOf::Up);
        of(Some(program)).or_else(|| if is_for_parent { None } else { of(None) })
    }
}

/// The format of the log in a file, also if the rest of it is wrong.
pub(crate) fn log_format(path: &Path, program: OptionsOf) -> Option<Format> {
    let mut text = String::new();
    File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let (table, _) = DeTable::parse_recoverable(&text);
    let section = table.get_ref().get(program.section()).and_then(|section| section.get_ref().as_table());
    let of = |table: &DeTable<'_>| Format::from_name(table.get("log")?.get_ref().as_str()?);
    section.and_then(of).or_else(|| of(table.get_ref()))
}

/// Makes entries of keys, and errors with their lines.
struct Reader<'f> {
    path: &'f Path,
    text: &'f str,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
    }

    fn syntax(&self, error: &toml::de::Error) -> OptionsError {
        let line = self.line(error.span().map_or(0, |span| span.start));
        let source = self.text.lines().nth(line - 1).unwrap_or_default();
        let hint = match source.split_once('=') {
            Some((key, value)) if row(key.trim()).is_some() => quoted(key.trim(), value.trim()),
            _ => String::new(),
        };
        let why = format!("{}{hint}", error.message());
        OptionsError::Syntax { path: self.path.to_path_buf(), line, why }
    }

    fn entry(
        &self,
        section: Option<OptionsOf>,
        key: &str,
        span: Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Entry, OptionsError> {
        let (path, line) = (self.path.to_path_buf(), self.line(span.start));
        let is_allowed =
            |row: &&Row| row.name != "config" && section.is_none_or(|program| row.is_of(program));
        let Some(found) = row(key).filter(is_allowed) else {
            return Err(OptionsError::UnknownKey {
                path,
                line,
                key: key.to_owned(),
                section,
                nearest: nearest(key, section),
            });
        };
        match values(found.kind, value.get_ref()) {
            Some(values) => Ok(Entry { row: found, section, line, values }),
            None => {
                let why = format!("expected {}", expected(found));
                Err(OptionsError::Key { path, line, key: found.name, why })
            }
        }
    }
}

/// What a wrong line could have been.
fn quoted(key: &str, value: &str) -> String {
    let is_wrong = row(key).is_some_and(|row| matches!(row.kind, Kind::Text | Kind::List));
    let is_bare = !value.starts_with(['"', '\'', '[']);
    // The value may be a password, and is not repeated.
    if is_wrong && is_bare { format!("; a text needs quotes: {key} = \"…\"") } else { String::new() }
}

/// The values of a key, if it has the right type.
fn values(kind: Kind, value: &DeValue<'_>) -> Option<Vec<String>> {
    match (kind, value) {
        (Kind::Flag, DeValue::Boolean(value)) => Some(vec![value.to_string()]),
        (Kind::Number | Kind::Text, value) => Some(vec![scalar(value)?]),
        (Kind::List, DeValue::Array(values)) => values.iter().map(|value| scalar(value.get_ref())).collect(),
        (Kind::List, value) => Some(vec![scalar(value)?]),
        _ => None,
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        _ => None,
    }
}

/// The form of a value in the file.
fn expected(row: &Row) -> String {
    let (name, example) = (row.name, row.examples[0]);
    match row.kind {
        Kind::Flag => format!("{name} = true or {name} = false"),
        Kind::Number => format!("a number, for example {name} = {example}"),
        Kind::Text => format!("a text, for example {name} = \"{example}\""),
        Kind::List => format!("a list of texts, for example {name} = [\"{example}\"]"),
    }
}

/// The known key or section that is most like this one.
fn nearest(key: &str, section: Option<OptionsOf>) -> Option<&'static str> {
    let keys = OPTIONS.iter().filter(|row| row.name != "config");
    let keys = keys.filter(|row| section.is_none_or(|program| row.is_of(program))).map(|row| row.name);
    let sections = OptionsOf::ALL.into_iter().filter(|_| section.is_none()).map(OptionsOf::section);
    let like = |name: &&str| strsim::damerau_levenshtein(&key.replace('_', "-").to_lowercase(), name);
    // Half of the letters may differ.
    keys.chain(sections).min_by_key(like).filter(|name| like(name) * 2 <= key.len())
}
