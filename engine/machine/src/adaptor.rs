//! A machine that wraps another one.

use crate::{
    Datagram, Instant, LocalId, Machine, Path, PathClaim, SocketError, SocketRequest, StreamId, Towards, Tx,
    WorkerId,
};
use std::net::SocketAddr;

/// A machine that wraps an inner one. It changes how datagrams are received and sent, and adds timers; every
/// other call of the driver reaches the inner machine. So an adaptor cannot forget to pass on a call that has
/// a default in [`Machine`].
///
/// Every adaptor is a [`Machine`] with the commands and events of the inner one.
pub trait Adaptor {
    /// The machine inside.
    type Inner: Machine;
    /// The send batch as the inner machine sees it.
    type InnerTx<'t, T: Tx + 't>: Tx
    where
        Self: 't;

    /// The inner machine.
    fn inner(&self) -> &Self::Inner;

    /// The inner machine, for its requests and events.
    fn inner_mut(&mut self) -> &mut Self::Inner;

    /// The inner machine and its send batch, for one call.
    fn enter<'t, T: Tx>(&'t mut self, tx: &'t mut T) -> (&'t mut Self::Inner, Self::InnerTx<'t, T>);

    /// After that call: sends what the inner machine wrote.
    fn leave(&mut self, now: Instant, tx: &mut impl Tx);

    /// As [`Machine::on_datagram`].
    fn adapt_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx);

    /// Sees a command before the inner machine carries it out.
    fn adapt_command(&mut self, command: &<Self::Inner as Machine>::Command);

    /// Handles the timers of the adaptor, after those of the inner machine.
    fn adapt_timeout(&mut self, now: Instant, tx: &mut impl Tx);

    /// The deadline of [`adapt_timeout`](Self::adapt_timeout).
    fn adapted_timeout(&self) -> Option<Instant>;
}

/// Passes a call to the inner machine.
macro_rules! pass {
    ($adaptor:ident, $now:ident, $tx:ident, |$inner:ident, $inner_tx:ident| $call:expr) => {{
        let result = {
            let ($inner, mut inner_tx) = $adaptor.enter($tx);
            let $inner_tx = &mut inner_tx;
            $call
        };
        $adaptor.leave($now, $tx);
        result
    }};
}

impl<A: Adaptor> Machine for A {
    type Command = <A::Inner as Machine>::Command;
    type Event = <A::Inner as Machine>::Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        self.adapt_datagram(now, datagram, tx);
    }

    fn on_hand_off(&mut self, now: Instant, from: WorkerId, bytes: &[u8], tx: &mut impl Tx) {
        pass!(self, now, tx, |inner, tx| inner.on_hand_off(now, from, bytes, tx));
    }

    fn on_hand_off_buffer(
        &mut self,
        now: Instant,
        from: WorkerId,
        head: &[u8],
        body: Box<[u8]>,
        tx: &mut impl Tx,
    ) {
        pass!(self, now, tx, |inner, tx| inner.on_hand_off_buffer(now, from, head, body, tx));
    }

    fn on_path_closed(&mut self, now: Instant, path: Path, tx: &mut impl Tx) {
        pass!(self, now, tx, |inner, tx| inner.on_path_closed(now, path, tx));
    }

    fn gathering_until(&self) -> Option<Instant> {
        self.inner().gathering_until()
    }

    fn on_batch_end(&mut self, now: Instant, tx: &mut impl Tx) {
        pass!(self, now, tx, |inner, tx| inner.on_batch_end(now, tx));
    }

    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        if self.inner().next_timeout().is_some_and(|at| at <= now) {
            pass!(self, now, tx, |inner, tx| inner.on_timeout(now, tx));
        }
        self.adapt_timeout(now, tx);
    }

    fn on_command(&mut self, now: Instant, command: Self::Command, tx: &mut impl Tx) {
        self.adapt_command(&command);
        pass!(self, now, tx, |inner, tx| inner.on_command(now, command, tx));
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.inner_mut().poll_socket_request()
    }

    fn poll_path_claim(&mut self) -> Option<PathClaim> {
        self.inner_mut().poll_path_claim()
    }

    fn on_socket_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        pass!(self, now, tx, |inner, tx| inner.on_socket_opened(now, local, opened, tx));
    }

    fn on_stream_offered(
        &mut self,
        now: Instant,
        local: LocalId,
        remote: SocketAddr,
        tx: &mut impl Tx,
    ) -> Option<StreamId> {
        pass!(self, now, tx, |inner, tx| inner.on_stream_offered(now, local, remote, tx))
    }

    fn on_stream_connected(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        pass!(self, now, tx, |inner, tx| inner.on_stream_connected(now, stream, tx));
    }

    fn on_stream_passed(
        &mut self,
        now: Instant,
        stream: StreamId,
        towards: Towards,
        bytes: usize,
    ) -> Instant {
        self.inner_mut().on_stream_passed(now, stream, towards, bytes)
    }

    fn on_stream_closed(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        pass!(self, now, tx, |inner, tx| inner.on_stream_closed(now, stream, tx));
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.inner_mut().poll_event()
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.adapted_timeout().into_iter().chain(self.inner().next_timeout()).min()
    }
}
