//! The register of TURN servers: each reports its URLs and its load, and signaling chooses one by them.

use crate::limits::{
    MESSAGE_BYTES_MAX, REGION_LEN_MAX, SERVER_ID_LEN_MAX, TURN_CHECK_INTERVAL, TURN_REPORT_INTERVAL,
    TURN_REPORTS_MISSED_MAX, TURN_SECRETS_MAX, TURN_SERVERS_MAX, TURN_URLS_MAX,
};
use crate::subject::token;
use crate::transport::Bus;
use crate::turn_url::TurnUrl;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

/// The name of a region, such as `eu-west`: letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if is_word && (1..=REGION_LEN_MAX).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err("a region is 1 to 32 letters, digits, - and _, such as eu-west")
    }
}

impl TryFrom<String> for Region {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

impl std::fmt::Display for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a TURN server takes new clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It does.
    Up,
    /// It waits for its last allocation.
    Draining,
    /// It has ended.
    Ended,
}

/// A TURN server's report of itself: one JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnReport {
    /// The version of the format: [`TurnReport::VERSION`].
    pub version: u32,
    /// A random id of this run of the server.
    pub server: String,
    /// Its region.
    pub region: Region,
    /// The URLs for clients.
    pub urls: Vec<TurnUrl>,
    /// Which shared secrets it accepts, by an id that does not show them. A server with another secret would
    /// refuse our credentials.
    pub secrets: Vec<String>,
    /// Allocations that exist.
    pub allocations: u32,
    /// Maximum of allocations.
    pub capacity: u32,
    /// Whether it takes new clients.
    pub state: ServerState,
}

impl TurnReport {
    /// The version of the format, also in the subject.
    pub const VERSION: u32 = 1;

    /// The filter of all reports.
    pub const ALL: &'static str = "leat.turn.v1.*.*";

    /// The subject: the region, and the id of the server.
    pub fn subject(&self) -> String {
        format!("leat.turn.v1.{}.{}", self.region, token(&self.server))
    }

    /// The JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can always be written")
    }

    /// Reads a report, if it is within all bounds.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        let json = (json.len() <= MESSAGE_BYTES_MAX).then_some(json)?;
        let report: Self = serde_json::from_slice(json).ok()?;
        let is_within = (1..=SERVER_ID_LEN_MAX).contains(&report.server.len())
            && (1..=TURN_URLS_MAX).contains(&report.urls.len())
            && report.secrets.len() <= TURN_SECRETS_MAX;
        is_within.then_some(report)
    }
}

/// The TURN servers that report. Plain data; the time is an argument.
#[derive(Debug, Default)]
pub struct TurnRegister {
    servers: BTreeMap<String, Listed>,
    is_full: bool,
}

#[derive(Debug)]
struct Listed {
    report: TurnReport,
    heard_at: Instant,
    /// Clients that were sent there since the last report, so that not all clients of two seconds go to the
    /// same server.
    chosen: u32,
}

/// The time without a report after which a server is gone. Half an interval is for delays on the way.
fn silence_max() -> Duration {
    TURN_REPORT_INTERVAL * TURN_REPORTS_MISSED_MAX + TURN_REPORT_INTERVAL / 2
}

impl TurnRegister {
    /// Enters a report.
    pub fn hear(&mut self, report: TurnReport, now: Instant) {
        let is_known = self.servers.contains_key(&report.server);
        if report.state == ServerState::Ended {
            if self.servers.remove(&report.server).is_some() {
                tracing::info!(server = report.server, region = %report.region, "a TURN server has ended");
            }
            return;
        }
        if !is_known && self.servers.len() >= TURN_SERVERS_MAX {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::error!("{TURN_SERVERS_MAX} TURN servers are registered: further ones are ignored");
            }
            return;
        }
        if !is_known {
            tracing::info!(server = report.server, region = %report.region, "a TURN server has registered");
        }
        self.servers.insert(report.server.clone(), Listed { report, heard_at: now, chosen: 0 });
    }

    /// Removes the servers that have missed [`TURN_REPORTS_MISSED_MAX`] reports. While the bus itself is away,
    /// no report can arrive: then all servers stay, with their last report.
    pub fn expire(&mut self, is_bus_connected: bool, now: Instant) {
        if !is_bus_connected {
            self.servers.values_mut().for_each(|listed| listed.heard_at = now);
            return;
        }
        self.servers.retain(|_, Listed { report, heard_at, .. }| {
            let lives = now.saturating_duration_since(*heard_at) < silence_max();
            if !lives {
                tracing::warn!(
                    server = report.server,
                    region = %report.region,
                    "a TURN server has missed {TURN_REPORTS_MISSED_MAX} reports; clients are no longer sent to it"
                );
            }
            lives
        });
        self.is_full = self.servers.len() >= TURN_SERVERS_MAX;
    }

    /// The URLs of the server for the next client: in this region if there is one, otherwise in any, the one
    /// with the fewest allocations. Only servers that accept the secret with this id, take new clients and
    /// have a place.
    pub fn choose(&mut self, region: Option<&Region>, secret: &str) -> Option<Vec<String>> {
        let load = |listed: &Listed| listed.report.allocations.saturating_add(listed.chosen);
        let fits = |listed: &Listed| {
            listed.report.state == ServerState::Up
                && listed.report.allocations < listed.report.capacity
                && listed.report.secrets.iter().any(|id| id == secret)
        };
        let candidates = self.servers.values_mut().filter(|listed| fits(listed));
        let chosen = candidates.min_by_key(|listed| {
            let is_elsewhere = region.is_some_and(|region| *region != listed.report.region);
            (is_elsewhere, load(listed))
        })?;
        chosen.chosen = chosen.chosen.saturating_add(1);
        Some(chosen.report.urls.iter().map(ToString::to_string).collect())
    }

    /// The last report of each server.
    pub fn reports(&self) -> impl Iterator<Item = &TurnReport> {
        self.servers.values().map(|listed| &listed.report)
    }
}

/// Keeps a register current. Ends when the bus ends.
pub async fn follow_turn_servers(bus: Bus, register: Arc<Mutex<TurnRegister>>) {
    let mut reports = bus.subscribe(TurnReport::ALL).await;
    let mut checks = interval(TURN_CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lock = || register.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        tokio::select! {
            message = reports.next() => {
                let Some(message) = message else { return };
                if let Some(report) = TurnReport::from_json(&message.payload) {
                    lock().hear(report, Instant::now());
                }
            }
            _ = checks.tick() => lock().expire(bus.is_connected(), Instant::now()),
        }
    }
}

/// Reports a TURN server every [`TURN_REPORT_INTERVAL`] and when `changed` is notified, until `report` returns
/// one that has ended.
pub async fn report_turn_server(bus: Bus, changed: Arc<Notify>, mut report: impl FnMut() -> TurnReport) {
    let mut times = interval(TURN_REPORT_INTERVAL);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = times.tick() => {}
            () = changed.notified() => {}
        }
        let report = report();
        bus.publish(&report.subject(), report.to_json().into());
        if report.state == ServerState::Ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
