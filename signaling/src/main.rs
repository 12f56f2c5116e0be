//! The `leat-signaling` process. Exit codes: 0 after SIGINT or SIGTERM; 1 for an error of the system, for
//! example a port in use; 2 for a wrong option.

#![forbid(unsafe_code)]

use anyhow::Context;
use bus::Bus;
use clap::CommandFactory;
use leat_log::Format;
use leat_log::redact::ClientAddresses;
use options::OptionsOf;
use signaling::api::accounts::AccountsApi;
use signaling::api::{audit_writer, quality_writer, stored_keys};
use signaling::config::cli;
use signaling::config::{AccountSettings, Config, ConfigError};
use signaling::engine::{self, Engine};
use signaling::ortc::media_config::LOW_PRIORITY_MAX;
use signaling::rooms::{self, Admission, Rooms, Timeouts};
use signaling::server::monitoring::{self, Monitored};
use signaling::server::{edge, http};
use signaling::{LOG_FILTER, limits, supervisor};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use stores::accounts::Accounts;
use stores::sessions::limits::SESSION_TTL;
use stores::sessions::{MemorySessions, RedisSessions, Sessions};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const PROGRAM: &str = "leat-signaling";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let command = cli::SignalingOptions::command();
    let options: cli::SignalingOptions = match options::command_line(
        OptionsOf::Signaling,
        PROGRAM,
        &command,
        &arguments,
        1,
        Format::for_stderr(),
    ) {
        Ok((options, _)) => options,
        Err(code) => return code,
    };
    let format = options.log.unwrap_or_else(Format::for_stderr);
    let addresses = ClientAddresses::shown_if(options.log_addresses);
    leat_log::start(format, options.log_level.as_deref(), LOG_FILTER, addresses);
    let config = match Config::try_from(options) {
        Ok(config) => config,
        Err(error) => return leat_log::fatal(format, PROGRAM, &error, leat_log::EXIT_USAGE),
    };
    // Before other threads start, because each thread has its own niceness. If it is refused, signaling only
    // competes with media for the CPU.
    if let Err(error) = rustix::process::nice(config.nice.into()) {
        tracing::warn!(%error, "--nice {}: cannot change the niceness", config.nice);
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if error.is::<ConfigError>() { leat_log::EXIT_USAGE } else { 1 };
            leat_log::fatal(format, PROGRAM, error.as_ref(), code)
        }
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    if config.die_with_parent {
        supervisor::die_with_parent().context("--die-with-parent")?;
    }
    let ended = supervisor::termination().context("cannot listen for signals")?;
    if config.media.has_only_low_priorities {
        tracing::warn!(
            "--media: all priorities are {LOW_PRIORITY_MAX} or less; the highest number is preferred, \
             while 1 was the first choice in earlier versions"
        );
    }
    let listener = http::bind(config.http).await?;
    let monitoring = match config.metrics {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("--metrics {address}: cannot listen there"))?,
        ),
        None => None,
    };
    if matches!(config.admission, Admission::Development { .. }) {
        tracing::warn!("development mode: no key is configured; clients on this machine need no token");
    }
    let accounts = accounts(&config.accounts)?;
    let bus = match &config.nats {
        Some(options) => Bus::nats(options).await.map_err(ConfigError::Nats)?,
        None => Bus::in_process(),
    };
    let turn = config.turn.map(|mut turn| {
        turn.use_bus(&bus, config.region);
        turn
    });
    let sessions = sessions(config.redis.as_deref())?;
    let engine = Engine::new();
    let settings = rooms::RoomSettings {
        admission: config.admission,
        media: config.media,
        turn,
        timeouts: Timeouts::default(),
        spread_above: config.spread_above,
        peers_per_user: config.peers_per_user,
        allows_sha1: config.allows_sha1,
        sessions: sessions.clone(),
        idle_after: config.idle_after,
    };
    let rooms = Rooms::new(Arc::new(engine.clone()), settings);
    rooms.publish_events(bus.clone());
    let (sender, events) = mpsc::channel(limits::NODE_EVENTS_LEN);
    engine::start(engine, config.control_socket, sender).context("cannot start a thread")?;
    tokio::spawn(rooms.clone().follow(events));
    if let Some(listener) = monitoring {
        let (rooms, sessions, bus) = (rooms.clone(), sessions.clone(), bus.clone());
        let monitored = Monitored { rooms, sessions, bus, accounts: accounts.clone() };
        tokio::spawn(monitoring::serve(listener, monitored));
    }
    let mut settings = config.http_settings;
    settings.stream_keys = accounts.clone();
    let (mut auditing, mut recording) = (None, None);
    if let Some(accounts) = accounts {
        let AccountSettings { audit_retention, quality_retention, parties, .. } = config.accounts;
        let api = AccountsApi::start(accounts.clone(), parties).context("cannot start a thread")?;
        settings.api = Arc::new(api).router();
        if let Some(keyring) = rooms.keyring() {
            keyring.await_api_keys();
        }
        tokio::spawn(stored_keys::follow_api_keys(accounts.clone(), rooms.clone()));
        tokio::spawn(audit_writer::follow_revocations(accounts.clone(), rooms.clone()));
        auditing = Some(tokio::spawn(audit_writer::write_audit(accounts.clone(), rooms.audit_queue())));
        let records = rooms.quality_queue();
        let metrics = rooms.quality_metrics().clone();
        recording = Some(tokio::spawn(quality_writer::write_quality(accounts.clone(), records, metrics)));
        tokio::spawn(quality_writer::delete_old_quality(accounts.clone(), quality_retention));
        if let Some(retention) = audit_retention {
            tokio::spawn(stored_keys::delete_old_audit_entries(accounts, retention));
        }
    }
    settings.edge.connections = edge::allow_descriptors(settings.edge.connections);
    tracing::info!(address = %listener.local_addr()?, "listening");
    let serving = http::serve(listener, rooms.clone(), settings);
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return Ok(()),
        signal = ended => {
            tracing::info!(signal, "received a termination signal");
        }
    }
    // A client that polls fetches its last notification with a new connection, so keep serving.
    tokio::select! {
        () = serving => {}
        () = drain(&rooms) => {}
    }
    // A store that is away must not use the time of the others. What is not written by then is lost.
    rooms.end_audit();
    rooms.end_quality();
    let audit = async {
        for task in [auditing, recording].into_iter().flatten() {
            let _ = task.await;
        }
    };
    let stores = async { tokio::join!(audit, bus.flush(), sessions.clear()) };
    let _ = timeout(limits::STORES_DRAIN, stores).await;
    Ok(())
}

/// Opens the store of accounts, without waiting for its database. Calls work without it, so only a database
/// that the operator has chosen is an error.
fn accounts(settings: &AccountSettings) -> Result<Option<Accounts>, ConfigError> {
    let Some(database) = &settings.database else {
        tracing::warn!("accounts are off: {}", ConfigError::NoDataDir);
        return Ok(None);
    };
    match Accounts::open(database) {
        Ok(accounts) => Ok(Some(accounts)),
        Err(error) if settings.is_chosen => Err(error.into()),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "accounts are off");
            Ok(None)
        }
    }
}

/// The store of sessions.
fn sessions(redis: Option<&str>) -> Result<Arc<dyn Sessions>, ConfigError> {
    let Some(address) = redis else { return Ok(Arc::new(MemorySessions::default())) };
    let process = format!("{:016x}", getrandom::u64().expect("the kernel provides random numbers"));
    let sessions = RedisSessions::start(address, &process, SESSION_TTL).map_err(ConfigError::Redis)?;
    Ok(Arc::new(sessions))
}

/// Notifies the clients that this process ends, and waits until they have read it.
async fn drain(rooms: &Rooms) {
    rooms.drain();
    let all_closed = async {
        while rooms.connection_count() > 0 {
            sleep(DRAIN_POLL).await;
        }
    };
    let _ = timeout(limits::DRAIN_TIMEOUT, all_closed).await;
}

/// Interval between checks of the number of connections.
const DRAIN_POLL: Duration = Duration::from_millis(20);
