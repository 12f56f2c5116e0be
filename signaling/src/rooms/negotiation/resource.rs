//! Clients of HTTP: an encoder (WHIP) or a player (WHEP) is a peer whose connection is a resource with a URL.

use super::accept::Accepted;
use crate::auth::session::Session;
use crate::limits;
use crate::proto::{self, ErrorCode, IceServer, JoinRoom, OfferedTrack, SetPreferredLayers, signal::Payload};
use crate::request_error::RequestError;
use crate::rooms::join::{TokenCheck, is_secret_of, permissions_of};
use crate::rooms::lookup::{gone, parse_id, permitted, turn_user};
use crate::rooms::negotiator::{Negotiator, Plan};
use crate::rooms::room_key::RoomKey;
use crate::rooms::state::{PeerId, State};
use crate::rooms::{Connection, Rooms, draining};
use crate::sdp::{CheckedOffer, check_offer, kind, parse, peer_dtls};
use control::{Encoding, Kind, ProducerId};
use sdp::{Fragment, Section};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A client that opens a resource.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Its address.
    pub address: IpAddr,
    /// The room.
    pub room: String,
    /// A token; empty only in development mode, or with a session.
    pub token: String,
    /// What a stream key permits.
    pub session: Option<Session>,
    /// The name that others see; may be empty.
    pub name: String,
    /// The layers of its video (W3C WebRTC-SVC); empty: one.
    pub scalability_mode: String,
}

/// A new resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in URLs. It permits every request on the resource.
    pub id: String,
    /// The answer to the offer.
    pub accepted: Accepted,
    /// TURN servers.
    pub ice_servers: Vec<IceServer>,
}

/// The condition of a request (RFC 9110 §13.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`.
    Any,
    /// One of these entity tags.
    Tags(Vec<String>),
}

/// The name of a resource, as in its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceName<'a> {
    /// Whether it plays; otherwise it publishes.
    pub is_player: bool,
    /// The room.
    pub room: &'a str,
    /// [`Resource::id`].
    pub id: &'a str,
}

/// The layers that a player wants; what is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedLayers {
    /// The MID; without it, the first section that plays video.
    pub mid: Option<String>,
    /// An encoding of simulcast, as in [`PlayedMedia::encodings`].
    pub encoding: Option<String>,
    /// The spatial layer from 0, of a stream with several.
    pub spatial: Option<u8>,
    /// The temporal layer from 0.
    pub temporal: Option<u8>,
}

/// What a player plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerStatus {
    /// Whether there is a track.
    pub is_active: bool,
    /// Number of players in the room.
    pub viewers: usize,
    /// Its video sections with a track.
    pub media: Vec<PlayedMedia>,
}

/// A video section with a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayedMedia {
    /// The MID.
    pub mid: String,
    /// The encodings of simulcast, the smallest picture first; one without simulcast.
    pub encodings: Vec<String>,
    /// Number of spatial layers.
    pub spatial_layers: u8,
    /// Number of temporal layers.
    pub temporal_layers: u8,
}

/// The result of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patched {
    /// The condition is not fulfilled; the entity tag of the resource.
    Mismatch,
    /// Candidates were taken note of.
    Candidates,
    /// ICE is restarted: a fragment of this side, and the new entity tag.
    Restarted {
        /// The fragment.
        fragment: String,
        /// The ICE user name fragment of this side.
        ice_ufrag: String,
    },
}

impl Rooms {
    /// Joins a client of HTTP and carries out its offer: both, or nothing.
    pub async fn open_resource(
        self: &Arc<Self>,
        visitor: Visitor,
        sdp: &str,
        plan: Plan,
    ) -> Result<Resource, RequestError> {
        let Visitor { address, room, token, session, name, scalability_mode } = visitor;
        let is_player = matches!(plan, Plan::Fill { .. });
        let join = JoinRoom { room, token, display_name: name, ..JoinRoom::default() };
        let entrance = self.check_entrance(&join, session)?;
        // Before the join: the others learn nothing of an offer that cannot be read.
        let offer = check_offer(parse(sdp)?, false)?;
        peer_dtls(offer.tagged())?;
        let tracks = layered(&offer, &scalability_mode);
        if self.has_to_wait(&join.room, &entrance) {
            return Err(cannot_wait());
        }
        let permit = self.resources.clone().try_acquire_owned();
        let permit = permit.map_err(|_| {
            RequestError::limit("too many encoders and players at this server")
                .retry_after(limits::QUOTA_PAUSE)
        })?;
        if *self.draining.borrow() {
            return Err(draining());
        }
        let (connection, queue) = self.connect(address);
        // Dropped when the request is, for example because the client closes its connection.
        let mut guard = Departure { rooms: self, connection: &connection, peer: None, is_over: false };
        let joined = match self.enter(&connection, &join, entrance).await {
            Ok(Payload::Joined(joined)) => joined,
            other => {
                other?;
                return Err(cannot_wait());
            }
        };
        let peer = parse_id(&joined.peer_id).map(PeerId).ok_or_else(gone)?;
        guard.peer = Some(peer);
        if is_player {
            let may_play = self.state().peers.get(&peer).is_some_and(|peer| peer.permissions.can_subscribe);
            permitted(may_play, "canSubscribe")?;
        }
        let negotiator = self.negotiator_of_http(peer, plan)?;
        let accepted = self.accept_offer(peer, &negotiator, sdp, &tracks).await?;
        if is_player && accepted.played == 0 {
            return Err(self.nothing_to_play(peer, &negotiator, accepted.retry_after));
        }
        guard.is_over = true;
        let user = turn_user(self.state().peers.get(&peer).ok_or_else(gone)?);
        self.follow_resource(peer, negotiator, connection.clone(), queue, Some(permit));
        let mut id = peer.to_string();
        joined.resume_secret.iter().for_each(|byte| _ = write!(id, "{byte:02x}"));
        Ok(Resource { id, accepted, ice_servers: self.ice_servers(&user) })
    }

    /// Whether an administrator has to admit a new client.
    fn has_to_wait(&self, room: &str, entrance: &TokenCheck) -> bool {
        let state = self.state();
        let policy = state.rooms.get(&RoomKey::new(entrance.project(), room)).map(|room| &room.policy);
        policy.is_some_and(|policy| policy.lets_wait(&permissions_of(entrance.session())))
    }

    fn negotiator_of_http(&self, peer: PeerId, plan: Plan) -> Result<Arc<Negotiator>, RequestError> {
        let negotiator = Negotiator::new(plan);
        self.state().peers.get_mut(&peer).ok_or_else(gone)?.negotiator = Some(negotiator.clone());
        Ok(negotiator)
    }

    fn nothing_to_play(
        &self,
        peer: PeerId,
        negotiator: &Negotiator,
        retry_after: Option<Duration>,
    ) -> RequestError {
        if self.state().playable(peer, &negotiator.plan).is_empty() {
            let text = "there is nothing to play in this room; try again when a client publishes";
            return RequestError::new(ErrorCode::NoSuchProducer, text).retry_after(limits::PLAYER_PAUSE);
        }
        if let Some(pause) = retry_after {
            let text = "the publisher was asked for a codec of this player; try again";
            return RequestError::new(ErrorCode::NoSuchProducer, text).retry_after(pause);
        }
        let text =
            "the player has none of the codecs that are published in this room, or may not receive them";
        RequestError::new(ErrorCode::CannotConsume, text)
    }

    /// The peer of a resource.
    fn peer_of_resource(&self, name: ResourceName<'_>) -> Option<(PeerId, Arc<Negotiator>)> {
        let (peer, secret) = name.id.split_at_checked(16)?;
        let peer = parse_id(peer).map(PeerId)?;
        let secret: Option<Vec<u8>> = (0..secret.len() / 2)
            .map(|index| u8::from_str_radix(secret.get(2 * index..2 * index + 2)?, 16).ok())
            .collect();
        let is_whole = name.id.len() == 16 + 2 * limits::SECRET_BYTES;
        let secret = secret.filter(|bytes| is_whole && bytes.len() == limits::SECRET_BYTES)?;
        let state = self.state();
        let entry = state.peers.get(&peer).filter(|entry| is_secret_of(entry, &secret))?;
        let negotiator = entry.negotiator.clone()?;
        let is_meant = match negotiator.plan {
            Plan::Nothing => !name.is_player,
            Plan::Fill { .. } => name.is_player,
            Plan::Everything => false,
        };
        (is_meant && entry.room.name == name.room).then_some((peer, negotiator))
    }

    /// Whether there is a resource of this name.
    pub fn has_resource(&self, name: ResourceName<'_>) -> bool {
        self.peer_of_resource(name).is_some()
    }

    /// Closes a resource: its client leaves. Returns whether there was one.
    pub fn close_resource(&self, name: ResourceName<'_>) -> bool {
        let Some((peer, _)) = self.peer_of_resource(name) else { return false };
        self.leave(peer, None);
        true
    }

    /// Takes a fragment of the client: candidates, or an ICE restart. `None`: there is no such resource.
    pub async fn patch_resource(
        &self,
        name: ResourceName<'_>,
        condition: &IfMatch,
        fragment: &str,
    ) -> Result<Option<Patched>, RequestError> {
        let Some((peer, negotiator)) = self.peer_of_resource(name) else { return Ok(None) };
        negotiator.count()?;
        let fragment =
            Fragment::parse(fragment).map_err(|error| RequestError::bad(format!("sdp fragment: {error}")))?;
        let mut current = negotiator.current.lock().await;
        let Some(negotiation) = current.as_mut() else { return Ok(None) };
        if let IfMatch::Tags(tags) = condition
            && !tags.contains(&negotiation.own.ice_ufrag)
        {
            return Ok(Some(Patched::Mismatch));
        }
        let is_new = |ufrag: &String| *ufrag != negotiation.remote.ice_ufrag;
        let Some(ice_ufrag) = fragment.ice_ufrag.filter(is_new) else { return Ok(Some(Patched::Candidates)) };
        if fragment.ice_pwd.is_none() {
            return Err(RequestError::bad("sdp fragment: an ICE restart needs a=ice-pwd beside a=ice-ufrag"));
        }
        self.restart_transport(peer, negotiation).await?;
        negotiation.remote.ice_ufrag = ice_ufrag;
        self.store_negotiation(&negotiator.plan, negotiation);
        let tagged = negotiation.lines.iter().find(|line| line.is_accepted).ok_or_else(gone)?;
        Ok(Some(Patched::Restarted {
            fragment: Fragment::write(&negotiation.own, &tagged.section.mid, &tagged.section.media),
            ice_ufrag: negotiation.own.ice_ufrag.clone(),
        }))
    }

    /// Sets the preferred layers of a section of a player. Returns whether there is such a resource.
    pub async fn set_resource_layers(
        &self,
        name: ResourceName<'_>,
        wanted: &WantedLayers,
    ) -> Result<bool, RequestError> {
        let Some((peer, negotiator)) = self.peer_of_resource(name) else { return Ok(false) };
        negotiator.count()?;
        let current = negotiator.current.lock().await;
        let Some(negotiation) = current.as_ref() else { return Ok(false) };
        let is_meant = |of: &str| wanted.mid.as_ref().is_none_or(|mid| mid == of);
        let lines = negotiation.lines.iter().filter(|line| line.kind == Some(Kind::Video));
        let played = lines.filter(|line| is_meant(&line.section.mid)).find_map(|line| line.play.as_ref());
        let Some(played) = played else {
            return Err(RequestError::bad("mediaId must be the MID of a video section that plays a track"));
        };
        let encodings = encodings(&self.state(), played.producer);
        let encoding = match &wanted.encoding {
            None => None,
            Some(id) => {
                let found =
                    encodings.iter().position(|known| known == id).and_then(|at| u8::try_from(at).ok());
                let wrong = || RequestError::bad("encodingId must be one of those in the event layers");
                Some(found.ok_or_else(wrong)?)
            }
        };
        let set = SetPreferredLayers {
            consumer_id: played.consumer.to_string(),
            layers: Some(proto::Layers {
                spatial_layer: encoding.or(wanted.spatial).unwrap_or(u8::MAX).into(),
                temporal_layer: Some(wanted.temporal.unwrap_or(u8::MAX).into()),
            }),
        };
        self.set_preferred_layers(peer, set).await?;
        Ok(true)
    }

    /// Begins a stream of the status of a player, and ends the one before. `None` if there is no such resource.
    pub fn open_status_stream(&self, name: ResourceName<'_>) -> Option<u64> {
        let (_, negotiator) = self.peer_of_resource(name)?;
        Some(negotiator.next_stream())
    }

    /// What a player plays; `None` if there is no such resource, or a later stream.
    pub async fn player_status(&self, name: ResourceName<'_>, stream: u64) -> Option<PlayerStatus> {
        let (peer, negotiator) = self.peer_of_resource(name)?;
        if !negotiator.is_stream(stream) {
            return None;
        }
        let current = negotiator.current.lock().await;
        let lines = &current.as_ref()?.lines;
        let state = self.state();
        let room = state.peers.get(&peer).and_then(|peer| state.rooms.get(&peer.room))?;
        let is_player = |id: &&PeerId| {
            let negotiator = state.peers.get(*id).and_then(|peer| peer.negotiator.as_ref());
            negotiator.is_some_and(|negotiator| matches!(negotiator.plan, Plan::Fill { .. }))
        };
        let media = lines.iter().filter(|line| line.kind == Some(Kind::Video)).filter_map(|line| {
            let producer = line.play.as_ref()?.producer;
            let mode = state.producers.get(&producer)?.produced.scalability_mode;
            Some(PlayedMedia {
                mid: line.section.mid.clone(),
                encodings: encodings(&state, producer),
                spatial_layers: mode.spatial_layers,
                temporal_layers: mode.temporal_layers,
            })
        });
        Some(PlayerStatus {
            is_active: lines.iter().any(|line| line.play.is_some()),
            viewers: room.peers.iter().filter(is_player).count(),
            media: media.collect(),
        })
    }
}

/// The RIDs of the encodings of a producer, the smallest picture first; without RIDs, their numbers.
fn encodings(state: &State, producer: ProducerId) -> Vec<String> {
    let encodings = state.producers.get(&producer).map(|track| track.produced.encodings.as_slice());
    let id = |(index, encoding): (usize, &Encoding)| match &encoding.rid {
        Some(rid) => rid.as_str().to_owned(),
        None => index.to_string(),
    };
    encodings.unwrap_or_default().iter().enumerate().map(id).collect()
}

/// Makes a peer leave whose request failed or was dropped.
struct Departure<'a> {
    rooms: &'a Arc<Rooms>,
    connection: &'a Connection,
    peer: Option<PeerId>,
    is_over: bool,
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.peer.into_iter().for_each(|peer| self.rooms.leave(peer, None));
            self.rooms.disconnect(self.connection);
        }
    }
}

/// The video of an encoder with these layers.
fn layered(offer: &CheckedOffer, scalability_mode: &str) -> Vec<OfferedTrack> {
    let sections = offer.description.sections.iter().filter(|section| kind(section) == Some(Kind::Video));
    let track = |section: &Section| OfferedTrack {
        mid: section.mid.clone(),
        source: String::new(),
        scalability_mode: scalability_mode.to_owned(),
    };
    sections.map(track).filter(|track| !track.scalability_mode.is_empty()).collect()
}

fn cannot_wait() -> RequestError {
    let text = "an administrator has to admit clients of this room, and clients of HTTP cannot wait";
    RequestError::new(ErrorCode::RoomLocked, text)
}
