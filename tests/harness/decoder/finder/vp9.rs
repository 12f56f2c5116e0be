//! `RtpVp9RefFinder`: in flexible mode a frame lists its references, otherwise they follow from its place in
//! the group of pictures.

use super::super::codec::Vp9;
use super::{Found, Unwrapper};
use std::collections::{BTreeMap, BTreeSet};

/// Ids of frames are those of their pictures, times this, plus the spatial layer.
const LAYERS_MAX: i64 = 8;

/// Base pictures that are remembered.
const BASES_MAX: usize = 60;

type Group = Vec<(u8, bool, Vec<u8>)>;

#[derive(Debug, Default)]
pub(super) struct Vp9Finder {
    picture_ids: Unwrapper,
    tl0: Unwrapper,
    /// Of each base picture: its group, the group's start, and the last received picture.
    bases: BTreeMap<i64, Base>,
    missing: [BTreeSet<i64>; 8],
    /// Pictures from which a layer can be entered, and their layers.
    switches: BTreeMap<i64, u8>,
}

#[derive(Clone, Debug)]
struct Base {
    group: Group,
    start: i64,
    last: i64,
}

impl Base {
    fn at(&self, picture: i64) -> &(u8, bool, Vec<u8>) {
        &self.group[(picture - self.start).rem_euclid(self.group.len() as i64) as usize]
    }
}

impl Vp9Finder {
    pub fn find(&mut self, vp9: &Vp9) -> Found {
        let picture = self.picture_ids.unwrap(vp9.picture_id, 1 << 15);
        if vp9.is_flexible {
            let pictures = vp9.diffs.iter().map(|diff| picture - i64::from(*diff)).collect();
            return flatten(vp9, picture, pictures);
        }
        let Some(tl0) = vp9.tl0picidx else { return Found::drop("a picture without TL0PICIDX") };
        let tl0 = self.tl0.unwrap(tl0.into(), 1 << 8);
        let is_key = !vp9.is_predicted;
        if let Some(group) = vp9.group.clone().filter(|_| vp9.temporal == 0) {
            let group = if group.is_empty() { vec![(0, false, vec![1])] } else { group };
            self.bases.insert(tl0, Base { group, start: picture, last: picture });
        } else if is_key && vp9.spatial == 0 {
            return Found::drop("a key picture without a structure");
        }
        if is_key {
            if !self.bases.contains_key(&tl0) {
                return Found::drop("the base of its key picture is missing");
            }
            self.receive(picture, tl0);
            return flatten(vp9, picture, Vec::new());
        }
        let hangs_on = if vp9.temporal == 0 { tl0 - 1 } else { tl0 };
        // A base picture with a structure starts a new group.
        let hangs_on = if vp9.temporal == 0 && self.bases.contains_key(&tl0) { tl0 } else { hangs_on };
        let Some(base) = self.bases.get(&hangs_on).cloned() else {
            return Found::drop("the base picture it hangs on is missing");
        };
        if vp9.temporal == 0 && hangs_on != tl0 {
            self.bases.insert(tl0, Base { last: picture.max(base.last), ..base.clone() });
            self.note_missing(picture, &base);
        }
        self.receive(picture, tl0);
        while self.bases.len() > BASES_MAX {
            self.bases.pop_first();
        }
        let Some(base) = self.bases.get(&tl0).cloned() else { return Found::drop("its base is gone") };
        let (temporal, _, diffs) = base.at(picture);
        if *temporal != vp9.temporal {
            return Found {
                faults: vec![format!(
                    "picture {picture} is of temporal layer {}, and of {temporal} by its group",
                    vp9.temporal
                )],
                ..Found::drop("its place in the group is wrong")
            };
        }
        let misses = diffs.iter().any(|diff| {
            let reference = picture - i64::from(*diff);
            self.missing[..usize::from(*temporal)]
                .iter()
                .any(|missing| missing.range(reference..picture).next().is_some())
        });
        if misses {
            return Found::drop("a picture of a lower layer between it and its references is missing");
        }
        if vp9.switches_up {
            self.switches.insert(picture, vp9.temporal);
        }
        let references: Vec<i64> = diffs
            .iter()
            .map(|diff| picture - i64::from(*diff))
            .filter(|reference| !self.is_cut_off(*reference, picture, vp9.temporal))
            .collect();
        flatten(vp9, picture, references)
    }

    /// Whether there is a switching point of the layer between the two pictures.
    fn is_cut_off(&self, reference: i64, picture: i64, temporal: u8) -> bool {
        let mut between = self.switches.range(reference + 1..picture);
        between.any(|(_, layer)| *layer < temporal)
    }

    fn receive(&mut self, picture: i64, tl0: i64) {
        let Some(base) = self.bases.get(&tl0).cloned() else { return };
        self.note_missing(picture, &base);
        if let Some(base) = self.bases.get_mut(&tl0) {
            base.last = base.last.max(picture);
        }
    }

    fn note_missing(&mut self, picture: i64, base: &Base) {
        for between in base.last + 1..picture {
            let (temporal, ..) = base.at(between);
            self.missing[usize::from(*temporal & 7)].insert(between);
        }
        for missing in &mut self.missing {
            missing.remove(&picture);
            while missing.len() > 200 {
                missing.pop_first();
            }
        }
    }
}

/// Ids over spatial layers: a frame references frames of its own layer, and the next lower one of its
/// picture.
fn flatten(vp9: &Vp9, picture: i64, pictures: Vec<i64>) -> Found {
    let spatial = i64::from(vp9.spatial);
    let id = picture * LAYERS_MAX + spatial;
    let mut references: Vec<i64> = pictures.iter().map(|picture| picture * LAYERS_MAX + spatial).collect();
    let is_key = !vp9.is_predicted && !vp9.is_inter_layer;
    if vp9.is_inter_layer {
        references.push(id - 1);
    }
    Found::at(id, references, is_key)
}
