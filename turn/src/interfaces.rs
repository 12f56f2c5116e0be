//! The addresses of this host's interfaces: read at the start, and again when the kernel reports a change.
//! Clients cannot reach them through the relay, unless the options allow it.

use crate::control::Order;
use crate::limits::{INTERFACES_READ_EVERY, INTERFACES_RETRY};
use crossbeam_channel::Sender;
use mio::Waker;
use nix::ifaddrs::getifaddrs;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, recv,
    socket,
};
use relay::{Command, Interfaces};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The current addresses.
pub fn read() -> io::Result<Interfaces> {
    let ip = |address: SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    Ok(getifaddrs()?.filter_map(|interface| ip(interface.address?)).collect())
}

/// The kernel's notifications of address changes.
#[derive(Debug)]
pub struct Changes(OwnedFd);

impl Changes {
    /// Subscribes to changes from now on.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let netlink = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        let groups = (RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR).cast_unsigned();
        bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self(netlink))
    }

    /// Waits for a change, or until the time is over. The content of the change is not used: all addresses
    /// are read again.
    fn wait(&self, longest: Duration) {
        let timeout = Timespec { tv_sec: longest.as_secs().cast_signed(), tv_nsec: 0 };
        // A signal ends the wait early, which costs one extra read.
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout));
        // Reads until the queue is empty. A queue overflow is one error, and counts as a change.
        let mut buffer = [0; 8192];
        while recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).is_ok() {}
    }
}

/// Sends each change to all workers, until the process ends. `known` is the state at their start.
pub fn watch(
    changes: Option<Changes>,
    mut known: Interfaces,
    workers: Vec<(Sender<Order>, Arc<Waker>)>,
) -> io::Result<()> {
    let watch = move || {
        loop {
            match &changes {
                Some(changes) => changes.wait(INTERFACES_READ_EVERY),
                None => std::thread::sleep(INTERFACES_RETRY),
            }
            let interfaces = match read() {
                Ok(interfaces) => interfaces,
                Err(error) => {
                    tracing::error!(%error, "cannot read the addresses of the interfaces; retrying");
                    std::thread::sleep(INTERFACES_RETRY);
                    continue;
                }
            };
            if interfaces == known {
                continue;
            }
            for (orders, waker) in &workers {
                // Waits for room: no change may be lost. The queue of a worker that has ended is closed.
                let _ = orders.send(Order::Command(Command::SetInterfaces(interfaces.clone())));
                // Without a wake the worker reads the message in its next turn.
                let _ = waker.wake();
            }
            tracing::info!("the addresses of the interfaces have changed");
            known = interfaces;
        }
    };
    std::thread::Builder::new().name("interfaces".to_owned()).spawn(watch).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay::Policy;
    use std::net::Ipv4Addr;

    #[test]
    fn the_addresses_of_this_host_are_read() {
        let loopback: Interfaces = [IpAddr::V4(Ipv4Addr::LOCALHOST)].into_iter().collect();
        assert_ne!(read().expect("every host has interfaces"), Interfaces::default());
        // If the host has a non-loopback address, that address must be excluded.
        let outward = std::net::UdpSocket::bind("0.0.0.0:0").expect("a port");
        if outward.connect("8.8.8.8:9").is_ok() {
            let own = outward.local_addr().expect("bound");
            let policy = Policy { interfaces: read().expect("addresses"), ..Policy::default() };
            assert!(!policy.admits(own) && policy != Policy { interfaces: loopback, ..Policy::default() });
        }
    }
}
