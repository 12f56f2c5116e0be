//! The options of every program from three sources: the command line, then environment variables, then one
//! configuration file. All become arguments of the command line, which clap parses, so that the sources cannot
//! differ.
//!
//! [`OPTIONS`] is the table of all options. The module `walk` sets each of them in each way, for tests.

#![forbid(unsafe_code)]

mod file;
mod limits;
mod program;
mod table;
#[cfg(feature = "walk")]
pub mod walk;

pub use file::{ConfigFile, Entry};
pub use program::OptionsOf;
pub use table::{Kind, OPTIONS, Row, row};

use clap::error::ErrorKind;
use leat_log::Format;
use limits::FILE_BYTES_MAX;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// In the environment of a server that only checks the options in environment and file, and ends.
pub const CHECK_VARIABLE: &str = "LEAT_CHECK_OPTIONS";

/// Present in the environment of a process that `leat up` has started.
pub const PARENT_VARIABLE: &str = "LEAT_PARENT";

/// An option in the environment or the configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The file cannot be read.
    #[error("--config {}: cannot read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is longer than options can be.
    #[error("--config {}: it is longer than {FILE_BYTES_MAX} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML.
    #[error("{} line {line}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's message.
        why: String,
    },
    /// The key is not an option, or not one of this section.
    #[error("{} line {line}: {}", path.display(), unknown(key, *section, *nearest))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// As in the file.
        key: String,
        /// The section; `None` at the top.
        section: Option<OptionsOf>,
        /// A known key that is similar.
        nearest: Option<&'static str>,
    },
    /// The option does not accept the value of this key.
    #[error("{} line {line}: {key}: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// The expected form.
        why: String,
    },
    /// The option does not accept the value of this environment variable.
    #[error("environment variable {name}: {why}")]
    Variable {
        /// The variable.
        name: String,
        /// The expected form.
        why: String,
    },
    /// Two options that exclude each other, from two sources.
    #[error("{higher} and {lower} exclude each other: remove one of them")]
    Exclusive {
        /// The option of the source with precedence.
        higher: String,
        /// The other one.
        lower: String,
    },
}

fn unknown(key: &str, section: Option<OptionsOf>, nearest: Option<&str>) -> String {
    let place = match section {
        Some(program) => format!("an option of {} ([{}])", program.name(), program.section()),
        None => "an option of any program".to_owned(),
    };
    let hint = match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => "; docs/operations.md lists the options".to_owned(),
    };
    format!("\"{key}\" is not {place}{hint}")
}

/// Where a value comes from; the last has precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Line of the configuration file.
    File(PathBuf, usize),
    /// The environment variable with this name.
    Environment(String),
    /// The command line.
    CommandLine,
}

impl Origin {
    fn rank(&self) -> u8 {
        match self {
            Self::File(..) => 0,
            Self::Environment(_) => 1,
            Self::CommandLine => 2,
        }
    }

    fn describe(&self, row: &Row) -> String {
        match self {
            Self::File(path, line) => format!("{} ({} line {line})", row.name, path.display()),
            Self::Environment(name) => format!("the environment variable {name}"),
            Self::CommandLine => format!("--{}", row.name),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// An option that is set.
#[derive(Clone)]
pub struct Setting {
    /// The option.
    pub row: &'static Row,
    /// Where its value comes from.
    pub origin: Origin,
    /// Its values, unless they are on the command line.
    pub values: Vec<OsString>,
}

/// The options of all sources.
#[derive(Clone)]
pub struct Resolved {
    /// The command line, completed by the options of environment and file.
    pub arguments: Vec<OsString>,
    /// The options that are set, in the order of [`OPTIONS`].
    pub settings: Vec<Setting>,
    /// The configuration file, if there is one.
    pub file: Option<ConfigFile>,
}

/// Reads environment variables.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The variables of this process. An empty one is as if it did not exist.
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Completes a command line with the options of environment and file that are not in it.
///
/// `command` has the options; `arguments` begin with `leading` names, of the program and of a command of it.
pub fn resolve(
    program: OptionsOf,
    command: &clap::Command,
    arguments: &[OsString],
    leading: usize,
    environment: Environment<'_>,
) -> Result<Resolved, OptionsError> {
    let (names, rest) = arguments.split_at(leading.min(arguments.len()));
    // Groups exist only then.
    let command = &mut command.clone();
    command.build();
    let command = &*command;
    let mut given = CommandLine::read(command, rest);
    if given.asks_for_help {
        return Ok(Resolved { arguments: arguments.to_vec(), settings: Vec::new(), file: None });
    }
    let in_environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let path = given.config.take().or_else(|| in_environment("LEAT_CONFIG"));
    let path = path.filter(|_| find(command, "config").is_some());
    let file = path.map(|path| ConfigFile::read(Path::new(&path))).transpose()?;
    let is_child = in_environment(PARENT_VARIABLE).is_some();
    let mut settings: BTreeMap<&'static str, Setting> = BTreeMap::new();
    for row in OPTIONS.iter().filter(|row| row.is_of(program) && find(command, row.name).is_some()) {
        let setting = if given.names.contains(&row.name) {
            Some(Setting { row, origin: Origin::CommandLine, values: Vec::new() })
        } else if let Some(value) = in_environment(&row.variable()).filter(|value| !is_log_filter(row, value))
        {
            Some(of_environment(command, row, &value)?)
        } else {
            let entry = file.as_ref().and_then(|file| Some((file, file.find(row, program, is_child)?)));
            entry.map(|(file, entry)| of_file(command, file, entry)).transpose()?
        };
        settings.extend(setting.map(|setting| (row.name, setting)));
    }
    settle(command, &mut settings)?;
    let added = settings.values().flat_map(|setting| as_arguments(command, setting));
    let arguments = names.iter().cloned().chain(added).chain(given.arguments).collect();
    Ok(Resolved { arguments, settings: settings.into_values().collect(), file })
}

/// Completes the command line of a program called `name`, and parses it. Help and version go to standard output;
/// an error is the last line of the log, in the format that is chosen, or in `default`. The error is the exit code.
pub fn command_line<C: clap::Parser>(
    program: OptionsOf,
    name: &str,
    command: &clap::Command,
    arguments: &[OsString],
    leading: usize,
    default: Format,
) -> Result<(C, Resolved), ExitCode> {
    let resolved = resolve(program, command, arguments, leading, &environment).map_err(|error| {
        let variable = || environment("LEAT_LOG").and_then(|value| Format::from_name(value.to_str()?));
        let path = || CommandLine::read(command, arguments).config.or_else(|| environment("LEAT_CONFIG"));
        let in_file = || file::log_format(Path::new(&path()?), program);
        let format = Format::requested(arguments).or_else(variable).or_else(in_file).unwrap_or(default);
        leat_log::fatal(format, name, &error, leat_log::EXIT_USAGE)
    })?;
    if environment(CHECK_VARIABLE).is_some() {
        return Err(ExitCode::SUCCESS);
    }
    let parsed = leat_log::command_line(name, &resolved.arguments, default)?;
    Ok((parsed, resolved))
}

/// The argument of an option.
fn find<'c>(command: &'c clap::Command, name: &str) -> Option<&'c clap::Arg> {
    command.get_arguments().find(|argument| argument.get_long() == Some(name))
}

/// Before `--log-level`, `LEAT_LOG` was its variable. It still is, unless its value is a format.
fn is_log_filter(row: &Row, value: &OsStr) -> bool {
    row.name == "log" && value != "text" && value != "json"
}

/// What the command line has.
struct CommandLine {
    names: Vec<&'static str>,
    config: Option<OsString>,
    asks_for_help: bool,
    /// Without the values of flags, which clap does not know.
    arguments: Vec<OsString>,
}

impl CommandLine {
    fn read(command: &clap::Command, arguments: &[OsString]) -> Self {
        let mut read = Self { names: Vec::new(), config: None, asks_for_help: false, arguments: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let text = argument.to_str().unwrap_or_default();
            if text == "--" {
                read.arguments.push(argument.clone());
                read.arguments.extend(rest.cloned());
                break;
            }
            read.asks_for_help |= matches!(text, "--help" | "-h" | "--version" | "-V");
            let (long, value) = match text.split_once('=') {
                Some((long, value)) => (long, Some(value)),
                None => (text, None),
            };
            let found = long.strip_prefix("--").and_then(|long| named(command, long));
            if let Some((row, argument)) = found {
                read.names.push(row.name);
                if row.name == "config" {
                    read.config = value.map(OsString::from).or_else(|| rest.as_slice().first().cloned());
                }
                // clap's flags have no value: `--x=false` is a flag that is not set, whatever the file has.
                match (argument.get_action(), value) {
                    (clap::ArgAction::SetTrue, Some("true")) => {
                        read.arguments.push(long.into());
                        continue;
                    }
                    (clap::ArgAction::SetTrue, Some("false")) => continue,
                    _ => {}
                }
            }
            read.arguments.push(argument.clone());
        }
        read
    }
}

/// The option with this name, or with this former name.
fn named<'c>(command: &'c clap::Command, long: &str) -> Option<(&'static Row, &'c clap::Arg)> {
    let is_it = |argument: &&clap::Arg| {
        argument.get_long() == Some(long)
            || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
    };
    let argument = command.get_arguments().find(is_it)?;
    Some((row(argument.get_long()?)?, argument))
}

fn of_environment(
    command: &clap::Command,
    row: &'static Row,
    value: &OsStr,
) -> Result<Setting, OptionsError> {
    let name = row.variable();
    let values: Vec<OsString> = match (row.kind, value.to_str()) {
        (Kind::List, Some(text)) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(OsString::from).collect()
        }
        _ => vec![value.to_os_string()],
    };
    let setting = Setting { row, origin: Origin::Environment(name.clone()), values };
    check(command, &setting).map_err(|why| OptionsError::Variable { name, why })?;
    Ok(setting)
}

fn of_file(command: &clap::Command, file: &ConfigFile, entry: &Entry) -> Result<Setting, OptionsError> {
    let Entry { row, line, ref values, .. } = *entry;
    let path = file.path().to_path_buf();
    let origin = Origin::File(path.clone(), line);
    let setting = Setting { row, origin, values: values.iter().map(OsString::from).collect() };
    check(command, &setting).map_err(|why| OptionsError::Key { path, line, key: row.name, why })?;
    Ok(setting)
}

/// Parses one option alone, so that an error names its source. Combinations are checked later.
fn check(command: &clap::Command, setting: &Setting) -> Result<(), String> {
    let row = setting.row;
    if row.kind == Kind::Flag && !matches!(setting.values[0].to_str(), Some("true" | "false")) {
        return Err(format!("expected true or false, not {}", shown(row, &setting.values[0])));
    }
    let name = OsString::from(command.get_name());
    for value in &setting.values {
        let one = Setting { values: vec![value.clone()], ..setting.clone() };
        let arguments = std::iter::once(name.clone()).chain(as_arguments(command, &one));
        let Err(error) = command.clone().try_get_matches_from(arguments) else { continue };
        if !matches!(
            error.kind(),
            ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::InvalidUtf8
        ) {
            continue;
        }
        let text = error.to_string();
        let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("For more information"));
        let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let text = text.trim_start_matches("error: ").to_owned();
        let secret = value.to_str().filter(|secret| row.is_secret && !secret.is_empty());
        return Err(match secret {
            Some(secret) => text.replace(secret, "…"),
            None => text,
        });
    }
    Ok(())
}

/// A value for people.
fn shown(row: &Row, value: &OsStr) -> String {
    if row.is_secret { "…".to_owned() } else { format!("{:?}", value.to_string_lossy()) }
}

/// The option as clap reads it; nothing for one of the command line.
fn as_arguments(command: &clap::Command, setting: &Setting) -> Vec<OsString> {
    let name = setting.row.name;
    let is_bare =
        find(command, name).is_some_and(|found| matches!(found.get_action(), clap::ArgAction::SetTrue));
    let argument = |value: &OsString| match (is_bare, value.to_str()) {
        (true, Some("false")) => None,
        (true, _) => Some(OsString::from(format!("--{name}"))),
        (false, _) => {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            Some(argument)
        }
    };
    setting.values.iter().filter_map(argument).collect()
}

/// Of options that conflict, only those of the highest source stay; clap reports a conflict in one source.
/// Options of an exclusive group, such as the keys for tokens, are an error instead: which one applies must not
/// depend on a variable that is forgotten in an environment.
fn settle(
    command: &clap::Command,
    settings: &mut BTreeMap<&'static str, Setting>,
) -> Result<(), OptionsError> {
    let mut outranked = Vec::new();
    for lower in settings.values() {
        for higher in settings.values().filter(|higher| higher.origin.rank() > lower.origin.rank()) {
            let (Some(a), Some(b)) = (find(command, lower.row.name), find(command, higher.row.name)) else {
                continue;
            };
            let is_exclusive = command.get_groups().any(|group| {
                !group.clone().is_multiple()
                    && [a, b].iter().all(|argument| group.get_args().any(|id| id == argument.get_id()))
            });
            if is_exclusive {
                let higher = higher.origin.describe(higher.row);
                return Err(OptionsError::Exclusive { higher, lower: lower.origin.describe(lower.row) });
            }
            let conflicts = |a: &clap::Arg, b: &clap::Arg| {
                command.get_arg_conflicts_with(a).iter().any(|argument| argument.get_id() == b.get_id())
            };
            if conflicts(a, b) || conflicts(b, a) {
                outranked.push(lower.row.name);
            }
        }
    }
    outranked.into_iter().for_each(|name| {
        settings.remove(name);
    });
    Ok(())
}

#[cfg(test)]
mod tests;
