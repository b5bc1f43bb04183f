//! A model on an accelerator: no call into foreign code without a marker before it and a limit to the wait.

use super::marker::{Phase, Slot};
use super::worker::{Abandoned, Patience, Tensors, Trouble, Worker};
use snaptrak_domain::engine::{Accelerator, Engine, LoadOptions, ModelFile};
use std::sync::Arc;

/// A loaded model with its thread and its slot in the marker.
pub(super) struct Placed {
    worker: Option<Worker>,
    slot: Slot,
    accelerator: Accelerator,
}

impl Placed {
    /// Loads the model where the options say.
    pub(super) fn load(
        engine: &Arc<dyn Engine>,
        model: &ModelFile,
        options: LoadOptions,
        (patience, abandoned): (Patience, &Abandoned),
        slot: Slot,
    ) -> Result<Self, Trouble> {
        mark(&slot, Phase::Load)?;
        let loaded = Worker::load(engine, model, options, patience, abandoned);
        slot.clear();
        let (worker, accelerator) = loaded?;
        Ok(Self { worker: Some(worker), slot, accelerator })
    }

    /// Where the engine says that it runs.
    pub(super) fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// Runs once.
    pub(super) fn run(&mut self, tensors: Tensors) -> Result<Tensors, Trouble> {
        let worker = self.worker.as_mut().ok_or(Trouble::Hung)?;
        mark(&self.slot, Phase::Run)?;
        let ran = worker.run(tensors);
        self.slot.clear();
        if matches!(ran, Err(Trouble::Hung)) {
            // There is nothing left to give back to.
            self.worker = None;
        }
        ran
    }

    /// Gives back what the accelerator holds; `false` when that hung.
    pub(super) fn release(mut self) -> bool {
        self.give_back()
    }

    fn give_back(&mut self) -> bool {
        let Some(worker) = self.worker.take() else { return true };
        // Giving back cannot be left out, marker or not.
        let marked = mark(&self.slot, Phase::Release);
        let released = worker.release();
        if marked.is_ok() {
            self.slot.clear();
        }
        released
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.give_back() {
            tracing::warn!("an accelerator did not give back in time what it holds: its thread is left behind");
        }
    }
}

fn mark(slot: &Slot, phase: Phase) -> Result<(), Trouble> {
    slot.set(phase).map_err(|error| {
        tracing::warn!(%error, "no marker can be set: the processor is taken");
        Trouble::Unmarked
    })
}
