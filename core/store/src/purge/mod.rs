//! Purge: local bytes that the server signed for make room; rows, envelopes and thumbnails stay.
//!
//! Order of events, for some assets at a time. The countersigned receipt goes into each envelope and is synced; one
//! transaction turns the pieces to `purged` and writes a tombstone for each file; then the files go, then the tombstones say
//! so. Killed in between, an asset has either all its bytes and no tombstone, or tombstones, by which the chores of the next
//! opening remove what is left. A purged capture is listed, shown and verified as before, and can be fetched back.
//!
//! Everything but the transactions happens on the caller's thread, so that captures wait for a few rows at most. On a full disk
//! the ballast makes the room that those need. The rule of what may go is the domain's.

mod candidates;
mod mark;
mod quota;
mod receipt;
mod removal;
#[cfg(test)]
mod tests;

use crate::{Store, StoreError};
use candidates::Candidate;
pub(crate) use removal::Remove;
use snaptrak_domain::{
    CancelToken, CaptureId, KeptCode, Rendition,
    keep::{DropRule, kept_by},
};

/// Captures in [`PurgeReport::kept`]; more are only counted. A person reads some dozens.
pub const KEPT_LISTED_MAX: usize = 1_000;

/// Assets and pieces in one transaction: about two milliseconds of the writer, for which captures that come meanwhile wait.
const BATCH_ASSETS_MAX: usize = 16;
const BATCH_PIECES_MAX: u64 = 64;

/// A run that is to purge a few assets looks at so many for each: past some dozens of pins, and not through a whole store that is
/// locked.
const LOOKS_PER_ASSET_MAX: u64 = 32;

/// Renditions whose bytes can go. A thumbnail is what is looked at when they are gone.
const RENDITIONS: [Rendition; 2] = [Rendition::Original, Rendition::Redacted];

/// What is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeRequest {
    /// These captures; none: every one that may go, oldest first.
    pub captures: Vec<CaptureId>,
    /// Enough when so many bytes are free; `None`: all.
    pub to_free_bytes: Option<u64>,
}

/// What went, and why the rest stayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// Captures whose bytes are gone from this device.
    pub purged: u64,
    /// Sealed bytes that they took.
    pub freed_bytes: u64,
    /// What was looked at and stays, at most [`KEPT_LISTED_MAX`].
    pub kept: Vec<KeptCapture>,
    /// How many stay in all.
    pub kept_count: u64,
}

/// A capture that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptCapture {
    /// Which.
    pub id: CaptureId,
    /// Why.
    pub code: KeptCode,
}

impl PurgeReport {
    fn keep(&mut self, candidate: &Candidate, code: KeptCode) {
        if candidate.rendition == Rendition::Original {
            self.kept_count += 1;
            if self.kept.len() < KEPT_LISTED_MAX {
                self.kept.push(KeptCapture { id: candidate.capture_id, code });
            }
        }
    }
}

/// Is asked for each original before its bytes go: what is to be kept of it is made now. What it fails with keeps the original, on a
/// locked device with [`KeptCode::NeedsUser`]; it must not purge by itself.
pub type BeforePurge<'a> = &'a dyn Fn(CaptureId) -> Result<(), StoreError>;

/// One run of a purge.
struct Errand<'a> {
    rule: DropRule,
    to_free_bytes: Option<u64>,
    assets_max: u64,
    before: BeforePurge<'a>,
    cancel: Option<&'a CancelToken>,
    purged_assets: u64,
    report: PurgeReport,
}

impl<'a> Errand<'a> {
    fn new(rule: DropRule, to_free_bytes: Option<u64>, assets_max: u64, before: BeforePurge<'a>) -> Self {
        Self { rule, to_free_bytes, assets_max, before, cancel: None, purged_assets: 0, report: PurgeReport::default() }
    }

    /// Bytes that are still to be freed; `None`: without end.
    fn left_bytes(&self) -> Option<u64> {
        self.to_free_bytes.map(|goal| goal.saturating_sub(self.report.freed_bytes))
    }

    /// An error once somebody broke the run off.
    fn go_on(&self) -> Result<(), StoreError> {
        if self.cancel.is_some_and(CancelToken::is_cancelled) { Err(StoreError::Cancelled) } else { Ok(()) }
    }

    fn is_done(&self) -> bool {
        self.left_bytes() == Some(0) || self.purged_assets >= self.assets_max
    }
}

impl Store {
    /// Removes local bytes of captures that the server signed for and that are neither pinned nor being read.
    ///
    /// Captures without their receipt in the envelope need the viewing key ([`Store::unlock`]) and stay without it. Works on a
    /// full disk. Calls one after the other; a purge that was killed is finished at the next opening.
    pub fn purge(&self, request: &PurgeRequest, before: BeforePurge<'_>) -> Result<PurgeReport, StoreError> {
        self.purge_until(request, before, &CancelToken::new())
    }

    /// As [`Store::purge`], and ends before the next capture once `cancel` is: what has gone by then is gone, wholly, and the rest
    /// stays.
    pub fn purge_until(
        &self,
        request: &PurgeRequest,
        before: BeforePurge<'_>,
        cancel: &CancelToken,
    ) -> Result<PurgeReport, StoreError> {
        let _alone = self.inner.files.remove_alone();
        let mut errand = Errand::new(DropRule::ByHand, request.to_free_bytes, u64::MAX, before);
        errand.cancel = Some(cancel);
        errand.go_on()?;
        let result = if request.captures.is_empty() {
            self.purge_all(&mut errand)
        } else {
            self.purge_named(&request.captures, &mut errand)
        };
        self.inner.ballast.restore();
        result?;
        tracing::info!(purged = errand.report.purged, freed_bytes = errand.report.freed_bytes, "purged");
        Ok(errand.report)
    }

    fn purge_all(&self, errand: &mut Errand<'_>) -> Result<(), StoreError> {
        self.purge_oldest(errand)?;
        if !errand.is_done() {
            let room = KEPT_LISTED_MAX.saturating_sub(errand.report.kept.len());
            let verified = errand.report.kept_count;
            let (kept, count) = self.read(|connection| candidates::never(connection, room, verified))?;
            errand.report.kept.extend(kept);
            errand.report.kept_count += count;
        }
        Ok(())
    }

    fn purge_named(&self, captures: &[CaptureId], errand: &mut Errand<'_>) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for capture_id in captures {
            // All are looked up before a byte goes: a wrong id changes nothing.
            found.extend(self.read(|connection| candidates::of_capture(connection, *capture_id))?);
        }
        // Named twice is meant once.
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|candidate| seen.insert(candidate.asset_id));
        self.purge_in_batches(errand, found)
    }

    /// Goes through what is verified, oldest first, until the errand is done or too much was looked at in vain.
    fn purge_oldest(&self, errand: &mut Errand<'_>) -> Result<(), StoreError> {
        let looks_max = errand.assets_max.saturating_mul(LOOKS_PER_ASSET_MAX);
        let mut looked_at = 0;
        for rendition in RENDITIONS {
            let mut after = None;
            while !errand.is_done() && looked_at < looks_max {
                let page = self.read(|connection| candidates::verified(connection, rendition, after))?;
                let Some(last) = page.last() else { break };
                after = Some(last.capture_id);
                looked_at += page.len() as u64;
                self.purge_in_batches(errand, page)?;
            }
        }
        Ok(())
    }

    fn purge_in_batches(&self, errand: &mut Errand<'_>, found: Vec<Candidate>) -> Result<(), StoreError> {
        let mut batch = Vec::new();
        let (mut pieces, mut bytes) = (0, 0);
        for candidate in found {
            errand.go_on()?;
            let enough = errand.left_bytes().is_some_and(|left| bytes >= left);
            if enough || errand.purged_assets + batch.len() as u64 >= errand.assets_max {
                break;
            }
            match self.why_kept(errand, &candidate)? {
                Some(code) => errand.report.keep(&candidate, code),
                None => {
                    pieces += candidate.pieces;
                    bytes += candidate.bytes;
                    batch.push(candidate);
                }
            }
            if batch.len() == BATCH_ASSETS_MAX || pieces >= BATCH_PIECES_MAX {
                self.purge_batch(errand, std::mem::take(&mut batch))?;
                (pieces, bytes) = (0, 0);
            }
        }
        self.purge_batch(errand, batch)
    }

    /// Why an asset stays; `None`: its receipt is in its envelope, durably, and nothing else speaks for it.
    fn why_kept(&self, errand: &Errand<'_>, candidate: &Candidate) -> Result<Option<KeptCode>, StoreError> {
        let open = self.inner.files.in_use.is_open(candidate.asset_id);
        if let Some(code) = kept_by(errand.rule, candidate.facts(open), self.clock().now()) {
            return Ok(Some(code));
        }
        if let Some(code) = self.despite_full_disk(|| receipt::put_into_envelope(self, candidate.asset_id))? {
            return Ok(Some(code));
        }
        if candidate.rendition != Rendition::Original {
            return Ok(None);
        }
        match self.despite_full_disk(|| (errand.before)(candidate.capture_id)) {
            Ok(()) => Ok(None),
            Err(StoreError::NeedsUser | StoreError::NotYet | StoreError::WrongKey) => Ok(Some(KeptCode::NeedsUser)),
            // Room is what this is about: it is not lost for want of a small picture.
            Err(StoreError::Full) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn purge_batch(&self, errand: &mut Errand<'_>, batch: Vec<Candidate>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let marked = self.despite_full_disk(|| mark::mark(self, errand.rule, &batch))?;
        for (candidate, outcome) in batch.iter().zip(&marked) {
            errand.purged_assets += u64::from(outcome.is_ok());
            match outcome {
                Ok(_) if candidate.rendition == Rendition::Original => errand.report.purged += 1,
                Ok(_) => {}
                Err(code) => errand.report.keep(candidate, *code),
            }
        }
        let files: Vec<removal::Doomed> = marked.into_iter().filter_map(Result::ok).flatten().collect();
        errand.report.freed_bytes += files.iter().map(|file| file.sealed_bytes).sum::<u64>();
        let gone = removal::remove(&self.inner.files, &files)?;
        self.despite_full_disk(|| {
            let gone = gone.clone();
            self.write(move |transaction| removal::note_removed(transaction, &gone))
        })
    }

    /// Does what writes; on a full disk once more, in the ballast's room. The ballast is made again when the purge ends.
    fn despite_full_disk<T>(&self, work: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match work() {
            Err(StoreError::Full) if self.inner.ballast.give_up() => work(),
            other => other,
        }
    }
}
