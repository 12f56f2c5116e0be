//! Sections that this side adds by an offer of its own.

use crate::ortc::media_config::MediaConfig;
use crate::ortc::{capabilities, kind_name, sent_extensions};
use crate::proto::parameter_value::Value;
use control::Kind;
use sdp::{Direction, ExtMap, Feedback, Fmtp, MediaKind, RtpMap, Section};
use std::collections::{BTreeMap, BTreeSet};

/// What the client probably supports on a section of this kind: what it has on another one. If it has none, all
/// that the router has, with numbers that it does not use otherwise: in a BUNDLE group each number has one
/// meaning (RFC 9143 §7, RFC 8285 §6). The answer of the client replaces this.
pub fn template(mid: String, kind: Kind, known: &[&Section], config: &MediaConfig) -> Section {
    let media_kind = match kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
    };
    let alike = known.iter().find(|section| section.kind == media_kind && !section.rtpmaps.is_empty());
    match alike {
        Some(section) => {
            let mut section = Section {
                mid,
                direction: Direction::RecvOnly,
                rids: Vec::new(),
                simulcast: None,
                ssrcs: Vec::new(),
                ssrc_groups: Vec::new(),
                msid: None,
                ..(*section).clone()
            };
            // A browser has extensions that it does not offer, above all the dependency descriptor.
            add_extensions(&mut section, kind, known);
            section
        }
        None => of_router(mid, kind, media_kind, known, config),
    }
}

/// Adds the extensions that a consumer may have: with the id that another section has for it, or a free one.
fn add_extensions(section: &mut Section, kind: Kind, known: &[&Section]) {
    let known: Vec<&ExtMap> = known.iter().flat_map(|section| &section.extmaps).collect();
    let mut used: BTreeSet<u8> = known.iter().map(|extmap| extmap.id).collect();
    for (uri, preferred) in sent_extensions(kind) {
        if section.extmaps.iter().any(|extmap| extmap.uri == uri) {
            continue;
        }
        let same = known.iter().find(|extmap| extmap.uri == uri).map(|extmap| extmap.id);
        let Some(id) = same.or_else(|| free(Some(preferred), &used, 1..=14)) else { continue };
        used.insert(id);
        section.extmaps.push(ExtMap { id, direction: None, uri: uri.to_owned() });
    }
}

fn of_router(
    mid: String,
    kind: Kind,
    media_kind: MediaKind,
    known: &[&Section],
    config: &MediaConfig,
) -> Section {
    let mut section = Section {
        kind: media_kind,
        media: kind_name(kind).to_owned(),
        mid,
        ..Section::empty("UDP/TLS/RTP/SAVPF")
    };
    let mut used: BTreeSet<u8> =
        known.iter().flat_map(|section| section.rtpmaps.iter().map(|map| map.payload_type)).collect();
    let mut renumbered: BTreeMap<u32, u8> = BTreeMap::new();
    for codec in capabilities::router(config).codecs.iter().filter(|codec| codec.kind == kind_name(kind)) {
        let preferred = u8::try_from(codec.preferred_payload_type).ok();
        let Some(payload_type) = free(preferred, &used, (96..=127).chain(35..=63)) else { continue };
        used.insert(payload_type);
        renumbered.insert(codec.preferred_payload_type, payload_type);
        let name = codec.mime_type.split('/').next_back().unwrap_or_default().to_owned();
        let channels =
            codec.channels.and_then(|channels| u8::try_from(channels).ok()).filter(|count| *count > 1);
        section.formats.push(payload_type.to_string());
        section.rtpmaps.push(RtpMap { payload_type, name, clock_rate: codec.clock_rate, channels });
        let parameter = |value: &Value| match value {
            Value::Text(text) => renumber_red(text, &renumbered),
            Value::Number(number) => number.to_string(),
        };
        let mut parameters: BTreeMap<String, String> = codec
            .parameters
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), parameter(value.value.as_ref()?))))
            .collect();
        if let Some(apt) = parameters.get_mut("apt") {
            let new = apt.parse().ok().and_then(|apt: u32| renumbered.get(&apt));
            new.into_iter().for_each(|new| *apt = new.to_string());
        }
        if !parameters.is_empty() {
            section.fmtps.push(Fmtp { payload_type, parameters });
        }
        section.feedback.extend(codec.rtcp_feedback.iter().map(|feedback| Feedback {
            payload_type: Some(payload_type),
            name: feedback.r#type.clone(),
            parameter: feedback.parameter.clone(),
        }));
    }
    add_extensions(&mut section, kind, known);
    section
}

fn free(preferred: Option<u8>, used: &BTreeSet<u8>, mut others: impl Iterator<Item = u8>) -> Option<u8> {
    preferred.filter(|number| !used.contains(number)).or_else(|| others.find(|number| !used.contains(number)))
}

/// The parameter of RED is a list of payload types (RFC 2198 §5).
fn renumber_red(text: &str, renumbered: &BTreeMap<u32, u8>) -> String {
    let is_list = text.contains('/') && text.split('/').all(|part| part.parse::<u32>().is_ok());
    if !is_list {
        return text.to_owned();
    }
    let part = |part: &str| {
        let new = part.parse().ok().and_then(|number: u32| renumbered.get(&number));
        new.map_or_else(|| part.to_owned(), u8::to_string)
    };
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}
