//! The stores: the database of accounts, Redis and NATS.

use super::finding::{Finding, Level};
use crate::config::cli::UpOptions;
use crate::config::{self, ConfigError};
use bus::Bus;
use std::path::Path;
use std::time::Duration;
use stores::accounts::{Accounts, Database};
use stores::sessions::limits::SESSION_TTL;
use stores::sessions::{RedisSessions, Sessions};
use tokio::time::{Instant, sleep, timeout};

const CHECK: &str = "stores";

/// Limit for the answer of a store.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn check(options: &UpOptions) -> Vec<Finding> {
    let mut findings = vec![accounts(options.accounts.store.database()).await];
    findings.push(match &options.sessions.redis {
        None => Finding::ok(CHECK, "sessions and presence are in memory"),
        Some(address) => redis(address).await,
    });
    findings.push(match config::nats(&options.bus) {
        Ok(None) => Finding::ok(CHECK, "events stay in the process"),
        Ok(Some(nats)) => match Bus::nats(&nats).await {
            Ok(bus) => nats_answers(&bus).await,
            Err(error) => bad(format!("NATS: {error}"), "correct --nats or --nats-credentials"),
        },
        Err(error) => bad(leat_log::chain(&error), "correct --nats or --nats-credentials"),
    });
    findings
}

fn bad(message: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding::bad(CHECK, Level::Error, message, advice)
}

async fn accounts(database: Result<Database, ConfigError>) -> Finding {
    let database = match database {
        Ok(database) => database,
        Err(error) => return bad(error.to_string(), "give --data-dir or --database"),
    };
    if let Database::Directory(dir) = &database {
        if let Err(finding) = writable(dir) {
            return *finding;
        }
        if !dir.join("leat.db").exists() {
            return Finding::ok(CHECK, format!("{} is writable; Leat creates leat.db there", dir.display()));
        }
    }
    let name = match &database {
        Database::Directory(dir) => format!("SQLite file {}", dir.join("leat.db").display()),
        Database::Postgres(_) => "PostgreSQL".to_owned(),
    };
    let advice = match &database {
        Database::Directory(_) => {
            "restore the file from a backup (leat restore), or choose another --data-dir"
        }
        Database::Postgres(_) => "start PostgreSQL, and check host, user and password in --database",
    };
    let accounts = match Accounts::open(&database) {
        Ok(accounts) => accounts,
        Err(error) => return bad(format!("{name}: {}", leat_log::chain(&error)), advice),
    };
    match timeout(ANSWER_TIMEOUT, accounts.check()).await {
        Ok(Ok(())) => Finding::ok(CHECK, format!("{name} answers")),
        Ok(Err(error)) => bad(format!("{name}: {}", leat_log::chain(&error)), advice),
        Err(_) => bad(format!("{name} does not answer within {ANSWER_TIMEOUT:?}"), advice),
    }
}

/// Whether files can be created in a directory, or in the existing one in which it will be created.
fn writable(dir: &Path) -> Result<(), Box<Finding>> {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    let file = existing.join(format!(".leat-doctor-{}", std::process::id()));
    let created = std::fs::File::create_new(&file).map(drop).and_then(|()| std::fs::remove_file(&file));
    created.map_err(|error| {
        Box::new(bad(
            format!("--data-dir {}: cannot write to {}: {error}", dir.display(), existing.display()),
            "give its owner and mode to the user of Leat, or choose another --data-dir",
        ))
    })
}

async fn redis(address: &str) -> Finding {
    let sessions = match RedisSessions::start(address, "doctor", SESSION_TTL) {
        Ok(sessions) => sessions,
        Err(error) => return bad(format!("Redis: {error}"), "correct --redis"),
    };
    if becomes(|| sessions.is_available()).await {
        return Finding::ok(CHECK, "Redis answers");
    }
    bad(
        format!("Redis does not answer within {ANSWER_TIMEOUT:?}"),
        "start Redis, and check host, port and password in --redis",
    )
}

async fn nats_answers(bus: &Bus) -> Finding {
    if becomes(|| bus.is_connected()).await {
        return Finding::ok(CHECK, "NATS answers");
    }
    bad(
        format!("NATS does not answer within {ANSWER_TIMEOUT:?}"),
        "start NATS, and check host, port and credentials in --nats",
    )
}

/// Both connect in the background.
async fn becomes(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(20)).await;
    }
    true
}
