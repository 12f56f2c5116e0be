//! The store of accounts. Each test of the suite runs on SQLite and on PostgreSQL.

mod postgres;

use postgres::{Postgres, temporary_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use stores::accounts::limits::REVOCATIONS_PER_PROJECT_MAX;
use stores::accounts::{
    AccountError, Accounts, Action, Actor, BackupCounts, DEFAULT_PROJECT, Database, LoginError, NewUser,
    PasswordThreads, RevocationKind, RevocationReader, StoredQuality, StoredRevocation, account_hash,
};

/// The store under test, and what ends with it.
struct World {
    accounts: Accounts,
    database: Database,
    dir: Option<PathBuf>,
    _server: Option<Arc<Postgres>>,
}

impl World {
    fn sqlite() -> Self {
        let dir = temporary_dir("accounts");
        let database = Database::Directory(dir.join("data"));
        let accounts = Accounts::open(&database).expect("a new file");
        Self { accounts, database, dir: Some(dir), _server: None }
    }

    /// All tests share one server while any of them runs; each has its own database.
    fn postgres() -> Self {
        static SERVER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(Postgres::start()));
        *shared = Arc::downgrade(&server);
        let database = Database::Postgres(server.database());
        let accounts = Accounts::open(&database).expect("a valid URL");
        Self { accounts, database, dir: None, _server: Some(server) }
    }

    /// Another process that uses the same database.
    fn another(&self) -> Accounts {
        Accounts::open(&self.database).expect("it was opened before")
    }

    async fn rows(&self) -> Vec<String> {
        rows(&self.accounts).await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::sqlite()).await })*
        }
        mod postgresql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::World::postgres()).await })*
        }
    };
}

on_both! {
    users_are_added_changed_and_erased
    api_keys_are_added_and_revoked
    stream_keys_open_one_room_until_they_are_revoked
    projects_are_added_and_deleted_with_their_content
    no_call_crosses_projects
    wrong_names_are_refused_with_the_expected_form
    limits_are_kept
    login_needs_the_password_of_an_enabled_user
    audit_has_every_change_and_cannot_be_changed
    retention_deletes_only_old_entries
    retention_deletes_many_entries
    revocations_reach_every_process_once
    quality_of_calls_is_kept_until_its_retention_has_ended
    old_program_works_after_a_newer_migration
    processes_migrate_and_write_at_the_same_time
    damaged_backup_changes_nothing
}

fn operator() -> Actor {
    Actor::Cli("operator".into())
}

/// A user whose password does not matter.
fn new(name: &str) -> NewUser<'_> {
    NewUser { name, password_hash: "no hash", is_admin: false }
}

async fn backup(accounts: &Accounts) -> Vec<u8> {
    let mut bytes = Vec::new();
    accounts.backup(&operator(), &mut bytes).await.expect("a backup");
    bytes
}

/// All rows, as lines of JSON, sorted: databases order text by different rules. Without the entries about
/// backups.
async fn rows(accounts: &Accounts) -> Vec<String> {
    let text = String::from_utf8(backup(accounts).await).expect("JSON");
    let is_row = |line: &&str| {
        line.contains("\"table\"")
            && !line.contains("\"table\":\"end\"")
            && !line.contains("\"target\":\"database\"")
    };
    let mut rows: Vec<String> = text.lines().filter(is_row).map(str::to_owned).collect();
    rows.sort();
    rows
}

#[track_caller]
fn assert_not_found<T: std::fmt::Debug>(result: Result<T, AccountError>) {
    assert!(matches!(result, Err(AccountError::NotFound { .. })), "{result:?}");
}

async fn users_are_added_changed_and_erased(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    let ada = NewUser { name: "ada", password_hash: "hash of ada", is_admin: true };
    let ada = accounts.add_user(&by, DEFAULT_PROJECT, ada).await.expect("added");
    accounts.add_user(&by, DEFAULT_PROJECT, new("Grace Hopper ⚓")).await.expect("added");
    let again = accounts.add_user(&by, DEFAULT_PROJECT, new("ada")).await;
    assert!(matches!(again, Err(AccountError::Exists { .. })), "{again:?}");
    assert_not_found(accounts.add_user(&by, "nowhere", new("ada")).await);

    let users = accounts.users(DEFAULT_PROJECT, "").await.expect("a list");
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["ada", "Grace Hopper ⚓"]);
    assert_eq!((&users[0], users[1].is_admin), (&ada, false));
    assert_eq!(accounts.users(DEFAULT_PROJECT, &ada.id).await.expect("a list"), users[1..]);

    let find = async || accounts.user(DEFAULT_PROJECT, "ada").await.expect("an answer");
    accounts.set_user_disabled(&by, DEFAULT_PROJECT, "ada", true).await.expect("disabled");
    let disabled = find().await.expect("ada");
    assert!(disabled.is_disabled && disabled.session_epoch == 1);
    accounts.set_user_disabled(&by, DEFAULT_PROJECT, "ada", false).await.expect("enabled");
    accounts.set_password(&by, DEFAULT_PROJECT, "ada", "another hash").await.expect("changed");
    assert_eq!(find().await.map(|user| (user.is_disabled, user.session_epoch)), Some((false, 3)));

    accounts.delete_user(&by, DEFAULT_PROJECT, "ada").await.expect("deleted");
    assert_eq!(find().await, None);
    let rest = world.rows().await;
    assert!(rest.iter().all(|row| !row.contains("\"ada\"")), "the name is erased: {rest:#?}");
    assert!(rest.iter().any(|row| row.contains(&ada.id)), "the audit log keeps the id: {rest:#?}");
    assert_not_found(accounts.delete_user(&by, DEFAULT_PROJECT, "ada").await);
    assert_not_found(accounts.set_user_disabled(&by, DEFAULT_PROJECT, "ada", true).await);
    assert_not_found(accounts.set_password(&by, DEFAULT_PROJECT, "ada", "x").await);
    let later = accounts.add_user(&by, DEFAULT_PROJECT, new("ada")).await.expect("added");
    assert_ne!(later.id, ada.id, "another user with the same name has none of the entries");
}

async fn api_keys_are_added_and_revoked(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    let first = accounts.add_api_key(&by, DEFAULT_PROJECT, "backend").await.expect("added");
    let second = accounts.add_api_key(&by, DEFAULT_PROJECT, "").await.expect("added");
    assert!(first.secret.len() == 64 && first.secret != second.secret);
    assert!(!format!("{first:?}").contains(&first.secret), "a log line has no secret");
    assert_eq!(accounts.valid_api_keys().await.expect("keys"), [first.clone(), second.clone()]);
    assert_not_found(accounts.add_api_key(&by, "nowhere", "").await);

    let server = accounts.server_key(DEFAULT_PROJECT).await.expect("made when it is needed");
    assert_eq!(accounts.server_key(DEFAULT_PROJECT).await.expect("the same"), server);
    assert_not_found(accounts.server_key("nowhere").await);
    accounts.add_project(&by, "other").await.expect("added");
    let other = accounts.server_key("other").await.expect("made with the project");
    assert!(server.is_server && other.is_server && server.secret != other.secret);

    accounts.revoke_api_key(&by, DEFAULT_PROJECT, &first.id).await.expect("revoked");
    assert_not_found(accounts.revoke_api_key(&by, DEFAULT_PROJECT, &first.id).await);
    accounts.revoke_api_key(&by, DEFAULT_PROJECT, &server.id).await.expect("revoked");
    let new_server = accounts.server_key(DEFAULT_PROJECT).await.expect("another");
    assert_ne!(new_server.id, server.id);
    let valid = accounts.valid_api_keys().await.expect("keys");
    assert_eq!(valid, [second, other, new_server]);
    let all = accounts.api_keys(DEFAULT_PROJECT).await.expect("keys");
    assert_eq!(
        all.iter().map(|key| key.revoked_at.is_some()).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    assert_not_found(accounts.api_keys("nowhere").await);
}

async fn stream_keys_open_one_room_until_they_are_revoked(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    let (key, text) = accounts.add_stream_key(&by, DEFAULT_PROJECT, "stage", "OBS").await.expect("added");
    let (_, other) = accounts.add_stream_key(&by, DEFAULT_PROJECT, "hall", "").await.expect("added");
    assert_not_found(accounts.add_stream_key(&by, "nowhere", "stage", "").await);
    let check = async |text: &str| accounts.check_stream_key(text).await.expect("an answer");
    assert_eq!(check(&text).await, Some(key.clone()));
    assert_eq!(check(&other).await.map(|key| key.room), Some("hall".into()));
    let swapped = format!("{}_{}", key.id, other.rsplit_once('_').expect("two parts").1);
    for wrong in ["", "_", &key.id, &text[..text.len() - 1], &swapped, &"x_".repeat(1_000)] {
        assert_eq!(check(wrong).await, None, "{wrong}");
    }
    let secret = text.rsplit_once('_').expect("two parts").1;
    assert!(world.rows().await.iter().all(|row| !row.contains(secret)), "only its hash is stored");

    let of_room = accounts.stream_keys(DEFAULT_PROJECT, Some("stage"), "").await.expect("a list");
    assert_eq!(of_room, std::slice::from_ref(&key));
    assert_eq!(accounts.stream_keys(DEFAULT_PROJECT, None, "").await.expect("a list").len(), 2);
    assert_eq!(accounts.stream_keys(DEFAULT_PROJECT, None, &key.id).await.expect("a list").len(), 1);
    accounts.revoke_stream_key(&by, DEFAULT_PROJECT, &key.id).await.expect("revoked");
    assert_eq!(check(&text).await, None);
    assert_not_found(accounts.revoke_stream_key(&by, DEFAULT_PROJECT, &key.id).await);
    assert!(check(&other).await.is_some());
}

async fn projects_are_added_and_deleted_with_their_content(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    for name in ["b", "a"] {
        accounts.add_project(&by, name).await.expect("added");
        accounts.add_user(&by, name, new("ada")).await.expect("added");
        accounts.add_api_key(&by, name, "").await.expect("added");
        accounts.add_stream_key(&by, name, "stage", "").await.expect("added");
    }
    let again = accounts.add_project(&by, "a").await;
    assert!(matches!(again, Err(AccountError::Exists { .. })), "{again:?}");
    let names = async || -> Vec<String> {
        accounts.projects().await.expect("a list").into_iter().map(|project| project.name).collect()
    };
    assert_eq!(names().await, ["a", "b", DEFAULT_PROJECT]);
    let of_b = of_project(&world.rows().await, "b");
    accounts.delete_project(&by, "a").await.expect("deleted");
    assert_eq!(names().await, ["b", DEFAULT_PROJECT]);
    let rows = world.rows().await;
    assert_eq!(of_project(&rows, "b"), of_b);
    assert!(of_project(&rows, "a").iter().all(|row| row.contains("\"table\":\"audit\"")), "{rows:#?}");
    assert_not_found(accounts.delete_project(&by, "a").await);
    let default = accounts.delete_project(&by, DEFAULT_PROJECT).await;
    assert!(matches!(default, Err(AccountError::DefaultProject)), "{default:?}");
}

/// The rows of one project.
fn of_project(rows: &[String], project: &str) -> Vec<String> {
    let marks =
        [format!("\"project\":\"{project}\""), format!("\"table\":\"projects\",\"name\":\"{project}\"")];
    rows.iter().filter(|row| marks.iter().any(|mark| row.contains(mark))).cloned().collect()
}

/// Two projects with the same content. Every call on one of them leaves the rows of the other as they were,
/// and returns nothing of it.
async fn no_call_crosses_projects(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    let threads = PasswordThreads::start().expect("threads");
    let mut keys = BTreeMap::new();
    for project in ["mine", "yours"] {
        accounts.add_project(&by, project).await.expect("added");
        let hash = threads.hash(&format!("password of {project}")).await.expect("a hash");
        let ada = NewUser { name: "ada", password_hash: &hash, is_admin: true };
        accounts.add_user(&by, project, ada).await.expect("added");
        let api = accounts.add_api_key(&by, project, "key").await.expect("added");
        let stream = accounts.add_stream_key(&by, project, "stage", "key").await.expect("added");
        keys.insert(project, (api, stream));
    }
    let (my_api, (my_stream, _)) = &keys["mine"];
    let (your_api, (your_stream, _)) = &keys["yours"];
    let of = async |project| of_project(&world.rows().await, project);
    let yours = of("yours").await;
    assert_eq!(yours.iter().filter(|row| !row.contains("\"audit\"")).count(), 5, "{yours:#?}");

    // What the calls of one project return.
    let mut found = String::new();
    found += &format!("{:?}", accounts.users("mine", "").await.expect("a list"));
    found += &format!("{:?}", accounts.user("mine", "ada").await.expect("an answer"));
    found += &format!("{:?}", accounts.api_keys("mine").await.expect("a list"));
    found += &format!("{:?}", accounts.server_key("mine").await.expect("a key"));
    found += &format!("{:?}", accounts.stream_keys("mine", Some("stage"), "").await.expect("a list"));
    found += &format!("{:?}", accounts.audit(Some("mine"), None, 500).await.expect("a list"));
    found +=
        &format!("{:?}", accounts.log_in(&threads, "mine", "ada", "password of mine").await.expect("right"));
    let wrong = accounts.log_in(&threads, "mine", "ada", "password of yours").await;
    assert!(matches!(wrong, Err(LoginError::Credentials)), "{wrong:?}");
    assert!(found.contains("mine") && !found.contains("yours"), "{found}");
    assert!(!found.contains(&your_api.id) && !found.contains(&your_stream.id), "{found}");

    // What they change.
    assert_not_found(accounts.revoke_api_key(&by, "mine", &your_api.id).await);
    assert_not_found(accounts.revoke_stream_key(&by, "mine", &your_stream.id).await);
    accounts.add_user(&by, "mine", new("grace")).await.expect("added");
    accounts.set_user_disabled(&by, "mine", "ada", true).await.expect("disabled");
    accounts.set_password(&by, "mine", "ada", "x").await.expect("changed");
    accounts.delete_user(&by, "mine", "ada").await.expect("deleted");
    accounts.revoke_api_key(&by, "mine", &my_api.id).await.expect("revoked");
    accounts.add_api_key(&by, "mine", "").await.expect("added");
    accounts.revoke_stream_key(&by, "mine", &my_stream.id).await.expect("revoked");
    accounts.add_stream_key(&by, "mine", "stage", "").await.expect("added");
    let record = Action::new("test", "nothing".into(), "mine");
    accounts.record(&by, record).await.expect("recorded");
    assert_eq!(of("yours").await, yours);
    accounts.delete_project(&by, "mine").await.expect("deleted");
    assert_eq!(of("yours").await, yours);
    accounts.log_in(&threads, "yours", "ada", "password of yours").await.expect("still there");
}

async fn wrong_names_are_refused_with_the_expected_form(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    let before = world.rows().await;
    let text = |result: Result<(), AccountError>| result.expect_err("refused").to_string();
    for wrong in ["", "a b", "ä", &"x".repeat(65), "a/b"] {
        let error = text(accounts.add_project(&by, wrong).await.map(drop));
        assert!(error.contains("1 to 64 of A-Z a-z 0-9 . _ -"), "{error}");
        let error = text(accounts.add_stream_key(&by, DEFAULT_PROJECT, wrong, "").await.map(drop));
        assert!(error.contains("the name of a room: expected 1 to 64"), "{error}");
    }
    for wrong in ["", "a\nb", &"x".repeat(129)] {
        let error = text(accounts.add_user(&by, DEFAULT_PROJECT, new(wrong)).await.map(drop));
        assert!(error.contains("1 to 128 characters"), "{error}");
    }
    let error = text(accounts.add_api_key(&by, DEFAULT_PROJECT, &"x".repeat(129)).await.map(drop));
    assert!(error.contains("at most 128 characters"), "{error}");
    assert_eq!(world.rows().await, before);
}

async fn limits_are_kept(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    for _ in 0..stores::accounts::limits::KEYS_PER_PROJECT_MAX {
        accounts.add_api_key(&by, DEFAULT_PROJECT, "").await.expect("within the limit");
    }
    let error = accounts.add_api_key(&by, DEFAULT_PROJECT, "").await.expect_err("one more");
    assert!(matches!(error, AccountError::Limit { .. }), "{error}");
    assert!(error.to_string().contains("revoke one"), "{error}");
    let one = accounts.api_keys(DEFAULT_PROJECT).await.expect("keys").remove(0);
    accounts.revoke_api_key(&by, DEFAULT_PROJECT, &one.id).await.expect("revoked");
    accounts.add_api_key(&by, DEFAULT_PROJECT, "").await.expect("revoked ones do not count");
}

async fn login_needs_the_password_of_an_enabled_user(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    let threads = PasswordThreads::start().expect("threads");
    let hash = threads.hash("correct horse").await.expect("a hash");
    let ada = NewUser { name: "ada", password_hash: &hash, is_admin: true };
    let ada = accounts.add_user(&by, DEFAULT_PROJECT, ada).await.expect("added");
    let log_in = async |project: &str, name: &str, password: &str| {
        accounts.log_in(&threads, project, name, password).await
    };
    assert_eq!(log_in(DEFAULT_PROJECT, "ada", "correct horse").await.expect("right"), ada);
    for (project, name, password) in [
        (DEFAULT_PROJECT, "ada", "correct hors"),
        (DEFAULT_PROJECT, "ada", ""),
        (DEFAULT_PROJECT, "Ada", "correct horse"),
        (DEFAULT_PROJECT, "eve", "correct horse"),
        ("nowhere", "ada", "correct horse"),
    ] {
        let error = log_in(project, name, password).await.expect_err("refused");
        assert!(matches!(error, LoginError::Credentials), "{error:?}");
    }
    accounts.set_user_disabled(&by, DEFAULT_PROJECT, "ada", true).await.expect("disabled");
    let error = log_in(DEFAULT_PROJECT, "ada", "correct horse").await.expect_err("refused");
    assert!(matches!(error, LoginError::Credentials), "{error:?}");

    // Failed logins are recorded in the background.
    let is_recorded = async || {
        let entries = accounts.audit(Some(DEFAULT_PROJECT), None, 500).await.expect("a list");
        let count = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
        (count("user.login"), count("user.login-failed")) == (1, 3)
    };
    until(is_recorded).await;
}

/// Waits for a condition.
async fn until(condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < Duration::from_secs(60), "the condition never came true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn audit_has_every_change_and_cannot_be_changed(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    accounts.add_project(&by, "p").await.expect("added");
    let grace = accounts.add_user(&by, "p", new("grace")).await.expect("added");
    let grace_herself = Actor::User(grace.id.clone());
    accounts.set_password(&grace_herself, "p", "grace", "x").await.expect("changed");
    accounts.set_user_disabled(&by, "p", "grace", true).await.expect("disabled");
    accounts.set_user_disabled(&by, "p", "grace", false).await.expect("enabled");
    let key = accounts.add_api_key(&by, "p", "").await.expect("added");
    accounts.revoke_api_key(&by, "p", &key.id).await.expect("revoked");
    let (stream, _) = accounts.add_stream_key(&by, "p", "stage", "").await.expect("added");
    accounts.revoke_stream_key(&by, "p", &stream.id).await.expect("revoked");
    let _ =
        accounts.add_user(&by, "p", new("grace")).await.expect_err("a change that failed is not recorded");

    let entries = accounts.audit(Some("p"), None, 500).await.expect("a list");
    let named: Vec<_> =
        entries.iter().map(|entry| (entry.action.as_str(), entry.target_name.as_deref())).collect();
    assert_eq!(
        named,
        [
            ("stream-key.revoke", None),
            ("stream-key.add", None),
            ("key.revoke", None),
            ("key.add", None),
            ("user.enable", Some("grace")),
            ("user.disable", Some("grace")),
            ("user.password", Some("grace")),
            ("user.add", Some("grace")),
            ("project.add", None),
        ]
    );
    assert_eq!(entries[6].actor_name.as_deref(), Some("grace"));
    assert!(entries.iter().enumerate().all(|(i, entry)| (i == 6) != (entry.actor == "cli:operator")));
    assert_eq!(accounts.audit(Some("p"), Some(&entries[1].id), 2).await.expect("a page"), entries[2..4]);
    assert_eq!(accounts.audit(Some("q"), None, 500).await.expect("a list"), []);

    accounts.delete_user(&by, "p", "grace").await.expect("deleted");
    let entries = accounts.audit(None, None, 500).await.expect("a list");
    assert!(entries.iter().all(|entry| entry.actor_name.is_none() && entry.target_name.is_none()));
    assert!(!format!("{entries:?}").contains("grace"), "{entries:?}");

    let before = world.rows().await;
    let mut attempts = vec![
        "UPDATE audit SET actor = 'cli:eve'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE action = 'user.add'",
    ];
    if matches!(world.database, Database::Postgres(_)) {
        attempts.push("TRUNCATE audit");
    }
    for sql in attempts {
        let error = world.execute(sql).await.expect_err(sql).to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    assert_eq!(world.rows().await, before);
}

impl World {
    /// Runs SQL of the test, as the program's own role.
    async fn execute(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        match &self.database {
            Database::Directory(dir) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("leat.db"));
                let pool = sqlx::SqlitePool::connect_with(options).await?;
                sqlx::query(sql).execute(&pool).await?;
                pool.close().await;
            }
            Database::Postgres(url) => {
                let pool = sqlx::PgPool::connect(url).await?;
                sqlx::query(sql).execute(&pool).await?;
                pool.close().await;
            }
        }
        Ok(())
    }
}

async fn retention_deletes_only_old_entries(world: World) {
    let (accounts, by) = (&world.accounts, operator());
    accounts.add_user(&by, DEFAULT_PROJECT, new("ada")).await.expect("added");
    accounts.add_user(&by, DEFAULT_PROJECT, new("grace")).await.expect("added");
    let entries = accounts.audit(None, None, 500).await.expect("a list");
    assert_eq!(entries.len(), 2);
    let at = entries[0].at;
    assert_eq!(accounts.delete_audit_before(&Actor::System, 1).await.expect("nothing is so old"), 0);
    assert_eq!(accounts.audit(None, None, 500).await.expect("a list"), entries);

    // Both may be of the same millisecond.
    let old = entries.iter().filter(|entry| entry.at < at + 1).count() as u64;
    assert_eq!(accounts.delete_audit_before(&Actor::System, at + 1).await.expect("deleted"), old);
    let rest = accounts.audit(None, None, 500).await.expect("a list");
    let [entry] = rest.as_slice() else { panic!("only the entry about it: {rest:?}") };
    assert_eq!((entry.actor.as_str(), entry.action.as_str()), ("system", "audit.delete"));
    assert!(entry.details.starts_with("2 entries before"), "{entry:?}");
    assert_eq!(accounts.delete_audit_before(&Actor::System, 1).await.expect("an earlier time"), 0);
    world.execute("DELETE FROM audit").await.expect_err("the others are protected as before");
}

/// More than one transaction deletes.
async fn retention_deletes_many_entries(world: World) {
    let by = operator();
    world.accounts.record(&by, Action::new("test", "nothing".into(), "p")).await.expect("recorded");
    const FILL: &str = "INSERT INTO audit (id, at, actor, action, target, project, details) \
         WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000) \
         SELECT '00000000' || CAST(10000000 + n AS TEXT), 1000, 'system', 'test', 'nothing', 'p', '' FROM numbers";
    world.execute(FILL).await.expect("filled");
    assert_eq!(world.accounts.delete_audit_before(&by, 1_000_000).await.expect("deleted"), 5_000);
    let left = world.accounts.audit(None, None, 500).await.expect("a list");
    let short: Vec<_> = left.iter().map(|entry| (&*entry.action, &*entry.details)).collect();
    assert_eq!(short, [("audit.delete", "5000 entries before 1000000"), ("test", "")]);
}

async fn quality_of_calls_is_kept_until_its_retention_has_ended(world: World) {
    let accounts = &world.accounts;
    let of = |project: &str, ended_at| StoredQuality {
        project: project.into(),
        room: "stage".into(),
        session: "00c0ffee00c0ffee".into(),
        participant: "participant:ada".into(),
        ended_at,
        ..StoredQuality::default()
    };
    let complete = StoredQuality {
        joined_at: Some(500),
        join_ms: Some(240),
        first_frame_ms: Some(710),
        freezes: Some(1),
        frozen_ms: Some(420),
        packets_received: Some(1 << 53),
        packets_lost: Some(31),
        jitter_us: Some(3_100),
        round_trip_us: Some(28_000),
        mos_hundredths: Some(436),
        relayed: Some(true),
        ..of("shop", 2_000)
    };
    accounts.add_quality(&[of("shop", 1_000), of("other", 1_000), complete.clone()]).await.expect("added");
    assert_eq!(accounts.quality("shop", 10).await.expect("a list"), [complete.clone(), of("shop", 1_000)]);
    assert_eq!(accounts.quality("shop", 1).await.expect("a list"), std::slice::from_ref(&complete));

    // More than one transaction deletes.
    const FILL: &str = "INSERT INTO call_quality (id, project, room, session, participant, ended_at) \
         WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000) \
         SELECT '00000000' || CAST(10000000 + n AS TEXT), 'shop', 'stage', 's', 'participant:ada', 1500 FROM numbers";
    world.execute(FILL).await.expect("filled");
    assert_eq!(accounts.delete_quality_before(2_000).await.expect("deleted"), 5_002);
    assert_eq!(accounts.delete_quality_before(2_000).await.expect("nothing is left"), 0);
    assert_eq!(world.another().quality("shop", 10).await.expect("a list"), [complete]);
    assert_eq!(accounts.quality("other", 10).await.expect("a list"), []);
}

async fn revocations_reach_every_process_once(world: World) {
    let by = Actor::Participant("ada".into());
    let token = |value: &str, until| StoredRevocation {
        project: "p".into(),
        kind: RevocationKind::Token,
        value: value.into(),
        since: 1,
        until,
    };
    let kick = || Action::new("peer.kick", "participant:bob".into(), "p");
    let mut reader = RevocationReader::new(world.another());
    assert_eq!(reader.next().await.expect("an answer"), []);
    let (one, two) = (token("one", i64::MAX), token("two", 2));
    world.accounts.record_and_revoke(&by, kick(), &[one.clone(), two.clone()]).await.expect("written");
    assert_eq!(reader.next().await.expect("an answer"), [one.clone(), two.clone()]);
    assert_eq!(reader.next().await.expect("an answer"), []);
    let entry = world.accounts.audit(Some("p"), None, 1).await.expect("a list").remove(0);
    assert_eq!((&*entry.actor, &*entry.action), ("participant:ada", "peer.kick"));

    // What ends the calls of a user is written with the change.
    let started =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("now").as_secs()).expect("now");
    for name in ["ada", "grace", "hedy"] {
        world.accounts.add_user(&by, DEFAULT_PROJECT, new(name)).await.expect("added");
    }
    world.accounts.set_user_disabled(&by, DEFAULT_PROJECT, "ada", true).await.expect("disabled");
    world.accounts.set_password(&by, DEFAULT_PROJECT, "grace", "another").await.expect("changed");
    world.accounts.delete_user(&by, DEFAULT_PROJECT, "hedy").await.expect("erased");
    let found = reader.next().await.expect("an answer");
    assert_eq!(
        found.iter().map(|found| found.value.clone()).collect::<Vec<_>>(),
        ["ada", "grace", "hedy"].map(|name| account_hash(DEFAULT_PROJECT, name))
    );
    for found in found {
        assert_eq!((&*found.project, found.kind), (DEFAULT_PROJECT, RevocationKind::Account));
        assert!(found.since >= started && found.until > found.since, "{found:?}");
    }

    // Those that have ended are deleted; a process that starts later gets the rest.
    assert_eq!(world.accounts.delete_ended_revocations().await.expect("an answer"), 1);
    let mut later = RevocationReader::new(world.another());
    assert_eq!(later.next().await.expect("an answer").len(), 4);

    // Too many of one project: those that end first make room, and no other project loses one.
    let many: Vec<_> =
        (0..REVOCATIONS_PER_PROJECT_MAX).map(|n| token(&format!("t{n}"), i64::MAX - 1 - n)).collect();
    for some in many.chunks(256) {
        world.accounts.record_and_revoke(&by, kick(), some).await.expect("written");
    }
    let mut all = BTreeSet::new();
    let mut last = RevocationReader::new(world.another());
    loop {
        let page = last.next().await.expect("an answer");
        if page.is_empty() {
            break;
        }
        all.extend(page.into_iter().map(|found| (found.project, found.value)));
    }
    let of_p = all.iter().filter(|(project, _)| project == "p").count();
    assert_eq!((of_p as i64, all.len() - of_p), (REVOCATIONS_PER_PROJECT_MAX, 3));
    assert!(all.contains(&("p".into(), "one".into())), "it ends last");
}

async fn old_program_works_after_a_newer_migration(world: World) {
    let by = operator();
    world.accounts.add_user(&by, DEFAULT_PROJECT, new("ada")).await.expect("added");
    // What a later version would do.
    world.execute("ALTER TABLE users ADD COLUMN email TEXT NOT NULL DEFAULT ''").await.expect("migrated");
    world.execute("CREATE TABLE recordings (id TEXT PRIMARY KEY)").await.expect("migrated");
    let checksum = match &world.database {
        Database::Directory(_) => {
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', TRUE, x'00', 1)"
        }
        Database::Postgres(_) => {
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', TRUE, '\\x00', 1)"
        }
    };
    world.execute(checksum).await.expect("migrated");
    // The running process, and one that is started here.
    for (accounts, name) in [(&world.accounts, "grace"), (&world.another(), "hedy")] {
        accounts.add_user(&by, DEFAULT_PROJECT, new(name)).await.expect("added");
        assert_eq!(accounts.users(DEFAULT_PROJECT, "").await.expect("a list")[0].name, "ada");
        accounts.add_api_key(&by, DEFAULT_PROJECT, "").await.expect("added");
    }
}

async fn processes_migrate_and_write_at_the_same_time(world: World) {
    let processes: Vec<Accounts> = (0..4).map(|_| world.another()).collect();
    let writes = processes.iter().enumerate().flat_map(|(process, accounts)| {
        (0..10).map(move |number| async move {
            let name = format!("user {process} {number}");
            // On a slow disk, a call may have to be repeated.
            until(async || match accounts.add_user(&operator(), DEFAULT_PROJECT, new(&name)).await {
                Ok(_) | Err(AccountError::Exists { .. }) => true,
                Err(error) => !error.is_unavailable() && panic!("{error}"),
            })
            .await;
            loop {
                match accounts.server_key(DEFAULT_PROJECT).await {
                    Ok(key) => return key.id,
                    Err(error) => assert!(error.is_unavailable(), "{error}"),
                }
            }
        })
    });
    let keys: BTreeSet<String> = futures_util::future::join_all(writes).await.into_iter().collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(world.accounts.users(DEFAULT_PROJECT, "").await.expect("a list").len(), 40);
}

/// `leat up` starts processes that use a new database at once, and a command may be among the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn new_sqlite_file_is_opened_by_processes_at_the_same_time() {
    for _ in 0..20 {
        let world = World::sqlite();
        let processes: Vec<Accounts> = (0..8).map(|_| world.another()).collect();
        let reads = processes.into_iter().map(|accounts| {
            tokio::spawn(async move { accounts.users(DEFAULT_PROJECT, "").await.map(|users| users.len()) })
        });
        for read in futures_util::future::join_all(reads).await {
            assert_eq!(read.expect("no panic").expect("a list"), 0);
        }
    }
}

/// Some of everything, and more than one page of the audit log.
async fn fill(accounts: &Accounts) {
    let by = operator();
    for project in ["p", "q"] {
        accounts.add_project(&by, project).await.expect("added");
        for name in ["ada", "Grace ⚓ \"quoted\""] {
            let user = NewUser { name, password_hash: "$argon2id$x", is_admin: project == "p" };
            accounts.add_user(&by, project, user).await.expect("added");
        }
        let key = accounts.add_api_key(&by, project, "backend").await.expect("added");
        accounts.add_api_key(&by, project, "").await.expect("added");
        accounts.revoke_api_key(&by, project, &key.id).await.expect("revoked");
        let (key, _) = accounts.add_stream_key(&by, project, "stage", "OBS").await.expect("added");
        accounts.add_stream_key(&by, project, "hall", "").await.expect("added");
        accounts.revoke_stream_key(&by, project, &key.id).await.expect("revoked");
        accounts.set_user_disabled(&by, project, "ada", true).await.expect("disabled");
    }
    accounts.server_key(DEFAULT_PROJECT).await.expect("made");
    for _ in 0..600 {
        let entry = Action::new("test", "nothing".into(), "p").with_details("details\n…".into());
        accounts.record(&by, entry).await.expect("recorded");
    }
}

#[tokio::test]
async fn backup_is_restored_into_either_database_with_every_row() {
    for from in [World::sqlite(), World::postgres()] {
        fill(&from.accounts).await;
        let rows = from.rows().await;
        let bytes = backup(&from.accounts).await;
        for to in [World::sqlite(), World::postgres()] {
            let counts = to.accounts.restore(&operator(), &mut bytes.as_slice()).await.expect("restored");
            let audit = counts.audit;
            let expected =
                BackupCounts { projects: 3, users: 4, api_keys: 7, stream_keys: 4, audit, revocations: 4 };
            assert_eq!(counts, expected);
            assert!(counts.audit > 600, "{counts:?}");
            assert_eq!(to.rows().await, rows);
            let newest = to.accounts.audit(None, None, 2).await.expect("a list");
            assert!(newest.iter().any(|entry| entry.action == "restore"), "{newest:?}");

            let error = to.accounts.restore(&operator(), &mut bytes.as_slice()).await.expect_err("not empty");
            assert!(matches!(error, AccountError::NotEmpty { .. }), "{error}");
            assert!(
                error.to_string().contains("users") && error.to_string().contains("--data-dir"),
                "{error}"
            );
            assert_eq!(to.rows().await, rows);
        }
    }
}

/// Form 1 had no revocations.
#[tokio::test]
async fn backup_of_the_first_form_is_restored() {
    let from = World::sqlite();
    from.accounts.add_user(&operator(), DEFAULT_PROJECT, new("ada")).await.expect("added");
    let text = String::from_utf8(backup(&from.accounts).await).expect("JSON");
    let first = text.replacen("\"leat_backup\":2", "\"leat_backup\":1", 1);
    let (rows, end) = first.trim_end().rsplit_once('\n').expect("lines");
    let rows = format!("{rows}\n");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, rows.as_bytes());
    let digest = digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let mut end: serde_json::Value = serde_json::from_str(end).expect("JSON");
    end["sha256"] = digest.into();
    end.as_object_mut().expect("an object").remove("revocations").expect("of form 2");
    let to = World::sqlite();
    let counts = to.accounts.restore(&operator(), &mut format!("{rows}{end}\n").as_bytes()).await;
    assert_eq!(counts.expect("restored").users, 1);
    assert_eq!(to.rows().await, from.rows().await);
}

async fn damaged_backup_changes_nothing(world: World) {
    let from = World::sqlite();
    fill(&from.accounts).await;
    let text = String::from_utf8(backup(&from.accounts).await).expect("JSON");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let half = lines.len() / 2;
    let without_one: String =
        lines.iter().enumerate().filter(|(i, _)| *i != half).map(|(_, line)| *line).collect();
    let twice: String = [&lines[..=half], &lines[half..]].concat().concat();
    let long = format!("{}{}\n{}", lines[0], "x".repeat(70_000), lines[1]);
    let damaged = [
        ("cut in a line", text[..text.floor_char_boundary(text.len() / 2)].to_owned(), "not complete"),
        ("cut after a line", lines[..half].concat(), "not complete"),
        ("without its end", lines[..lines.len() - 1].concat(), "not complete"),
        ("a missing line", without_one, "checksum"),
        ("a repeated line", twice, "refuses this row"),
        ("another value", text.replacen("\"is_admin\":false", "\"is_admin\":true", 1), "checksum"),
        ("more after the end", text.clone() + "x", "end of the file"),
        ("a long line", long, "too long"),
        ("another version", text.replacen("\"leat_backup\":2", "\"leat_backup\":3", 1), "version 3"),
        ("another file", "PNG\n".to_owned(), "header of a backup"),
        ("an empty file", String::new(), "not complete"),
    ];
    let before = world.rows().await;
    let empty = World::another(&world);
    for (name, text, wanted) in damaged {
        let target = if world.dir.is_some() { World::sqlite() } else { World::postgres() };
        let error = target.accounts.restore(&operator(), &mut text.as_bytes()).await.expect_err(name);
        assert!(error.to_string().contains(wanted), "{name}: {error}");
        assert_eq!(target.rows().await, before, "{name}");
    }
    drop(empty);
}

#[tokio::test]
async fn sqlite_file_is_readable_by_this_user_only() {
    let world = World::sqlite();
    world.accounts.prepare().await.expect("a new file");
    let dir = world.dir.as_ref().expect("a folder").join("data");
    let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<PathBuf> =
        fs::read_dir(&dir).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    assert!(files.len() >= 3, "the database, its log and the lock: {files:?}");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{file:?}"));

    fs::set_permissions(dir.join("leat.db"), fs::Permissions::from_mode(0o644)).expect("our file");
    world.another().prepare().await.expect("opened");
    assert_eq!(mode(&dir.join("leat.db")), 0o600);
}

#[tokio::test]
async fn directory_that_cannot_be_used_is_named() {
    let world = World::sqlite();
    let file = world.dir.as_ref().expect("a folder").join("file");
    fs::write(&file, "").expect("a file");
    let error = Accounts::open(&Database::Directory(file.clone())).err().expect("not a folder").to_string();
    assert!(error.contains(&file.display().to_string()) && error.contains("--data-dir"), "{error}");
    for wrong in ["", "mysql://localhost/leat", "postgres://secret@host:port/x"] {
        let error = Accounts::open(&Database::Postgres(wrong.into())).err().expect("no URL").to_string();
        assert!(error.contains("postgres://USER") && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn postgresql_that_is_away_fails_calls_and_recovers() {
    let mut server = Postgres::start();
    let database = Database::Postgres(server.database());
    let early = Accounts::open(&database).expect("a valid URL");
    server.stop();
    let is_unavailable = async |accounts: &Accounts| {
        let error = accounts.users(DEFAULT_PROJECT, "").await.expect_err("the server is away");
        error.is_unavailable()
    };
    assert!(is_unavailable(&early).await, "a database that was never there");
    // Calls that come together share one attempt: one after another, they would take minutes.
    let calls = futures_util::future::join_all((0..64).map(|_| is_unavailable(&early)));
    let shared =
        tokio::time::timeout(Duration::from_secs(60), calls).await.expect("no call waits for others");
    assert!(shared.into_iter().all(|is| is));
    server.resume();
    until(async || early.add_user(&operator(), DEFAULT_PROJECT, new("ada")).await.is_ok()).await;
    server.stop();
    let calls = (0..20).map(|_| is_unavailable(&early));
    assert!(futures_util::future::join_all(calls).await.into_iter().all(|is| is), "after a connection");
    server.resume();
    assert_eq!(early.users(DEFAULT_PROJECT, "").await.expect("back").len(), 1);
}

/// The child writes and acknowledges each write on its standard output until it is killed. This test is both:
/// the child is the same program, with a variable in its environment.
#[tokio::test]
async fn killed_process_loses_no_acknowledged_write() {
    const VARIABLE: &str = "LEAT_TEST_WRITE_UNTIL_KILLED";
    const NAME: &str = "killed_process_loses_no_acknowledged_write";
    if let Some(dir) = std::env::var_os(VARIABLE) {
        let accounts = Accounts::open(&Database::Directory(dir.into())).expect("the folder of the parent");
        for number in 0_u64.. {
            let name = format!("{} {number}", std::process::id());
            accounts.add_user(&operator(), DEFAULT_PROJECT, new(&name)).await.expect("added");
            println!("\nacknowledged {name}");
        }
    }
    let world = World::sqlite();
    let Database::Directory(dir) = &world.database else { panic!("a file") };
    let mut acknowledged = BTreeSet::new();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", NAME, "--nocapture"])
            .env(VARIABLE, dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        // Killed at a moment that differs in each round; what it wrote before is still in the pipe.
        let mut lines = output.lines().map(|line| line.expect("text"));
        let written = lines.by_ref().filter(|line| line.starts_with("acknowledged ")).take(3 + round);
        acknowledged.extend(written);
        child.kill().expect("it runs");
        child.wait().expect("killed");
        acknowledged.extend(lines.filter(|line| line.starts_with("acknowledged ") && line.len() > 20));
    }
    assert!(acknowledged.len() >= 12 * 3);
    let mut found = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = world.accounts.users(DEFAULT_PROJECT, &after).await.expect("a list");
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        found.extend(page.into_iter().map(|user| format!("acknowledged {}", user.name)));
    }
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let audit = rows(&world.accounts).await;
    let entries = audit.iter().filter(|row| row.contains("\"user.add\"")).count();
    assert_eq!(entries, found.len(), "each user has an entry, and each entry a user");
}
