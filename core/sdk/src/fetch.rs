//! Bringing a purged original back from the server.

use crate::{
    Error, SnapTrak,
    progress::{Phase, Progress, ProgressEvent},
};
use snaptrak_domain::{AssetState, CancelToken, CaptureId, ReasonCode, Rendition, StepKind};
use snaptrak_sync::FetchProgress;

/// What a fetch brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchReport {
    /// Pieces that came from the server; 0 if nothing was purged.
    pub pieces: u64,
    /// Sealed bytes that came in this call; what an earlier one had brought is not asked for again.
    pub bytes: u64,
    /// Where the original stands now.
    pub state: AssetState,
}

impl SnapTrak {
    /// Brings a purged original back, so that it can be viewed again. Its bytes are believed only if they are exactly those that
    /// this device sealed; others are refused and replace nothing.
    ///
    /// What is not purged is left as it is. A fetch that breaks off goes on from there when it is called again. The quota does
    /// not drop what was brought back within a day; [`SnapTrak::pin`] keeps it for longer. A capture that the server lost is set
    /// aside, and [`SnapTrak::why`] says so.
    pub fn fetch(&self, id: CaptureId, progress: &dyn Progress) -> Result<FetchReport, Error> {
        self.fetch_until(id, progress, &CancelToken::new())
    }

    /// As [`SnapTrak::fetch`], and ends early when another thread cancels the token; nothing is lost by it.
    pub fn fetch_until(
        &self,
        id: CaptureId,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<FetchReport, Error> {
        let store = &self.inner.store;
        let call = self.inner.calls.begin(cancel)?;
        call.go_on()?;
        let asset_id = store.asset_of(id, Rendition::Original)?;
        let watch = |done: FetchProgress| {
            progress.update(ProgressEvent {
                phase: Phase::Fetching,
                done: 0,
                total: 1,
                bytes_done: done.bytes_done,
                bytes_total: done.bytes_total,
            });
        };
        let fetched = self.sync_client()?.fetch(store, asset_id, call.token(), &watch)?;
        if fetched.pieces > 0 {
            // What was purged before it was analysed can be analysed now.
            store.revive(StepKind::Analyse, &[ReasonCode::Purged], self.inner.platform.clock.now())?;
        }
        let state = match fetched.state {
            Some(state) => state,
            None => self.why(id)?.state,
        };
        Ok(FetchReport { pieces: fetched.pieces, bytes: fetched.bytes, state })
    }
}
