//! Transports: what a client sends and receives media on.

use super::app_data::{self, TransportRecord};
use super::lookup::{gone, not_joined, own_transport, sends, wrong_answer};
use super::state::{PeerId, State, Transport};
use super::{Rooms, random_id};
use crate::engine::{AskError, Worker};
use crate::limits;
use crate::ortc::dtls;
use crate::proto::{
    ConnectTransport, CreateTransport, IceRestarted, RestartIce, TransportCreated, signal::Payload,
};
use crate::request_error::RequestError;
use control::{AppData, Command, Event, TransportId};
use std::collections::{BTreeSet, HashSet};

impl Rooms {
    /// Whatever the token permits: clients make both transports when they join, and one that carries nothing costs
    /// little. What it does not permit is refused in `produce` and `consume`.
    pub(super) async fn create_transport(
        &self,
        peer: PeerId,
        create: CreateTransport,
    ) -> Result<Payload, RequestError> {
        let sends = sends(&create.direction)?;
        let router = self.router(peer).await?;
        let (transport, app_data) = self.reserve_transport(peer, router.worker, sends, false)?;
        let command = control::CreateTransport { router: router.id, transport, app_data };
        let made = self.make_transport(router.worker, transport, Command::CreateTransport(command)).await?;
        let Event::TransportCreated { ice, fingerprint, candidates, .. } = made else {
            return Err(wrong_answer(&made));
        };
        let user = self.state().peers.get(&peer).ok_or_else(gone)?.user.clone();
        let ice_servers = self.ice_servers(&user);
        Ok(Payload::TransportCreated(TransportCreated {
            id: transport.to_string(),
            ice_parameters: Some(dtls::ice(&ice)),
            ice_candidates: dtls::candidates(&candidates),
            dtls_parameters: Some(dtls::parameters(&fingerprint)),
            ice_servers,
        }))
    }

    /// Enters a transport that the engine is about to be asked for: its id, and what the engine is to keep beside it.
    pub(super) fn reserve_transport(
        &self,
        peer: PeerId,
        worker: Worker,
        sends: bool,
        is_plain: bool,
    ) -> Result<(TransportId, AppData), RequestError> {
        let mut state = self.state();
        let count = state.peers.get(&peer).ok_or_else(not_joined)?.transports.len();
        if count >= limits::TRANSPORTS_PER_PEER_MAX {
            let text =
                format!("a peer has at most {} transports; close one first", limits::TRANSPORTS_PER_PEER_MAX);
            return Err(RequestError::limit(text));
        }
        let app_data = app_data::pack(&transport_record(&state, peer, sends)?)?;
        let transport = TransportId(random_id());
        state.insert_transport(transport, new_transport(peer, worker, sends, is_plain));
        Ok((transport, app_data))
    }

    /// Asks the engine for a transport that is entered: its answer, that it is there. If it is not, it is forgotten here too.
    pub(super) async fn make_transport(
        &self,
        worker: Worker,
        transport: TransportId,
        command: Command,
    ) -> Result<Event, RequestError> {
        let answer = self.engine.ask(worker, command).await;
        let mut state = self.state();
        match answer {
            Ok(made @ (Event::TransportCreated { .. } | Event::PlainTransportCreated { .. })) => {
                state.transports.get_mut(&transport).ok_or_else(gone)?.made = made.request();
                Ok(made)
            }
            other => {
                state.remove_transport(transport);
                Err(self.give_up(worker, other, Command::CloseTransport { transport }))
            }
        }
    }

    pub(super) async fn connect_transport(
        &self,
        peer: PeerId,
        connect: ConnectTransport,
    ) -> Result<(), RequestError> {
        let parameters = connect
            .dtls_parameters
            .ok_or_else(|| RequestError::bad("ConnectTransport needs dtlsParameters"))?;
        let fingerprint = dtls::fingerprint(&parameters)?;
        let (transport, worker) = own_transport(&self.state(), peer, &connect.transport_id)?;
        self.engine.ask(worker, Command::ConnectTransport { transport, fingerprint }).await?;
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
            (transport, worker, state.peers[&peer].user.clone())
        };
        let ice_servers = self.ice_servers(&user);
        match self.engine.ask(worker, Command::RestartIce { transport }).await? {
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
        self.engine.tell(worker, Command::CloseTransport { transport });
        Ok(())
    }

    /// The failure of a request to make something, whose answer was not that it is there. Where the engine may have made it all
    /// the same, `undo` is sent after it.
    pub(super) fn give_up(
        &self,
        worker: Worker,
        answer: Result<Event, AskError>,
        undo: Command,
    ) -> RequestError {
        match answer {
            Ok(other) => {
                self.engine.tell(worker, undo);
                wrong_answer(&other)
            }
            Err(error) => {
                if matches!(error, AskError::TimedOut) {
                    self.engine.tell(worker, undo);
                }
                error.into()
            }
        }
    }
}

pub(super) fn new_transport(peer: PeerId, worker: Worker, sends: bool, is_plain: bool) -> Transport {
    Transport {
        peer,
        worker,
        sends,
        is_plain,
        next_mid: 0,
        ssrcs: HashSet::new(),
        producers: BTreeSet::new(),
        consumers: BTreeSet::new(),
        made: None,
    }
}

fn transport_record(state: &State, id: PeerId, sends: bool) -> Result<TransportRecord, RequestError> {
    let peer = state.peers.get(&id).ok_or_else(not_joined)?;
    Ok(TransportRecord {
        peer: id.0,
        user: peer.user.clone(),
        display_name: peer.display_name.clone(),
        secret_hash: peer.secret_hash.clone(),
        can_publish: peer.permissions.can_publish,
        can_subscribe: peer.permissions.can_subscribe,
        sends,
        can_use_plain_transports: peer.permissions.can_use_plain_transports,
    })
}

/// What the engine has to keep beside the transports of a peer whose permissions have changed.
pub(super) fn permission_updates(state: &State, id: PeerId) -> Vec<(Worker, Command)> {
    let transports = state.peers.get(&id).into_iter().flat_map(|peer| peer.transports.iter().copied());
    let update = |transport: TransportId| {
        let of = state.transports.get(&transport)?;
        let app_data = app_data::pack(&transport_record(state, id, of.sends).ok()?).ok()?;
        Some((of.worker, Command::SetAppData { transport, app_data }))
    };
    transports.filter_map(update).collect()
}
