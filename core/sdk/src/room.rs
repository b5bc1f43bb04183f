//! Room on this device: the quota is kept after captures and receipts, and what does not fit is said before it is tried.

use crate::{Error, ErrorCode, SnapTrak};

pub use snaptrak_store::Forecast;

/// Captures that go after one capture: its caller waits for them, some milliseconds each. The rest goes with the next capture
/// or sync.
const AFTER_CAPTURE_MAX: u64 = 16;

impl SnapTrak {
    /// How many more photos fit on this disk, by the size of the latest ones; `None` where nobody knows. Show it to the person
    /// when it is `low`.
    pub fn forecast(&self) -> Result<Option<Forecast>, Error> {
        let forecast = self.inner.store.forecast()?;
        let config = &self.inner.config;
        let (Some(forecast), Some(quota), true) = (forecast, config.quota_bytes, config.quota_is_hard) else {
            return Ok(forecast);
        };
        // A hard quota is a smaller disk.
        let bytes = forecast.bytes.min(quota.saturating_sub(self.inner.store.local_bytes()?));
        let photos = u64::try_from(u128::from(forecast.photos) * u128::from(bytes) / u128::from(forecast.bytes.max(1)));
        Ok(Some(Forecast { bytes, photos: photos.unwrap_or(u64::MAX), low: forecast.low || bytes == 0 }))
    }

    /// Answers `StorageFull` before a byte is written if `bytes` do not fit.
    pub(crate) fn require_room(&self, bytes: u64) -> Result<(), Error> {
        let store = &self.inner.store;
        store.require_room(bytes)?;
        let config = &self.inner.config;
        let Some(quota) = config.quota_bytes.filter(|_| config.quota_is_hard) else { return Ok(()) };
        let fits = || Ok::<_, Error>(store.local_bytes()?.saturating_add(bytes) <= quota);
        if !fits()? {
            store.drop_to_quota(quota.saturating_sub(bytes), u64::MAX, &|id| self.keep_seen_small(id))?;
        }
        if fits()? { Ok(()) } else { Err(Error::new(ErrorCode::StorageFull, "the quota of this store has no room")) }
    }

    /// Keeps the quota after a capture. The capture is safe whatever comes of this.
    pub(crate) fn keep_quota_after_capture(&self) {
        self.keep_quota(AFTER_CAPTURE_MAX);
    }

    /// Keeps the quota when receipts have arrived.
    pub(crate) fn keep_quota_after_sync(&self) {
        self.keep_quota(u64::MAX);
    }

    fn keep_quota(&self, assets_max: u64) {
        let Some(quota) = self.inner.config.quota_bytes else { return };
        if let Err(error) = self.inner.store.drop_to_quota(quota, assets_max, &|id| self.keep_seen_small(id)) {
            tracing::warn!(%error, "the quota is kept another time");
        }
    }
}
