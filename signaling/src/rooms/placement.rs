//! Rooms over several workers: where a peer goes, and what is made so that it finds the others there.
//!
//! A room's router is at home on one worker. Where peers of the room are placed elsewhere, that worker has a mirror of it, by the same id. What
//! one of them consumes of another worker is made there a second time, by the same ids, on a pipe; the engine moves the packets, passes
//! keyframe requests and layers back, and closes the copy with the original. All these commands can be repeated, so nobody waits here
//! for what somebody else has asked for.

use super::app_data::{self, RouterRecord};
use super::lookup::{gone, not_joined};
use super::state::{PeerId, Router, State};
use super::{Rooms, random_id};
use crate::engine::{AskError, Worker};
use crate::ortc::Produced;
use crate::request_error::RequestError;
use control::{AppData, Command, CreatePipe, Kind, ProducerId, RouterId, TransportId};

impl Rooms {
    /// The router for a transport of this peer, on the worker that it is placed on; made if there is none. Asking twice for the same one
    /// does no harm.
    pub(super) async fn router(&self, peer: PeerId) -> Result<Router, RequestError> {
        let (home, room, worker) = {
            let mut guard = self.state();
            let state = &mut *guard;
            let worker = state.place(peer, self.spread_above)?;
            let room = state.peers.get(&peer).ok_or_else(not_joined)?.room.clone();
            let entry = state.rooms.get_mut(&room).ok_or_else(not_joined)?;
            let home = entry.router.get_or_insert_with(|| Router {
                id: RouterId(random_id()),
                worker,
                made: None,
                waiting_requests: 0,
            });
            if home.made.is_none() {
                home.waiting_requests += 1;
            }
            (*home, room, worker)
        };
        let home = if home.made.is_some() { home } else { self.make_home(&room, home).await? };
        self.mirror(&room, home, worker).await?;
        Ok(Router { worker, ..home })
    }

    /// Asks the engine for a room's router. Several requests may ask for the same one at a time; it is there when one of them is answered,
    /// and given up when all of them have failed.
    async fn make_home(&self, room: &str, router: Router) -> Result<Router, RequestError> {
        let app_data = app_data::pack(&RouterRecord { room: room.to_owned(), mirror_of: 0 });
        let answer = match app_data {
            Ok(app_data) => {
                let command = Command::CreateRouter { router: router.id, app_data };
                self.engine.ask(router.worker, command).await.map_err(RequestError::from)
            }
            Err(failure) => Err(failure),
        };
        let mut state = self.state();
        let home = state.rooms.get_mut(room).map(|room| &mut room.router);
        let home = home.filter(|home| home.is_some_and(|home| home.id == router.id));
        let Some(Some(current)) = home else {
            // The room has ended, or the engine's life has: what was made belongs to nobody.
            self.engine.tell(router.worker, Command::CloseRouter { router: router.id });
            return Err(answer.err().unwrap_or_else(gone));
        };
        current.waiting_requests = current.waiting_requests.saturating_sub(1);
        match answer {
            Ok(event) => {
                current.made = current.made.or(event.request());
                self.observe_audio(current.worker, current.id);
                Ok(*current)
            }
            Err(_) if current.made.is_some() => Ok(*current),
            Err(failure) => {
                if current.waiting_requests == 0 {
                    // The next one to ask starts over; a router that was made all the same is closed.
                    if let Some(room) = state.rooms.get_mut(room) {
                        room.router = None;
                    }
                    self.engine.tell(router.worker, Command::CloseRouter { router: router.id });
                }
                Err(failure)
            }
        }
    }

    /// Makes sure that a room has its router on this worker too.
    async fn mirror(&self, room: &str, home: Router, worker: Worker) -> Result<(), RequestError> {
        let is_there = |state: &State| {
            let room = state.rooms.get(room);
            room.is_some_and(|room| worker == home.worker || room.mirrors.contains_key(&worker))
        };
        if is_there(&self.state()) {
            return Ok(());
        }
        let (router, mirror_of) = (home.id, home.worker as u32 + 1);
        let app_data = app_data::pack(&RouterRecord { room: room.to_owned(), mirror_of })?;
        let answer = self.engine.ask(worker, Command::CreateRouter { router, app_data }).await?;
        let mut state = self.state();
        let is_home = |known: Option<Router>| known.is_some_and(|known| known.id == router);
        match (state.rooms.get_mut(room).filter(|room| is_home(room.router)), answer.request()) {
            (Some(room), Some(made)) => {
                room.mirrors.insert(worker, made);
                self.observe_audio(worker, router);
                Ok(())
            }
            // The room has ended meanwhile.
            _ => {
                self.engine.tell(worker, Command::CloseRouter { router });
                Err(gone())
            }
        }
    }

    /// Makes sure that a producer can be consumed on this worker, if it is another's.
    pub(super) async fn pipe(&self, producer: ProducerId, worker: Worker) -> Result<(), RequestError> {
        let (room, home, pipe, produce) = {
            let state = self.state();
            let found = state.producers.get(&producer).ok_or_else(gone)?;
            let origin = state.worker_of(found.transport).ok_or_else(gone)?;
            if origin == worker || state.piped.contains(&(producer, worker)) {
                return Ok(());
            }
            let room = state.peers.get(&found.peer).ok_or_else(gone)?.room.clone();
            let home = state.rooms.get(&room).and_then(|room| room.router).ok_or_else(gone)?;
            let (router, transport) = (home.id, found.transport);
            let app_data = AppData::default();
            let pipe = CreatePipe { router, transport, worker: origin as u16, app_data };
            (room, home, pipe, copy_of(producer, transport, found.kind, &found.produced))
        };
        self.mirror(&room, home, worker).await?;
        self.engine.ask(worker, Command::CreatePipe(pipe)).await?;
        self.engine.ask(worker, Command::Produce(produce)).await?;
        let mut state = self.state();
        if !state.producers.contains_key(&producer) {
            // The engine closes it too, when it finds that there is no original.
            self.engine.tell(worker, Command::CloseProducer { producer });
            return Err(gone());
        }
        state.piped.insert((producer, worker));
        Ok(())
    }

    /// Who speaks in a room is told by its home, which therefore listens to everybody.
    pub(super) async fn pipe_to_home_worker(&self, peer: PeerId, producer: ProducerId) {
        let home = {
            let state = self.state();
            let room = state.peers.get(&peer).and_then(|peer| state.rooms.get(&peer.room));
            room.and_then(|room| room.router).map(|router| router.worker)
        };
        let Some(home) = home else { return };
        if let Err(failure) = self.pipe(producer, home).await {
            tracing::warn!(peerId = %peer, producer = %producer, error = %failure, "a microphone is not heard where speakers are told");
        }
    }
}

/// The same once more. Whether it is paused, the original says.
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
    /// Where a new transport of a peer goes: to its others; else, in a small room, to where the room is at home; else to the worker with
    /// the fewest transports.
    fn place(&self, id: PeerId, spread_above: usize) -> Result<Worker, RequestError> {
        let least = self.media.least_loaded().ok_or(AskError::Away)?;
        let peer = self.peers.get(&id).ok_or_else(not_joined)?;
        let room = self.rooms.get(&peer.room).ok_or_else(not_joined)?;
        let own = peer.transports.iter().find_map(|transport| self.worker_of(*transport));
        let home = room.router.filter(|_| room.peers.len() <= spread_above).map(|router| router.worker);
        Ok(own.or(home).unwrap_or(least))
    }
}
