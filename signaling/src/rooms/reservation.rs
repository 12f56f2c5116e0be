//! Objects that a worker is being asked for.
//!
//! The entry in the tables comes first, then the request to the worker, then the commit. Whatever fails in
//! between, dropping the [`Reservation`] removes the entry again.

use super::Rooms;
use super::lookup::gone;
use super::object::Object;
use super::state::{Consumer, DataConsumer, DataProducer, Producer, State, Transport};
use crate::media_node::Worker;
use crate::request_error::RequestError;
use control::{
    Command, ConsumerId, DataConsumerId, DataProducerId, Event, ProducerId, RequestId, TransportId,
};

/// An entry in the tables for an object that its worker has not confirmed yet.
///
/// Dropping it without [`Self::commit`] removes the entry, and closes the object if the worker may have
/// created it. That takes the lock of the tables: drop it only while the lock is free.
pub(super) struct Reservation<'a> {
    rooms: &'a Rooms,
    worker: Worker,
    entry: Entry,
    /// Whether the worker may have created the object.
    may_exist: bool,
    is_committed: bool,
}

impl<'a> Reservation<'a> {
    /// Enters a transport.
    pub(super) fn transport(
        rooms: &'a Rooms,
        state: &mut State,
        id: TransportId,
        transport: Transport,
    ) -> Self {
        let worker = transport.worker;
        state.insert_transport(id, transport);
        Self::new(rooms, worker, Entry::Transport(id))
    }

    /// Enters a producer of a transport on `worker`.
    pub(super) fn producer(
        rooms: &'a Rooms,
        state: &mut State,
        worker: Worker,
        id: ProducerId,
        producer: Producer,
    ) -> Self {
        state.insert_producer(id, producer);
        Self::new(rooms, worker, Entry::Producer(id))
    }

    /// Enters a consumer of a transport on `worker`.
    pub(super) fn consumer(
        rooms: &'a Rooms,
        state: &mut State,
        worker: Worker,
        id: ConsumerId,
        consumer: Consumer,
    ) -> Self {
        state.insert_consumer(id, consumer);
        Self::new(rooms, worker, Entry::Consumer(id))
    }

    /// Enters a data producer of a transport on `worker`.
    pub(super) fn data_producer(
        rooms: &'a Rooms,
        state: &mut State,
        worker: Worker,
        id: DataProducerId,
        producer: DataProducer,
    ) -> Self {
        state.insert_data_producer(id, producer);
        Self::new(rooms, worker, Entry::DataProducer(id))
    }

    /// Enters a data consumer of a transport on `worker`.
    pub(super) fn data_consumer(
        rooms: &'a Rooms,
        state: &mut State,
        worker: Worker,
        id: DataConsumerId,
        consumer: DataConsumer,
    ) -> Self {
        state.insert_data_consumer(id, consumer);
        Self::new(rooms, worker, Entry::DataConsumer(id))
    }

    fn new(rooms: &'a Rooms, worker: Worker, entry: Entry) -> Self {
        Self { rooms, worker, entry, may_exist: false, is_committed: false }
    }

    /// The worker that is asked for the object.
    pub(super) fn worker(&self) -> Worker {
        self.worker
    }

    /// Asks the worker for the object.
    pub(super) async fn ask(&mut self, command: Command) -> Result<Event, RequestError> {
        self.may_exist = true;
        let answer = self.rooms.node.ask(self.worker, command).await;
        self.may_exist = match &answer {
            Ok(_) => true,
            Err(error) => error.may_have_succeeded(),
        };
        Ok(answer?)
    }

    /// Confirms the object, which the worker created for the request `created_by`. Fails if the entry was
    /// removed in the meantime; whatever removed it has closed the object as well.
    pub(super) fn commit(mut self, state: &mut State, created_by: RequestId) -> Result<(), RequestError> {
        self.is_committed = true;
        *self.entry.created_by(state).ok_or_else(gone)? = Some(created_by);
        Ok(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        let mut state = self.rooms.state();
        self.entry.remove(&mut state);
        if self.may_exist {
            self.rooms.node.tell(self.worker, self.entry.object().close_command());
        }
    }
}

/// The entry of an object that clients request.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Transport(TransportId),
    Producer(ProducerId),
    Consumer(ConsumerId),
    DataProducer(DataProducerId),
    DataConsumer(DataConsumerId),
}

impl Entry {
    fn object(self) -> Object {
        match self {
            Self::Transport(id) => Object::Transport(id),
            Self::Producer(id) => Object::Producer(id),
            Self::Consumer(id) => Object::Consumer(id),
            Self::DataProducer(id) => Object::DataProducer(id),
            Self::DataConsumer(id) => Object::DataConsumer(id),
        }
    }

    fn created_by(self, state: &mut State) -> Option<&mut Option<RequestId>> {
        Some(match self {
            Self::Transport(id) => &mut state.transports.get_mut(&id)?.created_by,
            Self::Producer(id) => &mut state.producers.get_mut(&id)?.created_by,
            Self::Consumer(id) => &mut state.consumers.get_mut(&id)?.created_by,
            Self::DataProducer(id) => &mut state.data_producers.get_mut(&id)?.created_by,
            Self::DataConsumer(id) => &mut state.data_consumers.get_mut(&id)?.created_by,
        })
    }

    fn remove(self, state: &mut State) {
        match self {
            Self::Transport(id) => _ = state.remove_transport(id),
            Self::Producer(id) => _ = state.remove_producer(id),
            Self::Consumer(id) => _ = state.remove_consumer(id),
            Self::DataProducer(id) => _ = state.remove_data_producer(id),
            Self::DataConsumer(id) => _ = state.remove_data_consumer(id),
        }
    }
}
