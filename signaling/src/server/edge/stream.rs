//! A client's TCP connection: it can be cut from elsewhere, it ends when the client stops reading, and it holds its place until it is gone.

use super::QuotaPermit;
use crate::limits;
use bytes::{Buf, Bytes};
use rustix::net::Shutdown;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A connection as hyper and Engine.IO use it.
pub struct ClientStream {
    tcp: Arc<TcpStream>,
    /// Read already, before HTTP began.
    first: Bytes,
    /// Runs while the client reads nothing of what is to be sent.
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: QuotaPermit,
}

/// Cuts a connection, wherever its stream is by now. Does not keep it open.
#[derive(Clone, Debug)]
pub struct StreamHandle(Weak<TcpStream>);

impl StreamHandle {
    pub(super) fn new(tcp: &Arc<TcpStream>) -> Self {
        Self(Arc::downgrade(tcp))
    }

    /// Whether the connection is still there.
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Ends the connection at once, in both directions. What the client has not read is dropped.
    pub fn cut(&self) {
        let Some(tcp) = self.0.upgrade() else { return };
        // Fails only for a connection that has ended.
        let _ = rustix::net::sockopt::set_socket_linger(&*tcp, Some(Duration::ZERO));
        let _ = rustix::net::shutdown(&*tcp, Shutdown::Both);
    }
}

impl ClientStream {
    pub(super) fn new(tcp: Arc<TcpStream>, first: Bytes, permit: QuotaPermit) -> Self {
        Self { tcp, first, stalled: None, _permit: permit }
    }

    /// Tries to write whenever the socket takes something.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while self.tcp.poll_write_ready(cx)?.is_ready() {
            match write(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.stalled = None;
                    return Poll::Ready(written);
                }
            }
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limits::STALL_TIMEOUT)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.has_remaining() {
            let len = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(len));
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            match self.tcp.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |tcp| tcp.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, |tcp| tcp.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&*self.tcp, Shutdown::Write).map_err(Into::into))
    }
}
