//! `leat users`, `projects`, `keys`, `stream-keys`, `audit`, `backup` and `restore`, from the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder for one test, with a database.
struct Machine {
    dir: PathBuf,
}

impl Machine {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("leat-administration-{name}-{}", std::process::id()));
        fs::create_dir(&dir).expect("a new folder");
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_leat"))
            .args(arguments)
            .env("XDG_STATE_HOME", &self.dir)
            .env_remove("LEAT_DATABASE")
            .output()
            .expect("the program runs")
    }

    /// What a successful command prints.
    #[track_caller]
    fn leat(&self, arguments: &str) -> String {
        let output = self.run(&arguments.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// The exit code and the error of a command that fails.
    #[track_caller]
    fn fails(&self, arguments: &str) -> (i32, String) {
        let output = self.run(&arguments.split_whitespace().collect::<Vec<_>>());
        assert!(!output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(output.stdout.is_empty(), "{arguments}");
        (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The value after "NAME: ".
fn value(output: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    output.lines().find_map(|line| line.strip_prefix(&prefix)).expect(name).to_owned()
}

/// The columns of a table, without the line of titles.
fn rows(output: &str) -> Vec<Vec<&str>> {
    output.lines().skip(1).map(|line| line.split('\t').collect()).collect()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}

#[test]
fn users_are_administered() {
    let machine = Machine::new("users");
    let password = value(&machine.leat("users add ada --admin"), "password");
    assert_eq!(password.len(), 23, "{password}");
    fs::write(machine.path("password"), "correct horse\r\nanother line\n").expect("a file");
    let added = machine.leat(&format!("users add grace --password-file {}", machine.path("password")));
    assert_eq!(added, "", "a given password is not printed");
    machine.leat("users disable grace");
    let list = machine.leat("users list");
    let listed: Vec<_> = rows(&list).into_iter().map(|row| [row[0], row[1], row[2]]).collect();
    assert_eq!(listed, [["ada", "yes", "no"], ["grace", "no", "yes"]]);
    assert_ne!(value(&machine.leat("users password ada"), "password"), password);
    machine.leat("users enable grace");
    machine.leat("users delete ada");

    let (code, text) = machine.fails("users add grace");
    assert!(code == 1 && text.contains("the user \"grace\" exists already in project \"default\""), "{text}");
    let (code, text) = machine.fails("users disable ada");
    assert!(code == 1 && text.contains("there is no user \"ada\" in project \"default\""), "{text}");
    let (code, text) = machine.fails("users list --project q");
    assert!(code == 1 && text.contains("there is no project \"q\""), "{text}");
    fs::write(machine.path("password"), "short\n").expect("a file");
    let (code, text) = machine.fails(&format!("users add eve --password-file {}", machine.path("password")));
    assert!(code == 2 && text.contains("at least 8 characters") && !text.contains("short"), "{text}");
    let (code, text) = machine.fails("users add eve --password-file /nonexistent/file");
    assert!(code == 1 && text.contains("--password-file /nonexistent/file"), "{text}");

    // The default place, for this user only.
    assert_eq!(mode(machine.path("leat")), 0o700);
    assert_eq!(mode(machine.path("leat/leat.db")), 0o600);
}

#[test]
fn keys_are_administered_per_project() {
    let machine = Machine::new("keys");
    machine.leat("projects add shop");
    let projects = machine.leat("projects list");
    assert_eq!(rows(&projects).iter().map(|row| row[0]).collect::<Vec<_>>(), ["default", "shop"]);
    let key = machine.leat("keys add --project shop --label backend");
    let (id, secret) = (value(&key, "id"), value(&key, "secret"));
    assert!(id.starts_with("ak_") && secret.len() == 64, "{key}");
    let list = machine.leat("keys list --project shop");
    assert!(list.contains(&id) && list.contains("backend") && !list.contains(&secret), "{list}");
    let (code, text) = machine.fails(&format!("keys revoke {id}"));
    assert!(code == 1 && text.contains(&id) && text.contains("\"default\""), "{text}");
    machine.leat(&format!("keys revoke {id} --project shop"));
    let list = machine.leat("keys list --project shop");
    assert!(
        rows(&list).iter().any(|row| row[0] == id && row.len() == 5),
        "it has a time of revocation: {list}"
    );

    let key = machine.leat("stream-keys add --project shop --room stage");
    let (id, text) = (value(&key, "id"), value(&key, "key"));
    assert!(text.starts_with(&id), "{key}");
    let list = machine.leat("stream-keys list --project shop --room stage");
    assert!(list.contains(&id) && !list.contains(&text), "{list}");
    assert_eq!(rows(&machine.leat("stream-keys list --project shop --room hall")).len(), 0);
    machine.leat(&format!("stream-keys revoke {id} --project shop"));
    let (code, text) = machine.fails("stream-keys add --room a/b");
    assert!(code == 2 && text.contains("1 to 64 of"), "{text}");

    machine.leat("projects delete shop");
    let (code, text) = machine.fails("projects delete default");
    assert!(code == 1 && text.contains("cannot be deleted"), "{text}");
}

#[test]
fn audit_has_the_user_of_the_operating_system_and_no_name_of_an_erased_user() {
    let machine = Machine::new("audit");
    machine.leat("users add ada");
    machine.leat("users disable ada");
    machine.leat("keys add");
    let audit = machine.leat("audit --limit 2");
    let found: Vec<_> = rows(&audit).into_iter().map(|row| row[2]).collect();
    assert_eq!(found, ["key.add", "user.disable"]);
    let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
    let actor = format!("cli:{}", String::from_utf8_lossy(&user).trim());
    assert!(rows(&audit).iter().all(|row| row[1] == actor && row[4] == "default"), "{audit}");
    assert!(audit.contains("(ada)"), "{audit}");
    machine.leat("users delete ada");
    let audit = machine.leat("audit");
    assert_eq!(rows(&audit).len(), 4);
    assert!(!audit.contains("ada"), "{audit}");
    assert_eq!(rows(&machine.leat("audit --project shop")).len(), 0);
}

#[test]
fn backup_is_restored_into_an_empty_directory_and_nothing_else() {
    let machine = Machine::new("backup");
    machine.leat("projects add shop");
    for name in ["ada", "grace"] {
        machine.leat(&format!("users add {name} --project shop"));
    }
    machine.leat("keys add --project shop");
    machine.leat("stream-keys add --project shop --room stage");
    let file = machine.path("backup");
    let text = machine.leat(&format!("backup {file}"));
    assert!(text.contains("2 projects, 2 users") && text.contains("1 stream keys"), "{text}");
    assert_eq!(mode(&file), 0o600);
    let entries = fs::read_dir(&machine.dir).expect("a folder").count();
    assert_eq!(entries, 2, "the database and the backup");
    let (code, text) = machine.fails(&format!("backup {file}"));
    assert!(code == 1 && text.contains("exists already"), "{text}");
    let (code, text) = machine.fails("backup /nonexistent/file");
    assert!(code == 1 && text.contains("/nonexistent/file"), "{text}");
    let (code, text) = machine.fails(&format!("restore {file}"));
    assert!(
        code == 1 && text.contains("nothing was restored") && text.contains("another --data-dir"),
        "{text}"
    );

    let empty = machine.path("empty");
    let text = machine.leat(&format!("restore {file} --data-dir {empty}"));
    assert!(text.contains("2 projects, 2 users"), "{text}");
    for command in [
        "projects list",
        "users list --project shop",
        "keys list --project shop",
        "stream-keys list --project shop",
    ] {
        assert_eq!(
            machine.leat(&format!("{command} --data-dir {empty}")),
            machine.leat(command),
            "{command}"
        );
    }
    // The backup of the restored database has the same rows, and the entries about backup and restore.
    let again = machine.path("again");
    machine.leat(&format!("backup {again} --data-dir {empty}"));
    let data = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(file).expect("a backup");
        let lines = text.lines().filter(|line| line.contains("\"table\"") && !line.contains("\"end\""));
        lines.map(str::to_owned).collect()
    };
    let (first, second) = (data(&file), data(&again));
    assert_eq!(second[..first.len()], first);
    assert_eq!(second.len(), first.len() + 2);

    fs::write(machine.path("cut"), &fs::read(&file).expect("a backup")[..500]).expect("a file");
    let (code, text) =
        machine.fails(&format!("restore {} --data-dir {}", machine.path("cut"), machine.path("new")));
    assert!(code == 1 && text.contains("not complete"), "{text}");
}

#[test]
fn wrong_database_is_an_error_that_names_the_option() {
    let machine = Machine::new("database");
    let (code, text) = machine.fails("users list --data-dir a --database postgres://b/c");
    assert!(code == 2 && text.contains("--data-dir") && text.contains("--database"), "{text}");
    let (code, text) = machine.fails("users list --database mysql://user:secret@host/db");
    assert!(code == 2 && text.contains("--database") && !text.contains("secret"), "{text}");
    // No server listens there.
    let (code, text) = machine.fails("users list --database postgres://user:secret@127.0.0.1:1/db");
    assert!(code == 1 && text.contains("not available") && !text.contains("secret"), "{text}");
    fs::write(machine.path("file"), "").expect("a file");
    let (code, text) = machine.fails(&format!("users list --data-dir {}", machine.path("file")));
    assert!(code == 1 && text.contains("--data-dir") && text.contains(&machine.path("file")), "{text}");
    let output = Command::new(env!("CARGO_BIN_EXE_leat"))
        .args(["users", "list"])
        .env_remove("HOME")
        .env_remove("XDG_STATE_HOME")
        .env_remove("LEAT_DATABASE")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("give --data-dir or --database"));
    let output = Command::new(env!("CARGO_BIN_EXE_leat"))
        .args(["users", "list"])
        .env("LEAT_DATABASE", "mysql://localhost/db")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(2), "the environment variable is used");
}

/// The commands of docs/operations.md, in their order, in one shell.
#[test]
fn commands_of_the_documentation_work() {
    let machine = Machine::new("documentation");
    let page = include_str!("../../docs/operations.md");
    let blocks =
        page.split("```sh\n").skip(1).map(|rest| rest.split_once("```").expect("the end of a block").0);
    let script: String = blocks.collect();
    for command in ["users add", "users delete", "keys add", "stream-keys add", "audit", "backup", "restore"]
    {
        assert!(script.contains(&format!("leat {command}")), "{command}");
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_leat")).parent().expect("a folder");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a PATH"));
    let output = Command::new("bash")
        .args(["-eux", "-o", "pipefail", "-c", &script])
        .current_dir(&machine.dir)
        .env("XDG_STATE_HOME", &machine.dir)
        .env("PATH", path)
        .env_remove("LEAT_DATABASE")
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let restored = text.rsplit("restored: ").next().expect("the last commands");
    assert!(restored.starts_with("2 projects, 1 users, 2 API keys, 1 stream keys"), "{text}");
    assert!(restored.contains("ada\tyes"), "the list of the restored database: {text}");
}
