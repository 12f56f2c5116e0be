//! A connection that has not yet said a whole hello.

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

/// How far a connection has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing more to read now.
    Waiting,
    /// It said all there is to say.
    Said(Hello),
    /// It hung up.
    Gone,
}

impl Pending {
    /// `socket` must be non-blocking.
    pub(crate) fn new(socket: OwnedFd, deadline: Instant) -> Self {
        Self { socket, deadline, hello: [0; HELLO_BYTES], received: 0 }
    }

    /// Reads what has come. Never blocks; descriptors that a stranger sends along are closed by the kernel.
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
        Progress::Said(Hello::decode(&self.hello))
    }
}
