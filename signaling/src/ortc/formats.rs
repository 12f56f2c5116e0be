//! The formats of a codec: the fmtp parameters on which sender and receiver must agree.
//!
//! One format of each codec is offered, which every browser supports; of H264 several ([`super::h264`]).
//! Parameters that concern only one side (levels, bitrates) are not compared.

use super::h264::Profile;
use super::names;
use super::names::CodecName;
use super::payload_types::payload_types;
use super::text::shortened;
use super::value::{Parameters, number, number_of, text};
use crate::proto::parameter_value::Value;
use control::Codec;

/// The fmtp parameters of `codec`, the same in capabilities and on consumers. `profile`: of H264.
pub(super) fn parameters(codec: Codec, profile: Profile) -> Parameters {
    let pairs = match codec {
        // RFC 7587 §6.1: packets of 10 ms are accepted, and receivers use in-band FEC.
        Codec::Opus => vec![("minptime", number(10)), ("useinbandfec", number(1))],
        // RFC 2198 §5: the payload types of the blocks, a value without a name. mediasoup-client writes
        // "name=value", and browsers accept a line that begins with "=" as a value without a name.
        Codec::Red => {
            let (opus, _) = payload_types(Codec::Opus, profile);
            vec![("", text(&format!("{opus}/{opus}")))]
        }
        Codec::H264 => vec![
            ("level-asymmetry-allowed", number(1)),
            ("packetization-mode", number(1)),
            ("profile-level-id", text(profile.level_id())),
        ],
        // RFC 9628 §6: profile 0 is 8 bits, 4:2:0.
        Codec::Vp9 => vec![("profile-id", number(0))],
        // AV1 RTP specification §7.2: Main.
        Codec::Av1 => vec![("profile", number(0))],
        Codec::Vp8 => vec![],
    };
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Finds a codec by its name in SDP, if its format is the one of this server.
pub(super) fn find(
    mime_type: &str,
    clock_rate_hz: u32,
    channels: Option<u32>,
    parameters: &Parameters,
) -> Option<&'static CodecName> {
    names::find(mime_type, clock_rate_hz, channels).filter(|name| is_ours(name.codec, parameters))
}

/// Whether a decoder of our format of `codec` decodes this one.
fn is_ours(codec: Codec, parameters: &Parameters) -> bool {
    match codec {
        Codec::H264 => Profile::of(parameters).is_some(),
        Codec::Vp9 => number_of(parameters, "profile-id").unwrap_or(0) == 0,
        Codec::Av1 => number_of(parameters, "profile").unwrap_or(0) == 0,
        Codec::Opus | Codec::Red | Codec::Vp8 => true,
    }
}

/// The format that the client has instead, for an error message.
pub(super) fn describe(parameters: &Parameters) -> String {
    let shown = ["profile-level-id", "profile-id", "profile"].iter().find_map(|name| {
        match parameters.get(*name)?.value.as_ref()? {
            Value::Text(text) => Some(format!(" with {name} {}", shortened(text))),
            Value::Number(number) => Some(format!(" with {name} {number}")),
        }
    });
    shown.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn other_profiles_are_refused() {
        let with = |name: &str, value| BTreeMap::from([(name.to_owned(), value)]);
        assert!(is_ours(Codec::Vp9, &with("profile-id", number(0))) && is_ours(Codec::Vp9, &BTreeMap::new()));
        assert!(!is_ours(Codec::Vp9, &with("profile-id", number(2))));
        assert!(is_ours(Codec::Av1, &with("profile", text("0"))) && is_ours(Codec::Av1, &BTreeMap::new()));
        assert!(!is_ours(Codec::Av1, &with("profile", number(1))));
        assert!(!is_ours(Codec::H264, &with("profile-level-id", text("4d001f"))));
    }
}
