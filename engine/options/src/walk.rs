//! Sets each option of a program in each of the three ways, and in two at once. For the tests of the programs.
//! All functions panic with the name of the option.

use crate::{Kind, OPTIONS, OptionsOf, Origin, Resolved, Row, resolve, row};
use std::ffi::OsString;
use std::path::PathBuf;

/// The options of a program.
pub struct Walk {
    program: OptionsOf,
    command: clap::Command,
    folder: PathBuf,
}

impl Walk {
    /// Of a program with this command line.
    pub fn new(program: OptionsOf, command: clap::Command) -> Self {
        let name = format!("leat-options-{}-{}", program.section(), std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        Self { program, command, folder }
    }

    /// Checks that the table has the options of the program, and no others. The commands of `leat` may have more
    /// options than the table, and one of them need not have all.
    pub fn check_table(&self) {
        let command = built(&self.command);
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long().filter(|long| !matches!(*long, "help" | "version")) else {
                continue;
            };
            let Some(row) = row(long).filter(|row| row.is_of(self.program)) else {
                assert_eq!(self.program, OptionsOf::Commands, "--{long} is not in the table of options");
                continue;
            };
            let takes_bool = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
            let is_flag = matches!(argument.get_action(), clap::ArgAction::SetTrue) || takes_bool;
            let is_list = matches!(argument.get_action(), clap::ArgAction::Append);
            assert_eq!(row.kind == Kind::Flag, is_flag, "--{long}");
            assert_eq!(row.kind == Kind::List, is_list, "--{long}");
        }
        for row in OPTIONS.iter().filter(|row| row.is_of(self.program)) {
            let is_there = command.get_arguments().any(|argument| argument.get_long() == Some(row.name));
            assert!(is_there || self.program == OptionsOf::Commands, "no option --{}", row.name);
        }
    }

    /// Sets each option by file, environment and command line; a later one replaces the values of the earlier.
    /// Returns the number of options.
    pub fn set_each(&self) -> usize {
        let command = built(&self.command);
        let has = |row: &&Row| {
            let is_there = command.get_arguments().any(|argument| argument.get_long() == Some(row.name));
            row.is_of(self.program) && row.name != "config" && is_there
        };
        let rows: Vec<&Row> = OPTIONS.iter().filter(has).collect();
        for row in &rows {
            let [file, variable, argument] = row.examples;
            let of = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
            let path = self.folder.join(format!("{}.toml", row.name));
            let line = match row.kind {
                Kind::Flag | Kind::Number => format!("{} = {file}\n", row.name),
                Kind::Text => format!("{} = \"{file}\"\n", row.name),
                Kind::List => format!("{} = [\"{file}\", \"{argument}\"]\n", row.name),
            };
            std::fs::write(&path, format!("# A comment.\n{line}")).expect("a file");
            let in_file = if row.kind == Kind::List { of(&[file, argument]) } else { of(&[file]) };
            let in_variable = if row.kind == Kind::List { of(&[variable, file]) } else { of(&[variable]) };
            let variables = in_variable.join(",");
            let argument_of_it = format!("--{}={argument}", row.name);
            let (path, name) = (path.to_str().expect("UTF-8"), row.name);

            let resolved = self.resolve(row, &["--config", path], None);
            assert_eq!(self.values(row, &resolved), in_file, "--{name} by file");
            assert_eq!(origin(row, &resolved), Origin::File(path.into(), 2), "--{name} by file");
            let resolved = self.resolve(row, &[], Some(&variables));
            assert_eq!(self.values(row, &resolved), in_variable, "--{name} by environment");
            let resolved = self.resolve(row, &[&argument_of_it], None);
            assert_eq!(self.values(row, &resolved), of(&[argument]), "--{name} by command line");

            let resolved = self.resolve(row, &["--config", path], Some(&variables));
            assert_eq!(self.values(row, &resolved), in_variable, "--{name}: environment over file");
            assert_eq!(origin(row, &resolved), Origin::Environment(row.variable()));
            let resolved = self.resolve(row, &["--config", path, &argument_of_it], None);
            assert_eq!(self.values(row, &resolved), of(&[argument]), "--{name}: command line over file");
            let resolved = self.resolve(row, &[&argument_of_it], Some(&variables));
            assert_eq!(
                self.values(row, &resolved),
                of(&[argument]),
                "--{name}: command line over environment"
            );
            let resolved = self.resolve(row, &[&argument_of_it, "--config", path], Some(&variables));
            assert_eq!(self.values(row, &resolved), of(&[argument]), "--{name}: command line over both");
            assert_eq!(origin(row, &resolved), Origin::CommandLine);
        }
        rows.len()
    }

    fn resolve(&self, row: &Row, arguments: &[&str], variable: Option<&str>) -> Resolved {
        let arguments = std::iter::once("program").chain(arguments.iter().copied());
        let arguments: Vec<OsString> = arguments.map(OsString::from).collect();
        let environment =
            |name: &str| (name == row.variable()).then(|| variable.map(OsString::from)).flatten();
        resolve(self.program, &self.command, &arguments, 1, &environment)
            .unwrap_or_else(|error| panic!("--{}: {error}", row.name))
    }

    /// What clap reads.
    fn values(&self, row: &Row, resolved: &Resolved) -> Vec<String> {
        // The option alone: without others that it needs.
        let command = self.command.clone().ignore_errors(true);
        let matches = command.get_matches_from(&resolved.arguments);
        let command = built(&self.command);
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(row.name));
        let id = argument.expect("it exists").get_id().as_str();
        if row.kind == Kind::Flag {
            return vec![matches.get_one::<bool>(id).expect("a flag").to_string()];
        }
        let raw = matches.get_raw(id).unwrap_or_else(|| panic!("--{} is not set", row.name));
        raw.map(|value| value.to_str().expect("UTF-8").to_owned()).collect()
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        // It is a temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn built(command: &clap::Command) -> clap::Command {
    let mut command = command.clone();
    command.build();
    command
}

fn origin(row: &Row, resolved: &Resolved) -> Origin {
    let setting = resolved.settings.iter().find(|setting| setting.row.name == row.name);
    setting.unwrap_or_else(|| panic!("--{} is not set", row.name)).origin.clone()
}
