//! A transport: the session with one peer, by ICE and DTLS or plain, and what travels over it.

pub mod ice;
pub mod protection;

use crate::bandwidth::sender::{Bitrates, SendSide};
use crate::base::slots::{Slot, Slots};
use crate::egress::writer::{Egress, SendPath};
use crate::ingress::producer::{Producer, Role};
use crate::limits;
use crate::packet::media_packet::ExtensionMap;
use crate::shard::commands::has_labels;
use crate::shard::pipe::Pipe;
use crate::shard::plain::Plain;
use crate::shard::stats::Traffic;
use crate::transport::ice::Ice;
use crate::transport::protection::Protection;
use control::{AppData, Counters, CreateTransport, Discard, DtlsState, TransportId, TransportState};
use dtls::{Endpoint, Fingerprint};
use machine::{Flow, Instant, Path, Rng, Tx};
use rtcp::twcc::Recorder;
use rtp::{Mid, Pt, Rid, Ssrc};
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
    /// Of a transport nobody has checked yet.
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

    /// Whether something can be asked of whoever the tracks received here come from.
    pub fn can_ask(&self) -> bool {
        self.send_path().is_some() || self.pipe().is_some()
    }

    /// The way to the peer; `None` until it is known.
    fn path(&self) -> Option<Path> {
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

    /// [`send_path`](Self::send_path), with all that sending media changes. `None` until the way is known and the keys are there.
    pub fn egress<'a, T: Tx>(
        &'a mut self,
        now: Instant,
        tx: &'a mut T,
        counters: &'a mut Counters,
    ) -> Option<Egress<'a, T>> {
        let (flow, path) = (self.flow(), self.path()?);
        let outbound = self.protection.as_ref()?.outbound();
        let leg = SendPath { flow, path, outbound };
        Some(Egress {
            now,
            leg,
            send_side: self.send_side.as_deref_mut(),
            is_numbered: false,
            tx,
            counters,
            sent: &mut self.traffic.sent,
        })
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

/// What an SSRC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Of which producer.
    pub producer: Slot,
    /// Of which of its streams.
    pub stream: u8,
    /// Retransmissions rather than media.
    pub is_retransmission: bool,
}

/// The SSRCs received on one transport: signaled, or learned from MID and RID (RFC 9143 §9.2, RFC 8852).
#[derive(Debug, Default)]
pub struct Sources {
    /// Linear: a browser has a handful. Kept apart so that the search touches one cache line.
    ssrcs: Vec<Ssrc>,
    sources: Vec<Source>,
}

/// What the header of an unknown SSRC says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtpIdentifiers {
    /// MID (RFC 9143).
    pub mid: Option<Mid>,
    /// RtpStreamId (RFC 8852).
    pub rid: Option<Rid>,
    /// RepairedRtpStreamId (RFC 8852).
    pub repaired_rid: Option<Rid>,
}

impl Sources {
    /// The producers that SSRCs lead to.
    pub fn producers(&self) -> impl Iterator<Item = Slot> {
        self.sources.iter().map(|source| source.producer)
    }

    /// What this SSRC is known to be.
    pub fn find(&self, ssrc: Ssrc) -> Option<Source> {
        let index = self.ssrcs.iter().position(|known| *known == ssrc)?;
        Some(self.sources[index])
    }

    /// From now on, `ssrc` is `source`, and no other SSRC is. False, and nothing changed, at the bound.
    pub fn learn(&mut self, ssrc: Ssrc, source: Source) -> bool {
        let taken = self.ssrcs.iter().position(|known| *known == ssrc);
        let same = self.sources.iter().position(|known| *known == source);
        match (taken, same) {
            (None, None) if self.ssrcs.len() >= limits::SSRCS_PER_TRANSPORT_MAX => return false,
            (None, None) => {
                self.ssrcs.push(ssrc);
                self.sources.push(source);
            }
            (None, Some(same)) => self.ssrcs[same] = ssrc,
            (Some(taken), None) => self.sources[taken] = source,
            (Some(taken), Some(same)) if taken == same => {}
            (Some(taken), Some(same)) => {
                self.ssrcs[same] = ssrc;
                self.ssrcs.swap_remove(taken);
                self.sources.swap_remove(taken);
            }
        }
        true
    }

    /// Forgets what belongs to a closed producer.
    pub fn forget(&mut self, producer: Slot) {
        let mut keep = self.sources.iter().map(|source| source.producer != producer);
        self.ssrcs.retain(|_| keep.next().unwrap_or(true));
        self.sources.retain(|source| source.producer != producer);
    }
}

/// Finds the producer and stream of a packet whose SSRC is unknown, and learns the SSRC.
///
/// On a plain transport, which `is_plain` says, an SSRC may also replace the one before without a MID, by its payload type alone: a program
/// that starts again chooses another (RFC 3550 §8.2).
pub fn learn(
    now: Instant,
    sources: &mut Sources,
    of_transport: &[Slot],
    producers: &mut Slots<Producer>,
    rtp: &rtp::Packet<'_>,
    labels: &RtpIdentifiers,
    is_plain: bool,
) -> Result<(Source, Role), Discard> {
    let (ssrc, pt) = (rtp.ssrc(), rtp.pt());
    let slot = find_producer(of_transport, producers, pt, labels).ok_or(Discard::RtpUnroutable)?;
    let producer = producers.find_mut(slot).ok_or(Discard::RtpUnroutable)?;
    let role = producer.role(pt).ok_or(Discard::RtpUnknownPt)?;
    let is_retransmission = matches!(role, Role::Retransmission(_));
    let rid = if is_retransmission { labels.repaired_rid } else { labels.rid };
    let index = match (rid, producer.streams.len()) {
        (_, 1) => Some(0),
        (Some(rid), _) => producer.streams.iter().position(|stream| stream.rid == Some(rid)),
        (None, _) => None,
    };
    let index = index.ok_or(Discard::RtpUnroutable)?;
    let stream = &mut producer.streams[index];
    if !is_retransmission && stream.is_straggler(now, ssrc, rtp.seq()) {
        return Err(Discard::RtpTooOld);
    }
    // A payload type alone may name a stream, but not rename one of a browser: browsers leave the MID out once a report has come,
    // and a straggler of a closed producer then looks just like this.
    let known = if is_retransmission { stream.rtx_ssrc } else { stream.ssrc };
    let may_rename = labels.mid.is_some() || is_plain && may_restart(now, producer, is_retransmission);
    if known.is_some() && !may_rename {
        return Err(Discard::RtpUnroutable);
    }
    let source = Source { producer: slot, stream: index as u8, is_retransmission };
    if !sources.learn(ssrc, source) {
        return Err(Discard::SsrcLimit);
    }
    let stream = &mut producer.streams[index];
    if is_retransmission {
        stream.rtx_ssrc = Some(ssrc);
    } else if stream.learn_ssrc(now, ssrc) {
        producer.on_new_beginning(index);
    }
    Ok((source, role))
}

/// Whether a new SSRC of one of a producer's payload types can be that of its source, started again. A producer that is known by its payload
/// types alone has no other source. One whose SSRC or MID was signaled is left to that source while it sends.
fn may_restart(now: Instant, producer: &Producer, is_retransmission: bool) -> bool {
    let ([stream], [encoding]) = (&producer.streams[..], &producer.spec.encodings[..]) else { return false };
    if !has_labels(&producer.spec) {
        return true;
    }
    // Retransmissions follow their media.
    let has_restarted = is_retransmission && stream.ssrc != encoding.ssrc.map(Ssrc);
    has_restarted || stream.is_silent(now)
}

/// By MID; where there is none, by a payload type that only one producer has (RFC 9143 §9.2).
fn find_producer(
    of_transport: &[Slot],
    producers: &Slots<Producer>,
    pt: Pt,
    labels: &RtpIdentifiers,
) -> Option<Slot> {
    let of_transport = || of_transport.iter().filter_map(|slot| Some((*slot, producers.find(*slot)?)));
    if let Some(mid) = labels.mid {
        return of_transport().find(|(_, producer)| producer.mid == Some(mid)).map(|(slot, _)| slot);
    }
    let mut with_pt = of_transport().filter(|(_, producer)| producer.role(pt).is_some());
    let (slot, _) = with_pt.next()?;
    with_pt.next().is_none().then_some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(count: usize) -> Vec<Slot> {
        let mut slots = Slots::default();
        (0..count).map(|_| slots.insert_with(|_| ())).collect()
    }

    #[test]
    fn a_stream_has_one_ssrc_and_an_ssrc_one_meaning() {
        let producers = slots(2);
        let media = Source { producer: producers[0], stream: 0, is_retransmission: false };
        let other = Source { producer: producers[1], ..media };
        let mut sources = Sources::default();
        assert!(sources.learn(Ssrc(1), media));
        assert!(sources.learn(Ssrc(2), media));
        assert_eq!((sources.find(Ssrc(1)), sources.find(Ssrc(2))), (None, Some(media)));
        assert!(sources.learn(Ssrc(2), other));
        assert_eq!(sources.find(Ssrc(2)), Some(other));
        sources.forget(producers[1]);
        assert_eq!(sources.find(Ssrc(2)), None);
    }

    #[test]
    fn the_table_of_sources_is_bounded() {
        let producers = slots(limits::SSRCS_PER_TRANSPORT_MAX + 1);
        let mut sources = Sources::default();
        for (index, producer) in producers.iter().enumerate() {
            let source = Source { producer: *producer, stream: 0, is_retransmission: false };
            assert_eq!(sources.learn(Ssrc(index as u32), source), index < limits::SSRCS_PER_TRANSPORT_MAX);
        }
    }
}
