//! A layered track being received: the results of [`Receiver`], in the terms of every sink.

use super::payload::{Payload, Stamp};
use super::sink::Frame;
use crate::decoder::{Incoming, Receiver, see};
use crate::layered::received_ext;
use control::Codec;
use machine::Instant;
use oracle_rtp::header::Header;

/// Checks a layered track.
#[derive(Debug)]
pub struct View {
    codec: Codec,
    receiver: Receiver,
    frames: Vec<Frame>,
    /// Reported faults.
    reported: usize,
}

impl View {
    pub(crate) fn new(codec: Codec, uses_descriptor: bool) -> Self {
        Self { codec, receiver: Receiver::new(codec, uses_descriptor), frames: Vec::new(), reported: 0 }
    }

    /// The receiver's model.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    pub(crate) fn frames(&self) -> &Vec<Frame> {
        &self.frames
    }

    /// The contents of a packet, for counting. Padding is an empty frame.
    pub(crate) fn payload(&self, content: &[u8]) -> Result<Payload, String> {
        if content.is_empty() {
            let stamp = Stamp { frame: 0, index: 0, count: 0, captured_at: Instant::EPOCH };
            return Ok(Payload { stamp, starts_frame: false, starts_keyframe: false });
        }
        let truth = see(self.codec, content)?;
        let (frame, index, count) = (truth.frame, truth.index, truth.count);
        let starts_frame = index == 0 && truth.spatial == 0;
        Ok(Payload {
            stamp: Stamp { frame, index, count, captured_at: truth.captured_at },
            starts_frame,
            starts_keyframe: starts_frame && truth.is_key,
        })
    }

    /// A packet for the model.
    pub(crate) fn incoming(now: Instant, header: &Header, content: &[u8]) -> Incoming {
        Incoming {
            at: now,
            timestamp: header.timestamp,
            marker: header.marker,
            descriptor: header.get_extension(received_ext::DESCRIPTOR).map(|value| value.to_vec()),
            payload: content.to_vec(),
        }
    }

    /// `Err` is the first new fault.
    pub(crate) fn on_packet(&mut self, seq: u64, packet: Incoming) -> Result<(), String> {
        self.receiver.on_packet(seq, packet);
        self.catch_up()
    }

    /// Does not wait longer for missing packets.
    pub(crate) fn finish(&mut self, now: Instant) -> Result<(), String> {
        self.receiver.finish(now);
        self.catch_up()
    }

    fn catch_up(&mut self) -> Result<(), String> {
        let new = &self.receiver.pictures()[self.frames.len()..];
        self.frames.extend(new.iter().map(|picture| Frame {
            at: picture.at,
            frame: picture.frame,
            is_keyframe: picture.is_key,
            first_seq: picture.first_seq,
            timestamp: picture.timestamp,
        }));
        let fault = self.receiver.faults().get(self.reported).cloned();
        self.reported = self.receiver.faults().len();
        fault.map_or(Ok(()), Err)
    }
}
