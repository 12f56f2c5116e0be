//! Transports: one to send and one to receive media for each peer.

use super::app_data::{self, KickedRecord, RoomRecord, SubscribersRecord, TokenRecord, TransportRecord};
use super::lookup::{direction, gone, not_joined, own_transport, turn_user, wrong_answer};
use super::reservation::Reservation;
use super::restrictions::{Kicked, UserHash};
use super::room_key::RoomKey;
use super::sdp_record::SdpRecord;
use super::state::{Direction, Peer, PeerId, Room, State, Transport};
use super::{Rooms, random_id};
use crate::limits;
use crate::media_node::Worker;
use crate::ortc::dtls;
use crate::proto::{
    ConnectTransport, CreateTransport, IceRestarted, RestartIce, SctpParameters, TransportCreated,
    signal::Payload,
};
use crate::request_error::RequestError;
use control::{AppData, Command, Event, ProducerId, TransportId};
use std::collections::BTreeSet;

impl Rooms {
    /// Needs no permission: clients create both transports when they join, and an unused one costs little.
    /// Permissions are checked by `produce` and `consume`.
    pub(super) async fn create_transport(
        &self,
        peer: PeerId,
        create: CreateTransport,
    ) -> Result<Payload, RequestError> {
        let direction = direction(&create.direction)?;
        let router = self.router(peer).await?;
        let (transport, app_data, mut reservation) =
            self.reserve_transport(peer, router.worker, direction, false)?;
        let command = control::CreateTransport { router: router.id, transport, app_data };
        let answer = reservation.ask(Command::CreateTransport(command)).await?;
        let Event::TransportCreated { request, ice, fingerprint, candidates, .. } = answer else {
            return Err(wrong_answer(&answer));
        };
        reservation.commit(&mut self.state(), request)?;
        let user = turn_user(self.state().peers.get(&peer).ok_or_else(gone)?);
        let ice_servers = self.ice_servers(&user);
        Ok(Payload::TransportCreated(TransportCreated {
            id: transport.to_string(),
            ice_parameters: Some(dtls::ice(&ice)),
            ice_candidates: dtls::candidates(&candidates),
            dtls_parameters: Some(dtls::parameters(&fingerprint)),
            ice_servers,
            sctp_parameters: Some(sctp_parameters()),
        }))
    }

    /// Reserves a transport: its id, and the data that the engine stores with it.
    pub(super) fn reserve_transport(
        &self,
        peer: PeerId,
        worker: Worker,
        direction: Direction,
        is_plain: bool,
    ) -> Result<(TransportId, AppData, Reservation<'_>), RequestError> {
        let mut state = self.state();
        let count = state.peers.get(&peer).ok_or_else(not_joined)?.transports.len();
        if count >= limits::TRANSPORTS_PER_PEER_MAX {
            let text =
                format!("a peer has at most {} transports; close one first", limits::TRANSPORTS_PER_PEER_MAX);
            return Err(RequestError::limit(text));
        }
        let app_data = app_data::pack(&transport_record(&state, peer, direction, None)?)?;
        let transport = TransportId(random_id());
        let entry = Transport::new(peer, worker, direction, is_plain);
        Ok((transport, app_data, Reservation::transport(self, &mut state, transport, entry)))
    }

    pub(super) async fn connect_transport(
        &self,
        peer: PeerId,
        connect: ConnectTransport,
    ) -> Result<(), RequestError> {
        let parameters = connect
            .dtls_parameters
            .ok_or_else(|| RequestError::bad("ConnectTransport needs dtlsParameters"))?;
        let connect_as = dtls::connect(&parameters, self.allows_sha1)?;
        let (transport, worker) = own_transport(&self.state(), peer, &connect.transport_id)?;
        self.node.ask(worker, connect_as.command(transport)).await?;
        Ok(())
    }

    pub(super) async fn restart_ice(
        &self,
        peer: PeerId,
        restart: RestartIce,
    ) -> Result<Payload, RequestError> {
        let (transport, worker, user) = {
            let state = self.state();
            let (transport, worker) = own_transport(&state, peer, &restart.transport_id)?;
            (transport, worker, turn_user(&state.peers[&peer]))
        };
        let ice_servers = self.ice_servers(&user);
        match self.node.ask(worker, Command::RestartIce { transport }).await? {
            Event::IceRestarted { ice, .. } => {
                Ok(Payload::IceRestarted(IceRestarted { ice_parameters: Some(dtls::ice(&ice)), ice_servers }))
            }
            other => Err(wrong_answer(&other)),
        }
    }

    pub(super) fn close_transport(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let mut state = self.state();
        let (transport, worker) = own_transport(&state, peer, id)?;
        state.remove_transport(transport);
        self.node.tell(worker, Command::CloseTransport { transport });
        Ok(())
    }
}

fn transport_record(
    state: &State,
    id: PeerId,
    direction: Direction,
    sdp: Option<SdpRecord>,
) -> Result<TransportRecord, RequestError> {
    let peer = state.peers.get(&id).ok_or_else(not_joined)?;
    let mut record = TransportRecord {
        peer: id.0,
        user: peer.user.clone(),
        display_name: peer.display_name.clone(),
        secret_hash: peer.secret_hash.clone(),
        sends: direction.sends(),
        receives: direction == Direction::SendRecv,
        sdp,
        token: peer.token.as_ref().map(TokenRecord::from),
        metadata: peer.metadata.clone(),
        muted_audio: peer.mute.audio,
        muted_video: peer.mute.video,
        muted_producers: peer.mute.producers.iter().map(|producer| producer.0).collect(),
        muted_later_audio: peer.mute.later.audio,
        muted_later_video: peer.mute.later.video,
        subscribers: subscriber_records(peer),
        room: state.rooms.get(&peer.room).and_then(room_record),
        joined_at_ms: peer.quality.joined_at_ms(),
        role: peer.overrides.admin,
        publish_override: peer.overrides.can_publish,
        subscribe_override: peer.overrides.can_subscribe,
        data_override: peer.overrides.can_publish_data,
        ..TransportRecord::default()
    };
    record.set_permissions(&peer.permissions);
    Ok(record)
}

fn subscriber_records(peer: &Peer) -> Vec<SubscribersRecord> {
    let record = |(producer, users): (&ProducerId, &BTreeSet<UserHash>)| SubscribersRecord {
        producer: producer.0,
        users: users.iter().map(|user| user.0.to_vec()).collect(),
    };
    peer.subscribers.iter().map(record).collect()
}

/// `None` for a room that was not changed.
fn room_record(room: &Room) -> Option<RoomRecord> {
    let kicked = |kicked: &Kicked| KickedRecord { token: kicked.token.0.clone(), until: kicked.until };
    let kicked: Vec<_> = room.kicked.iter().map(kicked).collect();
    let is_changed = !kicked.is_empty() || room.policy.revision > 0;
    is_changed.then(|| RoomRecord { policy: Some(room.policy.record()), kicked })
}

/// The commands that store the changed policy of a room: with one transport of each of some peers. Later
/// transports get it when they are created.
pub(super) fn room_updates(state: &State, room: &RoomKey) -> Vec<(Worker, Command)> {
    let peers = state.rooms.get(room).into_iter().flat_map(|room| room.peers.iter().copied());
    let transports = peers.filter_map(|peer| state.peers.get(&peer)?.transports.first().copied());
    transports.take(limits::ROOM_RECORD_COPIES).filter_map(|transport| update(state, transport)).collect()
}

/// The commands that store what has changed of a peer with each of its transports.
pub(super) fn peer_updates(state: &State, id: PeerId) -> Vec<(Worker, Command)> {
    let transports = state.peers.get(&id).into_iter().flat_map(|peer| peer.transports.iter().copied());
    transports.filter_map(|transport| update(state, transport)).collect()
}

/// The command that stores the data of a transport; `None` if it is gone, or its data too long.
pub(super) fn update(state: &State, transport: TransportId) -> Option<(Worker, Command)> {
    let of = state.transports.get(&transport)?;
    let packed = |sdp| app_data::pack(&transport_record(state, of.peer, of.direction, sdp).ok()?).ok();
    // What administrators decided counts more than the negotiation, if there is no room for both.
    let app_data = packed(of.sdp.clone()).or_else(|| packed(None))?;
    Some((of.worker, Command::SetAppData { transport, app_data }))
}

/// What the engine offers (RFC 8841).
fn sctp_parameters() -> SctpParameters {
    let streams = u32::from(limits::DATA_STREAMS_MAX);
    SctpParameters {
        port: limits::SCTP_PORT.into(),
        os: streams,
        mis: streams,
        max_message_size: limits::DATA_MESSAGE_LEN_MAX,
    }
}
