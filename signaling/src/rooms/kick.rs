//! Removing peers from a room: by an administrator of the room, and by a revocation.

use super::Rooms;
use super::author::Author;
use super::join::banned_as;
use super::lookup::not_joined;
use super::restrictions::{Kicked, UserHash};
use super::state::{Peer, PeerId, State};
use super::transports::room_updates;
use crate::auth::revocations::{Revocation, Revoked};
use crate::auth::session::Session;
use crate::auth::since_1970;
use crate::limits;
use crate::proto::{self, EndRoom, Kick, RoomChanged, signal::Payload};
use crate::protocol::encode;
use crate::request_error::RequestError;
use std::collections::BTreeSet;
use std::time::Duration;

impl Rooms {
    /// Removes a peer, and bans its user or revokes its token.
    pub(super) fn kick(&self, peer: PeerId, kick: &Kick) -> Result<(), RequestError> {
        let mut state = self.state();
        let author = state.author(peer)?;
        self.kick_by(&mut state, &author, kick)
    }

    pub(super) fn kick_by(
        &self,
        state: &mut State,
        author: &Author,
        kick: &Kick,
    ) -> Result<(), RequestError> {
        if kick.ban { self.ban(state, author, kick) } else { self.kick_token(state, author, kick) }
    }

    /// Removes a peer and bans its user from the room: the other peers of the user are removed, and clients of the user
    /// that wait are refused.
    fn ban(&self, state: &mut State, author: &Author, kick: &Kick) -> Result<(), RequestError> {
        let reason = reason(&kick.reason, "an administrator banned you from the room")?;
        let now = since_1970();
        let target = author.target(state, &kick.peer_id)?;
        let banned = state.peers[&target].banned_as();
        if author.peer.is_some_and(|peer| state.peers[&peer].banned_as() == banned) {
            return Err(RequestError::bad(
                "peer_id must be a peer of another user: a ban is for all peers of the user",
            ));
        }
        let (room, user) = (state.peers[&target].room.clone(), state.peers[&target].user.clone());
        let time = Some(kick.ban_seconds).filter(|seconds| *seconds != 0);
        let time = time.map(|seconds| Duration::from_secs(seconds.into()));
        let entry = state.rooms.get_mut(&room).ok_or_else(not_joined)?;
        entry.policy.ban(banned, time, now)?;
        entry.policy.revision = entry.policy.revision.wrapping_add(1);
        let message = entry.policy.message();
        let peers: Vec<_> = entry.peers.iter().copied().collect();
        let waiting: Vec<_> = entry.waiting.iter().copied().collect();
        tracing::info!(roomId = %room, userId = %user, peerId = %target, by = author.by(), seconds = kick.ban_seconds, "an administrator bans a user");
        let details = match kick.ban_seconds {
            0 => "until the room ends".to_owned(),
            seconds => format!("for {seconds} seconds"),
        };
        self.record(author, "peer.ban", Some(&user), details, Vec::new());
        for id in peers {
            if state.peers.get(&id).is_some_and(|peer| peer.banned_as() == banned) {
                self.evict(state, id, &reason);
            }
        }
        for id in waiting {
            let client = state.waiting.get(&id);
            if client.is_some_and(|client| banned_as(client.session.as_ref(), &client.display_name) == banned)
            {
                state.deny(id, &reason);
            }
        }
        for (worker, command) in room_updates(state, &room) {
            self.node.tell(worker, command);
        }
        state.broadcast(&room, None, Payload::RoomChanged(RoomChanged { policy: Some(message) }));
        Ok(())
    }

    /// Removes a peer, and revokes its token until it expires: other peers that joined with the token are
    /// removed too.
    fn kick_token(&self, state: &mut State, author: &Author, kick: &Kick) -> Result<(), RequestError> {
        let reason = reason(&kick.reason, "an administrator removed you from the room")?;
        let now = since_1970();
        let target = author.target(state, &kick.peer_id)?;
        let found = &state.peers[&target];
        tracing::info!(roomId = %found.room, userId = %found.user, peerId = %target, by = author.by(), "an administrator removes a peer");
        let (room, user) = (found.room.clone(), found.user.clone());
        let tokens: Vec<_> = found.token.iter().chain(&found.former_tokens).cloned().collect();
        let mut revoked = Vec::new();
        let mut revoke = |of: Revoked, until: Duration| {
            let revocation = Revocation { project: room.project.clone(), of, until };
            revoked.push((revocation.clone(), now));
            self.revocations.add(revocation, now)
        };
        let mut result = Ok(());
        let mut last = now;
        for token in tokens {
            let until = Duration::from_secs(token.expires_at.0);
            last = last.max(until);
            result = result.and(revoke(Revoked::Token(token.id.clone()), until));
            // For the next process: see `app_data::RoomRecord`.
            if let Some(room) = state.rooms.get_mut(&room) {
                room.kicked.retain(|kicked| kicked.until > now.as_secs());
                room.kicked.truncate(limits::KICKS_REMEMBERED - 1);
                room.kicked.push_front(Kicked { token: token.id, until: token.expires_at.0 });
            }
        }
        if kick.whole_user && state.peers.get(&target).is_some_and(|peer| peer.token.is_some()) {
            let until = last.max(now + limits::USER_REVOCATION_TIME);
            result = result.and(revoke(Revoked::User(user.clone()), until));
            self.revoke_turn(&room.project, &user);
        }
        let details = if kick.whole_user { "with all tokens of the user" } else { "" };
        self.record(author, "peer.kick", Some(&user), details.to_owned(), revoked);
        self.evict(state, target, &reason);
        self.evict_revoked(state, &room.project, &reason);
        for (worker, command) in room_updates(state, &room) {
            self.node.tell(worker, command);
        }
        // The peer is removed in any case. If the revocation failed, it can return: the error reports that.
        result
    }

    /// Ends the call: removes all peers of the room, also this one, and refuses the clients that wait.
    pub(super) fn end_room(&self, peer: PeerId, end: &EndRoom) -> Result<(), RequestError> {
        let mut state = self.state();
        let author = state.author(peer)?;
        self.end_room_by(&mut state, &author, &end.reason)
    }

    pub(super) fn end_room_by(
        &self,
        state: &mut State,
        author: &Author,
        text: &str,
    ) -> Result<(), RequestError> {
        let reason = reason(text, "an administrator ended the call")?;
        let room = author.room.clone();
        tracing::info!(roomId = %room, by = author.by(), "an administrator ends the call of a room");
        self.record(author, "room.end", None, String::new(), Vec::new());
        let found = state.rooms.get(&room);
        let waiting: Vec<_> = found.into_iter().flat_map(|room| room.waiting.iter().copied()).collect();
        let peers: Vec<_> = found.into_iter().flat_map(|room| room.peers.iter().copied()).collect();
        waiting.into_iter().for_each(|client| state.deny(client, &reason));
        // The sender last: it is a member of the room until the others are removed.
        for id in peers.into_iter().filter(|id| Some(*id) != author.peer).chain(author.peer) {
            self.evict(state, id, &reason);
        }
        Ok(())
    }

    /// Revokes tokens: removes the peers that joined with them at once, and refuses their joins and resumes.
    /// Returns the number of removed peers.
    pub fn revoke(&self, revocation: Revocation) -> Result<usize, RequestError> {
        self.take_over_revocations([(revocation, since_1970())])
    }

    /// The same for revocations that were made at these times since 1970, perhaps by another process or before a
    /// restart. All are tried; returns the last error.
    pub fn take_over_revocations(
        &self,
        revocations: impl IntoIterator<Item = (Revocation, Duration)>,
    ) -> Result<usize, RequestError> {
        let mut projects = BTreeSet::new();
        let mut result = Ok(());
        for (revocation, since) in revocations {
            let (project, of) = (revocation.project.clone(), revocation.of.clone());
            // Before the lock of the tables is taken: a join that is being handled either checks after this, or
            // has entered its peer by then.
            match self.revocations.add_made(revocation, since, since_1970()) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    result = Err(error);
                    continue;
                }
            }
            tracing::info!(project = %project, revocation = ?of, "tokens are revoked");
            if let Revoked::User(user) = &of {
                self.revoke_turn_before(&project, user, since);
            }
            projects.insert(project);
        }
        // Once for each project: every peer of it is compared with all its revocations.
        let evict =
            |project: &String| self.evict_revoked(&mut self.state(), project, "your access was revoked");
        let evicted = projects.iter().map(evict).sum();
        result.map(|()| evicted)
    }

    /// Removes the peers of a project whose tokens are revoked, and clients that wait.
    fn evict_revoked(&self, state: &mut State, project: &str, reason: &str) -> usize {
        let now = since_1970();
        let of_project = state.peers.iter().filter(|(_, peer)| peer.room.project == project);
        let revoked: Vec<_> = of_project
            .filter(|(_, peer)| {
                let token = peer.token.as_ref();
                token.is_some_and(|token| {
                    self.revocations.check_token(project, &peer.user, token, now).is_err()
                })
            })
            .map(|(id, _)| *id)
            .collect();
        for id in &revoked {
            if let Some(peer) = state.peers.get(id) {
                self.revoke_turn(project, &peer.user);
            }
            self.evict(state, *id, reason);
        }
        let is_revoked =
            |session: &Session| session.project == project && self.revocations.check(session, now).is_err();
        let waiting: Vec<_> = state
            .waiting
            .iter()
            .filter(|(_, client)| client.session.as_ref().is_some_and(is_revoked))
            .map(|(id, _)| *id)
            .collect();
        waiting.into_iter().for_each(|id| state.deny(id, reason));
        revoked.len()
    }

    /// Removes a peer, notifies it, and closes its connection. Its transports are closed in the engine.
    fn evict(&self, state: &mut State, id: PeerId, reason: &str) {
        let Some(peer) = state.peers.get(&id) else { return };
        if let Some((_, outbox)) = &peer.socket {
            outbox.send(encode(Payload::Evicted(proto::Evicted { reason: reason.to_owned() })));
            outbox.end();
        }
        self.remove(state, id, "a peer was removed from its room");
    }
}

impl Peer {
    /// As what it can be banned.
    fn banned_as(&self) -> UserHash {
        if self.token.is_some() { UserHash::new(&self.user) } else { UserHash::of_name(&self.display_name) }
    }
}

/// The reason for the client, or the default.
pub(super) fn reason(reason: &str, default: &str) -> Result<String, RequestError> {
    if reason.chars().count() > limits::REASON_LEN_MAX || reason.chars().any(char::is_control) {
        return Err(RequestError::bad(format!(
            "reason must have at most {} characters, none of them a control character",
            limits::REASON_LEN_MAX
        )));
    }
    Ok(if reason.trim().is_empty() { default.to_owned() } else { reason.to_owned() })
}
