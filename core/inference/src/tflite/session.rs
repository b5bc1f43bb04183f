//! One loaded model, whichever of the two interfaces runs it.

use super::port::Port;
use snaptrak_domain::engine::{Accelerator, EngineError, Placement, Session, Tensor};

/// What an interface does with a loaded model. The tensors have been checked against the ports.
pub(super) trait Runner: Send {
    fn inputs(&self) -> &[Port];
    fn outputs(&self) -> &[Port];
    /// Gives the inputs these shapes, in their order, and the outputs what follows from them. After an error the shapes are as
    /// before the first run.
    fn resize(&mut self, shapes: &[&[usize]]) -> Result<(), String>;
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
        let mut fits = true;
        for port in self.runner.inputs() {
            let tensor = given(port, inputs)?;
            port.check(tensor)?;
            fits &= port.has(&tensor.shape);
        }
        if !fits {
            let shape = |port| given(port, inputs).map(|tensor| tensor.shape.as_slice());
            let shapes: Vec<&[usize]> = self.runner.inputs().iter().map(shape).collect::<Result<_, _>>()?;
            self.runner.resize(&shapes)?;
        }
        for index in 0..wanted {
            let tensor = given(&self.runner.inputs()[index], inputs)?;
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

fn given<'t>(port: &Port, inputs: &'t [Tensor]) -> Result<&'t Tensor, String> {
    let tensor = inputs.iter().find(|tensor| tensor.name == port.name);
    tensor.ok_or_else(|| format!("there is no input `{}`", port.name))
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
