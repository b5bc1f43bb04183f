//! One loaded model in ONNX Runtime.

use super::device_type;
use crate::bounds::{OUTPUTS_MAX, THREADS_MAX, VALUES_MAX};
use ort::{
    environment::Environment,
    session::{Session as Inner, SessionInputValue, builder::SessionBuilder},
    value::TensorRef,
};
use snaptrak_domain::engine::{Accelerator, EngineError, LoadOptions, ModelFile, Placement, Session, Tensor};
use std::borrow::Cow;

/// A model in ONNX Runtime, on exactly one kind of device.
pub(super) struct OrtSession {
    inner: Inner,
    model_id: String,
    accelerator: Accelerator,
}

impl OrtSession {
    pub(super) fn load(
        environment: &Environment,
        model: &ModelFile,
        options: LoadOptions,
    ) -> Result<Self, EngineError> {
        let failed = |detail: String| EngineError::Model { model_id: model.model_id.clone(), detail };
        if !offers(environment, options.accelerator) {
            return Err(EngineError::NoAccelerator { accelerator: options.accelerator });
        }
        let mut builder = builder(environment, options).map_err(failed)?;
        let inner = builder.commit_from_file(&model.path).map_err(|error| failed(error.to_string()))?;
        if inner.outputs().len() > OUTPUTS_MAX {
            return Err(failed(format!("it has more than {OUTPUTS_MAX} outputs")));
        }
        Ok(Self { inner, model_id: model.model_id.clone(), accelerator: options.accelerator })
    }

    fn run_inner(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for tensor in inputs {
            let view = TensorRef::from_array_view((tensor.shape.clone(), tensor.data.as_slice()));
            let view = view.map_err(|error| format!("the input `{}`: {error}", tensor.name))?;
            values.push((Cow::Borrowed(tensor.name.as_str()), view.into()));
        }
        let outputs = self.inner.run(values).map_err(|error| error.to_string())?;
        let mut tensors = Vec::with_capacity(outputs.len());
        for (name, value) in outputs.iter() {
            let extracted = value.try_extract_tensor::<f32>();
            let (shape, data) = extracted.map_err(|error| format!("the output `{name}`: {error}"))?;
            if data.len() > VALUES_MAX {
                return Err(format!("the output `{name}` holds more than {VALUES_MAX} values"));
            }
            // A size below zero cannot be in an answer; it would fail the contract's check.
            let shape = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
            tensors.push(Tensor { name: name.to_owned(), shape, data: data.to_vec() });
        }
        Ok(tensors)
    }
}

fn offers(environment: &Environment, accelerator: Accelerator) -> bool {
    environment.devices().any(|device| device.hardware_device().ty() == device_type(accelerator))
}

/// Everything that the library would otherwise choose by itself is chosen here.
fn builder(environment: &Environment, options: LoadOptions) -> Result<SessionBuilder, String> {
    let builder = Inner::builder(environment).map_err(|error| error.to_string())?;
    let builder = builder.with_intra_threads(options.threads.clamp(1, THREADS_MAX)).map_err(in_words)?;
    let builder = builder.with_inter_threads(1).map_err(in_words)?;
    let builder = builder.with_intra_op_spinning(false).map_err(in_words)?;
    let builder = builder.with_inter_op_spinning(false).map_err(in_words)?;
    match options.accelerator {
        // By name: another provider may offer the processor too, and a session that names nothing takes what it likes.
        Accelerator::Cpu => {
            let cpu = environment.devices().filter(|device| device.ep().ok() == Some("CPUExecutionProvider"));
            builder.with_devices(cpu, None).map_err(in_words)
        }
        // Without the processor to fall back to, a session that loads runs where it was asked to run.
        Accelerator::Gpu | Accelerator::Npu => {
            let wanted = device_type(options.accelerator);
            let devices = environment.devices().filter(|device| device.hardware_device().ty() == wanted);
            let builder = builder.with_devices(devices, None).map_err(in_words)?;
            builder.with_disable_cpu_fallback().map_err(in_words)
        }
    }
}

fn in_words(error: ort::Error<SessionBuilder>) -> String {
    error.to_string()
}

impl Session for OrtSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        self.run_inner(inputs).map_err(|detail| EngineError::Run { model_id: self.model_id.clone(), detail })
    }

    fn accelerator_ran(&self) -> Accelerator {
        self.accelerator
    }

    /// A session is given the devices of one kind only and never the processor to fall back to, so what loads is there.
    fn placement(&self) -> Placement {
        Placement::Whole
    }
}
