//! What this device's accelerators are good for, and the moment in which they are asked.

use crate::{Accelerator, Cancellation, ExitReason, Place, SnapTrak, SnapTrakError, Thermal, cancellation::Waiting};
use std::sync::Arc;

/// What the app knows of the moment. Overrules what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Conditions {
    /// Whether the app is in front.
    #[uniffi(default = None)]
    pub place: Option<Place>,
    /// How warm the device is.
    #[uniffi(default = None)]
    pub thermal: Option<Thermal>,
    /// Whether the person, or the system, asked to spare the battery.
    #[uniffi(default = false)]
    pub low_power: bool,
}

/// How the app's last process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct LastExit {
    /// Why.
    pub reason: ExitReason,
    /// The number of that process, where the system tells it.
    #[uniffi(default = None)]
    pub process_id: Option<u32>,
}

/// What to measure.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct TryAccelerators {
    /// Only this model; every model in use otherwise.
    #[uniffi(default = None)]
    pub model: Option<String>,
    /// Only this engine; otherwise the first whose library is configured.
    #[uniffi(default = None)]
    pub engine: Option<String>,
    /// The moment: a hot device, or one that spares its battery, measures nothing.
    #[uniffi(default = None)]
    pub conditions: Option<Conditions>,
}

/// What is known of this device's accelerators.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct AcceleratorsReport {
    /// One for each engine, accelerator, model, in front and behind.
    pub verdicts: Vec<AcceleratorVerdict>,
    /// What was odd about the files of this, as words: `marker_damaged`, ...
    pub notes: Vec<String>,
}

/// What one accelerator is good for with one model.
#[derive(Debug, Clone, PartialEq, uniffi::Record)]
pub struct AcceleratorVerdict {
    /// `ort` or `tflite`.
    pub engine: String,
    /// Which.
    pub accelerator: Accelerator,
    /// The model.
    pub model_id: String,
    /// In front or behind.
    pub place: Place,
    /// `usable`, `unusable`, `condemned` or `untried`.
    pub verdict: String,
    /// Why, as a word: `slow`, `not_offered`, `wrong_answer`, `hung`, `crashed`, ...
    pub code: String,
    /// Deaths and failures that are held against it.
    pub strikes: u8,
    /// Milliseconds of a run there.
    pub run_ms: Option<f64>,
    /// Milliseconds of a run on the processor.
    pub cpu_ms: Option<f64>,
    /// Largest difference from the processor's answer that was seen.
    pub difference: Option<f32>,
    /// When it was decided, milliseconds since 1970.
    pub since_ms: i64,
    /// When it is tried again by itself; nothing where only a change of library, device, drivers or model does that.
    pub retry_at_ms: Option<i64>,
}

#[uniffi::export]
impl SnapTrak {
    /// What this device's accelerators are good for, and why.
    pub async fn accelerators(&self) -> Result<AcceleratorsReport, SnapTrakError> {
        self.run(|core| Ok(core.accelerators()?.into())).await
    }

    /// Measures now what would be measured when a model is first asked for: about a second for each model and accelerator.
    #[uniffi::method(default(what = None, cancellation = None))]
    pub async fn try_accelerators(
        &self,
        what: Option<TryAccelerators>,
        cancellation: Option<Arc<Cancellation>>,
    ) -> Result<AcceleratorsReport, SnapTrakError> {
        let TryAccelerators { model, engine, conditions } = what.unwrap_or_default();
        let conditions = conditions.map(Into::into).unwrap_or_default();
        let what = snaptrak::TryAccelerators { model, engine, conditions };
        let waiting = Waiting::for_call(cancellation);
        self.run_until(waiting, move |core, _token| Ok(core.try_accelerators(&what)?.into())).await
    }

    /// Forgets every verdict: each accelerator is measured again when it is next asked for, also those that brought the process
    /// down.
    pub async fn forget_accelerators(&self) -> Result<AcceleratorsReport, SnapTrakError> {
        self.run(|core| Ok(core.forget_accelerators()?.into())).await
    }
}

impl From<Conditions> for snaptrak::Conditions {
    fn from(conditions: Conditions) -> Self {
        let Conditions { place, thermal, low_power } = conditions;
        let (place, thermal) = (place.map(Into::into).unwrap_or_default(), thermal.map(Into::into).unwrap_or_default());
        Self { place, thermal, low_power }
    }
}

impl From<LastExit> for snaptrak::LastExit {
    fn from(exit: LastExit) -> Self {
        Self { reason: exit.reason.into(), process_id: exit.process_id }
    }
}

impl From<snaptrak::AcceleratorsReport> for AcceleratorsReport {
    fn from(report: snaptrak::AcceleratorsReport) -> Self {
        Self {
            verdicts: report.verdicts.into_iter().map(Into::into).collect(),
            notes: report.notes.into_iter().map(|note| note.as_str().to_owned()).collect(),
        }
    }
}

impl From<snaptrak::Verdict> for AcceleratorVerdict {
    fn from(verdict: snaptrak::Verdict) -> Self {
        let retry_at_ms = verdict.retry_at_ms().map(|at| at.0);
        let snaptrak::Verdict { candidate, code, strikes, run_ms, cpu_ms, difference, since_ms, .. } = verdict;
        Self {
            engine: candidate.engine,
            accelerator: candidate.accelerator.into(),
            model_id: candidate.model_id,
            place: candidate.place.into(),
            verdict: code.standing().as_str().to_owned(),
            code: code.as_str().to_owned(),
            strikes,
            run_ms,
            cpu_ms,
            difference,
            since_ms: since_ms.0,
            retry_at_ms,
        }
    }
}
