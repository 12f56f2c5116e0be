//! Packets of a real browser, as recorded by `tests/browser/capture.js`: before encryption, with only the
//! beginning of each payload.
//!
//! The rest is filled up, and at its end the [`Truth`] is written from the browser's own dependency
//! descriptors, so that captured packets can replace our own in every check that uses it.

use crate::dependency::{self, Descriptor, Structure};
use crate::layered::{TRUTH_LEN, Truth};
use bytes::Bytes;
use control::{Codec, Extension, ExtensionKind};
use machine::Instant;
use oracle_rtp::header::Header;
use oracle_rtp::packet::Packet;
use oracle_util::marshal::{MarshalSize, Unmarshal};
use std::collections::BTreeMap;
use std::time::Duration;

/// A recorded track.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Its codec.
    pub codec: Codec,
    /// Payload type of its media.
    pub pt: u8,
    /// Payload type of its retransmissions.
    pub rtx_pt: u8,
    /// The negotiated header extensions that the engine supports.
    pub extensions: Vec<Extension>,
    /// Every packet, media and retransmissions, in the order of sending.
    pub packets: Vec<CapturedPacket>,
}

/// One packet.
#[derive(Clone, Debug)]
pub struct CapturedPacket {
    /// Since the first one.
    pub at: Duration,
    /// Its header, with all extensions.
    pub header: Header,
    /// With its original length, and zeros for the unrecorded part. Empty for padding.
    pub payload: Vec<u8>,
    /// The recorded length of the payload.
    pub kept: usize,
}

impl Capture {
    /// Reads a file. Panics if it is invalid: the files are our own.
    pub fn read(file: &[u8]) -> Self {
        let head_len = file.windows(2).position(|pair| pair == b"\n\n").expect("an empty line ends the head");
        let head = std::str::from_utf8(&file[..head_len]).expect("the head is text");
        let mut rest = &file[head_len + 2..];
        let field = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value).expect("the head is whole")
        };
        let number = |name: &str| field(name).parse().expect("a payload type");
        let codec = match field("codec") {
            "VP8" => Codec::Vp8,
            "VP9" => Codec::Vp9,
            "H264" => Codec::H264,
            "AV1" => Codec::Av1,
            other => panic!("unknown: {other}"),
        };
        let extensions = head.lines().filter_map(|line| {
            let (id, uri) = line.strip_prefix("extension ")?.split_once(' ')?;
            Some(Extension { kind: kind_of(uri)?, id: id.parse().ok()? })
        });
        let mut packets = Vec::new();
        while let Some((record, behind)) = rest.split_first_chunk::<8>() {
            let [ms, len] = [&record[..4], &record[4..6]]
                .map(|bytes| bytes.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)));
            let kept = usize::from(record[6]) << 8 | usize::from(record[7]);
            packets.push(CapturedPacket::new(
                Duration::from_millis(ms.into()),
                &behind[..kept],
                len as usize,
            ));
            rest = &behind[kept..];
        }
        Self { codec, pt: number("pt"), rtx_pt: number("rtx"), extensions: extensions.collect(), packets }
    }

    /// The id of an extension.
    pub fn extension(&self, kind: ExtensionKind) -> Option<u8> {
        self.extensions.iter().find(|extension| extension.kind == kind).map(|extension| extension.id)
    }

    /// The SSRCs of its media, that of the fewest bytes first, and their names.
    pub fn streams(&self) -> Vec<(u32, Option<String>)> {
        let mut octets: BTreeMap<u32, usize> = BTreeMap::new();
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        for packet in self.packets.iter().filter(|packet| packet.header.payload_type == self.pt) {
            let ssrc = packet.header.ssrc;
            *octets.entry(ssrc).or_default() += packet.payload.len();
            let rid = self.extension(ExtensionKind::Rid).and_then(|id| packet.header.get_extension(id));
            if let Some(rid) = rid {
                names.insert(ssrc, String::from_utf8_lossy(&rid).into_owned());
            }
        }
        let mut streams: Vec<(usize, u32)> =
            octets.into_iter().map(|(ssrc, octets)| (octets, ssrc)).collect();
        streams.sort_unstable();
        streams.into_iter().map(|(_, ssrc)| (ssrc, names.get(&ssrc).cloned())).collect()
    }

    /// The SSRC of retransmissions of its only stream.
    pub fn rtx_ssrc(&self) -> Option<u32> {
        let mut repairs = self.packets.iter().filter(|packet| packet.header.payload_type == self.rtx_pt);
        repairs.next().map(|packet| packet.header.ssrc)
    }

    /// Packets with their descriptors, each read with the present structure.
    fn described<'a>(
        &'a self,
        packets: impl Iterator<Item = &'a CapturedPacket>,
    ) -> impl Iterator<Item = (&'a CapturedPacket, Option<Descriptor>)> {
        let id = self.extension(ExtensionKind::DependencyDescriptor);
        let mut known: BTreeMap<u32, Structure> = BTreeMap::new();
        packets.map(move |packet| {
            let value = id.and_then(|id| packet.header.get_extension(id));
            let read = value.and_then(|value| dependency::read(&value, known.get(&packet.header.ssrc)).ok());
            if let Some(Descriptor { structure: Some(structure), .. }) = &read {
                known.insert(packet.header.ssrc, structure.clone());
            }
            (packet, read)
        })
    }

    /// Media packets of complete frames, with the truth at their ends, and padding, with their send times.
    pub fn truthful(&self) -> Vec<(Duration, Packet)> {
        let streams = self.streams();
        let media = self.packets.iter().filter(|packet| packet.header.payload_type == self.pt);
        let mut open: BTreeMap<u32, Vec<(usize, &CapturedPacket, Descriptor)>> = BTreeMap::new();
        let mut first_timestamps: BTreeMap<u32, (u32, Duration)> = BTreeMap::new();
        let mut sent: BTreeMap<usize, (Duration, Packet)> = BTreeMap::new();
        for (order, (packet, descriptor)) in self.described(media).enumerate() {
            let ssrc = packet.header.ssrc;
            let Some(encoding) = streams.iter().position(|(other, _)| *other == ssrc) else { continue };
            let Some(descriptor) = descriptor else { continue };
            let frame = open.entry(ssrc).or_default();
            if descriptor.start {
                frame.clear();
            }
            let ends = descriptor.end;
            frame.push((order, packet, descriptor));
            if !ends || !frame[0].2.start {
                continue;
            }
            let first = *first_timestamps.entry(ssrc).or_insert((packet.header.timestamp, packet.at));
            let passed = Duration::from_micros(
                u64::from(packet.header.timestamp.wrapping_sub(first.0)) * 1_000_000 / 90_000,
            );
            let count = frame.len() as u16;
            for (index, (order, packet, _)) in frame.iter().enumerate() {
                let template = &frame[0].2;
                let number = |number: u16| u32::from(number) | (encoding as u32) << 16;
                let truth = Truth {
                    encoding: encoding as u8,
                    spatial: template.frame.spatial,
                    temporal: template.frame.temporal,
                    is_key: template.structure.is_some(),
                    frame: number(template.frame_number),
                    index: index as u16,
                    count,
                    captured_at: Instant::EPOCH + first.1 + passed,
                    references: template
                        .frame
                        .diffs
                        .iter()
                        .map(|diff| number(template.frame_number.wrapping_sub(*diff)))
                        .collect(),
                };
                let payload = self.payload(packet, &truth);
                let header = packet.header.clone();
                sent.insert(*order, (packet.at, Packet { header, payload: Bytes::from(payload) }));
            }
            frame.clear();
        }
        // The recording ended within a picture.
        let last: BTreeMap<u32, u32> =
            sent.values().map(|(_, packet)| (packet.header.ssrc, packet.header.timestamp)).collect();
        sent.retain(|_, (_, packet)| last.get(&packet.header.ssrc) != Some(&packet.header.timestamp));
        let padding = self.packets.iter().filter(|packet| packet.payload.is_empty());
        let padding = padding
            .map(|packet| (packet.at, Packet { header: packet.header.clone(), payload: Bytes::new() }));
        let mut all: Vec<_> = sent.into_values().chain(padding).collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }

    /// A payload with the truth at its end: in place of the unrecorded part, or after it.
    fn payload(&self, packet: &CapturedPacket, truth: &Truth) -> Vec<u8> {
        let mut payload = packet.payload.clone();
        if payload.len() >= packet.kept + TRUTH_LEN {
            payload.truncate(payload.len() - TRUTH_LEN);
        } else {
            payload.truncate(packet.kept);
            if self.codec == Codec::H264 && payload[0] & 0x1f == 24 {
                lengthen_last(&mut payload);
            }
        }
        let read = crate::decoder::codec::read(self.codec, &packet.payload);
        let (_, descriptor_len) = read.expect("a browser's descriptor is valid");
        truth.append(&mut payload, descriptor_len);
        payload
    }
}

/// The last NAL unit of an aggregate gets room for the truth.
fn lengthen_last(payload: &mut [u8]) {
    let mut at = 1;
    loop {
        let len = usize::from(payload[at]) << 8 | usize::from(payload[at + 1]);
        if at + 2 + len >= payload.len() {
            let longer = (len + TRUTH_LEN) as u16;
            payload[at..at + 2].copy_from_slice(&longer.to_be_bytes());
            return;
        }
        at += 2 + len;
    }
}

impl CapturedPacket {
    fn new(at: Duration, kept: &[u8], len: usize) -> Self {
        let header = Header::unmarshal(&mut &kept[..]).expect("the header was kept whole");
        let header_len = header.marshal_size();
        let front = &kept[header_len.min(kept.len())..];
        // Browsers send padding only in padding-only packets.
        let payload = if header.padding {
            Vec::new()
        } else {
            let mut payload = front.to_vec();
            payload.resize(len - header_len, 0);
            payload
        };
        let kept = front.len().min(payload.len());
        Self { at, header, payload, kept }
    }
}

fn kind_of(uri: &str) -> Option<ExtensionKind> {
    use rtp::ext::uri;
    Some(match uri {
        uri::MID => ExtensionKind::Mid,
        uri::RID => ExtensionKind::Rid,
        uri::REPAIRED_RID => ExtensionKind::RepairedRid,
        uri::VIDEO_ORIENTATION => ExtensionKind::VideoOrientation,
        uri::TOFFSET => ExtensionKind::TimeOffset,
        uri::PLAYOUT_DELAY => ExtensionKind::PlayoutDelay,
        uri::ABS_CAPTURE_TIME => ExtensionKind::AbsCaptureTime,
        uri::DEPENDENCY_DESCRIPTOR => ExtensionKind::DependencyDescriptor,
        _ => return None,
    })
}
