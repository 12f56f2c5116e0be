//! A transport: the session with one peer, by ICE and DTLS or plain, and what travels over it.

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
use crate::transport::ice::Ice;
use crate::transport::pipe::Pipe;
use crate::transport::plain::Plain;
use crate::transport::protection::Protection;
use crate::transport::send_path::SendPath;
use crate::transport::sources::Sources;
use control::{AppData, CreateTransport, DtlsState, TransportId, TransportState};
use dtls::{Endpoint, Fingerprint};
use machine::{Flow, Instant, Path, Rng};
use rtcp::twcc::Recorder;
use rtp::Ssrc;
use std::collections::BTreeSet;
use std::time::Duration;

/// One peer's session. Its slot's index is its flow in the send batch, and its number among the deadlines.
#[derive(Debug)]
pub struct Transport {
    /// Its id.
    pub id: TransportId,
    /// Where it lives.
    pub slot: Slot,
    /// Its router.
    pub router: Slot,
    /// How it finds its peer.
    pub link: Link,
    /// How its packets are protected; `None` until the keys are there.
    pub protection: Option<Protection>,
    /// Extension ids of what is received here.
    pub extensions: ExtensionMap,
    /// Which SSRC is what.
    pub sources: Sources,
    /// Tracks received here.
    pub producers: Vec<Slot>,
    /// Tracks sent here, by the SSRC they have here, in its order.
    pub consumers: Vec<(Ssrc, Slot)>,
    /// SSRCs that consumers have, or have had, here. None is given out twice: a second consumer would count from the
    /// start under the same key, and an SRTP index used twice gives away both packets (RFC 3711 §9.1, RFC 7714 §8.1).
    pub sent_ssrcs: BTreeSet<Ssrc>,
    /// The SSRC of our own RTCP.
    pub local_ssrc: Ssrc,
    /// Our name beside it (RFC 3550 §6.5.1), which only has to differ from the peer's: the SSRC, which is random, in hexadecimal.
    cname: [u8; 8],
    /// Arrival times for transport-wide feedback, from the first packet that carries a transport-wide number on.
    pub twcc: Option<Box<Twcc>>,
    /// What the controller wants of its rates.
    pub bitrates: Bitrates,
    /// Congestion control of what is sent here, where it is negotiated.
    pub send_side: Option<Box<SendSide>>,
    /// When the next RTCP reports are due; set when the keys are there.
    pub report_due: Option<Instant>,
    /// The round trip to the peer, from its latest report that showed one.
    pub rtt: Option<Duration>,
    /// It has just become able to send, and its consumers do not know yet.
    pub has_become_able: bool,
    /// Datagrams and bytes, both ways.
    pub traffic: Traffic,
}

/// How a transport finds its peer, and what makes an address its.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are this one, and every packet looks up its pair")]
pub enum Link {
    /// By ICE; DTLS makes the keys.
    WebRtc(WebRtc),
    /// By what the controller says.
    Plain(Box<Plain>),
    /// It has none.
    Pipe(Box<Pipe>),
}

/// ICE and DTLS.
#[derive(Debug)]
pub struct WebRtc {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: CreateTransport,
    /// ICE.
    pub ice: Ice,
    /// DTLS.
    pub dtls: Dtls,
    /// When the peer must have completed DTLS.
    pub connect_deadline: Option<Instant>,
    /// What the controller was told last, and when.
    pub reported: TransportState,
    /// See [`reported`](Self::reported).
    pub reported_at: Instant,
}

/// DTLS of a transport.
#[derive(Debug, Default)]
pub struct Dtls {
    /// Of the peer's certificate, once the controller has told it.
    pub fingerprint: Option<Fingerprint>,
    /// From the first ClientHello on.
    pub endpoint: Option<Box<Endpoint>>,
    /// When the endpoint wants to be called.
    pub timeout: Option<Instant>,
    /// When the last endpoint failed; another is made some time later.
    pub failed_at: Option<Instant>,
}

/// The receiving side of transport-wide congestion control.
#[derive(Debug)]
pub struct Twcc {
    /// What arrived when.
    pub recorder: Recorder,
    /// The SSRC of the packet recorded last, which the feedback names as its media source.
    pub media: Ssrc,
    /// When to send feedback; `None` while there is nothing to tell.
    pub due: Option<Instant>,
}

impl WebRtc {
    /// Of a transport without an ICE check yet.
    pub fn new(spec: CreateTransport, rng: &mut Rng) -> Self {
        let ice = Ice::new(rng);
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

    /// When it next has something to do by itself.
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
        }
    }

    /// Our name in the reports to its peer.
    pub fn cname(&self) -> &str {
        std::str::from_utf8(&self.cname).unwrap_or("leat")
    }

    /// Groups its datagrams in the send batch.
    pub fn flow(&self) -> Flow {
        Flow(self.slot.index())
    }

    /// ICE and DTLS, if it is that kind of transport.
    pub fn webrtc(&self) -> Option<&WebRtc> {
        match &self.link {
            Link::WebRtc(webrtc) => Some(webrtc),
            Link::Plain(_) | Link::Pipe(_) => None,
        }
    }

    /// ICE and DTLS, if it is that kind of transport.
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

    /// What snapshots give back of a client's transport; `None` for a pipe.
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

    /// Whether requests can be sent to the publisher, or to the worker that the tracks come from.
    pub fn can_ask(&self) -> bool {
        self.send_path().is_some() || self.pipe().is_some()
    }

    /// The way to the peer; `None` until it is known.
    pub fn path(&self) -> Option<Path> {
        match &self.link {
            Link::WebRtc(webrtc) => webrtc.ice.selected(),
            Link::Plain(plain) => plain.path(),
            Link::Pipe(_) => None,
        }
    }

    /// The way for RTCP.
    pub fn rtcp_path(&self) -> Option<Path> {
        match &self.link {
            Link::WebRtc(webrtc) => webrtc.ice.selected(),
            Link::Plain(plain) => plain.rtcp_path(),
            Link::Pipe(_) => None,
        }
    }

    /// Where and how to send media; `None` until the way is known and the keys are there.
    pub fn send_path(&self) -> Option<SendPath<'_>> {
        let outbound = self.protection.as_ref()?.outbound();
        Some(SendPath { flow: self.flow(), path: self.path()?, outbound })
    }

    /// How far ICE and DTLS have come; `None` without them.
    pub fn state(&self, now: Instant) -> Option<TransportState> {
        let WebRtc { ice, dtls, .. } = self.webrtc()?;
        let dtls = match (&self.protection, &dtls.endpoint) {
            (Some(_), _) => DtlsState::Connected,
            (None, Some(_)) => DtlsState::Connecting,
            (None, None) => DtlsState::New,
        };
        Some(TransportState { ice: ice.state(now), dtls, remote: ice.selected().map(|path| path.remote) })
    }

    /// An authentic packet of media has come by `path`. True if the peer had been disconnected: the next call of the timer reports it.
    pub fn on_authentic(&mut self, now: Instant, path: Path) -> bool {
        self.webrtc_mut().is_some_and(|webrtc| webrtc.ice.on_media(now, path))
    }

    /// The consumer whose SSRC this is.
    pub fn consumer(&self, ssrc: Ssrc) -> Option<Slot> {
        let index = self.consumers.binary_search_by_key(&ssrc, |(ssrc, _)| *ssrc).ok()?;
        Some(self.consumers[index].1)
    }

    /// Forgets the consumer with this SSRC. The SSRC itself is remembered in [`sent_ssrcs`](Self::sent_ssrcs).
    pub fn remove_consumer(&mut self, ssrc: Ssrc) {
        if let Ok(index) = self.consumers.binary_search_by_key(&ssrc, |(ssrc, _)| *ssrc) {
            self.consumers.remove(index);
        }
    }

    /// Adds a consumer, whose SSRC must be new here.
    pub fn add_consumer(&mut self, ssrc: Ssrc, consumer: Slot) {
        let index = self.consumers.partition_point(|(other, _)| *other < ssrc);
        self.consumers.insert(index, (ssrc, consumer));
    }
}
