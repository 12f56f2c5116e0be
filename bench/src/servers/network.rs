//! A network namespace of this process: isolated, with an address that no server treats as loopback.

use anyhow::{Context, ensure};
use nix::sched::{CloneFlags, unshare};
use std::process::{Command, Stdio};

/// The address of the servers and the generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// The machine's loopback.
    Loopback,
    /// A network namespace that ends with this process.
    Own {
        /// Has an address that is not a loopback address.
        interface: String,
    },
}

/// One end of a pair; the other end is unused.
const INTERFACE: &str = "media0";

impl Network {
    /// Moves this thread, and its future children, into a separate network; stays if not permitted.
    pub fn enter() -> anyhow::Result<Self> {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            return Ok(Self::Loopback);
        }
        for line in [
            "link set lo up",
            "link add media0 type veth peer name media1",
            "addr add 10.43.0.1/32 dev media0",
            "link set media0 up",
            "link set media1 up",
        ] {
            let status = Command::new("ip").args(line.split(' ')).stdin(Stdio::null()).status();
            let status = status.context("cannot run ip; Debian has it in iproute2")?;
            ensure!(status.success(), "`ip {line}` failed in a network of our own");
        }
        Ok(Self::Own { interface: INTERFACE.to_owned() })
    }
}
