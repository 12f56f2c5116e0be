//! The file of options: `name = value`, one a line, the names those of the command line. It is read into arguments, so that the
//! two cannot differ.

use crate::cli::Cli;
use crate::limits::CONFIG_BYTES_MAX;
use clap::{CommandFactory, Parser, ValueEnum};
use leat_log::Format;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It cannot be read.
    #[error("cannot read it")]
    Unreadable(#[from] io::Error),
    /// It is longer than options can be.
    #[error("it is longer than {CONFIG_BYTES_MAX} bytes")]
    TooLong,
    /// A line is none.
    #[error("line {line}: expected `name = value`, such as `port = 3478`")]
    NoPair {
        /// Counted from 1.
        line: usize,
    },
    /// A name is no option's, or none that may stand in a file.
    #[error("line {line}: {name:?} is no option of this file: `leat-turn --help` lists them")]
    Unknown {
        /// Counted from 1.
        line: usize,
        /// What stands there.
        name: String,
    },
    /// A value is not what its option takes.
    #[error("line {line}: {why}")]
    Value {
        /// Counted from 1.
        line: usize,
        /// In the words of the command line.
        why: String,
    },
}

/// The options of a file, as arguments.
pub fn arguments(path: &Path) -> Result<Vec<OsString>, BadFile> {
    let mut text = String::new();
    File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX { Err(BadFile::TooLong) } else { parse(&text) }
}

/// The `log` line of a file, although the rest of it may be wrong. The last one counts.
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
        // By itself, so that a mistake is told with its line. What options want of each other is seen when all are there.
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
            parse(text).expect("sound"),
            ["--port=4000", "--user=alice:won=der", "--user=bob:builder", "--certificate=/etc/x.pem"]
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, wanted) in [
            ("port 4000", "line 1: expected `name = value`"),
            ("\nports = 4000", "line 2: \"ports\" is no option of this file"),
            ("config = /etc/other", "line 1: \"config\" is no option"),
            ("die-with-parent = true", "line 1: \"die-with-parent\" is no option"),
            ("port = 70000", "line 1: invalid value '70000' for '--port <PORT>'"),
            ("realm = leat\nallow-peer = ten", "line 2: invalid value 'ten' for '--allow-peer <PEERS>'"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
