//! The dependency descriptor (AV1 RTP specification, appendix A): the frame of a packet, its layers, its
//! references, and the decode targets that need it. It is a header extension, so it is readable even if the
//! payload is encrypted end to end; VP8, VP9 and H.264 senders can write it too.
//!
//! Most descriptors are three bytes: flags, a template number, the frame number. A [`Structure`] at the
//! beginning of a coded video sequence defines the templates. The caller keeps it and passes it to [`read`]
//! with every later descriptor. What is *not* here: state — whether a chain is complete, which frames were
//! decodable, which of two structures is newer.

mod bits;
mod structure;
#[cfg(test)]
mod tests;

use crate::limits::{CHAINS_MAX, FRAME_DIFFS_MAX};
use bits::Bits;
pub use structure::Structure;

/// The fields of every descriptor, readable without a [`Structure`] (A.8.2, `mandatory_descriptor_fields`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandatory {
    /// The packet begins a frame.
    pub start_of_frame: bool,
    /// The packet ends a frame; more spatial layers of the same time may follow.
    pub end_of_frame: bool,
    /// The template of the frame, 0 to 63, counted from the structure's offset.
    pub template_id: u8,
    /// Running number of the frame over all layers, in decoding order.
    pub frame_number: FrameNumber,
}

/// Number of a frame; wraps at 2¹⁶.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameNumber(pub u16);

/// A descriptor with the values from its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The fields of every descriptor.
    pub mandatory: Mandatory,
    /// The layers of the frame.
    pub layer: Layer,
    /// The frame's role in each decode target.
    pub dtis: Dtis,
    /// The decode targets that can be decoded from here on, target 0 the lowest bit; `None` if unchanged.
    /// Always present with a new structure.
    pub active_targets: Option<u32>,
    /// The maximum size of frames of this layer.
    pub resolution: Option<Resolution>,
    diffs: [u16; FRAME_DIFFS_MAX],
    diff_count: u8,
    chain_diffs: [u8; CHAINS_MAX],
    chain_count: u8,
}

/// A spatial and a temporal layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// 0 to [`SPATIAL_LAYERS_MAX`](crate::limits::SPATIAL_LAYERS_MAX) - 1.
    pub spatial_id: u8,
    /// 0 to [`TEMPORAL_LAYERS_MAX`](crate::limits::TEMPORAL_LAYERS_MAX) - 1.
    pub temporal_id: u8,
}

/// Width and height in pixels, 1 to 65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// The role of a frame in a decode target (table A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dti {
    /// Not part of it: not to be forwarded.
    NotPresent,
    /// Part of it, but not referenced in it.
    Discardable,
    /// Part of it; a receiver that can decode this frame can decode the whole target from here on.
    Switch,
    /// Part of it, and referenced.
    Required,
}

/// The indications of a frame for all decode targets.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Dtis {
    /// Two bits for each target, target 0 the lowest.
    packed: u64,
    count: u8,
}

/// Why a descriptor was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It ends too early. Noise, or read with the wrong structure.
    Short,
    /// It needs a structure, and none is known: the first packet of the stream is missing. [`mandatory`] can
    /// still read it.
    NoStructure,
    /// The structure has no such template: the packet with a newer structure is missing, or this packet is
    /// older than the structure. [`mandatory`] can still read it.
    UnknownTemplate,
    /// More templates, layers or references than [`limits`](crate::limits) allow.
    Excess,
}

/// Reads the fields of every descriptor. `None` below three bytes.
pub fn mandatory(value: &[u8]) -> Option<Mandatory> {
    let &[first, high, low] = value.first_chunk()?;
    Some(Mandatory {
        start_of_frame: first & 0x80 != 0,
        end_of_frame: first & 0x40 != 0,
        template_id: first & 0x3f,
        frame_number: FrameNumber(u16::from_be_bytes([high, low])),
    })
}

/// Whether a descriptor contains a structure: the first bit after the mandatory fields.
pub fn has_structure(value: &[u8]) -> bool {
    value.get(MANDATORY_LEN).is_some_and(|extended| extended & 0x80 != 0)
}

/// Reads a descriptor with the structure it contains, or else with `known`. A contained structure is also
/// returned, for the caller to keep; not if the descriptor is invalid.
///
/// A late packet can contain a structure that is older than `known`: the caller decides by the packet's
/// sequence number.
pub fn read(value: &[u8], known: Option<&Structure>) -> Result<(Descriptor, Option<Structure>), Unread> {
    let mandatory = mandatory(value).ok_or(Unread::Short)?;
    let mut bits = Bits::new(&value[MANDATORY_LEN..]);
    let extended = if value.len() > MANDATORY_LEN { Extended::read(&mut bits)? } else { Extended::default() };
    if !extended.has_structure {
        let structure = known.ok_or(Unread::NoStructure)?;
        let active = if extended.has_active { Some(bits.number(structure.targets())?) } else { None };
        let descriptor = Descriptor::read(&mut bits, mandatory, extended, structure, active)?;
        return Ok((descriptor, None));
    }
    let structure = Structure::read(&mut bits)?;
    let active =
        if extended.has_active { bits.number(structure.targets())? } else { structure.all_targets() };
    let descriptor = Descriptor::read(&mut bits, mandatory, extended, &structure, Some(active))?;
    Ok((descriptor, Some(structure)))
}

impl Descriptor {
    /// The distances to the frames that this one references, 1 to 4096 each; empty for a frame without
    /// references.
    pub fn diffs(&self) -> &[u16] {
        &self.diffs[..usize::from(self.diff_count)]
    }

    /// For each chain the distance to its last frame, 0 to 255; 0: the chain restarts and needs no frame
    /// before this one.
    pub fn chain_diffs(&self) -> &[u8] {
        &self.chain_diffs[..usize::from(self.chain_count)]
    }

    /// The number of the last frame of a chain before this one. `None` if the chain restarts here or does not
    /// exist.
    pub fn chain_previous(&self, chain: usize) -> Option<FrameNumber> {
        let &diff = self.chain_diffs().get(chain).filter(|diff| **diff != 0)?;
        Some(self.mandatory.frame_number.back(u16::from(diff)))
    }

    /// `frame_dependency_definition()`.
    fn read(
        bits: &mut Bits,
        mandatory: Mandatory,
        extended: Extended,
        structure: &Structure,
        active_targets: Option<u32>,
    ) -> Result<Descriptor, Unread> {
        let template = structure.template(mandatory.template_id).ok_or(Unread::UnknownTemplate)?;
        let layer = structure.template_layer(template);
        let mut descriptor = Descriptor {
            mandatory,
            layer,
            dtis: structure.template_dtis(template),
            active_targets,
            resolution: structure.resolution(layer.spatial_id),
            diffs: [0; FRAME_DIFFS_MAX],
            diff_count: 0,
            chain_diffs: [0; CHAINS_MAX],
            chain_count: structure.chains() as u8,
        };
        if extended.custom_dtis {
            descriptor.dtis = Dtis::read(bits, structure.targets() as u8)?;
        }
        if extended.custom_diffs {
            loop {
                let width = bits.number(2)? as usize * 4;
                if width == 0 {
                    break;
                }
                descriptor.push_diff(bits.number(width)? as u16 + 1)?;
            }
        } else {
            structure.template_diffs(template).try_for_each(|diff| descriptor.push_diff(diff))?;
        }
        for chain in 0..structure.chains() {
            descriptor.chain_diffs[chain] = if extended.custom_chains {
                bits.number(8)? as u8
            } else {
                structure.template_chain_diff(template, chain)
            };
        }
        Ok(descriptor)
    }

    fn push_diff(&mut self, diff: u16) -> Result<(), Unread> {
        *self.diffs.get_mut(usize::from(self.diff_count)).ok_or(Unread::Excess)? = diff;
        self.diff_count += 1;
        Ok(())
    }
}

impl FrameNumber {
    /// The number `diff` frames before.
    pub fn back(self, diff: u16) -> FrameNumber {
        FrameNumber(self.0.wrapping_sub(diff))
    }
}

impl Dtis {
    /// The number of decode targets.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Never: a structure has at least one decode target.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The frame's role in a decode target; not present if the target does not exist.
    pub fn get(&self, target: usize) -> Dti {
        if target >= self.len() {
            return Dti::NotPresent;
        }
        match self.packed >> (2 * target) & 0x03 {
            0 => Dti::NotPresent,
            1 => Dti::Discardable,
            2 => Dti::Switch,
            _ => Dti::Required,
        }
    }

    /// The frame's role in each decode target, in order.
    pub fn iter(&self) -> impl Iterator<Item = Dti> {
        let dtis = *self;
        (0..dtis.len()).map(move |target| dtis.get(target))
    }

    fn read(bits: &mut Bits, count: u8) -> Result<Dtis, Unread> {
        let mut packed = 0;
        for target in 0..count {
            packed |= u64::from(bits.number(2)?) << (2 * target);
        }
        Ok(Dtis { packed, count })
    }
}

/// In the letters of table A.1, as in specifications and other implementations.
impl std::fmt::Debug for Dtis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.iter().try_for_each(|dti| {
            f.write_str(match dti {
                Dti::NotPresent => "-",
                Dti::Discardable => "D",
                Dti::Switch => "S",
                Dti::Required => "R",
            })
        })
    }
}

/// The flags of the optional fields of a longer descriptor.
#[derive(Clone, Copy, Default)]
struct Extended {
    has_structure: bool,
    has_active: bool,
    custom_dtis: bool,
    custom_diffs: bool,
    custom_chains: bool,
}

impl Extended {
    fn read(bits: &mut Bits) -> Result<Extended, Unread> {
        Ok(Extended {
            has_structure: bits.flag()?,
            has_active: bits.flag()?,
            custom_dtis: bits.flag()?,
            custom_diffs: bits.flag()?,
            custom_chains: bits.flag()?,
        })
    }
}

const MANDATORY_LEN: usize = 3;
