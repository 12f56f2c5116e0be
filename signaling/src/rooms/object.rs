//! Objects of a media node, whatever their kind.

use control::{
    Closed, Command, ConsumerId, DataConsumerId, DataProducerId, Event, ProducerId, RouterId, SnapshotItem,
    TransportId,
};

/// An object by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Object {
    Router(RouterId),
    Transport(TransportId),
    Producer(ProducerId),
    Consumer(ConsumerId),
    DataProducer(DataProducerId),
    DataConsumer(DataConsumerId),
}

impl Object {
    /// The command that closes it.
    pub(super) fn close_command(self) -> Command {
        match self {
            Self::Router(router) => Command::CloseRouter { router },
            Self::Transport(transport) => Command::CloseTransport { transport },
            Self::Producer(producer) => Command::CloseProducer { producer },
            Self::Consumer(consumer) => Command::CloseConsumer { consumer },
            Self::DataProducer(producer) => Command::CloseDataProducer { producer },
            Self::DataConsumer(consumer) => Command::CloseDataConsumer { consumer },
        }
    }

    /// The event that reports its end.
    pub(super) fn closed_event(self, closed: Closed) -> Event {
        match self {
            Self::Router(router) => Event::RouterClosed { router, closed },
            Self::Transport(transport) => Event::TransportClosed { transport, closed },
            Self::Producer(producer) => Event::ProducerClosed { producer, closed },
            Self::Consumer(consumer) => Event::ConsumerClosed { consumer, closed },
            Self::DataProducer(producer) => Event::DataProducerClosed { producer, closed },
            Self::DataConsumer(consumer) => Event::DataConsumerClosed { consumer, closed },
        }
    }

    /// The name of its kind, for the log.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Router(_) => "router",
            Self::Transport(_) => "transport",
            Self::Producer(_) => "producer",
            Self::Consumer(_) => "consumer",
            Self::DataProducer(_) => "data producer",
            Self::DataConsumer(_) => "data consumer",
        }
    }
}

impl From<&SnapshotItem> for Object {
    fn from(item: &SnapshotItem) -> Self {
        match item {
            SnapshotItem::Router { router, .. } => Self::Router(*router),
            SnapshotItem::Transport { transport, .. }
            | SnapshotItem::PlainTransport { transport, .. }
            | SnapshotItem::Pipe { transport, .. } => Self::Transport(*transport),
            SnapshotItem::Producer { producer, .. } => Self::Producer(*producer),
            SnapshotItem::Consumer { consumer, .. } => Self::Consumer(*consumer),
            SnapshotItem::DataProducer { producer, .. } => Self::DataProducer(*producer),
            SnapshotItem::DataConsumer { consumer, .. } => Self::DataConsumer(*consumer),
        }
    }
}
