//! The programs by which the kernel chooses the socket of a shared port. Both know ICE checks (STUN, RFC 8489 §5) by
//! the first character of USERNAME, which is the worker's; the extended one knows all other datagrams by their
//! source address.

use crate::sys::bpf::{Classic, FLOW_KEY_BYTES, Instruction};
use std::os::fd::RawFd;

/// Where the first character of USERNAME is if it is the first attribute: a header of 20 bytes, and type and length of
/// the attribute.
const NAME_AT: i16 = 24;
/// Type USERNAME (RFC 8489 §14.3), at byte 20.
const USERNAME: i32 = 0x0006;
/// The first byte of STUN is below this one, that of everything else is not (RFC 7983 §7).
const STUN_END: i32 = 4;

/// `bpf_map_lookup_elem`.
const MAP_LOOKUP: i32 = 1;
/// `bpf_skb_load_bytes`: of the UDP header and what follows it.
const LOAD: i32 = 26;
/// `bpf_skb_load_bytes_relative`.
const LOAD_RELATIVE: i32 = 68;
/// To the network header.
const START_OF_NETWORK: i32 = 1;
/// `bpf_sk_select_reuseport`.
const SELECT: i32 = 82;
/// The kernel uses the selected socket, or its hash if there is none.
const PASS: i32 = 1;
const UDP_HEADER: i32 = 8;

/// Places in the program's stack, relative to its end.
const PAYLOAD: i16 = -32;
const WORKER: i16 = -36;
const KEY: i16 = -64;

/// A program whose jumps are names until it is complete.
#[derive(Default)]
struct Assembly {
    code: Vec<Instruction>,
    /// Jumps, and where they lead.
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    LowerCase,
    UpperCase,
    Digit,
    Plus,
    Slash,
    Found,
    Flow,
    End,
}

/// Of `if left … value goto`.
#[derive(Clone, Copy)]
#[repr(u8)]
enum When {
    Equal = 0x15,
    Different = 0x55,
    Above = 0x25,
    AtLeast = 0x35,
}

impl Assembly {
    fn push(&mut self, code: u8, registers: u8, offset: i16, immediate: i32) {
        self.code.push(Instruction { code, registers, offset, immediate });
    }

    fn here(&mut self, label: Label) {
        self.labels.push((label, self.code.len()));
    }

    fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(0x05, 0, 0, 0);
    }

    fn jump_if(&mut self, register: u8, when: When, value: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(when as u8, register, 0, value);
    }

    fn set(&mut self, register: u8, value: i32) {
        self.push(0xb7, register, 0, value);
    }

    fn copy(&mut self, to: u8, from: u8) {
        self.push(0xbf, to | from << 4, 0, 0);
    }

    fn add(&mut self, register: u8, value: i32) {
        self.push(0x07, register, 0, value);
    }

    /// The address of a place in the stack.
    fn address(&mut self, register: u8, place: i16) {
        self.copy(register, 10);
        self.add(register, i32::from(place));
    }

    fn load_byte(&mut self, register: u8, place: i16) {
        self.push(0x71, register | 10 << 4, place, 0);
    }

    /// A map, by its descriptor. Takes two instructions.
    fn map(&mut self, register: u8, fd: RawFd) {
        self.push(0x18, register | 1 << 4, 0, fd);
        self.push(0, 0, 0, 0);
    }

    fn call(&mut self, helper: i32) {
        self.push(0x85, 0, 0, helper);
    }

    fn finish(mut self) -> Vec<Instruction> {
        for (at, to) in self.jumps {
            let target =
                self.labels.iter().find(|(label, _)| *label == to).map_or(at + 1, |(_, target)| *target);
            // The whole program has less than a hundred instructions.
            self.code[at].offset = (target - at - 1) as i16;
        }
        self.code
    }
}

/// Chooses the worker of a check by its name, and of any other datagram by its flow. What it does not know goes where
/// the kernel's hash says.
pub(super) fn extended(flows: RawFd, sockets: RawFd, is_ipv6: bool) -> Vec<Instruction> {
    use Label::{Digit, End, Flow, Found, LowerCase, Plus, Slash, UpperCase};
    let mut program = Assembly::default();
    // r6: the datagram. The verifier wants the key to be written before it is passed on.
    program.copy(6, 1);
    program.set(2, 0);
    for word in 0..(FLOW_KEY_BYTES / 4) as i16 {
        program.push(0x63, 10 | 2 << 4, KEY + 4 * word, 0);
    }
    program.set(2, UDP_HEADER);
    program.address(3, PAYLOAD);
    program.set(4, i32::from(NAME_AT) + 1);
    program.call(LOAD);
    program.jump_if(0, When::Different, 0, Flow);
    program.load_byte(2, PAYLOAD);
    program.jump_if(2, When::AtLeast, STUN_END, Flow);
    program.load_byte(2, PAYLOAD + NAME_AT - 4);
    program.jump_if(2, When::Different, USERNAME >> 8, Flow);
    program.load_byte(2, PAYLOAD + NAME_AT - 3);
    program.jump_if(2, When::Different, USERNAME & 0xff, Flow);
    program.load_byte(2, PAYLOAD + NAME_AT);
    program.jump_if(2, When::Above, i32::from(b'z'), Flow);
    program.jump_if(2, When::AtLeast, i32::from(b'a'), LowerCase);
    program.jump_if(2, When::Above, i32::from(b'Z'), Flow);
    program.jump_if(2, When::AtLeast, i32::from(b'A'), UpperCase);
    program.jump_if(2, When::Above, i32::from(b'9'), Flow);
    program.jump_if(2, When::AtLeast, i32::from(b'0'), Digit);
    program.jump_if(2, When::Equal, i32::from(b'+'), Plus);
    program.jump_if(2, When::Equal, i32::from(b'/'), Slash);
    program.jump(Flow);
    for (label, offset) in [
        (LowerCase, 26 - i32::from(b'a')),
        (UpperCase, -i32::from(b'A')),
        (Digit, 52 - i32::from(b'0')),
        (Plus, 62 - i32::from(b'+')),
        (Slash, 63 - i32::from(b'/')),
    ] {
        program.here(label);
        program.add(2, offset);
        program.jump(Found);
    }
    program.here(Flow);
    // The source address, and the source port at the start of the UDP header.
    let (at, len) = if is_ipv6 { (8, 16) } else { (12, 4) };
    program.copy(1, 6);
    program.set(2, at);
    program.address(3, KEY);
    program.set(4, len);
    program.set(5, START_OF_NETWORK);
    program.call(LOAD_RELATIVE);
    program.jump_if(0, When::Different, 0, End);
    program.copy(1, 6);
    program.set(2, 0);
    program.address(3, KEY + 16);
    program.set(4, 2);
    program.call(LOAD);
    program.jump_if(0, When::Different, 0, End);
    program.map(1, flows);
    program.address(2, KEY);
    program.call(MAP_LOOKUP);
    program.jump_if(0, When::Equal, 0, End);
    // The worker is the value.
    program.push(0x61, 2, 0, 0);
    program.here(Found);
    program.push(0x63, 10 | 2 << 4, WORKER, 0);
    program.copy(1, 6);
    program.map(2, sockets);
    program.address(3, WORKER);
    program.set(4, 0);
    program.call(SELECT);
    program.here(End);
    program.set(0, PASS);
    program.push(0x95, 0, 0, 0);
    program.finish()
}

/// Chooses the worker of a check by its name. What it does not know goes where the kernel's hash says, because there
/// is no socket with the number that it then returns.
pub(super) fn classic() -> Vec<Classic> {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const EQUAL: u16 = 0x15;
    const AT_LEAST: u16 = 0x35;
    const ADD: u16 = 0x04;
    const RETURN: u16 = 0x06;
    const RETURN_SUM: u16 = 0x16;
    let step = |code, jt, jf, k: i32| Classic { code, jt, jf, k: k as u32 };
    let of = |byte: u8| i32::from(byte);
    // Jumps count from the next instruction. In each pair, the characters from the first one on are converted.
    vec![
        step(LOAD_BYTE, 0, 0, 0),
        step(AT_LEAST, 17, 0, STUN_END),
        step(LOAD_HALF, 0, 0, i32::from(NAME_AT) - 4),
        step(EQUAL, 0, 15, USERNAME),
        step(LOAD_BYTE, 0, 0, i32::from(NAME_AT)),
        step(AT_LEAST, 13, 0, of(b'z') + 1),
        step(AT_LEAST, 0, 2, of(b'a')),
        step(ADD, 0, 0, 26 - of(b'a')),
        step(RETURN_SUM, 0, 0, 0),
        step(AT_LEAST, 9, 0, of(b'Z') + 1),
        step(AT_LEAST, 0, 2, of(b'A')),
        step(ADD, 0, 0, -of(b'A')),
        step(RETURN_SUM, 0, 0, 0),
        step(AT_LEAST, 5, 0, of(b'9') + 1),
        step(AT_LEAST, 0, 2, of(b'0')),
        step(ADD, 0, 0, 52 - of(b'0')),
        step(RETURN_SUM, 0, 0, 0),
        step(EQUAL, 2, 0, of(b'+')),
        step(EQUAL, 2, 0, of(b'/')),
        step(RETURN, 0, 0, -1),
        step(RETURN, 0, 0, 62),
        step(RETURN, 0, 0, 63),
    ]
}
