//! The task of a negotiation: it follows the room of its client.

use super::apply::Opened;
use crate::limits;
use crate::proto::{self, signal::Payload};
use crate::rooms::negotiator::{Negotiator, Plan};
use crate::rooms::state::PeerId;
use crate::rooms::{Connection, Queue, Rooms};
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout_at};

impl Rooms {
    /// Starts the task; it ends with the peer.
    pub(super) fn follow_room(self: &Arc<Self>, peer: PeerId, negotiator: Arc<Negotiator>) {
        tokio::spawn(follow(Arc::downgrade(self), peer, negotiator));
    }

    /// Starts the task of a client of HTTP. The client leaves when its transport is closed.
    pub(super) fn follow_resource(
        self: &Arc<Self>,
        peer: PeerId,
        negotiator: Arc<Negotiator>,
        connection: Arc<Connection>,
        mut queue: Queue,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let rooms = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::select! {
                () = follow(rooms.clone(), peer, negotiator) => {}
                // The notifications themselves are for clients with a socket. The queue ends when the peer was
                // removed, and when this process ends.
                () = async { while queue.recv().await.is_some() {} } => {}
            }
            let Some(rooms) = rooms.upgrade() else { return };
            // The media flows on while this process is replaced.
            if !*rooms.draining.borrow() {
                rooms.leave(peer, None);
            }
            rooms.disconnect(&connection);
            drop(permit);
        });
    }

    /// Compares what a client plays with what is in its room. Returns whether something has changed; `None` if the
    /// client has no transport any more.
    async fn update(&self, peer: PeerId, negotiator: &Negotiator) -> Option<bool> {
        let mut current = negotiator.current.lock().await;
        let is_open =
            current.as_ref().is_some_and(|known| self.state().transports.contains_key(&known.transport));
        if !is_open {
            // The client was notified: it starts again with an offer.
            *current = None;
            return None;
        }
        let known = current.as_mut()?;
        // Without a description, so also while one waits for its answer.
        self.fill_data(peer, negotiator, known.transport).await;
        known.is_offer_due |= negotiator.take_missed();
        if known.before_offer.is_some() && !known.is_offer_due {
            let (at, _) = known.offer_again;
            let now = Instant::now();
            let is_away = self.state().peers.get(&peer).is_none_or(|peer| peer.socket.is_none());
            if is_away {
                // It is woken when it is back.
                return Some(false);
            }
            if at > now {
                negotiator.retry_in(at - now);
                return Some(false);
            }
            known.is_offer_due = true;
        }
        let mut next = known.clone();
        // The client may have seen nothing of an offer without an answer.
        let before = next.before_offer.take().unwrap_or_else(|| known.lines.clone());
        let mut opened = Opened::new(self);
        let may_add = negotiator.plan == Plan::Everything;
        let filled = self.fill(peer, &negotiator.plan, &mut next, may_add, &mut opened).await;
        let is_repeated = std::mem::take(&mut next.is_offer_due);
        let is_changed = filled.has_changed || is_repeated;
        if is_changed {
            if may_add {
                let (sdp, id) = (next.offer(&negotiator.plan, &self.media), next.offer_id());
                next.before_offer = Some(before);
                let pause = if is_repeated { next.offer_again.1 } else { limits::OFFER_PAUSE };
                next.offer_again = (Instant::now() + pause, (2 * pause).min(limits::OFFER_PAUSE_MAX));
                negotiator.retry_in(pause);
                let ice_ufrag = vec![next.own.ice_ufrag.clone()];
                let offer = proto::Offer { sdp, ice_ufrag, tracks: Vec::new(), id };
                self.state().send(peer, Payload::Offer(offer));
            } else {
                self.resume_lines(peer, &mut next.lines).await;
            }
        }
        opened.keep();
        if is_changed {
            self.store_negotiation(&negotiator.plan, &next);
        }
        *current = Some(next);
        drop(current);
        if let Some(pause) = filled.retry_after {
            negotiator.retry_in(pause);
        }
        Some(is_changed)
    }
}

async fn follow(rooms: Weak<Rooms>, peer: PeerId, negotiator: Arc<Negotiator>) {
    let mut retry_at: Option<Instant> = None;
    let (mut pause, mut changed_at) = (limits::NEGOTIATION_PAUSE, Instant::now());
    loop {
        match retry_at {
            None => negotiator.changed.notified().await,
            // A wake in between looks earlier, and again.
            Some(at) => _ = timeout_at(at.into(), negotiator.changed.notified()).await,
        }
        // What happens together becomes one description. The answers of other clients slow the changes down; a
        // player gives none.
        sleep(pause).await;
        let Some(rooms) = rooms.upgrade() else { return };
        if !rooms.state().peers.contains_key(&peer) {
            return;
        }
        let updated = rooms.update(peer, &negotiator).await;
        if updated.is_none() && negotiator.plan != Plan::Everything {
            return;
        }
        let is_player = matches!(negotiator.plan, Plan::Fill { .. });
        if changed_at.elapsed() > limits::PLAYER_QUIET {
            pause = limits::NEGOTIATION_PAUSE;
        }
        if is_player && updated == Some(true) {
            pause = (4 * pause).min(limits::PLAYER_CHANGE_PAUSE_MAX);
            changed_at = Instant::now();
        }
        retry_at = negotiator.next_retry();
    }
}
