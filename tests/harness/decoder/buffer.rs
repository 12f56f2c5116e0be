//! From frames to pictures: those of one timestamp go to the decoder together, once the marker has ended the
//! picture and everything it refers to has been decoded (libwebrtc's `FrameBuffer`).

use super::assembler::AssembledFrame;
use super::finder::Place;
use super::layers_of;
use crate::layered::Truth;
use control::Layers;
use machine::Instant;
use std::collections::BTreeSet;

/// Decoded frames that are stored. No pattern has older references, except to a key picture.
const DECODED_MAX: usize = 4096;

/// A picture that was passed to a decoder.
#[derive(Clone, Debug)]
pub struct Picture {
    /// When its last packet came.
    pub at: Instant,
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// Its highest layers.
    pub layers: Layers,
    /// Whether nothing before it was needed.
    pub is_key: bool,
    /// Number of its first packet.
    pub first_seq: u64,
    /// The number of its highest frame, at the source.
    pub frame: u32,
    /// When it was captured.
    pub captured_at: Instant,
}

/// A frame that was not passed to a decoder.
#[derive(Clone, Debug)]
pub struct Undecodable {
    /// Number of its first packet.
    pub first_seq: u64,
    /// When its last packet came.
    pub at: Instant,
    /// The reason.
    pub why: String,
    /// Packets have been lost, and no key picture has arrived since.
    pub follows_loss: bool,
    /// Its truth.
    pub truth: Truth,
}

#[derive(Debug, Default)]
pub(super) struct Buffer {
    open: Vec<(AssembledFrame, Result<Place, String>)>,
    decoded: BTreeSet<i64>,
    truly_decoded: BTreeSet<u32>,
    last_id: Option<i64>,
    follows_loss: bool,
    /// The present picture has lost a packet.
    is_torn: bool,
    pub pictures: Vec<Picture>,
    pub undecodable: Vec<Undecodable>,
}

impl Buffer {
    pub fn on_gap(&mut self, cut_off: Option<AssembledFrame>) {
        self.follows_loss = true;
        self.is_torn |= !self.open.is_empty();
        if let Some(frame) = cut_off {
            self.give_up(&frame, "packets of it are missing");
        }
    }

    /// A packet cannot be read, which is a fault already.
    pub fn on_unreadable(&mut self) {
        self.follows_loss = true;
    }

    pub fn is_of_another_picture(&self, frame: &AssembledFrame) -> bool {
        self.open.last().is_some_and(|(last, _)| last.timestamp != frame.timestamp)
    }

    pub fn push(&mut self, frame: AssembledFrame, place: Result<Place, String>) {
        self.open.push((frame, place));
    }

    /// The present picture has ended, with or without a marker. Returns a fault, if any.
    pub fn close(&mut self, by_marker: bool) -> Vec<String> {
        let frames = std::mem::take(&mut self.open);
        let is_torn = std::mem::take(&mut self.is_torn);
        if frames.is_empty() {
            return Vec::new();
        }
        let mut faults = Vec::new();
        if !by_marker {
            // If only the last packet is missing, it is not a fault of the sender.
            if !is_torn && !self.follows_loss {
                faults.push(format!("a picture was never ended by a marker: {:?}", frames[0].0.truth));
            }
            frames.iter().for_each(|(frame, _)| self.give_up(frame, "its picture was never ended"));
            return faults;
        }
        match self.judge(&frames) {
            Ok(places) => faults.extend(self.decode(&frames, &places)),
            Err(why) => frames.iter().for_each(|(frame, _)| self.give_up(frame, &why)),
        }
        faults
    }

    /// Whether a receiver passes the picture to its decoder.
    fn judge(&self, frames: &[(AssembledFrame, Result<Place, String>)]) -> Result<Vec<Place>, String> {
        let places: Vec<Place> = frames.iter().map(|(_, place)| place.clone()).collect::<Result<_, _>>()?;
        let mut last_id = self.last_id;
        for place in &places {
            if last_id.is_some_and(|last| place.id <= last) {
                return Err(format!("it is number {}, and {last_id:?} has been decoded", place.id));
            }
            last_id = Some(place.id);
            for reference in &place.references {
                let is_here = self.decoded.contains(reference)
                    || places.iter().any(|other| other.id == *reference && other.id < place.id);
                if !is_here {
                    return Err(format!("{} refers to {reference}, which was not decoded", place.id));
                }
            }
        }
        Ok(places)
    }

    fn decode(
        &mut self,
        frames: &[(AssembledFrame, Result<Place, String>)],
        places: &[Place],
    ) -> Vec<String> {
        let (first, last) = (&frames[0].0, &frames[frames.len() - 1].0);
        let mut faults = Vec::new();
        for (frame, _) in frames {
            let missing = frame.truth.references.iter().find(|number| !self.truly_decoded.contains(number));
            if let Some(missing) = missing {
                faults.push(format!("decoded without {missing}: {:?}", frame.truth));
            }
            if frame.truth.encoding != first.truth.encoding {
                faults.push(format!("two streams in one picture: {:?}", frame.truth));
            }
            self.truly_decoded.insert(frame.truth.frame);
        }
        let is_key = places[0].is_key;
        if is_key {
            self.follows_loss = false;
        }
        self.decoded.extend(places.iter().map(|place| place.id));
        self.last_id = self.decoded.last().copied();
        while self.decoded.len() > DECODED_MAX {
            self.decoded.pop_first();
        }
        while self.truly_decoded.len() > DECODED_MAX {
            self.truly_decoded.pop_first();
        }
        self.pictures.push(Picture {
            at: frames.iter().map(|(frame, _)| frame.at).max().unwrap_or(last.at),
            timestamp: first.timestamp,
            layers: layers_of(&last.truth),
            is_key,
            first_seq: first.first_seq,
            frame: last.truth.frame,
            captured_at: last.truth.captured_at,
        });
        faults
    }

    fn give_up(&mut self, frame: &AssembledFrame, why: &str) {
        self.undecodable.push(Undecodable {
            first_seq: frame.first_seq,
            at: frame.at,
            why: why.to_owned(),
            follows_loss: self.follows_loss,
            truth: frame.truth.clone(),
        });
    }
}
