//! Records of the quality of calls: one for each session that has ended.

use super::Accounts;
use super::database::{in_transaction, on_pool};
use super::error::AccountError;
use super::ids::new_id;
use super::limits::{PAGE_LEN, RETENTION_BATCH_LEN};

/// What the client of one session measured. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct StoredQuality {
    /// The project of the room.
    pub project: String,
    /// The name of the room.
    pub room: String,
    /// The id of the peer.
    pub session: String,
    /// `user:ID` for a user of this store, otherwise `participant:NAME`.
    pub participant: String,
    /// When it joined, if that is known.
    pub joined_at: Option<i64>,
    /// When it left.
    pub ended_at: i64,
    /// Milliseconds from the beginning of the join in the client to its end.
    pub join_ms: Option<i64>,
    /// Milliseconds from that beginning to the first picture of another peer.
    pub first_frame_ms: Option<i64>,
    /// Freezes of received video.
    pub freezes: Option<i64>,
    /// Their duration in milliseconds.
    pub frozen_ms: Option<i64>,
    /// Packets of received media.
    pub packets_received: Option<i64>,
    /// Packets of received media that did not arrive.
    pub packets_lost: Option<i64>,
    /// Mean jitter of received media, in microseconds.
    pub jitter_us: Option<i64>,
    /// Mean round-trip time of media, in microseconds.
    pub round_trip_us: Option<i64>,
    /// Mean opinion score of received sound in hundredths, 100 to 450.
    pub mos_hundredths: Option<i64>,
    /// Whether a TURN server relayed media of the client.
    pub relayed: Option<bool>,
}

const ADD: &str = "INSERT INTO call_quality (id, project, room, session, participant, joined_at, ended_at, join_ms, \
     first_frame_ms, freezes, frozen_ms, packets_received, packets_lost, jitter_us, round_trip_us, mos_hundredths, \
     relayed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

impl Accounts {
    /// Adds records in one transaction.
    pub async fn add_quality(&self, records: &[StoredQuality]) -> Result<(), AccountError> {
        in_transaction!(self.store, |tx| {
            for record in records {
                sqlx::query(ADD)
                    .bind(new_id())
                    .bind(&record.project)
                    .bind(&record.room)
                    .bind(&record.session)
                    .bind(&record.participant)
                    .bind(record.joined_at)
                    .bind(record.ended_at)
                    .bind(record.join_ms)
                    .bind(record.first_frame_ms)
                    .bind(record.freezes)
                    .bind(record.frozen_ms)
                    .bind(record.packets_received)
                    .bind(record.packets_lost)
                    .bind(record.jitter_us)
                    .bind(record.round_trip_us)
                    .bind(record.mos_hundredths)
                    .bind(record.relayed)
                    .execute(&mut *tx)
                    .await?;
            }
            Ok(())
        })
    }

    /// The latest records of a project, at most `limit` and 500, the latest first.
    pub async fn quality(&self, project: &str, limit: usize) -> Result<Vec<StoredQuality>, AccountError> {
        const LATEST: &str = "SELECT * FROM call_quality WHERE project = $1 ORDER BY id DESC LIMIT $2";
        let limit = i64::try_from(limit).unwrap_or(PAGE_LEN).min(PAGE_LEN);
        on_pool!(self.store, |pool| Ok(sqlx::query_as(LATEST)
            .bind(project)
            .bind(limit)
            .fetch_all(pool)
            .await?))
    }

    /// Deletes the records of sessions that ended before `keep_from` (milliseconds since 1970), in short
    /// transactions. Returns their number.
    pub async fn delete_quality_before(&self, keep_from: i64) -> Result<u64, AccountError> {
        const DELETE: &str = "DELETE FROM call_quality WHERE id IN ( \
             SELECT id FROM call_quality WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)";
        let mut count = 0;
        loop {
            let deleted = on_pool!(self.store, |pool| {
                let deleted = sqlx::query(DELETE).bind(keep_from).bind(RETENTION_BATCH_LEN).execute(pool);
                Ok(deleted.await?.rows_affected())
            })?;
            count += deleted;
            if deleted == 0 {
                return Ok(count);
            }
        }
    }
}
