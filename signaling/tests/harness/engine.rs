//! An engine that stores objects and forwards no media, behind the real ring with the real records.

use super::LIMIT;
use control::{
    AppData, Candidate, Closed, Command, ConsumeData, ConsumerId, ConsumerStats, DataConsumerId,
    DataProducerId, DtlsState, Event, IceParameters, IceState, Kind, ProduceData, ProducerId, ProducerStats,
    Refusal, Request, RouterId, SnapshotItem, SrtpKey, SrtpParameters, StatsItem, StatsOf, StreamStats, Text,
    TransportId, TransportState, TransportStats,
};
use shm::{Listener, ListenerEvent, Versions, WorkerEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running engine. Dropping it ends it as if it were killed.
pub struct Engine {
    orders: SyncSender<Order>,
    commands: Arc<Mutex<Vec<(usize, Command)>>>,
    thread: Option<JoinHandle<()>>,
    pub epoch: u64,
    pub path: PathBuf,
}

enum Order {
    /// Close a transport as if consent had ended.
    CloseTransport(TransportId, Closed),
    /// Drop a transport, and report only an overflow.
    Overflow(TransportId),
    /// This worker sends this event.
    Tell(usize, Event),
    /// This worker carries out a command without a request, and reports the result.
    Do(usize, Command),
    /// This worker panics while it handles this transport.
    Panic(usize, TransportId),
    /// The shard of this worker is replaced by an empty one.
    Replace(usize),
    /// Stop answering.
    FallSilent(SyncSender<()>),
    /// Carry out this number of commands without an answer.
    LoseAnswers(usize),
    /// Refuse this number of data consumers.
    RefuseData(usize),
    Die,
}

/// A path for a control socket that no other test uses.
pub fn socket_path() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("leat-flow-{}-{number}.sock", std::process::id()))
}

impl Engine {
    /// An engine that listens at `path`.
    pub fn start(path: &Path) -> Self {
        Self::start_of(control::PROTOCOL_VERSION, path)
    }

    /// An engine of the next protocol version: it sends an event before each that signaling knows, and a field
    /// behind those of each event, which signaling both does not know.
    pub fn start_newer(path: &Path) -> Self {
        Self::start_of(control::PROTOCOL_VERSION + 1, path)
    }

    fn start_of(version: u32, path: &Path) -> Self {
        let versions = Versions { own: version, oldest: control::PROTOCOL_VERSION };
        let listener = Listener::bind(path, 2, versions).expect("listen");
        let (orders, receiver) = sync_channel(16);
        let commands = Arc::new(Mutex::new(Vec::new()));
        let epoch = listener.engine_epoch();
        let log = commands.clone();
        let thread =
            std::thread::spawn(move || run(listener, version > control::PROTOCOL_VERSION, receiver, &log));
        Self { orders, commands, thread: Some(thread), epoch, path: path.to_path_buf() }
    }

    /// Closes a transport on its own, for this reason.
    pub fn close_transport(&self, transport: TransportId, closed: Closed) {
        self.orders.send(Order::CloseTransport(transport, closed)).expect("running");
    }

    pub fn overflow(&self, forgets: TransportId) {
        self.orders.send(Order::Overflow(forgets)).expect("running");
    }

    /// The first worker sends this event.
    pub fn tell(&self, event: Event) {
        self.tell_at(0, event);
    }

    pub fn tell_at(&self, worker: usize, event: Event) {
        self.orders.send(Order::Tell(worker, event)).expect("running");
    }

    /// As if another worker, or the peer, had caused it.
    pub fn do_at(&self, worker: usize, command: Command) {
        self.orders.send(Order::Do(worker, command)).expect("running");
    }

    /// A worker panics while it handles a transport, or a pipe from it, which is closed.
    pub fn panic_at(&self, worker: usize, transport: TransportId) {
        self.orders.send(Order::Panic(worker, transport)).expect("running");
    }

    /// The shard of a worker is replaced after repeated panics: only its routers are reported as closed.
    pub fn replace_shard(&self, worker: usize) {
        self.orders.send(Order::Replace(worker)).expect("running");
    }

    /// After this returns, it answers nothing.
    pub fn fall_silent(&self) {
        let (done, is_done) = sync_channel(1);
        self.orders.send(Order::FallSilent(done)).expect("running");
        is_done.recv().expect("running");
    }

    /// The answers to the next commands are lost.
    pub fn lose_answers(&self, count: usize) {
        self.orders.send(Order::LoseAnswers(count)).expect("running");
    }

    /// The next data consumers are refused.
    pub fn refuse_data_consumers(&self, count: usize) {
        self.orders.send(Order::RefuseData(count)).expect("running");
    }

    /// All commands so far.
    pub fn commands(&self) -> Vec<Command> {
        self.commands_by_worker().into_iter().map(|(_, command)| command).collect()
    }

    /// All commands so far, with their workers.
    pub fn commands_by_worker(&self) -> Vec<(usize, Command)> {
        self.commands.lock().expect("no panic while held").clone()
    }

    /// Waits for a command like this.
    pub async fn received(&self, what: &str, is_it: impl Fn(&Command) -> bool) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while tokio::time::Instant::now() < deadline {
            if self.commands().iter().any(&is_it) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the engine did not receive {what}, only {:#?}", self.commands());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Die);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(self.path.with_extension("sock.lock"));
    }
}

fn run(mut listener: Listener, is_newer: bool, orders: Receiver<Order>, log: &Mutex<Vec<(usize, Command)>>) {
    let mut ends: Vec<WorkerEnd> = Vec::new();
    let mut workers = [Worker::default(), Worker::default()];
    let mut silent = false;
    let (mut answers_lost, mut data_refused) = (0, 0);
    loop {
        while let Some(event) = listener.poll() {
            match event {
                ListenerEvent::Attached(attached) => ends = attached,
                ListenerEvent::Detached { .. } => ends.clear(),
                _ => {}
            }
        }
        let mut record = Vec::new();
        for (index, (end, worker)) in ends.iter_mut().zip(&mut workers).enumerate() {
            while end.commands.pop(&mut record).expect("a valid ring").is_some() {
                let request = Request::decode(&record).expect("a valid record");
                log.lock().expect("no panic while held").push((index, request.command.clone()));
                if answers_lost > 0 {
                    answers_lost -= 1;
                    let _ = worker.apply(request.id, request.command);
                } else if data_refused > 0 && matches!(request.command, Command::ConsumeData(_)) {
                    data_refused -= 1;
                    worker.refuse(request.id, "the copy has gone");
                } else if !silent {
                    worker.on_request(request);
                }
            }
        }
        match orders.try_recv() {
            Ok(Order::Die) => return,
            Ok(Order::Tell(worker, event)) => workers[worker].events.push(event),
            Ok(Order::Do(worker, command)) => {
                // No request has this id.
                let _ = workers[worker].apply(control::RequestId(u64::MAX), command);
            }
            Ok(Order::Panic(worker, transport)) => workers[worker].close_transport(transport, Closed::Fault),
            Ok(Order::Replace(worker)) => {
                let former = std::mem::take(&mut workers[worker]);
                let closed = |router| Event::RouterClosed { router, closed: Closed::Fault };
                workers[worker].events = former.routers.into_keys().map(closed).collect();
            }
            Ok(Order::LoseAnswers(count)) => answers_lost = count,
            Ok(Order::RefuseData(count)) => data_refused = count,
            Ok(Order::FallSilent(done)) => {
                silent = true;
                let _ = done.send(());
            }
            Ok(Order::CloseTransport(transport, closed)) => {
                for worker in workers.iter_mut().filter(|worker| worker.transports.contains_key(&transport)) {
                    worker.close_transport(transport, closed);
                }
            }
            Ok(Order::Overflow(transport)) => {
                for worker in workers.iter_mut().filter(|worker| worker.transports.contains_key(&transport)) {
                    worker.close_transport(transport, Closed::ConsentLost);
                    let lost = worker.events.len() as u64;
                    worker.events = vec![Event::Overflow { lost }];
                }
            }
            Err(_) => {}
        }
        for (end, worker) in ends.iter_mut().zip(&mut workers) {
            for event in worker.events.drain(..) {
                event.encode(&mut record);
                if is_newer {
                    end.events.push(&[200, 1, 2, 3]).expect("room");
                    record.extend([1, 2, 3]);
                }
                end.events.push(&record).expect("room");
            }
            end.peer_doorbell.ring();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The objects of one worker.
#[derive(Default)]
struct Worker {
    events: Vec<Event>,
    routers: BTreeMap<RouterId, AppData>,
    transports: BTreeMap<TransportId, (RouterId, AppData)>,
    /// The plain transports among them.
    plain: BTreeSet<TransportId>,
    /// The pipes among them.
    pipes: BTreeSet<TransportId>,
    producers: BTreeMap<ProducerId, (TransportId, Kind, bool, AppData)>,
    consumers: BTreeMap<ConsumerId, (TransportId, ProducerId, bool, AppData)>,
    data_producers: BTreeMap<DataProducerId, ProduceData>,
    data_consumers: BTreeMap<DataConsumerId, ConsumeData>,
}

impl Worker {
    fn on_request(&mut self, Request { id: request, command }: Request) {
        let missing = match self.apply(request, command) {
            Ok(Some(event)) => return self.events.push(event),
            Ok(None) => return,
            Err(missing) => missing,
        };
        self.refuse(request, missing);
    }

    fn refuse(&mut self, request: control::RequestId, missing: &'static str) {
        let (refusal, text) = (Refusal::NotFound, Text::new(missing));
        self.events.push(Event::Refused { request: Some(request), refusal, text });
    }

    fn apply(
        &mut self,
        request: control::RequestId,
        command: Command,
    ) -> Result<Option<Event>, &'static str> {
        match command {
            Command::CreateRouter { router, app_data } => _ = self.routers.insert(router, app_data),
            Command::ObserveAudio { router, .. } => _ = self.routers.get(&router).ok_or("no such router")?,
            Command::ClaimRouter { router } => _ = self.routers.get(&router).ok_or("no such router")?,
            Command::CloseRouter { router } => {
                self.routers.remove(&router).ok_or("no such router")?;
                let transports: Vec<_> =
                    self.transports.iter().filter(|(_, (of, _))| *of == router).map(|(id, _)| *id).collect();
                transports
                    .into_iter()
                    .for_each(|transport| self.close_transport(transport, Closed::Requested));
            }
            Command::CreateTransport(create) => {
                self.routers.get(&create.router).ok_or("no such router")?;
                self.transports.insert(create.transport, (create.router, create.app_data));
                return Ok(Some(Event::TransportCreated {
                    request,
                    transport: create.transport,
                    ice: ice(),
                    fingerprint: [0xa5; 32],
                    candidates: vec![Candidate::udp("127.0.0.1:7000".parse().expect("an address"))],
                }));
            }
            Command::ConnectTransport { transport, .. }
            | Command::ConnectTransportAs { transport, .. }
            | Command::SetBitrates { transport, .. } => {
                _ = self.transports.get(&transport).ok_or("no such transport")?
            }
            Command::RestartIce { transport } => {
                self.transports.get(&transport).ok_or("no such transport")?;
                return Ok(Some(Event::IceRestarted { request, transport, ice: ice() }));
            }
            Command::CloseTransport { transport } => {
                self.transports.get(&transport).ok_or("no such transport")?;
                self.close_transport(transport, Closed::Requested);
            }
            Command::Produce(produce) => {
                self.transports.get(&produce.transport).ok_or("no such transport")?;
                self.producers.insert(
                    produce.producer,
                    (produce.transport, produce.kind, produce.paused, produce.app_data),
                );
            }
            Command::PauseProducer { producer } => {
                self.producers.get_mut(&producer).ok_or("no such producer")?.2 = true
            }
            Command::ResumeProducer { producer } => {
                self.producers.get_mut(&producer).ok_or("no such producer")?.2 = false
            }
            Command::CloseProducer { producer } => {
                self.producers.get(&producer).ok_or("no such producer")?;
                self.close_producer(producer, Closed::Requested);
            }
            Command::Consume(consume) => {
                self.transports.get(&consume.transport).ok_or("no such transport")?;
                self.producers.get(&consume.producer).ok_or("no such producer")?;
                let entry = (consume.transport, consume.producer, consume.paused, consume.app_data);
                self.consumers.insert(consume.consumer, entry);
            }
            Command::PauseConsumer { consumer } => {
                self.consumers.get_mut(&consumer).ok_or("no such consumer")?.2 = true
            }
            Command::ResumeConsumer { consumer } => {
                self.consumers.get_mut(&consumer).ok_or("no such consumer")?.2 = false
            }
            Command::CloseConsumer { consumer } => {
                self.consumers.remove(&consumer).ok_or("no such consumer")?;
                self.events.push(Event::ConsumerClosed { consumer, closed: Closed::Requested });
            }
            Command::SetContentHint { producer, .. } => {
                _ = self.producers.get(&producer).ok_or("no such producer")?;
            }
            Command::RequestKeyframe { consumer }
            | Command::SetPreferredLayers { consumer, .. }
            | Command::SetPriority { consumer, .. }
            | Command::SetPlayoutDelay { consumer, .. }
            | Command::SetIgnoreDtx { consumer, .. } => {
                _ = self.consumers.get(&consumer).ok_or("no such consumer")?
            }
            Command::Stats { of } => {
                let item = self.stats(of).ok_or("no such object")?;
                self.events.push(Event::Stats { request, item });
                return Ok(Some(Event::StatsEnd { request }));
            }
            Command::CreatePlainTransport(create) => {
                self.routers.get(&create.router).ok_or("no such router")?;
                self.transports.insert(create.transport, (create.router, create.app_data));
                self.plain.insert(create.transport);
                let ours = |profile| SrtpParameters { profile, key: SrtpKey(vec![7; 30]) };
                return Ok(Some(Event::PlainTransportCreated {
                    request,
                    transport: create.transport,
                    address: PLAIN,
                    rtcp_address: (!create.rtcp_mux).then(|| SocketAddr::new(PLAIN.ip(), PLAIN.port() + 1)),
                    srtp: create.srtp.map(ours),
                }));
            }
            Command::ConnectPlainTransport(connect) => {
                _ = self.plain.get(&connect.transport).ok_or("no such transport")?
            }
            Command::ProduceData(produce) => {
                self.transports.get(&produce.transport).ok_or("no such transport")?;
                self.data_producers.insert(produce.producer, produce);
            }
            Command::CloseDataProducer { producer } => {
                self.data_producers.get(&producer).ok_or("no such data producer")?;
                self.close_data_producer(producer, Closed::Requested);
            }
            Command::ConsumeData(consume) => {
                self.transports.get(&consume.transport).ok_or("no such transport")?;
                self.data_producers.get(&consume.producer).ok_or("no such data producer")?;
                self.data_consumers.insert(consume.consumer, consume);
            }
            Command::AcceptData(accept) => {
                _ = self.transports.get(&accept.transport).ok_or("no such transport")?;
            }
            Command::CloseDataChannel { transport, .. } => {
                _ = self.transports.get(&transport).ok_or("no such transport")?;
            }
            Command::CloseDataConsumer { consumer } => {
                self.data_consumers.remove(&consumer).ok_or("no such data consumer")?;
                self.events.push(Event::DataConsumerClosed { consumer, closed: Closed::Requested });
            }
            // For tests of the engine itself.
            Command::InjectPanic { .. } => {}
            Command::CreatePipe(create) => {
                self.routers.get(&create.router).ok_or("no such router")?;
                self.transports.insert(create.transport, (create.router, AppData::default()));
                self.pipes.insert(create.transport);
            }
            Command::SetAppData { transport, app_data } => {
                self.transports.get_mut(&transport).ok_or("no such transport")?.1 = app_data;
            }
            Command::Snapshot => {
                self.snapshot(request);
                return Ok(None);
            }
        }
        Ok(Some(Event::Done { request }))
    }

    fn close_transport(&mut self, transport: TransportId, closed: Closed) {
        self.transports.remove(&transport);
        self.plain.remove(&transport);
        self.pipes.remove(&transport);
        let producers: Vec<_> =
            self.producers.iter().filter(|(_, entry)| entry.0 == transport).map(|(id, _)| *id).collect();
        producers.into_iter().for_each(|producer| self.close_producer(producer, closed));
        let consumers: Vec<_> =
            self.consumers.iter().filter(|(_, entry)| entry.0 == transport).map(|(id, _)| *id).collect();
        for consumer in consumers {
            self.consumers.remove(&consumer);
            self.events.push(Event::ConsumerClosed { consumer, closed });
        }
        let data_producers: Vec<_> = self.data_producers.values().cloned().collect();
        for produce in data_producers.into_iter().filter(|produce| produce.transport == transport) {
            self.close_data_producer(produce.producer, closed);
        }
        let of_transport = self.data_consumers.extract_if(.., |_, entry| entry.transport == transport);
        for (consumer, _) in of_transport {
            self.events.push(Event::DataConsumerClosed { consumer, closed });
        }
        self.events.push(Event::TransportClosed { transport, closed });
    }

    fn close_data_producer(&mut self, producer: DataProducerId, closed: Closed) {
        self.data_producers.remove(&producer);
        let of_producer = self.data_consumers.extract_if(.., |_, entry| entry.producer == producer);
        for (consumer, _) in of_producer {
            self.events.push(Event::DataConsumerClosed { consumer, closed });
        }
        self.events.push(Event::DataProducerClosed { producer, closed });
    }

    fn close_producer(&mut self, producer: ProducerId, closed: Closed) {
        self.producers.remove(&producer);
        let consumers: Vec<_> =
            self.consumers.iter().filter(|(_, entry)| entry.1 == producer).map(|(id, _)| *id).collect();
        for consumer in consumers {
            self.consumers.remove(&consumer);
            self.events.push(Event::ConsumerClosed { consumer, closed });
        }
        self.events.push(Event::ProducerClosed { producer, closed });
    }

    /// Of one object, with a number that identifies it.
    fn stats(&self, of: StatsOf) -> Option<StatsItem> {
        let state = TransportState { ice: IceState::Completed, dtls: DtlsState::Connected, remote: None };
        match of {
            StatsOf::Transport(transport) => self.transports.get(&transport).map(|_| {
                StatsItem::Transport(TransportStats {
                    transport,
                    state,
                    packets_received: 1,
                    bytes_received: 100,
                    packets_sent: 2,
                    bytes_sent: 200,
                    round_trip_time_us: Some(40_000),
                    available_outgoing_bitrate_bps: None,
                })
            }),
            StatsOf::Producer(producer) => {
                self.producers.get(&producer).map(|(transport, kind, paused, _)| {
                    let stream = StreamStats {
                        ssrc: Some(0xa5a5),
                        rid: None,
                        packets_received: 10,
                        bytes_received: 1_000,
                        retransmitted_packets_received: 1,
                        packets_lost: 2,
                        jitter_us: 3_000,
                        nack_count: 4,
                        pli_count: 5,
                        fir_count: 0,
                        keyframes_received: 6,
                        bitrate_bps: 70_000,
                        layers: Vec::new(),
                        score: 8,
                    };
                    StatsItem::Producer(ProducerStats {
                        producer,
                        transport: *transport,
                        kind: *kind,
                        paused: *paused,
                        streams: vec![stream],
                    })
                })
            }
            StatsOf::Consumer(consumer) => {
                self.consumers.get(&consumer).map(|(transport, producer, paused, _)| {
                    StatsItem::Consumer(ConsumerStats {
                        consumer,
                        producer: *producer,
                        transport: *transport,
                        paused: *paused,
                        ssrc: 7,
                        packets_sent: 20,
                        bytes_sent: 2_000,
                        retransmitted_packets_sent: 3,
                        retransmitted_bytes_sent: 300,
                        nack_count: 4,
                        pli_count: 1,
                        fir_count: 0,
                        bitrate_bps: 60_000,
                        layers: None,
                        packets_lost: 5,
                        fraction_lost: 64,
                        jitter_us: 6_000,
                        round_trip_time_us: None,
                        score: 9,
                    })
                })
            }
            StatsOf::Router(_) | StatsOf::Worker => None,
        }
    }

    fn snapshot(&mut self, request: control::RequestId) {
        let state = TransportState { ice: IceState::New, dtls: DtlsState::New, remote: None };
        let routers = self
            .routers
            .iter()
            .map(|(router, app_data)| SnapshotItem::Router { router: *router, app_data: app_data.clone() });
        let transports = self.transports.iter().map(|(transport, (router, app_data))| {
            let (transport, router, app_data) = (*transport, *router, app_data.clone());
            if self.pipes.contains(&transport) {
                SnapshotItem::Pipe { transport, router }
            } else if self.plain.contains(&transport) {
                let (address, rtcp_address, remote, rtcp_remote) = (PLAIN, None, None, None);
                SnapshotItem::PlainTransport {
                    transport,
                    router,
                    address,
                    rtcp_address,
                    remote,
                    rtcp_remote,
                    app_data,
                }
            } else {
                SnapshotItem::Transport { transport, router, state, app_data }
            }
        });
        let producers = self.producers.iter().map(|(producer, (transport, kind, paused, app_data))| {
            SnapshotItem::Producer {
                producer: *producer,
                transport: *transport,
                kind: *kind,
                paused: *paused,
                app_data: app_data.clone(),
            }
        });
        let consumers = self.consumers.iter().map(|(consumer, (transport, producer, paused, app_data))| {
            SnapshotItem::Consumer {
                consumer: *consumer,
                transport: *transport,
                producer: *producer,
                paused: *paused,
                app_data: app_data.clone(),
            }
        });
        let data_producers = self.data_producers.values().map(|produce| SnapshotItem::DataProducer {
            producer: produce.producer,
            transport: produce.transport,
            app_data: produce.app_data.clone(),
        });
        let data_consumers = self.data_consumers.values().map(|consume| SnapshotItem::DataConsumer {
            consumer: consume.consumer,
            transport: consume.transport,
            producer: consume.producer,
            app_data: consume.app_data.clone(),
        });
        let items = routers.chain(transports).chain(producers).chain(consumers);
        let items = items.chain(data_producers).chain(data_consumers);
        self.events.extend(items.map(|item| Event::Snapshot { request, item }));
        self.events.push(Event::SnapshotEnd { request });
    }
}

/// The address of all plain transports.
const PLAIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);

fn ice() -> IceParameters {
    IceParameters { ufrag: Text::new("ufrag"), pwd: Text::new("APasswordOfTwentyTwo22") }
}
