//! The queue of webhooks: events that wait for their targets. It is no part of a backup: after a day, or after
//! their delivery, they are gone.

use super::Accounts;
use super::database::{Store, in_transaction, on_pool};
use super::delivery_lock::DeliveryLock;
use super::error::AccountError;
use super::ids::{new_id, now_ms};
use super::limits::{WEBHOOK_BATCH_LEN, WEBHOOK_QUEUE_LEN, WEBHOOK_QUEUE_TIME};

/// An event of a room that waits to be delivered.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct QueuedEvent {
    /// Orders the events. It is the same for all targets and attempts.
    pub id: String,
    /// `PROJECT/ROOM`.
    pub room: String,
    /// The JSON.
    pub body: String,
    /// Milliseconds since 1970.
    pub queued_at: i64,
}

impl QueuedEvent {
    /// An event that happens now: its id is larger than those of earlier calls in this process.
    pub fn new(room: String, body: String) -> Self {
        Self { id: new_id(), room, body, queued_at: now_ms() }
    }
}

/// The size and age of the queue of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct WebhookBacklog {
    /// Number of events.
    pub events: i64,
    /// When the oldest was queued, in milliseconds since 1970; 0 without events.
    pub oldest_at: i64,
}

impl Accounts {
    /// Adds events to the queues of targets, all or none. Returns the number of older ones that were dropped,
    /// because a target may have 10,000. An event that is in a queue already is not added again.
    ///
    /// After a timeout the events may have been added: call it again with the same ones.
    pub async fn queue_webhooks(
        &self,
        targets: &[String],
        events: &[QueuedEvent],
    ) -> Result<u64, AccountError> {
        const ADD: &str = "INSERT INTO webhook_queue (target, id, room, body, queued_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (target, id) DO NOTHING";
        const EXCESS: &str = "DELETE FROM webhook_queue WHERE target = $1 AND id <= ( \
             SELECT id FROM webhook_queue WHERE target = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
        in_transaction!(self.store, |tx| {
            let mut dropped = 0;
            for target in targets {
                for event in events {
                    let add = sqlx::query(ADD).bind(target).bind(&event.id).bind(&event.room);
                    add.bind(&event.body).bind(event.queued_at).execute(&mut *tx).await?;
                }
                let excess = sqlx::query(EXCESS).bind(target).bind(WEBHOOK_QUEUE_LEN);
                dropped += excess.execute(&mut *tx).await?.rows_affected();
            }
            Ok(dropped)
        })
    }

    /// The rooms with events for a target, the one with the oldest event first; at most as many as the queue
    /// has events.
    pub async fn webhook_rooms(&self, target: &str) -> Result<Vec<String>, AccountError> {
        const ROOMS: &str = "SELECT room FROM webhook_queue WHERE target = $1 GROUP BY room ORDER BY MIN(id)";
        let rooms: Vec<(String,)> = on_pool!(self.store, |pool| Ok::<_, AccountError>(
            sqlx::query_as(ROOMS).bind(target).fetch_all(pool).await?
        ))?;
        Ok(rooms.into_iter().map(|(room,)| room).collect())
    }

    /// The oldest events of a room for a target, in order, at most 16.
    pub async fn webhooks_of_room(&self, target: &str, room: &str) -> Result<Vec<QueuedEvent>, AccountError> {
        const EVENTS: &str = "SELECT id, room, body, queued_at FROM webhook_queue \
             WHERE target = $1 AND room = $2 ORDER BY id LIMIT $3";
        on_pool!(self.store, |pool| Ok(sqlx::query_as(EVENTS)
            .bind(target)
            .bind(room)
            .bind(WEBHOOK_BATCH_LEN)
            .fetch_all(pool)
            .await?))
    }

    /// Deletes events that a target has got.
    pub async fn delete_webhooks(&self, target: &str, ids: &[String]) -> Result<(), AccountError> {
        in_transaction!(self.store, |tx| {
            for id in ids {
                let delete = sqlx::query("DELETE FROM webhook_queue WHERE target = $1 AND id = $2");
                delete.bind(target).bind(id).execute(&mut *tx).await?;
            }
            Ok(())
        })
    }

    /// Deletes the events that are older than a day. Returns their number.
    pub async fn delete_old_webhooks(&self) -> Result<u64, AccountError> {
        let queued_before = now_ms().saturating_sub(WEBHOOK_QUEUE_TIME.as_millis() as i64);
        on_pool!(self.store, |pool| {
            let delete = sqlx::query("DELETE FROM webhook_queue WHERE queued_at < $1").bind(queued_before);
            Ok(delete.execute(pool).await?.rows_affected())
        })
    }

    /// How much waits for a target.
    pub async fn webhook_backlog(&self, target: &str) -> Result<WebhookBacklog, AccountError> {
        const BACKLOG: &str = "SELECT COUNT(*) AS events, COALESCE(MIN(queued_at), 0) AS oldest_at \
             FROM webhook_queue WHERE target = $1";
        on_pool!(self.store, |pool| Ok(sqlx::query_as(BACKLOG).bind(target).fetch_one(pool).await?))
    }

    /// Makes this process the one that delivers, until the lock is dropped or lost. `None` while another one
    /// is it.
    pub async fn lock_deliveries(&self) -> Result<Option<DeliveryLock>, AccountError> {
        let store: &Store = &self.store;
        store.call(async { DeliveryLock::acquire(store).await }).await
    }
}
