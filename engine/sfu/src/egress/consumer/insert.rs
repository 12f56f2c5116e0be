//! Packets that a consumer gets in addition to its producer's: the parameter sets of H.264 before a keyframe
//! without them. They have their own sequence numbers and can be retransmitted like all others.

use super::Consumer;
use crate::egress::rewrite::Numbering;
use crate::egress::writer::Egress;
use crate::ingress::stream::Stream;
use crate::packet::frame::Frame;
use crate::packet::media_packet::{Carried, Marker, MediaPacket};
use crate::packet::parameter_sets::ParameterSets;
use control::Codec;
use machine::Tx;
use rtp::SeqNo;
use std::sync::Arc;

/// The packets inserted last. They stay as sent, whatever sets the stream has later.
#[derive(Clone, Debug)]
pub(super) struct Inserted {
    sets: Arc<ParameterSets>,
    /// Our sequence number of the first.
    first: SeqNo,
    /// Of the following keyframe, in the publisher's timestamps.
    timestamp: u32,
    numbering: Numbering,
    /// Keyframes that the peer had requested at that time.
    requests: u64,
}

impl Inserted {
    /// The inserted packet with this sequence number (one of ours), if there is one.
    pub(super) fn packet(&self, ours: SeqNo) -> Option<(MediaPacket<'_>, Numbering)> {
        let index = usize::try_from(ours.0.checked_sub(self.first.0)?).ok()?;
        let unit = self.sets.unit(index)?;
        let packet = MediaPacket {
            seq: SeqNo(0),
            timestamp: self.timestamp,
            marker: Marker::NONE,
            codec: Codec::H264,
            starts_keyframe: false,
            frame: Frame::Opaque,
            picture: None,
            carried: Carried::NONE,
            descriptor: &[],
            payload: unit,
            padded: unit,
        };
        Some((packet, self.numbering))
    }
}

impl Consumer {
    /// Sends the parameter sets that a decoder needs before this packet, the consumer's first one.
    pub(super) fn insert_parameter_sets(
        &mut self,
        packet: &MediaPacket<'_>,
        stream: &Stream,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let Some(sets) = stream.parameter_sets_for(packet) else { return };
        let Some((first, numbering)) = self.rewriter.make_room(packet.seq, sets.len() as u64) else { return };
        let requests = self.keyframe_requests();
        let inserted =
            Inserted { sets: sets.clone(), first, timestamp: packet.timestamp, numbering, requests };
        let inserted = Arc::new(inserted);
        self.inserted = Some(inserted.clone());
        for index in 0..inserted.sets.len() as u64 {
            let ours = SeqNo(first.0 + index);
            if let Some((set, numbering)) = inserted.packet(ours) {
                self.send(&set, ours, &numbering, out);
            }
        }
    }

    /// The same before a later keyframe of the followed stream, if the peer has requested one since: it may
    /// lack the sets.
    pub(super) fn insert_parameter_sets_again(
        &mut self,
        packet: &MediaPacket<'_>,
        stream: &Stream,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let requests = self.keyframe_requests();
        if packet.starts_keyframe
            && self.inserted.as_ref().is_some_and(|inserted| inserted.requests < requests)
        {
            self.insert_parameter_sets(packet, stream, out);
        }
    }

    fn keyframe_requests(&self) -> u64 {
        self.counts.plis + self.counts.firs
    }
}
