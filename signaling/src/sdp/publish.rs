//! What a client sends on a section.

use super::formats::{self, Format};
use super::simulcast;
use crate::ortc::kind_name;
use crate::ortc::media_config::MediaConfig;
use crate::proto::{
    ErrorCode, RtcpParameters, RtpEncodingParameters, RtpHeaderExtensionParameters, RtpParameters, RtxStream,
};
use crate::request_error::RequestError;
use control::{Codec, Kind};
use sdp::{Direction, LocalMedia, Section};

/// A track of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Publishing {
    /// For a producer.
    pub parameters: RtpParameters,
    /// For the description of this side.
    pub media: LocalMedia,
}

/// The track that the author of a section sends: in the first codec of the section that rooms with this
/// configuration have. For audio with RED before Opus, both.
pub fn publish(section: &Section, kind: Kind, config: &MediaConfig) -> Result<Publishing, RequestError> {
    let mut formats = chosen(formats::supported(section, kind, config), kind);
    if formats.is_empty() {
        return Err(unsupported(section, kind, config));
    }
    formats.iter_mut().filter(|format| format.codec == Codec::Opus).for_each(|format| wish(format, config));
    let codecs: Vec<_> = formats.iter().flat_map(|format| format.parameters(kind)).collect();
    let has_rtx = codecs.len() > formats.len();
    let extensions = formats::extensions(section, kind);
    let rids = simulcast::rids(section);
    let encodings = match rids.is_empty() {
        false => rids
            .iter()
            .map(|rid| RtpEncodingParameters { rid: Some(rid.clone()), ..Default::default() })
            .collect(),
        true => simulcast::ssrcs(section)
            .into_iter()
            .map(|(ssrc, rtx)| RtpEncodingParameters {
                ssrc: Some(ssrc),
                rtx: rtx.filter(|_| has_rtx).map(|ssrc| RtxStream { ssrc }),
                ..Default::default()
            })
            .collect(),
    };
    let header_extensions = extensions.iter().map(|(_, offered)| RtpHeaderExtensionParameters {
        uri: offered.uri.clone(),
        id: offered.id.into(),
        encrypt: false,
    });
    let cname = section.ssrcs.iter().find_map(|ssrc| ssrc.cname.clone());
    let parameters = RtpParameters {
        mid: Some(section.mid.clone()),
        codecs,
        header_extensions: header_extensions.collect(),
        encodings,
        rtcp: Some(RtcpParameters { cname, reduced_size: Some(section.has_rtcp_rsize) }),
        msid: None,
    };
    let offered_order = section.rids.iter().map(|rid| &rid.id).filter(|id| rids.contains(id));
    let media = LocalMedia {
        direction: Direction::RecvOnly,
        codecs: formats.iter().flat_map(Format::lines).collect(),
        extmaps: extensions.into_iter().map(|(_, extmap)| extmap).collect(),
        received_rids: offered_order.cloned().collect(),
        sent: None,
    };
    Ok(Publishing { parameters, media })
}

/// The first format; with RED first, also Opus, which RED contains.
fn chosen(mut formats: Vec<Format<'_>>, kind: Kind) -> Vec<Format<'_>> {
    let Some(opus) = formats.iter().position(|format| format.codec == Codec::Opus) else {
        // RED alone is of no use.
        formats.retain(|_| kind == Kind::Video);
        let codec = formats.first().map(|first| first.codec);
        // Of H264, the format that most receivers have, whatever comes first.
        let best =
            formats.iter().filter(|format| Some(format.codec) == codec).map(|format| format.h264).min();
        formats.retain(|format| Some(format.codec) == codec && Some(format.h264) == best);
        formats.truncate(1);
        return formats;
    };
    let has_red_first = formats[..opus].iter().any(|format| format.codec == Codec::Red);
    let mut is_taken = [false; 2];
    formats.retain(|format| {
        let taken = &mut is_taken[usize::from(format.codec == Codec::Red)];
        let is_wanted = format.codec == Codec::Opus || has_red_first && format.codec == Codec::Red;
        is_wanted && !std::mem::replace(taken, true)
    });
    formats
}

/// RFC 7587 §6.1: what this side, as the receiver, prefers.
fn wish(opus: &mut Format<'_>, config: &MediaConfig) {
    let is_on = |name: &str| opus.parameters.get(name).is_some_and(|value| value == "1");
    let is_stereo = config.opus.stereo || is_on("stereo") || is_on("sprop-stereo");
    let has_dtx = config.opus.dtx || is_on("usedtx");
    let has_fec = opus.parameters.get("useinbandfec").is_none_or(|value| value == "1");
    opus.parameters.clear();
    opus.parameters.insert("minptime".into(), "10".into());
    let wishes =
        [("useinbandfec", has_fec), ("stereo", is_stereo), ("sprop-stereo", is_stereo), ("usedtx", has_dtx)];
    for (name, _) in wishes.into_iter().filter(|(_, is_wanted)| *is_wanted) {
        opus.parameters.insert(name.into(), "1".into());
    }
}

/// Names what the section has, and what it could have.
pub(super) fn unsupported(section: &Section, kind: Kind, config: &MediaConfig) -> RequestError {
    let mut names: Vec<_> = section.rtpmaps.iter().map(|map| map.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(NAMES_MAX);
    let offered = if names.is_empty() { "no codec".to_owned() } else { names.join(", ") };
    let supported: Vec<_> = crate::ortc::capabilities::router(config)
        .codecs
        .iter()
        .filter(|codec| codec.kind == kind_name(kind) && !codec.mime_type.ends_with("/rtx"))
        .map(|codec| codec.mime_type.split('/').next_back().unwrap_or_default().to_owned())
        .collect();
    let text = format!(
        "the {} section with mid {} offers {offered} in formats that this server does not have; it has {}",
        kind_name(kind),
        section.mid,
        supported.join(", ")
    );
    RequestError::new(ErrorCode::UnsupportedCodec, text)
}

/// Names of codecs in an error.
const NAMES_MAX: usize = 16;
