//! Scalability modes: the number of layers of an encoding and their dependencies, with the names of W3C's
//! "Scalable Video Coding (SVC) Extension for WebRTC" (§6, the table of modes).
//!
//! Only the name is parsed here. The engine reads the actual layers from the packets.

use std::fmt;
use std::str::FromStr;

/// A mode, for example `L3T3_KEY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScalabilityMode {
    /// Sizes of the picture, 1 to 3.
    pub spatial_layers: u8,
    /// Frame rates, 1 to 3.
    pub temporal_layers: u8,
    dependency: Dependency,
    /// `h`: the ratio between two sizes is 1.5 instead of 2.
    is_dense: bool,
}

/// Dependencies between the spatial layers of a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependency {
    /// `L`: every picture depends on the smaller one.
    Full,
    /// `L…_KEY`: only in keyframes.
    Key,
    /// `L…_KEY_SHIFT`: only in keyframes, with temporal layers that alternate between the sizes.
    KeyShift,
    /// `S`: none; several sizes in one RTP stream, as in simulcast.
    None,
}

/// The text is not a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct UnknownMode;

/// The expected form, for error messages.
pub const EXPECTED: &str = "a scalability mode of W3C's WebRTC-SVC with 1 to 3 spatial and 1 to 3 temporal layers, such as L1T3, L3T3 or L3T3_KEY";

impl ScalabilityMode {
    /// No layers: an encoding without a mode.
    pub const SINGLE: Self = Self::simulcast(1, 1);

    /// The mode of a consumer of simulcast: one spatial layer for each encoding.
    pub const fn simulcast(encodings: u8, temporal_layers: u8) -> Self {
        Self { spatial_layers: encodings, temporal_layers, dependency: Dependency::Full, is_dense: false }
    }
}

impl FromStr for ScalabilityMode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let mut rest = text;
        let are_alone = take(&mut rest, "S");
        if !are_alone && !take(&mut rest, "L") {
            return Err(UnknownMode);
        }
        let spatial_layers = layers(&mut rest)?;
        if !take(&mut rest, "T") {
            return Err(UnknownMode);
        }
        let temporal_layers = layers(&mut rest)?;
        let is_dense = take(&mut rest, "h");
        let dependency = match rest {
            "" if are_alone => Dependency::None,
            "" => Dependency::Full,
            "_KEY" if !are_alone && !is_dense => Dependency::Key,
            // Needs two temporal layers to alternate.
            "_KEY_SHIFT" if !are_alone && !is_dense && temporal_layers > 1 => Dependency::KeyShift,
            _ => return Err(UnknownMode),
        };
        // The relation between sizes needs two of them.
        if spatial_layers == 1 && (is_dense || dependency != Dependency::Full) {
            return Err(UnknownMode);
        }
        Ok(Self { spatial_layers, temporal_layers, dependency, is_dense })
    }
}

impl fmt::Display for ScalabilityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = if self.dependency == Dependency::None { 'S' } else { 'L' };
        let dense = if self.is_dense { "h" } else { "" };
        let suffix = match self.dependency {
            Dependency::Full | Dependency::None => "",
            Dependency::Key => "_KEY",
            Dependency::KeyShift => "_KEY_SHIFT",
        };
        write!(f, "{letter}{}T{}{dense}{suffix}", self.spatial_layers, self.temporal_layers)
    }
}

fn take(rest: &mut &str, prefix: &str) -> bool {
    match rest.strip_prefix(prefix) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

fn layers(rest: &mut &str) -> Result<u8, UnknownMode> {
    let count = (1..=3).find(|count: &u8| take(rest, &count.to_string()));
    count.ok_or(UnknownMode)
}

#[cfg(test)]
mod tests;
