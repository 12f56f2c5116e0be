//! The deliveries to one target: at most one request for each room at a time.

use crate::backoff::pause;
use crate::client::Client;
use crate::counts::Counters;
use crate::limits::{DELIVERIES_PER_TARGET, QUEUE_PAUSE, QUEUE_POLL, STORE_RETRY};
use crate::outage::Outage;
use crate::resolver::Resolver;
use crate::target::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use stores::accounts::Accounts;
use stores::accounts::limits::WEBHOOK_BATCH_LEN;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// What the deliveries to all targets share.
pub(crate) struct Delivery {
    pub(crate) accounts: Accounts,
    pub(crate) client: Client,
    pub(crate) counters: Arc<Counters>,
}

/// What the deliveries to one target share.
struct Receiver {
    target: Arc<Target>,
    resolver: Resolver,
    outage: Mutex<Outage>,
}

/// A room with events for the target.
#[derive(Debug)]
struct Lane {
    /// When its next event may be sent.
    due: Instant,
    /// Failed attempts in a row.
    failures: u32,
    is_running: bool,
    /// The queue was read while it was running: there may be further events.
    is_dirty: bool,
}

/// How the deliveries of a room ended.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// There was nothing, or nothing more.
    Drained,
    /// There may be further events.
    More,
    /// An attempt failed; whether others succeeded before.
    Failed { after_success: bool },
    /// The database does not answer.
    StoreAway,
}

/// Delivers all events of a target, for ever. When this is dropped, all attempts end.
pub(crate) async fn deliver(delivery: Arc<Delivery>, target: Arc<Target>, mut queue: watch::Receiver<u64>) {
    let outage = Mutex::new(Outage::new(format!("{target}")));
    let receiver = Arc::new(Receiver { target, resolver: Resolver::default(), outage });
    let mut store_outage = Outage::new("the queue cannot be read".to_owned());
    let mut lanes = Lanes::default();
    let mut rounds = JoinSet::new();
    let mut read_at = Instant::now();
    loop {
        if read_at <= Instant::now() {
            queue.mark_unchanged();
            match delivery.accounts.webhook_rooms(receiver.target.id()).await {
                Ok(rooms) => {
                    lanes.merge(rooms, Instant::now());
                    store_outage.end();
                }
                Err(error) => store_outage.fail(&error),
            }
            read_at = Instant::now() + QUEUE_POLL;
        }
        while rounds.len() < DELIVERIES_PER_TARGET
            && let Some(room) = lanes.start_next(Instant::now())
        {
            let (delivery, receiver) = (delivery.clone(), receiver.clone());
            rounds.spawn(async move {
                let round = deliver_room(&delivery, &receiver, &room).await;
                (room, round)
            });
        }
        let next = match rounds.len() < DELIVERIES_PER_TARGET {
            true => lanes.next_due().map_or(read_at, |due| due.min(read_at)),
            false => read_at,
        };
        tokio::select! {
            Some(ended) = rounds.join_next() => match ended {
                Ok((room, round)) => lanes.end(&room, round, Instant::now(), getrandom_u32()),
                // The room is not known: all are read again.
                Err(error) => {
                    tracing::error!(%error, "webhooks: a delivery has panicked");
                    lanes = Lanes::default();
                    rounds.shutdown().await;
                    read_at = Instant::now() + STORE_RETRY;
                }
            },
            Ok(()) = queue.changed() => read_at = read_at.min(Instant::now() + QUEUE_PAUSE),
            () = sleep_until(next) => {}
        }
    }
}

/// Sends the events of a room in their order, until one fails.
async fn deliver_room(delivery: &Delivery, receiver: &Receiver, room: &str) -> Round {
    let Receiver { target, resolver, outage } = receiver;
    let Ok(events) = delivery.accounts.webhooks_of_room(target.id(), room).await else {
        return Round::StoreAway;
    };
    let is_last_batch = (events.len() as i64) < WEBHOOK_BATCH_LEN;
    let (mut done, mut has_failed) = (Vec::new(), false);
    for event in events {
        let result = delivery.client.send(target, resolver, &event).await;
        delivery.counters.count_attempt(&result);
        let mut outage = outage.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                outage.end();
                done.push(event.id);
            }
            Err(failure) => {
                outage.fail(&failure);
                has_failed = true;
                break;
            }
        }
    }
    let after_success = !done.is_empty();
    // They would be sent again.
    while !done.is_empty() && delivery.accounts.delete_webhooks(target.id(), &done).await.is_err() {
        sleep(STORE_RETRY).await;
    }
    match (has_failed, is_last_batch) {
        (true, _) => Round::Failed { after_success },
        (false, true) => Round::Drained,
        (false, false) => Round::More,
    }
}

/// The rooms with events for one target.
#[derive(Debug, Default)]
struct Lanes(BTreeMap<String, Lane>);

impl Lanes {
    /// Takes over the rooms that the queue has. A room that is not in it has no events any more.
    fn merge(&mut self, rooms: Vec<String>, now: Instant) {
        let found: BTreeSet<String> = rooms.into_iter().collect();
        self.0.retain(|room, lane| lane.is_running || found.contains(room));
        for room in found {
            let lane = self.0.entry(room).or_insert(Lane {
                due: now,
                failures: 0,
                is_running: false,
                is_dirty: false,
            });
            lane.is_dirty |= lane.is_running;
        }
    }

    /// Starts the room that has waited longest, if one is due.
    fn start_next(&mut self, now: Instant) -> Option<String> {
        let idle = self.0.iter_mut().filter(|(_, lane)| !lane.is_running && lane.due <= now);
        let (room, lane) = idle.min_by_key(|(_, lane)| lane.due)?;
        (lane.is_running, lane.is_dirty) = (true, false);
        Some(room.clone())
    }

    /// When the next room is due.
    fn next_due(&self) -> Option<Instant> {
        self.0.values().filter(|lane| !lane.is_running).map(|lane| lane.due).min()
    }

    fn end(&mut self, room: &str, round: Round, now: Instant, random: u32) {
        let Some(lane) = self.0.get_mut(room) else { return };
        lane.is_running = false;
        match round {
            Round::Drained if !lane.is_dirty => {
                self.0.remove(room);
            }
            Round::Drained | Round::More => (lane.due, lane.failures) = (now, 0),
            Round::Failed { after_success } => {
                lane.failures = if after_success { 1 } else { lane.failures.saturating_add(1) };
                lane.due = now + pause(lane.failures, random);
            }
            Round::StoreAway => lane.due = now + STORE_RETRY,
        }
    }
}

fn getrandom_u32() -> u32 {
    getrandom::u32().expect("the system provides random numbers")
}

#[cfg(test)]
mod tests;
