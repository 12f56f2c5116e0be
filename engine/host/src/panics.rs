//! The panic hook: logs the message and location of each panic, at a limited rate.

use std::panic::PanicHookInfo;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Panics logged within [`WINDOW`]; more are counted. Contained panics can be as frequent as datagrams.
const LOGGED_MAX: u32 = 20;

/// See [`LOGGED_MAX`].
const WINDOW: Duration = Duration::from_secs(10);

/// From now on panics are logged.
pub fn install_hook() {
    let limit = Mutex::new(Limit::default());
    std::panic::set_hook(Box::new(move |info| {
        // The lock is held briefly and its holder does not panic, but a second panic must never wait for it.
        let Some(unlogged) = limit.try_lock().map_or(Some(0), |mut limit| limit.admit(Instant::now())) else {
            return;
        };
        log(info, unlogged);
    }));
}

fn log(info: &PanicHookInfo<'_>, unlogged: u64) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let message = info.payload_as_str().unwrap_or("no text");
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(thread, location, unlogged, error = message, "panic: {message}");
}

#[derive(Debug, Default)]
struct Limit {
    /// Start of the window, and the number of panics logged in it.
    window: Option<(Instant, u32)>,
    unlogged: u64,
}

impl Limit {
    /// `Some` if a panic is logged; the value is the number of panics skipped before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let (since, count) = self.window.filter(|(since, _)| now - *since < WINDOW).unwrap_or((now, 0));
        if count >= LOGGED_MAX {
            self.unlogged += 1;
            return None;
        }
        self.window = Some((since, count + 1));
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_beyond_the_bound_are_counted_and_their_number_is_logged_with_the_next() {
        let (start, mut limit) = (Instant::now(), Limit::default());
        for _ in 0..LOGGED_MAX {
            assert_eq!(limit.admit(start), Some(0));
        }
        assert_eq!(limit.admit(start), None);
        assert_eq!(limit.admit(start + WINDOW / 2), None);
        assert_eq!(limit.admit(start + WINDOW), Some(2));
        assert_eq!(limit.admit(start + WINDOW), Some(0));
    }
}
