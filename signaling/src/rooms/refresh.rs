//! A new token for a peer that stays in its room, and the objects that it does not permit.

use super::lookup::{not_joined, permitted};
use super::restrictions::granted;
use super::state::{PeerId, State, consumer_closed};
use super::transports::peer_updates;
use super::{Admission, Rooms};
use crate::auth::since_1970;
use crate::media_node::AskError;
use crate::proto::{self, ErrorCode, RefreshToken, TokenRefreshed, signal::Payload};
use crate::request_error::RequestError;
use control::Command;

impl Rooms {
    /// Replaces the permissions and the expiry of a peer by those of a new token of the same user.
    pub(super) async fn refresh_token(
        &self,
        peer: PeerId,
        refresh: RefreshToken,
    ) -> Result<Payload, RequestError> {
        let keyring = match &self.admission {
            Admission::Development { verifier: Some(keyring) } | Admission::TokenRequired(keyring) => keyring,
            Admission::Development { verifier: None } => {
                let text = "this server is in development mode and has no key to verify a token with";
                return Err(RequestError::new(ErrorCode::TokenKey, text));
            }
        };
        let session = keyring.validate_token(&refresh.token, since_1970())?;
        permitted(session.permissions.can_join, "canJoin")?;
        let (answer, updates) = {
            let mut state = self.state();
            let found = state.peers.get(&peer).ok_or_else(not_joined)?;
            session.check_room(&found.room.name)?;
            if session.project != found.room.project || session.user != found.user {
                let text = "the token is for a different user or project than the one that joined";
                return Err(RequestError::new(ErrorCode::TokenPermission, text));
            }
            // It may have been revoked after the check above.
            self.revocations.check(&session, since_1970())?;
            let expires_at = session.token.expires_at.0;
            state.replace_session(peer, session);
            self.close_forbidden(&mut state, peer);
            let permissions = state.peers.get(&peer).map(|peer| granted(&peer.permissions));
            (TokenRefreshed { expires_at, permissions }, peer_updates(&state, peer))
        };
        // Otherwise a new signaling process would find the former permissions with the transports.
        for (worker, command) in updates {
            if let Err(AskError::TimedOut | AskError::Busy) = self.node.ask(worker, command.clone()).await {
                self.node.tell(worker, command);
            }
        }
        Ok(Payload::TokenRefreshed(answer))
    }

    /// Closes the objects of a peer that its permissions or the policy of its room do not permit, and
    /// notifies the peer.
    pub(super) fn close_forbidden(&self, state: &mut State, peer: PeerId) {
        for (owner, command, notification) in state.take_forbidden(peer) {
            self.node.tell(owner, command);
            state.send(peer, notification);
        }
    }
}

impl State {
    /// Removes the objects of a peer that are not permitted. Returns for each its worker, the command that
    /// closes it and the notification for the peer.
    fn take_forbidden(&mut self, id: PeerId) -> Vec<(crate::media_node::Worker, Command, Payload)> {
        let mut closed = Vec::new();
        let Some(peer) = self.peers.get(&id) else { return closed };
        let permissions = peer.permissions.clone();
        let policy = self.rooms.get(&peer.room).map(|room| room.policy.clone()).unwrap_or_default();
        let transports: Vec<_> = peer.transports.iter().copied().collect();
        for transport in transports {
            let is_plain = self.transports.get(&transport).is_some_and(|transport| transport.is_plain);
            if is_plain
                && !permissions.can_use_plain_transports
                && let Some(removed) = self.remove_transport(transport)
            {
                let (transport_id, reason) =
                    (transport.to_string(), "it is not permitted any more".to_owned());
                let notification = Payload::TransportClosed(proto::TransportClosed { transport_id, reason });
                closed.push((removed.worker, Command::CloseTransport { transport }, notification));
            }
        }
        let producers: Vec<_> = self.producers_of(id).collect();
        for producer in producers {
            let Some(found) = self.producers.get(&producer) else { continue };
            if permissions.may_publish(&found.source) && policy.check_publish(&permissions).is_ok() {
                continue;
            }
            let worker = self.worker_of(found.transport);
            self.remove_producer(producer);
            let (peer_id, producer_id) = (id.to_string(), producer.to_string());
            let notification = Payload::ProducerClosed(proto::ProducerClosed { peer_id, producer_id });
            closed.extend(worker.map(|at| (at, Command::CloseProducer { producer }, notification)));
        }
        closed.extend(self.take_forbidden_data(id, &permissions));
        let consumers: Vec<_> = self.consumers_of(id).collect();
        for consumer in consumers.into_iter().filter(|_| !permissions.can_subscribe) {
            let Some(removed) = self.remove_consumer(consumer) else { continue };
            let worker = self.worker_of(removed.transport);
            closed.extend(
                worker.map(|at| (at, Command::CloseConsumer { consumer }, consumer_closed(consumer))),
            );
        }
        closed
    }
}
