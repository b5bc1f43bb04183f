//! The accelerators of this device: what they are good for, and how that is found out.
//!
//! Owns the wiring: the store's folder `accelerators`, the device's build, the moment. What is measured and what follows from it is
//! `snaptrak-inference`'s business. The folder belongs to whoever has the store open.

use crate::{
    AnalyseOptions, Error, ErrorCode, SnapTrak,
    platform::{device_build, stopwatch_ms},
};
use snaptrak_domain::{CancelToken, Conditions, engine::Engine, verdict::Verdict};
use snaptrak_inference::{
    SelectingEngine, Selection, SelectionOptions,
    registry::InUse,
    selection::{Note, Patience},
};
use std::sync::{Arc, PoisonError};

/// The selection's folder in the store's.
const FOLDER: &str = "accelerators";

/// What is known of this device's accelerators.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceleratorsReport {
    /// One for each engine, accelerator, model, in front and behind; those that were decided last come last. What was never asked
    /// for is not there.
    pub verdicts: Vec<Verdict>,
    /// What was odd about the files of this.
    pub notes: Vec<Note>,
}

/// What to measure.
#[derive(Debug, Clone, Default)]
pub struct TryAccelerators {
    /// Only this model; every model in use otherwise.
    pub model: Option<String>,
    /// Only this engine; otherwise the first whose library is configured.
    pub engine: Option<String>,
    /// The moment: a hot device, or one that spares its battery, measures nothing.
    pub conditions: Conditions,
}

impl SnapTrak {
    /// What this device's accelerators are good for, and why.
    pub fn accelerators(&self) -> Result<AcceleratorsReport, Error> {
        let _call = self.inner.calls.begin(&CancelToken::new())?;
        Ok(report(&self.selection()))
    }

    /// Measures now what would be measured when a model is first asked for; what has a verdict that stands is not measured again.
    /// Takes about a second for each model and accelerator.
    pub fn try_accelerators(&self, what: &TryAccelerators) -> Result<AcceleratorsReport, Error> {
        let _call = self.inner.calls.begin(&CancelToken::new())?;
        let TryAccelerators { model, engine, conditions } = what.clone();
        // Loading is what chooses.
        drop(self.analyser(&AnalyseOptions { model, engine, conditions, ..AnalyseOptions::default() })?);
        Ok(report(&self.selection()))
    }

    /// Forgets every verdict: each accelerator is measured again when it is next asked for, also those that brought the process
    /// down.
    pub fn forget_accelerators(&self) -> Result<AcceleratorsReport, Error> {
        let _call = self.inner.calls.begin(&CancelToken::new())?;
        let selection = self.selection();
        let failed = |error: std::io::Error| {
            let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
            let code = if full { ErrorCode::StorageFull } else { ErrorCode::Internal };
            Error::new(code, "what is known of the accelerators cannot be written")
        };
        selection.forget().map_err(failed)?;
        Ok(report(&selection))
    }

    /// The engine that puts each model where it is best.
    pub(crate) fn selecting(&self, engine: Arc<dyn Engine>, models: InUse, conditions: Conditions) -> Arc<dyn Engine> {
        Arc::new(SelectingEngine::new(engine, self.selection(), models, conditions))
    }

    fn selection(&self) -> Arc<Selection> {
        // It is opened or it is not, whatever panicked.
        let mut opened = self.inner.accelerators.lock().unwrap_or_else(PoisonError::into_inner);
        // A call of an instance that was closed may have had the folder until now.
        let usable = opened.take().filter(|selection| !selection.notes().contains(&Note::InUse));
        let selection = usable.unwrap_or_else(|| Arc::new(Selection::open(self.selection_options())));
        Arc::clone(opened.insert(selection))
    }

    fn selection_options(&self) -> SelectionOptions {
        let config = &self.inner.config;
        SelectionOptions {
            folder: config.store.join(FOLDER),
            driver: config.device_build.clone().unwrap_or_else(device_build),
            last_exit: config.last_exit,
            // iOS ends GPU work of an app that is not in front.
            gpu_in_background: !cfg!(target_os = "ios"),
            patience: Patience::default(),
            clock: Arc::clone(&self.inner.platform.clock),
            stopwatch: Arc::new(stopwatch_ms),
        }
    }
}

fn report(selection: &Selection) -> AcceleratorsReport {
    AcceleratorsReport { verdicts: selection.verdicts(), notes: selection.notes() }
}
