//! A worker: one thread that runs a machine with its sockets and its control.

use crate::clock::{Clock, ReceiveTimestamps};
use crate::control::{Control, LoopStats, Report};
use crate::latency::LatencyHistogram;
use crate::limits::{
    COMMANDS_PER_TURN, ENVELOPES_PER_TURN, EVENTS_PER_TURN, GATHER_SLEEP, PASSES_PER_TURN, POLL_EVENTS,
    READS_PER_TURN, RECEIVE_RETRY, RECEIVES_PER_TURN, TIME_SLICE_NS, TIMER_SLACK_NS,
};
use crate::mailbox::Mailboxes;
use crate::steering::{PortShare, read_stray};
use crate::sys;
use crate::tcp::bridge::{Bridge, StreamEvent};
use crate::tcp::connections::Connections;
use crate::tcp::listen::Listeners;
use crate::tokens::Token;
use crate::tx::Io;
use crate::udp::receive::{More, Receiver};
use crate::udp::sockets::Sockets;
use machine::{Instant, LocalId, Machine, SocketRequest};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Waker};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// A machine with everything that it needs to run. It is created on the main thread, where errors are
/// reported; [`run`](Self::run) is called on the worker's thread.
#[derive(Debug)]
pub struct Worker<M, C> {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    io: Io,
    bridge: Bridge,
    receiver: Receiver,
    /// Set if the workers share their UDP ports.
    share: Option<PortShare>,
    clock: Clock,
    machine: M,
    control: C,
    /// One bit for each socket that is open from the start: there may be something to read. Readiness is
    /// reported once, so it is remembered.
    readable: u32,
    /// One bit for each such socket: receiving failed. The next attempt is at `retry_at`, or earlier if the
    /// socket is reported readable.
    failed: u32,
    retry_at: Option<Instant>,
    /// Whether [`Control::on_wake`] is to be called.
    woken: bool,
    /// Whether the last turn left work undone, so that the next one must not wait.
    unfinished: bool,
    stats: LoopStats,
    forwarding: LatencyHistogram,
}

impl<M: Machine, C: Control<M>> Worker<M, C> {
    /// A worker that listens on `sockets` and reads the time from `clock`.
    pub fn new(sockets: Sockets, clock: Clock, machine: M, control: C) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token::Wake.into())?);
        for (local, fd) in sockets.iter() {
            let token = Token::Socket(local).into();
            poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(POLL_EVENTS),
            waker,
            receiver: Receiver::new(&sockets),
            share: None,
            io: Io::new(sockets),
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
            forwarding: LatencyHistogram::default(),
        })
    }

    /// Also accepts TCP connections on these listeners.
    pub fn listen(mut self, listeners: Listeners) -> io::Result<Self> {
        self.io.connections = Connections::new(listeners, self.poll.registry())?;
        Ok(self)
    }

    /// Exchanges packets with the other workers through these mailboxes.
    pub fn with_mailboxes(mut self, mailboxes: Mailboxes) -> Self {
        mailboxes.set_waker(self.waker.clone());
        self.io.mailboxes = mailboxes;
        self
    }

    /// Shares its UDP ports with the other workers.
    pub fn with_port_share(mut self, mut share: PortShare) -> Self {
        share.strays().set_waker(self.waker.clone());
        self.share = Some(share);
        self
    }

    /// Ends the worker's poll, from any thread, so that it calls [`Control::on_wake`].
    pub fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// The sockets, for their addresses.
    pub fn sockets(&self) -> &Sockets {
        &self.io.sockets
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The control.
    pub fn control(&self) -> &C {
        &self.control
    }

    /// Runs turns until the control stops the worker, then returns machine and control. An error comes from
    /// the poll itself; a peer cannot cause one.
    pub fn run(mut self) -> io::Result<(M, C)> {
        // If the kernel refuses this, sleeps are longer.
        let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS));
        // If the kernel refuses this, packets wait longer for other threads on this core.
        let _ = sys::set_time_slice(TIME_SLICE_NS);
        while self.turn()?.is_continue() {}
        Ok((self.machine, self.control))
    }

    /// One turn: wait, receive, call a due timer, execute commands, push events.
    pub fn turn(&mut self) -> io::Result<ControlFlow<()>> {
        self.wait()?;
        let started = self.clock.now();
        let flow = self.take_readiness(started);
        self.unfinished = false;
        self.retry_failed(started);
        self.receive();
        self.receive_frames();
        self.receive_envelopes();
        self.receive_strays();
        self.serve_peers();
        self.fire_timers();
        self.take_commands();
        self.push_events();
        self.take_claims();
        let ended = self.clock.now();
        self.count_turn(ended.saturating_since(started));
        let report = Report {
            now: ended,
            turns: self.stats,
            received: self.receiver.stats(),
            sent: self.io.batch.stats(),
            mailboxes: self.io.mailboxes.stats(),
            connections: self.io.connections.stats(),
            steering: self.share.as_ref().map(|share| (share.steering(), share.stats())),
            forwarding: self.forwarding,
        };
        self.control.end_turn(&mut self.machine, &report);
        Ok(flow)
    }

    /// Waits until there is something to do. `epoll_wait` counts whole milliseconds and mio rounds up, so a
    /// timer fires at its time or up to 1 ms (plus the scheduler's delay) later, never earlier.
    fn wait(&mut self) -> io::Result<()> {
        let has_input = self.is_readable() || self.io.connections.has_work() || self.bridge.has_work();
        let idle = !self.unfinished && !has_input && !self.woken && self.control.may_sleep();
        // Last: from here on other workers treat this one as asleep.
        let idle = idle && self.io.mailboxes.may_sleep();
        let idle = idle && self.share.as_mut().is_none_or(|share| share.strays().may_sleep());
        let timeout = if idle {
            let own = self
                .retry_at
                .into_iter()
                .chain(self.io.connections.next_timeout())
                .chain(self.bridge.next_timeout());
            let due = own.chain(self.machine.next_timeout()).min();
            let timer = due.map(|at| at.saturating_since(self.clock.now()));
            timer.into_iter().chain(self.control.retry_after()).min()
        } else {
            Some(Duration::ZERO)
        };
        let polled = self.poll.poll(&mut self.events, timeout);
        self.io.mailboxes.set_awake();
        self.share.iter_mut().for_each(|share| share.strays().set_awake());
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
            match event.token().into() {
                Token::Socket(local) => self.readable |= 1 << local.0,
                Token::OnDemand(local) => self.io.sockets.on_demand().on_readable(local),
                Token::Listener(index) => self.io.connections.on_acceptable(index),
                Token::Connection(index) => self.io.connections.on_readiness(now, index, event),
                Token::PeerListener(local) => self.bridge.on_acceptable(local),
                Token::PeerStream(stream) => self.bridge.on_readiness(stream, event),
                Token::Control => self.control.on_ready(),
                Token::Wake => self.woken = true,
            }
        }
        if std::mem::take(&mut self.woken) {
            self.control.on_wake(self.poll.registry())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Readiness is reported once, when something arrives: what a failed call left unread would never be
    /// reported again.
    fn retry_failed(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.readable |= std::mem::take(&mut self.failed);
            self.io.sockets.on_demand().retry_failed();
        }
    }

    fn is_readable(&mut self) -> bool {
        self.readable != 0 || self.io.sockets.on_demand().readable() > 0
    }

    /// Receives a bounded number of batches from every readable socket. The machine processes a whole batch
    /// before the flush, which produces long runs.
    fn receive(&mut self) {
        if !self.is_readable() {
            return;
        }
        let timestamps = self.clock.receive_timestamps();
        for _ in 0..RECEIVES_PER_TURN {
            for index in 0..self.io.sockets.len() as u16 {
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
            for _ in 0..self.io.sockets.on_demand().readable() {
                let Some(local) = self.io.sockets.on_demand().next_readable() else { break };
                match self.receive_batch(local, &timestamps) {
                    Ok(More::Maybe) => self.io.sockets.on_demand().on_readable(local),
                    Ok(More::No) => {}
                    Err(retry_at) => {
                        self.io.sockets.on_demand().on_failed(local);
                        self.retry_at = Some(retry_at);
                    }
                }
            }
        }
    }

    /// Receives one batch from one socket. The error is the time of the next attempt.
    fn receive_batch(&mut self, local: LocalId, timestamps: &ReceiveTimestamps) -> Result<More, Instant> {
        let now = self.clock.now();
        let sent_before = self.io.batch.stats().datagrams;
        let left = self.hand_over_batch(local, timestamps, now);
        match left {
            Ok((left, oldest)) => {
                let (left, now) = self.gather(local, timestamps, (left, now));
                // The other workers start their part of the fan-out before this one does.
                self.io.mailboxes.wake_receivers();
                self.share.iter_mut().for_each(|share| share.strays().wake_receivers());
                self.machine.on_batch_end(now, &mut self.io.tx(now));
                self.take_claims();
                self.io.flush_received(now, self.receiver.arena());
                if let Some(oldest) = oldest.filter(|_| self.io.batch.stats().datagrams > sent_before) {
                    self.forwarding.add(self.clock.now().saturating_since(oldest));
                }
                self.handle_socket_requests(now);
                Ok(left)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(More::No),
            Err(_) => Err(now + RECEIVE_RETRY),
        }
    }

    /// Receives one batch and passes it to the machine. Also returns when the kernel received its first datagram.
    fn hand_over_batch(
        &mut self,
        local: LocalId,
        timestamps: &ReceiveTimestamps,
        now: Instant,
    ) -> io::Result<(More, Option<Instant>)> {
        let batch = self.receiver.receive(&self.io.sockets, local)?;
        let mut tx = self.io.tx_receiving(now, self.receiver.arena());
        // A socket's queue is in the order of arrival.
        let mut oldest = None;
        self.receiver.hand_over(batch, timestamps, now, |datagram| {
            let received_at = datagram.received_at;
            if !self.share.as_mut().is_some_and(|share| share.pass_on(&datagram)) {
                oldest.get_or_insert(received_at);
                self.machine.on_datagram(now, datagram, &mut tx);
            }
        });
        Ok((batch.more(), oldest))
    }

    /// Adds to a batch the packets that the machine expects shortly, up to the first deadline that it
    /// reports. Sleeping costs less than polling. A machine that sends from the receive arena must expect
    /// nothing: the next batch would overwrite the arena.
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
                Ok((more, _)) => left = more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => left = More::No,
                // The next receive call meets the same error and handles it.
                Err(_) => return (More::Maybe, now),
            }
        }
        (left, now)
    }

    /// Receives a bounded number of envelopes from other workers, and gathers the rest of a frame as for a
    /// socket.
    fn receive_envelopes(&mut self) {
        if !self.io.mailboxes.has_work() {
            return;
        }
        let mut now = self.clock.now();
        let mut left = ENVELOPES_PER_TURN;
        loop {
            while left > 0
                && let Some(mut envelope) = self.io.mailboxes.receive()
            {
                let (buffer, from) = (envelope.take_buffer(), envelope.from());
                let (bytes, tx) = (envelope.bytes(), &mut self.io.tx(now));
                match buffer {
                    Some(buffer) => self.machine.on_hand_off_buffer(now, from, bytes, buffer, tx),
                    None => self.machine.on_hand_off(now, from, bytes, tx),
                }
                self.io.mailboxes.recycle(envelope);
                left -= 1;
            }
            if left == 0 || self.machine.gathering_until().is_none_or(|until| until <= now) {
                break;
            }
            std::thread::sleep(GATHER_SLEEP);
            now = self.clock.now();
        }
        self.unfinished |= left == 0;
        self.machine.on_batch_end(now, &mut self.io.tx(now));
        self.io.flush(now);
        self.handle_socket_requests(now);
    }

    /// Receives a bounded number of datagrams that arrived at other workers.
    fn receive_strays(&mut self) {
        if !self.share.as_ref().is_some_and(PortShare::has_work) {
            return;
        }
        let now = self.clock.now();
        let mut left = ENVELOPES_PER_TURN;
        while left > 0
            && let Some(share) = &mut self.share
            && let Some(mut envelope) = share.receive()
        {
            if let Some(datagram) = read_stray(envelope.bytes_mut()) {
                self.machine.on_datagram(now, datagram, &mut self.io.tx(now));
            }
            share.strays().recycle(envelope);
            left -= 1;
        }
        self.unfinished |= left == 0;
        self.machine.on_batch_end(now, &mut self.io.tx(now));
        self.take_claims();
        self.io.flush(now);
        self.handle_socket_requests(now);
    }

    /// Carries out the claims of the machine.
    fn take_claims(&mut self) {
        let Some(share) = &mut self.share else { return };
        let now = self.clock.now();
        while let Some(claim) = self.machine.poll_path_claim() {
            share.on_claim(now, claim);
        }
    }

    /// Accepts new connections, and reads from a bounded number of readable ones.
    fn receive_frames(&mut self) {
        if !self.io.connections.is_listening() {
            return;
        }
        let now = self.clock.now();
        self.io.connections.accept(now, self.poll.registry());
        self.io.connections.sweep(now);
        self.close_connections(now);
        for _ in 0..READS_PER_TURN {
            let Some(connection) = self.io.connections.next_readable() else { break };
            let Some(mut chunk) = self.io.connections.read(connection) else { continue };
            let now = self.clock.now();
            let mut tx = self.io.tx(now);
            let outcome = chunk.hand_over(now, |datagram| self.machine.on_datagram(now, datagram, &mut tx));
            self.machine.on_batch_end(now, &mut tx);
            self.io.connections.put_back(chunk, outcome);
            self.io.flush(now);
            self.handle_socket_requests(now);
        }
        self.close_connections(now);
    }

    /// Removes the connections that have closed, and reports each to the machine.
    fn close_connections(&mut self, now: Instant) {
        while let Some((path, joined)) = self.io.connections.take_closed() {
            let was_joined = joined.filter(|stream| self.bridge.close(&mut self.io.connections, *stream));
            let mut tx = self.io.tx(now);
            was_joined.into_iter().for_each(|stream| self.machine.on_stream_closed(now, stream, &mut tx));
            self.machine.on_path_closed(now, path, &mut tx);
            self.handle_socket_requests(now);
        }
        self.io.flush(now);
    }

    /// Accepts peers on the machine's listeners, and forwards bytes of a bounded number of joined
    /// connections.
    fn serve_peers(&mut self) {
        while let Some(stream) = self.io.connections.next_joined() {
            self.bridge.mark_pending(stream);
        }
        if !self.bridge.is_in_use() {
            return;
        }
        let now = self.clock.now();
        self.bridge.on_timeout(now);
        for (local, socket, remote) in self.bridge.accept(now) {
            let mut tx = self.io.tx(now);
            // A connection that the machine does not want is closed by its drop.
            let Some(stream) = self.machine.on_stream_offered(now, local, remote, &mut tx) else {
                continue;
            };
            if self.bridge.admit(self.poll.registry(), stream, socket).is_err() {
                self.machine.on_stream_closed(now, stream, &mut tx);
            }
            self.handle_socket_requests(now);
        }
        for _ in 0..PASSES_PER_TURN {
            let Some(stream) = self.bridge.next_pending() else { break };
            let machine = &mut self.machine;
            let event = self.bridge.drive(now, stream, &mut self.io.connections, |towards, bytes| {
                machine.on_stream_passed(now, stream, towards, bytes)
            });
            let mut tx = self.io.tx(now);
            match event {
                None => continue,
                Some(StreamEvent::Connected) => self.machine.on_stream_connected(now, stream, &mut tx),
                Some(StreamEvent::Closed) => self.machine.on_stream_closed(now, stream, &mut tx),
            }
            self.handle_socket_requests(now);
        }
        self.close_connections(now);
    }

    /// Calls the machine's timer once, if it is due. If a timer is still due, the next turn calls it without
    /// sleeping: packets that have arrived are received in between.
    fn fire_timers(&mut self) {
        let now = self.clock.now();
        if self.machine.next_timeout().is_some_and(|at| at <= now) {
            self.machine.on_timeout(now, &mut self.io.tx(now));
            self.handle_socket_requests(now);
            self.stats.timeouts += 1;
        }
        self.io.flush(now);
    }

    fn take_commands(&mut self) {
        let now = self.clock.now();
        let mut taken = 0;
        while taken < COMMANDS_PER_TURN
            && let Some(command) = self.control.next_command()
        {
            self.machine.on_command(now, command, &mut self.io.tx(now));
            self.handle_socket_requests(now);
            taken += 1;
        }
        self.stats.commands += taken as u64;
        self.unfinished |= taken == COMMANDS_PER_TURN;
        self.io.flush(now);
    }

    /// Executes the socket requests of the machine, and flushes what the machine sends meanwhile.
    fn handle_socket_requests(&mut self, now: Instant) {
        while let Some(request) = self.machine.poll_socket_request() {
            let registry = self.poll.registry();
            match request {
                SocketRequest::Open { local, next, is_ipv6, dont_fragment } => {
                    let on_demand = self.io.sockets.on_demand();
                    let opened = on_demand.open(registry, (local, next), is_ipv6, dont_fragment);
                    [Some(local), next]
                        .into_iter()
                        .flatten()
                        .for_each(|local| self.receiver.on_opened(local));
                    self.machine.on_socket_opened(now, local, opened, &mut self.io.tx(now));
                }
                SocketRequest::Listen { local, is_ipv6 } => {
                    let opened = self.bridge.listen(registry, self.io.sockets.on_demand(), local, is_ipv6);
                    self.machine.on_socket_opened(now, local, opened, &mut self.io.tx(now));
                }
                SocketRequest::Connect { stream, local, remote } => {
                    if self.bridge.connect(registry, stream, local, remote).is_err() {
                        self.machine.on_stream_closed(now, stream, &mut self.io.tx(now));
                    }
                }
                SocketRequest::Join { stream, path } => {
                    // Datagrams that were sent to the client before leave first.
                    self.io.flush(now);
                    let client = self.io.connections.join(path, stream);
                    if !self.bridge.join(stream, client) {
                        self.bridge.close(&mut self.io.connections, stream);
                        self.io.connections.hang_up(path);
                        self.machine.on_stream_closed(now, stream, &mut self.io.tx(now));
                    }
                }
                SocketRequest::CloseStream { stream } => {
                    self.bridge.close(&mut self.io.connections, stream);
                }
                SocketRequest::Close { local } => {
                    // The batch may hold datagrams that leave by this socket.
                    self.io.flush(now);
                    self.io.sockets.on_demand().close(registry, local);
                    self.bridge.close_listener(self.io.sockets.on_demand(), local);
                }
                SocketRequest::Keep { path } => self.io.connections.keep(path),
                SocketRequest::HangUp { path } => {
                    self.io.flush(now);
                    self.io.connections.hang_up(path);
                }
            }
        }
        self.io.flush(now);
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

    /// Ignores its input and sends nothing.
    struct Silent;

    impl Machine for Silent {
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

    impl Control<Silent> for () {
        fn on_wake(&mut self, _: &mio::Registry) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }

        fn next_command(&mut self) -> Option<()> {
            None
        }

        fn push_event(&mut self, (): ()) {}
    }

    #[test]
    fn a_socket_that_always_fails_is_retried_once_a_millisecond() {
        // epoll accepts a pipe, but `recvmmsg` refuses it (ENOTSOCK).
        let (read, mut write) = std::io::pipe().expect("a pipe");
        let sockets = Sockets::of_descriptor(OwnedFd::from(read));
        let clock = Clock::start();
        let mut worker = Worker::new(sockets, clock, Silent, ()).expect("a worker");
        // The pipe is readable from here on; that is reported once.
        write.write_all(b"x").expect("room");
        let before = clock.now();
        for _ in 0..10 {
            let _ = worker.turn().expect("a turn");
        }
        let errors = worker.receiver.stats().errors;
        assert!((9..=10).contains(&errors), "{errors} attempts in 10 turns");
        let took = clock.now().saturating_since(before);
        assert!(took >= RECEIVE_RETRY * 8, "10 turns in {took:?}");
    }
}
