//! One loaded model in ONNX Runtime.

use super::{device_type, file_check, port, run::Runner};
use crate::{bounds::THREADS_MAX, model_bytes::ModelBytes};
use ort::{
    environment::Environment,
    session::{Session as Inner, builder::SessionBuilder},
};
use snaptrak_domain::engine::{Accelerator, EngineError, LoadOptions, ModelFile, Placement, Session, Tensor};

/// A model in ONNX Runtime, on exactly one kind of device.
pub(super) struct OrtSession {
    runner: Runner,
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
        // The library is given the very bytes that were looked at, not a path at which others may lie by then.
        let bytes = ModelBytes::read(&model.path).map_err(failed)?;
        file_check::check(bytes.as_slice()).map_err(|detail| failed(detail.to_owned()))?;
        let mut builder = builder(environment, options).map_err(failed)?;
        let session = builder.commit_from_memory(bytes.as_slice()).map_err(|error| failed(error.to_string()))?;
        let ports = |outlets| port::ports(outlets).map_err(failed);
        let (inputs, outputs) = (ports(session.inputs())?, ports(session.outputs())?);
        let runner = Runner::new(session, inputs, outputs).map_err(failed)?;
        Ok(Self { runner, model_id: model.model_id.clone(), accelerator: options.accelerator })
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
        let mut outputs = Vec::new();
        self.run_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    fn run_into(&mut self, inputs: &[Tensor], outputs: &mut Vec<Tensor>) -> Result<(), EngineError> {
        let answer = self.runner.run(inputs, outputs);
        answer.map_err(|detail| EngineError::Run { model_id: self.model_id.clone(), detail })
    }

    fn accelerator_ran(&self) -> Accelerator {
        self.accelerator
    }

    /// A session is given the devices of one kind only and never the processor to fall back to, so what loads is there.
    fn placement(&self) -> Placement {
        Placement::Whole
    }
}
