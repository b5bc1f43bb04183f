//! Bringing captures to the API.

use crate::{Cancellation, ProgressListener, SnapTrak, SnapTrakError, cancellation::Waiting, progress};
use std::sync::Arc;

/// What one call of `SnapTrak::sync` may use; nothing given means as much as there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, uniffi::Record)]
pub struct Budget {
    /// Milliseconds.
    #[uniffi(default = None)]
    pub time_ms: Option<u64>,
    /// Bytes of request bodies.
    #[uniffi(default = None)]
    pub bytes: Option<u64>,
}

/// What was brought, and what is left.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct SyncReport {
    /// Requests made.
    pub requests: u64,
    /// Sealed bytes sent.
    pub bytes_sent: u64,
    /// Of these, bytes that had been sent before.
    pub bytes_resent: u64,
    /// Captures that the server has now.
    pub received: u64,
    /// Captures that the server signed for.
    pub verified: u64,
    /// Captures that were set aside.
    pub parked: u64,
    /// Captures that still wait.
    pub left: u64,
    /// Why it ended, as a word: `done`, `budget_time`, `offline`, ...
    pub stopped_because: String,
    /// When something will be tried again by itself, Unix time in milliseconds.
    pub next_try_ms: Option<i64>,
}

#[uniffi::export]
impl SnapTrak {
    /// Brings what waits to the API, as far as the budget goes, and says what is left. Broken off, nothing is lost.
    #[uniffi::method(default(budget = None, progress = None, cancellation = None))]
    pub async fn sync(
        &self,
        budget: Option<Budget>,
        progress: Option<Arc<dyn ProgressListener>>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<SyncReport, SnapTrakError> {
        let Budget { time_ms, bytes } = budget.unwrap_or_default();
        let budget = snaptrak::Budget { time_ms, bytes };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| {
            Ok(core.sync_until(budget, &progress::Adapted::new(progress), token)?.into())
        })
        .await
    }
}

impl From<snaptrak::SyncReport> for SyncReport {
    fn from(report: snaptrak::SyncReport) -> Self {
        Self {
            requests: report.requests,
            bytes_sent: report.bytes_sent,
            bytes_resent: report.bytes_resent,
            received: report.received,
            verified: report.verified,
            parked: report.parked,
            left: report.left,
            stopped_because: report.stopped_because.as_str().to_owned(),
            next_try_ms: report.next_try_ms.map(|time| time.0),
        }
    }
}
