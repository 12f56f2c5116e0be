//! Log entries of pages. The SDK sends them in batches to `POST /client-logs` (docs/logs.md), and each becomes a
//! line of this process's log with the target [`TARGET`]. The sender proves that it is a peer of a room with the
//! secret of its place; room, user and peer of a line are those of that peer, whatever the page writes. Text of a
//! page is freed from tokens, escaped and shortened before it is logged.

use super::Rooms;
use super::join::{is_secret_of, parse_peer};
use super::state::PeerId;
use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::token_bucket::TokenBuckets;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leat_log::redact::without_secrets;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::Level;

/// The target of these lines, for the filter of the log.
pub const TARGET: &str = "client_log";

/// The body of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogBatch {
    peer_id: String,
    /// The secret of the peer's place, in base64.
    secret: String,
    /// Entries that the page did not send, because its queue was full.
    #[serde(default)]
    dropped: u32,
    entries: Vec<LogEntry>,
}

#[derive(Deserialize)]
struct LogEntry {
    /// By the clock of the page, in milliseconds since the epoch.
    timestamp: f64,
    level: EntryLevel,
    message: String,
    #[serde(default)]
    error: Option<EntryError>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EntryLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Deserialize)]
struct EntryError {
    name: String,
    message: String,
    #[serde(default)]
    stack: String,
}

/// The rates of requests.
pub(super) struct ClientLogs {
    of_addresses: Mutex<TokenBuckets>,
    of_peers: Mutex<TokenBuckets<PeerId>>,
}

impl Default for ClientLogs {
    fn default() -> Self {
        let of_addresses = TokenBuckets::new(limits::CLIENT_LOGS_PER_SECOND, limits::CLIENT_LOGS_BURST);
        let of_peers =
            TokenBuckets::new(limits::CLIENT_LOGS_PER_SECOND_OF_PEER, limits::CLIENT_LOGS_BURST_OF_PEER);
        Self { of_addresses: Mutex::new(of_addresses), of_peers: Mutex::new(of_peers) }
    }
}

impl Rooms {
    /// Logs the entries of a page.
    pub fn on_client_logs(&self, address: IpAddr, body: &[u8]) -> Result<(), RequestError> {
        let now = Instant::now();
        let mut of_addresses = self.client_logs.of_addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = of_addresses.take(address, now);
        drop(of_addresses);
        taken.map_err(|pause| {
            RequestError::limit("too many log requests from this address").retry_after(pause)
        })?;
        let batch: LogBatch = serde_json::from_slice(body)
            .map_err(|error| RequestError::bad(format!("not a batch of log entries: {error}")))?;
        if batch.entries.len() > limits::CLIENT_LOG_ENTRIES_MAX {
            return Err(RequestError::bad(format!(
                "a batch has at most {} log entries",
                limits::CLIENT_LOG_ENTRIES_MAX
            )));
        }
        let id = parse_peer(&batch.peer_id)
            .ok_or_else(|| RequestError::bad("peerId must be the 16 hexadecimal digits of a peer"))?;
        let secret = STANDARD
            .decode(&batch.secret)
            .map_err(|error| RequestError::bad(format!("secret is not base64: {error}")))?;
        let state = self.state();
        let of_peer = state.peers.get(&id).filter(|peer| is_secret_of(peer, &secret));
        let Some((room, user)) = of_peer.map(|peer| (peer.room.to_string(), peer.user.to_string())) else {
            return Err(RequestError::new(
                ErrorCode::ResumeSecret,
                "the secret does not belong to a peer of a room",
            ));
        };
        drop(state);
        let mut of_peers = self.client_logs.of_peers.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = of_peers.take_of(id, now);
        drop(of_peers);
        taken.map_err(|pause| {
            RequestError::limit("too many log requests from this peer").retry_after(pause)
        })?;
        for entry in &batch.entries {
            entry.log(&room, &user, id);
        }
        if batch.dropped > 0 {
            let dropped = batch.dropped;
            tracing::warn!(target: TARGET, roomId = %room, userId = %user, peerId = %id, dropped,
                "a page did not send all of its log entries");
        }
        Ok(())
    }
}

impl LogEntry {
    fn log(&self, room: &str, user: &str, id: PeerId) {
        let (time, message) = (self.timestamp, printable(&self.message, limits::CLIENT_LOG_TEXT_LEN_MAX));
        let error = self.error.as_ref().map(|EntryError { name, message, .. }| {
            printable(&format!("{name}: {message}"), limits::CLIENT_LOG_TEXT_LEN_MAX)
        });
        let stack = self.error.as_ref().filter(|error| !error.stack.is_empty());
        let stack = stack.map(|error| printable(&error.stack, limits::CLIENT_LOG_STACK_LEN_MAX));
        let (error, stack) = (error.as_deref(), stack.as_deref());
        // The level of an event is a constant.
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(target: TARGET, $level, roomId = %room, userId = %user, peerId = %id,
                    clientTime = time, error, stack, "{message}")
            };
        }
        match self.level {
            EntryLevel::Debug => line!(Level::DEBUG),
            EntryLevel::Info => line!(Level::INFO),
            EntryLevel::Warn => line!(Level::WARN),
            EntryLevel::Error => line!(Level::ERROR),
        }
    }
}

/// The text of a page as one line: without tokens, with control and formatting characters escaped, and cut after
/// `len_max` characters.
fn printable(text: &str, len_max: usize) -> String {
    let mut line = String::new();
    for (index, character) in without_secrets(text).chars().enumerate() {
        if index == len_max {
            line.push('…');
            break;
        }
        if character.is_control() || is_format(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Line and paragraph separators, and characters that change the direction of a text or are invisible (Unicode
/// categories Zl, Zp and the usual ones of Cf): they make a line look like another.
fn is_format(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_page_is_one_line_of_visible_characters() {
        assert_eq!(printable("a\nb\r\u{1b}[31mred\t\0", 100), "a\\nb\\r\\u{1b}[31mred\\t\\u{0}");
        assert_eq!(printable("\u{202e}evil\u{2028}x\u{200b}", 100), "\\u{202e}evil\\u{2028}x\\u{200b}");
        assert_eq!(printable("Größe 5 µm, \"quoted\"", 100), "Größe 5 µm, \"quoted\"");
    }

    #[test]
    fn text_of_a_page_is_cut_at_a_character() {
        assert_eq!(printable("äöü", 3), "äöü");
        assert_eq!(printable("äöü!", 3), "äöü…");
    }

    #[test]
    fn a_token_is_removed_before_the_text_is_cut() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln";
        assert_eq!(printable(&format!("in {token}"), 20), "in [redacted]");
    }
}
