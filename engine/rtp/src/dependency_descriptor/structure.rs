//! The template dependency structure: a stream's decode targets, chains and templates.

use super::bits::Bits;
use super::{Dti, Dtis, Layer, Resolution, Unread};
use crate::limits::{CHAINS_MAX, DECODE_TARGETS_MAX, SPATIAL_LAYERS_MAX, TEMPLATES_MAX, TEMPORAL_LAYERS_MAX};

/// The structure that the sender announced with the last coded video sequence (appendix A.8.1): needed to
/// read every later descriptor. About 3.3 KiB, without heap allocation.
///
/// Keep one per stream, and replace it when [`read`](super::read) returns a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    id_offset: u8,
    template_count: u8,
    target_count: u8,
    chain_count: u8,
    has_resolutions: bool,
    layers: [Layer; TEMPLATES_MAX],
    dtis: [Dtis; TEMPLATES_MAX],
    diffs: [PackedDiffs; TEMPLATES_MAX],
    /// Four bits for each chain.
    chain_diffs: [u128; TEMPLATES_MAX],
    protected_by: [u8; DECODE_TARGETS_MAX],
    target_layers: [Layer; DECODE_TARGETS_MAX],
    /// Width and height, each minus one.
    resolutions: [(u16, u16); SPATIAL_LAYERS_MAX],
}

/// The frame differences of a template, four bits each: 1 to 16, minus one. At most sixteen, because there
/// are no more distinct values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PackedDiffs {
    packed: u64,
    count: u8,
}

impl Structure {
    /// The number of decode targets, 1 to [`DECODE_TARGETS_MAX`].
    pub fn targets(&self) -> usize {
        usize::from(self.target_count)
    }

    /// The number of chains, 0 to [`CHAINS_MAX`]; 0 if the stream does not use them.
    pub fn chains(&self) -> usize {
        usize::from(self.chain_count)
    }

    /// The number of templates, 1 to [`TEMPLATES_MAX`].
    pub fn templates(&self) -> usize {
        usize::from(self.template_count)
    }

    /// The id of the first template. Two structures of a stream with the same one are the same (A.8.3).
    pub fn id_offset(&self) -> u8 {
        self.id_offset
    }

    /// A mask with the bit of every decode target set, target 0 the lowest.
    pub fn all_targets(&self) -> u32 {
        u32::MAX >> (DECODE_TARGETS_MAX - self.targets())
    }

    /// The highest layers a decode target contains. `None` beyond the last target.
    pub fn target_layer(&self, target: usize) -> Option<Layer> {
        self.target_layers[..self.targets()].get(target).copied()
    }

    /// The chain that protects a decode target. `None` beyond the last target, or without chains.
    pub fn protected_by(&self, target: usize) -> Option<usize> {
        let &chain = self.protected_by[..self.targets()].get(target)?;
        (self.chain_count > 0).then_some(usize::from(chain))
    }

    /// The highest spatial layer, 0 to [`SPATIAL_LAYERS_MAX`] - 1.
    pub fn top_spatial_id(&self) -> u8 {
        // Templates are ordered by spatial layer.
        self.layers[self.templates() - 1].spatial_id
    }

    /// The maximum size of frames of a spatial layer. `None` if the structure does not contain it.
    pub fn resolution(&self, spatial_id: u8) -> Option<Resolution> {
        let known = self.has_resolutions && spatial_id <= self.top_spatial_id();
        let &(width, height) = self.resolutions.get(usize::from(spatial_id)).filter(|_| known)?;
        Some(Resolution { width: u32::from(width) + 1, height: u32::from(height) + 1 })
    }

    pub(super) fn read(bits: &mut Bits) -> Result<Structure, Unread> {
        let mut structure = Structure {
            id_offset: bits.number(6)? as u8,
            template_count: 0,
            target_count: bits.number(5)? as u8 + 1,
            chain_count: 0,
            has_resolutions: false,
            layers: [Layer::default(); TEMPLATES_MAX],
            dtis: [Dtis::default(); TEMPLATES_MAX],
            diffs: [PackedDiffs::default(); TEMPLATES_MAX],
            chain_diffs: [0; TEMPLATES_MAX],
            protected_by: [0; DECODE_TARGETS_MAX],
            target_layers: [Layer::default(); DECODE_TARGETS_MAX],
            resolutions: [(0, 0); SPATIAL_LAYERS_MAX],
        };
        structure.read_layers(bits)?;
        let templates = structure.templates();
        for dtis in &mut structure.dtis[..templates] {
            *dtis = Dtis::read(bits, structure.target_count)?;
        }
        for diffs in &mut structure.diffs[..templates] {
            *diffs = PackedDiffs::read(bits)?;
        }
        structure.read_chains(bits)?;
        structure.find_target_layers();
        structure.has_resolutions = bits.flag()?;
        if structure.has_resolutions {
            let layers = usize::from(structure.top_spatial_id()) + 1;
            for size in &mut structure.resolutions[..layers] {
                *size = (bits.number(16)? as u16, bits.number(16)? as u16);
            }
        }
        Ok(structure)
    }

    /// The template of a frame with this id.
    pub(super) fn template(&self, id: u8) -> Option<usize> {
        let index = usize::from(id.wrapping_sub(self.id_offset) % 64);
        (index < self.templates()).then_some(index)
    }

    pub(super) fn template_layer(&self, template: usize) -> Layer {
        self.layers[template]
    }

    pub(super) fn template_dtis(&self, template: usize) -> Dtis {
        self.dtis[template]
    }

    pub(super) fn template_diffs(&self, template: usize) -> impl Iterator<Item = u16> {
        let PackedDiffs { packed, count } = self.diffs[template];
        (0..count).map(move |at| (packed >> (4 * at) & 0x0f) as u16 + 1)
    }

    pub(super) fn template_chain_diff(&self, template: usize, chain: usize) -> u8 {
        (self.chain_diffs[template] >> (4 * chain) & 0x0f) as u8
    }

    /// `template_layers()`.
    fn read_layers(&mut self, bits: &mut Bits) -> Result<(), Unread> {
        let mut layer = Layer::default();
        loop {
            let next = self.templates();
            *self.layers.get_mut(next).ok_or(Unread::Excess)? = layer;
            self.template_count += 1;
            match bits.number(2)? {
                0 => {}
                1 => layer.temporal_id += 1,
                2 => layer = Layer { spatial_id: layer.spatial_id + 1, temporal_id: 0 },
                _ => return Ok(()),
            }
            if usize::from(layer.spatial_id) >= SPATIAL_LAYERS_MAX
                || usize::from(layer.temporal_id) >= TEMPORAL_LAYERS_MAX
            {
                return Err(Unread::Excess);
            }
        }
    }

    /// `template_chains()`.
    fn read_chains(&mut self, bits: &mut Bits) -> Result<(), Unread> {
        // At most one chain per target, so the array is large enough.
        self.chain_count = bits.one_of(u32::from(self.target_count) + 1)? as u8;
        if self.chain_count == 0 {
            return Ok(());
        }
        let (targets, templates) = (self.targets(), self.templates());
        for chain in &mut self.protected_by[..targets] {
            *chain = bits.one_of(u32::from(self.chain_count))? as u8;
        }
        for diffs in &mut self.chain_diffs[..templates] {
            for chain in 0..self.chain_count {
                *diffs |= u128::from(bits.number(4)?) << (4 * chain);
            }
        }
        Ok(())
    }

    /// `decode_target_layers()`: a target contains the layers up to the highest one with a frame in it.
    fn find_target_layers(&mut self) {
        for template in 0..self.templates() {
            let layer = self.layers[template];
            for target in 0..self.targets() {
                if self.dtis[template].get(target) != Dti::NotPresent {
                    let top = &mut self.target_layers[target];
                    top.spatial_id = top.spatial_id.max(layer.spatial_id);
                    top.temporal_id = top.temporal_id.max(layer.temporal_id);
                }
            }
        }
    }
}

impl PackedDiffs {
    /// The part of `template_fdiffs()` for one template.
    fn read(bits: &mut Bits) -> Result<PackedDiffs, Unread> {
        let mut diffs = PackedDiffs::default();
        while bits.flag()? {
            if diffs.count == 16 {
                return Err(Unread::Excess);
            }
            diffs.packed |= u64::from(bits.number(4)?) << (4 * diffs.count);
            diffs.count += 1;
        }
        Ok(diffs)
    }
}

const _: () =
    assert!(DECODE_TARGETS_MAX == 32 && CHAINS_MAX * 4 == 128, "masks and packed numbers hold just as many");
