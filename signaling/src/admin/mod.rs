//! The commands of `leat` that administer accounts. They work on the database itself, also while a server uses
//! it, and record each change in the audit log with the user of the operating system.

mod backup;
pub(crate) mod table;

use crate::config::ConfigError;
use crate::config::store::{
    AdminCommand, KeysCommand, PasswordOption, ProjectsCommand, StreamKeysCommand, UsersCommand,
};
use crate::limits;
use anyhow::Context;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use stores::accounts::{AccountError, Accounts, Actor, HashError, NewUser, PasswordThreads};
use table::{Table, date};

/// Runs a command. What it prints goes to `out`.
pub fn run(command: AdminCommand, out: &mut impl Write) -> anyhow::Result<()> {
    let database = command.store().database()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(async {
        let accounts = Accounts::open(&database)?;
        let admin = Administration { accounts, actor: Actor::Cli(user_name()) };
        match command {
            AdminCommand::Users(given) => admin.users(given.command, out).await,
            AdminCommand::Projects(given) => admin.projects(given.command, out).await,
            AdminCommand::Keys(given) => admin.keys(given.command, out).await,
            AdminCommand::StreamKeys(given) => admin.stream_keys(given.command, out).await,
            AdminCommand::Audit { project, limit, .. } => admin.audit(project.as_deref(), limit, out).await,
            AdminCommand::Quality { project, limit, .. } => admin.quality(&project, limit, out).await,
            AdminCommand::Backup { file, .. } => admin.backup(&file, out).await,
            AdminCommand::Restore { file, .. } => admin.restore(&file, out).await,
        }
    })
}

/// Whether an error is about an option or an argument.
pub fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<ConfigError>()
        || matches!(error.downcast_ref(), Some(AccountError::Invalid { .. } | AccountError::Url(_)))
        || matches!(error.downcast_ref(), Some(HashError::Refused(_)))
}

struct Administration {
    accounts: Accounts,
    actor: Actor,
}

impl Administration {
    async fn users(&self, command: UsersCommand, out: &mut impl Write) -> anyhow::Result<()> {
        let (accounts, by) = (&self.accounts, &self.actor);
        match command {
            UsersCommand::Add { user, admin, password } => {
                let (password, is_generated) = new_password(&password)?;
                let password_hash = &PasswordThreads::start()?.hash(&password).await?;
                let new = NewUser { name: &user.name, password_hash, is_admin: admin };
                accounts.add_user(by, &user.project.project, new).await?;
                print_password(out, &password, is_generated)?;
            }
            UsersCommand::List(project) => {
                let mut table = Table::new(["NAME", "ADMIN", "DISABLED", "CREATED"]);
                let mut after = String::new();
                loop {
                    let page = accounts.users(&project.project, &after).await?;
                    let Some(last) = page.last() else { break };
                    after.clone_from(&last.id);
                    for user in page {
                        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
                        table.row([
                            user.name,
                            yes(user.is_admin),
                            yes(user.is_disabled),
                            date(user.created_at),
                        ]);
                    }
                }
                table.print(out)?;
            }
            UsersCommand::Disable(user) => {
                accounts.set_user_disabled(by, &user.project.project, &user.name, true).await?;
            }
            UsersCommand::Enable(user) => {
                accounts.set_user_disabled(by, &user.project.project, &user.name, false).await?;
            }
            UsersCommand::Password { user, password } => {
                let (password, is_generated) = new_password(&password)?;
                let password_hash = &PasswordThreads::start()?.hash(&password).await?;
                accounts.set_password(by, &user.project.project, &user.name, password_hash).await?;
                print_password(out, &password, is_generated)?;
            }
            UsersCommand::Delete(user) => {
                accounts.delete_user(by, &user.project.project, &user.name).await?;
            }
        }
        Ok(())
    }

    async fn projects(&self, command: ProjectsCommand, out: &mut impl Write) -> anyhow::Result<()> {
        match command {
            ProjectsCommand::Add { name } => {
                self.accounts.add_project(&self.actor, &name).await?;
            }
            ProjectsCommand::List => {
                let mut table = Table::new(["NAME", "CREATED"]);
                for project in self.accounts.projects().await? {
                    table.row([project.name, date(project.created_at)]);
                }
                table.print(out)?;
            }
            ProjectsCommand::Delete { name } => self.accounts.delete_project(&self.actor, &name).await?,
        }
        Ok(())
    }

    async fn keys(&self, command: KeysCommand, out: &mut impl Write) -> anyhow::Result<()> {
        match command {
            KeysCommand::Add { project, label } => {
                let key = self.accounts.add_api_key(&self.actor, &project.project, &label).await?;
                writeln!(out, "id: {}\nsecret: {}", key.id, key.secret)?;
            }
            KeysCommand::List(project) => {
                let mut table = Table::new(["ID", "USED BY", "LABEL", "CREATED", "REVOKED"]);
                for key in self.accounts.api_keys(&project.project).await? {
                    let used_by = if key.is_server { "logins" } else { "application" };
                    let revoked = key.revoked_at.map(date).unwrap_or_default();
                    table.row([key.id, used_by.to_owned(), key.label, date(key.created_at), revoked]);
                }
                table.print(out)?;
            }
            KeysCommand::Revoke { id, project } => {
                self.accounts.revoke_api_key(&self.actor, &project.project, &id).await?;
            }
        }
        Ok(())
    }

    async fn stream_keys(&self, command: StreamKeysCommand, out: &mut impl Write) -> anyhow::Result<()> {
        match command {
            StreamKeysCommand::Add { project, room, label } => {
                let added = self.accounts.add_stream_key(&self.actor, &project.project, &room, &label);
                let (key, text) = added.await?;
                writeln!(out, "id: {}\nkey: {text}", key.id)?;
            }
            StreamKeysCommand::List { project, room } => {
                let mut table = Table::new(["ID", "ROOM", "LABEL", "CREATED", "REVOKED"]);
                let mut after = String::new();
                loop {
                    let page = self.accounts.stream_keys(&project.project, room.as_deref(), &after).await?;
                    let Some(last) = page.last() else { break };
                    after.clone_from(&last.id);
                    for key in page {
                        let revoked = key.revoked_at.map(date).unwrap_or_default();
                        table.row([key.id, key.room, key.label, date(key.created_at), revoked]);
                    }
                }
                table.print(out)?;
            }
            StreamKeysCommand::Revoke { id, project } => {
                self.accounts.revoke_stream_key(&self.actor, &project.project, &id).await?;
            }
        }
        Ok(())
    }

    async fn audit(
        &self,
        project: Option<&str>,
        mut limit: usize,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        let mut table = Table::new(["TIME", "ACTOR", "ACTION", "TARGET", "PROJECT", "DETAILS"]);
        let mut before = None;
        while limit > 0 {
            let page = self.accounts.audit(project, before.as_deref(), limit).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.id.clone());
            limit -= page.len();
            for entry in page {
                let named = |id: String, name: Option<String>| match name {
                    Some(name) => format!("{id} ({name})"),
                    None => id,
                };
                table.row([
                    date(entry.at),
                    named(entry.actor, entry.actor_name),
                    entry.action,
                    named(entry.target, entry.target_name),
                    entry.project.unwrap_or_default(),
                    entry.details,
                ]);
            }
        }
        Ok(table.print(out)?)
    }

    async fn quality(&self, project: &str, limit: u16, out: &mut impl Write) -> anyhow::Result<()> {
        let mut table = Table::new([
            "ENDED",
            "ROOM",
            "SESSION",
            "PARTICIPANT",
            "JOIN_MS",
            "FIRST_FRAME_MS",
            "FREEZES",
            "RECEIVED",
            "LOST",
            "ROUND_TRIP_US",
            "MOS",
            "RELAYED",
        ]);
        let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        for record in self.accounts.quality(project, limit.into()).await? {
            let mos = record.mos_hundredths.map(|score| format!("{}.{:02}", score / 100, score % 100));
            table.row([
                date(record.ended_at),
                record.room,
                record.session,
                record.participant,
                number(record.join_ms),
                number(record.first_frame_ms),
                number(record.freezes),
                number(record.packets_received),
                number(record.packets_lost),
                number(record.round_trip_us),
                mos.unwrap_or_else(|| "-".to_owned()),
                record.relayed.map_or("-", |is_relayed| if is_relayed { "yes" } else { "no" }).to_owned(),
            ]);
        }
        Ok(table.print(out)?)
    }
}

/// The password that the option gives, or a new one; and whether it is new.
fn new_password(option: &PasswordOption) -> anyhow::Result<(String, bool)> {
    let Some(path) = &option.password_file else { return Ok((generated_password(), true)) };
    let unreadable = || format!("--password-file {}: cannot read it", path.display());
    let input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).with_context(unreadable)?),
    };
    let mut line = String::new();
    let mut bounded = BufReader::new(input.take(limits::PASSWORD_FILE_BYTES_MAX));
    bounded.read_line(&mut line).with_context(unreadable)?;
    Ok((line.trim_end_matches(['\r', '\n']).to_owned(), false))
}

/// 100 random bits, in groups that are easy to type.
fn generated_password() -> String {
    let mut random = [0; 20];
    getrandom::fill(&mut random).expect("the system provides random numbers");
    // Without letters that are easily confused.
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters: Vec<char> = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    let groups: Vec<String> = letters.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

fn print_password(out: &mut impl Write, password: &str, is_generated: bool) -> io::Result<()> {
    if is_generated { writeln!(out, "password: {password}") } else { Ok(()) }
}

/// The name of the user of this process, or its number.
fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| uid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let (one, other) = (generated_password(), generated_password());
        assert_eq!((one.len(), one.split('-').count()), (23, 4));
        assert_ne!(one, other);
        stores::accounts::check_password(&one).expect("accepted");
    }
}
