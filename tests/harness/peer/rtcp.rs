//! RTCP by the published implementation, and the peers' wall clock.

use machine::Instant;
pub use oracle_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
pub use oracle_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
pub use oracle_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
pub use oracle_rtcp::receiver_report::ReceiverReport;
pub use oracle_rtcp::reception_report::ReceptionReport;
pub use oracle_rtcp::sender_report::SenderReport;
pub use oracle_rtcp::source_description::SourceDescription;
pub use oracle_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
pub use oracle_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

use oracle_rtcp::packet::Packet;
use oracle_rtcp::source_description::{SdesType, SourceDescriptionChunk, SourceDescriptionItem};
use oracle_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc,
};
use oracle_rtcp::transport_feedbacks::transport_layer_nack::nack_pairs_from_sequence_numbers;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A packet of any kind.
pub type AnyPacket = Box<dyn Packet + Send + Sync>;

/// Seconds from 1900 to the simulator's epoch: a day in November 2026.
const EPOCH_SECONDS: u64 = 2_208_988_800 + 1_795_000_000;

/// The peers' wall clock, in NTP's format.
pub fn ntp_at(at: Instant) -> u64 {
    let nanos = u128::from(at.as_nanos()) + u128::from(EPOCH_SECONDS) * 1_000_000_000;
    ((nanos << 32) / 1_000_000_000) as u64
}

/// A time of a peer's wall clock, in nanoseconds since the simulator's epoch.
pub fn nanos_of(ntp: u64) -> i128 {
    ((i128::from(ntp) * 1_000_000_000) >> 32) - i128::from(EPOCH_SECONDS) * 1_000_000_000
}

/// Splits a compound packet. The published implementation panics on some, which is an error too.
pub fn read(compound: &[u8]) -> Result<Vec<AnyPacket>, String> {
    let read = catch_unwind(AssertUnwindSafe(|| oracle_rtcp::packet::unmarshal(&mut &compound[..])));
    match read {
        Ok(packets) => packets.map_err(|error| format!("RTCP is malformed: {error}")),
        Err(_) => Err("RTCP makes the published implementation panic".to_owned()),
    }
}

/// Builds a compound packet.
pub fn write(packets: &[AnyPacket]) -> Vec<u8> {
    oracle_rtcp::packet::marshal(packets).expect("our own packets are well-formed").to_vec()
}

/// A request for `lost`, in ascending order.
pub fn nack(sender: u32, media: u32, lost: &[u16]) -> AnyPacket {
    let nacks = nack_pairs_from_sequence_numbers(lost);
    Box::new(TransportLayerNack { sender_ssrc: sender, media_ssrc: media, nacks })
}

/// A request for a keyframe.
pub fn pli(sender: u32, media: u32) -> AnyPacket {
    Box::new(PictureLossIndication { sender_ssrc: sender, media_ssrc: media })
}

/// A CNAME.
pub fn cname(source: u32, name: &str) -> AnyPacket {
    let text = bytes::Bytes::copy_from_slice(name.as_bytes());
    let items = vec![SourceDescriptionItem { sdes_type: SdesType::SdesCname, text }];
    Box::new(SourceDescription { chunks: vec![SourceDescriptionChunk { source, items }] })
}

/// Parsed transport-wide feedback.
#[derive(Clone, Debug)]
pub struct Feedback {
    /// When it came.
    pub at: Instant,
    /// Its running number.
    pub number: u8,
    /// Each packet it reports on, and when that arrived, in microseconds of the engine's clock; `None` for
    /// one that did not.
    pub packets: Vec<(u16, Option<i64>)>,
}

impl Feedback {
    /// Walks over the statuses, giving each packet that arrived the next delta.
    pub fn new(at: Instant, feedback: &TransportLayerCc) -> Self {
        let statuses = feedback.packet_chunks.iter().flat_map(|chunk| match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                vec![run.packet_status_symbol; usize::from(run.run_length)]
            }
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
        });
        let mut deltas = feedback.recv_deltas.iter();
        let mut clock = i64::from(feedback.reference_time) * 64_000;
        let mut seq = feedback.base_sequence_number;
        let mut packets = Vec::new();
        for status in statuses.take(usize::from(feedback.packet_status_count)) {
            let has_arrived = matches!(
                status,
                SymbolTypeTcc::PacketReceivedSmallDelta | SymbolTypeTcc::PacketReceivedLargeDelta
            );
            let arrival = has_arrived.then(|| {
                clock += deltas.next().map_or(0, |delta| delta.delta);
                clock
            });
            packets.push((seq, arrival));
            seq = seq.wrapping_add(1);
        }
        Self { at, number: feedback.fb_pkt_count, packets }
    }
}

/// The receiving side of transport-wide congestion control, as in a browser.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// By extended number, unreported arrivals.
    unreported: BTreeMap<u64, Instant>,
    /// The number after the last reported one.
    next: Option<u64>,
    highest: Option<u64>,
    count: u8,
}

/// Statuses in one feedback.
const STATUSES_MAX: u64 = 350;

impl Arrivals {
    /// A packet with this number arrived.
    pub fn record(&mut self, now: Instant, number: u16) {
        let highest = self.highest.unwrap_or(65_536 + u64::from(number));
        let ahead = i64::from(number.wrapping_sub(highest as u16) as i16);
        let number = highest.saturating_add_signed(ahead);
        self.highest = Some(highest.max(number));
        if self.next.is_none_or(|next| number >= next) {
            self.unreported.insert(number, now);
        }
    }

    /// The next feedback; `None` if everything is reported.
    pub fn tell(&mut self, sender: u32, media: u32) -> Option<TransportLayerCc> {
        let (first, first_at) = self.unreported.first_key_value().map(|(number, at)| (*number, *at))?;
        let base = self.next.map_or(first, |next| next.max(first.saturating_sub(STATUSES_MAX / 2)));
        let last =
            self.unreported.keys().copied().take_while(|number| *number < base + STATUSES_MAX).last()?;
        let reference_time = (first_at.since_epoch().as_micros() / 64_000) as u32;
        let mut clock = i64::from(reference_time) * 64_000;
        let (mut symbols, mut recv_deltas) = (Vec::new(), Vec::new());
        for number in base..=last {
            let symbol = self.unreported.remove(&number).map(|at| {
                let delta = (at.since_epoch().as_micros() as i64 - clock) / 250 * 250;
                clock += delta;
                let is_small = (0..=255 * 250).contains(&delta);
                let type_tcc_packet = if is_small {
                    SymbolTypeTcc::PacketReceivedSmallDelta
                } else {
                    SymbolTypeTcc::PacketReceivedLargeDelta
                };
                recv_deltas.push(RecvDelta { type_tcc_packet, delta });
                type_tcc_packet
            });
            symbols.push(symbol.unwrap_or(SymbolTypeTcc::PacketNotReceived));
        }
        self.next = Some(last + 1);
        let packet_chunks = symbols.chunks(7).map(|symbols| {
            let mut symbol_list = symbols.to_vec();
            symbol_list.resize(7, SymbolTypeTcc::PacketNotReceived);
            PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size: SymbolSizeTypeTcc::TwoBit,
                symbol_list,
            })
        });
        self.count = self.count.wrapping_add(1);
        Some(TransportLayerCc {
            sender_ssrc: sender,
            media_ssrc: media,
            base_sequence_number: base as u16,
            packet_status_count: symbols.len() as u16,
            reference_time: reference_time & 0x00ff_ffff,
            fb_pkt_count: self.count.wrapping_sub(1),
            packet_chunks: packet_chunks.collect(),
            recv_deltas,
        })
    }

    /// Whether there are unreported arrivals.
    pub fn has_unreported(&self) -> bool {
        !self.unreported.is_empty()
    }
}
