//! RTCP by the published implementation, and the peers' wall clock.

use machine::Instant;
pub use oracle_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
pub use oracle_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
pub use oracle_rtcp::receiver_report::ReceiverReport;
pub use oracle_rtcp::reception_report::ReceptionReport;
pub use oracle_rtcp::sender_report::SenderReport;
pub use oracle_rtcp::source_description::SourceDescription;
pub use oracle_rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
pub use oracle_rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

use oracle_rtcp::packet::Packet;
use oracle_rtcp::source_description::{SdesType, SourceDescriptionChunk, SourceDescriptionItem};
use oracle_rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc};
use oracle_rtcp::transport_feedbacks::transport_layer_nack::nack_pairs_from_sequence_numbers;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A packet of any kind.
pub type AnyPacket = Box<dyn Packet + Send + Sync>;

/// Seconds from 1900 to the instant that stands for the simulator's epoch: some day in November 2026.
const EPOCH_SECONDS: u64 = 2_208_988_800 + 1_795_000_000;

/// The peers' wall clock, in NTP's format.
pub fn ntp_at(at: Instant) -> u64 {
    let nanos = u128::from(at.as_nanos()) + u128::from(EPOCH_SECONDS) * 1_000_000_000;
    ((nanos << 32) / 1_000_000_000) as u64
}

/// The moment that a peer's wall clock shows, in nanoseconds since the simulator's epoch.
pub fn nanos_of(ntp: u64) -> i128 {
    ((i128::from(ntp) * 1_000_000_000) >> 32) - i128::from(EPOCH_SECONDS) * 1_000_000_000
}

/// Takes a compound packet apart. The published implementation panics on some; that is an error like another.
pub fn read(compound: &[u8]) -> Result<Vec<AnyPacket>, String> {
    let read = catch_unwind(AssertUnwindSafe(|| oracle_rtcp::packet::unmarshal(&mut &compound[..])));
    match read {
        Ok(packets) => packets.map_err(|error| format!("RTCP is malformed: {error}")),
        Err(_) => Err("RTCP makes the published implementation panic".to_owned()),
    }
}

/// Puts a compound packet together.
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

/// Transport-wide feedback, understood.
#[derive(Clone, Debug)]
pub struct Feedback {
    /// When it came.
    pub at: Instant,
    /// Its running number.
    pub number: u8,
    /// Each packet it reports on, and when that arrived, in microseconds of the engine's clock; `None` for one that did
    /// not.
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
