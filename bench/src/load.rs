//! One load on one server: all peers join, media warms up, then the measurement.

use crate::cli::{Load, Shape};
use crate::drivers::{Driver, Feed, Me, Published, Subscribed};
use crate::measure::{
    Account, DataReport, Family, Joins, Latency, Moment, Report, Series, ServerCost, percentiles,
};
use crate::media::{Codec, Track};
use crate::peer::{DataFlow, DataRole, Identity, Local, Media, Outgoing, Scrutiny, Surroundings};
use crate::watch::Watch;
use crate::world::{Joining, Settings, World};
use anyhow::{Context, ensure};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

/// The measured server.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The server's name.
    pub name: &'a str,
    /// Its process.
    pub pid: Option<u32>,
}

/// Concurrent joins: a server slower than the ramp is not overloaded.
const JOINING_MAX: usize = 256;

/// A generator that is busier than this may itself delay and lose packets.
const BUSY: f64 = 0.9;

/// Bits a second of a microphone.
const AUDIO_BPS: u64 = 40_000;

/// A microphone's packets.
const AUDIO_INTERVAL: Duration = Duration::from_millis(20);

/// Puts the load on the server and reports.
pub async fn run<D: Driver>(
    load: &Load,
    target: Target<'_>,
    driver: D,
    watch: &Watch,
) -> anyhow::Result<Report> {
    let identity = Identity::generate().context("cannot make a certificate")?;
    let fingerprint: Rc<str> = identity.fingerprint().into();
    let settings = Settings {
        surroundings: Surroundings { identity, scrutiny: Scrutiny { sample: load.sample } },
        loss: load.loss / 100.0,
        coalesce: !load.no_gro,
    };
    let world = Rc::new(World::start(settings)?);
    let party = Party { driver: Rc::new(driver), world: world.clone(), fingerprint };
    let empty = target.pid.map(Account::of);
    let mut families: Vec<Family> = target.pid.map(Family::of).into_iter().collect();
    let publishers = load.publishers() * load.rooms as usize;
    let subscribers = load.subscribers();
    let begun = Instant::now();

    let bar = watch.bar("publishers join", publishers as u64);
    let rooms = party.publish(load, watch, &bar).await?;
    bar.finish_and_clear();
    let bar = watch.bar("subscribers join", subscribers as u64);
    let mut failures = party.subscribe(load, &rooms, watch, &bar).await;
    bar.finish_and_clear();
    let joined = begun.elapsed();

    watch.pause("warming up", Duration::from_secs_f64(load.warm_up)).await;
    world.measure();
    let before = target.pid.map(Account::of);
    // Some servers start processes with their first room.
    families.extend(target.pid.map(Family::of));
    let cpu_before = Account::own();
    let time = Duration::from_secs_f64(load.duration);
    let (_, series) =
        tokio::join!(watch.pause("measuring", time), course(&world, target.pid, before, time, watch));
    let series = series?;
    let after = target.pid.map(Account::of);
    let cpu_after = Account::own();
    let mut server_ended: Vec<String> = families.iter().flat_map(Family::ended).collect();
    server_ended.sort();
    server_ended.dedup();
    let harvest = world.harvest().await?;

    let (tally, seconds) = (&harvest.tally, harvest.time.as_secs_f64());
    let connected = harvest.connect_times.len();
    failures.extend(harvest.failures);
    failures.truncate(10);
    let peers = publishers + subscribers;
    let server_cost = after.zip(before).map(|(after, before)| {
        let (user, system) = after.since(&before);
        let per_packet = |time: Duration| time.as_nanos() as f64 / tally.delivered.max(1) as f64;
        let grown = after.rss.saturating_sub(empty.map_or(0, |empty| empty.rss));
        ServerCost {
            cpu_ns_per_packet: per_packet(user + system),
            user_ns_per_packet: per_packet(user),
            system_ns_per_packet: per_packet(system),
            cores: (user + system).as_secs_f64() / seconds,
            rss_bytes: after.rss,
            rss_bytes_per_peer: grown as f64 / peers as f64,
        }
    });
    let cpu = after.zip(before).map(|(after, before)| after.since(&before));
    let data = load.data.map(|message_len| DataReport::of(tally, message_len, harvest.time, cpu));
    let (user, system) = cpu_after.since(&cpu_before);
    Ok(Report {
        server: target.name.to_owned(),
        shape: load.shape.name().to_owned(),
        publishers,
        subscribers,
        complete: harvest.complete,
        interrupted: watch.is_interrupted(),
        duration_s: seconds,
        delivered: tally.delivered,
        delivered_pps: tally.delivered as f64 / seconds,
        delivered_bps: tally.bytes as f64 * 8.0 / seconds,
        sent: tally.sent,
        unsent: tally.unsent,
        expected: tally.expected,
        lost: tally.lost,
        loss_ratio: tally.loss_ratio(),
        sample: load.sample,
        checked: tally.checked,
        unauthentic: tally.unauthentic,
        payload_errors: tally.payload_errors,
        duplicates: tally.duplicates,
        reordered: tally.reordered,
        repaired: tally.repaired,
        padding: tally.padding,
        thrown: tally.thrown,
        keyframe_requests: tally.keyframe_requests,
        latency_us: Latency::of(tally),
        series,
        data,
        server_cost,
        server_ended,
        joins: Joins {
            connected,
            failed: peers - connected,
            per_s: connected as f64 / joined.as_secs_f64(),
            connect_ms: percentiles(&harvest.connect_times),
            media_ms: percentiles(&harvest.media_times),
        },
        generator_cores: (user + system).as_secs_f64() / seconds,
        generator_is_bottleneck: harvest.cpu.as_secs_f64() / seconds > BUSY,
        failures,
    })
}

/// Rows of the course, at most.
const MOMENTS_MAX: u32 = 600;

/// Looks at the counts once a second, or less often in a long measurement.
async fn course(
    world: &World,
    pid: Option<u32>,
    before: Option<Account>,
    time: Duration,
    watch: &Watch,
) -> anyhow::Result<Vec<Moment>> {
    let (started, step) = (Instant::now(), Duration::from_secs(1).max(time / MOMENTS_MAX));
    let mut series = Series::begin(before);
    for row in 1..=MOMENTS_MAX {
        let due = started + step * row;
        // The last part of a second is in no row.
        if due > started + time || watch.is_interrupted() {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let tally = world.peek().await?;
        series.add(started.elapsed(), tally, pid.map(Account::of));
    }
    Ok(series.finish())
}

/// A room with its publishers.
struct Room {
    /// The available tracks, by publisher.
    feeds: Vec<Vec<Feed>>,
    /// The messages of its first publisher, and the server's name for their producer.
    data: Option<(Arc<DataFlow>, String)>,
}

/// The common parameters of all joins.
struct Party<D> {
    driver: Rc<D>,
    world: Rc<World>,
    fingerprint: Rc<str>,
}

impl<D> Clone for Party<D> {
    fn clone(&self) -> Self {
        Self { driver: self.driver.clone(), world: self.world.clone(), fingerprint: self.fingerprint.clone() }
    }
}

impl<D: Driver> Party<D> {
    /// All publishers join; returns the rooms. All of them must succeed.
    async fn publish(
        &self,
        load: &Load,
        watch: &Watch,
        bar: &indicatif::ProgressBar,
    ) -> anyhow::Result<Vec<Room>> {
        let (mut joining, mut pacer) = (JoinSet::new(), Pacer::new(load.ramp));
        for room in 0..load.rooms as usize {
            for place in 0..load.publishers() {
                let outgoing = tracks(load, room * load.publishers() + place);
                let party = self.clone();
                let flow = (place == 0).then(|| flow(load, room)).flatten().map(Arc::new);
                joining.spawn_local(async move {
                    let published = party.publish_one(room, outgoing, flow.clone()).await;
                    (room, place, flow, published)
                });
                pacer.pace().await;
            }
        }
        let empty = || Room { feeds: vec![Vec::new(); load.publishers()], data: None };
        let mut rooms: Vec<Room> = std::iter::repeat_with(empty).take(load.rooms as usize).collect();
        while let Some(joined) = joining.join_next().await {
            let (room, place, flow, published) = joined?;
            let published = published.with_context(|| format!("publisher {place} of room {room}"))?;
            rooms[room].feeds[place] = published.feeds;
            rooms[room].data = flow.zip(published.data).or(rooms[room].data.take());
            bar.inc(1);
            ensure!(!watch.is_interrupted(), "interrupted before anything could be measured");
        }
        Ok(rooms)
    }

    async fn publish_one(
        &self,
        room: usize,
        outgoing: Vec<Outgoing>,
        flow: Option<Arc<DataFlow>>,
    ) -> anyhow::Result<Published> {
        let (local, begun) = (credentials(), Instant::now());
        let me = Me { local: &local, fingerprint: &self.fingerprint, has_data: flow.is_some() };
        let published = self.driver.publish(room, me, &outgoing).await?;
        let (connected, is_connected) = oneshot::channel();
        let (remote, media) = (published.remote.clone(), Media::Send(outgoing));
        self.world.join(Joining { local, remote, media, data: flow.map(DataRole::Send), begun, connected });
        is_connected.await.context("the media thread has ended early")?.map_err(anyhow::Error::msg)?;
        Ok(published)
    }

    /// All subscribers join, until interrupted; returns why some could not.
    async fn subscribe(
        &self,
        load: &Load,
        rooms: &[Room],
        watch: &Watch,
        bar: &indicatif::ProgressBar,
    ) -> Vec<String> {
        let (mut joining, mut pacer) = (JoinSet::new(), Pacer::new(load.ramp));
        let places = Arc::new(Semaphore::new(JOINING_MAX));
        for index in 0..load.subscribers() {
            let Ok(place) = places.clone().acquire_owned().await else { break };
            if watch.is_interrupted() {
                break;
            }
            let (room, receiver) = (index % rooms.len(), index / rooms.len());
            let own = (load.shape == Shape::Meeting).then_some(receiver);
            let others =
                rooms[room].feeds.iter().enumerate().filter(|(publisher, _)| Some(*publisher) != own);
            let wanted: Vec<Feed> = others.flat_map(|(_, feeds)| feeds.clone()).collect();
            let data = rooms[room].data.clone().map(|(flow, producer)| (flow, producer, receiver));
            let (party, bar) = (self.clone(), bar.clone());
            joining.spawn_local(async move {
                let joined = party.subscribe_one(room, &wanted, data).await;
                bar.inc(1);
                drop(place);
                joined.with_context(|| format!("subscriber {index}"))
            });
            pacer.pace().await;
        }
        let mut failures = Vec::new();
        while let Some(joined) = joining.join_next().await {
            match joined {
                Ok(joined) => failures.extend(joined.err().map(|error| format!("{error:#}"))),
                Err(error) => failures.push(error.to_string()),
            }
        }
        failures
    }

    async fn subscribe_one(
        &self,
        room: usize,
        feeds: &[Feed],
        data: Option<(Arc<DataFlow>, String, usize)>,
    ) -> anyhow::Result<()> {
        let (local, begun) = (credentials(), Instant::now());
        let me = Me { local: &local, fingerprint: &self.fingerprint, has_data: data.is_some() };
        let producer = data.as_ref().map(|(_, producer, _)| producer.as_str());
        let Subscribed { remote, incoming, data_stream } =
            self.driver.subscribe(room, me, feeds, producer).await?;
        let data = data.zip(data_stream).map(|((flow, _, receiver), stream)| DataRole::Receive {
            flow,
            receiver,
            stream,
        });
        let (connected, is_connected) = oneshot::channel();
        self.world.join(Joining { local, remote, media: Media::Receive(incoming), data, begun, connected });
        is_connected.await.context("the media thread has ended early")?.map_err(anyhow::Error::msg)
    }
}

/// The messages of a room, if there are any.
fn flow(load: &Load, room: usize) -> Option<DataFlow> {
    let message_len = load.data?;
    let rooms = load.rooms as usize;
    // Subscribers join the rooms in turn.
    let receivers = load.subscribers() / rooms + usize::from(room < load.subscribers() % rooms);
    let window = u64::from(load.data_window / message_len);
    let rate = load.data_rate.map(|mbytes| mbytes * 1e6);
    Some(DataFlow::new(room as u32, message_len, window, rate, receivers))
}

/// A publisher's tracks.
fn tracks(load: &Load, publisher: usize) -> Vec<Outgoing> {
    let id = |track: usize| ((publisher as u32) << 8) | ((track as u32) << 4);
    let mut outgoing = Vec::new();
    if load.shape != Shape::Audio {
        let bitrate = u64::from(load.bitrate) * 1000;
        let track = Track {
            id: id(0),
            codec: load.codec,
            bitrates_bps: if load.simulcast {
                vec![bitrate / 16, bitrate / 4, bitrate]
            } else {
                vec![bitrate]
            },
            frame_interval: Duration::from_secs(1) / load.fps,
            pacing: load.pacing,
        };
        outgoing.push(track);
    }
    if load.shape != Shape::Livestream || load.audio {
        let track = Track {
            id: id(1),
            codec: Codec::Opus,
            bitrates_bps: vec![AUDIO_BPS],
            frame_interval: AUDIO_INTERVAL,
            pacing: load.pacing,
        };
        outgoing.push(track);
    }
    let with_numbers = outgoing.into_iter().enumerate().map(|(mid, track)| Outgoing {
        mid: mid.to_string(),
        pt: if track.codec == Codec::Opus { 111 } else { 96 },
        ssrcs: (0..track.bitrates_bps.len() as u32)
            .map(|encoding| 0x1000_0000 + track.id + encoding)
            .collect(),
        track,
    });
    with_numbers.collect()
}

/// New ICE credentials: 24 and 144 bits, more than the minimum of RFC 8445 §5.3.
fn credentials() -> Local {
    let random = |len: usize| {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = vec![0; len];
        openssl::rand::rand_bytes(&mut bytes).expect("there is randomness");
        bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect::<String>()
    };
    Local { ufrag: random(8), pwd: random(24) }
}

/// Starts work at a rate; late work is caught up with.
struct Pacer {
    interval: Duration,
    next: Instant,
}

impl Pacer {
    fn new(per_second: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / per_second), next: Instant::now() }
    }

    async fn pace(&mut self) {
        self.next += self.interval;
        tokio::time::sleep_until(self.next.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn load(line: &str) -> Load {
        let line = ["leat-bench", "load"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(line).unwrap().command {
            Command::Load(arguments) => arguments.load,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn shapes_say_what_publishers_send() {
        let kinds =
            |line: &str| tracks(&load(line), 3).iter().map(|track| track.track.codec).collect::<Vec<_>>();
        assert_eq!(kinds("--codec h264"), [Codec::H264]);
        assert_eq!(kinds("--audio"), [Codec::Vp8, Codec::Opus]);
        assert_eq!(kinds("--shape meeting"), [Codec::Vp8, Codec::Opus]);
        assert_eq!(kinds("--shape audio"), [Codec::Opus]);
    }

    #[test]
    fn no_two_streams_of_a_load_share_a_number() {
        let load = load("--shape meeting --simulcast");
        let outgoing: Vec<_> = (0..500).flat_map(|publisher| tracks(&load, publisher)).collect();
        let ssrcs: Vec<_> = outgoing.iter().flat_map(|track| track.ssrcs.clone()).collect();
        let distinct: std::collections::BTreeSet<_> = ssrcs.iter().collect();
        assert_eq!((ssrcs.len(), distinct.len()), (2000, 2000));
    }

    #[tokio::test]
    async fn a_pacer_holds_its_rate() {
        let (mut pacer, start) = (Pacer::new(1000.0), Instant::now());
        for _ in 0..50 {
            pacer.pace().await;
        }
        assert!(start.elapsed() >= Duration::from_millis(50), "{:?}", start.elapsed());
    }
}
