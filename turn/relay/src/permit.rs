//! CreatePermission and ChannelBind (RFC 8656 §10, §12): whom a client exchanges datagrams with.

use crate::allocation::{Unbound, client_flow};
use crate::authenticate::AuthenticatedUser;
use crate::limits::PEERS_PER_REQUEST_MAX;
use crate::relay::Relay;
use crate::respond::RequestHeader;
use machine::{Instant, Tx};
use std::net::SocketAddr;
use stun::{CHANNELS, CHANNELS_RFC5766, Message};

impl Relay {
    pub(crate) fn on_create_permission(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        index: u32,
        message: &Message<'_>,
        tx: &mut impl Tx,
    ) {
        match self.permit(now, index, message) {
            Ok(()) => self.success_response(header, &user.key, client_flow(index), tx, |_| {}),
            Err(code) => self.error_response(header, &user.key, code, tx),
        }
    }

    /// All of the peers are permitted, or none is.
    fn permit(&mut self, now: Instant, index: u32, message: &Message<'_>) -> Result<(), u16> {
        let peers = || message.xor_peer_addresses();
        if !(1..=PEERS_PER_REQUEST_MAX).contains(&peers().take(PEERS_PER_REQUEST_MAX + 1).count())
            || peers().any(|peer| peer.is_none())
        {
            return Err(400);
        }
        for peer in peers().flatten() {
            self.check_peer(index, &peer, |policy| policy.admits_host(peer.ip()))?;
        }
        let allocation = self.allocation_mut(index).ok_or(437u16)?;
        let ips = message.xor_peer_addresses().flatten().map(|peer| peer.ip());
        if allocation.permit(now, ips) { Ok(()) } else { Err(508) }
    }

    pub(crate) fn on_channel_bind(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        index: u32,
        message: &Message<'_>,
        tx: &mut impl Tx,
    ) {
        match self.bind(now, index, message) {
            Ok(()) => self.success_response(header, &user.key, client_flow(index), tx, |_| {}),
            Err(code) => self.error_response(header, &user.key, code, tx),
        }
    }

    fn bind(&mut self, now: Instant, index: u32, message: &Message<'_>) -> Result<(), u16> {
        let channels = if self.settings.old_channels { CHANNELS_RFC5766 } else { CHANNELS };
        let number = message.channel_number().flatten().filter(|number| channels.contains(number));
        let (Some(number), Some(Some(peer))) = (number, message.xor_peer_address()) else { return Err(400) };
        self.check_peer(index, &peer, |policy| policy.admits(peer))?;
        // Channels are for datagrams, and peers over TCP have connections (RFC 6062 §3).
        let allocation = self
            .allocation_mut(index)
            .ok_or(437u16)
            .and_then(|it| if it.is_tcp { Err(400) } else { Ok(it) })?;
        allocation.bind(now, number, peer).map_err(|unbound| match unbound {
            Unbound::Taken => 400u16,
            Unbound::Full => 508,
        })
    }

    /// Whether a peer can be reached from the allocation, and may be.
    pub(crate) fn check_peer(
        &self,
        index: u32,
        peer: &SocketAddr,
        admits: impl FnOnce(&crate::policy::Policy) -> bool,
    ) -> Result<(), u16> {
        let has_family =
            self.allocation(index).is_some_and(|allocation| allocation.relayed_for(peer).is_some());
        // First the policy: whoever asks for a forbidden peer is told so, whatever the family it is written in.
        if !admits(&self.settings.policy) {
            Err(403)
        } else if !has_family {
            Err(443)
        } else {
            Ok(())
        }
    }
}
