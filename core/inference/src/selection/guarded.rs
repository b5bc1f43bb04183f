//! A model that runs on an accelerator, with the processor ready to answer in its place.
//!
//! Every answer is looked through for what is no number. The first answer after loading is compared with the processor's, then one
//! after two more, four, eight, and from then on every sixteenth; and the last one whenever [`Session::confirm`] asks. An accelerator that
//! begins to answer wrongly and keeps to it is therefore found out before anything that it said since the last comparison has
//! been relied on, provided that the caller confirms before it relies. One that is wrong once and right again is found with the
//! chance of one in sixteen.

use super::compare::{Comparison, compare, copy, is_finite};
use super::placed::Placed;
use super::trial::fault_of;
use super::worker::Tensors;
use super::{Owned, Selection};
use snaptrak_domain::{
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Placement, Session, Tensor},
    verdict::{Event, Fault},
};
use std::sync::Arc;

/// Answers between two comparisons at most. A comparison costs a run on the processor, so a sixteenth of what the accelerator
/// saves at worst; and it bounds what a caller has to run again.
const CHECK_DISTANCE_MAX: u32 = 16;

/// The processor, loaded when it is first needed.
pub(super) struct Cpu {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) model: ModelFile,
    pub(super) options: LoadOptions,
    pub(super) session: Option<Box<dyn Session>>,
}

impl Cpu {
    pub(super) fn session(&mut self) -> Result<&mut dyn Session, EngineError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.engine.load(&self.model, self.options)?,
        };
        Ok(self.session.insert(session).as_mut())
    }
}

/// The session.
pub(super) struct Guarded {
    /// Gone once it did wrong.
    placed: Option<Placed>,
    cpu: Cpu,
    owned: Owned,
    selection: Arc<Selection>,
    tolerance: f32,
    /// What was asked last and what the accelerator answered.
    last: Tensors,
    cpu_outputs: Vec<Tensor>,
    /// Answers of the accelerator since the last comparison.
    unconfirmed: u32,
    check_distance: u32,
    /// An answer that was given since the last [`Session::confirm`] may be wrong.
    is_doubted: bool,
    ran: Accelerator,
}

impl Guarded {
    pub(super) fn new(placed: Placed, cpu: Cpu, owned: Owned, selection: Arc<Selection>, tolerance: f32) -> Self {
        let ran = placed.accelerator();
        Self {
            placed: Some(placed),
            cpu,
            owned,
            selection,
            tolerance,
            last: Tensors::default(),
            cpu_outputs: Vec::new(),
            unconfirmed: 0,
            check_distance: 1,
            is_doubted: false,
            ran,
        }
    }

    /// What the accelerator answers; `None` when it is not to be relied on any more.
    fn ask(&mut self, inputs: &[Tensor]) -> Result<Option<()>, EngineError> {
        let Some(placed) = &mut self.placed else { return Ok(None) };
        copy(inputs, &mut self.last.inputs);
        match placed.run(std::mem::take(&mut self.last)) {
            Ok(tensors) => self.last = tensors,
            Err(trouble) => {
                self.leave(fault_of(&trouble));
                return Ok(None);
            }
        }
        self.unconfirmed += 1;
        let is_due = self.unconfirmed >= self.check_distance || !is_finite(&self.last.outputs);
        if !is_due || self.is_right()? {
            return Ok(Some(()));
        }
        Ok(None)
    }

    /// Compares the last answer with the processor's.
    fn is_right(&mut self) -> Result<bool, EngineError> {
        self.cpu.session()?.run_into(&self.last.inputs, &mut self.cpu_outputs)?;
        match compare(&self.cpu_outputs, &self.last.outputs, self.tolerance) {
            Comparison::Same { .. } => {
                self.unconfirmed = 0;
                self.check_distance = (self.check_distance * 2).min(CHECK_DISTANCE_MAX);
                Ok(true)
            }
            // The model's own doing, and the processor's answer is as good. This is no comparison: the next one is due.
            Comparison::Unjudged => {
                self.unconfirmed -= 1;
                Ok(false)
            }
            Comparison::Other(fault) => {
                self.unconfirmed -= 1;
                self.leave(Some(fault));
                Ok(false)
            }
        }
    }

    /// The processor from here on. What the accelerator said since the last comparison is in doubt.
    fn leave(&mut self, fault: Option<Fault>) {
        self.is_doubted |= self.unconfirmed > 0;
        self.unconfirmed = 0;
        if let Some(fault) = fault {
            self.selection.tell(&self.owned, &Event::Faulted(fault));
        }
        self.give_back();
    }

    fn give_back(&mut self) {
        if let Some(placed) = self.placed.take()
            && !placed.release()
        {
            self.selection.tell(&self.owned, &Event::Faulted(Fault::Hung));
        }
    }
}

impl Session for Guarded {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let mut outputs = Vec::new();
        self.run_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    fn run_into(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        if self.ask(inputs)?.is_some() {
            copy(&self.last.outputs, outputs);
            self.ran = self.owned.candidate.accelerator;
            return Ok(());
        }
        self.ran = Accelerator::Cpu;
        self.cpu.session()?.run_into(inputs, outputs)
    }

    fn accelerator_ran(&self) -> Accelerator {
        self.ran
    }

    fn placement(&self) -> Placement {
        self.cpu.session.as_ref().filter(|_| self.placed.is_none()).map_or(Placement::Whole, |cpu| cpu.placement())
    }

    fn is_unconfirmed(&self) -> bool {
        self.unconfirmed > 0 || self.is_doubted
    }

    fn confirm(&mut self) -> bool {
        if self.unconfirmed > 0 {
            match self.is_right() {
                Ok(is_right) => self.is_doubted |= !is_right,
                Err(error) => {
                    tracing::warn!(%error, "the processor cannot answer: nothing is confirmed");
                    self.leave(None);
                }
            }
        }
        !std::mem::take(&mut self.is_doubted)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.give_back();
    }
}
