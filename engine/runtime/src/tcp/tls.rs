//! TLS on one TCP connection. The protocol is rustls', which does no I/O of its own.

use crate::limits::TLS_BUFFER_BYTES;
use crate::tcp::framing::FrameQueue;
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// The server's end.
#[derive(Debug)]
pub(crate) struct Tls(ServerConnection);

impl Tls {
    /// Of a connection that has just been accepted.
    pub(crate) fn accept(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Ok(Self(connection))
    }

    /// Reads what has been decrypted already, or else once from the socket. What is not TLS, or not what was agreed, is an
    /// error of kind [`InvalidData`](io::ErrorKind::InvalidData), after which nothing can be read any more.
    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A connection that ends without saying goodbye is at its end all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if self.0.read_tls(socket)? == 0 {
                return Ok(0);
            }
            let processed = self.0.process_new_packets();
            // The handshake's next flight, or the alert that says what was wrong. What the socket does not take goes with the
            // next write.
            let _ = self.write_records(socket);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Encrypts what waits, and writes it until the socket takes no more: an error of kind
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub(crate) fn write(&mut self, socket: &mut impl Write, queue: &mut FrameQueue) -> io::Result<()> {
        loop {
            self.write_records(socket)?;
            if queue.is_empty() {
                return Ok(());
            }
            match queue.write(&mut self.0.writer()) {
                // Its buffer is full: to the socket with it first.
                Err(error) if error.kind() == io::ErrorKind::WriteZero => {}
                done => done?,
            }
        }
    }

    /// Says that nothing more comes (RFC 8446 §6.1). What the socket does not take of it is lost: its end says the same.
    pub(crate) fn close_notify(&mut self, socket: &mut impl Write) -> io::Result<()> {
        self.0.send_close_notify();
        match self.write_records(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done,
        }
    }

    fn write_records(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(socket)?;
        }
        Ok(())
    }
}
