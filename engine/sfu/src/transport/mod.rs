//! A transport: the session with one peer, by ICE and DTLS or plain, and its tracks.

pub mod data;
pub mod ice;
pub mod pipe;
pub mod plain;
pub mod protection;
pub mod send_path;
pub mod sources;

use crate::bandwidth::sender::{Bitrates, SendSide};
use crate::base::slots::Slot;
use crate::base::traffic::Traffic;
use crate::packet::media_packet::ExtensionMap;
use crate::transport::data::Data;
use crate::transport::ice::Ice;
use crate::transport::pipe::Pipe;
use crate::transport::plain::Plain;
use crate::transport::protection::Protection;
use crate::transport::send_path::SendPath;
use crate::transport::sources::Sources;
use control::{AppData, CreateTransport, DtlsRole, DtlsState, TransportId, TransportState};
use dtls::{CertificateHash, Endpoint};
use machine::{Flow, Instant, Path, Rng};
use rtcp::twcc::Recorder;
use rtp::Ssrc;
use std::collections::BTreeSet;
use std::time::Duration;

/// One peer's session. The index of its slot is its flow in the send batch, and its number among the
/// deadlines.
#[derive(Debug)]
pub struct Transport {
    /// Its id.
    pub id: TransportId,
    /// Its slot.
    pub slot: Slot,
    /// Its router.
    pub router: Slot,
    /// The connection to its peer.
    pub link: Link,
    /// The protection of its packets; `None` until the keys are known.
    pub protection: Option<Protection>,
    /// Extension ids of received packets.
    pub extensions: ExtensionMap,
    /// The meaning of each received SSRC.
    pub sources: Sources,
    /// Tracks received on it.
    pub producers: Vec<Slot>,
    /// Tracks sent on it, by their SSRCs here, in that order.
    pub consumers: Vec<(Ssrc, Slot)>,
    /// SSRCs that consumers have, or have had, on it. None is used twice: a second consumer would start
    /// counting again with the same key, and an SRTP index used twice reveals both packets (RFC 3711 §9.1,
    /// RFC 7714 §8.1).
    pub sent_ssrcs: BTreeSet<Ssrc>,
    /// The SSRC of our own RTCP.
    pub local_ssrc: Ssrc,
    /// Our CNAME for it (RFC 3550 §6.5.1), which only has to differ from the peer's: the random SSRC, in
    /// hexadecimal.
    cname: [u8; 8],
    /// Arrival times for transport-wide feedback, from the first packet with a transport-wide number on.
    pub twcc: Option<Box<Twcc>>,
    /// The controller's limits of its rates.
    pub bitrates: Bitrates,
    /// Congestion control of sent packets, if negotiated.
    pub send_side: Option<Box<SendSide>>,
    /// When the next RTCP reports are due; set when the keys are known.
    pub report_due: Option<Instant>,
    /// The round trip to the peer, from its latest report that showed one.
    pub rtt: Option<Duration>,
    /// It has just become able to send, and its consumers have not started yet.
    pub has_become_able: bool,
    /// Datagrams and bytes, in both directions.
    pub traffic: Traffic,
    /// Its data channels, if it has any.
    pub data: Option<Box<Data>>,
}

/// How a transport connects to its peer, and which addresses it accepts.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are this one, and every packet looks up its pair")]
pub enum Link {
    /// By ICE; DTLS creates the keys.
    WebRtc(WebRtc),
    /// By the controller's parameters.
    Plain(Box<Plain>),
    /// It has no peer.
    Pipe(Box<Pipe>),
}

/// ICE and DTLS.
#[derive(Debug)]
pub struct WebRtc {
    /// The command that created it: distinguishes a repetition from a contradiction.
    pub spec: CreateTransport,
    /// ICE.
    pub ice: Ice,
    /// DTLS.
    pub dtls: Dtls,
    /// The time limit of DTLS.
    pub connect_deadline: Option<Instant>,
    /// The last reported state, and its time.
    pub reported: TransportState,
    /// See [`reported`](Self::reported).
    pub reported_at: Instant,
}

/// DTLS of a transport.
#[derive(Debug, Default)]
pub struct Dtls {
    /// Once the controller has set it.
    pub peer: Option<DtlsPeer>,
    /// From the first ClientHello on.
    pub endpoint: Option<Box<Endpoint>>,
    /// The endpoint's next timeout; without an endpoint, when the client starts.
    pub timeout: Option<Instant>,
    /// When the last endpoint failed; another one is created some time later.
    pub failed_at: Option<Instant>,
    /// As a client: a server with another certificate has answered, which need not be the peer.
    pub has_mismatch: bool,
}

/// The controller's parameters of DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DtlsPeer {
    /// The engine's role.
    pub role: DtlsRole,
    /// The hash of the peer's certificate.
    pub certificate: CertificateHash,
}

impl Dtls {
    /// The engine is a client whose handshake has not started, or has failed.
    pub fn is_client_without_endpoint(&self) -> bool {
        self.endpoint.is_none() && self.peer.is_some_and(|peer| peer.role == DtlsRole::Client)
    }
}

/// The receiving side of transport-wide congestion control.
#[derive(Debug)]
pub struct Twcc {
    /// The arrival times.
    pub recorder: Recorder,
    /// The SSRC of the latest packet, which is the media source of the feedback.
    pub media: Ssrc,
    /// When to send feedback; `None` without new arrivals.
    pub due: Option<Instant>,
}

impl WebRtc {
    /// Without an ICE check so far. `lead`: as in [`Ice::new`].
    pub fn new(spec: CreateTransport, lead: Option<u8>, rng: &mut Rng) -> Self {
        let ice = Ice::new(lead, rng);
        let reported = TransportState { ice: ice.state(Instant::EPOCH), dtls: DtlsState::New, remote: None };
        Self {
            spec,
            ice,
            dtls: Dtls::default(),
            connect_deadline: None,
            reported,
            reported_at: Instant::EPOCH,
        }
    }

    /// When it next has work.
    pub fn next_timeout(&self, now: Instant, consent_timeout: Option<Duration>) -> Option<Instant> {
        let own = [self.dtls.timeout, self.connect_deadline, self.ice.next_timeout(now, consent_timeout)];
        own.into_iter().flatten().min()
    }
}

impl Transport {
    /// A transport without tracks.
    pub fn new(id: TransportId, slot: Slot, router: Slot, link: Link, rng: &mut Rng) -> Self {
        let local_ssrc = Ssrc(rng.next_u32());
        let digit = |nth: usize| b"0123456789abcdef"[(local_ssrc.0 >> (28 - 4 * nth)) as usize & 15];
        Self {
            id,
            slot,
            router,
            link,
            protection: None,
            extensions: ExtensionMap::default(),
            sources: Sources::default(),
            producers: Vec::new(),
            consumers: Vec::new(),
            sent_ssrcs: BTreeSet::new(),
            local_ssrc,
            cname: std::array::from_fn(digit),
            twcc: None,
            bitrates: Bitrates::default(),
            send_side: None,
            report_due: None,
            rtt: None,
            has_become_able: false,
            traffic: Traffic::default(),
            data: None,
        }
    }

    /// Our CNAME in the reports to its peer.
    pub fn cname(&self) -> &str {
        std::str::from_utf8(&self.cname).unwrap_or("leat")
    }

    /// Groups its datagrams in the send batch.
    pub fn flow(&self) -> Flow {
        Flow(self.slot.index())
    }

    /// ICE and DTLS, if it is a WebRTC transport.
    pub fn webrtc(&self) -> Option<&WebRtc> {
        match &self.link {
            Link::WebRtc(webrtc) => Some(webrtc),
            Link::Plain(_) | Link::Pipe(_) => None,
        }
    }

    /// ICE and DTLS, if it is a WebRTC transport.
    pub fn webrtc_mut(&mut self) -> Option<&mut WebRtc> {
        match &mut self.link {
            Link::WebRtc(webrtc) => Some(webrtc),
            Link::Plain(_) | Link::Pipe(_) => None,
        }
    }

    /// The plain transport, if it is one.
    pub fn plain(&self) -> Option<&Plain> {
        match &self.link {
            Link::WebRtc(_) | Link::Pipe(_) => None,
            Link::Plain(plain) => Some(plain),
        }
    }

    /// The plain transport, if it is one.
    pub fn plain_mut(&mut self) -> Option<&mut Plain> {
        match &mut self.link {
            Link::WebRtc(_) | Link::Pipe(_) => None,
            Link::Plain(plain) => Some(plain),
        }
    }

    /// The app data of a client's transport; `None` for a pipe.
    pub fn app_data_mut(&mut self) -> Option<&mut AppData> {
        match &mut self.link {
            Link::WebRtc(webrtc) => Some(&mut webrtc.spec.app_data),
            Link::Plain(plain) => Some(&mut plain.spec.app_data),
            Link::Pipe(_) => None,
        }
    }

    /// The pipe, if it is one.
    pub fn pipe(&self) -> Option<&Pipe> {
        match &self.link {
            Link::WebRtc(_) | Link::Plain(_) => None,
            Link::Pipe(pipe) => Some(pipe),
        }
    }

    /// The pipe, if it is one.
    pub fn pipe_mut(&mut self) -> Option<&mut Pipe> {
        match &mut self.link {
            Link::WebRtc(_) | Link::Plain(_) => None,
            Link::Pipe(pipe) => Some(pipe),
        }
    }

    /// Whether requests can be sent to the publisher, or to the origin of the tracks.
    pub fn can_ask(&self) -> bool {
        self.send_path().is_some() || self.pipe().is_some()
    }

    /// The path to the peer; `None` until it is known.
    pub fn path(&self) -> Option<Path> {
        match &self.link {
            Link::WebRtc(webrtc) => webrtc.ice.selected(),
            Link::Plain(plain) => plain.path(),
            Link::Pipe(_) => None,
        }
    }

    /// The path for RTCP.
    pub fn rtcp_path(&self) -> Option<Path> {
        match &self.link {
            Link::WebRtc(webrtc) => webrtc.ice.selected(),
            Link::Plain(plain) => plain.rtcp_path(),
            Link::Pipe(_) => None,
        }
    }

    /// Path and key for sending media; `None` until both are known.
    pub fn send_path(&self) -> Option<SendPath<'_>> {
        let outbound = self.protection.as_ref()?.outbound();
        Some(SendPath { flow: self.flow(), path: self.path()?, outbound })
    }

    /// The states of ICE and DTLS; `None` without them.
    pub fn state(&self, now: Instant) -> Option<TransportState> {
        let WebRtc { ice, dtls, .. } = self.webrtc()?;
        let dtls = match (&self.protection, &dtls.endpoint) {
            (Some(_), _) => DtlsState::Connected,
            (None, Some(_)) => DtlsState::Connecting,
            (None, None) => DtlsState::New,
        };
        Some(TransportState { ice: ice.state(now), dtls, remote: ice.selected().map(|path| path.remote) })
    }

    /// An authentic packet of media has arrived on `path`. True if the peer had been disconnected: the next
    /// timer call reports it.
    pub fn on_authentic(&mut self, now: Instant, path: Path) -> bool {
        self.webrtc_mut().is_some_and(|webrtc| webrtc.ice.on_media(now, path))
    }

    /// The consumer with this SSRC.
    pub fn consumer(&self, ssrc: Ssrc) -> Option<Slot> {
        let index = self.consumers.binary_search_by_key(&ssrc, |(ssrc, _)| *ssrc).ok()?;
        Some(self.consumers[index].1)
    }

    /// Removes the consumer with this SSRC. The SSRC stays in [`sent_ssrcs`](Self::sent_ssrcs).
    pub fn remove_consumer(&mut self, ssrc: Ssrc) {
        if let Ok(index) = self.consumers.binary_search_by_key(&ssrc, |(ssrc, _)| *ssrc) {
            self.consumers.remove(index);
        }
    }

    /// Adds a consumer, whose SSRC must be new on it.
    pub fn add_consumer(&mut self, ssrc: Ssrc, consumer: Slot) {
        let index = self.consumers.partition_point(|(other, _)| *other < ssrc);
        self.consumers.insert(index, (ssrc, consumer));
    }
}
