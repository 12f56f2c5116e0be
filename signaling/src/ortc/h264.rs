//! The formats of H264: profiles and packetization modes (RFC 6184 §8.1). Sender and receiver must have the same
//! profile. The level is not compared: it may differ between both directions.

use super::value::{Parameters, number_of};
use crate::proto::parameter_value::Value;

/// A profile that clients have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// All browsers have it, most in software.
    #[default]
    ConstrainedBaseline,
    /// With flexible macroblock ordering.
    Baseline,
    /// What hardware encoders often have.
    High,
}

/// The format of an H264 stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct H264Format {
    /// The profile.
    pub profile: Profile,
    /// Packetization mode 0: no fragments and no aggregates (RFC 6184 §6.2).
    pub has_single_units: bool,
}

impl Profile {
    pub(super) const ALL: [Self; 3] = [Self::ConstrainedBaseline, Self::Baseline, Self::High];

    /// With level 3.1, as browsers have it.
    pub(super) fn level_id(self) -> &'static str {
        match self {
            Self::ConstrainedBaseline => "42e01f",
            Self::Baseline => "42001f",
            Self::High => "64001f",
        }
    }

    /// Of fmtp parameters. RFC 6184 §8.1, table 5, has three notations of Constrained Baseline.
    pub(super) fn of(parameters: &Parameters) -> Option<Self> {
        let Some(value) = parameters.get("profile-level-id") else {
            // libwebrtc and mediasoup-client interpret an absent value as 42e01f, not as the Baseline profile of
            // the RFC.
            return Some(Self::ConstrainedBaseline);
        };
        // A value of digits only, such as "420010", may have been converted to a number.
        let digits = match value.value.as_ref()? {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
        };
        if digits.len() != 6 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        let [_, profile, constraints, _] = u32::from_str_radix(&digits, 16).ok()?.to_be_bytes();
        let has = |mask: u8, value: u8| constraints & mask == value;
        match profile {
            0x42 if has(0b0100_1111, 0b0100_0000) => Some(Self::ConstrainedBaseline),
            0x4d if has(0b1000_1111, 0b1000_0000) => Some(Self::ConstrainedBaseline),
            0x58 if has(0b1100_1111, 0b1100_0000) => Some(Self::ConstrainedBaseline),
            0x42 if has(0b0100_1111, 0) => Some(Self::Baseline),
            0x58 if has(0b1100_1111, 0b1000_0000) => Some(Self::Baseline),
            0x64 if constraints == 0 => Some(Self::High),
            _ => None,
        }
    }
}

impl H264Format {
    /// Of fmtp parameters; without `packetization-mode`, it is 0.
    pub(super) fn of(parameters: &Parameters) -> Option<Self> {
        let mode = number_of(parameters, "packetization-mode").unwrap_or(0);
        Some(Self { profile: Profile::of(parameters)?, has_single_units: mode == 0 })
    }

    /// Whether a receiver with this format accepts every packet of a stream in another one: a mode has what the
    /// lower mode has.
    pub(super) fn takes(self, stream: Self) -> bool {
        self.profile == stream.profile && (!self.has_single_units || stream.has_single_units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ortc::value::{number, text};
    use std::collections::BTreeMap;

    fn profile(id: &str) -> Option<Profile> {
        Profile::of(&BTreeMap::from([("profile-level-id".into(), text(id))]))
    }

    #[test]
    fn profiles_are_recognized_in_every_notation_and_level() {
        for id in ["42e01f", "42E01F", "42e034", "42c00b", "4d801f", "58c01f", "42401f"] {
            assert_eq!(profile(id), Some(Profile::ConstrainedBaseline), "{id}");
        }
        for id in ["42001f", "420029", "42801f", "58801f"] {
            assert_eq!(profile(id), Some(Profile::Baseline), "{id}");
        }
        for id in ["64001f", "640034"] {
            assert_eq!(profile(id), Some(Profile::High), "{id}");
        }
        // Main, Constrained High, High 4:4:4, and invalid values.
        for id in ["4d001f", "640c1f", "f4001f", "", "42e0", "42e01g", "42e01f00", "+2e01f"] {
            assert_eq!(profile(id), None, "{id}");
        }
        assert_eq!(Profile::of(&BTreeMap::new()), Some(Profile::ConstrainedBaseline));
        let as_number = BTreeMap::from([("profile-level-id".into(), number(424_031))]);
        assert_eq!(
            Profile::of(&as_number),
            Some(Profile::ConstrainedBaseline),
            "digits alone may be a number"
        );
    }

    #[test]
    fn receiver_needs_the_profile_and_at_least_the_mode_of_the_stream() {
        let format = |profile, has_single_units| H264Format { profile, has_single_units };
        let (low, high) = (Profile::ConstrainedBaseline, Profile::High);
        assert!(format(low, false).takes(format(low, false)) && format(low, false).takes(format(low, true)));
        assert!(format(low, true).takes(format(low, true)) && !format(low, true).takes(format(low, false)));
        assert!(
            !format(low, false).takes(format(high, false)) && !format(high, false).takes(format(low, false))
        );
    }
}
