//! Doorbells: one side wakes the other from its poll.

use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A non-blocking eventfd. It only means "look at the ring"; any number of rings before the other side looks
/// count as one.
///
/// Both sides have the same open eventfd, so dropping it does not remove it from an epoll in which it was
/// registered: deregister it first, or the peer can continue to wake the poll.
#[derive(Debug)]
pub struct Doorbell(OwnedFd);

impl Doorbell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Makes the descriptor readable on the other side.
    pub fn ring(&self) {
        // A write to an eventfd fails only if the counter is at its maximum; then it is readable already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Clears the doorbell, before looking at the ring buffer; returns whether it had been rung.
    pub fn clear(&self) -> bool {
        rustix::io::read(&self.0, &mut [0u8; 8]).is_ok()
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rings_count_as_one() {
        let doorbell = Doorbell::new().expect("an eventfd");
        assert!(!doorbell.clear());
        doorbell.ring();
        doorbell.ring();
        assert!(doorbell.clear());
        assert!(!doorbell.clear());
    }

    #[test]
    fn a_counter_at_its_end_does_not_block_the_ringer() {
        let doorbell = Doorbell::new().expect("an eventfd");
        rustix::io::write(&doorbell, &(u64::MAX - 1).to_ne_bytes()).expect("fill the counter");
        doorbell.ring();
        assert!(doorbell.clear());
    }
}
