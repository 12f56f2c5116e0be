//! One media section: the line `m=` and its attributes.

use crate::attribute::{Attributes, number, token, word};
use crate::candidate::Candidate;
use crate::error::SdpError;
use crate::limits::{
    ATTRIBUTES_MAX, FINGERPRINTS_MAX, FORMATS_MAX, PARAMETERS_BYTES_MAX, RIDS_MAX, TOKEN_BYTES_MAX,
};
use crate::simulcast::Simulcast;
use std::collections::{BTreeMap, BTreeSet};

/// What a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels.
    Application,
    /// Something else, which is answered with port 0.
    Other,
}

/// The direction of media, for the author of the description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The author sends.
    SendOnly,
    /// The author receives.
    RecvOnly,
    /// None.
    Inactive,
}

impl Direction {
    const ALL: [(&'static str, Self); 4] = [
        ("sendrecv", Self::SendRecv),
        ("sendonly", Self::SendOnly),
        ("recvonly", Self::RecvOnly),
        ("inactive", Self::Inactive),
    ];

    fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, direction)| direction)
    }

    /// Its name in a description.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, known)| *known == self).map_or("sendrecv", |(name, _)| name)
    }

    /// The same media, for the other side.
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            other => other,
        }
    }

    pub(crate) fn of(attributes: &Attributes<'_>) -> Option<Self> {
        attributes.all.iter().find_map(|attribute| Self::read(&attribute.attribute))
    }

    /// Whether the author sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the author receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// The role of the author in the DTLS handshake (RFC 8842 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The other side decides.
    ActPass,
    /// The DTLS client.
    Active,
    /// The DTLS server.
    Passive,
    /// No connection for the time being.
    HoldConn,
}

impl Setup {
    const ALL: [(&'static str, Self); 4] = [
        ("actpass", Self::ActPass),
        ("active", Self::Active),
        ("passive", Self::Passive),
        ("holdconn", Self::HoldConn),
    ];

    /// Its name in a description.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, known)| *known == self).map_or("actpass", |(name, _)| name)
    }

    fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, setup)| setup)
    }
}

/// The hash of a fingerprint (RFC 8122 §5), the strongest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    const ALL: [(&'static str, usize, Self); 5] = [
        ("sha-1", 20, Self::Sha1),
        ("sha-224", 28, Self::Sha224),
        ("sha-256", 32, Self::Sha256),
        ("sha-384", 48, Self::Sha384),
        ("sha-512", 64, Self::Sha512),
    ];

    /// Its name in a description.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(.., known)| *known == self).map_or("sha-256", |(name, ..)| name)
    }
}

/// The fingerprint of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash.
    pub algorithm: HashAlgorithm,
    /// Its value, 20 to 64 bytes.
    pub value: Vec<u8>,
}

impl Fingerprint {
    /// `None`: a hash that is not known here, or a value of another length.
    fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once(' ')?;
        let known = HashAlgorithm::ALL.into_iter().find(|(known, ..)| name.eq_ignore_ascii_case(known));
        let (_, len, algorithm) = known?;
        let bytes = value.trim().split(':').map(|byte| match byte.len() {
            2 => u8::from_str_radix(byte, 16).ok(),
            _ => None,
        });
        let value: Vec<u8> = bytes.take(len + 1).collect::<Option<_>>()?;
        (value.len() == len).then_some(Self { algorithm, value })
    }
}

/// A header extension (RFC 8285 §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtMap {
    /// 1 to 14 in a one-byte header, to 255 in a two-byte header.
    pub id: u8,
    /// Its direction, if it is not that of the section.
    pub direction: Option<Direction>,
    /// What it is.
    pub uri: String,
}

impl ExtMap {
    fn parse(text: &str) -> Option<Self> {
        let (key, rest) = text.split_once(' ')?;
        let (id, direction) = match key.split_once('/') {
            Some((id, direction)) => (id, Some(Direction::read(direction)?)),
            None => (key, None),
        };
        let id = number(id).filter(|id| *id > 0)?;
        Some(Self { id, direction, uri: word(rest.split(' ').next()?)? })
    }
}

/// A codec of a payload type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpMap {
    /// 0 to 127.
    pub payload_type: u8,
    /// For example `opus` or `VP8`, as it was written.
    pub name: String,
    /// Hz.
    pub clock_rate: u32,
    /// Audio only.
    pub channels: Option<u8>,
}

impl RtpMap {
    fn parse(text: &str) -> Option<Self> {
        let (payload_type, codec) = text.split_once(' ')?;
        let mut parts = codec.trim().split('/');
        let name = token(parts.next()?)?;
        let clock_rate = number(parts.next()?).filter(|rate| *rate > 0)?;
        let channels = parts.next().map(|channels| number(channels).ok_or(())).transpose().ok()?;
        Some(Self { payload_type: read_payload_type(payload_type)?, name, clock_rate, channels })
    }
}

/// Format parameters of a payload type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fmtp {
    /// 0 to 127.
    pub payload_type: u8,
    /// By lower-case name; the value of a parameter without `=` is its whole text, under the empty name.
    pub parameters: BTreeMap<String, String>,
}

impl Fmtp {
    fn parse(text: &str) -> Option<Self> {
        let (payload_type, text) = text.split_once(' ')?;
        (text.len() <= PARAMETERS_BYTES_MAX).then_some(())?;
        let mut parameters = BTreeMap::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            if parameters.len() == ATTRIBUTES_MAX {
                return None;
            }
            let (name, value) = part.split_once('=').unwrap_or(("", part));
            parameters.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
        Some(Self { payload_type: read_payload_type(payload_type)?, parameters })
    }
}

/// Feedback that the author accepts (RFC 4585 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// `None`: all payload types of the section.
    pub payload_type: Option<u8>,
    /// For example `nack`.
    pub name: String,
    /// For example `pli`; may be empty.
    pub parameter: String,
}

impl Feedback {
    fn parse(text: &str) -> Option<Self> {
        let (payload_type, rest) = text.split_once(' ')?;
        let payload_type = match payload_type {
            "*" => None,
            payload_type => Some(read_payload_type(payload_type)?),
        };
        let (name, parameter) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let parameter = parameter.trim();
        (parameter.len() <= TOKEN_BYTES_MAX).then_some(())?;
        Some(Self { payload_type, name: token(name)?, parameter: parameter.to_owned() })
    }
}

/// A stream of a section (RFC 8851).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rid {
    /// The RID.
    pub id: String,
    /// Whether the author of the description sends it; otherwise it receives it.
    pub is_sent: bool,
    /// Payload types that it may have; empty for all of the section.
    pub payload_types: Vec<u8>,
    /// Other restrictions, for example `max-width`.
    pub restrictions: BTreeMap<String, String>,
}

impl Rid {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let (id, direction) = (token(words.next()?)?, words.next()?);
        let is_sent = match direction {
            "send" => true,
            "recv" => false,
            _ => return None,
        };
        let (mut payload_types, mut restrictions) = (Vec::new(), BTreeMap::new());
        for part in words.next().unwrap_or_default().split(';').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                ("pt", list) => {
                    payload_types =
                        list.split(',').take(FORMATS_MAX).map(read_payload_type).collect::<Option<_>>()?;
                }
                (name, value) if restrictions.len() < RIDS_MAX => {
                    restrictions.insert(token(name)?, value.to_owned());
                }
                _ => return None,
            }
        }
        Some(Self { id, is_sent, payload_types, restrictions })
    }
}

/// An SSRC that the author announces (RFC 5576), with what it says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssrc {
    /// The SSRC.
    pub id: u32,
    /// `cname`.
    pub cname: Option<String>,
    /// `msid`.
    pub msid: Option<Msid>,
}

/// A stream and a track (RFC 8830).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Msid {
    /// The identifier of the stream; `-` for none.
    pub stream: String,
    /// The identifier of the track; may be empty.
    pub track: String,
}

impl Msid {
    fn parse(text: &str) -> Option<Self> {
        let (stream, track) = text.split_once(' ').unwrap_or((text, ""));
        let track = if track.is_empty() { String::new() } else { word(track)? };
        Some(Self { stream: word(stream)?, track })
    }
}

/// SSRCs that belong together (RFC 5576 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID` for a stream and its RTX, `SIM` for the sizes of one picture.
    pub semantics: String,
    /// The SSRCs, in their order.
    pub ssrcs: Vec<u32>,
}

impl SsrcGroup {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let semantics = token(words.next()?)?;
        let ssrcs: Vec<u32> = words.take(RIDS_MAX).map(number).collect::<Option<_>>()?;
        (!ssrcs.is_empty()).then_some(Self { semantics, ssrcs })
    }
}

/// The SCTP association of a section in the form before RFC 8841 (draft-ietf-mmusic-sctp-sdp-07): `a=sctpmap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SctpMap {
    /// The SCTP port, which is also the format of the section.
    pub port: u16,
    /// `webrtc-datachannel`, as it was written.
    pub application: String,
}

impl SctpMap {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (port, application) = (words.next()?, words.next()?);
        // The number of streams follows, which is that of the INIT anyway.
        Some(Self { port: port_number(port)?, application: token(application)? })
    }
}

/// A media section. What may be at the level of the session too is here in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is about.
    pub kind: MediaKind,
    /// The word after `m=`.
    pub media: String,
    /// 0 rejects the section.
    pub port: u16,
    /// For example `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// Payload types; for data channels `webrtc-datachannel`.
    pub formats: Vec<String>,
    /// The MID; a section without one has its number from 0.
    pub mid: String,
    /// The direction.
    pub direction: Direction,
    /// Whether it has no transport of its own if the other side bundles (RFC 9143 §6).
    pub is_bundle_only: bool,
    /// ICE user name fragment.
    pub ice_ufrag: Option<String>,
    /// ICE password.
    pub ice_pwd: Option<String>,
    /// Whether the author accepts and sends candidates later.
    pub trickles: bool,
    /// Candidates, of the transports and kinds that are known here.
    pub candidates: Vec<Candidate>,
    /// Whether no further candidates follow.
    pub has_end_of_candidates: bool,
    /// Fingerprints, of the hashes that are known here.
    pub fingerprints: Vec<Fingerprint>,
    /// The DTLS role.
    pub setup: Option<Setup>,
    /// Whether RTCP has the same port.
    pub has_rtcp_mux: bool,
    /// Whether RTCP may be of reduced size (RFC 5506).
    pub has_rtcp_rsize: bool,
    /// Header extensions.
    pub extmaps: Vec<ExtMap>,
    /// Whether one-byte and two-byte headers may be mixed (RFC 8285 §6).
    pub allows_mixed: bool,
    /// Codecs.
    pub rtpmaps: Vec<RtpMap>,
    /// Their parameters.
    pub fmtps: Vec<Fmtp>,
    /// Their feedback.
    pub feedback: Vec<Feedback>,
    /// Streams by RID.
    pub rids: Vec<Rid>,
    /// Simulcast by RIDs.
    pub simulcast: Option<Simulcast>,
    /// Announced SSRCs.
    pub ssrcs: Vec<Ssrc>,
    /// Their groups.
    pub ssrc_groups: Vec<SsrcGroup>,
    /// The track.
    pub msid: Option<Msid>,
    /// Milliseconds of a packet (RFC 8866 §6.4).
    pub ptime_ms: Option<u16>,
    /// The SCTP port of data channels (RFC 8841).
    pub sctp_port: Option<u16>,
    /// The same in the older form.
    pub sctpmap: Option<SctpMap>,
    /// Bytes of the largest message of data channels; 0: no maximum.
    pub max_message_size: Option<u64>,
}

impl Section {
    /// A section of no kind, without formats and attributes, and with a port.
    pub fn empty(protocol: &str) -> Self {
        Self {
            kind: MediaKind::Other,
            media: String::new(),
            port: 9,
            protocol: protocol.to_owned(),
            formats: Vec::new(),
            mid: String::new(),
            direction: Direction::SendRecv,
            is_bundle_only: false,
            ice_ufrag: None,
            ice_pwd: None,
            trickles: false,
            candidates: Vec::new(),
            has_end_of_candidates: false,
            fingerprints: Vec::new(),
            setup: None,
            has_rtcp_mux: true,
            has_rtcp_rsize: true,
            extmaps: Vec::new(),
            allows_mixed: false,
            rtpmaps: Vec::new(),
            fmtps: Vec::new(),
            feedback: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            msid: None,
            ptime_ms: None,
            sctp_port: None,
            sctpmap: None,
            max_message_size: None,
        }
    }

    /// Whether the author has rejected the section or closed it.
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && !self.is_bundle_only
    }

    /// The parameters of a payload type.
    pub fn fmtp(&self, payload_type: u8) -> Option<&Fmtp> {
        self.fmtps.iter().find(|fmtp| fmtp.payload_type == payload_type)
    }

    /// The payload types of the section, in the order of preference.
    pub fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.formats.iter().filter_map(|format| read_payload_type(format))
    }

    pub(crate) fn read(
        index: usize,
        media: &sdp_types::Media,
        session: &Attributes<'_>,
    ) -> Result<Self, SdpError> {
        let mid = media.attributes.iter().find(|attribute| attribute.attribute == "mid");
        let mid = mid.and_then(|mid| token(mid.value.as_deref()?));
        let mid = mid.unwrap_or_else(|| index.to_string());
        let place = format!("section {index} (mid {mid})");
        let own = Attributes { all: &media.attributes, place: &place };
        let kind = match media.media.as_str() {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            "application" => MediaKind::Application,
            _ => MediaKind::Other,
        };
        let formats: Vec<String> =
            media.fmt.split(' ').filter(|format| !format.is_empty()).map(str::to_owned).collect();
        if formats.len() > FORMATS_MAX {
            return Err(SdpError::TooMany { place, what: "formats", limit: FORMATS_MAX });
        }
        // Without own ones, those of the session count (RFC 8839 §5.4, RFC 8122 §5, RFC 8285 §5).
        let of = |name: &str| if own.has(name) { &own } else { session };
        let setup = of("setup").first("setup", "actpass, active, passive or holdconn", Setup::read)?;
        let fingerprints = of("fingerprint").read("fingerprint", FINGERPRINTS_MAX, FINGERPRINT, |text| {
            // Hashes that are not known here are skipped (RFC 8122 §5): another one may match.
            let is_hash = text.split_once(' ').is_some_and(|(name, _)| token(name).is_some());
            let is_known = HashAlgorithm::ALL.into_iter().any(|(name, ..)| {
                text.split(' ').next().is_some_and(|first| first.eq_ignore_ascii_case(name))
            });
            match is_known {
                true => Fingerprint::parse(text).map(Some),
                false => is_hash.then_some(None),
            }
        })?;
        let ice = |name: &'static str, len: std::ops::RangeInclusive<usize>| {
            let is_ice = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
            of(name).first(name, "letters, digits, + and / in the length of RFC 8839 §5.4", |text| {
                (len.contains(&text.len()) && text.chars().all(is_ice)).then(|| text.to_owned())
            })
        };
        // One of a transport, an address or a kind that is not known here is skipped: others may work.
        let candidates =
            own.read("candidate", ATTRIBUTES_MAX, CANDIDATE, |text| match Candidate::parse(text) {
                Some(candidate) => Some(Some(candidate)),
                None => {
                    (text.split(' ').filter(|word| !word.is_empty()).nth(6) == Some("typ")).then_some(None)
                }
            })?;
        let section = Self {
            kind,
            media: media.media.clone(),
            port: media.port,
            protocol: media.proto.clone(),
            formats,
            direction: Direction::of(&own).or_else(|| Direction::of(session)).unwrap_or_default(),
            is_bundle_only: own.has("bundle-only"),
            ice_ufrag: ice("ice-ufrag", 4..=256)?,
            ice_pwd: ice("ice-pwd", 22..=256)?,
            trickles: of("ice-options")
                .values("ice-options")
                .any(|text| text.split(' ').any(|option| option == "trickle")),
            candidates: candidates.into_iter().flatten().collect(),
            has_end_of_candidates: of("end-of-candidates").has("end-of-candidates"),
            fingerprints: fingerprints.into_iter().flatten().collect(),
            setup,
            has_rtcp_mux: own.has("rtcp-mux") || own.has("rtcp-mux-only"),
            has_rtcp_rsize: own.has("rtcp-rsize"),
            extmaps: of("extmap").read(
                "extmap",
                ATTRIBUTES_MAX,
                "an id from 1 to 255 and a URI",
                ExtMap::parse,
            )?,
            allows_mixed: own.has("extmap-allow-mixed") || session.has("extmap-allow-mixed"),
            rtpmaps: own.read(
                "rtpmap",
                FORMATS_MAX,
                "a payload type, and a name/clock rate",
                RtpMap::parse,
            )?,
            fmtps: own.read(
                "fmtp",
                FORMATS_MAX,
                "a payload type and at most 1024 bytes of parameters",
                Fmtp::parse,
            )?,
            feedback: own.read(
                "rtcp-fb",
                8 * FORMATS_MAX,
                "a payload type or *, and a name",
                Feedback::parse,
            )?,
            rids: own.read("rid", RIDS_MAX, "a RID, and send or recv", Rid::parse)?,
            simulcast: own.first("simulcast", "send or recv, and at most 16 RIDs", Simulcast::parse)?,
            ssrcs: ssrcs(&own)?,
            ssrc_groups: own.read("ssrc-group", ATTRIBUTES_MAX, "a name and SSRCs", SsrcGroup::parse)?,
            msid: own.first("msid", "the identifiers of a stream and a track", Msid::parse)?,
            ptime_ms: own.first("ptime", "a number of milliseconds", number)?,
            sctp_port: own.first("sctp-port", "a port from 1 to 65535", port_number)?,
            sctpmap: own.first(
                "sctpmap",
                "a port from 1 to 65535, and webrtc-datachannel",
                SctpMap::parse,
            )?,
            max_message_size: own.first("max-message-size", "a number of bytes", number)?,
            mid,
        };
        section.check(&place)?;
        Ok(section)
    }

    fn check(&self, place: &str) -> Result<(), SdpError> {
        let refused = |reason| Err(SdpError::Section { place: place.to_owned(), reason });
        // Plan B: one section has all tracks of a kind.
        let tracks: BTreeSet<_> = self.ssrcs.iter().filter_map(|ssrc| ssrc.msid.as_ref()).collect();
        if tracks.len() > 1 {
            return refused(
                "it has several tracks (Plan B), which is not supported; use one section for each track (Unified Plan)",
            );
        }
        let mut ids = BTreeSet::new();
        if self.rids.iter().any(|rid| !ids.insert((&rid.id, rid.is_sent))) {
            return refused("a RID is there twice");
        }
        let mut numbers = BTreeSet::new();
        // With leading zeros, it is the same number.
        if self.formats.iter().any(|format| !numbers.insert(format.trim_start_matches('0'))) {
            return refused("a format is there twice");
        }
        let mut numbers = BTreeSet::new();
        if self.rtpmaps.iter().any(|map| !numbers.insert(map.payload_type)) {
            return refused("a payload type has two codecs");
        }
        let mut ids = BTreeSet::new();
        if self.extmaps.iter().any(|extmap| !ids.insert(extmap.id)) {
            return refused("two header extensions have the same id");
        }
        Ok(())
    }
}

const FINGERPRINT: &str =
    "a hash from sha-1 to sha-512 and as many bytes, in hexadecimal digits between colons";
const CANDIDATE: &str = "a candidate as in RFC 8839 §5.1";

fn read_payload_type(text: &str) -> Option<u8> {
    number(text.trim()).filter(|payload_type| *payload_type < 128)
}

fn port_number(text: &str) -> Option<u16> {
    number(text).filter(|port| *port > 0)
}

/// The lines of one SSRC are not always together.
fn ssrcs(own: &Attributes<'_>) -> Result<Vec<Ssrc>, SdpError> {
    let mut found: Vec<Ssrc> = Vec::new();
    let mut by_id: BTreeMap<u32, usize> = BTreeMap::new();
    for text in own.values("ssrc") {
        let (id, attribute) = text.split_once(' ').unwrap_or((text, ""));
        let id =
            number(id).ok_or_else(|| own.wrong("ssrc", "a number from 0 to 4294967295, and an attribute"))?;
        let at = *by_id.entry(id).or_insert(found.len());
        if at == found.len() {
            if at == ATTRIBUTES_MAX {
                let place = own.place.to_owned();
                return Err(SdpError::TooMany { place, what: "SSRCs", limit: ATTRIBUTES_MAX });
            }
            found.push(Ssrc { id, cname: None, msid: None });
        }
        match attribute.split_once(':') {
            Some(("cname", cname)) => found[at].cname = word(cname),
            Some(("msid", msid)) => found[at].msid = Msid::parse(msid),
            _ => {}
        }
    }
    Ok(found)
}
