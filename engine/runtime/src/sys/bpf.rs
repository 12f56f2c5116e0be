//! bpf(2): maps and programs that choose the socket of a group with `SO_REUSEPORT`. Needs `CAP_BPF`, except for
//! classic programs.

use crate::sys::address::{ADDRESS_BYTES, encode};
use std::io;
use std::mem::size_of;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE: libc::c_int = 2;
const MAP_DELETE: libc::c_int = 3;
const PROGRAM_LOAD: libc::c_int = 5;

const MAP_TYPE_HASH: u32 = 1;
const MAP_TYPE_REUSEPORT_SOCKETS: u32 = 20;
const PROGRAM_TYPE_SK_REUSEPORT: u32 = 21;
/// Entries are allocated when they are added (`BPF_F_NO_PREALLOC`).
const NO_PREALLOCATION: u32 = 1;

/// Bytes of the key of a flow: address (16, IPv4 in the first four), port, two of padding.
pub(crate) const FLOW_KEY_BYTES: usize = 20;

/// One instruction (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Destination in the lower four bits, source in the upper ones.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// The attributes of every command here, as long as the longest one that is used (`union bpf_attr`).
#[repr(C, align(8))]
struct Attributes([u8; 72]);

impl Attributes {
    fn new() -> Self {
        Self([0; 72])
    }

    fn with_u32(mut self, at: usize, value: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    /// The address of memory that the caller keeps until the call returns.
    fn with_address<T>(mut self, at: usize, address: *const T) -> Self {
        self.0[at..at + 8].copy_from_slice(&(address.expose_provenance() as u64).to_ne_bytes());
        self
    }

    /// # Safety
    ///
    /// The addresses in the attributes must be valid for what the command reads there.
    unsafe fn call(&self, command: libc::c_int) -> io::Result<RawFd> {
        // SAFETY: the kernel reads 72 bytes of the attributes, which live until the call returns, and what the
        // caller promises.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_ptr(), self.0.len()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
    }
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just returned this descriptor, and nothing else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn create_map(kind: u32, (key, value): (usize, usize), entries: usize, flags: u32) -> io::Result<OwnedFd> {
    let attributes = Attributes::new()
        .with_u32(0, kind)
        .with_u32(4, key as u32)
        .with_u32(8, value as u32)
        .with_u32(12, entries as u32)
        .with_u32(16, flags);
    // SAFETY: the attributes have no addresses.
    unsafe { attributes.call(MAP_CREATE) }.map(owned)
}

/// A map from the source address of a flow to a worker.
#[derive(Debug)]
pub(crate) struct FlowMap(OwnedFd);

impl FlowMap {
    pub(crate) fn new(entries: usize) -> io::Result<Self> {
        create_map(MAP_TYPE_HASH, (FLOW_KEY_BYTES, size_of::<u32>()), entries, NO_PREALLOCATION).map(Self)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn set(&self, remote: SocketAddr, worker: u32) -> io::Result<()> {
        let key = flow_key(remote);
        let attributes = Attributes::new()
            .with_u32(0, self.fd() as u32)
            .with_address(8, key.as_ptr())
            .with_address(16, &raw const worker);
        // SAFETY: the kernel reads the key and the value, which have the sizes of the map.
        unsafe { attributes.call(MAP_UPDATE) }.map(|_| ())
    }

    pub(crate) fn remove(&self, remote: SocketAddr) -> io::Result<()> {
        let key = flow_key(remote);
        let attributes = Attributes::new().with_u32(0, self.fd() as u32).with_address(8, key.as_ptr());
        // SAFETY: the kernel reads the key, which has the size of the map's keys.
        unsafe { attributes.call(MAP_DELETE) }.map(|_| ())
    }
}

fn flow_key(remote: SocketAddr) -> [u8; FLOW_KEY_BYTES] {
    let mut bytes = [0; ADDRESS_BYTES];
    encode(remote, &mut bytes);
    let mut key = [0; FLOW_KEY_BYTES];
    let ip = if remote.is_ipv4() { &bytes[4..8] } else { &bytes[8..24] };
    key[..ip.len()].copy_from_slice(ip);
    key[16..18].copy_from_slice(&bytes[2..4]);
    key
}

/// The sockets of a group, by the number of the worker.
#[derive(Debug)]
pub(crate) struct SocketMap(OwnedFd);

impl SocketMap {
    /// The sockets must be bound with `SO_REUSEPORT`.
    pub(crate) fn new<'s>(sockets: impl ExactSizeIterator<Item = BorrowedFd<'s>>) -> io::Result<Self> {
        let sizes = (size_of::<u32>(), size_of::<u64>());
        let map = create_map(MAP_TYPE_REUSEPORT_SOCKETS, sizes, sockets.len(), 0)?;
        for (number, socket) in sockets.enumerate() {
            let (key, value) = (number as u32, socket.as_raw_fd() as u64);
            let attributes = Attributes::new()
                .with_u32(0, map.as_raw_fd() as u32)
                .with_address(8, &raw const key)
                .with_address(16, &raw const value);
            // SAFETY: the kernel reads the key and the value, which have the sizes of the map.
            unsafe { attributes.call(MAP_UPDATE) }?;
        }
        Ok(Self(map))
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Loads a program of the type `SK_REUSEPORT`. The kernel checks it: a wrong one is an error.
pub(crate) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    // Helpers of this program type need a compatible licence.
    let licence = c"GPL";
    let attributes = Attributes::new()
        .with_u32(0, PROGRAM_TYPE_SK_REUSEPORT)
        .with_u32(4, program.len() as u32)
        .with_address(8, program.as_ptr())
        .with_address(16, licence.as_ptr());
    // SAFETY: the kernel reads this number of instructions, and the text up to its zero byte.
    unsafe { attributes.call(PROGRAM_LOAD) }.map(owned)
}

/// Lets a loaded program choose for the group of this socket.
pub(crate) fn attach(socket: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    super::set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_EBPF, program.as_raw_fd())
}

/// One instruction of classic BPF (`struct sock_filter`).
pub(crate) type Classic = libc::sock_filter;

/// Lets a classic program choose for the group of this socket; its sockets are numbered as they were bound.
pub(crate) fn attach_classic(socket: BorrowedFd<'_>, program: &[Classic]) -> io::Result<()> {
    // The kernel does not write to it.
    let whole = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `whole`, and the instructions that it points to; both live until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const whole).cast(),
            size_of::<libc::sock_fprog>() as u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
