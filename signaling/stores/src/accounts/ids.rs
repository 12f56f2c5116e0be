//! Ids, secrets and times of rows.

use aws_lc_rs::digest::{SHA256, digest};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX)
}

fn since_1970() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A new id: its time in microseconds and 32 random bits, 24 hexadecimal digits. Ids of one process increase,
/// also if its clock is set back.
pub(super) fn new_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(since_1970().as_micros()).unwrap_or(u64::MAX);
    let last = LAST.fetch_max(now, Ordering::Relaxed);
    let time = if last < now { now } else { LAST.fetch_add(1, Ordering::Relaxed) + 1 };
    format!("{time:016x}{}", random_hex::<4>())
}

/// A new secret with 256 random bits, 64 hexadecimal digits.
pub(super) fn new_secret() -> String {
    random_hex::<32>()
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn random_hex<const LEN: usize>() -> String {
    let mut random = [0; LEN];
    getrandom::fill(&mut random).expect("the system provides random numbers");
    hex(&random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_and_have_one_length() {
        let ids: Vec<String> = (0..10_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(ids.iter().all(|id| id.len() == 24));
    }
}
