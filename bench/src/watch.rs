//! Progress on the terminal, and Ctrl-C.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Shows progress and listens for an interruption.
#[derive(Clone, Debug)]
pub struct Watch {
    interrupted: Arc<AtomicBool>,
}

/// Steps in which a pause checks for an interruption.
const STEP: Duration = Duration::from_millis(50);

impl Watch {
    /// Handles SIGINT and SIGTERM from now on: the first one ends the measurement, the second one the
    /// process.
    pub fn start() -> anyhow::Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, interrupted.clone())?;
            signal_hook::flag::register(signal, interrupted.clone())?;
        }
        Ok(Self { interrupted })
    }

    /// Whether an interruption was requested.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// A bar on the terminal; without a terminal, one line.
    pub fn bar(&self, what: &'static str, len: u64) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
        if bar.is_hidden() {
            eprintln!("{what}");
        }
        let style = ProgressStyle::with_template("{msg:>18} [{bar:40}] {pos}/{len} {eta}");
        bar.set_style(style.expect("a valid template").progress_chars("=> "));
        bar.set_message(what);
        bar
    }

    /// Waits for `time` and shows it, or until interrupted.
    pub async fn pause(&self, what: &'static str, time: Duration) {
        let bar = self.bar(what, time.as_millis() as u64 / 100);
        let start = Instant::now();
        while start.elapsed() < time && !self.is_interrupted() {
            sleep(STEP.min(time.saturating_sub(start.elapsed()))).await;
            bar.set_position(start.elapsed().as_millis() as u64 / 100);
        }
        bar.finish_and_clear();
    }
}
