//! Writes the records of ended sessions to the database, and deletes old ones.

use super::audit_writer::participant;
use super::stored_keys::Outage;
use crate::auth::since_1970;
use crate::limits;
use crate::metrics::QualityMetrics;
use crate::rooms::{QualityQueue, QualityRecord};
use std::time::Duration;
use stores::accounts::{AccountError, Accounts, StoredQuality};
use tokio::time::sleep;

/// Writes records until the queue ends. While the database is away, they wait in the queue.
pub async fn write_quality(accounts: Accounts, mut queue: QualityQueue, metrics: QualityMetrics) {
    let mut outage = Outage::default();
    loop {
        let records = queue.next().await;
        if records.is_empty() {
            return;
        }
        let mut refused = 0;
        while let Err(error) = write(&accounts, &records).await {
            outage.log(Some(&error), "records of ended sessions wait until the database answers");
            // Records that the database refuses must not stop the others.
            refused += u32::from(error.is_refusal() || !error.is_unavailable());
            if refused == limits::QUALITY_TRIES {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    count = records.len(),
                    "the database refuses records of ended sessions"
                );
                metrics.count_dropped(records.len());
                break;
            }
            sleep(limits::AUDIT_RETRY).await;
        }
        outage.log(None, "");
    }
}

async fn write(accounts: &Accounts, records: &[QualityRecord]) -> Result<(), AccountError> {
    let mut stored = Vec::with_capacity(records.len());
    for record in records {
        let participant = participant(accounts, &record.project, &record.user).await?;
        stored.push(StoredQuality {
            project: record.project.clone(),
            room: record.room.clone(),
            session: record.session.clone(),
            participant: participant.to_string(),
            ended_at: milliseconds(record.ended_at),
            joined_at: signed(record.quality.joined_at_ms),
            join_ms: record.quality.join_ms.map(i64::from),
            first_frame_ms: record.quality.first_frame_ms.map(i64::from),
            freezes: record.quality.freezes.map(i64::from),
            frozen_ms: record.quality.frozen_ms.map(i64::from),
            packets_received: signed(record.quality.packets_received),
            packets_lost: signed(record.quality.packets_lost),
            jitter_us: record.quality.jitter_us.map(i64::from),
            round_trip_us: record.quality.round_trip_us.map(i64::from),
            mos_hundredths: record.quality.mos_hundredths.map(i64::from),
            relayed: record.quality.relayed,
        });
    }
    accounts.add_quality(&stored).await
}

fn signed(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Deletes records that are older than `retention`, once an hour.
pub async fn delete_old_quality(accounts: Accounts, retention: Duration) {
    let mut outage = Outage::default();
    loop {
        let keep_from = milliseconds(since_1970().saturating_sub(retention));
        let deleted = accounts.delete_quality_before(keep_from).await;
        outage.log(deleted.as_ref().err(), "old records of sessions cannot be deleted");
        sleep(limits::AUDIT_RETENTION_INTERVAL).await;
    }
}
