//! One worker: a machine, its sockets, its control, one thread.

use crate::clock::{Clock, ReceiveTimestamps};
use crate::control::{Control, LoopStats, Report};
use crate::limits::{
    COMMANDS_PER_TURN, ENVELOPES_PER_TURN, EVENTS_PER_TURN, GATHER_SLEEP, PASSES_PER_TURN, POLL_EVENTS,
    READS_PER_TURN, RECEIVE_RETRY, RECEIVES_PER_TURN, SOCKETS_MAX, TIME_SLICE_NS, TIMER_SLACK_NS,
};
use crate::mailbox::Mailboxes;
use crate::sys;
use crate::tcp::bridge::{Bridge, StreamEvent};
use crate::tcp::connections::Connections;
use crate::tcp::listen::Listeners;
use crate::tokens::{CONTROL_TOKEN, ON_DEMAND_TOKEN, PEER_STREAM_TOKEN, WAKE_TOKEN};
use crate::udp::receive::{More, Receiver};
use crate::udp::send::SendBatch;
use crate::udp::sockets::Sockets;
use machine::{Instant, LocalId, Machine, SocketRequest};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// A machine with all it needs to run. Made on the main thread, where errors are reported; [`run`](Self::run) belongs on a
/// thread of its own.
#[derive(Debug)]
pub struct Worker<M, C> {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    sockets: Sockets,
    connections: Connections,
    bridge: Bridge,
    receiver: Receiver,
    batch: SendBatch,
    clock: Clock,
    machine: M,
    control: C,
    /// Bit per socket that listens from the start: whether there may be something to read. Readiness is reported once, so it
    /// is kept.
    readable: u32,
    /// Bit per such socket: whether receiving from it failed. It is asked again at `retry_at`, unless it is reported readable before.
    failed: u32,
    retry_at: Option<Instant>,
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
            connections: Connections::none(),
            bridge: Bridge::default(),
            clock,
            machine,
            control,
            readable: 0,
            failed: 0,
            retry_at: None,
            woken: true,
            unfinished: true,
            stats: LoopStats::default(),
        })
    }

    /// Takes TCP connections by these listeners besides.
    pub fn listen(mut self, listeners: Listeners) -> io::Result<Self> {
        self.connections = Connections::new(listeners, self.poll.registry())?;
        Ok(self)
    }

    /// Hands packets to the other workers by this, and takes theirs.
    pub fn with_mailboxes(mut self, mailboxes: Mailboxes) -> Self {
        mailboxes.set_waker(self.waker.clone());
        self.batch.mailboxes = mailboxes;
        self
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
        // Where that is refused, sleeps are longer and nothing else.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS));
        // Likewise packets wait for whoever else is on this core.
        let _ = sys::set_time_slice(TIME_SLICE_NS);
        while self.turn()?.is_continue() {}
        Ok((self.machine, self.control))
    }

    /// One turn: wait, receive, due timers, commands, events.
    pub fn turn(&mut self) -> io::Result<ControlFlow<()>> {
        self.wait()?;
        let started = self.clock.now();
        let flow = self.take_readiness(started);
        self.unfinished = false;
        self.retry_failed(started);
        self.receive();
        self.receive_frames();
        self.receive_envelopes();
        self.serve_peers();
        self.fire_timers();
        self.take_commands();
        self.push_events();
        let ended = self.clock.now();
        self.count_turn(ended.saturating_since(started));
        let report = Report {
            now: ended,
            turns: self.stats,
            received: self.receiver.stats(),
            sent: self.batch.stats(),
            mailboxes: self.batch.mailboxes.stats(),
            connections: self.connections.stats(),
        };
        self.control.end_turn(&mut self.machine, &report);
        Ok(flow)
    }

    /// Waits for something to do. `epoll_wait` counts whole milliseconds and mio rounds up, so a timer fires at its
    /// time or up to 1 ms (and the scheduler's delay) later, never before it.
    fn wait(&mut self) -> io::Result<()> {
        let has_input = self.is_readable() || self.connections.has_work() || self.bridge.has_work();
        let idle = !self.unfinished && !has_input && !self.woken && self.control.may_sleep();
        // Last, because from then on others think it asleep.
        let idle = idle && self.batch.mailboxes.may_sleep();
        let timeout = if idle {
            let own = self
                .retry_at
                .into_iter()
                .chain(self.connections.next_timeout())
                .chain(self.bridge.next_timeout());
            let due = own.chain(self.machine.next_timeout()).min();
            let timer = due.map(|at| at.saturating_since(self.clock.now()));
            timer.into_iter().chain(self.control.retry_after()).min()
        } else {
            Some(Duration::ZERO)
        };
        let polled = self.poll.poll(&mut self.events, timeout);
        self.batch.mailboxes.set_awake();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn take_readiness(&mut self, now: Instant) -> ControlFlow<()> {
        for event in &self.events {
            match event.token() {
                WAKE_TOKEN => self.woken = true,
                CONTROL_TOKEN => self.control.on_ready(),
                Token(socket) if socket < SOCKETS_MAX => self.readable |= 1 << socket,
                Token(socket) if (ON_DEMAND_TOKEN..CONTROL_TOKEN.0).contains(&socket) => {
                    self.sockets.on_demand().on_readable(LocalId(socket as u16));
                }
                Token(token) if token < PEER_STREAM_TOKEN => self.connections.on_readiness(now, event),
                _ => self.bridge.on_readiness(event),
            }
        }
        if std::mem::take(&mut self.woken) {
            self.control.on_wake(self.poll.registry())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Readiness is reported once, when something arrives: after a failure there may be something to read that is never reported again.
    fn retry_failed(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.readable |= std::mem::take(&mut self.failed);
            self.sockets.on_demand().retry_failed();
        }
    }

    fn is_readable(&mut self) -> bool {
        self.readable != 0 || self.sockets.on_demand().readable() > 0
    }

    /// Receives from every readable socket, a bounded number of batches each. A whole batch is fanned out before it is
    /// flushed: that is what makes runs.
    fn receive(&mut self) {
        if !self.is_readable() {
            return;
        }
        let timestamps = self.clock.receive_timestamps();
        for _ in 0..RECEIVES_PER_TURN {
            for index in 0..self.sockets.len() as u16 {
                let bit = 1 << index;
                if self.readable & bit == 0 {
                    continue;
                }
                match self.receive_batch(LocalId(index), &timestamps) {
                    Ok(More::Maybe) => {}
                    Ok(More::No) => self.readable &= !bit,
                    Err(retry_at) => {
                        self.readable &= !bit;
                        self.failed |= bit;
                        self.retry_at = Some(retry_at);
                    }
                }
            }
            for _ in 0..self.sockets.on_demand().readable() {
                let Some(local) = self.sockets.on_demand().next_readable() else { break };
                match self.receive_batch(local, &timestamps) {
                    Ok(More::Maybe) => self.sockets.on_demand().on_readable(local),
                    Ok(More::No) => {}
                    Err(retry_at) => {
                        self.sockets.on_demand().on_failed(local);
                        self.retry_at = Some(retry_at);
                    }
                }
            }
        }
    }

    /// Receives one batch from one socket. After a failure, when to ask it again.
    fn receive_batch(&mut self, local: LocalId, timestamps: &ReceiveTimestamps) -> Result<More, Instant> {
        let now = self.clock.now();
        let left = self.hand_over_batch(local, timestamps, now);
        match left {
            Ok(left) => {
                let (left, now) = self.gather(local, timestamps, (left, now));
                // Other workers begin with their part of the fan-out before this one does.
                self.batch.mailboxes.wake_receivers();
                let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
                self.machine.on_batch_end(now, &mut outbox);
                self.batch.flush_received(&self.sockets, &mut self.connections, now, self.receiver.arena());
                self.handle_socket_requests(now);
                Ok(left)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(More::No),
            Err(_) => Err(now + RECEIVE_RETRY),
        }
    }

    /// Receives what there is, and hands it to the machine.
    fn hand_over_batch(
        &mut self,
        local: LocalId,
        timestamps: &ReceiveTimestamps,
        now: Instant,
    ) -> io::Result<More> {
        let arena = self.receiver.arena().as_ptr_range();
        let outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
        let mut outbox = outbox.receiving(arena.start.addr()..arena.end.addr());
        self.receiver.receive(&self.sockets, local, timestamps, now, |datagram| {
            self.machine.on_datagram(now, datagram, &mut outbox);
        })
    }

    /// Adds to a batch what the machine expects to come in a moment: until then, and not until what it expects after that. Sleeping costs less
    /// than looking again and again. A machine that sends from the receive arena expects nothing: the next batch would overwrite that.
    fn gather(
        &mut self,
        local: LocalId,
        timestamps: &ReceiveTimestamps,
        (mut left, mut now): (More, Instant),
    ) -> (More, Instant) {
        let Some(until) = self.machine.gathering_until() else { return (left, now) };
        while now < until && self.machine.gathering_until().is_some() {
            if left == More::No {
                std::thread::sleep(GATHER_SLEEP);
            }
            now = self.clock.now();
            match self.hand_over_batch(local, timestamps, now) {
                Ok(more) => left = more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => left = More::No,
                // Whatever it is, it will be met again.
                Err(_) => return (More::Maybe, now),
            }
        }
        (left, now)
    }

    /// Takes what other workers have handed over, a bounded number, and gathers the rest of a frame as with what comes by a socket.
    fn receive_envelopes(&mut self) {
        if !self.batch.mailboxes.has_work() {
            return;
        }
        let mut now = self.clock.now();
        let mut left = ENVELOPES_PER_TURN;
        loop {
            while left > 0
                && let Some(envelope) = self.batch.mailboxes.receive()
            {
                let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
                self.machine.on_hand_off(now, envelope.from(), envelope.bytes(), &mut outbox);
                self.batch.mailboxes.recycle(envelope);
                left -= 1;
            }
            if left == 0 || self.machine.gathering_until().is_none_or(|until| until <= now) {
                break;
            }
            std::thread::sleep(GATHER_SLEEP);
            now = self.clock.now();
        }
        self.unfinished |= left == 0;
        self.machine.on_batch_end(now, &mut self.batch.outbox(&self.sockets, &mut self.connections, now));
        self.batch.flush(&self.sockets, &mut self.connections, now);
        self.handle_socket_requests(now);
    }

    /// Takes in new connections, and receives from a bounded number of those that have something.
    fn receive_frames(&mut self) {
        if !self.connections.is_listening() {
            return;
        }
        let now = self.clock.now();
        self.connections.accept(now, self.poll.registry());
        self.connections.sweep(now);
        self.close_connections(now);
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.connections.next_readable() else { break };
            let Some(mut chunk) = self.connections.read(connection) else { continue };
            let now = self.clock.now();
            let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
            let outcome =
                chunk.hand_over(now, |datagram| self.machine.on_datagram(now, datagram, &mut outbox));
            self.machine.on_batch_end(now, &mut outbox);
            self.connections.put_back(chunk, outcome);
            self.batch.flush(&self.sockets, &mut self.connections, now);
            self.handle_socket_requests(now);
        }
        self.close_connections(now);
    }

    /// Closes the connections that have ended, and tells the machine.
    fn close_connections(&mut self, now: Instant) {
        while let Some((path, joined)) = self.connections.take_closed() {
            let was_joined = joined.filter(|stream| self.bridge.close(&mut self.connections, *stream));
            let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
            was_joined.into_iter().for_each(|stream| self.machine.on_stream_closed(now, stream, &mut outbox));
            self.machine.on_path_closed(now, path, &mut outbox);
            self.handle_socket_requests(now);
        }
        self.batch.flush(&self.sockets, &mut self.connections, now);
    }

    /// Takes in those who connect to listeners of the machine's, and passes on what joined connections bring, a bounded number.
    fn serve_peers(&mut self) {
        while let Some(stream) = self.connections.next_joined() {
            self.bridge.mark_pending(stream);
        }
        if !self.bridge.is_in_use() {
            return;
        }
        let now = self.clock.now();
        self.bridge.on_timeout(now);
        for (local, socket, remote) in self.bridge.accept(now) {
            let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
            // Whoever is not wanted is closed.
            let Some(stream) = self.machine.on_stream_offered(now, local, remote, &mut outbox) else {
                continue;
            };
            if self.bridge.admit(self.poll.registry(), stream, socket).is_err() {
                self.machine.on_stream_closed(now, stream, &mut outbox);
            }
            self.handle_socket_requests(now);
        }
        for _ in 0..PASSES_PER_TURN {
            let Some(stream) = self.bridge.next_pending() else { break };
            let machine = &mut self.machine;
            let seen = self.bridge.drive(now, stream, &mut self.connections, |towards, bytes| {
                machine.on_stream_passed(now, stream, towards, bytes)
            });
            let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
            match seen {
                StreamEvent::Nothing => continue,
                StreamEvent::Connected => self.machine.on_stream_connected(now, stream, &mut outbox),
                StreamEvent::Closed => self.machine.on_stream_closed(now, stream, &mut outbox),
            }
            self.handle_socket_requests(now);
        }
        self.close_connections(now);
    }

    /// Calls the machine's timer once, if it is due. A machine that still has one due is called again in the next turn, which does not sleep:
    /// what has arrived comes in between.
    fn fire_timers(&mut self) {
        let now = self.clock.now();
        if self.machine.next_timeout().is_some_and(|at| at <= now) {
            self.machine.on_timeout(now, &mut self.batch.outbox(&self.sockets, &mut self.connections, now));
            self.handle_socket_requests(now);
            self.stats.timeouts += 1;
        }
        self.batch.flush(&self.sockets, &mut self.connections, now);
    }

    fn take_commands(&mut self) {
        let now = self.clock.now();
        let mut taken = 0;
        while taken < COMMANDS_PER_TURN
            && let Some(command) = self.control.next_command()
        {
            self.machine.on_command(
                now,
                command,
                &mut self.batch.outbox(&self.sockets, &mut self.connections, now),
            );
            self.handle_socket_requests(now);
            taken += 1;
        }
        self.stats.commands += taken as u64;
        self.unfinished |= taken == COMMANDS_PER_TURN;
        self.batch.flush(&self.sockets, &mut self.connections, now);
    }

    /// Opens and closes what the machine wants opened and closed. What it sends meanwhile has left afterwards.
    fn handle_socket_requests(&mut self, now: Instant) {
        while let Some(request) = self.machine.poll_socket_request() {
            let registry = self.poll.registry();
            match request {
                SocketRequest::Open { local, next, is_ipv6, dont_fragment } => {
                    let on_demand = self.sockets.on_demand();
                    let opened = on_demand.open(registry, (local, next), is_ipv6, dont_fragment);
                    [Some(local), next]
                        .into_iter()
                        .flatten()
                        .for_each(|local| self.receiver.on_opened(local));
                    let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
                    self.machine.on_socket_opened(now, local, opened, &mut outbox);
                }
                SocketRequest::Listen { local, is_ipv6 } => {
                    let opened = self.bridge.listen(registry, self.sockets.on_demand(), local, is_ipv6);
                    let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
                    self.machine.on_socket_opened(now, local, opened, &mut outbox);
                }
                SocketRequest::Connect { stream, local, remote } => {
                    if self.bridge.connect(registry, stream, local, remote).is_err() {
                        let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
                        self.machine.on_stream_closed(now, stream, &mut outbox);
                    }
                }
                SocketRequest::Join { stream, path } => {
                    // What was sent to the client before leaves first.
                    self.batch.flush(&self.sockets, &mut self.connections, now);
                    let client = self.connections.join(path, stream);
                    if !self.bridge.join(stream, client) {
                        self.bridge.close(&mut self.connections, stream);
                        self.connections.hang_up(path);
                        let mut outbox = self.batch.outbox(&self.sockets, &mut self.connections, now);
                        self.machine.on_stream_closed(now, stream, &mut outbox);
                    }
                }
                SocketRequest::CloseStream { stream } => {
                    self.bridge.close(&mut self.connections, stream);
                }
                SocketRequest::Close { local } => {
                    // What leaves by it is in the batch.
                    self.batch.flush(&self.sockets, &mut self.connections, now);
                    self.sockets.on_demand().close(registry, local);
                    self.bridge.close_listener(self.sockets.on_demand(), local);
                }
                SocketRequest::Keep { path } => self.connections.keep(path),
                SocketRequest::HangUp { path } => {
                    self.batch.flush(&self.sockets, &mut self.connections, now);
                    self.connections.hang_up(path);
                }
            }
        }
        self.batch.flush(&self.sockets, &mut self.connections, now);
    }

    fn push_events(&mut self) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use machine::{Datagram, Tx};
    use std::io::Write;
    use std::os::fd::OwnedFd;

    /// Hears and says nothing.
    struct Mute;

    impl Machine for Mute {
        type Command = ();
        type Event = ();

        fn on_datagram(&mut self, _: Instant, _: Datagram<'_>, _: &mut impl Tx) {}
        fn on_batch_end(&mut self, _: Instant, _: &mut impl Tx) {}
        fn on_timeout(&mut self, _: Instant, _: &mut impl Tx) {}
        fn on_command(&mut self, _: Instant, (): (), _: &mut impl Tx) {}

        fn poll_event(&mut self) -> Option<()> {
            None
        }

        fn next_timeout(&self) -> Option<Instant> {
            None
        }
    }

    impl Control<Mute> for () {
        fn on_wake(&mut self, _: &mio::Registry) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }

        fn next_command(&mut self) -> Option<()> {
            None
        }

        fn push_event(&mut self, (): ()) {}
    }

    #[test]
    fn a_socket_that_always_fails_is_asked_once_a_millisecond() {
        // A pipe can be waited for like a socket, but `recvmmsg` refuses it (ENOTSOCK).
        let (read, mut write) = std::io::pipe().expect("a pipe");
        let sockets = Sockets::of_descriptor(OwnedFd::from(read));
        let clock = Clock::start();
        let mut worker = Worker::new(sockets, clock, Mute, ()).expect("a worker");
        // Readable from here on, which is reported once.
        write.write_all(b"x").expect("room");
        let before = clock.now();
        for _ in 0..10 {
            let _ = worker.turn().expect("a turn");
        }
        let errors = worker.receiver.stats().errors;
        assert!((9..=10).contains(&errors), "asked {errors} times in 10 turns");
        let took = clock.now().saturating_since(before);
        assert!(took >= RECEIVE_RETRY * 8, "10 turns in {took:?}");
    }
}
