//! The engine's sent packets, checked against two rules in every test:
//!
//! - one SRTP index of one key protects one packet (RFC 3711 §9.1, RFC 7714 §8.1): the same key, SSRC,
//!   roll-over counter and sequence number twice means the same bytes;
//! - the statistics of a transport count every datagram that was sent for it.
//!
//! Unencrypted RTP is checked against the first rule too, because the same code writes it.

use control::{StatsItem, TransportId};
use machine::Flow;
use sfu::Shard;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use stun::Demux;

/// All packets sent by one shard.
#[derive(Debug, Default)]
pub struct SentIndices {
    /// By the transport's number in its shard, which represents its keys, and by SSRC.
    streams: HashMap<(u64, u32), Stream>,
    /// The last transport of a flow: one that has closed may have sent before it did.
    owners: HashMap<Flow, (TransportId, u64)>,
    /// Of each transport by id: its flow, its number, and its sent amount.
    amounts: HashMap<TransportId, (Flow, u64, Amount)>,
    packets: u64,
    repeated: u64,
}

/// One SSRC under one key.
#[derive(Debug, Default)]
struct Stream {
    /// The highest index so far.
    highest: u64,
    sent: HashMap<u64, Fingerprint>,
}

/// The stored information of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    hash: u64,
    len: usize,
    /// The fixed header, for the message.
    header: [u8; 12],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    packets: u64,
    bytes: u64,
}

impl SentIndices {
    /// A datagram is sent by `shard`. Returns a fault, if any.
    pub fn on_sent(&mut self, shard: &Shard, flow: Flow, bytes: &[u8]) -> Result<(), String> {
        if let Some(owner) = shard.transport_with(flow) {
            self.owners.insert(flow, owner);
        }
        let Some((transport, number)) = self.owners.get(&flow).copied() else {
            return Err(format!("{flow:?} belongs to no transport"));
        };
        let sent = self.amounts.get(&transport).filter(|(_, of, _)| *of == number);
        let Amount { packets, bytes: total } = sent.map_or(Amount::default(), |(_, _, amount)| *amount);
        let amount = Amount { packets: packets + 1, bytes: total + bytes.len() as u64 };
        self.amounts.insert(transport, (flow, number, amount));
        if stun::demux(bytes) == Demux::Rtp { self.on_rtp(number, bytes) } else { Ok(()) }
    }

    fn on_rtp(&mut self, key: u64, bytes: &[u8]) -> Result<(), String> {
        let Some(header) = bytes.first_chunk::<12>() else { return Err(format!("cut RTP: {bytes:02x?}")) };
        let seq = u16::from_be_bytes([header[2], header[3]]);
        let ssrc = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        let fingerprint = Fingerprint { hash: hasher.finish(), len: bytes.len(), header: *header };
        self.packets += 1;
        let stream = self.streams.entry((key, ssrc)).or_insert_with(|| Stream {
            // Far from zero, so that a late packet has an index too.
            highest: 1 << 32 | u64::from(seq),
            sent: HashMap::new(),
        });
        // The index nearest to the highest, as a receiver estimates it.
        let distance = seq.wrapping_sub(stream.highest as u16) as i16;
        let index = stream.highest.wrapping_add_signed(i64::from(distance));
        stream.highest = stream.highest.max(index);
        let Some(before) = stream.sent.insert(index, fingerprint) else { return Ok(()) };
        if before != fingerprint {
            return Err(format!(
                "SRTP index used twice: SSRC {ssrc:08x}, number {seq}, first {} bytes with header {:02x?}, then {} bytes with {:02x?}",
                before.len, before.header, fingerprint.len, fingerprint.header
            ));
        }
        self.repeated += 1;
        Ok(())
    }

    /// The shard reports statistics. Returns a fault, if any: they must count all sent packets.
    pub fn on_stats(&self, shard: &Shard, item: &StatsItem) -> Result<(), String> {
        let StatsItem::Transport(stats) = item else { return Ok(()) };
        let reported = Amount { packets: stats.packets_sent, bytes: stats.bytes_sent };
        // The amount may be of a former transport with the same id.
        let is_present = |flow: Flow, number| shard.transport_with(flow) == Some((stats.transport, number));
        let sent = self.amounts.get(&stats.transport).filter(|(flow, number, _)| is_present(*flow, *number));
        let sent = sent.map_or(Amount::default(), |(_, _, amount)| *amount);
        if reported == sent {
            Ok(())
        } else {
            Err(format!("{}: {reported:?} reported and {sent:?} sent", stats.transport))
        }
    }

    /// Packets of RTP that were sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Of those, identical retransmissions.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rtp(seq: u16, marker: bool, payload: u8) -> Vec<u8> {
        let [high, low] = seq.to_be_bytes();
        vec![0x80, 96 | u8::from(marker) << 7, high, low, 0, 0, 0, 1, 0, 0, 0, 7, payload]
    }

    #[test]
    fn other_bytes_with_the_same_index_are_detected() {
        let mut sent = SentIndices::default();
        for seq in 65_530..65_540u32 {
            assert_eq!(sent.on_rtp(1, &rtp(seq as u16, false, 9)), Ok(()));
        }
        assert_eq!(sent.on_rtp(1, &rtp(65_533, false, 9)), Ok(()));
        assert_eq!((sent.packets(), sent.repeated()), (11, 1));
        assert!(sent.on_rtp(1, &rtp(65_534, true, 9)).is_err(), "another header");
        assert!(sent.on_rtp(1, &rtp(2, false, 8)).is_err(), "another payload");
        assert_eq!(sent.on_rtp(2, &rtp(2, false, 8)), Ok(()), "another key");
        // Once around, the numbers are new.
        for seq in (0..3u32).map(|turn| turn * 30_000 + 10_000) {
            assert_eq!(sent.on_rtp(1, &rtp(seq as u16, false, 9)), Ok(()));
        }
        assert_eq!(sent.on_rtp(1, &rtp(2, false, 7)), Ok(()));
    }
}
