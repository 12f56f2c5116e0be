//! Plain transports: RTP (RFC 3550) and SRTP (RFC 3711) with keys that signaling carries (RFC 4568), for peers without ICE
//! and DTLS. Each has UDP ports of its own, which the driver opens.
//!
//! Without ICE nothing but its address tells the peer from a stranger. So only what comes from exactly the address that the
//! controller told is looked at; or, with `comedia`, from the one that the first packet of one of the transport's producers came
//! from. An address once known never changes.

use crate::base::slots::Slot;
use crate::ingress::producer::Producer;
use crate::limits;
use crate::shard::Shard;
use crate::shard::commands::{Refused, check_limit, has_labels, invalid, not_found, same_or_exists};
use crate::transport::protection::{Protection, Srtp};
use crate::transport::{Link, Transport};
use control::{
    ConnectPlainTransport, CreatePlainTransport, Discard, Event, IpFamily, Produce, Refusal, RequestId,
    SnapshotItem, SrtpKey, SrtpParameters, SrtpProfile, Text,
};
use machine::{Datagram, Instant, LocalId, Path, Rng, SocketError, SocketOrder, Tx};
use srtp::MasterKey;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use stun::Demux;

/// What a plain transport has instead of ICE and DTLS.
#[derive(Debug)]
pub struct Plain {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: CreatePlainTransport,
    /// The command that told its peer: tells a repetition from a contradiction.
    connected: Option<ConnectPlainTransport>,
    /// For RTP, and for RTCP if that has no port of its own.
    rtp: AddressPair,
    /// For RTCP.
    rtcp: Option<AddressPair>,
    /// The key we send with.
    key: Option<SrtpKey>,
}

/// A socket of ours and who is at the other end.
#[derive(Clone, Copy, Debug)]
struct AddressPair {
    local: LocalId,
    /// As the peer is told.
    address: SocketAddr,
    remote: Option<SocketAddr>,
}

impl AddressPair {
    fn path(&self) -> Option<Path> {
        Some(Path { local: self.local, remote: self.remote? })
    }
}

impl Plain {
    fn new(
        create: CreatePlainTransport,
        address: SocketAddr,
        ears: (LocalId, Option<LocalId>),
        rng: &mut Rng,
    ) -> Self {
        let way = |local, address| AddressPair { local, address, remote: None };
        // The first of the two is even, and so not the last there is.
        let next = next_port(address).unwrap_or(address);
        let key = create.srtp.map(|profile| {
            let profile = library_profile(profile);
            let mut key = vec![0; profile.key_len() + profile.salt_len()];
            rng.fill(&mut key);
            SrtpKey(key)
        });
        Self {
            connected: None,
            rtp: way(ears.0, address),
            rtcp: ears.1.map(|local| way(local, next)),
            key,
            spec: create,
        }
    }

    /// The way for RTP, once the peer is known.
    pub fn path(&self) -> Option<Path> {
        self.rtp.path()
    }

    /// The way for RTCP, once the peer is known.
    pub fn rtcp_path(&self) -> Option<Path> {
        self.rtcp.unwrap_or(self.rtp).path()
    }

    /// The numbers of its sockets.
    pub fn ears(&self) -> impl Iterator<Item = LocalId> {
        [Some(self.rtp), self.rtcp].into_iter().flatten().map(|way| way.local)
    }

    /// As a snapshot tells it.
    pub fn snapshot_item(&self) -> SnapshotItem {
        SnapshotItem::PlainTransport {
            transport: self.spec.transport,
            router: self.spec.router,
            address: self.rtp.address,
            rtcp_address: self.rtcp.map(|way| way.address),
            remote: self.rtp.remote,
            rtcp_remote: self.rtcp.and_then(|way| way.remote),
            app_data: self.spec.app_data.clone(),
        }
    }

    fn created(&self, request: RequestId) -> Event {
        let srtp = self.spec.srtp.zip(self.key.clone());
        Event::PlainTransportCreated {
            request,
            transport: self.spec.transport,
            address: self.rtp.address,
            rtcp_address: self.rtcp.map(|way| way.address),
            srtp: srtp.map(|(profile, key)| SrtpParameters { profile, key }),
        }
    }

    /// How a datagram from there, on the socket for RTP or for RTCP, is to be taken.
    fn judge(&self, is_rtcp_port: bool, remote: SocketAddr) -> Verdict {
        let way = if is_rtcp_port { self.rtcp } else { Some(self.rtp) };
        match way.map(|way| way.remote) {
            Some(Some(known)) if known == remote => Verdict::Peer,
            // RTCP has another port, but comes from the same host.
            Some(None) if is_rtcp_port && self.rtp.remote.is_some_and(|rtp| rtp.ip() == remote.ip()) => {
                Verdict::Candidate
            }
            Some(None) if !is_rtcp_port => Verdict::Candidate,
            _ => Verdict::Stranger,
        }
    }
}

/// Who a datagram is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Peer,
    /// Nobody is known yet: the peer, if the datagram is good.
    Candidate,
    Stranger,
}

/// The sockets of a shard's plain transports, by their number on demand.
#[derive(Debug, Default)]
pub struct PlainSockets {
    ears: Vec<SocketSlot>,
    orders: VecDeque<SocketOrder>,
    /// Transports that wait for their sockets. Drivers open them at once, so there is one at most.
    opening: Vec<Opening>,
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketSlot {
    /// There is none by this number.
    Free,
    /// The driver has not opened it yet.
    Opening,
    /// RTP of this transport, and RTCP if that has no socket of its own.
    Rtp(Slot),
    /// RTCP of this transport.
    Rtcp(Slot),
}

#[derive(Debug)]
struct Opening {
    request: RequestId,
    create: CreatePlainTransport,
    rtp: LocalId,
    rtcp: Option<LocalId>,
}

impl PlainSockets {
    /// What the driver is to open or close.
    pub fn poll_order(&mut self) -> Option<SocketOrder> {
        self.orders.pop_front()
    }

    /// Closes sockets; their numbers are free from now on.
    pub fn close(&mut self, ears: impl Iterator<Item = LocalId>) {
        for local in ears {
            self.orders.push_back(SocketOrder::Close { local });
            self.set(local, SocketSlot::Free);
        }
    }

    /// Closes all sockets. Returns the requests that wait for theirs.
    pub fn close_all(&mut self) -> Vec<RequestId> {
        let used = |(index, ear): (usize, &SocketSlot)| {
            (*ear != SocketSlot::Free).then_some(LocalId::on_demand(index as u16))
        };
        let locals: Vec<LocalId> = self.ears.iter().enumerate().filter_map(used).collect();
        self.close(locals.into_iter());
        self.opening.drain(..).map(|opening| opening.request).collect()
    }

    /// Whether this request waits for its sockets.
    pub fn is_opening(&self, request: RequestId) -> bool {
        self.opening.iter().any(|opening| opening.request == request)
    }

    /// The transport that a socket belongs to.
    pub fn owner(&self, local: LocalId) -> Option<Slot> {
        match self.find(local)? {
            SocketSlot::Rtp(slot) | SocketSlot::Rtcp(slot) => Some(slot),
            SocketSlot::Free | SocketSlot::Opening => None,
        }
    }

    /// All sockets by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (LocalId, SocketSlot)> {
        self.ears.iter().enumerate().map(|(index, ear)| (LocalId::on_demand(index as u16), *ear))
    }

    /// Whether so many more may be opened.
    fn has_room(&self, more: usize) -> bool {
        self.ears.iter().filter(|ear| **ear != SocketSlot::Free).count() + more <= limits::PLAIN_SOCKETS_MAX
    }

    fn reserve(&mut self) -> LocalId {
        let index = self.ears.iter().position(|ear| *ear == SocketSlot::Free).unwrap_or(self.ears.len());
        let local = LocalId::on_demand(index as u16);
        self.set(local, SocketSlot::Opening);
        local
    }

    fn set(&mut self, local: LocalId, ear: SocketSlot) {
        let Some(index) = local.on_demand_index().map(usize::from) else { return };
        if index >= self.ears.len() {
            self.ears.resize(index + 1, SocketSlot::Free);
        }
        self.ears[index] = ear;
    }

    fn find(&self, local: LocalId) -> Option<SocketSlot> {
        self.ears.get(usize::from(local.on_demand_index()?)).copied()
    }
}

impl Shard {
    /// `Ok(None)`: the answer waits for the sockets.
    pub(crate) fn create_plain_transport(
        &mut self,
        request: RequestId,
        create: CreatePlainTransport,
    ) -> Result<Option<Event>, Refused> {
        let id = create.transport;
        if let Some(slot) = self.transport_ids.get(&id) {
            let plain = self.transports.find(*slot).and_then(Transport::plain);
            let same = plain.filter(|plain| plain.spec == create);
            same_or_exists(same.is_some(), format_args!("transport {id}"))?;
            return Ok(same.map(|plain| plain.created(request)));
        }
        self.router(create.router)?;
        check_limit(self.transports.len(), limits::TRANSPORTS_MAX, "transports of a worker")?;
        if self.plain_ip(create.family).is_none() {
            return Err(no_family(create.family));
        }
        let count = if create.rtcp_mux { 1 } else { 2 };
        if !self.ears.has_room(count) {
            let text = format!(
                "there are {} sockets of plain transports, which is the bound",
                limits::PLAIN_SOCKETS_MAX
            );
            return Err((Refusal::Limit, text));
        }
        let rtp = self.ears.reserve();
        let rtcp = (!create.rtcp_mux).then(|| self.ears.reserve());
        let is_ipv6 = create.family == IpFamily::V6;
        self.ears.orders.push_back(SocketOrder::Open {
            local: rtp,
            next: rtcp,
            is_ipv6,
            dont_fragment: false,
        });
        self.ears.opening.push(Opening { request, create, rtp, rtcp });
        Ok(None)
    }

    /// The driver has opened the sockets of a plain transport, or could not.
    pub(crate) fn on_plain_opened(&mut self, local: LocalId, opened: Result<SocketAddr, SocketError>) {
        let Some(at) = self.ears.opening.iter().position(|opening| opening.rtp == local) else { return };
        let opening = self.ears.opening.swap_remove(at);
        let request = opening.request;
        let answer = self.finish_plain_transport(opening, opened).unwrap_or_else(|(refusal, text)| {
            Event::Refused { request: Some(request), refusal, text: Text::new(text) }
        });
        self.events.answer(answer);
    }

    fn finish_plain_transport(
        &mut self,
        opening: Opening,
        opened: Result<SocketAddr, SocketError>,
    ) -> Result<Event, Refused> {
        let Opening { request, create, rtp, rtcp } = opening;
        let ears = [Some(rtp), rtcp].into_iter().flatten();
        let port = opened.map(|address| address.port()).map_err(|error| {
            ears.clone().for_each(|local| self.ears.set(local, SocketSlot::Free));
            no_socket(error, create.family)
        })?;
        let place = self.plain_ip(create.family).ok_or_else(|| no_family(create.family));
        // Nothing was called in between, so this is as it was when it was checked.
        let (ip, router) = match (place, self.router(create.router)) {
            (Ok(ip), Ok(router)) => (ip, router),
            (Err(refused), _) | (_, Err(refused)) => {
                self.ears.close(ears);
                return Err(refused);
            }
        };
        let id = create.transport;
        let is_open = create.srtp.is_none();
        let plain = Plain::new(create, SocketAddr::new(ip, port), (rtp, rtcp), &mut self.rng);
        let created = plain.created(request);
        let slot = self.insert_transport(id, router, Link::Plain(Box::new(plain)));
        self.ears.set(rtp, SocketSlot::Rtp(slot));
        if let Some(rtcp) = rtcp {
            self.ears.set(rtcp, SocketSlot::Rtcp(slot));
        }
        if let Some(transport) = self.transports.find_mut(slot).filter(|_| is_open) {
            transport.protection = Some(Protection::Open);
        }
        Ok(created)
    }

    pub(crate) fn connect_plain_transport(
        &mut self,
        now: Instant,
        connect: ConnectPlainTransport,
    ) -> Result<(), Refused> {
        let id = connect.transport;
        let slot = self.transport(id)?;
        let transport =
            self.transports.find_mut(slot).ok_or_else(|| not_found(format_args!("transport {id}")))?;
        let Link::Plain(plain) = &mut transport.link else {
            return Err(invalid(format!("transport {id} is not plain")));
        };
        if let Some(connected) = &plain.connected {
            return same_or_exists(*connected == connect, format_args!("a peer of transport {id}"));
        }
        check_remotes(&plain.spec, &connect)?;
        let keys = match (plain.spec.srtp, &connect.srtp) {
            (None, None) => None,
            (Some(profile), Some(theirs)) if theirs.profile == profile => {
                let ours = plain.key.as_ref().and_then(|key| master_key(profile, key));
                let theirs = master_key(profile, &theirs.key);
                Some(ours.zip(theirs).ok_or_else(|| invalid(key_len_text(profile)))?)
            }
            (Some(profile), _) => {
                return Err(invalid(format!("transport {id} needs a key of its peer, for {profile:?}")));
            }
            (None, Some(_)) => return Err(invalid(format!("transport {id} has no SRTP, and needs no key"))),
        };
        // With `comedia` the peer may be known already, and stays who it is.
        if let Some(remote) = connect.remote {
            plain.rtp.remote = Some(remote);
            if let Some(rtcp) = &mut plain.rtcp {
                rtcp.remote = connect.rtcp_remote.or_else(|| next_port(remote));
            }
        }
        plain.connected = Some(connect);
        if let Some((ours, theirs)) = keys {
            let profile = ours.profile();
            let outbound = srtp::Outbound::new(profile, &ours);
            let inbound = srtp::Inbound::new(profile, &theirs);
            transport.protection = Some(Protection::Srtp(Srtp { inbound, outbound }));
        }
        if transport.send_path().is_some() {
            self.begin_to_send(now, slot);
            self.rearm(now, slot);
        }
        Ok(())
    }

    /// A datagram on the socket of a plain transport.
    pub(crate) fn on_plain(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        let Path { local, remote } = datagram.path;
        let (slot, is_rtcp_port) = match self.ears.find(local) {
            Some(SocketSlot::Rtp(slot)) => (slot, false),
            Some(SocketSlot::Rtcp(slot)) => (slot, true),
            Some(SocketSlot::Free | SocketSlot::Opening) | None => return Err(Discard::PlainStranger),
        };
        let plain = self.transports.find(slot).and_then(Transport::plain).ok_or(Discard::PlainStranger)?;
        let verdict = match plain.judge(is_rtcp_port, remote) {
            Verdict::Candidate if !plain.spec.comedia => Verdict::Stranger,
            verdict => verdict,
        };
        let has_rtcp_port = plain.rtcp.is_some();
        let taken = match (verdict, stun::demux(datagram.bytes)) {
            (Verdict::Stranger, _) => return Err(Discard::PlainStranger),
            (_, Demux::Rtp) if !is_rtcp_port => self.on_rtp(now, slot, datagram, tx),
            (Verdict::Peer, Demux::Rtcp) if is_rtcp_port == has_rtcp_port => {
                self.on_rtcp(now, slot, datagram, tx)
            }
            (Verdict::Candidate, Demux::Rtcp) if is_rtcp_port => self.on_rtcp(now, slot, datagram, tx),
            // RTCP alone proves nothing about who sends RTP.
            (Verdict::Candidate, Demux::Rtcp) => return Err(Discard::PlainStranger),
            _ => return Err(Discard::UnknownProtocol),
        };
        if verdict == Verdict::Candidate && is_of_a_producer(taken) {
            self.on_plain_peer(now, slot, is_rtcp_port, remote);
        }
        taken
    }

    /// The peer has shown itself: from now on this is its address.
    fn on_plain_peer(&mut self, now: Instant, slot: Slot, is_rtcp_port: bool, remote: SocketAddr) {
        let Some(plain) = self.transports.find_mut(slot).and_then(Transport::plain_mut) else { return };
        let way = if is_rtcp_port { plain.rtcp.as_mut() } else { Some(&mut plain.rtp) };
        if let Some(way) = way {
            way.remote = Some(remote);
        }
        if let Some(rtp) = plain.rtp.remote {
            let rtcp_remote = plain.rtcp.and_then(|way| way.remote);
            let transport = plain.spec.transport;
            self.events.tell(Event::PlainTransportTuple { transport, remote: rtp, rtcp_remote });
        }
        if !is_rtcp_port {
            self.begin_to_send(now, slot);
            self.rearm(now, slot);
        }
    }

    fn plain_ip(&self, family: IpFamily) -> Option<IpAddr> {
        self.config.plain_ips.iter().copied().find(|ip| ip.is_ipv6() == (family == IpFamily::V6))
    }
}

/// Whether a packet that was taken so is authentic, where there is SRTP, and belongs to a producer: what becomes of it there does not matter.
fn is_of_a_producer(taken: Result<(), Discard>) -> bool {
    use Discard::{NotLoudest, ProducerPaused, RtpDuplicate, RtpTooOld, RtxEmpty};
    matches!(taken, Ok(()) | Err(ProducerPaused | NotLoudest | RtpDuplicate | RtpTooOld | RtxEmpty))
}

/// The address with the next port, where RTCP is (RFC 3550 §11). `None` after the last port.
fn next_port(rtp: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
}

/// A producer without MID and SSRC is known by its payload types alone, which must then be nobody else's on the transport.
pub fn check_payload_types<'a>(
    produce: &Produce,
    mut others: impl Iterator<Item = &'a Producer>,
) -> Result<(), Refused> {
    let pts = |produce: &Produce| {
        let pts = produce.codecs.iter().flat_map(|codec| [Some(codec.pt), codec.rtx_pt]);
        pts.flatten().collect::<Vec<u8>>()
    };
    let own = pts(produce);
    let meets = |other: &Producer| {
        let is_told_apart = has_labels(produce) && has_labels(&other.spec);
        !is_told_apart && pts(&other.spec).iter().any(|pt| own.contains(pt))
    };
    match others.find(|other| meets(other)) {
        Some(other) => Err(invalid(format!(
            "producer {} has one of these payload types, and one of the two has neither MID nor SSRC to be told from it",
            other.spec.producer
        ))),
        None => Ok(()),
    }
}

fn check_remotes(create: &CreatePlainTransport, connect: &ConnectPlainTransport) -> Result<(), Refused> {
    let id = create.transport;
    match (create.comedia, connect.remote) {
        (true, Some(_)) => {
            return Err(invalid(format!("transport {id} learns its peer's address, and is not told")));
        }
        (false, None) => return Err(invalid(format!("transport {id} needs its peer's address"))),
        _ => {}
    }
    if connect.rtcp_remote.is_some() && (create.rtcp_mux || create.comedia) {
        return Err(invalid(format!("transport {id} needs no address for RTCP")));
    }
    for remote in [connect.remote, connect.rtcp_remote].into_iter().flatten() {
        let is_usable = remote.port() != 0 && !remote.ip().is_unspecified() && !remote.ip().is_multicast();
        if remote.is_ipv6() != (create.family == IpFamily::V6) || !is_usable {
            return Err(invalid(format!("{remote} is no address that a peer of transport {id} can have")));
        }
    }
    let needs_next = !create.rtcp_mux && connect.rtcp_remote.is_none();
    if needs_next && connect.remote.is_some_and(|remote| next_port(remote).is_none()) {
        return Err(invalid("there is no port after 65535 for RTCP".to_owned()));
    }
    Ok(())
}

fn library_profile(profile: SrtpProfile) -> srtp::Profile {
    match profile {
        SrtpProfile::AesCm128HmacSha1_80 => srtp::Profile::AesCm128HmacSha1_80,
        SrtpProfile::AeadAes128Gcm => srtp::Profile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => srtp::Profile::AeadAes256Gcm,
    }
}

/// `None` if it has not the length of the profile.
fn master_key(profile: SrtpProfile, key: &SrtpKey) -> Option<MasterKey> {
    let profile = library_profile(profile);
    let (key, salt) = key.0.split_at_checked(profile.key_len())?;
    MasterKey::new(profile, key, salt)
}

fn key_len_text(profile: SrtpProfile) -> String {
    let library = library_profile(profile);
    format!("a key for {profile:?} has {} bytes, its salt included", library.key_len() + library.salt_len())
}

fn no_family(family: IpFamily) -> Refused {
    invalid(format!("the engine does not listen on IP{family:?} for plain transports"))
}

fn no_socket(error: SocketError, family: IpFamily) -> Refused {
    match error {
        SocketError::Family => no_family(family),
        SocketError::Ports => (Refusal::Limit, "every port for plain transports is taken".to_owned()),
        SocketError::System => (Refusal::Limit, "the system gives no more sockets".to_owned()),
    }
}
