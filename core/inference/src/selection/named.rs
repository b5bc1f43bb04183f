//! A model on the accelerator that was asked for by name: nothing is measured and nothing is compared, and nothing else answers in its
//! place. Only what it may do to the process is watched: a marker stands whenever it is at work, so that the next process knows
//! what this one died of; it is waited for with patience; and where it has condemned itself by that, it is not asked.

use super::compare::copy;
use super::placed::Placed;
use super::worker::{Patience, Tensors, Trouble};
use super::{Owned, Selection};
use snaptrak_domain::{
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Placement, Session, Tensor},
    verdict::{Event, Fault},
};
use std::sync::Arc;

/// The session.
pub(super) struct Named {
    /// Gone once it hung.
    placed: Option<Placed>,
    owned: Owned,
    selection: Arc<Selection>,
    tensors: Tensors,
    ran: Accelerator,
}

impl Named {
    pub(super) fn load(
        engine: &Arc<dyn Engine>,
        model: &ModelFile,
        options: LoadOptions,
        owned: Owned,
        selection: &Arc<Selection>,
    ) -> Result<Self, EngineError> {
        let candidate = &owned.candidate;
        if let Some(code) = selection.harm(&owned) {
            let (model_id, accelerator) = (candidate.model_id.clone(), candidate.accelerator);
            return Err(EngineError::Condemned { model_id, accelerator, code });
        }
        let marker = selection.marker.as_ref().filter(|_| selection.abandoned.has_room());
        let slot = marker.and_then(|marker| marker.claim(candidate, &owned.circumstances));
        let slot = slot.ok_or_else(|| refused(&owned, "no marker can be set"))?;
        // Whoever asks by name knows that it may be slow; a trial would not wait as long.
        let Patience { load, run, release } = selection.options.patience;
        let patience = Patience { load, run: run.max(load), release };
        let loaded = Placed::load(engine, model, options, (patience, &selection.abandoned), slot);
        let placed = loaded.map_err(|trouble| failed(trouble, &owned, selection))?;
        let ran = placed.accelerator();
        let (selection, tensors) = (Arc::clone(selection), Tensors::default());
        Ok(Self { placed: Some(placed), owned, selection, tensors, ran })
    }
}

fn refused(owned: &Owned, detail: &str) -> EngineError {
    let candidate = &owned.candidate;
    let (model_id, accelerator) = (candidate.model_id.clone(), candidate.accelerator);
    EngineError::NotPlaced { model_id, accelerator, detail: detail.to_owned() }
}

/// What an error of its own does is the caller's to judge; a hang is held against it.
fn failed(trouble: Trouble, owned: &Owned, selection: &Selection) -> EngineError {
    match trouble {
        Trouble::Refused(error) => error,
        Trouble::Unmarked => refused(owned, "no marker can be set"),
        Trouble::Hung => {
            selection.tell(owned, &Event::Faulted(Fault::Hung));
            hung(owned)
        }
    }
}

fn hung(owned: &Owned) -> EngineError {
    let detail = "it did not answer in time".to_owned();
    EngineError::Run { model_id: owned.candidate.model_id.clone(), detail }
}

impl Session for Named {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let mut outputs = Vec::new();
        self.run_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    fn run_into(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        let placed = self.placed.as_mut().ok_or_else(|| hung(&self.owned))?;
        copy(inputs, &mut self.tensors.inputs);
        match placed.run(std::mem::take(&mut self.tensors)) {
            Ok(tensors) => self.tensors = tensors,
            Err(trouble) => {
                if matches!(trouble, Trouble::Hung) {
                    self.placed = None;
                }
                return Err(failed(trouble, &self.owned, &self.selection));
            }
        }
        copy(&self.tensors.outputs, outputs);
        Ok(())
    }

    fn accelerator_ran(&self) -> Accelerator {
        self.ran
    }

    /// An engine takes a model whole to an accelerator or not at all.
    fn placement(&self) -> Placement {
        Placement::Whole
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Some(placed) = self.placed.take()
            && !placed.release()
        {
            self.selection.tell(&self.owned, &Event::Faulted(Fault::Hung));
        }
    }
}
