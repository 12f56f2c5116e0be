//! The tasks of webhooks, and their start and end.

use crate::client::Client;
use crate::counts::{Counters, Dropped, WebhookMonitor};
use crate::delivery::{Delivery, deliver};
use crate::intake::EventIntake;
use crate::limits::{LOCK_POLL, SWEEP_INTERVAL, TAKEOVER_POLL};
use crate::outage::Outage;
use crate::settings::{Settings, SettingsError};
use crate::target::Target;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use stores::accounts::{AccountError, Accounts, DeliveryLock};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// The webhooks of a process.
#[derive(Debug)]
pub struct Webhooks {
    intake: EventIntake,
    counters: Arc<Counters>,
    writing: JoinHandle<()>,
    delivering: JoinHandle<()>,
}

impl Webhooks {
    /// Starts the tasks, inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// If the settings cannot be used.
    pub fn start(settings: Settings, accounts: Accounts) -> Result<Self, SettingsError> {
        settings.check()?;
        for target in settings.targets.iter().filter(|target| target.is_plain()) {
            tracing::warn!(%target, "webhooks: requests to this target are not encrypted");
        }
        let counters = Arc::<Counters>::default();
        let intake = EventIntake::new(settings.selected(), settings.targets.len() as u64, counters.clone());
        let ids = settings.targets.iter().map(|target| target.id().to_owned()).collect();
        let (written, queue) = watch::channel(0);
        let writing = tokio::spawn(intake.clone().write(accounts.clone(), ids, written));
        let client = Client::new(settings.policy, settings.secrets);
        let targets = settings.targets.into_iter().map(Arc::new);
        let delivery = Arc::new(Delivery { accounts, client, counters: counters.clone() });
        let delivering = tokio::spawn(lead(delivery, targets.collect(), queue));
        Ok(Self { intake, counters, writing, delivering })
    }

    /// Where the rooms put their events.
    pub fn intake(&self) -> EventIntake {
        self.intake.clone()
    }

    /// What webhooks have done, for metrics.
    pub fn monitor(&self) -> WebhookMonitor {
        WebhookMonitor::new(self.counters.clone())
    }

    /// Waits until the events that were taken are in the database. They are delivered by another process, or
    /// after the next start.
    pub async fn end(self) {
        self.intake.close();
        // Ends only by a panic, which is in the log.
        let _ = self.writing.await;
        self.delivering.abort();
    }
}

/// Delivers while this process has the lock of the queue.
async fn lead(delivery: Arc<Delivery>, targets: Vec<Arc<Target>>, queue: watch::Receiver<u64>) {
    let mut outage = Outage::new("the queue cannot be locked".to_owned());
    loop {
        match delivery.accounts.lock_deliveries().await {
            Ok(Some(mut lock)) => {
                outage.end();
                delivery.counters.set_delivering(true);
                let mut tasks = JoinSet::new();
                for target in &targets {
                    tasks.spawn(deliver(delivery.clone(), target.clone(), queue.clone()));
                }
                tokio::select! {
                    () = lost(&mut lock) => tracing::warn!("webhooks: the lock of the queue is lost; trying again"),
                    () = sweep(&delivery, &targets) => {}
                    // A task ends only by a panic, which is in the log. All begin again.
                    _ = tasks.join_next() => {}
                }
                // Attempts end with their tasks, before the lock is released.
                tasks.shutdown().await;
                delivery.counters.set_delivering(false);
            }
            Ok(None) => outage.end(),
            Err(error) => outage.fail(&error),
        }
        sleep(TAKEOVER_POLL).await;
    }
}

async fn lost(lock: &mut DeliveryLock) {
    while lock.is_held().await {
        sleep(LOCK_POLL).await;
    }
}

/// Deletes old events, and counts what waits.
async fn sweep(delivery: &Delivery, targets: &[Arc<Target>]) {
    let mut outage = Outage::new("the queue cannot be counted".to_owned());
    loop {
        match sweep_once(delivery, targets).await {
            Ok(()) => outage.end(),
            Err(error) => outage.fail(&error),
        }
        sleep(SWEEP_INTERVAL).await;
    }
}

async fn sweep_once(delivery: &Delivery, targets: &[Arc<Target>]) -> Result<(), AccountError> {
    let expired = delivery.accounts.delete_old_webhooks().await?;
    delivery.counters.count_dropped(Dropped::Expired, expired);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let (mut queued, mut oldest_at) = (0, now_ms);
    for target in targets {
        let backlog = delivery.accounts.webhook_backlog(target.id()).await?;
        queued += backlog.events;
        if backlog.events > 0 {
            oldest_at = oldest_at.min(backlog.oldest_at);
        }
    }
    let unsigned = |value: i64| u64::try_from(value).unwrap_or_default();
    delivery.counters.set_backlog(unsigned(queued), unsigned(now_ms - oldest_at));
    Ok(())
}
