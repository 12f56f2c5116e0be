//! The file of options: `name = value`, one per line, with the names of the command line. It is converted to
//! arguments, so that file and command line cannot differ.

use crate::cli::Cli;
use crate::limits::CONFIG_BYTES_MAX;
use clap::{CommandFactory, Parser, ValueEnum};
use leat_log::Format;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It cannot be read.
    #[error("cannot read it")]
    Unreadable(#[from] io::Error),
    /// It is longer than options can be.
    #[error("it is longer than {CONFIG_BYTES_MAX} bytes")]
    TooLong,
    /// A line has the wrong form.
    #[error("line {line}: expected `name = value`, such as `port = 3478`")]
    NoPair {
        /// Counted from 1.
        line: usize,
    },
    /// The name is not an option, or not allowed in a file.
    #[error("line {line}: {name:?} is not an option of this file: `leat-turn --help` lists them")]
    Unknown {
        /// Counted from 1.
        line: usize,
        /// The name in the file.
        name: String,
    },
    /// A value that its option does not accept.
    #[error("line {line}: {why}")]
    Value {
        /// Counted from 1.
        line: usize,
        /// The parser's error text.
        why: String,
    },
}

/// The options of a file, as arguments.
pub fn arguments(path: &Path) -> Result<Vec<OsString>, BadFile> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX { Err(BadFile::TooLong) } else { parse(&text) }
}

/// The `log` line of a file, even if other lines are wrong. The last one applies.
pub fn log(path: &Path) -> Option<Format> {
    let mut text = String::new();
    File::open(path).ok()?.take(CONFIG_BYTES_MAX).read_to_string(&mut text).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let formats = lines.filter(|(name, _)| name.trim() == "log");
    formats.filter_map(|(_, value)| Format::from_str(value.trim(), false).ok()).next_back()
}

fn parse(text: &str) -> Result<Vec<OsString>, BadFile> {
    let command = Cli::command();
    let is_known = |name: &str| {
        let named = command.get_arguments().find(|argument| argument.get_long() == Some(name));
        named.is_some_and(|argument| argument.get_action().takes_values() && name != "config")
    };
    let mut arguments = Vec::new();
    for (line, content) in text.lines().enumerate().map(|(index, content)| (index + 1, content.trim())) {
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (name, value) = content.split_once('=').ok_or(BadFile::NoPair { line })?;
        let (name, value) = (name.trim(), value.trim());
        if !is_known(name) {
            return Err(BadFile::Unknown { line, name: name.to_owned() });
        }
        let argument = OsString::from(format!("--{name}={value}"));
        // Parsed separately, so that an error names its line. Required combinations are checked later.
        if let Err(error) = Cli::try_parse_from([OsString::from("leat-turn"), argument.clone()]) {
            let text = error.to_string();
            let why = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(BadFile::Value { line, why });
        }
        arguments.push(argument);
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_arguments() {
        let text =
            "# ours\n\nport = 4000\n  user = alice:won=der\nuser=bob:builder\ncertificate = /etc/x.pem\n";
        assert_eq!(
            parse(text).expect("valid"),
            ["--port=4000", "--user=alice:won=der", "--user=bob:builder", "--certificate=/etc/x.pem"]
        );
    }

    #[test]
    fn errors_name_their_line() {
        for (text, wanted) in [
            ("port 4000", "line 1: expected `name = value`"),
            ("\nports = 4000", "line 2: \"ports\" is not an option of this file"),
            ("config = /etc/other", "line 1: \"config\" is not an option"),
            ("die-with-parent = true", "line 1: \"die-with-parent\" is not an option"),
            ("port = 70000", "line 1: invalid value '70000' for '--port <PORT>'"),
            ("realm = leat\nallow-peer = ten", "line 2: invalid value 'ten' for '--allow-peer <PEERS>'"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
