//! Known errors of the oracles, and cases where they are intentionally stricter or laxer; each with its
//! reason.
//!
//! An entry is a predicate over the *input*, as narrow as possible without the parser under test: a conflict
//! on an input without an entry fails the target. A panic of an oracle needs no entry. All entries are about
//! version 0.17.2.

/// How two readings of the same bytes can disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// We accept it, the oracle does not.
    OnlyWeAccept,
    /// The oracle accepts it, we do not.
    OnlyTheyAccept,
    /// Both accept it and read different things.
    Differs,
}

/// One known disagreement.
pub struct Known {
    /// Its kind.
    pub conflict: Conflict,
    /// The reason.
    pub reason: &'static str,
    /// Whether an input matches.
    pub applies: fn(&[u8]) -> bool,
}

/// For `rtp`.
pub const RTP: &[Known] = &[
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "it accepts any version; RFC 3550 §5.1 has one, and RFC 7983 distinguishes protocols by it",
        applies: |packet| packet.first().is_some_and(|first| first >> 6 != 2),
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "its walk over extension elements leaves the block, and reads payload as extensions",
        applies: rtp_elements_are_odd,
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "as above, and then it looks for padding in another place",
        applies: rtp_elements_are_odd,
    },
    Known {
        conflict: Conflict::Differs,
        reason: "as above; also it takes id 0 with a length for an element, and stops at id 15 without skipping the \
                 rest of the block (RFC 8285 §4.2 says to ignore both, and what follows)",
        applies: rtp_elements_are_odd,
    },
];

/// Whether the extension block contains something that RFC 8285 forbids: an element beyond the block, or in
/// the one-byte form id 15, or id 0 with a length.
fn rtp_elements_are_odd(packet: &[u8]) -> bool {
    let Some(&first) = packet.first() else { return false };
    let at = 12 + 4 * usize::from(first & 0x0f);
    let Some(head) = packet.get(at..at + 4).filter(|_| first & 0x10 != 0) else { return false };
    let len = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
    let Some(block) = packet.get(at + 4..at + 4 + len) else { return false };
    let mut rest = block;
    while let [first, after @ ..] = rest {
        if *first == 0 {
            rest = after;
            continue;
        }
        let (value, after) = match head {
            [0xbe, 0xde, ..] if matches!(first >> 4, 0 | 15) => return true,
            [0xbe, 0xde, ..] => (usize::from(first & 0x0f) + 1, after),
            [0x10, 0x00, ..] => match after {
                [len, after @ ..] => (usize::from(*len), after),
                [] => return true,
            },
            _ => return false,
        };
        match after.get(value..) {
            Some(after) => rest = after,
            None => return true,
        }
    }
    false
}

/// For `rtcp`; the input is one packet of a compound.
pub const RTCP: &[Known] = &[
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "it does not look at the count of padding, which is zero or more than the body (RFC 3550 §6.4.1)",
        applies: |packet| {
            let count = packet.last().map_or(0, |count| usize::from(*count));
            let is_padded = packet.first().is_some_and(|first| first & 0x20 != 0);
            is_padded && (count == 0 || count + 4 > packet.len())
        },
    },
    Known {
        conflict: Conflict::Differs,
        reason: "its f32 holds REMB bitrates beyond 64 bits, ours ends at u64::MAX; and a mantissa of zero it reads as \
                 a power of two",
        applies: |packet| {
            let Some(bitrate) = remb_bitrate(packet) else { return false };
            let (exponent, mantissa) = ((bitrate >> 18) & 0x3f, u64::from(bitrate & 0x3_ffff));
            mantissa == 0 || mantissa.leading_zeros() < exponent
        },
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "it reads all application layer feedback as REMB",
        applies: |packet| rtcp_kind(packet) == Some((206, 15)) && packet.get(12..16) != Some(b"REMB"),
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "it refuses REMB that names a media source, which is to be zero and means nothing",
        applies: |packet| {
            let is_remb = rtcp_kind(packet) == Some((206, 15)) && packet.get(12..16) == Some(b"REMB");
            is_remb && packet.get(8..12) != Some(&[0; 4])
        },
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "it accepts a NACK and an FIR without entries (RFC 4585 §6.2.1: at least one)",
        applies: |packet| matches!(rtcp_kind(packet), Some((205, 1) | (206, 4))) && packet.len() < 16,
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "it does not read APP, and accepts one without a name",
        applies: |packet| matches!(rtcp_kind(packet), Some((204, _))) && packet.len() < 12,
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "it refuses transport feedback whose chunks end exactly with the packet, as they do when nothing arrived",
        applies: |packet| twcc_shape(packet).is_some_and(|shape| shape.chunks_end == packet.len()),
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "in transport feedback it requires deltas for the symbols of a vector beyond the status count",
        applies: |packet| twcc_shape(packet).is_some_and(|shape| shape.has_symbols_beyond),
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "in transport feedback it reads the reserved symbol as a packet that has not arrived",
        applies: |packet| twcc_shape(packet).is_some_and(|shape| shape.has_reserved),
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "in transport feedback it accepts a delta of two bytes of which one has been cut off",
        applies: |packet| {
            twcc_shape(packet).is_some_and(|shape| packet.len() + 1 == shape.chunks_end + shape.delta_bytes)
        },
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "it reads SDES chunks up to the packet's end, however many are announced",
        applies: |packet| {
            sdes_shape(packet).is_some_and(|shape| shape.end.is_some_and(|end| end < packet.len()))
        },
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "it reads an SDES item of an unknown kind as the end of the chunk",
        applies: |packet| sdes_shape(packet).is_some_and(|shape| shape.has_unknown_kind),
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "as above, and so does not see that such an item, or a later one, runs past the packet",
        applies: |packet| {
            sdes_shape(packet).is_some_and(|shape| shape.end.is_none() && shape.has_unknown_kind)
        },
    },
    Known {
        conflict: Conflict::Differs,
        reason: "as above, and reads the rest as the next chunk",
        applies: |packet| sdes_shape(packet).is_some_and(|shape| shape.has_unknown_kind),
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "it reads XR blocks that we pass over, and refuses those whose body it does not like",
        applies: xr_has_other_blocks,
    },
    Known {
        conflict: Conflict::OnlyWeAccept,
        reason: "it reads slice losses (and looks for them under the wrong packet type) and resynchronisation requests; \
                 we pass over both",
        applies: |packet| matches!(rtcp_kind(packet), Some((206, 2) | (205, 5))),
    },
];

/// Packet type, and count or format.
fn rtcp_kind(packet: &[u8]) -> Option<(u8, u8)> {
    Some((*packet.get(1)?, packet[0] & 0x1f))
}

/// The word with exponent and mantissa.
fn remb_bitrate(packet: &[u8]) -> Option<u32> {
    if rtcp_kind(packet) != Some((206, 15)) || packet.get(12..16) != Some(b"REMB") {
        return None;
    }
    packet.get(16..20)?.try_into().ok().map(u32::from_be_bytes)
}

/// The chunks of a source description, byte by byte.
struct SdesShape {
    /// The end of the announced chunks; `None` if that is past the packet.
    end: Option<usize>,
    /// An item of a kind beyond those of RFC 3550 §12.2, as far as the chunks go within the packet.
    has_unknown_kind: bool,
}

fn sdes_shape(packet: &[u8]) -> Option<SdesShape> {
    let (202, count) = rtcp_kind(packet)? else { return None };
    let mut has_unknown_kind = false;
    let mut walk = || {
        let mut at = 4;
        for _ in 0..count {
            at += 4;
            while *packet.get(at)? != 0 {
                has_unknown_kind |= packet[at] > 8;
                at += 2 + usize::from(*packet.get(at + 1)?);
            }
            at = (at + 1).next_multiple_of(4);
        }
        (at <= packet.len()).then_some(at)
    };
    let end = walk();
    Some(SdesShape { end, has_unknown_kind })
}

/// Whether an extended report contains a block other than the two supported ones.
fn xr_has_other_blocks(packet: &[u8]) -> bool {
    let mut rest = match rtcp_kind(packet) {
        Some((207, _)) => packet.get(8..).unwrap_or_default(),
        _ => return false,
    };
    while let [kind, _, high, low, body @ ..] = rest {
        if !matches!(kind, 4 | 5) {
            return true;
        }
        rest = body.get(4 * usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    false
}

/// The chunks of a transport feedback, read one symbol at a time.
struct TwccShape {
    chunks_end: usize,
    /// Of the symbols within the status count.
    delta_bytes: usize,
    has_reserved: bool,
    /// A vector chunk has symbols beyond the status count that are not zero.
    has_symbols_beyond: bool,
}

fn twcc_shape(packet: &[u8]) -> Option<TwccShape> {
    if rtcp_kind(packet) != Some((205, 15)) {
        return None;
    }
    let count = usize::from(u16::from_be_bytes(packet.get(14..16)?.try_into().ok()?));
    let mut shape =
        TwccShape { chunks_end: 20, delta_bytes: 0, has_reserved: false, has_symbols_beyond: false };
    let mut seen = 0;
    while seen < count {
        let chunk = packet.get(shape.chunks_end..shape.chunks_end + 2)?;
        let chunk = u16::from_be_bytes([chunk[0], chunk[1]]);
        // Also in a run of length zero.
        shape.has_reserved |= chunk >> 13 == 3;
        let symbols: Vec<u16> = match chunk >> 14 {
            0 | 1 => vec![chunk >> 13 & 3; usize::from(chunk & 0x1fff).min(count - seen)],
            2 => (0..14).rev().map(|bit| chunk >> bit & 1).collect(),
            _ => (0..7).rev().map(|pair| chunk >> (2 * pair) & 3).collect(),
        };
        for symbol in symbols {
            if seen < count {
                shape.delta_bytes += usize::from(symbol % 3);
                shape.has_reserved |= symbol == 3;
            } else {
                shape.has_symbols_beyond |= symbol != 0;
            }
            seen += 1;
        }
        shape.chunks_end += 2;
    }
    Some(shape)
}

/// For `stun`.
pub const STUN: &[Known] = &[
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "it does not look at the two bits above the type, which must be zero (RFC 8489 §5)",
        applies: |message| message.first().is_some_and(|first| first & 0xc0 != 0),
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "it takes a length that is no multiple of four, and bytes behind the message; over UDP a datagram is \
                 one message (RFC 8489 §5)",
        applies: |message| {
            let Some(len) = message.get(2..4) else { return false };
            let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
            !len.is_multiple_of(4) || message.len() != 20 + len
        },
    },
    Known {
        conflict: Conflict::OnlyTheyAccept,
        reason: "it accepts checks of any length, and attributes after FINGERPRINT, which must be last (RFC 8489 §14.7)",
        applies: |message| {
            let kinds = stun_attributes(message);
            let odd = |&(kind, len): &(u16, usize)| {
                (kind == 0x0008 && len != 20) || (kind == 0x001c && len != 32) || (kind == 0x8028 && len != 4)
            };
            kinds.iter().any(odd) || kinds.iter().rev().skip(1).any(|&(kind, _)| kind == 0x8028)
        },
    },
    Known {
        conflict: Conflict::Differs,
        reason: "it reads type 0x8020 of an old draft as XOR-MAPPED-ADDRESS",
        applies: |message| stun_attributes(message).iter().any(|&(kind, _)| kind == 0x8020),
    },
    Known {
        conflict: Conflict::Differs,
        reason: "it refuses an address whose first byte is not zero; RFC 8489 §14.2 has receivers ignore it",
        applies: |message| {
            let mut rest = message.get(20..).unwrap_or_default();
            while let [high, low, len_high, len_low, value @ ..] = rest {
                let len = usize::from(u16::from_be_bytes([*len_high, *len_low])).next_multiple_of(4);
                if (*high, *low) == (0, 0x20) && value.first().is_some_and(|first| *first != 0) {
                    return true;
                }
                rest = value.get(len..).unwrap_or_default();
            }
            false
        },
    },
];

/// Types and lengths of the attributes, as far as they are complete.
fn stun_attributes(message: &[u8]) -> Vec<(u16, usize)> {
    let mut found = Vec::new();
    let mut at = 20;
    while let Some(head) = message.get(at..at + 4) {
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        found.push((u16::from_be_bytes([head[0], head[1]]), len));
        at += 4 + len.next_multiple_of(4);
    }
    found
}
