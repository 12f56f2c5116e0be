//! A negotiation as the engine stores it with the transport, from which a new signaling process continues it.

use super::negotiator::{Line, Negotiation, Plan, Played, Published, Remote};
use crate::limits;
use crate::proto::{DtlsParameters, RtpParameters};
use crate::sdp::data;
use control::{ConsumerId, Kind, ProducerId, TransportId};
use prost::Message;
use sdp::{
    Candidate, Direction, ExtMap, Feedback, Fingerprint, Fmtp, HashAlgorithm, LocalCodec, LocalMedia,
    LocalTransport, MediaKind, Msid, RtpMap, SctpMap, Section, Setup,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// A negotiation.
#[derive(Clone, PartialEq, Message)]
pub struct SdpRecord {
    /// 1: everything, 2: nothing, 3: as many tracks as there are sections. 0 is invalid.
    #[prost(uint32, tag = "1")]
    pub plan: u32,
    /// The peer that a player plays; absent: all.
    #[prost(string, optional, tag = "2")]
    pub only: Option<String>,
    /// Whether a player's descriptions have SSRCs.
    #[prost(bool, tag = "17")]
    pub names_ssrcs: bool,
    /// `o=` of this side.
    #[prost(fixed64, tag = "3")]
    pub session_id: u64,
    /// Its version.
    #[prost(uint64, tag = "4")]
    pub version: u64,
    /// `o=` of the client.
    #[prost(string, tag = "5")]
    pub remote_session_id: String,
    /// ICE user name fragment of the client.
    #[prost(string, tag = "6")]
    pub remote_ice_ufrag: String,
    /// The certificate of the client.
    #[prost(message, optional, tag = "7")]
    pub remote_dtls: Option<DtlsParameters>,
    /// ICE user name fragment of this side.
    #[prost(string, tag = "8")]
    pub ice_ufrag: String,
    /// ICE password of this side.
    #[prost(string, tag = "9")]
    pub ice_pwd: String,
    /// SHA-256 of the certificate of this side.
    #[prost(bytes = "vec", tag = "10")]
    pub fingerprint: Vec<u8>,
    /// Whether this side is the DTLS client.
    #[prost(bool, tag = "11")]
    pub is_active: bool,
    /// Candidates of this side, each as the value of `a=candidate`.
    #[prost(string, repeated, tag = "12")]
    pub candidates: Vec<String>,
    /// `a=extmap-allow-mixed`.
    #[prost(bool, tag = "13")]
    pub allows_mixed: bool,
    /// What sections can have: each once.
    #[prost(message, repeated, tag = "14")]
    pub media: Vec<MediaRecord>,
    /// The sections.
    #[prost(message, repeated, tag = "15")]
    pub lines: Vec<LineRecord>,
    /// Number of sections at the end that are in an offer without an answer only.
    #[prost(uint32, tag = "16")]
    pub unanswered: u32,
}

/// Codecs and header extensions.
#[derive(Clone, PartialEq, Message)]
pub struct MediaRecord {
    /// Codecs.
    #[prost(message, repeated, tag = "1")]
    pub codecs: Vec<CodecRecord>,
    /// Header extensions.
    #[prost(message, repeated, tag = "2")]
    pub extensions: Vec<ExtensionRecord>,
    /// RIDs that this side receives.
    #[prost(string, repeated, tag = "3")]
    pub rids: Vec<String>,
}

/// A codec.
#[derive(Clone, PartialEq, Message)]
pub struct CodecRecord {
    /// Payload type.
    #[prost(uint32, tag = "1")]
    pub payload_type: u32,
    /// Name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Hz.
    #[prost(uint32, tag = "3")]
    pub clock_rate: u32,
    /// 0: absent.
    #[prost(uint32, tag = "4")]
    pub channels: u32,
    /// `a=fmtp`.
    #[prost(string, tag = "5")]
    pub parameters: String,
    /// `a=rtcp-fb`.
    #[prost(string, repeated, tag = "6")]
    pub feedback: Vec<String>,
}

/// A header extension.
#[derive(Clone, PartialEq, Message)]
pub struct ExtensionRecord {
    /// Id.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// URI.
    #[prost(string, tag = "2")]
    pub uri: String,
}

/// A section.
#[derive(Clone, PartialEq, Message)]
pub struct LineRecord {
    /// MID.
    #[prost(string, tag = "1")]
    pub mid: String,
    /// The word after `m=`.
    #[prost(string, tag = "2")]
    pub media: String,
    /// The protocol.
    #[prost(string, tag = "3")]
    pub protocol: String,
    /// Whether the client can receive on it.
    #[prost(bool, tag = "4")]
    pub receives: bool,
    /// Whether it is accepted.
    #[prost(bool, tag = "5")]
    pub is_accepted: bool,
    /// Index in `media` plus 1 of what the client can receive; 0: nothing.
    #[prost(uint32, tag = "6")]
    pub playable: u32,
    /// The producer; 0: none.
    #[prost(fixed64, tag = "7")]
    pub producer: u64,
    /// Index in `media` plus 1 of what the client sends.
    #[prost(uint32, tag = "8")]
    pub published: u32,
    /// The consumer; 0: none.
    #[prost(fixed64, tag = "9")]
    pub consumer: u64,
    /// The producer that is consumed.
    #[prost(fixed64, tag = "10")]
    pub played: u64,
    /// The stream of the consumer.
    #[prost(string, tag = "11")]
    pub stream: String,
    /// SSRCs of the consumer.
    #[prost(uint32, repeated, tag = "12")]
    pub ssrcs: Vec<u32>,
    /// The first format, for a section that is rejected.
    #[prost(string, tag = "13")]
    pub format: String,
    /// Payload types of the consumer.
    #[prost(uint32, repeated, tag = "14")]
    pub payload_types: Vec<u32>,
    /// The SCTP port of data channels.
    #[prost(uint32, tag = "15")]
    pub sctp_port: u32,
    /// Bytes of the longest message of data channels.
    #[prost(uint64, optional, tag = "16")]
    pub max_message_size: Option<u64>,
}

/// Which objects a transport still has.
#[derive(Clone, Copy)]
pub(super) struct Exists<'a> {
    pub(super) producer: &'a dyn Fn(ProducerId) -> bool,
    pub(super) consumer: &'a dyn Fn(ConsumerId) -> bool,
}

impl SdpRecord {
    /// Of a negotiation.
    pub(super) fn new(plan: &Plan, of: &Negotiation, playable: impl Fn(&Line) -> Option<LocalMedia>) -> Self {
        let (plan, only, names_ssrcs) = match plan {
            Plan::Everything => (1, None, false),
            Plan::Nothing => (2, None, false),
            Plan::Fill { only, names_ssrcs } => (3, only.clone(), *names_ssrcs),
        };
        let mut media: Vec<MediaRecord> = Vec::new();
        let mut index = |of: &LocalMedia| {
            let record = MediaRecord::new(of);
            let at = media.iter().position(|known| *known == record).unwrap_or_else(|| {
                media.push(record);
                media.len() - 1
            });
            at as u32 + 1
        };
        let line = |line: &Line| LineRecord {
            mid: line.section.mid.clone(),
            media: line.section.media.clone(),
            protocol: line.section.protocol.clone(),
            receives: line.section.direction.receives(),
            is_accepted: line.is_accepted,
            playable: playable(line).as_ref().map_or(0, &mut index),
            producer: line.publish.as_ref().map_or(0, |publish| publish.producer.0),
            published: line.publish.as_ref().map_or(0, |publish| index(&publish.media)),
            consumer: line.play.as_ref().map_or(0, |play| play.consumer.0),
            played: line.play.as_ref().map_or(0, |play| play.producer.0),
            stream: line.play.as_ref().map(|play| play.msid.stream.clone()).unwrap_or_default(),
            ssrcs: line.play.as_ref().map(|play| play.ssrcs.clone()).unwrap_or_default(),
            payload_types: line
                .play
                .iter()
                .flat_map(|play| play.payload_types.iter().copied().map(u32::from))
                .collect(),
            format: line.section.formats.first().cloned().unwrap_or_default(),
            sctp_port: data(&line.section).map_or(0, |data| data.port.into()),
            max_message_size: line.section.max_message_size,
        };
        let lines = of.lines.iter().map(line).collect();
        Self {
            plan,
            only,
            names_ssrcs,
            session_id: of.session_id,
            version: of.version,
            remote_session_id: of.remote.session_id.clone(),
            remote_ice_ufrag: of.remote.ice_ufrag.clone(),
            remote_dtls: Some(of.remote.dtls.clone()),
            ice_ufrag: of.own.ice_ufrag.clone(),
            ice_pwd: of.own.ice_pwd.clone(),
            fingerprint: of.own.fingerprint.value.clone(),
            is_active: of.own.setup == Setup::Active,
            candidates: of.own.candidates.iter().map(Candidate::to_string).collect(),
            allows_mixed: of.allows_mixed,
            media,
            lines,
            unanswered: of.before_offer.as_ref().map_or(0, |before| (of.lines.len() - before.len()) as u32),
        }
    }

    pub(super) fn plan(&self) -> Option<Plan> {
        match self.plan {
            1 => Some(Plan::Everything),
            2 => Some(Plan::Nothing),
            3 => Some(Plan::Fill { only: self.only.clone(), names_ssrcs: self.names_ssrcs }),
            _ => None,
        }
    }

    /// The negotiation on this transport; `None` if the record is invalid. Objects that do not exist any more are
    /// left out.
    pub(super) fn negotiation(self, transport: TransportId, exists: Exists<'_>) -> Option<Negotiation> {
        let media: Vec<LocalMedia> = self.media.iter().map(MediaRecord::media).collect::<Option<_>>()?;
        let lines: Vec<Line> =
            self.lines.iter().map(|line| line.line(&media, exists)).collect::<Option<_>>()?;
        let answered = lines.len().saturating_sub(self.unanswered as usize);
        let before_offer = (answered < lines.len()).then(|| lines[..answered].to_vec());
        let setup = if self.is_active { Setup::Active } else { Setup::Passive };
        Some(Negotiation {
            session_id: self.session_id,
            version: self.version,
            remote: Remote {
                session_id: self.remote_session_id,
                ice_ufrag: self.remote_ice_ufrag,
                dtls: self.remote_dtls?,
            },
            transport,
            own: LocalTransport {
                ice_ufrag: self.ice_ufrag,
                ice_pwd: self.ice_pwd,
                fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, value: self.fingerprint },
                setup,
                candidates: self.candidates.iter().filter_map(|text| Candidate::parse(text)).collect(),
                is_ice_lite: true,
            },
            allows_mixed: self.allows_mixed,
            lines,
            // The client may have the last offer of the former process, with an answer that was lost, or not.
            before_offer,
            offer_again: (Instant::now(), limits::OFFER_PAUSE),
            is_offer_due: true,
            refused: BTreeSet::new(),
        })
    }
}

impl LineRecord {
    fn line(&self, media: &[LocalMedia], exists: Exists<'_>) -> Option<Line> {
        let of = |index: u32| {
            Some(index).filter(|index| *index > 0).map(|index| media.get(index as usize - 1).cloned())
        };
        let kind = match self.media.as_str() {
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            _ => None,
        };
        let mut section = Section {
            kind: match kind {
                Some(Kind::Audio) => MediaKind::Audio,
                Some(Kind::Video) => MediaKind::Video,
                None if self.media == "application" => MediaKind::Application,
                None => MediaKind::Other,
            },
            media: self.media.clone(),
            mid: self.mid.clone(),
            direction: if self.receives { Direction::RecvOnly } else { Direction::Inactive },
            formats: vec![self.format.clone()],
            ..Section::empty(&self.protocol)
        };
        if section.kind == MediaKind::Application {
            describe_data(&mut section, self.sctp_port, self.max_message_size);
        }
        if let Some(playable) = of(self.playable) {
            describe(&mut section, &playable?);
        }
        let publish = match of(self.published) {
            Some(media) if (exists.producer)(ProducerId(self.producer)) => Some(Published {
                producer: ProducerId(self.producer),
                parameters: RtpParameters::default(),
                media: media?,
            }),
            _ => None,
        };
        let consumer = ConsumerId(self.consumer);
        let play = (exists.consumer)(consumer).then(|| Played {
            consumer,
            producer: ProducerId(self.played),
            msid: Msid { stream: self.stream.clone(), track: ProducerId(self.played).to_string() },
            ssrcs: self.ssrcs.clone(),
            payload_types: self
                .payload_types
                .iter()
                .filter_map(|number| u8::try_from(*number).ok())
                .collect(),
            is_resumed: false,
        });
        Some(Line {
            section: Arc::new(section),
            kind,
            is_accepted: self.is_accepted,
            is_assumed: false,
            is_guess: false,
            is_free: play.is_none(),
            publish,
            play,
            held: None,
        })
    }
}

/// Writes the data channels into their section, in the form of its format.
fn describe_data(section: &mut Section, port: u32, max_message_size: Option<u64>) {
    section.max_message_size = max_message_size;
    let Ok(port) = u16::try_from(port) else { return };
    match section.formats.first().is_some_and(|format| format.parse::<u16>().is_ok()) {
        true => section.sctpmap = Some(SctpMap { port, application: "webrtc-datachannel".to_owned() }),
        false => section.sctp_port = Some(port),
    }
}

/// Writes what the client can receive into its section.
fn describe(section: &mut Section, media: &LocalMedia) {
    section.formats = media.codecs.iter().map(|codec| codec.map.payload_type.to_string()).collect();
    section.extmaps = media.extmaps.clone();
    for LocalCodec { map, parameters, feedback } in &media.codecs {
        let payload_type = map.payload_type;
        section.rtpmaps.push(map.clone());
        let pairs = parameters.split(';').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or(("", pair)));
        let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        section.fmtps.push(Fmtp { payload_type, parameters });
        section.feedback.extend(feedback.iter().map(|feedback| {
            let (name, parameter) = feedback.split_once(' ').unwrap_or((feedback, ""));
            Feedback {
                payload_type: Some(payload_type),
                name: name.to_owned(),
                parameter: parameter.to_owned(),
            }
        }));
    }
}

impl MediaRecord {
    fn new(media: &LocalMedia) -> Self {
        let codec = |codec: &LocalCodec| CodecRecord {
            payload_type: codec.map.payload_type.into(),
            name: codec.map.name.clone(),
            clock_rate: codec.map.clock_rate,
            channels: codec.map.channels.unwrap_or(0).into(),
            parameters: codec.parameters.clone(),
            feedback: codec.feedback.clone(),
        };
        let extension = |extmap: &ExtMap| ExtensionRecord { id: extmap.id.into(), uri: extmap.uri.clone() };
        Self {
            codecs: media.codecs.iter().map(codec).collect(),
            extensions: media.extmaps.iter().map(extension).collect(),
            rids: media.received_rids.clone(),
        }
    }

    /// `None`: a number is out of its range.
    fn media(&self) -> Option<LocalMedia> {
        let codec = |codec: &CodecRecord| {
            let channels = u8::try_from(codec.channels).ok()?;
            let map = RtpMap {
                payload_type: u8::try_from(codec.payload_type).ok()?,
                name: codec.name.clone(),
                clock_rate: codec.clock_rate,
                channels: Some(channels).filter(|channels| *channels > 0),
            };
            Some(LocalCodec { map, parameters: codec.parameters.clone(), feedback: codec.feedback.clone() })
        };
        let extension = |extension: &ExtensionRecord| {
            Some(ExtMap { id: u8::try_from(extension.id).ok()?, direction: None, uri: extension.uri.clone() })
        };
        Some(LocalMedia {
            direction: Direction::RecvOnly,
            codecs: self.codecs.iter().map(codec).collect::<Option<_>>()?,
            extmaps: self.extensions.iter().map(extension).collect::<Option<_>>()?,
            received_rids: self.rids.clone(),
            sent: None,
        })
    }
}
