//! `leat users`, `projects`, `keys`, `stream-keys`, `audit`, `backup` and `restore`, from the command line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

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
    machine.leat("users add grace");
    machine.leat("users disable grace");
    machine.leat("keys add");
    let audit = machine.leat("audit --limit 2");
    let found: Vec<_> = rows(&audit).into_iter().map(|row| row[2]).collect();
    assert_eq!(found, ["key.add", "user.disable"]);
    let user = Command::new("id").arg("-un").output().expect("id runs").stdout;
    let actor = format!("cli:{}", String::from_utf8_lossy(&user).trim());
    assert!(rows(&audit).iter().all(|row| row[1] == actor && row[4] == "default"), "{audit}");
    assert!(audit.contains("(grace)"), "{audit}");
    machine.leat("users delete grace");
    let audit = machine.leat("audit");
    assert_eq!(rows(&audit).len(), 4);
    assert!(!audit.contains("grace"), "{audit}");
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

/// A signaling process without an engine. It is killed at the end.
struct Server {
    process: Child,
    address: String,
    _log: BufReader<ChildStderr>,
}

impl Server {
    fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_leat-signaling"))
            .args(["--http", "127.0.0.1:0", "--control-socket", "/nonexistent/control.sock", "--log", "json"])
            .arg("--require-token")
            .args(arguments)
            .env("XDG_STATE_HOME", &machine.dir)
            .env_remove("LEAT_DATABASE")
            .env_remove("LEAT_SECRET")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut log = BufReader::new(process.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("\"listening\"") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("text"), 0, "it ended");
        }
        let address = line.split("127.0.0.1:").nth(1).expect("an address");
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        Self { process, address: format!("127.0.0.1:{port}"), _log: log }
    }

    /// The answer to a login.
    fn login(&self, user: &str, password: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let body = format!("{{\"user\":\"{user}\",\"password\":\"{password}\"}}");
        let length = body.len();
        let head = format!("POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        write!(stream, "{head}Connection: close\r\n\r\n{body}").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn killed_server_has_recorded_every_acknowledged_login() {
    let machine = Machine::new("server");
    let mut logins = 0;
    for round in 0..3 {
        let server = Server::start(&machine, &[]);
        // While the server uses the database.
        let user = format!("user-{round}");
        let password = value(&machine.leat(&format!("users add {user}")), "password");
        for _ in 0..=round {
            let answer = server.login(&user, &password);
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            logins += 1;
        }
        drop(server);
        let audit = machine.leat("audit");
        assert_eq!(rows(&audit).iter().filter(|row| row[2] == "user.login").count(), logins, "{audit}");
    }
}

#[test]
fn server_deletes_audit_entries_after_the_retention_time() {
    let machine = Machine::new("retention");
    machine.leat("users add ada");
    // Entries of the present are older than a second when it has passed.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let _server = Server::start(&machine, &["--audit-retention", "1s"]);
    let start = std::time::Instant::now();
    while machine.leat("audit").contains("user.add") {
        assert!(start.elapsed().as_secs() < 60, "the entry was not deleted");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let audit = machine.leat("audit");
    assert!(rows(&audit).iter().any(|row| row[1] == "system" && row[2] == "audit.delete"), "{audit}");
}

#[test]
fn server_refuses_a_database_that_cannot_be_used_and_works_without_the_default_one() {
    let machine = Machine::new("unusable");
    let file = machine.path("file");
    fs::write(&file, "").expect("a file");
    for (option, value) in [("--data-dir", file.as_str()), ("--database", "mysql://user:secret@host/db")] {
        let output = Command::new(env!("CARGO_BIN_EXE_leat-signaling"))
            .args(["--http", "127.0.0.1:0", option, value])
            .output()
            .expect("the program runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(option) && !text.contains("secret"), "{text}");
    }
    let elsewhere = Machine { dir: PathBuf::from(&file) };
    let server = Server::start(&elsewhere, &[]);
    assert!(server.login("ada", "correct horse").starts_with("HTTP/1.1 404"), "there are no accounts");
    std::mem::forget(elsewhere);
}
