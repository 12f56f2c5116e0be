//! The schema. The comments on its types and fields are its documentation, except where the schema is given
//! without comments by the requirements.

use super::date_time::DateTime;
use super::requester::{Requester, VisibleRooms};
use super::{graphql_error, other_room};
use crate::limits;
use crate::presence::{PresenceState as State, RoomRef, UserPresence};
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::rooms::{PeerOverview, Rooms};
use async_graphql::futures_util::{Stream, stream};
use async_graphql::{
    Context, EmptyMutation, Enum, ID, Object, Result, SDLExportOptions, Schema, SimpleObject, Subscription,
};
use std::sync::Arc;

pub(super) type LeatSchema = Schema<Query, EmptyMutation, Subscriptions>;

pub(super) fn build(rooms: Arc<Rooms>) -> LeatSchema {
    Schema::build(Query, EmptyMutation, Subscriptions)
        .limit_depth(limits::GRAPHQL_DEPTH_MAX)
        .limit_complexity(limits::GRAPHQL_COMPLEXITY_MAX)
        .limit_recursive_depth(limits::GRAPHQL_NESTING_MAX)
        .limit_directives(limits::GRAPHQL_DIRECTIVES_MAX)
        // A comparison with every name of the schema for each field that does not exist.
        .disable_suggestions()
        .data(rooms)
        .finish()
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    let schema = Schema::build(Query, EmptyMutation, Subscriptions).finish();
    schema.sdl_with_options(SDLExportOptions::new()).replace('\t', "  ")
}

#[derive(SimpleObject)]
struct PresenceEvent {
    user_id: ID,
    state: PresenceState,
    timestamp: DateTime,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum PresenceState {
    Active,
    Idle,
    Away,
}

/// A room with at least one participant.
struct RoomObject {
    id: RoomRef,
}

/// A peer in a room. A user may be in a room with several peers.
#[derive(SimpleObject)]
struct Participant {
    /// The id of the peer in the signal protocol.
    peer_id: ID,
    /// The user in its token.
    user_id: ID,
    /// The name that other peers see.
    display_name: String,
    /// False while its connection is lost; its media may still flow.
    connected: bool,
    /// Number of tracks that it publishes.
    producer_count: u32,
}

impl From<UserPresence> for PresenceEvent {
    fn from(presence: UserPresence) -> Self {
        let state = match presence.state {
            State::Active => PresenceState::Active,
            State::Idle => PresenceState::Idle,
            State::Away => PresenceState::Away,
        };
        Self { user_id: presence.user.into(), state, timestamp: DateTime(presence.since_ms) }
    }
}

impl From<PeerOverview> for Participant {
    fn from(peer: PeerOverview) -> Self {
        let PeerOverview { id, user, display_name, is_connected, producer_count } = peer;
        Self {
            peer_id: id.to_string().into(),
            user_id: user.into(),
            display_name,
            connected: is_connected,
            producer_count: producer_count as u32,
        }
    }
}

/// Queries.
pub(super) struct Query;

#[Object]
impl Query {
    /// The rooms of this server that the token permits to see, by id.
    #[graphql(
        complexity = "limits::GRAPHQL_ROOM_LIST_COST + usize::try_from(first).unwrap_or(0) * child_complexity"
    )]
    async fn rooms(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20, desc = "At most this many: 1 to 100.")] first: i32,
        #[graphql(desc = "Only rooms whose id is greater: the last one of the previous page.")] after: Option<
            String,
        >,
    ) -> Result<Vec<RoomObject>> {
        let first =
            usize::try_from(first).ok().filter(|first| (1..=limits::GRAPHQL_PAGE_MAX).contains(first));
        let first = first.ok_or_else(|| {
            graphql_error(&RequestError::bad(format!("first must be 1 to {}", limits::GRAPHQL_PAGE_MAX)))
        })?;
        let requester = context.data::<Requester>()?;
        let rooms = rooms(context)?;
        let room = |name: String| RoomRef::new(&*requester.project, name);
        Ok(match &requester.rooms {
            VisibleRooms::One(own) => {
                let own = Some(own.clone()).filter(|own| after.as_ref() < Some(own)).map(room);
                own.filter(|id| rooms.is_occupied(id)).map(|id| RoomObject { id }).into_iter().collect()
            }
            VisibleRooms::Named => return Err(graphql_error(&no_list())),
            VisibleRooms::All => {
                let names = rooms.room_names(&requester.project, after.as_deref(), first);
                names.into_iter().map(|name| RoomObject { id: room(name) }).collect()
            }
        })
    }

    /// A room; null if it is empty.
    #[graphql(complexity = "limits::GRAPHQL_COUNT_COST + child_complexity")]
    async fn room(&self, context: &Context<'_>, id: ID) -> Result<Option<RoomObject>> {
        let id = permitted(context, &id)?;
        Ok(rooms(context)?.is_occupied(&id).then_some(RoomObject { id }))
    }

    /// The participants of a room.
    #[graphql(complexity = "limits::GRAPHQL_ROOM_COST * child_complexity")]
    async fn participants(&self, context: &Context<'_>, room_id: ID) -> Result<Vec<Participant>> {
        participants(context, &permitted(context, &room_id)?)
    }

    /// The presence of the users of a room, each with its last transition.
    #[graphql(complexity = "limits::GRAPHQL_ROOM_COST * child_complexity")]
    async fn presence(&self, context: &Context<'_>, room_id: ID) -> Result<Vec<PresenceEvent>> {
        presence(context, &permitted(context, &room_id)?).await
    }
}

#[Object(name = "Room")]
impl RoomObject {
    /// The name of the room.
    async fn id(&self) -> ID {
        ID(self.id.room.clone())
    }

    /// Its participants.
    #[graphql(complexity = "limits::GRAPHQL_ROOM_COST * child_complexity")]
    async fn participants(&self, context: &Context<'_>) -> Result<Vec<Participant>> {
        participants(context, &self.id)
    }

    /// Number of its participants.
    #[graphql(complexity = "limits::GRAPHQL_COUNT_COST")]
    async fn participant_count(&self, context: &Context<'_>) -> Result<u32> {
        Ok(rooms(context)?.participant_count(&self.id) as u32)
    }

    /// The presence of its users, each with its last transition.
    #[graphql(complexity = "limits::GRAPHQL_ROOM_COST * child_complexity")]
    async fn presence(&self, context: &Context<'_>) -> Result<Vec<PresenceEvent>> {
        presence(context, &self.id).await
    }
}

/// Subscriptions, over a WebSocket with the protocol graphql-transport-ws.
pub(super) struct Subscriptions;

#[Subscription(name = "Subscription")]
impl Subscriptions {
    /// The presence of the users that are in the room, then each transition. A user whose last peer
    /// leaves becomes AWAY.
    #[graphql(complexity = "limits::GRAPHQL_ROOM_COST * child_complexity")]
    async fn presence(
        &self,
        context: &Context<'_>,
        room_id: ID,
    ) -> Result<impl Stream<Item = Result<PresenceEvent>> + use<>> {
        let mut watch = rooms(context)?.watch_presence(&permitted(context, &room_id)?);
        let now = std::mem::take(&mut watch.users).into_iter().map(|presence| Ok(presence.into()));
        let later = stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Some(presence) => Some((Ok(presence.into()), Some(watch))),
                // Only a watcher that was too slow ends.
                None => Some((Err(graphql_error(&too_slow())), None)),
            }
        });
        Ok(async_graphql::futures_util::StreamExt::chain(stream::iter(now), later))
    }
}

fn rooms<'a>(context: &Context<'a>) -> Result<&'a Arc<Rooms>> {
    context.data::<Arc<Rooms>>()
}

/// A room that the requester may see.
fn permitted(context: &Context<'_>, room: &ID) -> Result<RoomRef> {
    let requester = context.data::<Requester>()?;
    match &requester.rooms {
        VisibleRooms::One(own) if *own != room.0 => Err(graphql_error(&other_room())),
        _ => Ok(RoomRef::new(&*requester.project, &*room.0)),
    }
}

fn participants(context: &Context<'_>, room: &RoomRef) -> Result<Vec<Participant>> {
    let peers = rooms(context)?.participants(room);
    Ok(peers.into_iter().map(Participant::from).collect())
}

async fn presence(context: &Context<'_>, room: &RoomRef) -> Result<Vec<PresenceEvent>> {
    Ok(rooms(context)?.presence_in(room).await.into_iter().map(PresenceEvent::from).collect())
}

fn no_list() -> RequestError {
    RequestError::new(
        ErrorCode::TokenPermission,
        "only a token with the permission admin and the room_id * lists the rooms",
    )
}

fn too_slow() -> RequestError {
    RequestError::new(
        ErrorCode::Limit,
        "this client reads too slowly: transitions are missing; subscribe again",
    )
}
