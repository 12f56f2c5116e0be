//! CreatePermission and ChannelBind (RFC 8656 §10, §12): the peers that a client exchanges datagrams with.

use crate::allocation::{Unbound, client_flow};
use crate::allocations::Allocations;
use crate::call::Call;
use crate::limits::PEERS_PER_REQUEST_MAX;
use crate::request_context::RequestContext;
use crate::respond::{error_response, success_response};
use machine::Tx;
use std::net::SocketAddr;
use stun::{CHANNELS, CHANNELS_RFC5766};

pub(crate) fn on_create_permission(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    request: &RequestContext<'_>,
    index: u32,
) {
    let permitted = permit(allocations, call, request, index);
    respond(call, request, index, permitted);
}

pub(crate) fn on_channel_bind(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    request: &RequestContext<'_>,
    index: u32,
) {
    let bound = bind(allocations, call, request, index);
    respond(call, request, index, bound);
}

fn respond(call: &mut Call<'_, impl Tx>, request: &RequestContext<'_>, index: u32, done: Result<(), u16>) {
    let RequestContext { header, user, .. } = request;
    match done {
        Ok(()) => success_response(call, header, &user.key, client_flow(index), |_| {}),
        Err(code) => error_response(call, header, &user.key, code),
    }
}

/// Permits all of the peers, or none.
fn permit<T>(
    allocations: &mut Allocations,
    call: &Call<'_, T>,
    request: &RequestContext<'_>,
    index: u32,
) -> Result<(), u16> {
    let peers = || request.message.xor_peer_addresses();
    if !(1..=PEERS_PER_REQUEST_MAX).contains(&peers().take(PEERS_PER_REQUEST_MAX + 1).count())
        || peers().any(|peer| peer.is_none())
    {
        return Err(400);
    }
    for peer in peers().flatten() {
        check_peer(allocations, index, &peer, call.settings.policy.admits_host(peer.ip()))?;
    }
    let allocation = allocations.get_mut(index).ok_or(437u16)?;
    let ips = peers().flatten().map(|peer| peer.ip());
    if allocation.permit(call.now, ips) { Ok(()) } else { Err(508) }
}

fn bind<T>(
    allocations: &mut Allocations,
    call: &Call<'_, T>,
    request: &RequestContext<'_>,
    index: u32,
) -> Result<(), u16> {
    let message = &request.message;
    let channels = if call.settings.old_channels { CHANNELS_RFC5766 } else { CHANNELS };
    let number = message.channel_number().flatten().filter(|number| channels.contains(number));
    let (Some(number), Some(Some(peer))) = (number, message.xor_peer_address()) else { return Err(400) };
    check_peer(allocations, index, &peer, call.settings.policy.admits(peer))?;
    let allocation = allocations.get_mut(index).ok_or(437u16)?;
    // Channels are for datagrams; peers over TCP have connections (RFC 6062 §3).
    if allocation.is_tcp {
        return Err(400);
    }
    allocation.bind(call.now, number, peer).map_err(|unbound| match unbound {
        Unbound::Taken => 400u16,
        Unbound::Full => 508,
    })
}

/// Whether the allocation can reach a peer; the error code if not, or if the policy does not admit it.
pub(crate) fn check_peer(
    allocations: &Allocations,
    index: u32,
    peer: &SocketAddr,
    is_admitted: bool,
) -> Result<(), u16> {
    let has_family = allocations.get(index).is_some_and(|allocation| allocation.relayed_for(peer).is_some());
    // The policy is checked first: a request for a forbidden peer gets 403, in whatever family it is written.
    if !is_admitted {
        Err(403)
    } else if !has_family {
        Err(443)
    } else {
        Ok(())
    }
}
