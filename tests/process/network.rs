//! A small network for tests: a client's network, a NAT, and a server's network, each a network namespace of
//! the kernel.
//!
//! A namespace exists as long as its process, which ends with the test.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The server's address: a public one, in an isolated network.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);
/// The NAT's address on the server's side: the source address of its clients.
pub const NAT: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 2);

/// How a NAT chooses a client's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// The client's own port, for every destination.
    PortPreserving,
    /// Another one for each destination: a symmetric NAT.
    Symmetric,
}

/// Client, NAT and server.
#[derive(Debug)]
pub struct Internet {
    pub client: Namespace,
    pub nat: Namespace,
    pub server: Namespace,
}

impl Internet {
    /// From behind the NAT all hosts can be reached, but not in the other direction without an outgoing
    /// packet.
    pub fn new(mapping: Mapping) -> Self {
        let [client, nat, server] = std::array::from_fn(|_| Namespace::new());
        client.connect("inside", &nat, "private");
        nat.connect("public", &server, "outside");
        client.run("ip addr add 192.168.7.2/24 dev inside");
        nat.run("ip addr add 192.168.7.1/24 dev private");
        nat.run(&format!("ip addr add {NAT}/24 dev public"));
        server.run(&format!("ip addr add {SERVER}/24 dev outside"));
        client.run("ip route add default via 192.168.7.1");
        nat.run("sysctl -qw net.ipv4.ip_forward=1");
        let random = if mapping == Mapping::Symmetric { " --random-fully" } else { "" };
        nat.run(&format!("iptables -t nat -A POSTROUTING -o public -j MASQUERADE{random}"));
        nat.run("iptables -A FORWARD -i public -m conntrack --ctstate NEW -j DROP");
        Self { client, nat, server }
    }

    /// Drops UDP packets from clients to the server, except to these ports.
    pub fn block_udp_except(&self, ports: &str) {
        self.nat
            .run(&format!("iptables -A FORWARD -i private -p udp -m multiport ! --dports {ports} -j DROP"));
    }
}

/// A separate network with its own interfaces.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// One with loopback alone.
    pub fn new() -> Self {
        // Longer than any test, in case this process dies first.
        let holder = Command::new("unshare").args(["--net", "sleep", "300"]).stdin(Stdio::null()).spawn();
        let mut namespace = Self { holder: holder.expect("unshare, of util-linux") };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let deadline = Instant::now() + crate::PATIENCE;
        // Until then it is still in our namespace.
        while std::fs::read_link(namespace.path()).map_or(true, |other| other == own) {
            assert!(
                namespace.holder.try_wait().unwrap().is_none() && Instant::now() < deadline,
                "this machine gives us no network namespace: run the tests as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN"
            );
            sleep(Duration::from_millis(5));
        }
        namespace.run("ip link set lo up");
        namespace
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// A program that runs there; more arguments may follow.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a command line there, which must succeed.
    pub fn run(&self, line: &str) {
        let mut words = line.split(' ');
        let output =
            self.command(words.next().unwrap()).args(words).output().expect("nsenter, of util-linux");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "`{line}` failed in a network namespace (it needs root, CAP_NET_ADMIN and a writable /proc/sys; .ci/test installs ip, \
             iptables and sysctl): {said}"
        );
    }

    /// Connects it to another one.
    fn connect(&self, here: &str, other: &Self, there: &str) {
        let to = other.holder.id();
        self.run(&format!("ip link add {here} type veth peer name {there} netns {to}"));
        self.run(&format!("ip link set {here} up"));
        other.run(&format!("ip link set {there} up"));
    }

    /// Runs a thread there: its sockets belong to that network.
    pub fn live<T: Send>(&self, life: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.path()).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                life()
            });
            // Its output has been read.
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
