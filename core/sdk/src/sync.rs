//! Bringing captures to the API: the window of `core/sync` on this instance's store and platform.

use crate::{
    Error, ErrorCode, SnapTrak,
    progress::{Phase, Progress, ProgressEvent},
};
use snaptrak_domain::CancelToken;
use snaptrak_store::StoreError;
use snaptrak_sync::{
    ReqwestTransport, SyncClient, SyncObserver, SyncParts, SyncPhase, SyncProgress, TransportSettings,
};
use std::sync::Arc;

pub use snaptrak_sync::{StoppedBecause, SyncReport};

/// What a call of [`SnapTrak::sync`] may use; `None` means as much as there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Milliseconds.
    pub time_ms: Option<u64>,
    /// Bytes of request bodies.
    pub bytes: Option<u64>,
}

impl SnapTrak {
    /// Brings what waits to the API, as far as the budget goes, and says what is left.
    ///
    /// What could not be done of one capture is in the queue with its reason ([`SnapTrak::why`]); an error here concerns the
    /// whole. Captures made meanwhile are not held up.
    pub fn sync(&self, budget: Budget, progress: &dyn Progress) -> Result<SyncReport, Error> {
        self.sync_until(budget, progress, &CancelToken::new())
    }

    /// As [`SnapTrak::sync`], and ends early when another thread cancels the token; nothing is lost by it.
    pub fn sync_until(
        &self,
        budget: Budget,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<SyncReport, Error> {
        let granted =
            snaptrak_sync::Budget { time_ms: budget.time_ms, bytes: budget.bytes, ..snaptrak_sync::Budget::default() };
        let call = self.inner.calls.begin(cancel)?;
        let broken_off = self.inner.store.close_broken_off();
        self.sign_what_waits();
        let mut report = self.sync_client()?.run_window(&granted, call.token(), &Watched(progress))?;
        match broken_off {
            Ok(()) => {}
            // The window knows nothing of it: all that is left to it is a recording without an end.
            Err(StoreError::Full) if report.stopped_because == StoppedBecause::WaitingForRetry => {
                report.stopped_because = StoppedBecause::StorageFull;
            }
            Err(error) => tracing::warn!(%error, "recordings that broke off wait for another time"),
        }
        // The window may have accepted a newer bundle: captures made from now on use its keys.
        self.use_recipients_of_stored_trust()?;
        if report.verified > 0 {
            self.keep_quota_after_sync();
        }
        Ok(report)
    }

    /// Asks the signer for a batch of what waits for it, so that an envelope which left without its signature goes again in this
    /// window, and nothing stays unsigned because it does not leave.
    fn sign_what_waits(&self) {
        if let Err(error) = self.inner.store.sign_pending_while(|| false) {
            tracing::warn!(%error, "receipts wait for their signatures");
        }
    }

    /// The client of this instance, made when it is first needed: an app that only captures starts no network thread.
    pub(crate) fn sync_client(&self) -> Result<Arc<SyncClient>, Error> {
        let mut slot = self.inner.sync_client.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = slot.as_ref() {
            return Ok(Arc::clone(client));
        }
        let settings = TransportSettings {
            trusted_roots_pem: self.inner.config.trusted_roots_pem.clone(),
            ..TransportSettings::default()
        };
        let transport = ReqwestTransport::new(settings)
            .map_err(|error| Error::new(ErrorCode::InvalidArgument, error.to_string()))?;
        let client = Arc::new(SyncClient::new(SyncParts {
            store: Arc::new(self.inner.store.clone()),
            transport: Arc::new(transport),
            clock: Arc::clone(&self.inner.platform.clock),
            random: Arc::clone(&self.inner.platform.random),
            token_provider: self.inner.platform.token_provider.clone(),
        }));
        *slot = Some(Arc::clone(&client));
        Ok(client)
    }
}

struct Watched<'a>(&'a dyn Progress);

impl SyncObserver for Watched<'_> {
    fn update(&self, progress: SyncProgress) {
        self.0.update(ProgressEvent {
            phase: match progress.phase {
                SyncPhase::Sending => Phase::Sending,
                SyncPhase::Verifying => Phase::Verifying,
            },
            done: progress.captures_done,
            total: progress.captures_total,
            bytes_done: progress.bytes_done,
            bytes_total: progress.bytes_total,
        });
    }
}
