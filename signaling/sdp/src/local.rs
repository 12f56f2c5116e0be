//! What this side says about itself, in an offer or an answer.

use crate::candidate::{Candidate, CandidateAddress, CandidateKind, TcpKind, Transport};
use crate::section::{Direction, ExtMap, Fingerprint, MediaKind, Msid, RtpMap, Section, Setup};
use std::fmt::Write;

/// What a description says about the transport, which all sections share (BUNDLE).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTransport {
    /// ICE user name fragment.
    pub ice_ufrag: String,
    /// ICE password.
    pub ice_pwd: String,
    /// The fingerprint of the certificate.
    pub fingerprint: Fingerprint,
    /// Active or passive; in an offer also actpass.
    pub setup: Setup,
    /// All candidates: an ICE-lite agent has no others.
    pub candidates: Vec<Candidate>,
    /// Whether this side is an ICE-lite agent.
    pub is_ice_lite: bool,
}

/// A codec. In an answer, the payload type is one of the offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCodec {
    /// Payload type, name and clock rate.
    pub map: RtpMap,
    /// The parameters as text, for example `apt=96`; may be empty.
    pub parameters: String,
    /// The feedback as text, for example `nack pli`.
    pub feedback: Vec<String>,
}

/// What a description says about one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalSection {
    /// Port 0.
    Rejected,
    /// Media that flows.
    Media(LocalMedia),
    /// Data channels.
    Data(LocalData),
}

/// The association of data channels of this side (RFC 8841).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalData {
    /// The SCTP port.
    pub port: u16,
    /// Streams in each direction; only the older form has their number.
    pub streams: u16,
    /// Bytes of the longest message that this side accepts.
    pub message_len_max: u32,
}

/// Media of a section that is accepted or offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// For this side.
    pub direction: Direction,
    /// At least one.
    pub codecs: Vec<LocalCodec>,
    /// In an answer, with ids of the offer.
    pub extmaps: Vec<ExtMap>,
    /// RIDs of the other side that this side receives, in the order of the other side.
    pub received_rids: Vec<String>,
    /// The track that this side sends, and its SSRCs: of the stream, and of its RTX. Without SSRCs, streams are
    /// identified by MID or payload type.
    pub sent: Option<(Msid, Vec<u32>)>,
}

/// The names of a section in its first line and `a=mid`, and whether RTCP may be of reduced size.
pub(crate) struct Head<'a> {
    pub(crate) media: &'a str,
    pub(crate) protocol: &'a str,
    pub(crate) mid: &'a str,
    pub(crate) has_rtcp_rsize: bool,
    pub(crate) formats: &'a [String],
}

impl<'a> From<&'a Section> for Head<'a> {
    fn from(section: &'a Section) -> Self {
        Self {
            media: &section.media,
            protocol: &section.protocol,
            mid: &section.mid,
            has_rtcp_rsize: section.has_rtcp_rsize,
            formats: &section.formats,
        }
    }
}

/// What a description begins with.
pub(crate) struct Session<'a> {
    pub(crate) id: u64,
    pub(crate) version: u64,
    pub(crate) transport: &'a LocalTransport,
    pub(crate) allows_mixed: bool,
}

/// Writes a description.
pub(crate) fn write(session: &Session<'_>, sections: &[(Head<'_>, &LocalSection)]) -> String {
    let mut text = String::with_capacity(4_096);
    let accepted = sections.iter().filter(|(_, local)| !matches!(local, LocalSection::Rejected));
    let mids: Vec<&str> = accepted.map(|(head, _)| head.mid).collect();
    let Session { id, version, transport, allows_mixed } = session;
    // Writing to a string does not fail.
    let _ = write!(text, "v=0\r\no=- {id} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    if !mids.is_empty() {
        let _ = write!(text, "a=group:BUNDLE {}\r\n", mids.join(" "));
    }
    // RFC 8830 §5: a browser creates streams by their identifiers.
    text.push_str("a=msid-semantic: WMS *\r\n");
    if transport.is_ice_lite {
        text.push_str("a=ice-lite\r\n");
    }
    if *allows_mixed {
        text.push_str("a=extmap-allow-mixed\r\n");
    }
    for (head, local) in sections {
        match local {
            LocalSection::Rejected => write_rejected(&mut text, head),
            LocalSection::Media(media) => media.write(&mut text, head, transport),
            LocalSection::Data(data) => data.write(&mut text, head, transport),
        }
    }
    text
}

/// RFC 3264 §6: port 0, with the formats of the offer.
fn write_rejected(text: &mut String, head: &Head<'_>) {
    let formats = if head.formats.is_empty() { "0".to_owned() } else { head.formats.join(" ") };
    let _ = write!(
        text,
        "m={} 0 {} {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:{}\r\na=inactive\r\n",
        head.media, head.protocol, head.mid
    );
}

impl LocalMedia {
    /// Why the offerer would refuse this answer for its section.
    pub(crate) fn check(&self, offered: &Section) -> Option<&'static str> {
        let offers = |payload_type: u8| offered.payload_types().any(|offered| offered == payload_type);
        let has_extension = |own: &ExtMap| {
            offered.extmaps.iter().any(|offered| offered.id == own.id && offered.uri == own.uri)
        };
        let has_rid = |rid: &String| offered.rids.iter().any(|offered| offered.is_sent && offered.id == *rid);
        match () {
            () if !matches!(offered.kind, MediaKind::Audio | MediaKind::Video) => {
                Some("only audio and video can be accepted")
            }
            () if offered.is_rejected() => Some("the offer rejects the section"),
            () if self.codecs.is_empty() => Some("it has no codec"),
            () if !self.codecs.iter().all(|codec| offers(codec.map.payload_type)) => {
                Some("a payload type is not offered")
            }
            () if !self.extmaps.iter().all(has_extension) => Some("a header extension is not offered"),
            () if !self.received_rids.iter().all(has_rid) => Some("a RID is not offered"),
            () if self.direction.sends() && !offered.direction.receives() => {
                Some("it sends, and the offer does not receive")
            }
            () if self.direction.receives() && !offered.direction.sends() => {
                Some("it receives, and the offer does not send")
            }
            () => None,
        }
    }

    fn write(&self, text: &mut String, head: &Head<'_>, transport: &LocalTransport) {
        let formats: Vec<_> = self.codecs.iter().map(|codec| codec.map.payload_type.to_string()).collect();
        let _ = write!(
            text,
            "m={} 9 {} {}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n",
            head.media,
            head.protocol,
            formats.join(" ")
        );
        transport.write(text);
        let _ = write!(text, "a=mid:{}\r\na={}\r\na=rtcp-mux\r\n", head.mid, self.direction.name());
        if head.has_rtcp_rsize {
            text.push_str("a=rtcp-rsize\r\n");
        }
        for ExtMap { id, direction, uri } in &self.extmaps {
            let direction = direction.map(|direction| format!("/{}", direction.name())).unwrap_or_default();
            let _ = write!(text, "a=extmap:{id}{direction} {uri}\r\n");
        }
        for LocalCodec { map, parameters, feedback } in &self.codecs {
            let RtpMap { payload_type, name, clock_rate, channels } = map;
            let channels = channels.map(|channels| format!("/{channels}")).unwrap_or_default();
            let _ = write!(text, "a=rtpmap:{payload_type} {name}/{clock_rate}{channels}\r\n");
            for feedback in feedback {
                let _ = write!(text, "a=rtcp-fb:{payload_type} {feedback}\r\n");
            }
            if !parameters.is_empty() {
                let _ = write!(text, "a=fmtp:{payload_type} {parameters}\r\n");
            }
        }
        for rid in &self.received_rids {
            let _ = write!(text, "a=rid:{rid} recv\r\n");
        }
        if !self.received_rids.is_empty() {
            let _ = write!(text, "a=simulcast:recv {}\r\n", self.received_rids.join(";"));
        }
        if let Some((msid, ssrcs)) = &self.sent {
            let _ = write!(text, "a=msid:{} {}\r\n", msid.stream, msid.track);
            if let [first, second] = ssrcs[..] {
                let _ = write!(text, "a=ssrc-group:FID {first} {second}\r\n");
            }
            for ssrc in ssrcs {
                let _ = write!(text, "a=ssrc:{ssrc} cname:{}\r\n", msid.stream);
            }
        }
    }
}

impl LocalData {
    /// Why the offerer would refuse this answer for its section.
    pub(crate) fn check(offered: &Section) -> Option<&'static str> {
        match () {
            () if offered.kind != MediaKind::Application => Some("only an application has data channels"),
            () if offered.is_rejected() => Some("the offer rejects the section"),
            () => None,
        }
    }

    /// In the form of the section: that of RFC 8841 §12, or the older one with the port as its format.
    fn write(&self, text: &mut String, head: &Head<'_>, transport: &LocalTransport) {
        let Self { port, streams, message_len_max } = self;
        let (media, protocol) = (head.media, head.protocol);
        let is_older = head.formats.first().is_some_and(|format| format.parse::<u16>().is_ok());
        let _ = match is_older {
            true => write!(text, "m={media} 9 {protocol} {port}\r\nc=IN IP4 0.0.0.0\r\n"),
            false => write!(text, "m={media} 9 {protocol} {DATA_CHANNELS}\r\nc=IN IP4 0.0.0.0\r\n"),
        };
        transport.write(text);
        let _ = write!(text, "a=mid:{}\r\n", head.mid);
        let _ = match is_older {
            true => write!(text, "a=sctpmap:{port} {DATA_CHANNELS} {streams}\r\n"),
            false => write!(text, "a=sctp-port:{port}\r\n"),
        };
        let _ = write!(text, "a=max-message-size:{message_len_max}\r\n");
    }
}

/// The format of data channels (RFC 8841 §4.3).
const DATA_CHANNELS: &str = "webrtc-datachannel";

impl LocalTransport {
    fn write(&self, text: &mut String) {
        for candidate in &self.candidates {
            let _ = write!(text, "a=candidate:{candidate}\r\n");
        }
        if self.is_ice_lite {
            text.push_str("a=end-of-candidates\r\n");
        }
        let value: Vec<String> = self.fingerprint.value.iter().map(|byte| format!("{byte:02X}")).collect();
        let _ = write!(
            text,
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{} {}\r\na=setup:{}\r\n",
            self.ice_ufrag,
            self.ice_pwd,
            self.fingerprint.algorithm.name(),
            value.join(":"),
            self.setup.name()
        );
    }
}

impl std::fmt::Display for Candidate {
    /// The value of `a=candidate`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { foundation, component, transport, priority, address, port, kind } = self;
        let protocol = if *transport == Transport::Udp { "udp" } else { "tcp" };
        write!(f, "{foundation} {component} {protocol} {priority} ")?;
        match address {
            CandidateAddress::Ip(ip) => write!(f, "{ip}")?,
            CandidateAddress::Name(name) => f.write_str(name)?,
        }
        let kind = match kind {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        };
        write!(f, " {port} typ {kind}")?;
        match transport {
            Transport::Udp => Ok(()),
            Transport::Tcp(TcpKind::Active) => f.write_str(" tcptype active"),
            Transport::Tcp(TcpKind::Passive) => f.write_str(" tcptype passive"),
            Transport::Tcp(TcpKind::SimultaneousOpen) => f.write_str(" tcptype so"),
        }
    }
}
