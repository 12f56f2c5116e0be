//! One stream's encoder: pictures of realistic size, and their packets without headers.

use super::packetizer::{Numbers, Place, front};
use super::pattern::{FramePlan, Pattern};
use super::structure::Describer;
use super::{EncodingPlan, LayeredTrack, TRUTH_LEN, Truth};
use crate::dependency;
use control::Codec;
use machine::{Instant, Rng};
use std::collections::VecDeque;

/// The longest payload; browsers limit their packets to about 1200 bytes, including a descriptor.
const PAYLOAD_LEN_MAX: usize = 1100;

/// The length of a key picture relative to the average picture.
const KEYFRAME_FACTOR: usize = 5;

/// Pictures whose frames are stored, to compute how many pictures back a reference is.
const PICTURES_REMEMBERED: usize = 16;

/// A stream's encoder.
#[derive(Debug)]
pub(super) struct Encoder {
    index: u8,
    plan: EncodingPlan,
    pattern: Pattern,
    describer: Describer,
    numbers: Numbers,
    /// The frame numbers of the last pictures, the newest last.
    recent: VecDeque<Vec<u64>>,
    is_on: bool,
    /// The structure has changed and must be sent again (VP9).
    tells_structure: bool,
}

/// A packet without a header.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    pub payload: Vec<u8>,
    pub descriptor: Option<Vec<u8>>,
    pub marker: bool,
}

impl Encoder {
    pub fn new(track: &LayeredTrack, index: u8, rng: &mut Rng) -> Self {
        let plan = track.encodings[usize::from(index)];
        let pattern = Pattern::new(
            track.codec == Codec::Vp8,
            track.spatial_layers,
            track.temporal_layers,
            track.only_key_pictures_are_shared,
        );
        // Chrome starts every stream's templates with 0, so that those of two streams have the same numbers.
        let id_offset = if rng.chance(0.5) { 0 } else { rng.below(64) as u8 };
        let describer = Describer::new(track, &pattern, id_offset, (plan.width, plan.height));
        let numbers = Numbers { picture_id: rng.next_u32() as u16, tl0picidx: rng.next_u32() as u8 };
        let recent = VecDeque::with_capacity(PICTURES_REMEMBERED);
        Self { index, plan, pattern, describer, numbers, recent, is_on: true, tells_structure: false }
    }

    /// Whether it encodes.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Switches it on or off. After switching it on, the caller requests a key picture.
    pub fn switch(&mut self, on: bool) {
        self.is_on = on;
    }

    /// Encodes this number of spatial layers; see [`Pattern::set_active`].
    pub fn set_spatial_layers(&mut self, layers: u8) {
        self.pattern.set_active(layers);
        self.tells_structure = true;
    }

    /// Spatial layers it encodes.
    pub fn spatial_layers(&self) -> u8 {
        self.pattern.active()
    }

    /// Pictures have another size from the next key picture on, which the caller requests.
    pub fn resize(&mut self, track: &LayeredTrack, width: u16, height: u16) {
        (self.plan.width, self.plan.height) = (width, height);
        let offset = {
            self.describer.renumber();
            self.describer.structure().id_offset
        };
        self.describer = Describer::new(track, &self.pattern, offset, (width, height));
    }

    /// The packets of the next picture, frame by frame.
    pub fn picture(
        &mut self,
        track: &LayeredTrack,
        now: Instant,
        is_key: bool,
        next_number: &mut u64,
        rng: &mut Rng,
    ) -> Vec<Encoded> {
        let frames = self.pattern.picture(is_key, next_number);
        self.numbers.picture_id = self.numbers.picture_id.wrapping_add(1);
        if frames[0].temporal == 0 {
            self.numbers.tl0picidx = self.numbers.tl0picidx.wrapping_add(1);
        }
        let mut packets = Vec::new();
        for frame in &frames {
            self.frame(track, now, frame, frames.len() as u8, &mut packets, rng);
        }
        if frames[0].temporal == 0 {
            self.tells_structure = false;
        }
        if self.recent.len() == PICTURES_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(frames.iter().map(|frame| frame.number).collect());
        packets
    }

    fn frame(
        &mut self,
        track: &LayeredTrack,
        now: Instant,
        frame: &FramePlan,
        layers: u8,
        packets: &mut Vec<Encoded>,
        rng: &mut Rng,
    ) {
        let len = self.frame_len(track, frame, rng);
        let parameter_sets = usize::from(track.codec == Codec::H264 && frame.is_key);
        let count = len.div_ceil(PAYLOAD_LEN_MAX) + parameter_sets;
        let diffs = self.picture_diffs(frame);
        let active = self.pattern.active();
        let mut descriptor = track.dependency_descriptor.then(|| self.describer.describe(frame, active));
        for index in 0..count {
            let tells_structure = self.tells_structure;
            let place = Place { index, count, layers, tells_structure };
            let front = front(track, &self.plan, frame, self.numbers, &diffs, place);
            let mut payload = front.bytes;
            if !front.is_all {
                // Chrome splits a frame into packets whose lengths differ by at most a byte.
                let share = (len + index) / (count - parameter_sets);
                payload.resize(share.max(payload.len() + 1 + TRUTH_LEN) - TRUTH_LEN, frame.number as u8);
            }
            let truth = Truth {
                encoding: self.index,
                spatial: frame.spatial,
                temporal: frame.temporal,
                is_key: frame.is_key,
                frame: frame.number as u32,
                index: index as u16,
                count: count as u16,
                captured_at: now,
                references: frame.references.iter().map(|reference| *reference as u32).collect(),
            };
            truth.append(&mut payload, front.descriptor_len);
            let is_last = index + 1 == count;
            let written = descriptor.as_mut().map(|descriptor| {
                (descriptor.start, descriptor.end) = (index == 0, is_last);
                if index > 0 {
                    descriptor.structure = None;
                }
                dependency::write(descriptor, self.describer.structure())
            });
            packets.push(Encoded {
                payload,
                descriptor: written,
                marker: is_last && frame.spatial + 1 == layers,
            });
        }
    }

    /// The distances, in pictures, to the references in earlier pictures.
    fn picture_diffs(&self, frame: &FramePlan) -> Vec<u8> {
        let back = |reference: &u64| self.recent.iter().rev().position(|picture| picture.contains(reference));
        frame.references.iter().filter_map(back).map(|pictures| pictures as u8 + 1).collect()
    }

    /// Bytes of a frame: most for the base, twice the average sometimes, and several times that for a key
    /// picture.
    fn frame_len(&self, track: &LayeredTrack, frame: &FramePlan, rng: &mut Rng) -> usize {
        let picture = f64::from(self.plan.bitrate_bps) / 8.0 * track.frame_interval.as_secs_f64();
        // Each spatial layer has four times the pixels of the one below, and about half again the bits.
        let weights: f64 = (0..track.spatial_layers).map(|layer| 2.0f64.powi(layer.into())).sum();
        let of_layer = picture * 2.0f64.powi(frame.spatial.into()) / weights;
        let of_temporal = match (track.temporal_layers, frame.temporal) {
            (1, _) => 1.0,
            (_, 0) => 1.6,
            (_, 1) => 1.0,
            _ => 0.7,
        };
        let average = ((of_layer * of_temporal) as usize).max(60);
        if frame.is_key {
            average * KEYFRAME_FACTOR
        } else if rng.chance(0.05) {
            average * 2
        } else {
            average * 2 / 3 + rng.below(average as u32 * 2 / 3) as usize
        }
    }
}
