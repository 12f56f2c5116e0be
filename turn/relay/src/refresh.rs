//! Refresh (RFC 8656 §8): an allocation is to live on, or to end.

use crate::allocation::client_flow;
use crate::authenticate::AuthenticatedUser;
use crate::events::End;
use crate::relay::Relay;
use crate::respond::RequestHeader;
use machine::{Instant, Tx};
use std::time::Duration;
use stun::{Family, Message};

impl Relay {
    pub(crate) fn on_refresh(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        index: u32,
        message: &Message<'_>,
        tx: &mut impl Tx,
    ) {
        match self.refreshed(now, index, message) {
            Ok(lifetime) => {
                let seconds = lifetime.as_secs() as u32;
                self.success_response(header, &user.key, client_flow(index), tx, |writer| {
                    _ = writer.lifetime(seconds)
                });
                if lifetime.is_zero() {
                    self.end(index, End::Released);
                }
            }
            Err(code) => self.error_response(header, &user.key, code, tx),
        }
    }

    /// The lifetime from now on, or the code.
    fn refreshed(&mut self, now: Instant, index: u32, message: &Message<'_>) -> Result<Duration, u16> {
        let lifetime = match message.lifetime() {
            Some(Some(0)) => Duration::ZERO,
            _ => self.lifetime(message)?,
        };
        let family = message.requested_address_family();
        let Some(allocation) = self.allocation_mut(index) else { return Err(437) };
        let has = |family: Family| allocation.relayed[family as usize].is_some();
        match family {
            None => {}
            Some(Some(family)) if !has(family) => return Err(443),
            Some(None) => return Err(443),
            // One of two addresses is given up; the allocation lives on with the other (RFC 8656 §8.2).
            Some(Some(family)) if lifetime.is_zero() && has(Family::V4) && has(Family::V6) => {
                let left = allocation.lifetime;
                self.release(index, family);
                return Ok(left);
            }
            Some(Some(_)) => {}
        }
        if !lifetime.is_zero() {
            allocation.lifetime = lifetime;
            allocation.expires_at = now + lifetime;
            let expires_at = allocation.expires_at;
            self.deadlines.set(index, Some(expires_at));
        }
        Ok(lifetime)
    }
}
