//! The main thread: it waits for signals, for the end of a worker, and for the program's own sockets.

use crate::end_guard::EndGuard;
use crate::start_error::{StartError, system};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::ffi::c_int;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

// On any readiness the caller checks everything, so one token each is enough.
const SIGNAL: Token = Token(0);
const WAKE: Token = Token(1);
const SOURCE: Token = Token(2);

/// The state that the main thread waits on.
#[derive(Debug)]
pub struct MainThread {
    poll: Poll,
    events: Events,
    signals: SignalDelivery<UnixStream, SignalOnly>,
    waker: Arc<Waker>,
    ended: Arc<AtomicBool>,
}

impl MainThread {
    /// From now on these signals do not end the process; [`wait`](Self::wait) returns them.
    pub fn new(signals: &[c_int]) -> Result<Self, StartError> {
        let poll = Poll::new().map_err(system("make a poll"))?;
        let waker = Waker::new(poll.registry(), WAKE).map_err(system("make a waker"))?;
        let signals = deliver(signals).map_err(system("take signals"))?;
        let main = Self {
            poll,
            events: Events::with_capacity(16),
            signals,
            waker: Arc::new(waker),
            ended: Arc::default(),
        };
        main.add(main.signals.get_read().as_raw_fd(), SIGNAL)?;
        Ok(main)
    }

    /// Makes [`wait`](Self::wait) return also when `source` becomes readable. The caller must then read until
    /// it would block.
    pub fn watch(&self, source: &impl AsRawFd) -> Result<(), StartError> {
        self.add(source.as_raw_fd(), SOURCE)
    }

    fn add(&self, fd: c_int, token: Token) -> Result<(), StartError> {
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd), token, Interest::READABLE).map_err(system("poll"))
    }

    /// Makes [`wait`](Self::wait) return, from any thread.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// A guard for one worker thread, which reports its end.
    pub(crate) fn guard(&self) -> EndGuard {
        EndGuard::new(self.ended.clone(), self.waker.clone())
    }

    /// Waits until a signal arrives, a worker ends, something else wakes this thread, or the time is over.
    /// Returns the signals that arrived since the last call, each of them once.
    pub fn wait(&mut self, longest: Option<Duration>) -> Result<Vec<c_int>, StartError> {
        // The end of a worker is final: after it no call waits.
        let longest = if self.has_lost_a_worker() { Some(Duration::ZERO) } else { longest };
        match self.poll.poll(&mut self.events, longest) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(system("poll")(error)),
            _ => Ok(self.signals.pending().collect()),
        }
    }

    /// Whether a worker has ended, by a return or by a panic.
    pub fn has_lost_a_worker(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

fn deliver(signals: &[c_int]) -> io::Result<SignalDelivery<UnixStream, SignalOnly>> {
    let (read, write) = UnixStream::pair()?;
    SignalDelivery::with_pipe(read, write, SignalOnly, signals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::consts::{SIGUSR1, SIGUSR2};
    use std::time::Instant;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn returns_each_signal_once_and_those_that_arrived_together() {
        let mut main = MainThread::new(&[SIGUSR1, SIGUSR2]).expect("signals");
        for _ in 0..2 {
            for signal in [SIGUSR2, SIGUSR1, SIGUSR1] {
                signal_hook::low_level::raise(signal).expect("a signal");
            }
            assert_eq!(main.wait(LONG).expect("a poll"), [SIGUSR1, SIGUSR2]);
            assert!(main.wait(Some(Duration::ZERO)).expect("a poll").is_empty());
        }
        assert!(!main.has_lost_a_worker());
    }

    #[test]
    fn wakes_when_a_watched_socket_becomes_readable() {
        let mut main = MainThread::new(&[]).expect("a poll");
        let (read, write) = UnixStream::pair().expect("a pair");
        main.watch(&read).expect("a poll");
        let since = Instant::now();
        std::io::Write::write_all(&mut &write, b"x").expect("room");
        assert!(main.wait(LONG).expect("a poll").is_empty());
        assert!(since.elapsed() < Duration::from_secs(30));
    }
}
