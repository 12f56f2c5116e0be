//! TLS on one TCP connection. The protocol is implemented by rustls, which does no I/O itself.

use crate::limits::TLS_BUFFER_BYTES;
use crate::tcp::framing::FrameQueue;
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// The server side of a connection.
#[derive(Debug)]
pub(crate) struct Tls(ServerConnection);

impl Tls {
    /// For a connection that was just accepted.
    pub(crate) fn accept(config: &Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Ok(Self(connection))
    }

    /// Reads bytes that are decrypted already, or else once from the socket. A TLS error has the kind
    /// [`InvalidData`](io::ErrorKind::InvalidData); nothing can be read after it.
    pub(crate) fn read(&mut self, socket: &mut (impl Read + Write), into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end of file without close_notify is treated as an end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if self.0.read_tls(socket)? == 0 {
                return Ok(0);
            }
            let processed = self.0.process_new_packets();
            // The next flight of the handshake, or an alert. Bytes that the socket does not accept leave with
            // the next write.
            let _ = self.write_records(socket);
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    /// Encrypts and writes the queue, until the socket accepts no more: an error of kind
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub(crate) fn write(&mut self, socket: &mut impl Write, queue: &mut FrameQueue) -> io::Result<()> {
        loop {
            self.write_records(socket)?;
            if queue.is_empty() {
                return Ok(());
            }
            match queue.write(&mut self.0.writer()) {
                // The buffer of rustls is full: write it to the socket first.
                Err(error) if error.kind() == io::ErrorKind::WriteZero => {}
                done => done?,
            }
        }
    }

    /// Sends close_notify (RFC 8446 §6.1). If the socket does not accept it, the end of file has the same
    /// effect.
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
