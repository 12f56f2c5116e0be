//! What a client receives on a section.

use super::formats::{self, Format};
use crate::ortc::media_config::MediaConfig;
use crate::ortc::{kind_name, sent_extensions};
use crate::proto::{RtpCapabilities, RtpHeaderExtension};
use control::Kind;
use sdp::{Direction, ExtMap, LocalMedia, Section};

/// What a section can receive.
#[derive(Clone, Debug, PartialEq)]
pub struct Playing {
    /// For consumers, with the numbers of the section.
    pub capabilities: RtpCapabilities,
    /// For the description of this side: everything that the section can receive, without a track.
    pub media: LocalMedia,
}

/// What the author of a section can receive from rooms with this configuration; `None` without a common codec.
pub fn play(section: &Section, kind: Kind, config: &MediaConfig) -> Option<Playing> {
    let formats = formats::supported(section, kind, config);
    if formats.is_empty() {
        return None;
    }
    let is_sent = |extmap: &ExtMap| {
        sent_extensions(kind).any(|(uri, _)| uri == extmap.uri)
            && extmap.direction.is_none_or(Direction::sends)
    };
    let extmaps = formats::extensions(section, kind).into_iter().map(|(_, extmap)| extmap);
    let extmaps: Vec<ExtMap> = extmaps.filter(is_sent).collect();
    let header_extensions = extmaps.iter().map(|extmap| RtpHeaderExtension {
        kind: kind_name(kind).to_owned(),
        uri: extmap.uri.clone(),
        preferred_id: extmap.id.into(),
        preferred_encrypt: false,
        direction: "recvonly".to_owned(),
    });
    let capabilities = RtpCapabilities {
        codecs: formats.iter().flat_map(|format| format.capabilities(kind)).collect(),
        header_extensions: header_extensions.collect(),
    };
    let media = LocalMedia {
        direction: Direction::SendOnly,
        codecs: formats.iter().flat_map(Format::lines).collect(),
        extmaps,
        received_rids: Vec::new(),
        sent: None,
    };
    Some(Playing { capabilities, media })
}
