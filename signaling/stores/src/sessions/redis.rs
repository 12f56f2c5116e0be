//! Sessions in Redis.
//!
//! Keys, all of them with a lifetime:
//!
//! - `leat:sessions:PROJECT/ROOM:PROCESS`, a hash from peer to session (JSON). Only PROCESS writes it.
//! - `leat:processes:PROJECT/ROOM`, the set of the processes that have such a hash. All of them write it.
//!
//! A process that changes a room publishes the room on the channel `leat:changes`; the others read it again.
//!
//! Two connections: one for commands, which fails at once while Redis is away, and one for the subscription,
//! which reconnects without a limit. One task writes. It compares nothing: what has changed since the last
//! success is written; after any sign that Redis may have lost data (an error, a new subscription, a key that
//! is not there to be renewed) everything is written.

use super::{PeerSession, Pending, RoomRef, Sessions, SessionsChanged, SessionsError, limits};
use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{
    Client, ErrorKind, IntoConnectionInfo, Pipeline, ProtocolVersion, PushInfo, PushKind, RedisError, Script,
    Value,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// The sessions of this process, and those of others in Redis.
pub struct RedisSessions {
    inner: Arc<Inner>,
    tasks: [JoinHandle<()>; 2],
}

struct Inner {
    /// Names this run of the process.
    process: String,
    commands: ConnectionManager,
    own: Mutex<Own>,
    wake: Notify,
    changes: broadcast::Sender<SessionsChanged>,
    is_available: AtomicBool,
    /// Counts the transactions and PINGs that were answered or failed.
    rounds: watch::Sender<u64>,
    ttl: Duration,
}

/// The sessions of this process, and what of them must be written.
#[derive(Default)]
struct Own {
    rooms: HashMap<RoomRef, BTreeMap<String, PeerSession>>,
    unwritten: BTreeMap<RoomRef, Unwritten>,
    /// Whether a transaction with changes has no answer so far.
    is_writing: bool,
}

/// The part of a room that must be written.
#[derive(Clone, Debug)]
enum Unwritten {
    Peers(BTreeSet<String>),
    All,
}

impl Own {
    fn mark(&mut self, room: &RoomRef, peer: &str) {
        let none = || Unwritten::Peers(BTreeSet::new());
        match self.unwritten.entry(room.clone()).or_insert_with(none) {
            Unwritten::Peers(peers) => _ = peers.insert(peer.to_owned()),
            Unwritten::All => {}
        }
    }

    /// Bounds what waits while Redis is away: a room is written as a whole, and of ended rooms only some are
    /// deleted. The keys of the others end by themselves.
    fn bound_unwritten(&mut self) {
        let mut ended = 0;
        self.unwritten.retain(|room, unwritten| {
            if self.rooms.contains_key(room) {
                *unwritten = Unwritten::All;
                return true;
            }
            ended += 1;
            ended <= limits::ENDED_ROOMS_MAX
        });
    }

    fn mark_all(&mut self) {
        self.unwritten.extend(self.rooms.keys().map(|room| (room.clone(), Unwritten::All)));
    }
}

/// The message about a change.
#[derive(Serialize, Deserialize)]
struct Change {
    process: String,
    #[serde(flatten)]
    room: RoomRef,
}

const CHANNEL: &str = "leat:changes";

fn sessions_key(room: &RoomRef, process: &str) -> String {
    format!("leat:sessions:{room}:{process}")
}

fn processes_key(room: &RoomRef) -> String {
    format!("leat:processes:{room}")
}

/// Reads the hashes of all processes except one, and removes processes whose hash has ended. One script, so
/// that no process is removed that has just written its hash.
static OTHERS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local found = {}
        for _, process in ipairs(redis.call('SMEMBERS', KEYS[1])) do
            if process ~= ARGV[1] then
                local sessions = redis.call('HVALS', ARGV[2] .. process)
                if #sessions == 0 then redis.call('SREM', KEYS[1], process) end
                for _, session in ipairs(sessions) do
                    if #found < tonumber(ARGV[3]) then found[#found + 1] = session end
                end
            end
        end
        return found
        ",
    )
});

impl RedisSessions {
    /// Starts to use Redis at this address, which need not be there yet. `process` names this run of the
    /// process. Must be called inside a tokio runtime.
    pub fn start(address: &str, process: &str, ttl: Duration) -> Result<Self, SessionsError> {
        let wrong = |error: RedisError| SessionsError::Address(reason(&error));
        let info = address.into_connection_info().map_err(wrong)?;
        // Without RESP3, Redis sends no messages on this kind of connection.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings)).map_err(wrong)?;
        let commands =
            client.get_connection_manager_lazy(config().set_number_of_retries(1)).map_err(wrong)?;
        let inner = Arc::new(Inner {
            process: process.to_owned(),
            commands,
            own: Mutex::default(),
            wake: Notify::new(),
            changes: broadcast::channel(limits::CHANGES_LEN).0,
            is_available: AtomicBool::new(false),
            rounds: watch::channel(0).0,
            ttl,
        });
        let tasks = [tokio::spawn(inner.clone().write()), tokio::spawn(subscribe(client, inner.clone()))];
        Ok(Self { inner, tasks })
    }
}

impl Drop for RedisSessions {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Sessions for RedisSessions {
    fn put(&self, room: &RoomRef, session: PeerSession) {
        let mut own = self.inner.own();
        own.mark(room, &session.peer);
        own.rooms.entry(room.clone()).or_default().insert(session.peer.clone(), session);
        drop(own);
        self.inner.wake.notify_one();
    }

    fn remove(&self, room: &RoomRef, peer: &str) {
        let mut own = self.inner.own();
        let Some(sessions) = own.rooms.get_mut(room) else { return };
        sessions.remove(peer);
        if sessions.is_empty() {
            own.rooms.remove(room);
        }
        own.mark(room, peer);
        drop(own);
        self.inner.wake.notify_one();
    }

    fn others<'a>(&'a self, room: &'a RoomRef) -> Pending<'a, Result<Vec<PeerSession>, SessionsError>> {
        let inner = &*self.inner;
        Box::pin(async move {
            let mut commands = inner.commands.clone();
            let read = OTHERS
                .key(processes_key(room))
                .arg(&inner.process)
                .arg(sessions_key(room, ""))
                .arg(limits::OTHERS_MAX)
                .invoke_async::<Vec<Vec<u8>>>(&mut commands)
                .await
                .map_err(SessionsError::Unavailable)?;
            // A session that another version wrote in another form is left out.
            Ok(read.iter().filter_map(|session| serde_json::from_slice(session).ok()).collect())
        })
    }

    fn changes(&self) -> broadcast::Receiver<SessionsChanged> {
        self.inner.changes.subscribe()
    }

    fn is_available(&self) -> bool {
        self.inner.is_available.load(Ordering::Relaxed)
    }

    fn clear(&self) -> Pending<'_, ()> {
        let inner = &*self.inner;
        let mut own = inner.own();
        own.mark_all();
        own.rooms.clear();
        drop(own);
        Box::pin(async move {
            let mut rounds = inner.rounds.subscribe();
            inner.wake.notify_one();
            let is_written = || {
                let own = inner.own();
                own.unwritten.is_empty() && !own.is_writing
            };
            // The writer fails soon if Redis is away; the keys end by themselves then.
            let written =
                async { while !is_written() && rounds.changed().await.is_ok() && self.is_available() {} };
            let _ = timeout(3 * limits::COMMAND_TIMEOUT, written).await;
        })
    }
}

impl Inner {
    fn own(&self) -> MutexGuard<'_, Own> {
        // No critical section panics in the middle of a change.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes changes at once, renews the keys, and sends a PING while there is nothing else. Never returns.
    async fn write(self: Arc<Self>) {
        let mut ping = interval(limits::PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed = Instant::now();
        let mut is_working = false;
        // Unknown before the first attempt.
        let mut reported = None;
        loop {
            tokio::select! {
                () = self.wake.notified(), if is_working => {}
                _ = ping.tick() => {}
            }
            let result = self.round(&mut renewed).await;
            is_working = result.is_ok();
            let is_change = reported.replace(is_working) != Some(is_working);
            self.is_available.store(is_working, Ordering::Relaxed);
            match result {
                Ok(()) if is_change => {
                    tracing::info!("Redis answers");
                    // It may have lost its data.
                    self.own().mark_all();
                    self.wake.notify_one();
                }
                Err(error) if is_change => {
                    tracing::warn!(%error, "Redis does not answer; presence of other processes is unknown");
                }
                Ok(()) | Err(_) => {}
            }
            self.rounds.send_modify(|rounds| *rounds += 1);
        }
    }

    async fn round(&self, renewed: &mut Instant) -> Result<(), RedisError> {
        if renewed.elapsed() >= self.ttl / limits::RENEWALS_PER_TTL {
            self.renew().await?;
            *renewed = Instant::now();
        }
        let mut is_idle = true;
        while let Some((pipeline, taken)) = self.next_batch() {
            is_idle = false;
            let result = pipeline.exec_async(&mut self.commands.clone()).await;
            let mut own = self.own();
            own.is_writing = false;
            if let Err(error) = result {
                // Whether it was written is unknown.
                own.unwritten.extend(taken.into_iter().map(|room| (room, Unwritten::All)));
                own.bound_unwritten();
                return Err(error);
            }
        }
        if is_idle {
            ::redis::cmd("PING").exec_async(&mut self.commands.clone()).await?;
        }
        Ok(())
    }

    /// A transaction with the next changes, and its rooms.
    fn next_batch(&self) -> Option<(Pipeline, Vec<RoomRef>)> {
        let mut own = self.own();
        let mut pipeline = ::redis::pipe();
        pipeline.atomic();
        let (mut taken, mut len) = (Vec::new(), 0);
        while len < limits::BATCH_LEN_MAX {
            let Some((room, unwritten)) = own.unwritten.pop_first() else { break };
            len += self.add(&mut pipeline, &room, unwritten, own.rooms.get(&room));
            taken.push(room);
        }
        own.is_writing = !taken.is_empty();
        own.is_writing.then_some((pipeline, taken))
    }

    /// Adds the commands for a room, and returns the number of sessions in them.
    fn add(
        &self,
        pipeline: &mut Pipeline,
        room: &RoomRef,
        unwritten: Unwritten,
        sessions: Option<&BTreeMap<String, PeerSession>>,
    ) -> usize {
        let (key, processes) = (sessions_key(room, &self.process), processes_key(room));
        let mut len = 1;
        match sessions {
            None => {
                pipeline.del(&key).ignore().srem(&processes, &self.process).ignore();
            }
            Some(sessions) => {
                let peers: Vec<&String> = match &unwritten {
                    Unwritten::All => {
                        pipeline.del(&key).ignore();
                        sessions.keys().collect()
                    }
                    Unwritten::Peers(peers) => peers.iter().collect(),
                };
                len += peers.len();
                for peer in peers {
                    match sessions.get(peer) {
                        Some(session) => pipeline.hset(&key, peer, encode(session)).ignore(),
                        None => pipeline.hdel(&key, peer).ignore(),
                    };
                }
                self.add_renewal(pipeline, room);
            }
        }
        let change = Change { process: self.process.clone(), room: room.clone() };
        pipeline.publish(CHANNEL, encode(&change)).ignore();
        len
    }

    fn add_renewal(&self, pipeline: &mut Pipeline, room: &RoomRef) {
        let (key, processes) = (sessions_key(room, &self.process), processes_key(room));
        let ttl = self.ttl.as_millis() as i64;
        pipeline.pexpire(&key, ttl);
        pipeline.sadd(&processes, &self.process).ignore().pexpire(&processes, ttl).ignore();
    }

    /// Renews the keys of all rooms. A room whose key is gone is written again.
    async fn renew(&self) -> Result<(), RedisError> {
        let rooms: Vec<RoomRef> = self.own().rooms.keys().cloned().collect();
        for rooms in rooms.chunks(limits::BATCH_LEN_MAX) {
            let mut pipeline = ::redis::pipe();
            rooms.iter().for_each(|room| self.add_renewal(&mut pipeline, room));
            let are_there: Vec<bool> = pipeline.query_async(&mut self.commands.clone()).await?;
            let mut own = self.own();
            for (room, _) in rooms.iter().zip(are_there).filter(|(_, is_there)| !is_there) {
                own.unwritten.insert(room.clone(), Unwritten::All);
            }
        }
        Ok(())
    }

    /// Handles a message of the subscription.
    fn on_push(&self, push: PushInfo) {
        let change = match push.kind {
            // Redis is there, for the first time or again: messages may be lost, and data too.
            PushKind::Subscribe => {
                self.own().mark_all();
                self.wake.notify_one();
                Some(SessionsChanged::All)
            }
            PushKind::Message => match push.data.get(1) {
                Some(Value::BulkString(bytes)) if bytes.len() <= limits::CHANGE_BYTES_MAX => {
                    let change = serde_json::from_slice::<Change>(bytes).ok();
                    let of_others = change.filter(|change| change.process != self.process);
                    of_others.map(|change| SessionsChanged::Room(change.room))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(change) = change {
            // Without a receiver, the result is not needed.
            let _ = self.changes.send(change);
        }
    }
}

/// Subscribes to the changes of other processes. The connection is then kept up by the library.
async fn subscribe(client: Client, inner: Arc<Inner>) {
    loop {
        let receiver = inner.clone();
        let push = move |push| {
            receiver.on_push(push);
            Ok::<_, ()>(())
        };
        let config = config()
            .set_number_of_retries(usize::MAX)
            .set_max_delay(limits::SUBSCRIBE_PAUSE_MAX)
            .set_automatic_resubscription()
            .set_push_sender(push);
        let subscribed = async {
            let mut connection = client.get_connection_manager_with_config(config).await?;
            connection.subscribe(CHANNEL).await?;
            Ok::<_, RedisError>(connection)
        };
        // An absent server must not stop this, whatever the library does.
        if let Ok(Ok(_connection)) = timeout(SUBSCRIBE_TIMEOUT, subscribed).await {
            std::future::pending::<()>().await;
        }
        sleep(limits::SUBSCRIBE_PAUSE_MAX).await;
    }
}

/// Time of one attempt to subscribe for the first time.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

fn config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(Some(limits::COMMAND_TIMEOUT))
        .set_connection_timeout(Some(limits::COMMAND_TIMEOUT))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data without maps")
}

/// Why an address is not valid, without the address.
fn reason(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::InvalidClientConfig => error.to_string(),
        _ => error.category().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_while_redis_is_away_is_bounded() {
        let mut own = Own { rooms: HashMap::new(), unwritten: BTreeMap::new(), is_writing: false };
        let open = RoomRef::new("default", "open");
        own.rooms.insert(open.clone(), BTreeMap::new());
        for number in 0..10_000 {
            own.mark(&open, &number.to_string());
            own.mark(&RoomRef::new("default", format!("ended {number}")), "peer");
        }
        own.bound_unwritten();
        assert_eq!(own.unwritten.len(), limits::ENDED_ROOMS_MAX + 1);
        assert!(matches!(own.unwritten[&open], Unwritten::All));
    }
}
