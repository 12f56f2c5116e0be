//! Refresh (RFC 8656 §8): extends or ends an allocation.

use crate::allocation::client_flow;
use crate::allocations::Allocations;
use crate::call::Call;
use crate::events::End;
use crate::request_context::RequestContext;
use crate::respond::{error_response, success_response};
use machine::Tx;
use std::time::Duration;
use stun::Family;

pub(crate) fn on_refresh(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    request: &RequestContext<'_>,
    index: u32,
) {
    let RequestContext { header, user, .. } = request;
    match refresh(allocations, call, request, index) {
        Ok(lifetime) => {
            let seconds = lifetime.as_secs() as u32;
            success_response(call, header, &user.key, client_flow(index), |writer| {
                _ = writer.lifetime(seconds)
            });
            if lifetime.is_zero() {
                let event = allocations.end(index, End::Released);
                event.into_iter().for_each(|event| call.events.push(event, call.counters));
            }
        }
        Err(code) => error_response(call, header, &user.key, code),
    }
}

/// The new lifetime, or the code of the error response.
fn refresh<T>(
    allocations: &mut Allocations,
    call: &Call<'_, T>,
    request: &RequestContext<'_>,
    index: u32,
) -> Result<Duration, u16> {
    let message = &request.message;
    let lifetime = match message.lifetime() {
        Some(Some(0)) => Duration::ZERO,
        _ => call.settings.lifetime(message)?,
    };
    let family = message.requested_address_family();
    let Some(allocation) = allocations.get_mut(index) else { return Err(437) };
    let has = |family: Family| allocation.relayed[family as usize].is_some();
    match family {
        None => {}
        Some(Some(family)) if !has(family) => return Err(443),
        Some(None) => return Err(443),
        // The client releases one of two addresses; the allocation keeps the other (RFC 8656 §8.2).
        Some(Some(family)) if lifetime.is_zero() && has(Family::V4) && has(Family::V6) => {
            let left = allocation.lifetime;
            allocations.release(index, family);
            return Ok(left);
        }
        Some(Some(_)) => {}
    }
    if !lifetime.is_zero() {
        allocation.lifetime = lifetime;
        allocation.expires_at = call.now + lifetime;
        let expires_at = allocation.expires_at;
        allocations.deadlines.set(index, Some(expires_at));
    }
    Ok(lifetime)
}
