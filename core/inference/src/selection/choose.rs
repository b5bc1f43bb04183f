//! An engine that runs each model where it is best on this device.

use super::compare::is_finite;
use super::guarded::{Cpu, Guarded};
use super::named::Named;
use super::placed::Placed;
use super::trial::{Reference, end_of_load};
use super::{Owned, Selection, shortened};
use crate::registry::{InUse, ModelEntry, TENSOR_ABS_DEFAULT, Variant, test_inputs};
use snaptrak_domain::{
    Conditions,
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session},
    verdict::{Candidate, Circumstances, Decision, Event, Fault, TrialEnd, VerdictCode, decide},
};
use std::sync::Arc;

/// Which are compared with the processor; of two that are equally quick the first is taken, for it spends less.
const CANDIDATES: [Accelerator; 2] = [Accelerator::Npu, Accelerator::Gpu];

/// An engine that, asked for the processor, answers with what a selection finds best; the processor where nothing is better. Asked
/// for anything else it does just that, or answers with an error.
pub struct SelectingEngine {
    engine: Arc<dyn Engine>,
    selection: Arc<Selection>,
    models: InUse,
    conditions: Conditions,
}

/// An accelerator that may be taken, and how quick it was; loaded already when it was tried just now.
struct Usable {
    owned: Owned,
    run_ms: f64,
    placed: Option<Placed>,
}

/// What one load is about.
struct Wanted<'a> {
    model: &'a ModelFile,
    entry: &'a ModelEntry,
    variant: &'a Variant,
    cpu_options: LoadOptions,
}

impl Wanted<'_> {
    fn on(&self, accelerator: Accelerator) -> LoadOptions {
        LoadOptions { accelerator, ..self.cpu_options }
    }

    fn tolerance(&self) -> f32 {
        self.entry.tolerance.map_or(TENSOR_ABS_DEFAULT, |tolerance| tolerance.tensor_abs)
    }
}

/// What the processor did while candidates were tried.
#[derive(Default)]
struct Measured {
    cpu: Option<Box<dyn Session>>,
    reference: Option<Reference>,
}

impl SelectingEngine {
    /// Chooses for the models in use, at a moment of these conditions.
    pub fn new(engine: Arc<dyn Engine>, selection: Arc<Selection>, models: InUse, conditions: Conditions) -> Self {
        Self { engine, selection, models, conditions }
    }

    fn owned(&self, wanted: &Wanted<'_>, accelerator: Accelerator) -> Owned {
        Owned {
            candidate: Candidate {
                engine: self.engine.id().to_owned(),
                accelerator,
                model_id: wanted.model.model_id.clone(),
                place: self.conditions.place,
            },
            circumstances: Circumstances {
                library: shortened(&self.engine.version()),
                device: shortened(&self.engine.device(accelerator).unwrap_or_default()),
                driver: self.selection.options.driver.clone(),
                model_sha256: wanted.variant.sha256,
            },
        }
    }

    fn decision(&self, owned: &Owned) -> Decision {
        let now = self.selection.now();
        let overruled = self.conditions.overrule(owned.candidate.accelerator, self.selection.options.gpu_in_background);
        let state = self.selection.state();
        let verdict = state.standing(owned);
        decide(verdict.as_ref(), overruled, state.is_endangered(owned, now), &self.conditions, now)
    }

    fn usable(&self, wanted: &Wanted<'_>, measured: &mut Measured) -> Result<Vec<Usable>, EngineError> {
        let mut usable = Vec::new();
        for accelerator in CANDIDATES {
            let owned = self.owned(wanted, accelerator);
            match self.decision(&owned) {
                Decision::Use => {
                    let run_ms = self.selection.state().standing(&owned).and_then(|verdict| verdict.run_ms);
                    usable.push(Usable { owned, run_ms: run_ms.unwrap_or(f64::INFINITY), placed: None });
                }
                Decision::Try => usable.extend(self.tried(wanted, owned, measured)?),
                Decision::Avoid(why) => {
                    tracing::debug!(accelerator = accelerator.as_str(), why = why.as_str(), "not taken");
                }
            }
        }
        usable.sort_by(|a, b| a.run_ms.total_cmp(&b.run_ms));
        Ok(usable)
    }

    /// One trial, with its end written down.
    fn tried(&self, wanted: &Wanted<'_>, owned: Owned, measured: &mut Measured) -> Result<Option<Usable>, EngineError> {
        // The accelerator first: where there is none, nothing is measured on the processor either.
        let mut placed = match self.place(wanted, &owned) {
            Ok(placed) => placed,
            Err(end) => {
                if let Some(end) = end {
                    self.selection.tell(&owned, &Event::Tried(end));
                }
                return Ok(None);
            }
        };
        if measured.reference.is_none() {
            measured.reference = self.reference(wanted, &mut measured.cpu)?;
        }
        let Some(reference) = &measured.reference else { return Ok(None) };
        let Some(end) = reference.judge(&mut placed, self.selection.options.stopwatch.as_ref()) else {
            return Ok(None);
        };
        let verdict = self.selection.tell(&owned, &Event::Tried(end));
        if verdict.code == VerdictCode::Usable {
            let run_ms = verdict.run_ms.unwrap_or(f64::INFINITY);
            return Ok(Some(Usable { owned, run_ms, placed: Some(placed) }));
        }
        self.give_back(&owned, placed);
        Ok(None)
    }

    fn reference(
        &self,
        wanted: &Wanted<'_>,
        cpu: &mut Option<Box<dyn Session>>,
    ) -> Result<Option<Reference>, EngineError> {
        let inputs = test_inputs(&self.models.folder, wanted.entry, wanted.variant);
        if !inputs.iter().all(|input| is_finite(input)) {
            return Ok(None);
        }
        let session = cpu.insert(self.engine.load(wanted.model, wanted.cpu_options)?);
        let stopwatch = self.selection.options.stopwatch.as_ref();
        Reference::measure(session.as_mut(), inputs, wanted.tolerance(), stopwatch).map(Some)
    }

    /// Loads the model there; what ends a trial otherwise, or nothing when it was not asked at all.
    fn place(&self, wanted: &Wanted<'_>, owned: &Owned) -> Result<Placed, Option<TrialEnd>> {
        let selection = &self.selection;
        let marker = selection.marker.as_ref().filter(|_| selection.abandoned.has_room()).ok_or(None)?;
        let slot = marker.claim(&owned.candidate, &owned.circumstances).ok_or(None)?;
        let accelerator = owned.candidate.accelerator;
        let waiting = (selection.options.patience, &selection.abandoned);
        let placed = Placed::load(&self.engine, wanted.model, wanted.on(accelerator), waiting, slot)
            .map_err(|trouble| end_of_load(&trouble))?;
        if placed.accelerator() == accelerator {
            return Ok(placed);
        }
        self.give_back(owned, placed);
        Err(Some(TrialEnd::NotPlaced))
    }

    fn give_back(&self, owned: &Owned, placed: Placed) {
        if !placed.release() {
            self.selection.tell(owned, &Event::Faulted(Fault::Hung));
        }
    }

    /// The best one that loads; what does not is told and not taken.
    fn best(&self, wanted: &Wanted<'_>, usable: Vec<Usable>) -> Option<(Owned, Placed)> {
        let mut best = None;
        for Usable { owned, placed, .. } in usable {
            if best.is_some() {
                // Loaded for its trial only.
                if let Some(placed) = placed {
                    self.give_back(&owned, placed);
                }
                continue;
            }
            let loaded = placed.map_or_else(|| self.place(wanted, &owned), Ok);
            match loaded {
                Ok(placed) => best = Some((owned, placed)),
                // It was offered and it took the model: whatever it says now, it fails.
                Err(Some(TrialEnd::Fault(fault))) => drop(self.selection.tell(&owned, &Event::Faulted(fault))),
                Err(Some(end)) => drop(self.selection.tell(&owned, &Event::Tried(end))),
                Err(None) => {}
            }
        }
        best
    }

    fn choose(&self, wanted: &Wanted<'_>) -> Result<Box<dyn Session>, EngineError> {
        let mut measured = Measured::default();
        let usable = self.usable(wanted, &mut measured)?;
        let best = self.best(wanted, usable);
        match (best, measured.cpu) {
            (Some((owned, placed)), session) => {
                let engine = Arc::clone(&self.engine);
                let cpu = Cpu { engine, model: wanted.model.clone(), options: wanted.cpu_options, session };
                let selection = Arc::clone(&self.selection);
                Ok(Box::new(Guarded::new(placed, cpu, owned, selection, wanted.tolerance())))
            }
            (None, Some(session)) => Ok(session),
            (None, None) => self.engine.load(wanted.model, wanted.cpu_options),
        }
    }
}

impl Engine for SelectingEngine {
    fn id(&self) -> &'static str {
        self.engine.id()
    }

    fn version(&self) -> String {
        self.engine.version()
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        self.engine.accelerators()
    }

    fn device(&self, accelerator: Accelerator) -> Option<String> {
        self.engine.device(accelerator)
    }

    fn load(&self, model: &ModelFile, options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let entry = self.models.manifest.model(&model.model_id);
        let variant = entry.and_then(|entry| entry.variant_for(self.engine.id()));
        // What the manifest does not know, no verdict can be about.
        let Some((entry, variant)) = entry.zip(variant) else { return self.engine.load(model, options) };
        let accelerator = options.accelerator;
        let cpu_options = LoadOptions { accelerator: Accelerator::Cpu, ..options };
        let wanted = Wanted { model, entry, variant, cpu_options };
        match accelerator {
            Accelerator::Cpu => self.choose(&wanted),
            Accelerator::Gpu | Accelerator::Npu => {
                let owned = self.owned(&wanted, accelerator);
                Ok(Box::new(Named::load(&self.engine, model, options, owned, &self.selection)?))
            }
        }
    }
}
