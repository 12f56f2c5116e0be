//! The RTCP that peers write and read (RFC 3550 §6, RFC 4585, RFC 5104,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01), as bytes.

/// The reception statistics of a stream, for a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The stream's SSRC.
    pub ssrc: u32,
    /// The lost part of the packets since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost packets since the beginning.
    pub lost: u32,
    /// The extended highest sequence number.
    pub highest_seq: u32,
    /// In units of the payload's clock.
    pub jitter: u32,
    /// The middle of the last sender report's NTP time; 0 if there was none.
    pub last_sr: u32,
    /// The time since then, in 65,536ths of a second.
    pub delay: u32,
}

/// The contents of a sender report.
#[derive(Clone, Copy, Debug)]
pub struct SenderInfo {
    /// Its stream.
    pub ssrc: u32,
    /// Its wall clock, in NTP's format.
    pub ntp: u64,
    /// The same moment on the media's clock.
    pub rtp_time: u32,
    /// Packets sent since the beginning.
    pub packets: u32,
    /// Payload bytes sent since the beginning.
    pub octets: u32,
}

const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const RTPFB: u8 = 205;
const PSFB: u8 = 206;

/// Appends a sender report and the CNAME.
pub fn sender_report(out: &mut Vec<u8>, info: &SenderInfo, cname: &str) {
    packet(out, 0, SR, |out| {
        out.extend_from_slice(&info.ssrc.to_be_bytes());
        out.extend_from_slice(&info.ntp.to_be_bytes());
        for word in [info.rtp_time, info.packets, info.octets] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    });
    packet(out, 1, SDES, |out| {
        out.extend_from_slice(&info.ssrc.to_be_bytes());
        out.extend_from_slice(&[1, cname.len() as u8]);
        out.extend_from_slice(cname.as_bytes());
        out.push(0);
    });
}

/// Appends a receiver report about at most 31 streams.
pub fn receiver_report(out: &mut Vec<u8>, sender: u32, blocks: &[Block]) {
    let blocks = &blocks[..blocks.len().min(31)];
    packet(out, blocks.len() as u8, RR, |out| {
        out.extend_from_slice(&sender.to_be_bytes());
        for block in blocks {
            out.extend_from_slice(&block.ssrc.to_be_bytes());
            let lost = u32::from(block.fraction_lost) << 24 | block.lost.min(0x7f_ffff);
            for word in [lost, block.highest_seq, block.jitter, block.last_sr, block.delay] {
                out.extend_from_slice(&word.to_be_bytes());
            }
        }
    });
}

/// Appends a NACK for `lost`, in ascending order (RFC 4585 §6.2.1).
pub fn nack(out: &mut Vec<u8>, sender: u32, media: u32, lost: &[u16]) {
    packet(out, 1, RTPFB, |out| {
        out.extend_from_slice(&[sender.to_be_bytes(), media.to_be_bytes()].concat());
        let mut rest = lost;
        while let [first, tail @ ..] = rest {
            let covered = tail.iter().take_while(|seq| seq.wrapping_sub(*first) <= 16).count();
            let bits =
                tail[..covered].iter().fold(0u16, |bits, seq| bits | 1 << (seq.wrapping_sub(*first) - 1));
            out.extend_from_slice(&first.to_be_bytes());
            out.extend_from_slice(&bits.to_be_bytes());
            rest = &tail[covered..];
        }
    });
}

/// Appends a request for a keyframe (RFC 4585 §6.3.1).
pub fn pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    packet(out, 1, PSFB, |out| out.extend_from_slice(&[sender.to_be_bytes(), media.to_be_bytes()].concat()));
}

/// Appends transport-wide feedback: which packets from `base` on arrived, and their times in microseconds of
/// any clock that is not behind that of `base_at`.
pub fn transport_cc(
    out: &mut Vec<u8>,
    sender: u32,
    media: u32,
    count: u8,
    base: u16,
    arrivals: &[Option<u64>],
) {
    let first = arrivals.iter().flatten().next().copied().unwrap_or(0);
    let reference = first / 64_000;
    packet(out, 15, RTPFB, |out| {
        out.extend_from_slice(&[sender.to_be_bytes(), media.to_be_bytes()].concat());
        out.extend_from_slice(&base.to_be_bytes());
        out.extend_from_slice(&(arrivals.len() as u16).to_be_bytes());
        out.extend_from_slice(&((reference as u32) << 8 | u32::from(count)).to_be_bytes());
        let mut clock = (reference * 64_000) as i64;
        let mut deltas = Vec::with_capacity(arrivals.len());
        for chunk in arrivals.chunks(7) {
            // A vector of two-bit statuses: missing, small delta, large or negative delta.
            let mut word = 0xc000;
            for (at, arrival) in chunk.iter().enumerate() {
                let Some(arrival) = arrival else { continue };
                let ticks = (*arrival as i64 - clock).div_euclid(250);
                let ticks = ticks.clamp(i64::from(i16::MIN), i64::from(i16::MAX));
                clock += ticks * 250;
                let symbol = if (0..=255).contains(&ticks) { 1 } else { 2 };
                match symbol {
                    1 => deltas.push(ticks as u8),
                    _ => deltas.extend_from_slice(&(ticks as i16).to_be_bytes()),
                }
                word |= symbol << (12 - 2 * at);
            }
            out.extend_from_slice(&(word as u16).to_be_bytes());
        }
        out.extend_from_slice(&deltas);
    });
}

/// Appends a packet: its header, and the output of `body`, padded to whole words.
fn packet(out: &mut Vec<u8>, count: u8, packet_type: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, packet_type, 0, 0]);
    body(out);
    let len = (out.len() - start).next_multiple_of(4);
    out.resize(start + len, 0);
    out[start + 2..start + 4].copy_from_slice(&((len / 4 - 1) as u16).to_be_bytes());
}

/// The parts of RTCP that peers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A sender report: its stream, and the middle of its NTP time.
    SenderReport {
        /// Its stream.
        ssrc: u32,
        /// The middle 32 bits.
        ntp_middle: u32,
    },
    /// PLI or FIR for a stream.
    KeyframeRequest(u32),
    /// NACK for this number of packets of a stream.
    Nack,
    /// Transport-wide feedback.
    TransportCc,
}

/// Reads the well-formed part of a compound packet, and ignores packets that peers do not use.
pub fn read(mut compound: &[u8], mut on_part: impl FnMut(Part)) {
    while let Some([first, packet_type, high, low]) = compound.first_chunk().copied() {
        let len = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some((packet, rest)) = compound.split_at_checked(len) else { return };
        compound = rest;
        let word = |at: usize| {
            packet.get(at..at + 4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        };
        let part = match (packet_type, first & 31) {
            (SR, _) => {
                word(4).zip(word(10)).map(|(ssrc, ntp_middle)| Part::SenderReport { ssrc, ntp_middle })
            }
            (PSFB, 1) => word(8).map(Part::KeyframeRequest),
            // RFC 5104 §4.3.1: the stream is in the entry, not in the header.
            (PSFB, 4) => word(12).map(Part::KeyframeRequest),
            (RTPFB, 1) => Some(Part::Nack),
            (RTPFB, 15) => Some(Part::TransportCc),
            _ => None,
        };
        part.into_iter().for_each(&mut on_part);
    }
}

#[cfg(test)]
mod tests;
