//! The formats of a codec: what its fmtp parameters say that sender and receiver have to agree on.
//!
//! One format of each codec is offered, the one that every browser has. Parameters that are one side's own business
//! (levels, bitrates) are not compared.

use super::names;
use super::names::CodecName;
use super::payload_types::payload_types;
use super::text::shortened;
use super::value::{Parameters, number, number_of, text};
use crate::proto::parameter_value::Value;
use control::Codec;

/// Constrained Baseline, level 3.1 (RFC 6184 §8.1): Chrome, Firefox and Safari all have it, most by software.
const PROFILE_LEVEL_ID: &str = "42e01f";

/// The fmtp parameters of `codec`, the same in capabilities and on consumers.
pub(super) fn parameters(codec: Codec) -> Parameters {
    let pairs = match codec {
        // RFC 7587 §6.1: 10 ms packets are fine, and in-band FEC is of use to a forwarder's receivers.
        Codec::Opus => vec![("minptime", number(10)), ("useinbandfec", number(1))],
        // RFC 2198 §5: the formats of the blocks, a value without a name. mediasoup-client writes "name=value", and browsers read
        // a line that begins with "=" as one without a name.
        Codec::Red => {
            let (opus, _) = payload_types(Codec::Opus);
            vec![("", text(&format!("{opus}/{opus}")))]
        }
        Codec::H264 => vec![
            ("level-asymmetry-allowed", number(1)),
            ("packetization-mode", number(1)),
            ("profile-level-id", text(PROFILE_LEVEL_ID)),
        ],
        // RFC 9628 §6: profile 0 is 8 bits, 4:2:0.
        Codec::Vp9 => vec![("profile-id", number(0))],
        // AV1 RTP specification §7.2: Main.
        Codec::Av1 => vec![("profile", number(0))],
        Codec::Vp8 => vec![],
    };
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Finds a codec by what a client calls it, in the format that is forwarded here.
pub(super) fn find(
    mime_type: &str,
    clock_rate_hz: u32,
    channels: Option<u32>,
    parameters: &Parameters,
) -> Option<&'static CodecName> {
    names::find(mime_type, clock_rate_hz, channels).filter(|name| is_ours(name.codec, parameters))
}

/// Whether this is our format of `codec`, as far as a decoder is concerned.
fn is_ours(codec: Codec, parameters: &Parameters) -> bool {
    match codec {
        Codec::H264 => is_constrained_baseline(parameters),
        Codec::Vp9 => number_of(parameters, "profile-id").unwrap_or(0) == 0,
        Codec::Av1 => number_of(parameters, "profile").unwrap_or(0) == 0,
        Codec::Opus | Codec::Red | Codec::Vp8 => true,
    }
}

/// Whether a receiver of this format takes every packet of it. H264 in packetization mode 0 takes neither fragments nor
/// aggregates (RFC 6184 §6.2), which whoever sends in mode 1 makes.
pub(super) fn takes_all(codec: Codec, parameters: &Parameters) -> bool {
    codec != Codec::H264 || number_of(parameters, "packetization-mode") == Some(1)
}

/// What a client calls the format that it has instead, for an answer.
pub(super) fn describe(parameters: &Parameters) -> String {
    let shown = ["profile-level-id", "profile-id", "profile"].iter().find_map(|name| {
        match parameters.get(*name)?.value.as_ref()? {
            Value::Text(text) => Some(format!(" with {name} {}", shortened(text))),
            Value::Number(number) => Some(format!(" with {name} {number}")),
        }
    });
    shown.unwrap_or_default()
}

/// RFC 6184 §8.1, table 5: three ways to say Constrained Baseline. The level does not matter: it may differ between both
/// directions, and a decoder that is offered more than it announced copes or was asked for it by its own side.
fn is_constrained_baseline(parameters: &Parameters) -> bool {
    let Some(value) = parameters.get("profile-level-id") else {
        // libwebrtc, as mediasoup-client, takes an absent one for 42e01f rather than for the RFC's Baseline.
        return true;
    };
    // "420010" alone of all that is hexadecimal may have come as a number.
    let digits = match value.value.as_ref() {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        None => return false,
    };
    if digits.len() != 6 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return false;
    }
    let Ok(bytes) = u32::from_str_radix(&digits, 16) else { return false };
    let [_, profile, constraints, _] = bytes.to_be_bytes();
    match profile {
        0x42 => constraints & 0b0100_1111 == 0b0100_0000,
        0x4d => constraints & 0b1000_1111 == 0b1000_0000,
        0x58 => constraints & 0b1100_1111 == 0b1100_0000,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn h264(id: &str) -> bool {
        is_ours(Codec::H264, &BTreeMap::from([("profile-level-id".into(), text(id))]))
    }

    #[test]
    fn constrained_baseline_has_three_names_and_any_level() {
        for id in ["42e01f", "42E01F", "42e034", "42c00b", "4d801f", "58c01f", "42401f"] {
            assert!(h264(id), "{id}");
        }
        // Baseline, Main, High, Constrained High, High 4:4:4, and what is no profile.
        for id in
            ["42001f", "4d001f", "64001f", "640c1f", "f4001f", "", "42e0", "42e01g", "42e01f00", "+2e01f"]
        {
            assert!(!h264(id), "{id}");
        }
        assert!(is_ours(Codec::H264, &BTreeMap::new()));
        let as_number = BTreeMap::from([("profile-level-id".into(), number(424_031))]);
        assert!(is_ours(Codec::H264, &as_number), "digits alone may have become a number");
    }

    #[test]
    fn other_profiles_are_other_formats() {
        let with = |name: &str, value| BTreeMap::from([(name.to_owned(), value)]);
        assert!(is_ours(Codec::Vp9, &with("profile-id", number(0))) && is_ours(Codec::Vp9, &BTreeMap::new()));
        assert!(!is_ours(Codec::Vp9, &with("profile-id", number(2))));
        assert!(is_ours(Codec::Av1, &with("profile", text("0"))) && is_ours(Codec::Av1, &BTreeMap::new()));
        assert!(!is_ours(Codec::Av1, &with("profile", number(1))));
        assert!(
            takes_all(Codec::H264, &parameters(Codec::H264)) && !takes_all(Codec::H264, &BTreeMap::new())
        );
    }
}
