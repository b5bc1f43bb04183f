//! One loaded model in ONNX Runtime.

use super::{
    file_check, port,
    provider::{self, OrtProvider},
    run::Runner,
};
use crate::{bounds::THREADS_MAX, model_bytes::ModelBytes};
use ort::environment::Environment;
use snaptrak_domain::engine::{Accelerator, EngineError, LoadOptions, ModelFile, Placement, Session, Tensor};

/// A model in ONNX Runtime, on exactly one kind of device.
pub(super) struct OrtSession {
    runner: Runner,
    model_id: String,
    accelerator: Accelerator,
    placement: Placement,
}

impl OrtSession {
    pub(super) fn load(
        environment: &Environment,
        providers: &[OrtProvider],
        model: &ModelFile,
        options: LoadOptions,
    ) -> Result<Self, EngineError> {
        let accelerator = options.accelerator;
        let failed = |detail: String| EngineError::Model { model_id: model.model_id.clone(), detail };
        if !provider::offers(environment, providers, accelerator) {
            return Err(EngineError::NoAccelerator { accelerator });
        }
        // The library is given the very bytes that were looked at, not a path at which others may lie by then.
        let bytes = ModelBytes::read(&model.path, options.threads).map_err(failed)?;
        file_check::check(bytes.as_slice()).map_err(|detail| failed(detail.to_owned()))?;
        // What the file is has been settled as far as it can be; from here on it is mostly the accelerator that refuses.
        let refused = |detail: String| match accelerator {
            Accelerator::Cpu => failed(detail),
            Accelerator::Gpu | Accelerator::Npu => {
                EngineError::NotPlaced { model_id: model.model_id.clone(), accelerator, detail }
            }
        };
        let threads = options.threads.clamp(1, THREADS_MAX);
        let (mut builder, placement) = provider::place(environment, providers, options, threads).map_err(refused)?;
        let session = builder.commit_from_memory(bytes.as_slice()).map_err(|error| refused(error.to_string()))?;
        let ports = |outlets| port::ports(outlets).map_err(failed);
        let (inputs, outputs) = (ports(session.inputs())?, ports(session.outputs())?);
        let runner = Runner::new(session, inputs, outputs).map_err(failed)?;
        Ok(Self { runner, model_id: model.model_id.clone(), accelerator, placement })
    }
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

    fn placement(&self) -> Placement {
        self.placement
    }
}
