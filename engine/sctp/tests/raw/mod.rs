//! Packets of SCTP, written chunk by chunk: for peers that send what no association would. `tests/work` uses it too.
#![allow(dead_code)]

/// CRC32c, bit by bit: a second implementation.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

/// Writes the correct checksum.
pub fn seal(packet: &mut [u8]) {
    if packet.len() >= 12 {
        packet[8..12].fill(0);
        let checksum = checksum(packet).to_le_bytes();
        packet[8..12].copy_from_slice(&checksum);
    }
}

/// A chunk with its padding.
pub fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((value.len() as u16 + 4).to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// A DATA chunk: `number` is that of the message in its stream.
pub fn data(flags: u8, tsn: u32, stream: u16, number: u16, protocol: u32, payload: &[u8]) -> Vec<u8> {
    let header =
        [&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &number.to_be_bytes(), &protocol.to_be_bytes()];
    chunk(0, flags, &[&header.concat(), payload].concat())
}

/// Flags of a DATA chunk.
pub const BEGIN: u8 = 2;
pub const END: u8 = 1;
pub const UNORDERED: u8 = 4;

/// A packet between the usual ports, with this verification tag.
pub fn packet(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = [&[0x13, 0x88, 0x13, 0x88][..], &tag.to_be_bytes(), &[0; 4]].concat();
    chunks.iter().for_each(|chunk| packet.extend(chunk));
    seal(&mut packet);
    packet
}

/// The first TSN of [`init`].
pub const FIRST_TSN: u32 = 1000;

/// An INIT with 1024 streams, RE-CONFIG and FORWARD-TSN.
pub fn init() -> Vec<u8> {
    let fixed =
        [&7_u32.to_be_bytes()[..], &0x10_0000_u32.to_be_bytes(), &[4, 0, 4, 0], &FIRST_TSN.to_be_bytes()];
    let extensions = [0xc0, 0, 0, 4, 0x80, 8, 0, 6, 130, 192, 0, 0];
    chunk(1, 0, &[&fixed.concat()[..], &extensions].concat())
}

/// The tag of the other side, and the COOKIE ECHO that answers its packet with an INIT ACK.
pub fn cookie_echo(init_ack: &[u8]) -> (u32, Vec<u8>) {
    let tag = u32::from_be_bytes(init_ack[16..20].try_into().expect("four"));
    // Behind the fixed part: the parameter with the cookie.
    (tag, chunk(10, 0, &init_ack[36..68]))
}
