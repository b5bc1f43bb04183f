//! One loaded model, whichever of the two interfaces runs it.

use super::port::Port;
use snaptrak_domain::engine::{Accelerator, EngineError, Placement, Session, Tensor};

/// What an interface does with a loaded model. The tensors have been checked against the ports.
pub(super) trait Runner: Send {
    fn inputs(&self) -> &[Port];
    fn outputs(&self) -> &[Port];
    /// Puts as many values as the port holds into an input.
    fn write(&mut self, input: usize, values: &[f32]) -> Result<(), String>;
    fn run(&mut self) -> Result<(), String>;
    /// Takes as many values as the port holds out of an output.
    fn read(&mut self, output: usize, values: &mut [f32]) -> Result<(), String>;
}

/// A loaded model on exactly one kind of device.
pub(super) struct TfliteSession<R> {
    pub(super) runner: R,
    pub(super) model_id: String,
    pub(super) accelerator: Accelerator,
    pub(super) placement: Placement,
}

impl<R: Runner> TfliteSession<R> {
    fn run_inner(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), String> {
        let wanted = self.runner.inputs().len();
        if inputs.len() != wanted {
            return Err(format!("it takes {wanted} inputs and not {}", inputs.len()));
        }
        for index in 0..wanted {
            let port = &self.runner.inputs()[index];
            let Some(tensor) = inputs.iter().find(|tensor| tensor.name == port.name) else {
                return Err(format!("there is no input `{}`", port.name));
            };
            port.check(tensor)?;
            self.runner.write(index, &tensor.data)?;
        }
        self.runner.run()?;
        outputs.truncate(self.runner.outputs().len());
        for index in 0..self.runner.outputs().len() {
            self.runner.outputs()[index].shape_output(index, outputs);
            self.runner.read(index, &mut outputs[index].data)?;
        }
        Ok(())
    }
}

impl<R: Runner> Session for TfliteSession<R> {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let mut outputs = Vec::with_capacity(self.runner.outputs().len());
        self.run_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    fn run_into(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        self.run_inner(inputs, outputs).map_err(|detail| EngineError::Run { model_id: self.model_id.clone(), detail })
    }

    fn accelerator_ran(&self) -> Accelerator {
        self.accelerator
    }

    fn placement(&self) -> Placement {
        self.placement
    }
}
