//! What the client of one peer reports of the quality of its call.

use crate::limits;
use crate::metrics::QualityMetrics;
use crate::proto::QualityReport;
use crate::request_error::RequestError;
use crate::token_bucket::TokenBucket;
use bus::CallQuality;
use std::time::{Duration, Instant};

/// What the client of a peer has reported.
#[derive(Debug)]
pub(super) struct PeerQuality {
    /// The join, as time since 1970; zero if it is not known.
    joined_at: Duration,
    /// The last report.
    report: Option<QualityReport>,
    /// Bounds the reports.
    reports: Option<TokenBucket>,
}

impl PeerQuality {
    /// Of a peer that joined at this time since 1970.
    pub(super) fn since(joined_at: Duration) -> Self {
        Self { joined_at, report: None, reports: None }
    }

    /// Milliseconds since 1970; 0 if it is not known.
    pub(super) fn joined_at_ms(&self) -> u64 {
        u64::try_from(self.joined_at.as_millis()).unwrap_or(u64::MAX)
    }

    /// Replaces the report.
    pub(super) fn take(
        &mut self,
        report: QualityReport,
        metrics: &QualityMetrics,
    ) -> Result<(), RequestError> {
        check(&report)?;
        let (rate, burst) = (limits::QUALITY_REPORTS_PER_SECOND, limits::QUALITY_REPORTS_BURST);
        TokenBucket::take_of(&mut self.reports, rate, burst, Instant::now()).map_err(|pause| {
            RequestError::limit("too many quality reports of this peer").retry_after(pause)
        })?;
        let before = self.report.unwrap_or_default();
        metrics.count(
            report.join_ms.filter(|_| before.join_ms.is_none()),
            report.first_frame_ms.filter(|_| before.first_frame_ms.is_none()),
            report.freezes.saturating_sub(before.freezes).min(limits::FREEZES_PER_REPORT),
        );
        self.report = Some(report);
        Ok(())
    }

    /// What is known now.
    pub(super) fn result(&self) -> CallQuality {
        let joined_at_ms = Some(self.joined_at_ms()).filter(|time| *time > 0);
        let Some(report) = &self.report else {
            return CallQuality { joined_at_ms, ..CallQuality::default() };
        };
        CallQuality {
            joined_at_ms,
            join_ms: report.join_ms,
            first_frame_ms: report.first_frame_ms,
            freezes: Some(report.freezes),
            frozen_ms: Some(report.frozen_ms),
            packets_received: Some(report.packets_received),
            packets_lost: Some(report.packets_lost),
            jitter_us: report.jitter_us,
            round_trip_us: report.round_trip_us,
            mos_hundredths: report.mos_hundredths,
            relayed: report.relayed,
        }
    }
}

fn check(report: &QualityReport) -> Result<(), RequestError> {
    let delays = limits::QUALITY_DELAY_US_MAX.into();
    for (name, value, max) in [
        ("join_ms", report.join_ms.map(u64::from), limits::QUALITY_JOIN_MS_MAX.into()),
        ("first_frame_ms", report.first_frame_ms.map(u64::from), limits::QUALITY_FIRST_FRAME_MS_MAX.into()),
        ("freezes", Some(report.freezes.into()), limits::QUALITY_FREEZES_MAX.into()),
        ("packets_received", Some(report.packets_received), limits::QUALITY_PACKETS_MAX),
        ("packets_lost", Some(report.packets_lost), limits::QUALITY_PACKETS_MAX),
        ("jitter_us", report.jitter_us.map(u64::from), delays),
        ("round_trip_us", report.round_trip_us.map(u64::from), delays),
    ] {
        if value.is_some_and(|value| value > max) {
            return Err(RequestError::bad(format!("{name} must be at most {max}")));
        }
    }
    if report.mos_hundredths.is_some_and(|score| !(100..=450).contains(&score)) {
        return Err(RequestError::bad("mos_hundredths must be 100 to 450"));
    }
    Ok(())
}
