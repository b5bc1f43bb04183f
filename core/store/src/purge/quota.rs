//! The drop rule: down to the app's quota, only verified captures go, the oldest first, and nobody is asked.
//!
//! A quota is what the app would like this store to take. It never refuses evidence: what is not verified stays, however much it
//! is, and so does what is pinned, was looked at within a day or is being read.

use super::{BeforePurge, Errand, PurgeReport};
use crate::{Store, StoreError};
use snaptrak_domain::keep::DropRule;

impl Store {
    /// Purges the oldest captures that may go until the files of this store take at most `quota_bytes`, no more than
    /// `assets_max` at once. Returns at once while another purge is under way.
    pub fn drop_to_quota(
        &self,
        quota_bytes: u64,
        assets_max: u64,
        before: BeforePurge<'_>,
    ) -> Result<PurgeReport, StoreError> {
        let Some(_alone) = self.inner.files.try_remove_alone() else { return Ok(PurgeReport::default()) };
        let over = self.local_bytes()?.saturating_sub(quota_bytes);
        if over == 0 {
            return Ok(PurgeReport::default());
        }
        let mut errand = Errand::new(DropRule::Quota, Some(over), assets_max, before);
        let result = self.purge_oldest(&mut errand);
        self.inner.ballast.restore();
        result?;
        tracing::info!(purged = errand.report.purged, freed_bytes = errand.report.freed_bytes, "dropped to the quota");
        Ok(errand.report)
    }
}
