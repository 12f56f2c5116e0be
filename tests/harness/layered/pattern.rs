//! The frames of a picture and their references: the temporal patterns of libwebrtc's encoders, for each
//! spatial layer with its own buffers.

/// One frame: one spatial layer of one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FramePlan {
    /// Its number, over all layers (and streams).
    pub number: u64,
    pub spatial: u8,
    pub temporal: u8,
    /// Belongs to a key picture.
    pub is_key: bool,
    /// Its references: of earlier pictures first, then the next lower layer of its own.
    pub references: Vec<u64>,
    /// Whether one of them is in its own picture.
    pub is_inter_layer: bool,
    /// Whether a higher layer of its picture references it, or would if it were encoded: libwebrtc does not
    /// announce a layer that it omits because of its bit rate.
    pub serves_upper: bool,
    /// References base temporal layers only.
    pub is_sync: bool,
    /// Whether a later frame references it.
    pub is_reference: bool,
    /// The pattern starts here: no upper layer references anything before this picture any more.
    pub begins_group: bool,
}

/// The use of the two buffers at a position of a pattern: bit 0 for the last base frame, bit 1 for the
/// "golden" one.
#[derive(Clone, Copy, Debug)]
struct Place {
    temporal: u8,
    refers: u8,
    updates: u8,
}

const fn place(temporal: u8, refers: u8, updates: u8) -> Place {
    Place { temporal, refers, updates }
}

const LAST: u8 = 1;
const GOLDEN: u8 = 2;

const ONE: &[Place] = &[place(0, LAST, LAST)];
const TWO: &[Place] = &[place(0, LAST, LAST), place(1, LAST, 0)];
const THREE: &[Place] =
    &[place(0, LAST, LAST), place(2, LAST, 0), place(1, LAST, GOLDEN), place(2, GOLDEN, 0)];

/// VP8's patterns are longer: only some frames of the upper layers are sync points.
const VP8_TWO: &[Place] =
    &[place(0, LAST, LAST), place(1, LAST, GOLDEN), place(0, LAST, LAST), place(1, LAST | GOLDEN, 0)];
const VP8_THREE: &[Place] = &[
    place(0, LAST, LAST),
    place(2, LAST, 0),
    place(1, LAST, GOLDEN),
    place(2, GOLDEN, 0),
    place(0, LAST, LAST),
    place(2, LAST | GOLDEN, 0),
    place(1, LAST | GOLDEN, GOLDEN),
    place(2, GOLDEN, 0),
];

#[derive(Clone, Copy, Debug, Default)]
struct Buffered {
    number: u64,
    temporal: u8,
}

/// A stream's place in its pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    places: &'static [Place],
    /// The next picture's position, counted from the last key picture.
    next: usize,
    /// Of each spatial layer.
    buffers: Vec<[Buffered; 2]>,
    /// Encoded spatial layers.
    active: u8,
    /// Those encoded from the next base picture on.
    wanted: u8,
    /// Those with empty buffers.
    fresh: u8,
    only_key_pictures_are_shared: bool,
}

impl Pattern {
    pub fn new(is_vp8: bool, spatial_layers: u8, temporal_layers: u8, only_key: bool) -> Self {
        let places = match (is_vp8, temporal_layers) {
            (_, 1) => ONE,
            (false, 2) => TWO,
            (false, 3) => THREE,
            (true, 2) => VP8_TWO,
            (true, 3) => VP8_THREE,
            _ => panic!("no pattern has {temporal_layers} temporal layers"),
        };
        Self {
            places,
            next: 0,
            buffers: vec![[Buffered::default(); 2]; usize::from(spatial_layers)],
            active: spatial_layers,
            wanted: spatial_layers,
            fresh: 0,
            only_key_pictures_are_shared: only_key,
        }
    }

    /// Encoded spatial layers.
    pub fn active(&self) -> u8 {
        self.active
    }

    /// Encodes this number of spatial layers: fewer from the next picture on, more from the next base picture
    /// on, where the new ones reference the layers below. If only key pictures are shared, that base picture
    /// must be one.
    pub fn set_active(&mut self, layers: u8) {
        self.wanted = layers;
        self.active = self.active.min(layers);
    }

    fn settle(&mut self) {
        for spatial in self.active..self.wanted {
            self.fresh |= 1 << spatial;
        }
        self.active = self.wanted;
    }

    /// Pictures before the pattern repeats.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// The frames of the next picture, numbered from `next_number` on.
    pub fn picture(&mut self, is_key: bool, next_number: &mut u64) -> Vec<FramePlan> {
        if is_key {
            self.next = 0;
        }
        let begins_group = self.next.is_multiple_of(self.places.len());
        let place = self.places[self.next % self.places.len()];
        self.next += 1;
        if place.temporal == 0 {
            self.settle();
        }
        let mut frames: Vec<FramePlan> = Vec::new();
        let layers = self.buffers.len() as u8;
        for spatial in 0..self.active {
            let number = *next_number;
            *next_number += 1;
            let buffers = &mut self.buffers[usize::from(spatial)];
            let is_fresh = self.fresh >> spatial & 1 == 1;
            let refers = if is_key || is_fresh { 0 } else { place.refers };
            let referred = (0..2).filter(|bit| refers >> bit & 1 == 1).map(|bit| buffers[bit]);
            let referred: Vec<Buffered> = referred.collect();
            let mut references: Vec<u64> = referred.iter().map(|buffered| buffered.number).collect();
            references.dedup();
            let updates = if is_key || is_fresh { LAST | GOLDEN } else { place.updates };
            for bit in (0..2).filter(|bit| updates >> bit & 1 == 1) {
                buffers[bit] = Buffered { number, temporal: place.temporal };
            }
            let is_inter_layer = spatial > 0 && (is_key || !self.only_key_pictures_are_shared);
            if is_inter_layer && let Some(lower) = frames.last() {
                references.push(lower.number);
            }
            let serves_upper = spatial + 1 < layers && (is_key || !self.only_key_pictures_are_shared);
            frames.push(FramePlan {
                number,
                spatial,
                temporal: place.temporal,
                is_key,
                references,
                is_inter_layer,
                serves_upper,
                is_sync: referred.iter().all(|buffered| buffered.temporal == 0),
                is_reference: updates != 0,
                begins_group,
            });
        }
        self.fresh = 0;
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(pattern: &mut Pattern, count: usize) -> Vec<Vec<FramePlan>> {
        let mut number = 100;
        (0..count).map(|nth| pattern.picture(nth == 0, &mut number)).collect()
    }

    #[test]
    fn vp8_has_sync_points_where_only_the_base_is_referenced() {
        let pictures = pictures(&mut Pattern::new(true, 1, 3, false), 16);
        let frames: Vec<&FramePlan> = pictures.iter().flatten().collect();
        let temporals: Vec<u8> = frames.iter().map(|frame| frame.temporal).collect();
        assert_eq!(temporals[..8], [0, 2, 1, 2, 0, 2, 1, 2]);
        let syncs: Vec<usize> =
            (0..16).filter(|at| frames[*at].is_sync && frames[*at].temporal > 0).collect();
        assert_eq!(syncs, [1, 2, 9, 10]);
        assert_eq!(frames[5].references, [104, 102], "the last base frame and the last of the middle layer");
        assert!(frames[8].begins_group && !frames[4].begins_group);
    }

    #[test]
    fn spatial_layers_refer_down_always_or_in_key_pictures_only() {
        for only_key in [false, true] {
            let pictures = pictures(&mut Pattern::new(false, 3, 3, only_key), 5);
            let top = |picture: usize| pictures[picture][2].references.clone();
            assert_eq!(top(0), [101]);
            assert_eq!(top(1), if only_key { vec![102] } else { vec![102, 104] });
            assert_eq!(top(3), if only_key { vec![108] } else { vec![108, 110] });
            assert_eq!(top(4), if only_key { vec![102] } else { vec![102, 113] });
        }
    }
}
