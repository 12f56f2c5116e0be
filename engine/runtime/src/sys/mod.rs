//! The system calls of batches, and the settings of the C library's allocator. All `unsafe` of this crate is
//! here; every function is safe to call with any arguments.

pub(crate) mod address;
pub(crate) mod bpf;
pub(crate) mod pin;

use crate::limits::{PREFETCH_BYTES_MAX, RECEIVE_MESSAGES, SEND_MESSAGES, SEND_PIECES};
use address::ADDRESS_BYTES;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Bytes of control messages per received message: timestamp (32), GRO size (24), overflow count (24), and a
/// reserve.
const CONTROL_BYTES: usize = 128;
/// `CMSG_SPACE` of the control message that is sent: a header of 16 bytes, and a `u16` padded to 8.
const SEGMENT_CONTROL_BYTES: usize = 24;
/// `CMSG_LEN` of the same.
const SEGMENT_CONTROL_LEN: usize = 18;
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();
const _: () = assert!(CONTROL_HEADER == 16, "written for 64-bit Linux");

/// Sets an integer option of a socket.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the kernel reads four bytes from the address of `value`, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Requests a shorter time slice for this thread (sched_setattr(2), from Linux 6.12; no effect before): a
/// thread with a short slice preempts a running one that has a longer slice. Policy and niceness stay
/// unchanged.
pub(crate) fn set_time_slice(ns: u64) -> io::Result<()> {
    let mut attributes = scheduling()?;
    let policy = attributes.sched_policy as libc::c_int;
    if policy != libc::SCHED_OTHER && policy != libc::SCHED_BATCH {
        return Ok(()); // A thread with a real-time policy needs no slice.
    }
    attributes.sched_runtime = ns;
    // SAFETY: the kernel reads as many bytes as `size` says from `attributes`, which lives until the call
    // returns.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The scheduling attributes of this thread.
fn scheduling() -> io::Result<libc::sched_attr> {
    let mut attributes = MaybeUninit::<libc::sched_attr>::zeroed();
    let len = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes at most `len` bytes to `attributes`, which lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), len, 0) };
    // SAFETY: zeroes are valid attributes, and so is what the kernel writes.
    if result == 0 { Ok(unsafe { attributes.assume_init() }) } else { Err(io::Error::last_os_error()) }
}

/// Bytes of blocks that are allocated and not freed, as counted by glibc.
#[cfg(target_env = "gnu")]
pub(crate) fn heap_bytes() -> Option<u64> {
    // SAFETY: takes no pointers, and locks everything that it reads.
    let info = unsafe { libc::mallinfo2() };
    Some((info.uordblks + info.hblkhd) as u64)
}

#[cfg(not(target_env = "gnu"))]
pub(crate) fn heap_bytes() -> Option<u64> {
    None
}

/// Maps each block of at least `bytes` separately (mallopt(3), M_MMAP_THRESHOLD).
pub(crate) fn set_mmap_threshold(bytes: usize) {
    #[cfg(target_env = "gnu")]
    {
        let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
        // SAFETY: takes no pointers, and only sets a parameter of the allocator. A value out of range is
        // refused and changes nothing.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) };
    }
    let _ = bytes;
}

/// Returns the free pages of all arenas to the system (malloc_trim(3)).
pub(crate) fn release_free_pages() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes no pointers, and locks each arena while it works on it.
        unsafe { libc::malloc_trim(0) };
    }
}

/// The metadata of one received message; its bytes are in the arena.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    name: [u8; ADDRESS_BYTES],
    name_len: usize,
    control: ControlBuffer<CONTROL_BYTES>,
    control_len: usize,
    /// Bytes received, over all segments.
    pub(crate) len: usize,
    /// Whether the kernel truncated it.
    pub(crate) truncated: bool,
}

/// Control messages need the alignment of a `usize`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct ControlBuffer<const N: usize>([u8; N]);

/// The contents of the control messages of a received message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ancillary {
    /// When the kernel received it, nanoseconds since 1970.
    pub(crate) realtime_nanos: Option<i128>,
    /// The length of each segment except the last, if the kernel joined several datagrams.
    pub(crate) segment_bytes: Option<usize>,
    /// Datagrams this socket has lost to a full buffer since it was opened.
    pub(crate) overflowed: Option<u32>,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            name: [0; ADDRESS_BYTES],
            name_len: 0,
            control: ControlBuffer([0; CONTROL_BYTES]),
            control_len: 0,
            len: 0,
            truncated: false,
        }
    }
}

impl Incoming {
    /// Its source.
    pub(crate) fn source(&self) -> Option<SocketAddr> {
        address::decode(self.name.get(..self.name_len)?)
    }

    /// Parses its control messages.
    pub(crate) fn ancillary(&self) -> Ancillary {
        parse_control(self.control.0.get(..self.control_len).unwrap_or_default())
    }
}

/// Parses control messages: length, level, type, data; each starts at a multiple of eight.
fn parse_control(mut bytes: &[u8]) -> Ancillary {
    let mut found = Ancillary::default();
    while let Some(header) = bytes.first_chunk::<CONTROL_HEADER>() {
        let (words, _) = header.as_chunks::<4>();
        let [level, kind] = [words[2], words[3]].map(i32::from_ne_bytes);
        let (halves, _) = header.as_chunks::<8>();
        let len = usize::from_ne_bytes(halves[0]);
        let Some(data) = bytes.get(CONTROL_HEADER..len) else { break };
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => {
                if let ([seconds, nanos], _) = data.as_chunks::<8>() {
                    let (seconds, nanos) = (i64::from_ne_bytes(*seconds), i64::from_ne_bytes(*nanos));
                    found.realtime_nanos = Some(i128::from(seconds) * 1_000_000_000 + i128::from(nanos));
                }
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                found.overflowed = data.first_chunk().map(|count| u32::from_ne_bytes(*count));
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = data.first_chunk().map(|size| i32::from_ne_bytes(*size));
                found.segment_bytes =
                    size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
            }
            _ => {}
        }
        bytes = bytes.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    found
}

/// Receives up to `incoming.len()` messages, the i-th into `arena[i * stride..][..room]`, without waiting.
/// Returns how many.
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    arena: &mut [u8],
    stride: usize,
    room: usize,
    incoming: &mut [Incoming],
) -> io::Result<usize> {
    let count = incoming.len().min(RECEIVE_MESSAGES);
    assert!(count > 0 && room <= stride && arena.len() / stride >= count, "the arena holds every message");
    let mut iovecs = [const { MaybeUninit::<libc::iovec>::uninit() }; RECEIVE_MESSAGES];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; RECEIVE_MESSAGES];
    let buffers = arena.chunks_exact_mut(stride);
    for (((incoming, buffer), iovec), header) in
        incoming.iter_mut().zip(buffers).zip(&mut iovecs).zip(&mut headers)
    {
        let iovec = iovec.write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: room });
        header.write(libc::mmsghdr {
            msg_hdr: message_header(
                (incoming.name.as_mut_ptr(), ADDRESS_BYTES as u32),
                (iovec, 1),
                (incoming.control.0.as_mut_ptr(), CONTROL_BYTES),
            ),
            msg_len: 0,
        });
    }
    // SAFETY: the first `count` headers were written above (every iterator zipped there has at least `count`
    // items), and point to an iovec, a name and a control buffer each, of the lengths given; the iovec points
    // to `room` bytes of the arena. All of it is exclusively borrowed by this function or local to it,
    // distinct, and lives until the call returns; the kernel keeps none of it.
    let received = unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            count as u32,
            libc::MSG_DONTWAIT,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for (incoming, header) in incoming.iter_mut().zip(&headers).take(received) {
        // SAFETY: the first `count` headers are initialised, and the kernel filled in `received` of those.
        let header = unsafe { header.assume_init_ref() };
        incoming.name_len = header.msg_hdr.msg_namelen as usize;
        incoming.control_len = header.msg_hdr.msg_controllen;
        incoming.len = header.msg_len as usize;
        incoming.truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
    }
    Ok(received)
}

/// Prefetches up to [`PREFETCH_BYTES_MAX`] bytes of a value that will be read soon.
pub(crate) fn prefetch<T: ?Sized>(soon: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = ptr::from_ref(soon).cast::<i8>();
        let len = size_of_val(soon).min(PREFETCH_BYTES_MAX);
        // It may start in the middle of a cache line: the last byte can be in one more line.
        for offset in (0..len).step_by(64).chain(len.checked_sub(1)) {
            // SAFETY: the address lies inside of `soon`; nothing is read or written by the program, and no
            // address makes it fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = soon;
}

/// A part of the send arena, or of the receive arena for a forwarded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) is_received: bool,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// One message to send: datagrams to one address. With more than one it is a GSO run: each datagram has
/// `segment` bytes, and the last may have fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) target: SocketAddr,
    /// Index of its first piece.
    pub(crate) first: u32,
    /// Number of its datagrams.
    pub(crate) count: u32,
    /// Pieces of each of them.
    pub(crate) pieces_each: u32,
    pub(crate) segment: u16,
    /// Bytes over all pieces.
    pub(crate) bytes: u32,
}

impl Run {
    fn pieces<'a>(&self, pieces: &'a [Piece]) -> &'a [Piece] {
        &pieces[self.first as usize..][..(self.count * self.pieces_each) as usize]
    }
}

/// Sends the first of `runs`, as many as one call accepts, without waiting. Returns how many were sent (at
/// least one), or the error of the first.
pub(crate) fn send(
    fd: BorrowedFd<'_>,
    (arena, received): (&[u8], &[u8]),
    pieces: &[Piece],
    runs: &[Run],
) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<[u8; ADDRESS_BYTES]>::uninit() }; SEND_MESSAGES];
    let mut controls =
        [const { MaybeUninit::<ControlBuffer<SEGMENT_CONTROL_BYTES>>::uninit() }; SEND_MESSAGES];
    let mut iovecs = [const { MaybeUninit::<libc::iovec>::uninit() }; SEND_PIECES];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; SEND_MESSAGES];
    let mut rest = iovecs.as_mut_slice();
    let mut count = 0;
    for (((run, name), control), header) in runs.iter().zip(&mut names).zip(&mut controls).zip(&mut headers) {
        let pieces = run.pieces(pieces);
        let Some((own, others)) = rest.split_at_mut_checked(pieces.len()) else { break };
        rest = others;
        for (iovec, piece) in own.iter_mut().zip(pieces) {
            let arena = if piece.is_received { received } else { arena };
            let bytes = &arena[piece.offset as usize..][..piece.len as usize];
            iovec.write(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        }
        let name = name.write([0; ADDRESS_BYTES]);
        let name_len = address::encode(run.target, name);
        let control = if run.count > 1 {
            (control.write(segment_control(run.segment)).0.as_mut_ptr(), SEGMENT_CONTROL_BYTES)
        } else {
            (ptr::null_mut(), 0)
        };
        let iovec = (own.as_mut_ptr().cast::<libc::iovec>(), own.len());
        let msg_hdr = message_header((name.as_mut_ptr(), name_len), iovec, control);
        header.write(libc::mmsghdr { msg_hdr, msg_len: 0 });
        count += 1;
    }
    // SAFETY: the first `count` headers were written above, each with a name, an initialised control message
    // or none, and as many initialised iovecs as it says, which point into `arena` or `received`. All of it
    // is borrowed or local, and lives until the call returns. The kernel only reads through these pointers
    // (that they are `*mut` is the C type's doing), except for `msg_len` in the headers, which are ours.
    let sent = unsafe {
        libc::sendmmsg(
            fd.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// The control message that splits a run into segments.
fn segment_control(segment: u16) -> ControlBuffer<SEGMENT_CONTROL_BYTES> {
    let mut bytes = [0; SEGMENT_CONTROL_BYTES];
    bytes[..8].copy_from_slice(&SEGMENT_CONTROL_LEN.to_ne_bytes());
    bytes[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    bytes[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    bytes[16..18].copy_from_slice(&segment.to_ne_bytes());
    ControlBuffer(bytes)
}

fn message_header(
    name: (*mut u8, u32),
    iovecs: (*mut libc::iovec, usize),
    control: (*mut u8, usize),
) -> libc::msghdr {
    // SAFETY: `msghdr` is integers and pointers, for which all zeros is a valid value; some C libraries have
    // padding fields in it, so that it cannot be written as a literal.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = name.0.cast();
    header.msg_namelen = name.1;
    header.msg_iov = iovecs.0;
    header.msg_iovlen = iovecs.1 as _;
    header.msg_control = control.0.cast();
    header.msg_controllen = control.1 as _;
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (CONTROL_HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0xa5);
        bytes
    }

    #[test]
    fn a_shorter_time_slice_leaves_policy_and_niceness_unchanged() {
        let thread = std::thread::spawn(|| {
            let before = scheduling().unwrap();
            set_time_slice(200_000).unwrap();
            let after = scheduling().unwrap();
            assert_eq!((after.sched_nice, after.sched_policy), (before.sched_nice, before.sched_policy));
            let slice = after.sched_runtime;
            assert!(
                slice == 200_000 || slice == 0,
                "{slice}: neither the requested slice nor that of a kernel without slices"
            );
        });
        thread.join().unwrap();
    }

    #[test]
    fn control_messages_are_found_in_any_order_between_unknown_ones() {
        let mut stamp = 7i64.to_ne_bytes().to_vec();
        stamp.extend(5i64.to_ne_bytes());
        let mut bytes = control(libc::SOL_UDP, libc::UDP_GRO, &1200i32.to_ne_bytes());
        bytes.extend(control(libc::SOL_IP, 1, &[0; 5]));
        bytes.extend(control(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &3u32.to_ne_bytes()));
        bytes.extend(control(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &stamp));
        let expected =
            Ancillary { realtime_nanos: Some(7_000_000_005), segment_bytes: Some(1200), overflowed: Some(3) };
        assert_eq!(parse_control(&bytes), expected);
    }

    #[test]
    fn parsing_any_control_bytes_ends() {
        proptest::proptest!(|(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..96), len in 0..64usize)| {
            parse_control(&bytes);
            let mut plausible = len.to_ne_bytes().to_vec();
            plausible.extend(bytes);
            parse_control(&plausible);
        });
    }
}
