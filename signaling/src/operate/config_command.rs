//! `leat config`: checks a configuration file, and shows the options of `leat up`.

use crate::admin::table::Table;
use crate::config::cli::{ConfigCommand, Leat, SignalingOptions};
use anyhow::Context;
use clap::CommandFactory;
use options::{CHECK_VARIABLE, ConfigFile, Environment, OPTIONS, OptionsError, OptionsOf, Resolved, Row};
use serde_json::json;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A file that a program does not accept.
#[derive(Debug, thiserror::Error)]
pub enum ConfigCheckError {
    /// An option is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A server refuses the file.
    #[error("{0}")]
    Server(String),
}

/// Runs a command. What it prints goes to `out`.
///
/// # Errors
///
/// A [`ConfigCheckError`] if the file is wrong.
pub fn run(command: &ConfigCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check { file } => check(file, out),
        ConfigCommand::Show { from, json } => show(from.config.as_deref(), *json, out),
    }
}

fn check(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let file = ConfigFile::read(path).map_err(ConfigCheckError::from)?;
    let nothing: Environment<'_> = &|_| None;
    of_up(Some(path), nothing).map_err(ConfigCheckError::from)?;
    let signaling = ["leat-signaling".into(), "--config".into(), path.into()];
    options::resolve(OptionsOf::Signaling, &SignalingOptions::command(), &signaling, 1, nothing)
        .map_err(ConfigCheckError::from)?;
    let leat = Leat::command();
    for name in ["token", "users"] {
        let command = leat.find_subcommand(name).expect("a command of leat");
        let arguments = ["leat".into(), name.into(), "--config".into(), path.into()];
        options::resolve(OptionsOf::Commands, command, &arguments, 2, nothing)
            .map_err(ConfigCheckError::from)?;
    }
    for server in ["leat-engine", "leat-turn"] {
        check_server(server, path, out)?;
    }
    writeln!(out, "{}: {} options, no error", path.display(), file.entries().len())?;
    Ok(())
}

/// The value of an option is known to its program only.
fn check_server(name: &str, path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot determine the path of this program")?;
    let server = own.with_file_name(name);
    if !server.is_file() {
        let folder = own.parent().unwrap_or(Path::new("/")).display();
        writeln!(out, "{name} is not in {folder}: the values of its options are not checked")?;
        return Ok(());
    }
    let mut command = Command::new(&server);
    OPTIONS.iter().map(Row::variable).for_each(|variable| {
        command.env_remove(variable);
    });
    let command = command.arg("--config").arg(path).env(CHECK_VARIABLE, "1").stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start {}", server.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let why = why.trim().trim_start_matches(&format!("{name}: "));
    Err(ConfigCheckError::Server(why.to_owned()).into())
}

/// The options of `leat up` with this file.
fn of_up(file: Option<&Path>, environment: Environment<'_>) -> Result<Resolved, OptionsError> {
    let leat = Leat::command();
    let up = leat.find_subcommand("up").expect("a command of leat");
    let mut arguments: Vec<OsString> = vec!["leat".into(), "up".into()];
    if let Some(file) = file {
        arguments.extend(["--config".into(), file.into()]);
    }
    options::resolve(OptionsOf::Up, up, &arguments, 2, environment)
}

fn show(file: Option<&Path>, as_json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let resolved = of_up(file, &options::environment).map_err(ConfigCheckError::from)?;
    let leat = Leat::command();
    let up = leat.find_subcommand("up").expect("a command of leat");
    let mut table = Table::new(["OPTION", "VALUE", "FROM"]);
    let mut array = Vec::new();
    for row in OPTIONS.iter().filter(|row| row.is_of(OptionsOf::Up)) {
        let Some(argument) = up.get_arguments().find(|argument| argument.get_long() == Some(row.name)) else {
            continue;
        };
        let setting = resolved.settings.iter().find(|setting| setting.row.name == row.name);
        let (values, from) = match setting {
            Some(setting) if row.name == "config" => {
                let path = resolved.file.iter().map(|file| file.path().display().to_string()).collect();
                (path, setting.origin.to_string())
            }
            Some(setting) => (setting.values.iter().map(lossy).collect(), setting.origin.to_string()),
            None => {
                let is_value = |value: &&clap::builder::OsStr| **value != "false";
                let values = argument.get_default_values().iter().filter(is_value);
                (values.map(lossy).collect::<Vec<String>>(), "default".to_owned())
            }
        };
        let is_hidden = row.is_secret && !values.is_empty();
        let values = if is_hidden { vec!["(secret)".to_owned()] } else { values };
        let shown = if values.is_empty() { "-".to_owned() } else { values.join(", ") };
        array.push(json!({ "option": row.name, "values": values, "from": from }));
        table.row([row.name.to_owned(), shown, from]);
    }
    if as_json {
        writeln!(out, "{:#}", serde_json::Value::Array(array))?;
    } else {
        table.print(out)?;
    }
    Ok(())
}

fn lossy(value: impl AsRef<std::ffi::OsStr>) -> String {
    value.as_ref().to_string_lossy().into_owned()
}
