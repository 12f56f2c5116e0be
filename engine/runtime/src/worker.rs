//! One worker: a machine, its sockets, its control, one thread.

use crate::clock::Clock;
use crate::control::{CONTROL_TOKEN, Control, LoopStats, Report};
use crate::limits::{COMMANDS_PER_TURN, EVENTS_PER_TURN, POLL_EVENTS, RECEIVES_PER_TURN, TIMEOUTS_PER_TURN};
use crate::receive::{Left, Receiver};
use crate::send::SendBatch;
use crate::sockets::Sockets;
use machine::{Instant, LocalId, Machine};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

const WAKE_TOKEN: Token = Token(CONTROL_TOKEN.0 + 1);

/// A machine with all it needs to run. Made on the main thread, where errors are reported; [`run`](Self::run) belongs on a
/// thread of its own.
#[derive(Debug)]
pub struct Worker<M, C> {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    sockets: Sockets,
    receiver: Receiver,
    batch: SendBatch,
    clock: Clock,
    machine: M,
    control: C,
    /// Bit per socket: whether there may be something to read. Readiness is reported once, so it is kept.
    readable: u32,
    /// Whether the control is to be asked for the main thread's messages.
    woken: bool,
    /// Whether the last turn left work behind, so that the next must not wait.
    unfinished: bool,
    stats: LoopStats,
}

impl<M: Machine, C: Control<M>> Worker<M, C> {
    /// A worker that listens on `sockets` and tells time by `clock`.
    pub fn new(sockets: Sockets, clock: Clock, machine: M, control: C) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE_TOKEN)?);
        for (local, fd) in sockets.iter() {
            let token = Token(usize::from(local.0));
            poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(POLL_EVENTS),
            waker,
            receiver: Receiver::new(&sockets),
            batch: SendBatch::new(&sockets),
            sockets,
            clock,
            machine,
            control,
            readable: 0,
            woken: true,
            unfinished: true,
            stats: LoopStats::default(),
        })
    }

    /// Wakes the worker out of its poll, from any thread, to have [`Control::on_wake`] called.
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// The sockets, for their addresses.
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The control.
    pub fn control(&self) -> &C {
        &self.control
    }

    /// Turns until the control says to stop, then gives machine and control back. An error is the poll's own, and none that
    /// a peer can cause.
    pub fn run(mut self) -> io::Result<(M, C)> {
        while self.turn()?.is_continue() {}
        Ok((self.machine, self.control))
    }

    /// One turn: wait, receive, due timers, commands, events.
    pub fn turn(&mut self) -> io::Result<ControlFlow<()>> {
        self.wait()?;
        let started = self.clock.now();
        let flow = self.take_readiness();
        self.unfinished = false;
        self.receive();
        self.fire_timers();
        self.take_commands();
        self.give_events();
        let ended = self.clock.now();
        self.count_turn(ended.saturating_since(started));
        let report = Report {
            now: ended,
            turns: self.stats,
            received: self.receiver.stats(),
            sent: self.batch.stats(),
        };
        self.control.end_turn(&mut self.machine, &report);
        Ok(flow)
    }

    /// Waits for something to do. `epoll_wait` counts whole milliseconds and mio rounds up, so a timer fires at its
    /// time or up to 1 ms (and the scheduler's delay) later, never before it.
    fn wait(&mut self) -> io::Result<()> {
        let idle = !self.unfinished && self.readable == 0 && !self.woken && self.control.may_sleep();
        let timeout = if idle {
            let timer = self.machine.next_timeout().map(|at| at.saturating_since(self.clock.now()));
            timer.into_iter().chain(self.control.retry_after()).min()
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn take_readiness(&mut self) -> ControlFlow<()> {
        for event in &self.events {
            match event.token() {
                WAKE_TOKEN => self.woken = true,
                CONTROL_TOKEN => self.control.on_ready(),
                Token(socket) => self.readable |= 1 << (socket & 31),
            }
        }
        if std::mem::take(&mut self.woken) {
            self.control.on_wake(self.poll.registry())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Receives from every readable socket, a bounded number of batches each. A whole batch is fanned out before it is
    /// flushed: that is what makes runs.
    fn receive(&mut self) {
        if self.readable == 0 {
            return;
        }
        let stamps = self.clock.stamps();
        for _ in 0..RECEIVES_PER_TURN {
            for index in 0..self.sockets.len() as u8 {
                if self.readable & 1 << index == 0 {
                    continue;
                }
                let now = self.clock.now();
                let mut outbox = self.batch.outbox(&self.sockets);
                let left = self.receiver.receive(&self.sockets, LocalId(index), &stamps, now, |datagram| {
                    self.machine.on_datagram(now, datagram, &mut outbox);
                });
                match left {
                    Ok(left) => {
                        self.machine.on_batch_end(now, &mut outbox);
                        self.batch.flush(&self.sockets);
                        if left == Left::Nothing {
                            self.readable &= !(1 << index);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable &= !(1 << index),
                    // It concerned one datagram; the socket is asked again.
                    Err(_) => {}
                }
            }
        }
    }

    fn fire_timers(&mut self) {
        let now = self.clock.now();
        for _ in 0..TIMEOUTS_PER_TURN {
            if !self.is_due(now) {
                break;
            }
            self.machine.on_timeout(now, &mut self.batch.outbox(&self.sockets));
            self.stats.timeouts += 1;
        }
        self.batch.flush(&self.sockets);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.machine.next_timeout().is_some_and(|at| at <= now)
    }

    fn take_commands(&mut self) {
        let now = self.clock.now();
        let mut taken = 0;
        while taken < COMMANDS_PER_TURN
            && let Some(command) = self.control.next_command()
        {
            self.machine.on_command(now, command, &mut self.batch.outbox(&self.sockets));
            taken += 1;
        }
        self.stats.commands += taken as u64;
        self.unfinished |= taken == COMMANDS_PER_TURN;
        self.batch.flush(&self.sockets);
    }

    fn give_events(&mut self) {
        let mut given = 0;
        while given < EVENTS_PER_TURN
            && self.control.can_take_event()
            && let Some(event) = self.machine.poll_event()
        {
            self.control.push_event(event);
            given += 1;
        }
        self.stats.events += given as u64;
        self.unfinished |= given == EVENTS_PER_TURN;
    }

    fn count_turn(&mut self, took: Duration) {
        self.stats.turns += 1;
        self.stats.busy += took;
        self.stats.turn_last = took;
        self.stats.turn_max = self.stats.turn_max.max(took);
    }
}
