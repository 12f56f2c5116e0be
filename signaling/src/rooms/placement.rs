//! Rooms on several workers: on which worker a peer is placed, and how it consumes producers of other
//! workers.
//!
//! A room's router has a home worker. If peers of the room are placed on another worker, that worker has a
//! mirror of the router with the same id. What one of them consumes of a producer of another worker is
//! created there a second time, with the same ids, on a pipe. The engine forwards the packets, passes
//! keyframe requests and layers back, and closes the copy with the original. All these commands are
//! idempotent, so concurrent requests need not wait for each other.

use super::app_data::{self, RouterRecord};
use super::lookup::{gone, not_joined};
use super::room_key::RoomKey;
use super::state::{PeerId, Router, State};
use super::{Rooms, random_id};
use crate::media_node::{AskError, Worker};
use crate::ortc::Produced;
use crate::request_error::RequestError;
use control::{AppData, Command, CreatePipe, Kind, ProducerId, RequestId, RouterId, TransportId};

impl Rooms {
    /// The router for a transport of this peer, on the worker on which the peer is placed. Creates it if
    /// there is none.
    pub(super) async fn router(&self, peer: PeerId) -> Result<Router, RequestError> {
        let (home, room, worker, reservation) = {
            let mut guard = self.state();
            let state = &mut *guard;
            let worker = state.place(peer, self.spread_above)?;
            let room = state.peers.get(&peer).ok_or_else(not_joined)?.room.clone();
            let entry = state.rooms.get_mut(&room).ok_or_else(not_joined)?;
            let home = entry.router.get_or_insert_with(|| Router {
                id: RouterId(random_id()),
                worker,
                created_by: None,
                waiting_requests: 0,
            });
            let reservation = home.created_by.is_none().then(|| RouterReservation::new(self, &room, home));
            (*home, room, worker, reservation)
        };
        let home = match reservation {
            Some(reservation) => self.create_router(home, reservation).await?,
            None => home,
        };
        self.mirror(&room, home, worker).await?;
        Ok(Router { worker, ..home })
    }

    /// Asks for a room's router on its home worker. Several requests may do so at the same time: the router
    /// exists as soon as one of them is answered.
    async fn create_router(
        &self,
        router: Router,
        reservation: RouterReservation<'_>,
    ) -> Result<Router, RequestError> {
        let app_data = app_data::pack(&RouterRecord::new(&reservation.room, 0))?;
        let command = Command::CreateRouter { router: router.id, app_data };
        match self.node.ask(router.worker, command).await {
            Ok(event) => reservation.commit(event.request()),
            Err(error) => reservation.created_by_another_request().ok_or_else(|| error.into()),
        }
    }

    /// Makes sure that a room has its router on this worker too.
    async fn mirror(&self, room: &RoomKey, home: Router, worker: Worker) -> Result<(), RequestError> {
        let exists = |state: &State| {
            let room = state.rooms.get(room);
            room.is_some_and(|room| worker == home.worker || room.mirrors.contains_key(&worker))
        };
        if exists(&self.state()) {
            return Ok(());
        }
        let (router, mirror_of) = (home.id, home.worker as u32 + 1);
        let app_data = app_data::pack(&RouterRecord::new(room, mirror_of))?;
        let answer = self.node.ask(worker, Command::CreateRouter { router, app_data }).await?;
        let mut state = self.state();
        let is_home = |known: Option<Router>| known.is_some_and(|known| known.id == router);
        match (state.rooms.get_mut(room).filter(|room| is_home(room.router)), answer.request()) {
            (Some(room), Some(created_by)) => {
                room.mirrors.insert(worker, created_by);
                self.observe_audio(worker, router);
                Ok(())
            }
            // The room has ended in the meantime.
            _ => {
                self.node.tell(worker, Command::CloseRouter { router });
                Err(gone())
            }
        }
    }

    /// Makes sure that a producer can be consumed on this worker, if it belongs to another worker.
    pub(super) async fn pipe(&self, producer: ProducerId, worker: Worker) -> Result<(), RequestError> {
        let (peer, produce) = {
            let state = self.state();
            let found = state.producers.get(&producer).ok_or_else(gone)?;
            let origin = state.worker_of(found.transport).ok_or_else(gone)?;
            if origin == worker || state.piped.contains(&(producer, worker)) {
                return Ok(());
            }
            (found.peer, copy_of(producer, found.transport, found.kind, &found.produced))
        };
        self.create_pipe(peer, produce.transport, worker).await?;
        self.node.ask(worker, Command::Produce(produce)).await?;
        let mut state = self.state();
        if !state.producers.contains_key(&producer) {
            // The engine also closes the copy when it finds no original.
            self.node.tell(worker, Command::CloseProducer { producer });
            return Err(gone());
        }
        state.piped.insert((producer, worker));
        Ok(())
    }

    /// The same for a data producer. `copy`: the command that creates it there.
    pub(super) async fn pipe_data(
        &self,
        copy: control::ProduceData,
        worker: Worker,
    ) -> Result<(), RequestError> {
        let producer = copy.producer;
        let peer = {
            let state = self.state();
            let found = state.data_producers.get(&producer).ok_or_else(gone)?;
            let origin = state.worker_of(found.transport).ok_or_else(gone)?;
            if origin == worker || state.piped_data.contains(&(producer, worker)) {
                return Ok(());
            }
            found.peer
        };
        self.create_pipe(peer, copy.transport, worker).await?;
        self.node.ask(worker, Command::ProduceData(copy)).await?;
        let mut state = self.state();
        if !state.data_producers.contains_key(&producer) {
            self.node.tell(worker, Command::CloseDataProducer { producer });
            return Err(gone());
        }
        state.piped_data.insert((producer, worker));
        Ok(())
    }

    /// Makes sure that there is a pipe on this worker for what a peer sends on a transport of another one.
    async fn create_pipe(
        &self,
        peer: PeerId,
        transport: TransportId,
        worker: Worker,
    ) -> Result<(), RequestError> {
        let (room, home, pipe) = {
            let state = self.state();
            let origin = state.worker_of(transport).ok_or_else(gone)?;
            let room = state.peers.get(&peer).ok_or_else(gone)?.room.clone();
            let home = state.rooms.get(&room).and_then(|room| room.router).ok_or_else(gone)?;
            (room, home, CreatePipe { router: home.id, transport, worker: origin as u16 })
        };
        self.mirror(&room, home, worker).await?;
        self.node.ask(worker, Command::CreatePipe(pipe)).await?;
        Ok(())
    }

    /// Pipes a microphone to the home worker of its room, which detects the active speakers for the whole
    /// room.
    pub(super) async fn pipe_to_home_worker(&self, peer: PeerId, producer: ProducerId) {
        let home = {
            let state = self.state();
            let room = state.peers.get(&peer).and_then(|peer| state.rooms.get(&peer.room));
            room.and_then(|room| room.router).map(|router| router.worker)
        };
        let Some(home) = home else { return };
        if let Err(error) = self.pipe(producer, home).await {
            tracing::warn!(
                peerId = %peer,
                producer = %producer,
                %error,
                "active-speaker detection misses this producer: piping it to the home worker failed"
            );
        }
    }
}

/// One of the requests that wait for a room's router on its home worker.
///
/// Dropping the last one without [`Self::commit`] removes and closes the router. That takes the lock of the
/// tables: drop it only while the lock is free.
struct RouterReservation<'a> {
    rooms: &'a Rooms,
    room: RoomKey,
    id: RouterId,
    worker: Worker,
    is_committed: bool,
}

impl<'a> RouterReservation<'a> {
    fn new(rooms: &'a Rooms, room: &RoomKey, router: &mut Router) -> Self {
        router.waiting_requests += 1;
        Self { rooms, room: room.clone(), id: router.id, worker: router.worker, is_committed: false }
    }

    /// Confirms the router.
    fn commit(mut self, created_by: Option<RequestId>) -> Result<Router, RequestError> {
        let rooms = self.rooms;
        let mut state = rooms.state();
        // Without an entry the room, or the engine, has ended: dropping the reservation closes the router.
        let Some(router) = state.router_mut(&self.room, self.id) else {
            drop(state);
            return Err(gone());
        };
        self.is_committed = true;
        router.waiting_requests = router.waiting_requests.saturating_sub(1);
        router.created_by = router.created_by.or(created_by);
        rooms.observe_audio(router.worker, router.id);
        Ok(*router)
    }

    /// The router, if another request has created it.
    fn created_by_another_request(&self) -> Option<Router> {
        let mut state = self.rooms.state();
        state.router_mut(&self.room, self.id).filter(|router| router.created_by.is_some()).copied()
    }
}

impl Drop for RouterReservation<'_> {
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        let mut state = self.rooms.state();
        if let Some(router) = state.router_mut(&self.room, self.id) {
            router.waiting_requests = router.waiting_requests.saturating_sub(1);
            if router.created_by.is_some() || router.waiting_requests > 0 {
                return;
            }
            // The next request starts again, with a new router.
            if let Some(room) = state.rooms.get_mut(&self.room) {
                room.router = None;
            }
        }
        self.rooms.node.tell(self.worker, Command::CloseRouter { router: self.id });
    }
}

/// The command that creates the copy of a producer. The original decides whether it is paused.
fn copy_of(
    producer: ProducerId,
    transport: TransportId,
    kind: Kind,
    produced: &Produced,
) -> control::Produce {
    let Produced { mid, codecs, encodings, extensions, .. } = produced.clone();
    let (paused, app_data) = (false, AppData::default());
    control::Produce { transport, producer, kind, mid, codecs, encodings, extensions, paused, app_data }
}

impl State {
    /// The router of a room on its home worker, if it has this id.
    fn router_mut(&mut self, room: &RoomKey, id: RouterId) -> Option<&mut Router> {
        self.rooms.get_mut(room)?.router.as_mut().filter(|router| router.id == id)
    }

    /// The worker for a new transport of a peer: that of its other transports; else, in a small room, the
    /// home worker of the room; else the worker with the fewest transports.
    fn place(&self, id: PeerId, spread_above: usize) -> Result<Worker, RequestError> {
        let least = self.media.least_loaded().ok_or(AskError::Away)?;
        let peer = self.peers.get(&id).ok_or_else(not_joined)?;
        let room = self.rooms.get(&peer.room).ok_or_else(not_joined)?;
        let own = peer.transports.iter().find_map(|transport| self.worker_of(*transport));
        let home = room.router.filter(|_| room.peers.len() <= spread_above).map(|router| router.worker);
        Ok(own.or(home).unwrap_or(least))
    }
}
