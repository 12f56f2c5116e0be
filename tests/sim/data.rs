//! Data channels: messages of a peer's data producer reach the consumers of others.

use control::{
    AcceptData, Closed, Command, Counter, CreatePipe, DataChannel, DataProducerId, DataReliability, Discard,
    Event, ProduceData, Refusal, SnapshotItem, Text,
};
use leat_tests::{MS, PeerId, SEC, Track, World};
use sctp::limits::{MESSAGE_LEN_MAX, SEND_BUFFER_MAX};

pub fn channel() -> DataChannel {
    DataChannel {
        label: Text::new("chat"),
        protocol: Text::new(""),
        is_unordered: false,
        reliability: DataReliability::Reliable,
        priority: 256,
    }
}

fn numbered(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + seed * 7) as u8).collect()
}

/// Two connected peers, and a channel from the first to the second: streams 0 and 2.
fn pair(world: &mut World) -> (PeerId, PeerId, DataProducerId) {
    let (alice, bob) = (world.join(), world.join());
    for peer in [alice, bob] {
        world.link(peer).delay(20 * MS);
    }
    world.connect();
    let producer = world.produce_data(alice, 0, channel());
    world.consume_data(bob, producer, 2, channel());
    (alice, bob, producer)
}

#[test]
fn messages_of_every_length_arrive_in_order_despite_loss() {
    for seed in 900..904 {
        let mut world = World::new(seed);
        let (alice, bob, _) = pair(&mut world);
        for peer in [alice, bob] {
            world.link(peer).loss(0.05);
        }
        let lens = [0, 1, 1_000, 1_200, 16 * 1024, 64 * 1024, MESSAGE_LEN_MAX, 17];
        let sent: Vec<Vec<u8>> = lens.iter().enumerate().map(|(index, len)| numbered(*len, index)).collect();
        for message in &sent {
            world.say(alice, 0, message.clone());
        }
        world.run_for(60 * SEC);
        assert_eq!(world.heard(bob, 2).len(), sent.len(), "{world}");
        assert!(world.heard(bob, 2).iter().zip(&sent).all(|(heard, said)| *heard == &said[..]), "{world}");
        let counters = world.shard().counters();
        assert_eq!(counters.value(Counter::DataIn), sent.len() as u64, "{world}");
        assert_eq!(counters.value(Counter::DataLost), 0, "{world}");
        world.assert_sound();
    }
}

/// The channels exist before the handshake, and the engine is the DTLS server of one peer and the client of the
/// other.
#[test]
fn channels_that_are_created_before_dtls_work_in_both_roles() {
    let mut world = World::new(910);
    let (alice, bob) = (world.join(), world.join_as_dtls_server());
    let to_bob = world.produce_data(alice, 0, channel());
    let to_alice = world.produce_data(bob, 4, channel());
    world.consume_data(bob, to_bob, 6, channel());
    world.consume_data(alice, to_alice, 9, channel());
    world.connect();
    world.say(alice, 0, *b"hello");
    world.say(bob, 4, *b"welcome");
    world.run_for(10 * SEC);
    assert_eq!(world.heard(bob, 6), [b"hello"], "{world}");
    assert_eq!(world.heard(alice, 9), [b"welcome"], "{world}");
    world.assert_sound();
}

/// A message goes to all consumers. One of them that does not receive costs a bounded memory, and the others do not
/// wait.
#[test]
fn a_slow_receiver_loses_messages_and_the_others_get_all() {
    let mut world = World::new(920);
    let (alice, bob, producer) = pair(&mut world);
    let slow = world.join();
    world.connect();
    world.consume_data(slow, producer, 2, channel());
    world.run_for(2 * SEC);
    let (count, len) = (120, 64 * 1024);
    assert!(count * len > 3 * SEND_BUFFER_MAX);
    // Nothing arrives at the slow one, and nothing from it.
    world.link(slow).loss(1.0);
    for index in 0..count {
        world.say(alice, 0, numbered(len, index));
        world.run_for(100 * MS);
    }
    world.run_for(5 * SEC);
    assert_eq!(world.heard(bob, 2).len(), count, "{world}");
    let lost = world.shard().counters().value(Counter::DataLost) as usize;
    assert!(lost * len >= count * len - SEND_BUFFER_MAX - 2 * len, "{world}: {lost}");
    world.assert_sound();
}

/// A browser begins its association when its first channel exists there, which may be long before the engine knows
/// a channel of it.
#[test]
fn the_association_of_a_client_is_accepted_before_its_first_channel() {
    let mut world = World::new(960);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    let opened = sctp::Channel::reliable("not known to the engine");
    world.order(alice, |peer, _| peer.channels_mut().open(9, opened));
    world.say(alice, 9, *b"without a receiver");
    world.run_for(90 * SEC);
    assert_eq!(world.shard().counters().discarded(Discard::DtlsData), 0, "{world}");
    let producer = world.produce_data(alice, 0, channel());
    world.consume_data(bob, producer, 2, channel());
    world.say(alice, 0, *b"to bob");
    world.run_for(SEC);
    assert_eq!(world.heard(bob, 2), [b"to bob"], "{world}");
    world.assert_sound();
}

#[test]
fn closing_a_channel_closes_its_consumers_and_frees_its_streams() {
    let mut world = World::new(930);
    let (alice, bob, producer) = pair(&mut world);
    world.say(alice, 0, *b"first");
    world.run_for(2 * SEC);
    world.demand(Command::CloseDataProducer { producer });
    world.run_for(2 * SEC);
    assert_eq!(world.peer(bob).channels().closed(), [2], "{world}");
    assert_eq!(world.peer(alice).channels().closed(), [0], "{world}");
    let closed = |event: &Event| match event {
        Event::DataProducerClosed { closed, .. } | Event::DataConsumerClosed { closed, .. } => Some(*closed),
        _ => None,
    };
    let all: Vec<_> = world.events().iter().filter_map(|(_, event)| closed(event)).collect();
    assert_eq!(all, [Closed::Requested; 2], "{world}");
    // The same streams again.
    let again = world.produce_data(alice, 0, channel());
    world.consume_data(bob, again, 2, channel());
    world.say(alice, 0, *b"second");
    world.run_for(2 * SEC);
    assert_eq!(world.heard(bob, 2), [&b"first"[..], b"second"], "{world}");
    // The peer closes it.
    world.order(alice, |peer, _| peer.channels_mut().close(0));
    world.run_for(2 * SEC);
    let by_peer = world.events().iter().filter_map(|(_, event)| closed(event));
    assert_eq!(by_peer.filter(|closed| *closed == Closed::PeerClosed).count(), 2, "{world}");
    assert_eq!(world.peer(bob).channels().closed(), [2, 2], "{world}");
    world.assert_sound();
}

#[test]
fn the_end_of_an_association_closes_its_channels_and_media_continues() {
    let mut world = World::new(940);
    let (alice, bob, _) = pair(&mut world);
    let camera = world.publish(alice, Track::camera());
    let view = world.subscribe(bob, camera);
    world.run_for(2 * SEC);
    world.order(alice, |peer, _| peer.channels_mut().abort());
    world.run_for(SEC);
    let failed = |event: &Event| {
        matches!(
            event,
            Event::DataProducerClosed { closed: Closed::DataFailed, .. }
                | Event::DataConsumerClosed { closed: Closed::DataFailed, .. }
        )
    };
    assert_eq!(world.events().iter().filter(|(_, event)| failed(event)).count(), 2, "{world}");
    let frames = world.sink(view).frames().len();
    world.run_for(2 * SEC);
    assert!(world.sink(view).frames().len() > frames + 30, "{world}");
    world.assert_sound();
}

#[test]
fn commands_are_checked_and_repeatable_and_snapshots_list_channels() {
    let mut world = World::new(950);
    let (alice, bob, producer) = pair(&mut world);
    let transport = world.transport(alice);
    let produce = |stream, number| {
        Command::ProduceData(control::ProduceData {
            transport,
            producer: DataProducerId(number),
            stream,
            channel: channel(),
            app_data: Default::default(),
            is_dcep: false,
        })
    };
    let refused = |world: &mut World, command| match world.request(command) {
        Event::Refused { refusal, .. } => Some(refusal),
        _ => None,
    };
    assert_eq!(refused(&mut world, produce(0, producer.0)), None, "a repetition");
    assert_eq!(refused(&mut world, produce(1, producer.0)), Some(Refusal::Exists));
    assert_eq!(refused(&mut world, produce(0, 7_000)), Some(Refusal::Invalid), "the stream is in use");
    assert_eq!(refused(&mut world, produce(1024, 7_000)), Some(Refusal::Invalid));
    let unknown = Command::CloseDataProducer { producer: DataProducerId(7_000) };
    assert_eq!(refused(&mut world, unknown), Some(Refusal::NotFound));
    let listed = world.snapshot();
    let channels = listed
        .iter()
        .filter(|item| matches!(item, SnapshotItem::DataProducer { .. } | SnapshotItem::DataConsumer { .. }));
    assert_eq!(channels.count(), 2, "{world}");
    // A message on a stream without a reader.
    world.order(bob, |peer, _| peer.channels_mut().send(2, b"against the direction".to_vec()));
    world.run_for(2 * SEC);
    assert_eq!(world.shard().counters().discarded(Discard::DataUnroutable), 1, "{world}");
    // A transport that closes takes its channels with it.
    world.demand(Command::CloseTransport { transport });
    let counters = world.shard().counters();
    assert_eq!(
        (counters.value(Counter::DataProducers), counters.value(Counter::DataConsumers)),
        (0, 0),
        "{world}"
    );
    world.assert_sound();
}

/// The peer may open channels.
fn accept(world: &mut World, peer: PeerId, message_len_max: u32) {
    let transport = world.transport(peer);
    world.demand(Command::AcceptData(AcceptData { transport, port: 5000, message_len_max }));
}

/// The channels that the engine has reported of a peer.
fn reported(world: &World, peer: PeerId) -> Vec<(u16, DataChannel)> {
    let of = world.transport(peer);
    let found = world.events().iter().filter_map(|(_, event)| match event {
        Event::DataChannelOpened { transport, stream, channel } if *transport == of => {
            Some((*stream, channel.clone()))
        }
        _ => None,
    });
    found.collect()
}

/// A producer on a channel that the peer has opened.
fn claim(world: &mut World, peer: PeerId, stream: u16, number: u64) -> Option<Refusal> {
    let transport = world.transport(peer);
    let produce = control::ProduceData {
        transport,
        producer: DataProducerId(number),
        stream,
        channel: channel(),
        app_data: Default::default(),
        is_dcep: true,
    };
    match world.request(Command::ProduceData(produce)) {
        Event::Refused { refusal, .. } => Some(refusal),
        _ => None,
    }
}

/// A consumer on a channel that the engine opens.
fn consume_opened(world: &mut World, peer: PeerId, number: u64, stream: u16) -> Option<Refusal> {
    let consume = control::ConsumeData {
        transport: world.transport(peer),
        producer: DataProducerId(number),
        consumer: control::DataConsumerId(number),
        stream,
        channel: DataChannel { reliability: DataReliability::Retransmissions { max: 3 }, ..channel() },
        app_data: Default::default(),
        is_dcep: true,
    };
    match world.request(Command::ConsumeData(consume)) {
        Event::Refused { refusal, .. } => Some(refusal),
        _ => None,
    }
}

/// One peer is the DTLS client and the other one the server, so the channels have streams of both kinds.
#[test]
fn channels_that_peers_open_become_producers_and_the_engine_opens_those_of_consumers() {
    let mut world = World::new(970);
    let (alice, bob) = (world.join(), world.join_as_dtls_server());
    accept(&mut world, alice, 0);
    world.connect();
    accept(&mut world, bob, 0);
    for (peer, label) in [(alice, "of alice"), (bob, "of bob")] {
        let opened = sctp::Channel { priority: 512, ..sctp::Channel::reliable(label) };
        world.order(peer, |peer, _| peer.channels_mut().announce(opened));
    }
    world.run_for(2 * SEC);
    let described = |label| DataChannel { label: Text::new(label), priority: 512, ..channel() };
    assert_eq!(reported(&world, alice), [(0, described("of alice"))], "{world}");
    assert_eq!(reported(&world, bob), [(1, described("of bob"))], "{world}");
    assert_eq!(claim(&mut world, alice, 2, 5_000), Some(Refusal::NotFound), "not opened");
    assert_eq!(claim(&mut world, alice, 0, 5_000), None);
    assert_eq!(claim(&mut world, bob, 1, 5_001), None);
    assert_eq!(consume_opened(&mut world, bob, 5_000, 3), Some(Refusal::Invalid), "a stream of the peer");
    assert_eq!(consume_opened(&mut world, bob, 5_000, 2), None);
    assert_eq!(consume_opened(&mut world, alice, 5_001, 3), None);
    world.say(alice, 0, *b"hello");
    world.say(bob, 1, *b"welcome");
    world.run_for(2 * SEC);
    assert_eq!(world.heard(bob, 2), [b"hello"], "{world}");
    assert_eq!(world.heard(alice, 3), [b"welcome"], "{world}");
    let limit = sctp::Limit::Retransmissions(3);
    let expected = sctp::Channel {
        reliability: sctp::Reliability { is_unordered: false, limit },
        ..sctp::Channel::reliable("chat")
    };
    assert_eq!(world.peer(bob).channels().opened(), [(2, expected)], "{world}");
    // The end of a producer closes the channel that the engine opened; and the receiver may close it.
    world.order(alice, |peer, _| peer.channels_mut().close(0));
    world.order(alice, |peer, _| peer.channels_mut().close(3));
    world.run_for(2 * SEC);
    assert_eq!(world.peer(bob).channels().closed(), [2], "{world}");
    let closed = world.events().iter().filter_map(|(_, event)| match event {
        Event::DataProducerClosed { producer, closed } => Some((producer.0, *closed)),
        Event::DataConsumerClosed { consumer, closed } => Some((consumer.0, *closed)),
        _ => None,
    });
    let by_peer = Closed::PeerClosed;
    let mut closed: Vec<_> = closed.collect();
    closed.sort_by_key(|(number, _)| *number);
    assert_eq!(closed, [(5_000, by_peer), (5_000, by_peer), (5_001, by_peer)], "{world}");
    world.assert_sound();
}

#[test]
fn channels_of_a_peer_are_closed_unless_they_are_accepted_and_not_too_many() {
    let mut world = World::new(980);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    accept(&mut world, alice, 0);
    let count = sfu::limits::DATA_CHANNELS_OPENED_MAX + 1;
    for number in 0..count {
        let opened = sctp::Channel::reliable(number.to_string());
        world.order(alice, |peer, _| peer.channels_mut().announce(opened));
    }
    world.order(bob, |peer, _| peer.channels_mut().announce(sctp::Channel::reliable("not accepted")));
    world.say(alice, 0, *b"without a producer");
    world.run_for(2 * SEC);
    let last = 2 * (count as u16 - 1);
    assert_eq!(world.peer(alice).channels().closed(), [last], "{world}");
    assert_eq!(world.peer(bob).channels().closed(), [0], "{world}");
    assert_eq!(world.shard().counters().discarded(Discard::DataUnroutable), 1, "{world}");
    let transport = world.transport(alice);
    for _ in 0..2 {
        world.demand(Command::CloseDataChannel { transport, stream: 4 });
    }
    world.run_for(2 * SEC);
    assert_eq!(world.peer(alice).channels().closed(), [last, 4], "{world}");
    // A controller that has missed them.
    let before = reported(&world, alice).len();
    assert_eq!(before, count - 1, "{world}");
    accept(&mut world, alice, 0);
    world.run_for(SEC);
    assert_eq!(reported(&world, alice).len(), before + count - 2, "{world}");
    world.assert_sound();
}

/// `a=max-message-size` of a peer.
#[test]
fn messages_that_a_peer_does_not_accept_are_not_sent_to_it() {
    let mut world = World::new(990);
    let (alice, bob) = (world.join(), world.join());
    world.connect();
    accept(&mut world, bob, 1_000);
    let producer = world.produce_data(alice, 0, channel());
    world.consume_data(bob, producer, 2, channel());
    world.say(alice, 0, numbered(1_001, 0));
    world.say(alice, 0, numbered(1_000, 1));
    world.run_for(2 * SEC);
    assert_eq!(world.heard(bob, 2), [numbered(1_000, 1)], "{world}");
    assert_eq!(world.shard().counters().value(Counter::DataLost), 1, "{world}");
    world.assert_sound();
}

/// Alice on the first worker and others on the second, with a copy of her data producer there.
fn spread(world: &mut World, others: usize) -> (PeerId, Vec<PeerId>, DataProducerId) {
    let alice = world.join_at(0);
    let others: Vec<PeerId> = (0..others).map(|_| world.join_at(1)).collect();
    for peer in others.iter().chain([&alice]) {
        world.link(*peer).delay(20 * MS);
    }
    world.connect();
    let producer = world.produce_data(alice, 0, channel());
    pipe(world, alice, producer);
    for peer in &others {
        world.consume_data(*peer, producer, 2, channel());
    }
    (alice, others, producer)
}

/// The copy of a data producer on the second worker.
fn pipe(world: &mut World, of: PeerId, producer: DataProducerId) {
    let (router, transport) = (world.router(), world.transport(of));
    world.turn_to(1);
    world.demand(Command::CreatePipe(CreatePipe { router, transport, worker: 0 }));
    let (stream, channel, app_data) = (0, channel(), Default::default());
    world.demand(Command::ProduceData(ProduceData {
        transport,
        producer,
        stream,
        channel,
        app_data,
        is_dcep: false,
    }));
}

fn counted(world: &mut World, worker: usize, counter: Counter) -> u64 {
    world.turn_to(worker);
    world.shard().counters().value(counter)
}

#[test]
fn a_message_crosses_once_per_worker_and_reaches_all_consumers_in_order() {
    for seed in 970..973 {
        let mut world = World::with_workers(seed, 2);
        let (alice, others, producer) = spread(&mut world, 3);
        let beside = world.join_at(0);
        world.connect();
        world.consume_data(beside, producer, 2, channel());
        for peer in others.iter().chain([&alice]) {
            world.link(*peer).loss(0.03);
        }
        let lens = [0, 1, 1_000, 16 * 1024, MESSAGE_LEN_MAX, 17, 64 * 1024, 5];
        let sent: Vec<Vec<u8>> = lens.iter().enumerate().map(|(index, len)| numbered(*len, index)).collect();
        for message in &sent {
            world.say(alice, 0, message.clone());
        }
        world.run_for(40 * SEC);
        for peer in others.iter().chain([&beside]) {
            assert!(world.heard(*peer, 2) == sent, "{world}: {}", world.heard(*peer, 2).len());
        }
        let count = sent.len() as u64;
        assert_eq!(counted(&mut world, 0, Counter::PipedOut), count, "{world}");
        assert_eq!(counted(&mut world, 1, Counter::PipedIn), count, "{world}");
        assert_eq!(counted(&mut world, 1, Counter::DataOut), 3 * count, "{world}");
        assert_eq!(counted(&mut world, 0, Counter::DataOut), count, "{world}");
        for worker in 0..2 {
            assert_eq!(counted(&mut world, worker, Counter::PipedLost), 0, "{world}");
            assert_eq!(counted(&mut world, worker, Counter::DataLost), 0, "{world}");
        }
        world.assert_sound();
    }
}

#[test]
fn a_slow_receiver_on_another_worker_loses_messages_and_no_other_waits() {
    let mut world = World::with_workers(975, 2);
    let (alice, others, producer) = spread(&mut world, 2);
    let beside = world.join_at(0);
    world.connect();
    world.consume_data(beside, producer, 2, channel());
    world.run_for(2 * SEC);
    world.link(others[0]).loss(1.0);
    let (count, len) = (120, 64 * 1024);
    for index in 0..count {
        world.say(alice, 0, numbered(len, index));
        world.run_for(100 * MS);
    }
    world.run_for(5 * SEC);
    for peer in [others[1], beside] {
        assert_eq!(world.heard(peer, 2).len(), count, "{world}");
    }
    let lost = counted(&mut world, 1, Counter::DataLost) as usize;
    assert!(lost * len >= count * len - SEND_BUFFER_MAX - 2 * len, "{world}: {lost}");
    assert_eq!(counted(&mut world, 0, Counter::DataLost), 0, "{world}");
    world.assert_sound();
}

/// The last messages arrive before the end.
#[test]
fn the_end_of_a_data_producer_reaches_other_workers_after_its_messages() {
    let mut world = World::with_workers(976, 2);
    let (alice, others, producer) = spread(&mut world, 1);
    world.run_for(2 * SEC);
    let whole = numbered(MESSAGE_LEN_MAX, 1);
    world.say(alice, 0, whole.clone());
    world.say(alice, 0, *b"the last one");
    world.run_for(MS);
    world.order(alice, |peer, _| peer.channels_mut().close(0));
    world.run_for(20 * SEC);
    assert!(world.heard(others[0], 2) == [&whole[..], b"the last one"], "{world}");
    assert_eq!(world.peer(others[0]).channels().closed(), [2], "{world}");
    world.turn_to(1);
    let is_closed =
        |event: &Event| matches!(event, Event::DataProducerClosed { producer: of, .. } if *of == producer);
    assert_eq!(world.events().iter().filter(|(_, event)| is_closed(event)).count(), 1, "{world}");
    let pipes = world.snapshot().into_iter().filter(|item| matches!(item, SnapshotItem::Pipe { .. })).count();
    assert_eq!(pipes, 0, "{world}: the pipe closes with its last producer");
    world.assert_sound();
}

/// A copy without consumers gets no messages, and closes with its original.
#[test]
fn only_workers_with_consumers_get_messages() {
    let mut world = World::with_workers(977, 2);
    let (alice, others, producer) = spread(&mut world, 1);
    world.say(alice, 0, *b"one");
    world.run_for(2 * SEC);
    assert_eq!(world.heard(others[0], 2), [b"one"], "{world}");
    world.order(others[0], |peer, _| peer.channels_mut().close(2));
    world.run_for(2 * SEC);
    world.say(alice, 0, *b"two");
    world.run_for(2 * SEC);
    assert_eq!(counted(&mut world, 0, Counter::PipedOut), 1, "{world}");
    assert_eq!(counted(&mut world, 1, Counter::DataProducers), 1, "{world}");
    world.turn_to(1);
    world.consume_data(others[0], producer, 4, channel());
    world.run_for(SEC);
    world.say(alice, 0, *b"three");
    world.run_for(2 * SEC);
    assert_eq!(world.heard(others[0], 4), [b"three"], "{world}");
    world.order(others[0], |peer, _| peer.channels_mut().close(4));
    world.run_for(2 * SEC);
    let transport = world.transport(alice);
    world.turn_to(0);
    world.demand(Command::CloseTransport { transport });
    world.run_for(2 * SEC);
    assert_eq!(counted(&mut world, 1, Counter::DataProducers), 0, "{world}");
    assert_eq!(counted(&mut world, 1, Counter::DataConsumers), 0, "{world}");
    world.assert_sound();
}

/// Messages between workers are lost: subscriptions and ends are repeated, and no worker waits.
#[test]
fn a_full_mailbox_loses_messages_and_the_pipe_recovers() {
    for seed in 980..983 {
        let mut world = World::with_workers(seed, 2);
        for worker in 0..2 {
            world.turn_to(worker);
            world.outbox().refuse_hand_offs(machine::Rng::from_number(seed + worker as u64), 0.5);
        }
        let (alice, others, producer) = spread(&mut world, 1);
        world.run_for(3 * SEC);
        let count = 100;
        for index in 0..count {
            world.say(alice, 0, numbered(100, index));
        }
        world.run_for(10 * SEC);
        let lost = counted(&mut world, 0, Counter::PipedLost);
        let heard = world.heard(others[0], 2).len();
        assert!(heard > 20 && heard < count && lost > 20, "{world}: {heard}, {lost}");
        // What arrives is in order.
        let sent: Vec<Vec<u8>> = (0..count).map(|index| numbered(100, index)).collect();
        let places: Vec<_> =
            world.heard(others[0], 2).iter().map(|got| sent.iter().position(|one| one == got)).collect();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{world}");
        world.turn_to(0);
        world.demand(Command::CloseDataProducer { producer });
        world.run_for(20 * SEC);
        assert_eq!(counted(&mut world, 1, Counter::DataProducers), 0, "{world}");
        world.assert_sound();
    }
}

#[test]
fn a_copy_of_an_unknown_data_producer_closes_soon() {
    let mut world = World::with_workers(985, 2);
    let (alice, bob) = (world.join_at(0), world.join_at(1));
    world.connect();
    let unknown = DataProducerId(7_777);
    pipe(&mut world, alice, unknown);
    world.consume_data(bob, unknown, 2, channel());
    world.run_for(SEC);
    assert_eq!(counted(&mut world, 1, Counter::DataProducers), 0, "{world}");
    assert_eq!(counted(&mut world, 1, Counter::DataConsumers), 0, "{world}");
    world.assert_sound();
}

#[test]
fn malformed_sctp_appears_in_the_counters_of_the_worker() {
    let mut world = World::new(990);
    let (alice, _, _) = pair(&mut world);
    world.run_for(2 * SEC);
    world.order(alice, |peer, now| peer.send_record(now, b"this is not SCTP"));
    world.run_for(SEC);
    assert_eq!(world.shard().counters().discarded(Discard::SctpMalformed), 1, "{world}");
}
