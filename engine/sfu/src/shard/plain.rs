//! Plain transports: RTP (RFC 3550) and SRTP (RFC 3711) with keys from signaling (RFC 4568), for peers
//! without ICE and DTLS. Each has its own UDP ports, which the driver opens.
//!
//! Without ICE a peer is only identified by its address. So packets are accepted only from the exact address
//! that the controller has set; or, with `comedia`, from the source of the first packet of one of the
//! transport's producers. A known address never changes.

use crate::base::slots::Slot;
use crate::limits;
use crate::objects::Objects;
use crate::objects::plain_sockets::{Opening, SocketSlot};
use crate::shard::config::Config;
use crate::shard::connect::begin_to_send;
use crate::shard::rearm::rearm;
use crate::shard::receive::on_rtp;
use crate::shard::refusal::{
    Refused, check_limit, invalid, not_found, router_slot, same_or_exists, transport_slot,
};
use crate::shard::rtcp_in::on_rtcp;
use crate::shard::turn::Turn;
use crate::shard::validate::check_remotes;
use crate::transport::plain::{Plain, Sender, key_len_text, master_key, next_port};
use crate::transport::protection::{Protection, Srtp};
use crate::transport::{Link, Transport};
use control::{
    ConnectPlainTransport, Counter, CreatePlainTransport, Discard, Event, IpFamily, Refusal, RequestId, Text,
};
use machine::{Datagram, LocalId, Path, SocketError, SocketRequest, Tx};
use std::net::{IpAddr, SocketAddr};
use stun::Demux;

/// `Ok(None)`: the answer waits for the sockets.
pub(super) fn create_plain_transport(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    request: RequestId,
    create: CreatePlainTransport,
) -> Result<Option<Event>, Refused> {
    let id = create.transport;
    if let Some(slot) = objects.transport_ids.get(&id) {
        let plain = objects.transports.find(*slot).and_then(Transport::plain);
        let same = plain.filter(|plain| plain.spec == create);
        same_or_exists(same.is_some(), format_args!("transport {id}"))?;
        return Ok(same.map(|plain| plain.created(request)));
    }
    router_slot(objects, create.router)?;
    check_limit(objects.transports.len(), limits::TRANSPORTS_MAX, "transports of a worker")?;
    if plain_ip(turn.config, create.family).is_none() {
        return Err(no_family(create.family));
    }
    let count = if create.rtcp_mux { 1 } else { 2 };
    if !objects.plain_sockets.has_room(count) {
        let text = format!(
            "there are {} sockets of plain transports, which is the bound",
            limits::PLAIN_SOCKETS_MAX
        );
        return Err((Refusal::Limit, text));
    }
    let rtp = objects.plain_sockets.reserve();
    let rtcp = (!create.rtcp_mux).then(|| objects.plain_sockets.reserve());
    let is_ipv6 = create.family == IpFamily::V6;
    objects.plain_sockets.requests.push_back(SocketRequest::Open {
        local: rtp,
        next: rtcp,
        is_ipv6,
        dont_fragment: false,
    });
    objects.plain_sockets.opening.push(Opening { request, create, rtp, rtcp });
    Ok(None)
}

/// The driver has opened the sockets of a plain transport, or could not.
pub(super) fn on_plain_opened(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    local: LocalId,
    opened: Result<SocketAddr, SocketError>,
) {
    let Some(at) = objects.plain_sockets.opening.iter().position(|opening| opening.rtp == local) else {
        return;
    };
    let opening = objects.plain_sockets.opening.swap_remove(at);
    let request = opening.request;
    let answer = finish_plain_transport(objects, turn, opening, opened).unwrap_or_else(|(refusal, text)| {
        Event::Refused { request: Some(request), refusal, text: Text::new(text) }
    });
    turn.news.answer(answer);
}

fn finish_plain_transport(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    opening: Opening,
    opened: Result<SocketAddr, SocketError>,
) -> Result<Event, Refused> {
    let Opening { request, create, rtp, rtcp } = opening;
    let sockets = [Some(rtp), rtcp].into_iter().flatten();
    let port = opened.map(|address| address.port()).map_err(|error| {
        sockets.clone().for_each(|local| objects.plain_sockets.set(local, SocketSlot::Free));
        no_socket(error, create.family)
    })?;
    let place = plain_ip(turn.config, create.family).ok_or_else(|| no_family(create.family));
    // No other call happened in between, so this is unchanged since the check.
    let (ip, router) = match (place, router_slot(objects, create.router)) {
        (Ok(ip), Ok(router)) => (ip, router),
        (Err(refused), _) | (_, Err(refused)) => {
            objects.plain_sockets.close(sockets);
            return Err(refused);
        }
    };
    let id = create.transport;
    let is_open = create.srtp.is_none();
    let plain = Plain::new(create, SocketAddr::new(ip, port), (rtp, rtcp), turn.rng);
    let created = plain.created(request);
    let slot = objects.insert_transport(id, router, Link::Plain(Box::new(plain)), turn.rng);
    turn.counters.count(Counter::Transports);
    objects.plain_sockets.set(rtp, SocketSlot::Rtp(slot));
    if let Some(rtcp) = rtcp {
        objects.plain_sockets.set(rtcp, SocketSlot::Rtcp(slot));
    }
    if let Some(transport) = objects.transports.find_mut(slot).filter(|_| is_open) {
        transport.protection = Some(Protection::Open);
    }
    Ok(created)
}

pub(super) fn connect_plain_transport(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    connect: ConnectPlainTransport,
) -> Result<(), Refused> {
    let id = connect.transport;
    let slot = transport_slot(objects, id)?;
    let transport =
        objects.transports.find_mut(slot).ok_or_else(|| not_found(format_args!("transport {id}")))?;
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
        (None, Some(_)) => return Err(invalid(format!("transport {id} has no SRTP and accepts no key"))),
    };
    // With `comedia` the peer may be known already, and does not change.
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
        begin_to_send(objects, turn, slot);
        rearm(objects, turn, slot);
    }
    Ok(())
}

/// A datagram on the socket of a plain transport.
#[inline]
pub(super) fn on_plain(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    datagram: Datagram<'_>,
) -> Result<(), Discard> {
    let Path { local, remote } = datagram.path;
    let (slot, is_rtcp_port) = match objects.plain_sockets.find(local) {
        Some(SocketSlot::Rtp(slot)) => (slot, false),
        Some(SocketSlot::Rtcp(slot)) => (slot, true),
        Some(SocketSlot::Free | SocketSlot::Opening) | None => return Err(Discard::PlainStranger),
    };
    let plain = objects.transports.find(slot).and_then(Transport::plain).ok_or(Discard::PlainStranger)?;
    let verdict = match plain.classify(is_rtcp_port, remote) {
        Sender::Candidate if !plain.spec.comedia => Sender::Unknown,
        verdict => verdict,
    };
    let has_rtcp_port = plain.rtcp.is_some();
    let taken = match (verdict, stun::demux(datagram.bytes)) {
        (Sender::Unknown, _) => return Err(Discard::PlainStranger),
        (_, Demux::Rtp) if !is_rtcp_port => on_rtp(objects, turn, slot, datagram),
        (Sender::Peer, Demux::Rtcp) if is_rtcp_port == has_rtcp_port => {
            on_rtcp(objects, turn, slot, datagram)
        }
        (Sender::Candidate, Demux::Rtcp) if is_rtcp_port => on_rtcp(objects, turn, slot, datagram),
        // RTCP alone does not prove where RTP comes from.
        (Sender::Candidate, Demux::Rtcp) => return Err(Discard::PlainStranger),
        _ => return Err(Discard::UnknownProtocol),
    };
    if verdict == Sender::Candidate && is_of_a_producer(taken) {
        on_plain_peer(objects, turn, slot, is_rtcp_port, remote);
    }
    taken
}

/// The peer's address is known from now on.
fn on_plain_peer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    is_rtcp_port: bool,
    remote: SocketAddr,
) {
    let Some(plain) = objects.transports.find_mut(slot).and_then(Transport::plain_mut) else { return };
    let way = if is_rtcp_port { plain.rtcp.as_mut() } else { Some(&mut plain.rtp) };
    if let Some(way) = way {
        way.remote = Some(remote);
    }
    if let Some(rtp) = plain.rtp.remote {
        let rtcp_remote = plain.rtcp.and_then(|way| way.remote);
        let transport = plain.spec.transport;
        turn.news.notify(Event::PlainTransportTuple { transport, remote: rtp, rtcp_remote });
    }
    if !is_rtcp_port {
        begin_to_send(objects, turn, slot);
        rearm(objects, turn, slot);
    }
}

fn plain_ip(config: &Config, family: IpFamily) -> Option<IpAddr> {
    config.plain_ips.iter().copied().find(|ip| ip.is_ipv6() == (family == IpFamily::V6))
}

/// Whether a packet with this result is authentic, if there is SRTP, and belongs to a producer: its further
/// handling does not matter.
fn is_of_a_producer(taken: Result<(), Discard>) -> bool {
    use Discard::{NotLoudest, ProducerPaused, RtpDuplicate, RtpTooOld, RtxEmpty};
    matches!(taken, Ok(()) | Err(ProducerPaused | NotLoudest | RtpDuplicate | RtpTooOld | RtxEmpty))
}

fn no_family(family: IpFamily) -> Refused {
    invalid(format!("the engine does not listen on IP{family:?} for plain transports"))
}

fn no_socket(error: SocketError, family: IpFamily) -> Refused {
    match error {
        SocketError::Family => no_family(family),
        SocketError::Ports => (Refusal::Limit, "all ports for plain transports are in use".to_owned()),
        SocketError::System => (Refusal::Limit, "the system allows no more sockets".to_owned()),
    }
}
