//! Allocate (RFC 8656 §7, RFC 6062 §5.1): the requested allocation, whether the client may have it, and the
//! response once its sockets are open.

use crate::allocation::{Allocation, Opening, Relayed, Socket, client_flow};
use crate::allocations::Allocations;
use crate::call::Call;
use crate::counters::Counter;
use crate::credentials::quota_name;
use crate::events::Event;
use crate::limits::{ALLOCATIONS_MAX, RESERVATION_LIFETIME};
use crate::relay_sockets::Owner;
use crate::request_context::{RequestContext, RequestHeader};
use crate::respond::{error_response, error_response_with, success_response};
use crate::settings::Settings;
use machine::{LocalId, SocketError, SocketRequest, Tx};
use std::net::SocketAddr;
use stun::attribute::ALTERNATE_SERVER;
use stun::{Family, Message, Method, Writer};

/// The requested allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AllocateRequest {
    /// A socket of the first family, or one of each.
    Families(Family, Option<Family>),
    /// A socket with an even port; true: the next port is reserved as well.
    Even(Family, bool),
    /// A port that was reserved earlier.
    Reserved([u8; 8]),
    /// A TCP listener of the first family, or one of each.
    Listeners(Family, Option<Family>),
}

impl AllocateRequest {
    /// Reads the request, or returns the code of the error response, in the order of RFC 8656 §7.2.
    fn of(message: &Message<'_>, comes_by_tcp: bool, settings: &Settings) -> Result<Self, u16> {
        let is_tcp = match message.requested_transport() {
            Some(Some(stun::UDP)) => false,
            Some(Some(stun::TCP)) if settings.tcp_peers => true,
            Some(Some(_)) => return Err(442),
            _ => return Err(400),
        };
        // These attributes have no meaning for a listener (RFC 6062 §5.1).
        let has_udp_wish =
            message.dont_fragment() || message.even_port().is_some() || message.reservation_token().is_some();
        if is_tcp && (has_udp_wish || !comes_by_tcp) {
            return Err(400);
        }
        let (family, additional) = (message.requested_address_family(), message.additional_address_family());
        if let Some(token) = message.reservation_token() {
            let stands_alone = family.is_none() && additional.is_none() && message.even_port().is_none();
            return token.filter(|_| stands_alone).map(Self::Reserved).ok_or(400);
        }
        let family = match family {
            None => None,
            Some(Some(family)) => Some(family),
            Some(None) => return Err(440),
        };
        let is_dual = match additional {
            None => false,
            // Only IPv6 in addition to IPv4; the request must not name IPv4 then.
            Some(Some(Family::V6)) if family.is_none() => true,
            Some(_) => return Err(400),
        };
        // Without a family the client means IPv4. Browsers never give one: if the server has no IPv4, they
        // get IPv6.
        let unnamed = if settings.families == [false, true] { Family::V6 } else { Family::V4 };
        let family = family.unwrap_or(unnamed);
        match message.even_port() {
            None if is_tcp => Ok(Self::Listeners(family, is_dual.then_some(Family::V6))),
            None => Ok(Self::Families(family, is_dual.then_some(Family::V6))),
            Some(Some(reserves_next)) if !(is_dual && reserves_next) => Ok(Self::Even(family, reserves_next)),
            Some(_) => Err(400),
        }
    }

    /// Number of ports that it needs.
    fn ports(self) -> u32 {
        match self {
            Self::Families(_, Some(_)) | Self::Listeners(_, Some(_)) | Self::Even(_, true) => 2,
            _ => 1,
        }
    }
}

pub(crate) fn on_allocate(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    request: &RequestContext<'_>,
) {
    let RequestContext { header, user, message } = request;
    if let Some(index) = allocations.find(header.path) {
        return on_allocate_again(allocations, call, request, index);
    }
    if let Some(server) = call.settings.alternate_server {
        let fill = |writer: &mut Writer<'_>| _ = writer.address(ALTERNATE_SERVER, server);
        return error_response_with(call, header, &user.key, 300, fill);
    }
    if call.is_draining {
        return error_response(call, header, &user.key, 403);
    }
    let made = AllocateRequest::of(message, header.path.local.is_tcp(), call.settings)
        .and_then(|wanted| make(allocations, call, request, wanted));
    match made {
        // A port that was reserved is open already.
        Ok(index) => respond_if_open(allocations, call, index),
        Err(code) => error_response(call, header, &user.key, code),
    }
}

/// The client has an allocation: its request has arrived twice, or the client has lost its state.
fn on_allocate_again(
    allocations: &Allocations,
    call: &mut Call<'_, impl Tx>,
    request: &RequestContext<'_>,
    index: u32,
) {
    let Some(allocation) = allocations.get(index) else { return };
    if allocation.transaction_id != request.header.id {
        return error_response(call, &request.header, &request.user.key, 437);
    }
    // While the sockets are being opened, the response is not due yet.
    if allocation.opening.is_none() {
        respond(allocation, call, &request.header, index, None);
    }
}

/// Stores the allocation and requests its sockets; or returns the code of the error response.
fn make<T>(
    allocations: &mut Allocations,
    call: &Call<'_, T>,
    request: &RequestContext<'_>,
    wanted: AllocateRequest,
) -> Result<u32, u16> {
    let RequestContext { header, user, message } = request;
    // A user without an allocation has a credential.
    let origin = user.origin.ok_or(437u16)?;
    let lifetime = call.settings.lifetime(message)?;
    let quota_name = quota_name(user.name.as_bytes());
    let first = match wanted {
        AllocateRequest::Families(first, _) | AllocateRequest::Listeners(first, _) => first,
        AllocateRequest::Even(family, _) => family,
        AllocateRequest::Reserved(token) => allocations.reserved(token, quota_name).ok_or(508u16)?.family(),
    };
    let has = |family: Family| call.settings.families[family as usize];
    if !has(first) {
        return Err(440);
    }
    let (quotas, ip, ports) = (&call.settings.quotas, header.path.remote.ip(), wanted.ports());
    if allocations.len() >= ALLOCATIONS_MAX || !allocations.ledger.enter(quotas, quota_name, ip, ports) {
        return Err(486);
    }
    let opening = Opening {
        socket: match wanted {
            AllocateRequest::Even(..) => Socket::Even,
            AllocateRequest::Listeners(..) => Socket::Listener,
            AllocateRequest::Families(..) | AllocateRequest::Reserved(_) => Socket::Plain,
        },
        waiting: 0,
        first,
        failed: [None; 2],
        next: None,
        reserves_next: wanted == AllocateRequest::Even(first, true),
        dont_fragment: message.dont_fragment(),
        request_len: header.len,
        fingerprint: header.fingerprint,
    };
    let owner = (user.name.as_bytes(), user.key.clone(), origin);
    let allocation = Allocation::new(header.path, owner, header.id, (lifetime, ports), opening);
    let index = allocations.insert(allocation);
    match wanted {
        AllocateRequest::Reserved(token) => allocations.take_reserved(index, token),
        AllocateRequest::Even(family, _) => allocations.request_socket(index, family, has(family)),
        AllocateRequest::Families(first, second) | AllocateRequest::Listeners(first, second) => {
            let families = [Some(first), second].into_iter().flatten();
            families.for_each(|family| allocations.request_socket(index, family, has(family)));
        }
    }
    Ok(index)
}

/// The result of a request for a socket.
pub(crate) fn on_opened(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    local: LocalId,
    opened: Result<SocketAddr, SocketError>,
) {
    let Some(Owner::Allocation(index, family)) = allocations.sockets.owner(local) else { return };
    let slot = allocations.free_reservation();
    let Some(allocation) = allocations.get_mut(index) else { return };
    let Some(opening) = &mut allocation.opening else { return };
    opening.waiting -= 1;
    let (next, reserves_next) = (opening.next.take(), opening.reserves_next);
    match opened {
        // The client asked for two ports and does not get one alone (RFC 8656 §7.2).
        Ok(_) if reserves_next && slot.is_none() => {
            opening.failed[family as usize] = Some(508);
            [Some(local), next].into_iter().flatten().for_each(|local| allocations.close(local));
        }
        Ok(address) => {
            let address = call.settings.announced(address);
            allocation.relayed[family as usize] = Some(Relayed { local, address });
            match (next, slot) {
                (Some(next), Some(slot)) if reserves_next => {
                    let mut token = [0; 8];
                    call.rng.fill(&mut token);
                    let address = SocketAddr::new(address.ip(), address.port() + 1);
                    let expires_at = call.now + RESERVATION_LIFETIME;
                    allocations.reserve(index, slot, Relayed { local: next, address }, token, expires_at);
                }
                (Some(next), _) => allocations.close(next),
                (None, _) => {}
            }
        }
        Err(error) => {
            opening.failed[family as usize] = Some(if error == SocketError::Family { 440 } else { 508 });
            let unused = [Some(local), next].into_iter().flatten();
            unused.for_each(|local| allocations.sockets.release(local));
        }
    }
    respond_if_open(allocations, call, index);
}

/// Responds to the Allocate request, when all sockets of the allocation have been opened or have failed.
fn respond_if_open(allocations: &mut Allocations, call: &mut Call<'_, impl Tx>, index: u32) {
    let Some(allocation) = allocations.get_mut(index) else { return };
    let Some(opening) = allocation.opening.filter(|opening| opening.waiting == 0) else { return };
    allocation.opening = None;
    let (path, id) = (allocation.client, allocation.transaction_id);
    let (len, fingerprint) = (opening.request_len, opening.fingerprint);
    let header = RequestHeader { path, method: Method::ALLOCATE, id, len, fingerprint };
    if let Some(code) = opening.failed[opening.first as usize] {
        let key = allocation.key.clone();
        allocations.remove(index);
        return error_response(call, &header, &key, code);
    }
    let second = opening.failed.iter().copied().flatten().next();
    if second.is_some() {
        allocations.give_back_port(index);
    }
    let Some(allocation) = allocations.get_mut(index) else { return };
    allocation.expires_at = call.now + allocation.lifetime;
    allocation.dont_fragment = opening.dont_fragment;
    let expires_at = allocation.expires_at;
    allocations.deadlines.set(index, Some(expires_at));
    if path.local.is_tcp() {
        allocations.socket_requests.push_back(SocketRequest::Keep { path });
    }
    let Some(allocation) = allocations.get(index) else { return };
    call.counters.count(Counter::AllocationsCreated);
    report_created(allocation, call);
    respond(allocation, call, &header, index, second);
}

fn report_created<T>(allocation: &Allocation, call: &mut Call<'_, T>) {
    let Some(relayed) = allocation.relayed.iter().flatten().next() else { return };
    let event = Event::Created {
        user: String::from_utf8_lossy(&allocation.user).into_owned(),
        client: allocation.client.remote,
        relayed: relayed.address,
    };
    call.events.push(event, call.counters);
}

/// The success response, for the first request or its repetition.
fn respond(
    allocation: &Allocation,
    call: &mut Call<'_, impl Tx>,
    header: &RequestHeader,
    index: u32,
    second_failed: Option<u16>,
) {
    let left = allocation.expires_at.saturating_since(call.now).as_secs() as u32;
    success_response(call, header, &allocation.key, client_flow(index), |writer| {
        let relayed = allocation.relayed.iter().flatten();
        relayed.for_each(|relayed| _ = writer.xor_relayed_address(relayed.address));
        writer.lifetime(left).xor_mapped_address(header.path.remote);
        allocation.token.into_iter().for_each(|token| _ = writer.reservation_token(token));
        second_failed.into_iter().for_each(|code| _ = writer.address_error_code(Family::V6, code));
    });
}
