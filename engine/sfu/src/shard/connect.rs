//! The session with a peer: STUN validates its address, DTLS creates the keys, and a transport without
//! consent is closed.

use crate::base::slots::Slot;
use crate::limits;
use crate::objects::Objects;
use crate::shard::close::close_transport;
use crate::shard::data::start_data;
use crate::shard::rearm::rearm;
use crate::shard::turn::Turn;
use crate::transport::data::Data;
use crate::transport::ice::{self, Accepted};
use crate::transport::protection::{Protection, Srtp};
use crate::transport::{DtlsPeer, Link, Transport, WebRtc};
use control::{Closed, Counter, Discard, DtlsRole, Event, Stage};
use dtls::{Connected, Endpoint, Failed, Output};
use machine::{Datagram, Instant, Path, Rng, Tx};
use stun::{Class, Message, Method};

/// The state of a DTLS endpoint after its outputs were polled.
enum Drained {
    Running,
    Connected(Connected),
    Closed,
}

/// A datagram that looks like STUN. Only an authentic check of one of our transports changes state or is
/// answered. All others cost one lookup and get no answer, because the source address can be forged (RFC 8489
/// §6.3.1 would allow an error).
pub(super) fn on_stun(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    datagram: Datagram<'_>,
) -> Result<(), Discard> {
    let now = turn.now;
    let path = datagram.path;
    let message = Message::new(datagram.bytes).map_err(|_| Discard::StunMalformed)?;
    if (message.class(), message.method()) != (Class::Request, Method::BINDING) {
        return Err(Discard::StunUnexpected);
    }
    let ufrag = ice::local_ufrag(&message).ok_or(Discard::StunUnknownUser)?;
    let slot = *objects.by_ufrag.get(&ufrag).ok_or(Discard::StunUnknownUser)?;
    turn.handling.of(Stage::Stun, slot);
    let is_used_by_another = is_used_by_another(objects, now, path, slot);
    let transport = objects.transports.find_mut(slot).ok_or(Discard::StunUnknownUser)?;
    let flow = transport.flow();
    let ice = &mut transport.webrtc_mut().ok_or(Discard::StunUnknownUser)?.ice;

    let (answer, accepted) = ice.on_check(now, path, is_used_by_another, &ufrag, &message)?;
    let mut bytes = [0; limits::STUN_ANSWER_LEN_MAX];
    let len = ice.write_answer(answer, &ufrag, path, &message, &mut bytes);
    transport.traffic.received.count(datagram.bytes.len());
    match len.and_then(|len| Some((len, turn.tx.slot(flow, path, len)?))) {
        Some((len, slot)) => {
            slot.copy_from_slice(&bytes[..len]);
            transport.traffic.sent.count(len);
        }
        None => turn.counters.count(Counter::TxFull),
    }
    turn.handling.check_trap();
    on_accepted(objects, turn, slot, accepted);
    Ok(())
}

/// Whether this path belongs to another transport whose peer used it recently. A source address is easily
/// forged, so an authentic check alone does not take the path over.
fn is_used_by_another(objects: &Objects, now: Instant, path: Path, slot: Slot) -> bool {
    let owner = objects.by_path.get(&path).filter(|owner| **owner != slot);
    let owner = owner.and_then(|owner| objects.transports.find(*owner)?.webrtc());
    owner.is_some_and(|webrtc| webrtc.ice.uses(now, path))
}

fn on_accepted(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, accepted: Accepted) {
    let now = turn.now;
    if let Some(evicted) = accepted.evicted {
        objects.by_path.remove(&evicted);
    }
    if let Some(ufrag) = accepted.retired {
        objects.by_ufrag.remove(&ufrag);
    }
    if let Some(path) = accepted.valid {
        let former = objects.by_path.insert(path, slot).filter(|former| *former != slot);
        // A NAT has given the address of one peer, which has long been silent there, to another one.
        if let Some(former) = former
            && let Some(webrtc) = objects.transports.find_mut(former).and_then(Transport::webrtc_mut)
        {
            webrtc.ice.forget(now, path, turn.config.consent_timeout);
            report_state(objects, turn, former);
        }
    }
    if let Some(webrtc) = objects.transports.find_mut(slot).and_then(Transport::webrtc_mut) {
        prepare_client(webrtc, now);
    }
    report_state(objects, turn, slot);
    rearm(objects, turn, slot);
}

/// If the engine is the DTLS client, its handshake starts when the timers next run. Not before an authentic
/// check has selected a pair: an address that nothing has validated gets no ClientHello. One that a peer
/// validates in the name of another host gets one short ClientHello and its retransmissions, until
/// [`CONNECT_TIMEOUT`](limits::CONNECT_TIMEOUT).
pub(super) fn prepare_client(webrtc: &mut WebRtc, now: Instant) {
    if webrtc.dtls.is_client_without_endpoint() && webrtc.ice.selected().is_some() {
        // After a failure it is later.
        webrtc.dtls.timeout.get_or_insert(now);
    }
}

/// A TCP connection closed: its transport uses another pair, or waits for one until consent expires.
pub(super) fn on_closed_path(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, path: Path) {
    let now = turn.now;
    let Some(slot) = objects.by_path.remove(&path) else { return };
    turn.handling.of(Stage::PathClosed, slot);
    if let Some(webrtc) = objects.transports.find_mut(slot).and_then(Transport::webrtc_mut) {
        webrtc.ice.forget(now, path, turn.config.consent_timeout);
        report_state(objects, turn, slot);
        rearm(objects, turn, slot);
    }
}

/// The WebRTC transport of a datagram other than STUN: the one with a valid pair at this address.
pub(super) fn transport_at(objects: &Objects, path: Path) -> Result<Slot, Discard> {
    objects.by_path.get(&path).copied().ok_or(Discard::NoValidPair)
}

/// A DTLS datagram. If the engine is the server, the handshake starts with the first one after the controller
/// has set the peer's fingerprint.
pub(super) fn on_dtls(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    datagram: Datagram<'_>,
) -> Result<(), Discard> {
    let now = turn.now;
    let slot = transport_at(objects, datagram.path)?;
    turn.handling.of(Stage::Dtls, slot);
    let webrtc = objects.transports.find_mut(slot).and_then(Transport::webrtc_mut);
    let dtls = &mut webrtc.ok_or(Discard::NoValidPair)?.dtls;
    let DtlsPeer { role, certificate } = dtls.peer.ok_or(Discard::DtlsBeforeConnect)?;
    if role == DtlsRole::Client && dtls::is_client_hello(datagram.bytes) {
        return Err(Discard::DtlsBothClients);
    }
    let endpoint = match &mut dtls.endpoint {
        Some(endpoint) => endpoint,
        None if role == DtlsRole::Client => return Err(Discard::DtlsTooSoon),
        none => {
            let is_too_soon = |failed_at| now.saturating_since(failed_at) < limits::DTLS_ATTEMPT_INTERVAL;
            if dtls.failed_at.is_some_and(is_too_soon) {
                return Err(Discard::DtlsTooSoon);
            }
            let config = &turn.config;
            none.insert(Box::new(Endpoint::server(&config.dtls, &config.certificate, certificate, now)))
        }
    };
    let taken = endpoint.on_datagram(now, datagram.bytes);
    if let Some(transport) = objects.transports.find_mut(slot) {
        transport.traffic.received.count(datagram.bytes.len());
    }
    turn.handling.check_trap();
    drive_dtls(objects, turn, slot, taken);
    Ok(())
}

pub(super) fn on_dtls_timeout(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(webrtc) = objects.transports.find_mut(slot).and_then(Transport::webrtc_mut) else { return };
    if webrtc.dtls.timeout.is_none_or(|timeout| timeout > now) {
        return;
    }
    let WebRtc { ice, dtls, .. } = webrtc;
    dtls.timeout = None;
    let taken = match (&mut dtls.endpoint, dtls.peer) {
        (Some(endpoint), _) => endpoint.on_timeout(now),
        // Without a pair, the next check starts it.
        (none, Some(DtlsPeer { role: DtlsRole::Client, certificate })) if ice.selected().is_some() => {
            let (settings, own) = (&turn.config.dtls, &turn.config.certificate);
            let endpoint = Endpoint::client_with_short_hello(settings, own, certificate, now);
            *none = Some(Box::new(endpoint));
            Ok(())
        }
        (None, _) => return,
    };
    drive_dtls(objects, turn, slot, taken);
}

/// After an input to the endpoint: sends its datagrams, and handles its new state.
pub(super) fn drive_dtls(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    taken: Result<(), Failed>,
) {
    // A failed endpoint still has an alert to send.
    let drained = drain_dtls(objects, turn, slot);
    match taken.and(drained) {
        Ok(Drained::Running) => report_state(objects, turn, slot),
        Ok(Drained::Connected(connected)) => on_dtls_connected(objects, turn, slot, connected),
        Ok(Drained::Closed) => return close_transport(objects, turn, slot, Closed::PeerClosed),
        Err(failed) => return on_dtls_failed(objects, turn, slot, failed),
    }
    rearm(objects, turn, slot);
}

fn drain_dtls(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) -> Result<Drained, Failed> {
    let now = turn.now;
    let none = Ok(Drained::Running);
    let Some(transport) = objects.transports.find_mut(slot) else { return none };
    let flow = transport.flow();
    let Transport { link: Link::WebRtc(WebRtc { ice, dtls, .. }), traffic, data, .. } = transport else {
        return none;
    };
    let path = ice.selected();
    let Some(endpoint) = &mut dtls.endpoint else { return none };
    let mut connected = None;
    let timeout = loop {
        match endpoint.poll(&mut turn.scratch.dtls) {
            Output::Datagram(bytes) => match path.and_then(|path| turn.tx.slot(flow, path, bytes.len())) {
                Some(slot) => {
                    slot.copy_from_slice(bytes);
                    traffic.sent.count(bytes.len());
                }
                None => turn.counters.count(Counter::TxFull),
            },
            Output::Connected(keys) => connected = Some(keys),
            Output::ApplicationData(record) => {
                // The client may begin before its first channel is known.
                let (rng, peer) = (&mut *turn.rng, dtls.peer);
                let data = peer.map(|peer| data_of(data, now, peer.role, rng));
                let taken = data.ok_or(Discard::DtlsData).and_then(|data| data.on_record(now, record));
                taken.unwrap_or_else(|discard| turn.counters.discard(discard));
            }
            Output::Closed => return Ok(Drained::Closed),
            Output::Timeout(timeout) => break Some(timeout),
            Output::Idle => break None,
        }
    };
    dtls.timeout = timeout;
    match endpoint.failed() {
        Some(failed) => Err(failed),
        None => Ok(connected.map_or(Drained::Running, Drained::Connected)),
    }
}

/// The data channels of a transport; without any so far, an association that accepts the client's.
fn data_of<'d>(data: &'d mut Option<Box<Data>>, now: Instant, role: DtlsRole, rng: &mut Rng) -> &'d mut Data {
    let data = data.get_or_insert_with(|| Box::new(Data::new(rng.fork())));
    if data.association.is_none() && data.uses.is_empty() && !data.has_failed {
        data.start(now, role, std::iter::empty());
    }
    data
}

fn on_dtls_connected(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, connected: Connected) {
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    transport.protection = Some(Protection::Srtp(Srtp {
        inbound: srtp::Inbound::new(connected.profile, &connected.inbound),
        outbound: srtp::Outbound::new(connected.profile, &connected.outbound),
    }));
    if let Some(webrtc) = transport.webrtc_mut() {
        webrtc.connect_deadline = None;
    }
    turn.counters.count(Counter::DtlsConnected);
    begin_to_send(objects, turn, slot);
    start_data(objects, turn, slot);
    report_state(objects, turn, slot);
}

/// The transport can send from now on: it starts reports and its consumers.
pub(super) fn begin_to_send(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    // A random phase spreads the reports of peers who joined together (RFC 3550 §6.3.1).
    let phase = limits::REPORT_INTERVAL.mul_f64(f64::from(turn.rng.below(1000)) / 1000.0);
    transport.report_due = Some(now + phase);
    // Not before the flight that completes the peer's handshake is sent: when the next timers run.
    transport.has_become_able = true;
    turn.timers.hasten(slot, Instant::EPOCH);
}

/// Only a client with a wrong certificate and a valid signature causes the transport to close: every other
/// failure can be caused by an attacker, and the peer's own handshake may still follow. If it does not, the
/// transport ends by its connect timeout. As a client the engine starts again: everyone who can forge the
/// peer's address can answer its ClientHello (in DTLS 1.2), also with a wrong certificate.
fn on_dtls_failed(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, failed: Failed) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let is_connected = transport.protection.is_some();
    let Some(WebRtc { dtls, .. }) = transport.webrtc_mut() else { return };
    dtls.timeout = None;
    if is_connected {
        // The keys exist; media does not need DTLS any more, and noise on its port must not end a call.
        return;
    }
    turn.counters.count(Counter::DtlsFailed);
    dtls.endpoint = None;
    dtls.failed_at = Some(now);
    let is_mismatch = failed == Failed::FingerprintMismatch;
    if dtls.is_client_without_endpoint() {
        dtls.has_mismatch |= is_mismatch;
        dtls.timeout = Some(now + limits::DTLS_ATTEMPT_INTERVAL);
    } else if is_mismatch {
        return close_transport(objects, turn, slot, Closed::DtlsFailed);
    }
    rearm(objects, turn, slot);
}

/// An authentic packet of a stream that the transport's keys cannot protect against replay any more. Media of
/// every new stream would be lost; the peer gets a new transport, with new keys.
pub(super) fn on_keys_used_up(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) -> Discard {
    close_transport(objects, turn, slot, Closed::KeysUsedUp);
    Discard::SsrcLimit
}

/// Closes a transport whose peer is gone or never connected, and reports one that is disconnected.
pub(super) fn check_liveness(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(webrtc) = objects.transports.find(slot).and_then(Transport::webrtc) else { return };
    if webrtc.ice.is_expired(now, turn.config.consent_timeout) {
        close_transport(objects, turn, slot, Closed::ConsentLost);
    } else if webrtc.connect_deadline.is_some_and(|deadline| deadline <= now) {
        let closed = if webrtc.dtls.has_mismatch { Closed::DtlsFailed } else { Closed::NeverConnected };
        close_transport(objects, turn, slot, closed);
    } else {
        report_state(objects, turn, slot);
    }
}

/// Reports the transport's state to the controller if it has changed.
pub(super) fn report_state(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let (id, state) = (transport.id, transport.state(now));
    let (Some(state), Some(webrtc)) = (state, transport.webrtc_mut()) else { return };
    let reported = webrtc.reported;
    // The loss of the address is reported in any case.
    let has_moved_only = (state.ice, state.dtls) == (reported.ice, reported.dtls) && state.remote.is_some();
    let is_too_soon = now.saturating_since(webrtc.reported_at) < limits::REMOTE_REPORT_INTERVAL;
    if state == reported || has_moved_only && is_too_soon {
        return;
    }
    webrtc.reported = state;
    webrtc.reported_at = now;
    turn.news.notify(Event::TransportState { transport: id, state });
}
