//! Data channels of a call: messages of the publisher to all subscribers.

use crate::Call;
use crate::call::transport_of;
use control::{
    Command, ConsumeData, DataChannel, DataConsumerId, DataProducerId, DataReliability, ProduceData, Text,
};
use std::time::Duration;

const PRODUCER: DataProducerId = DataProducerId(1);
const STREAM: u16 = 0;
/// Between two looks at the timers.
const STEP: Duration = Duration::from_millis(1);

impl Call {
    /// Opens a reliable channel from the publisher to all subscribers, and sends the first message.
    ///
    /// # Panics
    /// If it does not arrive.
    pub fn open_channel(&mut self) {
        let channel = || DataChannel {
            label: Text::new("files"),
            protocol: Text::new(""),
            is_unordered: false,
            reliability: DataReliability::Reliable,
            priority: 256,
        };
        let (transport, app_data) = (transport_of(0), Default::default());
        let produce = ProduceData {
            transport,
            producer: PRODUCER,
            stream: STREAM,
            channel: channel(),
            app_data,
            is_dcep: false,
        };
        for shard in 0..self.shard_count() {
            self.request_at(shard, Command::ProduceData(produce.clone()));
        }
        for subscriber in 1..=self.shape.subscribers {
            let consume = Command::ConsumeData(ConsumeData {
                transport: transport_of(subscriber),
                producer: PRODUCER,
                consumer: DataConsumerId(subscriber as u64),
                stream: STREAM,
                channel: channel(),
                app_data: Default::default(),
                is_dcep: false,
            });
            self.request_at(self.shard_of(subscriber), consume);
        }
        for peer in &mut self.peers {
            peer.channels_mut().open(STREAM, sctp::Channel::reliable("files"));
        }
        self.send_message(b"first");
    }

    /// The publisher sends a message, and time passes until all subscribers have it. The shard's part is measured.
    ///
    /// # Panics
    /// If a subscriber does not get it within 20 seconds, or gets another one.
    pub fn send_message(&mut self, payload: &[u8]) {
        let counts: Vec<usize> = self.peers.iter().map(|peer| peer.channels().received().len()).collect();
        self.peers[0].channels_mut().send(STREAM, payload.to_vec());
        for _ in 0..20_000 {
            let is_everywhere =
                (1..self.peers.len()).all(|peer| self.peers[peer].channels().received().len() > counts[peer]);
            if is_everywhere {
                let mut last = self.peers[1..].iter().map(|peer| peer.channels().received().last());
                assert!(last.all(|last| last.is_some_and(|last| last.payload == payload)));
                return;
            }
            self.exchange();
            self.pass(STEP);
        }
        panic!("the message does not arrive at all subscribers");
    }
}
