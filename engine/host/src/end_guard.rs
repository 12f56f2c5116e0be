//! Reports the end of a worker to the main thread.

use mio::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Reports the end of a worker to the main thread when it is dropped, so that a panic is reported like a
/// return. It sets a flag before the wake, because the thread still counts as running at that moment.
#[derive(Debug)]
pub(crate) struct EndGuard {
    ended: Arc<AtomicBool>,
    main: Arc<Waker>,
}

impl EndGuard {
    pub(crate) fn new(ended: Arc<AtomicBool>, main: Arc<Waker>) -> Self {
        Self { ended, main }
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Fails only if the main thread's poll is gone; then no thread waits.
        let _ = self.main.wake();
    }
}
