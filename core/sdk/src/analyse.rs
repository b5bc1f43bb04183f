//! The runner of `analyse` steps: one capture at a time, its outcome written before the next begins. A picture's thumbnail comes
//! out of the same decoding; those of what was not analysed are made afterwards, and without any engine if there is none.

use crate::{
    Error, SnapTrak,
    calls::Call,
    engine,
    platform::stopwatch_ms,
    progress::{Phase, Progress, ProgressEvent},
};
use snaptrak_domain::{
    AssetId, CancelToken, Conditions, Finding, Rendition, StepKind, StepState,
    engine::Accelerator,
    outcome::Outcome,
    queue_store::{AttemptEnd, QueueStore, ReadyStep},
    reason::{Reason, ReasonCode},
};
use snaptrak_store::{Analysis, StoreError};
use snaptrak_vision::{Analyser, AnalyserOptions};
use std::{collections::BTreeSet, sync::Arc};

/// Steps taken from the queue at once; each is small, and the list must not go stale.
const BATCH: usize = 32;
/// An analysis takes seconds at most; a process that died holds its steps no longer than this.
const LEASE_MS: i64 = 5 * 60 * 1000;

/// Pictures that are held back at most until an accelerator's answers were compared: as many as it may answer between two
/// comparisons. A process that dies looks at them again.
const HELD_MAX: usize = 16;
/// Each model can be in doubt once, and a manifest has at most so many.
const DOUBTS_MAX: usize = 64;

/// A picture that was looked at, with what was found and is not written down yet.
struct Looked {
    step: ReadyStep,
    asset_id: AssetId,
    findings: Vec<Finding>,
    small: Option<Vec<u8>>,
}

/// What an app can bring after a step was set aside for want of it.
const MISSING_ON_THE_DEVICE: &[ReasonCode] =
    &[ReasonCode::EngineMissing, ReasonCode::ModelMissing, ReasonCode::ModelDamaged];

/// What to run, and where.
#[derive(Debug, Clone, Default)]
pub struct AnalyseOptions {
    /// Only this model; every model of the manifest otherwise.
    pub model: Option<String>,
    /// Only this engine (`ort`, `tflite`); otherwise the first of these whose library is configured.
    pub engine: Option<String>,
    /// Where it should run, and nowhere else: nothing is measured and nothing compared, and only an accelerator that brought the
    /// process down, or hung, is refused (`engine_missing`). Otherwise where each model is best on this device, which is measured when it is first
    /// asked for (see [`SnapTrak::accelerators`]).
    pub accelerator: Option<Accelerator>,
    /// At most so many captures.
    pub limit: Option<u64>,
    /// What the app knows of the moment: hot, sparing the battery, not in front. Overrules what was measured.
    pub conditions: Conditions,
}

/// What became of the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnalyseReport {
    /// Captures that were understood.
    pub analysed: u64,
    /// Captures that were set aside with a reason.
    pub parked: u64,
    /// Captures that still wait.
    pub left: u64,
    /// Thumbnails that were made.
    pub thumbnails: u64,
}

impl SnapTrak {
    /// Understands what waits for analysis, and makes the thumbnails that wait. A picture that cannot be analysed is set aside
    /// with a reason and never holds up the others; a missing engine or model is an error, everything goes on waiting, and the
    /// thumbnails were made all the same.
    pub fn analyse(&self, options: &AnalyseOptions, progress: &dyn Progress) -> Result<AnalyseReport, Error> {
        self.analyse_until(options, progress, &CancelToken::new())
    }

    /// As [`SnapTrak::analyse`], and ends early (`Cancelled`) when another thread cancels the token: the picture that is being
    /// looked at is finished, what was understood is kept, and the next call goes on.
    pub fn analyse_until(
        &self,
        options: &AnalyseOptions,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<AnalyseReport, Error> {
        let call = &self.inner.calls.begin(cancel)?;
        call.go_on()?;
        let store = &self.inner.store;
        store.revive(StepKind::Analyse, MISSING_ON_THE_DEVICE, self.inner.platform.clock.now())?;
        let limit = options.limit.unwrap_or(u64::MAX);
        let total = store.count_waiting(StepKind::Analyse)?.min(limit);
        let mut report = AnalyseReport::default();
        if total > 0 {
            match self.analyser(options) {
                Ok(mut analyser) => self.analyse_all(&mut analyser, total, &mut report, progress, call)?,
                Err(error) => {
                    self.make_thumbnails(Analysis::Settled, limit, call)?;
                    self.make_thumbnails(Analysis::Waiting, limit, call)?;
                    return Err(error);
                }
            }
        }
        report.thumbnails += self.make_thumbnails(Analysis::Settled, limit, call)?;
        report.left = store.count_waiting(StepKind::Analyse)?;
        Ok(report)
    }

    fn analyse_all(
        &self,
        analyser: &mut Analyser,
        total: u64,
        report: &mut AnalyseReport,
        progress: &dyn Progress,
        call: &Call<'_>,
    ) -> Result<(), Error> {
        let mut held = Vec::new();
        let went = self.analyse_each(analyser, total, &mut held, report, progress, call);
        // Whatever ended it: what was looked at is kept.
        let kept = self.keep(analyser, &mut held, report);
        went.and(kept)
    }

    fn analyse_each(
        &self,
        analyser: &mut Analyser,
        total: u64,
        held: &mut Vec<Looked>,
        report: &mut AnalyseReport,
        progress: &dyn Progress,
        call: &Call<'_>,
    ) -> Result<(), Error> {
        let store = &self.inner.store;
        // A step that fails for now may be ready again at once; this call tries each only once.
        let mut tried = BTreeSet::new();
        while (tried.len() as u64) < total {
            let mut steps = store.ready(StepKind::Analyse, self.inner.platform.clock.now(), tried.len() + BATCH)?;
            steps.retain(|step| !tried.contains(&step.step_id));
            if steps.is_empty() {
                break;
            }
            let left = usize::try_from(total).unwrap_or(usize::MAX) - tried.len();
            for step in steps.into_iter().take(left.min(BATCH)) {
                call.go_on()?;
                tried.insert(step.step_id);
                self.analyse_one(analyser, step, held, report)?;
                let done = tried.len() as u64;
                progress.update(ProgressEvent { phase: Phase::Analysing, done, total, bytes_done: 0, bytes_total: 0 });
            }
        }
        Ok(())
    }

    fn analyse_one(
        &self,
        analyser: &mut Analyser,
        step: ReadyStep,
        held: &mut Vec<Looked>,
        report: &mut AnalyseReport,
    ) -> Result<(), Error> {
        let store = &self.inner.store;
        store.begin(step.step_id, self.inner.platform.clock.now(), LEASE_MS)?;
        let asset_id = store.asset_of(step.capture_id, Rendition::Original)?;
        match self.look(analyser, asset_id) {
            Ok((findings, small)) => {
                held.push(Looked { step, asset_id, findings, small });
                if held.len() >= HELD_MAX || !analyser.is_unconfirmed() {
                    self.keep(analyser, held, report)?;
                }
            }
            Err(reason) => self.set_aside(&step, reason, report)?,
        }
        Ok(())
    }

    fn look(&self, analyser: &mut Analyser, asset_id: AssetId) -> Result<(Vec<Finding>, Option<Vec<u8>>), Reason> {
        let mut reader = self.inner.store.reader(asset_id).map_err(|error| reader_reason(&error))?;
        analyser.analyse_and_shrink(reader.as_mut()).map_err(|error| error.reason)
    }

    /// Writes down what was found, once nothing speaks against it: what an accelerator may have said wrongly is looked at again. Each
    /// picture stands on its own: one that cannot be written down takes no other along, and the first such error is the answer.
    fn keep(&self, analyser: &mut Analyser, held: &mut Vec<Looked>, report: &mut AnalyseReport) -> Result<(), Error> {
        let mut kept = Ok(());
        let mut doubts = 0;
        while !held.is_empty() && !analyser.confirm() {
            doubts += 1;
            tracing::warn!(pictures = held.len(), "an accelerator is not relied on: these are looked at again");
            for mut looked in std::mem::take(held) {
                let again = if doubts > DOUBTS_MAX {
                    Err(Reason::new(ReasonCode::EngineFailed))
                } else {
                    self.look(analyser, looked.asset_id)
                };
                match again {
                    Ok((findings, small)) => {
                        (looked.findings, looked.small) = (findings, small);
                        held.push(looked);
                    }
                    Err(reason) => kept = kept.and(self.set_aside(&looked.step, reason, report)),
                }
            }
        }
        for looked in held.drain(..) {
            kept = kept.and(self.save(&looked, report));
        }
        kept
    }

    fn save(&self, looked: &Looked, report: &mut AnalyseReport) -> Result<(), Error> {
        let Looked { step, asset_id, findings, small } = looked;
        let store = &self.inner.store;
        store.save_findings(step.step_id, step.capture_id, *asset_id, findings, self.inner.platform.clock.now())?;
        report.analysed += 1;
        if let Some(small) = small
            && store.find_asset_of(step.capture_id, Rendition::Thumbnail)?.is_none()
        {
            self.keep_thumbnail(step.capture_id, small)?;
            report.thumbnails += 1;
        }
        Ok(())
    }

    fn set_aside(&self, step: &ReadyStep, reason: Reason, report: &mut AnalyseReport) -> Result<(), Error> {
        tracing::info!(capture = %step.capture_id, code = reason.code.as_str(), "analysis did not succeed");
        let end = AttemptEnd {
            step_id: step.step_id,
            outcome: outcome_of(reason),
            piece_event: None,
            now: self.inner.platform.clock.now(),
            jitter: self.jitter()?,
        };
        match self.inner.store.end(end)?.state {
            StepState::Parked => report.parked += 1,
            StepState::Done | StepState::Waiting | StepState::Running | StepState::Cancelled => {}
        }
        Ok(())
    }

    pub(crate) fn analyser(&self, options: &AnalyseOptions) -> Result<Analyser, Error> {
        let config = &self.inner.config;
        let opened = self.inner.sessions.over(engine::open(config, options.engine.as_deref())?);
        let in_use = self.models_in_use()?;
        let analyser_options = AnalyserOptions {
            models: options.model.clone().map(|model| vec![model]),
            accelerator: options.accelerator,
            threads: config.threads,
        };
        let (manifest, folder) = (in_use.manifest.clone(), in_use.folder.clone());
        let engine = match options.accelerator {
            Some(Accelerator::Cpu) => opened,
            Some(Accelerator::Gpu | Accelerator::Npu) | None => self.selecting(opened, in_use, options.conditions),
        };
        Analyser::new(engine.as_ref(), &manifest, &folder, &analyser_options, Arc::new(stopwatch_ms))
            .map_err(|error| Error::from_reason(&error.reason))
    }
}

pub(crate) fn reader_reason(error: &StoreError) -> Reason {
    let locked = matches!(error, StoreError::NeedsUser | StoreError::NotYet | StoreError::WrongKey);
    let purged = matches!(error, StoreError::Purged);
    Reason::new(match (locked, purged) {
        (true, _) => ReasonCode::NeedsUser,
        (false, true) => ReasonCode::Purged,
        (false, false) => ReasonCode::LocalDamaged,
    })
}

/// Whether the same attempt would end the same way: an engine may do better later, a picture stays what it is.
fn outcome_of(reason: Reason) -> Outcome {
    use ReasonCode as R;
    if [R::EngineFailed, R::EngineMissing, R::ModelMissing, R::ModelDamaged].contains(&reason.code) {
        return Outcome::Failed { reason, retry_after_ms: None };
    }
    Outcome::Refused(reason)
}

#[cfg(test)]
mod tests;
