//! Whether a version's models work on this device, asked before it is used.

use super::candidate::Candidate;
use super::manifest::{ModelEntry, WaveAnswer};
use crate::contract::check_outputs;
use snaptrak_domain::engine::{Engine, EngineError, LoadOptions, ModelFile, Tensor};
use std::{io, path::Path};

/// Difference of an output's value from the golden one where the manifest says none.
pub(crate) const TENSOR_ABS_DEFAULT: f32 = 1e-3;

/// Judges a version whose files are the manifest's.
pub trait SelfTest {
    /// Whether it works.
    fn check(&self, folder: &Path, candidate: &Candidate) -> Result<(), SelfTestFailure>;
}

impl<F: Fn(&Path, &Candidate) -> Result<(), SelfTestFailure>> SelfTest for F {
    fn check(&self, folder: &Path, candidate: &Candidate) -> Result<(), SelfTestFailure> {
        self(folder, candidate)
    }
}

/// What a model did not do.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestFailure {
    /// It does not load, does not run, or answers in another shape or with what is no number.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It answers otherwise than it must, or, of a large value, by more of itself than it may.
    #[error("the output `{output}` of the model {model_id} differs by {difference}, allowed is {tolerance}")]
    Differs {
        /// Which model.
        model_id: String,
        /// Which output.
        output: String,
        /// The largest difference of a value.
        difference: f32,
        /// What the manifest allows.
        tolerance: f32,
    },
    /// The golden tensors cannot be read.
    #[error("the golden tensors of the model {model_id} cannot be read")]
    Unreadable {
        /// Which model.
        model_id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Loads each model with an engine and runs it once: on its golden input, whose golden output it must give within the
/// manifest's tolerance; where the manifest has none, or the engine's file calls or cuts its tensors otherwise, on a slow wave, to
/// which it must answer with numbers of the right shape, and with those that the manifest says of this file, if any.
pub struct EngineSelfTest<'a> {
    /// The engine that will run the models.
    pub engine: &'a dyn Engine,
    /// How it will load them.
    pub options: LoadOptions,
}

impl SelfTest for EngineSelfTest<'_> {
    fn check(&self, folder: &Path, candidate: &Candidate) -> Result<(), SelfTestFailure> {
        candidate.manifest.models.iter().try_for_each(|model| self.check_model(folder, candidate, model))
    }
}

impl EngineSelfTest<'_> {
    fn check_model(&self, folder: &Path, candidate: &Candidate, model: &ModelEntry) -> Result<(), SelfTestFailure> {
        let Some(variant) = model.variant_for(self.engine.id()) else {
            // Another engine's model: the registry knows that there is a file for one of this device's.
            return Ok(());
        };
        let entry = model.as_in(variant);
        let file = ModelFile { path: folder.join(&variant.file), model_id: model.id.clone() };
        let mut session = self.engine.load(&file, self.options)?;
        let unreadable = |source| SelfTestFailure::Unreadable { model_id: model.id.clone(), source };
        let Some(golden) = candidate.goldens.get(&model.id).filter(|_| entry == *model) else {
            let outputs = session.run(&[wave(&entry)])?;
            check_outputs(&entry, &outputs)?;
            return variant.answers.iter().try_for_each(|answer| compare_answer(&entry, answer, &outputs));
        };
        let read = |tensors: &[super::golden::GoldenTensor]| {
            tensors.iter().map(|tensor| tensor.read(folder, model)).collect::<io::Result<Vec<_>>>().map_err(unreadable)
        };
        let outputs = session.run(&read(&golden.inputs)?)?;
        check_outputs(model, &outputs)?;
        let tolerance = model.tolerance.map_or(TENSOR_ABS_DEFAULT, |tolerance| tolerance.tensor_abs);
        read(&golden.outputs)?.iter().try_for_each(|wanted| compare(model, wanted, &outputs, tolerance))
    }
}

/// Large values, as places in pixels, may differ by as much of themselves as small ones in all: they come from as many sums.
fn compare_answer(model: &ModelEntry, wanted: &WaveAnswer, outputs: &[Tensor]) -> Result<(), SelfTestFailure> {
    let tolerance = model.tolerance.map_or(TENSOR_ABS_DEFAULT, |tolerance| tolerance.tensor_abs);
    let found = outputs.iter().find(|output| output.name == wanted.output);
    let differences = wanted.at.iter().zip(&wanted.values).map(|(at, wanted)| {
        let found = found.and_then(|found| found.data.get(*at));
        found.map_or(f32::INFINITY, |found| (found - wanted).abs() / wanted.abs().max(1.0))
    });
    let difference = differences.fold(0.0, f32::max);
    if difference <= tolerance {
        return Ok(());
    }
    let (model_id, output) = (model.id.clone(), wanted.output.clone());
    Err(SelfTestFailure::Differs { model_id, output, difference, tolerance })
}

fn compare(model: &ModelEntry, wanted: &Tensor, outputs: &[Tensor], tolerance: f32) -> Result<(), SelfTestFailure> {
    let found = outputs.iter().find(|output| output.name == wanted.name);
    let pairs = found.into_iter().flat_map(|found| found.data.iter().zip(&wanted.data));
    let difference = pairs.map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f32::max);
    // A golden value that is no number compares with nothing, and must not pass for equal.
    let comparable = found.is_some() && wanted.data.iter().all(|value| value.is_finite());
    if comparable && difference <= tolerance {
        return Ok(());
    }
    let difference = if comparable { difference } else { f32::INFINITY };
    Err(SelfTestFailure::Differs { model_id: model.id.clone(), output: wanted.name.clone(), difference, tolerance })
}

/// Neither constant nor noise, between -1 and 1.
pub(super) fn wave(model: &ModelEntry) -> Tensor {
    const PERIOD: usize = 997;
    let (name, shape) = model.inputs.first().map(|input| (input.name.clone(), input.shape.clone())).unwrap_or_default();
    let values = shape.iter().product::<usize>();
    let data = (0..values).map(|at| (at % PERIOD) as f32 * 2.0 / (PERIOD - 1) as f32 - 1.0).collect();
    Tensor { name, shape, data }
}
