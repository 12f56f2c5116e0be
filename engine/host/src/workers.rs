//! The worker threads, as the main thread sees them: start, messages, end.
//!
//! A worker that ends without a stop message ends the process, after a return as after a panic ([decision
//! 23](../../../docs/decisions/0023-end-of-a-worker.md)).

use crate::main_thread::MainThread;
use crate::start_error::{StartError, system};
use crossbeam_channel::{Sender, TrySendError};
use mio::Waker;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The worker threads. `M` is what the main thread sends them.
#[derive(Debug)]
pub struct Workers<M> {
    workers: Vec<Handle<M>>,
}

#[derive(Debug)]
struct Handle<M> {
    messages: Sender<M>,
    waker: Arc<Waker>,
    thread: JoinHandle<io::Result<()>>,
}

impl<M> Default for Workers<M> {
    fn default() -> Self {
        Self { workers: Vec::new() }
    }
}

impl<M> Workers<M> {
    /// Starts the next worker. `messages` is the sending end of its queue, and `waker` wakes it to read them.
    pub fn start(
        &mut self,
        main: &MainThread,
        messages: Sender<M>,
        waker: Arc<Waker>,
        run: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), StartError> {
        let guard = main.guard();
        let thread = std::thread::Builder::new().name(format!("worker-{}", self.workers.len()));
        let run = move || {
            let _guard = guard;
            run()
        };
        let thread = thread.spawn(run).map_err(system("start a thread"))?;
        self.workers.push(Handle { messages, waker, thread });
        Ok(())
    }

    /// The number of workers.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether there is no worker.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Sends each worker the message that `message` makes for it.
    pub fn send_each(&self, message: impl Fn() -> M) {
        self.workers.iter().for_each(|worker| worker.send(message()));
    }

    /// Sends the first message to the first worker, and so on.
    pub fn send_all(&self, messages: impl IntoIterator<Item = M>) {
        self.workers.iter().zip(messages).for_each(|(worker, message)| worker.send(message));
    }

    /// The queue of each worker and what wakes it, for another thread that sends messages.
    pub fn senders(&self) -> Vec<(Sender<M>, Arc<Waker>)> {
        self.workers.iter().map(|worker| (worker.messages.clone(), worker.waker.clone())).collect()
    }

    /// Sends `stop` to all workers and waits for all of them. An error is that of the first worker that
    /// failed.
    pub fn stop(self, stop: impl Fn() -> M) -> Result<(), StartError> {
        self.send_each(stop);
        let ends = self.workers.into_iter().enumerate().map(|(index, worker)| match worker.thread.join() {
            Ok(end) => end.map_err(system("keep a worker running")),
            Err(_) => Err(StartError::Panicked(index)),
        });
        // Waits for each of them, also after a failure.
        ends.fold(Ok(()), Result::and)
    }
}

impl<M> Handle<M> {
    fn send(&self, message: M) {
        // A worker that has ended reads nothing more; `stop` returns its error.
        if let Err(TrySendError::Full(_)) = self.messages.try_send(message) {
            tracing::error!("the queue of a worker is full: a message is lost");
        }
        // Without a wake the worker reads the message in its next turn.
        let _ = self.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use mio::{Poll, Token};
    use std::time::Duration;

    /// Runs a worker that handles messages and one that ends by itself, as a program would.
    fn process_with(run: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), StartError> {
        let mut main = MainThread::new(&[]).expect("a poll");
        let poll = Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let mut workers = Workers::default();
        let (messages, messages_out) = bounded(1);
        let obeys = move || {
            assert_eq!(messages_out.recv(), Ok("stop"));
            Ok(())
        };
        workers.start(&main, messages, waker.clone(), obeys)?;
        let (lost, _) = bounded(1);
        workers.start(&main, lost, waker, run)?;
        while !main.has_lost_a_worker() {
            let signals = main.wait(Some(Duration::from_secs(60))).expect("a poll");
            assert!(signals.is_empty(), "the end of a worker is not a signal");
        }
        workers.stop(|| "stop")
    }

    #[test]
    fn a_worker_that_panics_or_fails_ends_the_process_with_its_reason() {
        // Unwinds as a panic does, without its text among the test's.
        let panicked = process_with(|| std::panic::resume_unwind(Box::new("a bug")));
        assert!(matches!(panicked, Err(StartError::Panicked(1))), "{panicked:?}");
        let failed = process_with(|| Err(io::ErrorKind::OutOfMemory.into()));
        assert!(matches!(failed, Err(StartError::System { .. })), "{failed:?}");
        let returned = process_with(|| Ok(()));
        assert!(returned.is_ok(), "{returned:?}");
    }

    #[test]
    fn a_message_to_a_full_queue_is_lost_and_delays_no_sender() {
        let main = MainThread::new(&[]).expect("a poll");
        let mut workers = Workers::default();
        let (messages, messages_out) = bounded(1);
        let (go, wait) = bounded::<()>(1);
        let run = move || {
            let _ = wait.recv();
            let read: Vec<i32> = messages_out.try_iter().collect();
            assert!(read[0] == 1 && !read.contains(&2), "{read:?}");
            Ok(())
        };
        workers.start(&main, messages, main.waker(), run).expect("a thread");
        assert_eq!((workers.len(), workers.is_empty(), workers.senders().len()), (1, false, 1));
        workers.send_all([1, 9]);
        workers.send_each(|| 2);
        drop(go);
        workers.stop(|| 3).expect("the worker reads the messages in its queue");
    }
}
