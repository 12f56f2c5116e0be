//! Who may consume a producer: everyone in the room, or the users that its peer names.

use super::Rooms;
use super::lookup::{gone, own_producer};
use super::restrictions::UserHash;
use super::state::{PeerId, State, consumer_closed};
use super::transports::peer_updates;
use crate::auth::token::check_user;
use crate::limits;
use crate::proto::{ErrorCode, SetSubscribers};
use crate::request_error::RequestError;
use control::{Command, ProducerId};
use std::collections::{BTreeSet, HashSet};

impl Rooms {
    /// Changes who may consume a producer of this peer. Consumers of others are closed.
    pub(super) async fn set_subscribers(
        &self,
        peer: PeerId,
        set: &SetSubscribers,
    ) -> Result<(), RequestError> {
        if set.everyone && !set.users.is_empty() {
            return Err(RequestError::bad("users must be empty if everyone is true"));
        }
        for user in &set.users {
            check_user(user)
                .map_err(|wanted| RequestError::bad(format!("each of users must be {wanted}")))?;
        }
        let users: BTreeSet<_> = set.users.iter().map(|user| UserHash::new(user)).collect();
        let updates = {
            let mut state = self.state();
            let (named, _) = own_producer(&state, peer, &set.producer_id)?;
            let producer = state.first_of(named);
            let entry = state.peers.get_mut(&peer).ok_or_else(gone)?;
            let others = entry.subscribers.iter().filter(|(id, _)| **id != producer);
            let count: usize = others.map(|(_, users)| users.len()).sum();
            if count + users.len() > limits::SUBSCRIBERS_NAMED_MAX {
                let text = format!(
                    "a peer names at most {} users for all its producers together",
                    limits::SUBSCRIBERS_NAMED_MAX
                );
                return Err(RequestError::limit(text));
            }
            let before = entry.subscribers.get(&producer).cloned();
            let after = (!set.everyone).then_some(users);
            if before == after {
                return Ok(());
            }
            entry.count_change()?;
            match after {
                None => _ = entry.subscribers.remove(&producer),
                Some(users) => _ = entry.subscribers.insert(producer, users),
            }
            for (worker, command) in state.close_denied_consumers(producer) {
                self.node.tell(worker, command);
            }
            if let Some(before) = before {
                state.announce_to_permitted(producer, &before);
            }
            peer_updates(&state, peer)
        };
        // Otherwise a new signaling process would find the former list.
        for (worker, command) in updates {
            self.node.ask(worker, command).await?;
        }
        Ok(())
    }
}

impl State {
    /// Checks that a peer may consume this producer.
    pub(super) fn check_subscriber(&self, producer: ProducerId, peer: PeerId) -> Result<(), RequestError> {
        let producer = self.first_of(producer);
        let owner = self.producers.get(&producer).and_then(|producer| self.peers.get(&producer.peer));
        let users = owner.and_then(|owner| owner.subscribers.get(&producer));
        let is_named = |users: &BTreeSet<UserHash>| {
            self.peers.get(&peer).is_some_and(|peer| users.contains(&UserHash::new(&peer.user)))
        };
        if users.is_none_or(is_named) {
            return Ok(());
        }
        let text = "the publishing peer does not permit this user to receive this producer";
        Err(RequestError::new(ErrorCode::SubscriptionDenied, text))
    }

    /// The producer of which this one is a backup, or itself.
    fn first_of(&self, producer: ProducerId) -> ProducerId {
        self.producers.get(&producer).and_then(|producer| producer.backup_for).unwrap_or(producer)
    }

    /// Removes the consumers of a producer and its backups that are not permitted, notifies their
    /// owners, and returns the commands for the engine.
    fn close_denied_consumers(&mut self, first: ProducerId) -> Vec<(crate::media_node::Worker, Command)> {
        let producers: Vec<_> = self.backups_of(first).into_iter().chain([first]).collect();
        let consumers = producers.iter().filter_map(|id| self.producers.get(id)).flat_map(|of| &of.consumers);
        let denied: Vec<_> = consumers
            .copied()
            .filter(|id| {
                self.consumers.get(id).is_some_and(|of| self.check_subscriber(first, of.peer).is_err())
            })
            .collect();
        let mut commands = Vec::new();
        for consumer in denied {
            let Some(removed) = self.remove_consumer(consumer) else { continue };
            self.send(removed.peer, consumer_closed(consumer));
            let worker = self.worker_of(removed.transport);
            commands.extend(worker.map(|worker| (worker, Command::CloseConsumer { consumer })));
        }
        commands
    }

    /// Notifies the peers that may consume a producer and were not among `before`: their requests may have
    /// been refused.
    fn announce_to_permitted(&mut self, producer: ProducerId, before: &BTreeSet<UserHash>) {
        let Some(found) = self.producers.get(&producer) else { return };
        let room = self.peers.get(&found.peer).and_then(|peer| self.rooms.get(&peer.room));
        let others =
            room.into_iter().flat_map(|room| room.peers.iter().copied()).filter(|id| *id != found.peer);
        let consuming: HashSet<_> =
            found.consumers.iter().filter_map(|id| Some(self.consumers.get(id)?.peer)).collect();
        let was_permitted = |peer: &PeerId| {
            self.peers.get(peer).is_some_and(|peer| before.contains(&UserHash::new(&peer.user)))
        };
        let permitted = |peer: &PeerId| {
            !consuming.contains(peer)
                && !was_permitted(peer)
                && self.check_subscriber(producer, *peer).is_ok()
        };
        let permitted: Vec<_> = others.filter(permitted).collect();
        for peer in permitted {
            self.announce_again(peer, producer);
        }
    }
}
