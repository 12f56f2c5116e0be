//! A connection without a complete hello.

use crate::wire::{HELLO_BYTES, Hello};
use rustix::net::{RecvFlags, recv};
use std::os::fd::OwnedFd;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) socket: OwnedFd,
    pub(crate) deadline: Instant,
    hello: [u8; HELLO_BYTES],
    received: usize,
}

/// The progress of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing more to read now.
    Waiting,
    /// The hello is complete.
    Complete(Hello),
    /// The peer has closed the connection.
    Gone,
}

impl Pending {
    /// `socket` must be non-blocking.
    pub(crate) fn new(socket: OwnedFd, deadline: Instant) -> Self {
        Self { socket, deadline, hello: [0; HELLO_BYTES], received: 0 }
    }

    /// Reads available bytes. Never blocks; descriptors that are sent along are closed by the kernel.
    pub(crate) fn progress(&mut self) -> Progress {
        while self.received < HELLO_BYTES {
            match recv(&self.socket, &mut self.hello[self.received..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Progress::Gone,
                Ok((len, _)) => self.received += len,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Progress::Waiting,
                Err(_) => return Progress::Gone,
            }
        }
        Progress::Complete(Hello::decode(&self.hello))
    }
}
