//! Making room, and bringing back what made it.

use crate::{
    AssetState, Cancellation, ProgressListener, SnapTrak, SnapTrakError, cancellation::Waiting, ids, progress,
};
use std::sync::Arc;

/// What went, and why the rest stayed.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PurgeReport {
    /// Captures whose bytes are gone from this device.
    pub purged: u64,
    /// Sealed bytes that they took.
    pub freed_bytes: u64,
    /// What was looked at and stays, at most a thousand.
    pub kept: Vec<Kept>,
    /// How many stay in all.
    pub kept_count: u64,
}

/// A capture that stays.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Kept {
    /// Which, a UUID.
    pub id: String,
    /// Why, as a word: `not_verified`, `pinned`, `open`, ...
    pub code: String,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct FetchReport {
    /// Pieces that came from the server; 0 if nothing was purged.
    pub pieces: u64,
    /// Sealed bytes that came in this call.
    pub bytes: u64,
    /// Where the original stands now.
    pub state: AssetState,
}

/// What there is room for.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Forecast {
    /// Bytes that can be captured.
    pub bytes: u64,
    /// Photos like the latest ones that fit.
    pub photos: u64,
    /// The app should say so.
    pub low: bool,
}

#[uniffi::export]
impl SnapTrak {
    /// Removes the bytes of captures that the server signed for: these ones, or without `captures` every one that may go, oldest
    /// first, until `to_free_bytes` are free. Works on a full disk. Broken off, it ends before the next capture; what has gone is gone.
    #[uniffi::method(default(captures = None, to_free_bytes = None, cancellation = None))]
    pub async fn purge(
        &self,
        captures: Option<Vec<String>>,
        to_free_bytes: Option<u64>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<PurgeReport, SnapTrakError> {
        let captures = captures.unwrap_or_default();
        let captures = captures.iter().map(|id| ids::capture_id(id)).collect::<Result<_, _>>()?;
        let options = snaptrak::PurgeOptions { captures, to_free_bytes };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, cancel| Ok(core.purge_until(options, cancel)?.into())).await
    }

    /// Brings a purged original back; its bytes are believed only if they are exactly those that this device sealed.
    #[uniffi::method(default(progress = None, cancellation = None))]
    pub async fn fetch(
        &self,
        id: String,
        progress: Option<Arc<dyn ProgressListener>>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<FetchReport, SnapTrakError> {
        let id = ids::capture_id(&id)?;
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, token| {
            Ok(core.fetch_until(id, &progress::Adapted::new(progress), token)?.into())
        })
        .await
    }

    /// Keeps the bytes of a capture on this device, whatever the quota says, or lets them go again.
    pub async fn set_pinned(&self, id: String, pinned: bool) -> Result<(), SnapTrakError> {
        let id = ids::capture_id(&id)?;
        self.run(move |core| Ok(if pinned { core.pin(id) } else { core.unpin(id) }?)).await
    }

    /// For how much there is room; nothing where the system does not say.
    pub async fn forecast(&self) -> Result<Option<Forecast>, SnapTrakError> {
        self.run(|core| Ok(core.forecast()?.map(Into::into))).await
    }
}

impl From<snaptrak::PurgeReport> for PurgeReport {
    fn from(report: snaptrak::PurgeReport) -> Self {
        let kept = |one: snaptrak::KeptCapture| Kept { id: one.id.to_string(), code: one.code.as_str().to_owned() };
        Self {
            purged: report.purged,
            freed_bytes: report.freed_bytes,
            kept: report.kept.into_iter().map(kept).collect(),
            kept_count: report.kept_count,
        }
    }
}

impl From<snaptrak::FetchReport> for FetchReport {
    fn from(report: snaptrak::FetchReport) -> Self {
        Self { pieces: report.pieces, bytes: report.bytes, state: report.state.into() }
    }
}

impl From<snaptrak::Forecast> for Forecast {
    fn from(forecast: snaptrak::Forecast) -> Self {
        let snaptrak::Forecast { bytes, photos, low } = forecast;
        Self { bytes, photos, low }
    }
}
