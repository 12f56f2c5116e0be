//! Quality of calls: the reports of clients, and the record of each session at its end.
//!
//! Nothing here waits for a database: a task writes the records ([`crate::api::quality_writer`]).

use super::Rooms;
use super::state::{Peer, PeerId};
use crate::auth::since_1970;
use crate::limits;
use crate::proto::QualityReport;
use crate::request_error::RequestError;
use bus::CallQuality;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// A session that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityRecord {
    /// The project of the room.
    pub project: String,
    /// The name of the room.
    pub room: String,
    /// The id of the peer.
    pub session: String,
    /// The user, as in the token.
    pub user: String,
    /// The end, as time since 1970.
    pub ended_at: Duration,
    /// What the client measured.
    pub quality: CallQuality,
}

/// The records that are waiting to be written.
#[derive(Debug)]
pub struct QualityQueue(mpsc::Receiver<QualityRecord>);

impl QualityQueue {
    /// The next records, at most [`limits::QUALITY_BATCH_LEN`]; none after the last one.
    pub async fn next(&mut self) -> Vec<QualityRecord> {
        let mut records = Vec::new();
        self.0.recv_many(&mut records, limits::QUALITY_BATCH_LEN).await;
        records
    }
}

/// The way into the queue, once there is one.
#[derive(Debug, Default)]
pub(super) struct QualityRecorder(Mutex<Option<mpsc::Sender<QualityRecord>>>);

impl Rooms {
    /// After this call, the quality of every session that ends goes into this queue.
    pub fn quality_queue(&self) -> QualityQueue {
        let (sender, receiver) = mpsc::channel(limits::QUALITY_QUEUE_LEN);
        *self.quality.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        QualityQueue(receiver)
    }

    /// Ends the queue after the records that are in it.
    pub fn end_quality(&self) {
        *self.quality.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Handles the report of a client.
    pub(super) fn on_quality_report(&self, id: PeerId, report: QualityReport) -> Result<(), RequestError> {
        match self.state().peers.get_mut(&id) {
            Some(peer) => peer.quality.take(report, &self.quality_metrics),
            // It was removed while its request waited.
            None => Ok(()),
        }
    }

    /// A peer has left.
    pub(super) fn record_quality(&self, id: PeerId, peer: &Peer) {
        let queue = self.quality.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*queue else { return };
        let record = QualityRecord {
            project: peer.room.project.clone(),
            room: peer.room.name.clone(),
            session: id.to_string(),
            user: peer.user.clone(),
            ended_at: since_1970(),
            quality: peer.quality.result(),
        };
        if sender.try_send(record).is_err() {
            self.quality_metrics.count_dropped(1);
        }
    }
}
